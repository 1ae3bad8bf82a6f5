# Completion of schedctl for bash: `make install` puts it where bash-completion looks, and
# `schedctl completion bash` prints it. It knows no command and no flag: it hands the line to
# `schedctl __complete bash WORD...`, which answers with the words that could stand at the cursor,
# one a line. A first line ":KIND SETTLED" asks for what the shell knows better; SETTLED is what of
# the word belongs to none of it ("--config=", "sqlite:").
# shellcheck shell=bash

# The words up to the cursor, as they were typed: bash cuts them at "=" and ":" as well.
__schedctl_split() {
    local line=${COMP_LINE:0:COMP_POINT} part i
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        part=${COMP_WORDS[i]}
        [[ $i -eq 0 || $line == [[:space:]]* ]] && words+=('')
        line=${line#"${line%%[![:space:]]*}"}
        # The cursor may stand inside the last one.
        ((i < COMP_CWORD)) || part=$line
        words[-1]+=$part
        line=${line#"$part"}
    done
    current=${words[-1]}
}

# Of the word at the cursor bash replaces only what follows the last cut; the rest is `kept`.
__schedctl_keep() {
    local cut
    kept=
    for cut in '=' ':' '@'; do
        [[ $COMP_WORDBREAKS == *"$cut"* && $current == *"$cut"* ]] || continue
        cut=${current%"$cut"*}$cut
        ((${#cut} <= ${#kept})) || kept=$cut
    done
}

# What follows "--" is somebody else's command line.
__schedctl_command() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -- ]] && break
    done
    if declare -F _command_offset >/dev/null; then
        _command_offset $((i + 1))
    elif ((COMP_CWORD == i + 1)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$current")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}

__schedctl_files() {
    local cur=$1
    if declare -F _filedir >/dev/null; then
        _filedir ${2:+"$2"}
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen "${2:--f}" -- "$cur")
    fi
}

_schedctl() {
    local program=${1/#~\//$HOME/} words current kept lines kind='' settled='' found=()
    COMPREPLY=()
    __schedctl_split
    type -P -- "$program" >/dev/null || program=schedctl
    mapfile -t lines < <("$program" __complete bash "${words[@]:1}" 2>/dev/null)
    if [[ ${lines[0]-} == :* ]]; then
        kind=${lines[0]%% *} settled=${lines[0]#* }
        lines=("${lines[@]:1}")
    fi
    case $kind in
    :command)
        __schedctl_command
        return
        ;;
    :files) __schedctl_files "${current#"$settled"}" ;;
    :directories) __schedctl_files "${current#"$settled"}" -d ;;
    :users) mapfile -t COMPREPLY < <(compgen -u -- "${current#"$settled"}") ;;
    :groups) mapfile -t COMPREPLY < <(compgen -g -- "${current#"$settled"}") ;;
    esac
    # What stands before the part that bash replaces must not come twice.
    found=("${COMPREPLY[@]/#/$settled}" "${lines[@]}")
    __schedctl_keep
    COMPREPLY=("${found[@]#"$kept"}")
    # A bare "#" would begin a comment.
    [[ $current == [\'\"]* ]] || COMPREPLY=("${COMPREPLY[@]/#\#/\\#}")
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=:] ]] && compopt -o nospace
    return 0
}

complete -F _schedctl schedctl
