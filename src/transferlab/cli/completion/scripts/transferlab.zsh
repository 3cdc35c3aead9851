#compdef transferlab
# Completion of transferlab for zsh: source <(transferlab completion zsh)
_transferlab() {
    local -a given whole open
    local line word program=${~words[1]}
    given=("${(@)words[2,CURRENT]}")
    # what stands behind the cursor is not known yet
    given[-1]=$PREFIX
    for line in "${(@f)$($program completion words -- "${given[@]}" 2>/dev/null)}"; do
        word=${line%%$'\t'*}
        [[ -n $word ]] || continue
        if [[ $word == :files ]]; then
            compset -P '-*='
            _files
            return
        fi
        # a colon divides a word from its text
        line=${word//:/\\:}${${line#$word}/$'\t'/:}
        if [[ $word == *. ]]; then open+=("$line"); else whole+=("$line"); fi
    done
    _describe -t keys 'group of keys' open -S ''
    _describe -t words transferlab whole
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u }
if [[ $funcstack[1] == _transferlab ]]; then
    _transferlab "$@"
else
    compdef _transferlab transferlab
fi
