# Completion of iamctl in bash. iamctl itself says what fits, at each Tab.

_iamctl() {
    # bash takes words apart at COMP_WORDBREAKS, which has ":" and "=": "storage.read:/" comes as
    # three words. What stands together in the line is put together again, up to the cursor.
    local -a words=()
    local -i at=0
    local piece gap last=
    for piece in "${COMP_WORDS[@]}"; do
        gap=${COMP_LINE:at}
        gap=${gap%%[! $'\t\n']*}
        at+=${#gap}
        # The cursor stands before this piece, behind a blank: a word that is yet to be typed.
        [[ $gap ]] && ((at >= COMP_POINT)) && piece=
        if ((at + ${#piece} > COMP_POINT)); then
            piece=${piece:0:COMP_POINT-at}
        fi
        if [[ ! $gap && ($piece =~ ^[:=@]+$ || $last =~ ^[:=@]+$) ]] && ((${#words[@]})); then
            words[${#words[@]}-1]+=$piece
        else
            words+=("$piece")
        fi
        last=$piece
        at+=${#piece}
        ((at < COMP_POINT)) || break
    done

    # What Tab replaces is the last piece only, "$2": what stands before it in the word is not
    # repeated. Whoever calls this for "sudo iamctl" gives the separator itself as the piece.
    local -i index=${#words[@]}-1
    local quoted=${words[index]//[!\"\']/}
    words=("${words[@]//[\"\'\\]/}")
    local word=${words[index]} typed=${2//[\"\'\\]/} before=
    [[ $typed =~ ^[:=@]+$ && $COMP_WORDBREAKS == *"${typed:0:1}"* ]] && typed=
    [[ $word == *"$typed" ]] && before=${word%"$typed"}

    local found reply
    found=$(IAMCTL_COMPLETE=bash _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$index \
        iamctl -- "${words[@]}" 2>/dev/null) || return
    COMPREPLY=()
    while IFS= read -r reply; do
        [[ $reply && $reply == "$before"* ]] || continue
        reply=${reply#"$before"}
        # A scope comes from an issuer: nothing in it may mean anything to the shell.
        if [[ ! $quoted ]]; then
            printf -v reply %q "$reply"
        elif [[ $reply == *[\$\`\"\'\\!]* ]]; then
            continue
        fi
        COMPREPLY+=("$reply")
    done <<<"$found"
    if ((!${#COMPREPLY[@]})) && [[ ${words[1]-} == run ]]; then
        _iamctl_command
        return
    fi
    # A path or a list may go on.
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *[=/:] ]]; then
        compopt -o nospace
    fi
}

# What "iamctl run --" runs completes as it does by itself, as far as bash knows how.
_iamctl_command() {
    local -i at
    for ((at = 2; at < COMP_CWORD; at++)); do
        [[ ${COMP_WORDS[at]} == -- ]] && break
    done
    at+=1
    if ((at <= COMP_CWORD)) && declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$at"
    elif ((at <= COMP_CWORD)) && declare -F _command_offset >/dev/null; then
        _command_offset "$at"
    elif ((at == COMP_CWORD)); then
        mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}" | sort -u)
    else
        compopt -o default
    fi
}

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)); then
    complete -o bashdefault -o nosort -F _iamctl iamctl
else
    complete -o bashdefault -F _iamctl iamctl
fi
