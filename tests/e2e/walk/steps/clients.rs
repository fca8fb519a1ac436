//! Clients, issuers, scopes and audiences of one's own.

use super::Act::{Run, SignIn};
use super::{FILES, GEN, Step, alike, same, unlike};

pub(super) const STEPS: &[Step] = &[
    alike(
        GEN,
        "`-m`, `--manual`",
        SignIn(
            "oidc-gen given -m $SITE --scope=\"$SCOPES\" --flow=device $GEN >&2 && oidc-token given",
            &["Everything setup correctly", "<token of "],
        ),
        SignIn(
            "iamctl account add given --issuer test --client-id site --client-secret-fd 3 -s openid \
             -s offline_access -s storage.read:/ 3<<<site-secret >&2 && iamctl token given",
            &["given", "<token of "],
        ),
    ),
    same(
        GEN,
        "`--client-id=ID`",
        &["site-password"],
        "oidc-gen by-id --client-id=site-password --client-secret=site-secret --scope=\"$SCOPES\" \
         --rt=$(rt) $GEN >&2 && oidc-gen -p by-id --pw-env | jq -r .client_id",
        "iamctl account add by-id --issuer test --client-id site-password --client-secret-fd 3 \
         --no-login 3<<<site-secret >&2 && iamctl account show by-id --json | jq -r .account.client_id \
         && iamctl account remove by-id --yes >&2",
    ),
    unlike(
        GEN,
        "`--client-secret=S`",
        "everybody on the node can read an argument",
        Run(
            "oidc-gen seen --client-id=site --client-secret=seen-by-all --scope=\"$SCOPES\" \
             --flow=device $GEN > /dev/null 2>&1 < /dev/null &
            for _ in $(seq 100); do
                args=$(ps -o args= -p $!); case $args in *seen-by-all*) break ;; esac; sleep 0.1
            done
            echo \"$args\"; kill $!",
            0,
            &["--client-secret=seen-by-all"],
        ),
        Run(
            "iamctl account add seen --issuer test --client-id site --client-secret seen-by-all --no-login
            code=$?; iamctl account add seen --issuer test --client-id site --client-secret-fd 3 --no-login \
             3<<<site-secret >&2 && iamctl account remove seen --yes >&2; exit $code",
            2,
            &["--client-secret"],
        ),
    ),
    alike(
        GEN,
        "`-f`, `--file=FILE`",
        SignIn(
            "jq -n --arg iss $ISS --arg scope \"$SCOPES\" '{name: \"file\", client_id: \"site\", \
             client_secret: \"site-secret\", issuer_url: $iss, scope: $scope, \
             redirect_uris: [\"http://localhost:4242\"]}' > ~/file.json
            oidc-gen file -f ~/file.json --flow=device $GEN >&2 && oidc-token file",
            &["<token of "],
        ),
        SignIn(
            "iamctl account add file --issuer test --client-id site --client-secret-fd 3 -s openid \
             -s offline_access -s storage.read:/ 3< <(jq -rn '{client_secret: \"site-secret\"}.client_secret') \
             >&2 && iamctl token file",
            &["<token of "],
        ),
    ),
    unlike(
        GEN,
        "`--pub`",
        "4.2 sends a secret for a client that has none, and this issuer refuses that",
        SignIn(
            "echo \"site-public@$ISS@$SCOPES\" > ~/.oidc-agent/pubclients.config
            oidc-gen pub --pub --scope=\"$SCOPES\" --flow=device $GEN >&2 && exit 99; true",
            &["client_secret must be provided"],
        ),
        SignIn(
            "iamctl account add pub --issuer test --public-client >&2 && iamctl token pub -s storage.read:/",
            &["<token of "],
        ),
    ),
    same(
        GEN,
        "`--iss`, `--issuer=URL`",
        &["https://walk.test/"],
        "oidc-gen -p given --pw-env | jq -r .issuer_url",
        "iamctl account add by-url --issuer $ISS --no-login >&2 \
         && iamctl account show by-url --json | jq -r .account.issuer \
         && iamctl account remove by-url --yes >&2",
    ),
    same(
        GEN,
        "`--scope=S`",
        &[": compute.read storage.read:/>"],
        "oidc-gen scoped $OTHER --scope='openid offline_access' --scope=compute.read --scope=storage.read:/ \
         --rt=$(rt \"$SCOPES compute.read\") $GEN >&2 && oidc-token scoped",
        "iamctl account add scoped --issuer test --client-id site-password --client-secret-fd 3 \
         --refresh-token-fd 4 -s openid -s offline_access -s compute.read -s storage.read:/ \
         3<<<site-secret 4< <(rt \"$SCOPES compute.read\") >&2 && iamctl token scoped",
    ),
    unlike(
        GEN,
        "`--scope-all`, `--scope-max`",
        "no issuer lists its paths; ours takes those of the site's file too",
        SignIn(
            "oidc-gen max $SITE --scope-max --flow=device $GEN >&2
            oidc-gen -p max --pw-env | jq -r '.scope | split(\" \") | sort | join(\" \")'",
            &["compute.cancel compute.create compute.modify"],
        ),
        // It signs in, with what its client may ask for.
        SignIn(
            "iamctl account add max --issuer test -s max >&2 || exit
            iamctl account show max --json | jq -r '.account.scopes_asked | sort | join(\" \")'
            iamctl account remove max --yes >&2",
            &["storage.read:/"],
        ),
    ),
    // The issuer lets anybody register a client, and refuses a token that is none.
    alike(
        GEN,
        "`--at`, `--access-token=AT`",
        SignIn(
            "timeout 60 oidc-gen refused --at=none --scope=\"$SCOPES\" -w refresh --rt=none $GEN < /dev/null >&2
            oidc-gen -l | grep -qx refused || echo refused with a wrong one
            oidc-gen initial --at=$(oidc-token cms) --scope=\"$SCOPES\" --flow=device $GEN >&2
            oidc-gen -p initial --pw-env | jq -r '.name, .client_id != \"site-public\"'",
            &["refused with a wrong one\ninitial\ntrue"],
        ),
        SignIn(
            "iamctl account add refused --issuer test --own-client --no-login --initial-access-token-fd 3 \
             3<<<none >&2; has() { iamctl account list --json | jq -r '.accounts[].name' | grep -qx refused; }
            has || echo refused with a wrong one
            iamctl account add initial --issuer test --own-client -s openid -s offline_access \
             -s storage.read:/ --initial-access-token-fd 3 3< <(iamctl token cms) >&2
            iamctl account show initial --json | jq -r '.account | .name, .client_id != \"site-public\"'",
            &["refused with a wrong one\ninitial\ntrue"],
        ),
    ),
    unlike(
        GEN,
        "`--aud`, `--audience=A`",
        "it does not ask INDIGO IAM for it where it counts, at each renewal",
        Run(
            "oidc-gen aud $OTHER --aud=https://se.example.org --scope=\"$SCOPES\" --rt=$(rt) $GEN >&2 \
             && oidc-token aud",
            0,
            &["for https://wlcg.cern.ch/jwt/v1/any:"],
        ),
        Run(
            "iamctl account edit given --aud https://se.example.org >&2 && iamctl token given \
             && iamctl account edit given --no-aud >&2",
            0,
            &["for https://se.example.org:"],
        ),
    ),
    unlike(
        FILES,
        "`pubclient`, `pubclients.config` (4.2)",
        "who writes it: the user there, the site here",
        Run(
            "timeout 20 oidc-gen pub --pub --scope=\"$SCOPES\" --flow=device $GEN 2>&1 < /dev/null \
             | grep -m 1 'enter the code'",
            0,
            &["enter the code"],
        ),
        Run(
            "iamctl issuer show test --json | jq .issuer.public_client
            iamctl account show pub --json | jq -r .account.client_id; iamctl account remove pub --yes >&2",
            0,
            &["true", "site-public"],
        ),
    ),
];
