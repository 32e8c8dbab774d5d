# Completion of tessenger-client for bash. docs/operations.md says where it goes.

_tessenger_client() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} IFS=$'\n'
    COMPREPLY=()
    case $previous in
        --profile)
            COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" --list-profiles 2>/dev/null | sed 's/ .*//')" -- "$current"))
            ;;
        --config | --password-file)
            COMPREPLY=($(compgen -f -- "$current"))
            ;;
        --download-dir)
            COMPREPLY=($(compgen -d -- "$current"))
            ;;
        --user | --exec | --rate-limit | --advertise) ;;
        *)
            if [[ $current == -* ]]; then
                IFS=' '
                COMPREPLY=($(compgen -W "--help --version --user --password-file --exec --json --profile --list-profiles \
                    --config --download-dir --rate-limit --advertise --plain --no-tls -h" -- "$current"))
            else
                COMPREPLY=($(compgen -A hostname -- "$current"))
            fi
            ;;
    esac
}

complete -o filenames -F _tessenger_client tessenger-client
