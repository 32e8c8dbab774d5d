# Completion of tessenger-server for bash. docs/operations.md says where it goes.

_tessenger_server() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} IFS=$'\n' words=
    COMPREPLY=()
    case $previous in
        --config | --credentials)
            COMPREPLY=($(compgen -f -- "$current"))
            return
            ;;
        --data-dir)
            COMPREPLY=($(compgen -d -- "$current"))
            return
            ;;
        --workers)
            return
            ;;
    esac
    case ${COMP_WORDS[1]} in
        users)
            words="--config --credentials --help -h"
            if ((COMP_CWORD == 2)); then
                words="add remove passwd list hash --help -h"
            elif [[ $current != -* && ${COMP_WORDS[2]} == @(remove|passwd) ]]; then
                words=$("${COMP_WORDS[0]}" users list 2>/dev/null)
            fi
            ;;
        redact)
            words="--config --data-dir --help -h"
            ;;
        *)
            words="--help --version --workers --config --credentials --data-dir --no-tls --remove-accounts -h"
            if ((COMP_CWORD == 1)); then
                words="users redact $words"
            fi
            ;;
    esac
    IFS=$' \n'
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}

complete -o filenames -F _tessenger_server tessenger-server
