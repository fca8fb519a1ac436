# shellcheck shell=sh
# iamd: sign in at the start of an interactive login, when a sign-in is needed.
#
# Off until the site turns it on:
#     ln -s /usr/share/iamd/profile.d/iamd.sh /etc/profile.d/iamd.sh
# It shows the QR code and waits, two minutes at most; Ctrl-C gives the shell, and the login goes on
# in the background. When iamd or the issuer does not answer, the shell comes after 3 s, or 4.
# It never writes to standard output. A user turns it off with  iamctl login --off  or by setting
# IAMD_NO_LOGIN.

case $- in
*i*)
    # Only a person at a terminal; not in a pane of a multiplexer (its first shell has asked), not
    # when an editor reads the environment, not for root, not where iamd does not run.
    if [ -z "${IAMD_NO_LOGIN+set}${TMUX-}${STY-}${ZELLIJ-}${VSCODE_RESOLVING_ENVIRONMENT-}" ] &&
        [ -t 0 ] && [ -t 1 ] && [ -t 2 ] &&
        [ -S /run/iamd/pam.sock ] && command -v iamctl >/dev/null 2>&1 &&
        [ "$(id -u)" -ne 0 ]; then
        # A trap, so that Ctrl-C ends iamctl and not the rest of the user's profile.
        trap ':' INT
        iamctl login --if-needed --timeout 120 >&2 || :
        trap - INT
    fi
    ;;
esac
