# Completion of certtrust's command lines for bash, version 3.2 or newer.
# "certtrust __complete" does the work.

_certtrust() {
    local program=$1 rest=${COMP_LINE:0:COMP_POINT} piece line i directive
    local words answers
    words=()
    answers=()
    COMPREPLY=()
    type -P -- "$program" >/dev/null || program=certtrust

    # Bash also cuts words at ":", "=" and the like. Pieces that touch are one
    # word; the last one ends at the cursor.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        piece=${COMP_WORDS[i]}
        if [[ $i == 0 || $rest == [[:space:]]* ]]; then
            rest=${rest#"${rest%%[![:space:]]*}"}
            words+=("")
        fi
        ((i < COMP_CWORD)) || piece=$rest
        words[${#words[@]} - 1]+=$piece
        rest=${rest#"$piece"}
    done

    while IFS= read -r line; do
        answers+=("${line%%$'\t'*}")
    done <<<"$("$program" __complete --shell=bash --breaks="$COMP_WORDBREAKS" -- "${words[@]:1}" 2>/dev/null)"

    # The last line says what else there may be. Names of files are the default
    # if nothing matches.
    i=$((${#answers[@]} - 1))
    directive=${answers[i]}
    unset "answers[i]"
    ((i == 0)) || COMPREPLY=("${answers[@]}")
    type compopt &>/dev/null || return 0
    case $directive in
        :none) compopt +o default ;;
        :dirs) compopt +o default -o dirnames ;;
    esac
    [[ $i != 1 || ${COMPREPLY[0]} != *[:=/] ]] || compopt -o nospace
}

complete -o default -F _certtrust certtrust certtrust.exe
