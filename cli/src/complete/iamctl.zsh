#compdef iamctl
# Completion of iamctl in zsh. iamctl itself says what fits, at each Tab.

_iamctl() {
    # Up to the cursor, without quotes.
    local -a typed=("${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}")
    local -a found=("${(@f)$(IAMCTL_COMPLETE=zsh _CLAP_IFS=$'\n' \
        _CLAP_COMPLETE_INDEX=$((CURRENT - 1)) iamctl -- "${typed[@]}" 2>/dev/null)}")
    # VALUE:HELP, with "\:" for a colon in the value. A path or a list may go on: no space then.
    local -a done=() open=()
    local one
    for one in "${found[@]}"; do
        case ${one//\\:/=} in
        '') ;;
        *[=/]) open+=("$one") ;;
        *[=/]:*) open+=("$one") ;;
        *) done+=("$one") ;;
        esac
    done
    # What "iamctl run --" runs completes as it does by itself.
    local -i at=${words[(I)--]}
    if [[ ${words[2]} == run ]] && ((at && at < CURRENT)) && (( ! $#open && ! $#done )); then
        words=("${(@)words[at+1,-1]}")
        ((CURRENT -= at))
        _normal
        return
    fi
    local -i fits=1
    (($#open)) && _describe -V iamctl open -S '' && fits=0
    (($#done)) && _describe -V iamctl done && fits=0
    return fits
}

# Read by compinit at the first Tab, or sourced.
if [[ ${funcstack[1]-} == _iamctl ]]; then
    _iamctl "$@"
else
    compdef _iamctl iamctl
fi
