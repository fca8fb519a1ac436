//! Options that have no counterpart: what the original does, and what iamctl says to who still types
//! them, under the names of oidc-agent's programs (`$NAMES`).

use super::Act::{Left, Root, Run, SignIn};
use super::{ADD, AGENT, AROUND, FILES, GEN, Step, TOKEN, alike, left, same, unlike};

pub(super) const STEPS: &[Step] = &[
    // ---- the agent
    unlike(
        AGENT,
        "`--no-webserver`",
        "no code comes back to the node, so nothing listens for it",
        Run(
            "listens() {
                eval \"$(oidc-agent --quiet $1)\"; ready
                timeout 10 oidc-gen code $SITE --scope=\"$SCOPES\" -w code --no-url-call $GEN \
             < /dev/null > ~/where 2>&1 &
                for _ in $(seq 300); do grep -q response_type=code ~/where && break; sleep 0.1; done
                ss -Htln 'sport = :4242' | grep -q 4242 && echo a web server || echo none
                kill $!; oidc-agent -k > /dev/null
            }
            listens --no-webserver; listens",
            0,
            &["none\na web server"],
        ),
        Run("$NAMES/oidc-agent --no-webserver", 0, &["OIDC_SOCK=/run/iamd/oidc-agent.sock"]),
    ),
    unlike(
        AGENT,
        "`--no-scheme`",
        "no browser on the node is sent anywhere",
        Run(
            "sent() {
                eval \"$(oidc-agent --quiet $1)\"; ready
                code_flow --no-url-call --redirect-uri=edu.kit.data.oidc-agent:/redirect $BARE \
             | grep -q response_type=code && echo to a browser || echo nowhere
                oidc-agent -k > /dev/null
            }
            sent --no-scheme; sent",
            0,
            &["nowhere\nto a browser"],
        ),
        Run("$NAMES/oidc-agent --no-scheme", 0, &["OIDC_SOCK=/run/iamd/oidc-agent.sock"]),
    ),
    unlike(
        AGENT,
        "`--with-group[=GROUP]`",
        "a socket for a group there; here nobody else's program gets anything",
        Run(
            "eval \"$(oidc-agent --quiet --with-group=$(id -gn))\"; ready
            stat -c %a $(dirname $OIDC_SOCK)",
            0,
            &["2770"],
        ),
        Run(
            "$NAMES/oidc-agent --with-group >&2 && exit 99; stat -c %a /run/iamd/users/$UID/bt_u$UID",
            0,
            &["another user of your tokens would act in your name", "600"],
        ),
    ),
    left(
        AGENT,
        "`--restart-on-update` (5)",
        "5",
        Root(
            "before=$(systemctl show iamd -P MainPID); systemctl restart iamd
            [ \"$before\" != \"$(systemctl show iamd -P MainPID)\" ] && runuser -u $WALKER iamctl token cms",
            0,
            &["<token of "],
        ),
    ),
    same(
        AGENT,
        "`--seccomp` (4.2)",
        &["2"],
        "eval \"$(oidc-agent --quiet --seccomp)\"; ready; awk '/^Seccomp:/ {print $2}' /proc/$OIDCD_PID/status",
        "awk '/^Seccomp:/ {print $2}' /proc/$(systemctl show iamd -P MainPID)/status",
    ),
    // ---- accounts
    unlike(
        GEN,
        "`--redirect-uri=URI`, `--redirect-url=URI`, `--port=N`",
        "the device flow redirects nobody",
        Run(
            "code_flow --no-url-call --no-webserver --no-scheme --redirect-uri=http://localhost:4343 $BARE \
             | redirect",
            0,
            &["redirect_uri=http://localhost:4343"],
        ),
        Run(
            "iamctl account show given | grep 'Redirects to'",
            0,
            &["nowhere: the device login needs no redirect URI"],
        ),
    ),
    left(
        GEN,
        "`--mytoken-url`, `--mytoken-issuer[=URL]`, `--mytoken`, `--mytoken-profile=P` (5)",
        "5",
        Run(
            "$NAMES/oidc-gen my --mytoken-issuer=https://mytoken.test && exit 99
            $NAMES/oidc-gen my --mytoken=web-default && exit 99; iamctl account list >&2 && exit 7",
            7,
            &["mytoken keeps refresh tokens on a server; here the daemon does"],
        ),
    ),
    alike(
        GEN,
        "`-w`, `--flow=device`",
        SignIn(
            "oidc-gen device $SITE --scope=\"$SCOPES\" -w device $GEN >&2 && oidc-token device",
            &["Everything setup correctly", "<token of "],
        ),
        SignIn(
            "iamctl account add device --issuer test --client-id site --client-secret-fd 3 -s openid \
             -s offline_access -s storage.read:/ --no-login 3<<<site-secret >&2
            iamctl login device >&2 && iamctl token device",
            &["<token of "],
        ),
    ),
    unlike(
        GEN,
        "`--no-url-call`",
        "no browser is ever opened",
        Run(
            "export OPENED=~/opened-by-theirs
            opens() {
                code_flow --no-webserver --no-scheme $1 $GEN >&2
                [ -e $OPENED ] && echo opened || echo not opened; rm -f $OPENED
            }
            opens; opens --no-url-call",
            0,
            &["opened\nnot opened"],
        ),
        Run(
            "export OPENED=~/opened-by-ours
            iamctl account add opens --issuer test --no-login >&2
            iamctl login opens --no-wait >&2; [ -e $OPENED ] && exit 99
            iamctl account remove opens --yes >&2; echo never",
            0,
            &["never"],
        ),
    ),
    left(
        GEN,
        "`--codeExchange=URI` (browser)",
        "browser",
        Run(
            "$NAMES/oidc-gen --codeExchange='http://localhost:4242/?code=none&state=none'",
            1,
            &["it belongs to the code flow, which needs a browser on the node"],
        ),
    ),
    unlike(
        GEN,
        "`--no-webserver`, `--no-scheme`",
        "taken without a word: nothing listens here, and nothing is redirected",
        Run(
            "code_flow --no-url-call --no-webserver --no-scheme $GEN | redirect
            ss -Htln 'sport = :4242' | grep -q 4242 || echo no web server",
            0,
            &["http://localhost:4242", "no web server"],
        ),
        Run("$NAMES/oidc-gen --no-webserver --no-scheme -l | grep -x cms", 0, &["cms"]),
    ),
    unlike(
        GEN,
        "`--seccomp` (4.2)",
        "its filter ends it: Debian's C library calls what the list does not have",
        Run("oidc-gen --seccomp -l", 159, &["Bad system call"]),
        Run("$NAMES/oidc-gen --seccomp -l | grep -x cms", 0, &["cms"]),
    ),
    unlike(
        GEN,
        "`--state=STATE`",
        "belongs to the code flow",
        Run("timeout 60 oidc-gen --state=none $GEN 2>&1 < /dev/null", 1, &["wrong state"]),
        Run(
            "$NAMES/oidc-gen --state=none",
            1,
            &["it belongs to the code flow, which needs a browser on the node"],
        ),
    ),
    // ---- loading
    left(
        ADD,
        "`oidc-add https://ISSUER` (5)",
        "5",
        Run("$NAMES/oidc-add $ISS && $NAMES/oidc-add -a | grep -x cms", 0, &["success", "cms"]),
    ),
    left(
        ADD,
        "`--skip-check` (5)",
        "5",
        Run("$NAMES/oidc-add cms --skip-check && iamctl doctor | grep 'account cms'", 0, &["success"]),
    ),
    unlike(
        ADD,
        "`--seccomp` (4.2)",
        "its filter ends it: Debian's C library calls what the list does not have",
        Run("oidc-add --seccomp -l", 159, &["Bad system call"]),
        Run("$NAMES/oidc-add --seccomp -l | grep -x cms", 0, &["cms"]),
    ),
    unlike(
        ADD,
        "`--remote`",
        "the daemon of the node is asked, and no other",
        Run(
            "relay.py > ~/relay & relay=$!; for _ in $(seq 300); do grep -q there ~/relay && break; sleep 0.1; done
            env -u OIDC_SOCK OIDC_REMOTE_SOCK=127.0.0.1:42424 oidc-add --remote -a | grep -x cms
            code=$?; kill $relay; exit $code",
            0,
            &["cms"],
        ),
        Run(
            "$NAMES/oidc-add --remote -a",
            1,
            &["iamctl speaks to the daemon of the node it runs on"],
        ),
    ),
    // ---- tokens
    unlike(
        TOKEN,
        "`--seccomp` (4.2)",
        "its filter ends it: Debian's C library calls what the list does not have",
        Run("oidc-token --seccomp cms", 159, &["Bad system call"]),
        Run("$NAMES/oidc-token -v --verbose -g --debug --seccomp cms", 0, &["<token of "]),
    ),
    left(
        TOKEN,
        "`-m`, `--mytoken[=PROFILE]`, `--MT[=PROFILE]` (5)",
        "5",
        Run(
            "$NAMES/oidc-token --mytoken cms && exit 99; iamctl token cms -s storage.read:/atlas",
            0,
            &["iamd issues no mytokens", "storage.read:/atlas>"],
        ),
    ),
    // ---- the programs around it
    left(
        AROUND,
        "`oidc-tokensh -v`, `--verbose`, `--renewer` (5)",
        "5",
        Run(
            "$NAMES/oidc-tokensh --renewer --oidc cms -- true && exit 99
            $NAMES/oidc-tokensh -v --oidc cms -- sh -c 'cat $BEARER_TOKEN_FILE'",
            0,
            &["the daemon renews", "<token of "],
        ),
    ),
    left(
        AROUND,
        "`oidc-prompt password|input|confirm|confirm-default-yes|confirm-default-no|multiple|select|select-other|link|mytoken-confirm` (5) (display)",
        "display",
        Run(
            "iamctl account add asked --issuer test --no-login >&2
            typing n 'iamctl account remove asked'
            iamctl account list --json | jq -r '.accounts[].name' | grep -x asked
            typing y 'iamctl account remove asked' > /dev/null
            iamctl account list --json | jq -r '.accounts[].name' | grep -x asked || echo gone",
            0,
            &["Remove the account", "asked", "gone"],
        ),
    ),
    // ---- configuration of the user's
    left(
        FILES,
        "`bind_address`, `group`, `confirm`, `always_allow_id_token`, `skip-check` in `config` (5)",
        "5",
        Run(
            "for option in --bind-address=$HOME/agent.sock --with-group --confirm; do
                $NAMES/oidc-agent $option && exit 99
            done; $NAMES/oidc-agent --always-allow-idtoken && $NAMES/oidc-add cms --skip-check",
            0,
            &["asked at one place by all", "would act in your name", "asked about each use", "success"],
        ),
    ),
    left(
        FILES,
        "`webserver`, `custom-uri-scheme`, `auto-open-url` in `config` (5)",
        "5",
        Run(
            "export OPENED=~/opened-by-ours; $NAMES/oidc-agent --no-webserver --no-scheme
            $NAMES/oidc-gen --no-url-call --no-webserver --no-scheme -l | grep -x cms
            [ -e $OPENED ] || echo no browser was opened",
            0,
            &["cms", "no browser was opened"],
        ),
    ),
    left(
        FILES,
        "`default_mytoken_server`, `default_mytoken_profile`, `prefer_mytoken_over_oidc` in `config` (5)",
        "5",
        Run(
            "$NAMES/oidc-gen my --mytoken-profile=web-default && exit 99; $NAMES/oidc-token --MT cms",
            1,
            &["here the daemon does", "iamd issues no mytokens"],
        ),
    ),
    alike(
        FILES,
        "`lifetime`, `store-pw` in `config` (5)",
        Left("5"),
        Run(
            "$NAMES/oidc-agent --lifetime=60 && $NAMES/oidc-add cms --pw-store",
            0,
            &["iamctl account unlock --for TIME", "success"],
        ),
    ),
];
