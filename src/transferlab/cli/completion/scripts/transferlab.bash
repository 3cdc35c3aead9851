# Completion of transferlab for bash: source <(transferlab completion bash)
_transferlab() {
    local given=() word last index current prefix="" candidate
    for ((index = 1; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        last=$((${#given[@]} - 1))
        # bash takes `--key=value` for three words
        if ((last >= 0)) && [[ $word == = || ${COMP_WORDS[index - 1]} == = ]]; then
            given[last]+=$word
        else
            given+=("$word")
        fi
    done
    last=$((${#given[@]} - 1))
    current=${given[last]}
    [[ $current == -*=* && $COMP_WORDBREAKS == *=* ]] && prefix=${current%%=*}=
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        if [[ $candidate == :files ]]; then
            compopt -o filenames 2>/dev/null
            while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(compgen -f -- "${current#"$prefix"}")
        else
            COMPREPLY+=("${candidate#"$prefix"}")
        fi
    done < <("${COMP_WORDS[0]/#\~/$HOME}" completion words -- "${given[@]}" 2>/dev/null)
    # a group of keys goes on behind its dot
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *. ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _transferlab transferlab
