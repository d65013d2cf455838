# Completion of certtrust's command lines for fish, version 3 or newer.
# "certtrust __complete" does the work.

function __certtrust_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    command -q -- $program; or set program certtrust
    set -l answers (command $program __complete --shell=fish -- $words "$current" 2>/dev/null)
    test (count $answers) -gt 0; or return

    # The last line says what else there may be, and after what beginning.
    set -l directive (string split \t -- $answers[-1])
    set -e answers[-1]
    test (count $answers) -eq 0; or printf '%s\n' $answers
    set -l head "$directive[2]"
    set -l file (string sub -s (math (string length -- "$head") + 1) -- "$current")
    set -l paths
    switch $directive[1]
        case :files
            set paths (__fish_complete_path "$file")
        case :dirs
            set paths (__fish_complete_directories "$file")
    end
    for path in $paths
        printf '%s%s\n' "$head" $path
    end
end

complete -c certtrust -e
complete -c certtrust -f -a '(__certtrust_complete)'
