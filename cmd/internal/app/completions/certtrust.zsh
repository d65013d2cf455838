#compdef certtrust certtrust.exe
# Completion of certtrust's command lines for zsh.
# "certtrust __complete" does the work.

_certtrust() {
    local program=${(Q)words[1]} tab=$'\t' line value directive head
    local -a before answers whole beginnings
    whence -p -- $program >/dev/null || program=certtrust
    ((CURRENT <= 2)) || before=("${(@Q)words[2,CURRENT-1]}")
    answers=("${(@f)$("$program" __complete --shell=zsh -- "${before[@]}" "${(Q)PREFIX}" 2>/dev/null)}")

    # The last line says what else there may be, and after what beginning.
    directive=${answers[-1]%%$tab*}
    head=${${answers[-1]#$directive}#$tab}
    answers[-1]=()

    for line in "${answers[@]}"; do
        # _describe cuts at the first colon without a backslash.
        value=${line%%$tab*}
        line=${${value//\\/\\\\}//:/\\:}:${${line#$value}#$tab}
        case $value in
            *[:=/]) beginnings+=("$line") ;;
            *) whole+=("$line") ;;
        esac
    done
    local found=1
    ((!$#whole)) || _describe -t values value whole && found=0
    ((!$#beginnings)) || _describe -t values value beginnings -S '' && found=0

    [[ -z $head ]] || compset -p ${#head}
    case $directive in
        :files) _files && found=0 ;;
        :dirs) _files -/ && found=0 ;;
    esac
    return found
}

# As a file of $fpath it is run; else it is read.
if [[ ${funcstack[1]} == _certtrust ]]; then
    _certtrust "$@"
else
    compdef _certtrust certtrust certtrust.exe
fi
