# What each script of the walk begins with: a user's variables, and what is not the step's point.
export OIDC_ENCRYPTION_PW=walk-walk NO_COLOR=1 ISS=https://walk.test/
GEN="--iss=$ISS --redirect-uri=http://localhost:4242 --pw-env --prompt=none --confirm-default"
GEN="$GEN --cp=/etc/ssl/certs/ca-certificates.crt"
SCOPES='openid offline_access storage.read:/'
SITE='--client-id=site --client-secret=site-secret'
# The client whose refresh tokens `rt` has.
OTHER='--client-id=site-password --client-secret=site-secret'

# The agent of the walk; one that a step starts for itself ends with the step.
# A step may change HOME.
AGENT_AT=~/agent
if [ -e $AGENT_AT ]; then . $AGENT_AT > /dev/null; fi
of_the_step() {
    [ -n "${OIDCD_PID-}" ] && ! grep -qs "OIDCD_PID=$OIDCD_PID;" $AGENT_AT
}
trap 'if of_the_step; then oidc-agent -k > /dev/null 2>&1; fi' EXIT

# An agent says where it is before it listens there.
ready() {
    for _ in $(seq 300); do
        if oidc-add -a > /dev/null 2>&1; then return; fi
        sleep 0.1
    done
}
# A refresh token that the user has from elsewhere; and the end of one.
rt() {
    curl -sS -m 20 -u site-password:site-secret "${ISS}token" -d grant_type=password \
        -d "username=$USER" -d "password=$USER-pw" -d "scope=${1:-$SCOPES}" | jq -r .refresh_token
}
revoke() {
    curl -sS -m 20 -u site-password:site-secret "${ISS}revoke" -d "token=$1"
}
# A claim of the JWT on standard input.
claim() {
    jq -Rr "split(\".\")[1] | gsub(\"-\"; \"+\") | gsub(\"_\"; \"/\") | @base64d | fromjson | .$1"
}
# Ends are whole seconds: a client counts `expires_in` (RFC 6749 section 5.1) from when it asked, and the
# issuer its claim from when it answered. A token for which no second ended in between, of a few.
theirs_to_the_second() {
    for _ in 1 2 3 4 5 6; do
        if [ "$(oidc-token -e cms)" = "$(oidc-token cms | claim exp)" ]; then return; fi
        oidc-token -f cms > /dev/null
    done
}
ours_to_the_second() {
    local token
    for _ in 1 2 3 4 5 6; do
        token=$(iamctl token cms --json)
        if [ "$(jq .expires_at <<< "$token")" = "$(jq -r .token <<< "$token" | claim exp)" ]; then return; fi
        iamctl token cms --force-new > /dev/null
    done
}
# What a command prints; else the word.
or_nothing() {
    "$@" || echo nothing
}
# Waits until a command fails, and says so. oidc-agent drops an account whose time is up only while
# nobody asks it for anything.
until_nothing() {
    for _ in $(seq 8); do
        sleep 4
        if ! "$@" > /dev/null 2>&1; then
            echo nothing
            return
        fi
    done
}
# A program that asks for a password on a terminal, and one who types it as often as it asks.
typing() {
    while sleep 0.2; do echo "$1"; done | script -qec "$2" /dev/null
}
# iamctl under the names of oidc-agent's programs.
NAMES=/usr/lib/iamd/oidc-agent
OURS=/run/iamd/oidc-agent.sock
# What sends a browser, which is not there: oidc-gen says where to, and waits if it has a web server.
code_flow() {
    timeout 10 oidc-gen code $SITE --scope="$SCOPES" -w code "$@" < /dev/null 2>&1
    return 0
}
# Where the browser would be sent to in the end.
redirect() {
    grep -o -m 1 'redirect_uri=[^&]*' || echo nowhere
}
# GEN without where a browser is sent to.
BARE=${GEN/--redirect-uri=http:\/\/localhost:4242 /}
# A token by the libraries of oidc-agent, which ask at $OIDC_SOCK.
IN_C='
import ctypes
library = ctypes.CDLL("liboidc-agent.so.4")
ask = library.getAccessToken3
ask.restype, ask.argtypes = ctypes.c_char_p, [ctypes.c_char_p, ctypes.c_long] + 3 * [ctypes.c_char_p]
print("in C:", ask(b"cms", 60, None, b"walk", None).decode())'
IN_PYTHON='
import liboidcagent
print("in Python:", liboidcagent.get_access_token("cms", 60, "walk"))'
