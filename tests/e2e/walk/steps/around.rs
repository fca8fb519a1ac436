//! The programs around oidc-agent, the scripts of INDIGO IAM, and the end of the accounts.

use super::Act::{Run, SignIn};
use super::{AGENT, AROUND, GEN, SCRIPT, Step, alike, gone, left, same, unlike};

pub(super) const STEPS: &[Step] = &[
    gone(
        AROUND,
        "`oidc-keychain`, `-k`, `--kill`, `--accounts NAME…`, options of the agent",
        Run(
            "unset OIDC_SOCK OIDCD_PID; eval \"$(oidc-keychain | grep ^OIDC)\"; oidc-add cms --pw-env >&2
            eval \"$(oidc-keychain --accounts cms)\" >&2; oidc-token cms; oidc-keychain -k >&2",
            0,
            &["<token of "],
        ),
    ),
    gone(
        AROUND,
        "`oidc-agent-service use|start|restart|restart-s|stop|kill`, `start-from-x` (5)",
        Run(
            "unset OIDC_SOCK OIDCD_PID; eval \"$(oidc-agent-service use)\" >&2
            oidc-add cms --pw-env >&2; oidc-token cms
            eval \"$(oidc-agent-service restart)\" >&2; or_nothing oidc-token cms
            oidc-agent-service stop >&2; unset OIDCD_PID",
            0,
            &["<token of ", "nothing"],
        ),
    ),
    left(
        AGENT,
        "`oidc-agent COMMAND` (5)",
        "5",
        Run("iamctl run -- sh -c 'cat $BEARER_TOKEN_FILE; exit 7'", 7, &["<token of "]),
    ),
    left(
        AROUND,
        "`oidc-tokensh --oidc NAME -- CMD` (5)",
        "5",
        Run(
            "iamctl run --account cms -- sh -c 'stat -c %a $BEARER_TOKEN_FILE; cat $BEARER_TOKEN_FILE; echo
                echo $BEARER_TOKEN_FILE > ~/place'
            place=$(cat ~/place); [ -n \"$place\" ] && ! [ -e \"$place\" ] && echo removed",
            0,
            &["600", "<token of ", "removed"],
        ),
    ),
    left(
        AROUND,
        "`oidc-tokensh --minsecs N` (5)",
        "5",
        Run("iamctl run --min-valid 600 -- true && iamctl run --min-valid 7200 -- true", 6, &["7200"]),
    ),
    left(
        AROUND,
        "`oidc-tokensh -o FILE`, `--outfile FILE` (5)",
        "5",
        Run(
            "iamctl token cms --outfile ~/token && stat -c %a ~/token && cat ~/token; rm ~/token",
            0,
            &["600", "<token of "],
        ),
    ),
    // ---- the scripts
    alike(
        SCRIPT,
        "`get-access-token.sh`: `IAM_CLIENT_ID`, `IAM_CLIENT_SECRET`, `IAM_CLIENT_SCOPES`, `IAM_ENDPOINT`, `IAM_ACCESS_TOKEN`",
        Run(
            "export IAM_CLIENT_ID=site-password IAM_CLIENT_SECRET=site-secret IAM_ENDPOINT=${ISS}token
            export IAM_USER=$USER IAM_PASSWORD=$USER-pw
            eval \"$(iam-password.sh)\"; printenv IAM_ACCESS_TOKEN",
            0,
            &["<token of "],
        ),
        SignIn(
            "export IAM_CLIENT_ID=site-password IAM_CLIENT_SECRET=site-secret IAM_ENDPOINT=${ISS}token
            export IAM_CLIENT_SCOPES='openid profile email offline_access'
            iamctl account add script --from-env >&2
            eval \"$(iamctl token script --env)\"; printenv BEARER_TOKEN",
            &["<token of "],
        ),
    ),
    alike(
        SCRIPT,
        "`dc-get-access-token.sh`: `IAM_DEVICE_CODE_CLIENT_ID`, `IAM_DEVICE_CODE_CLIENT_SECRET`, `IAM_DEVICE_CODE_CLIENT_SCOPES`, `IAM_DEVICE_CODE_ENDPOINT`, `IAM_TOKEN_ENDPOINT`",
        SignIn(
            "export IAM_DEVICE_CODE_CLIENT_ID=site IAM_DEVICE_CODE_CLIENT_SECRET=site-secret
            export IAM_DEVICE_CODE_ENDPOINT=${ISS}devicecode IAM_TOKEN_ENDPOINT=${ISS}token
            export IAM_DEVICE_CODE_CLIENT_SCOPES=$SCOPES
            eval \"$(while sleep 0.5; do echo Y; done | iam-device.sh)\"; printenv IAM_ACCESS_TOKEN",
            &["<token of "],
        ),
        SignIn(
            "export IAM_DEVICE_CODE_CLIENT_ID=site IAM_DEVICE_CODE_CLIENT_SECRET=site-secret
            export IAM_DEVICE_CODE_ENDPOINT=${ISS}devicecode IAM_TOKEN_ENDPOINT=${ISS}token
            export IAM_DEVICE_CODE_CLIENT_SCOPES=$SCOPES
            iamctl account add script2 --from-env >&2
            eval \"$(iamctl token script2 --env)\"; printenv BEARER_TOKEN",
            &["IAM_DEVICE_CODE_CLIENT_ID", "<token of "],
        ),
    ),
    alike(
        SCRIPT,
        "the same, newer: `IAM_CLIENT_AUDIENCE`",
        SignIn(
            "export IAM_DEVICE_CODE_CLIENT_ID=site IAM_DEVICE_CODE_CLIENT_SECRET=site-secret
            export IAM_DEVICE_CODE_ENDPOINT=${ISS}devicecode IAM_TOKEN_ENDPOINT=${ISS}token
            export IAM_DEVICE_CODE_CLIENT_SCOPES=$SCOPES IAM_CLIENT_AUDIENCE=https://se.example.org
            eval \"$(while sleep 0.5; do echo Y; done | iam-device.sh)\"; printenv IAM_ACCESS_TOKEN",
            &["for https://se.example.org:"],
        ),
        SignIn(
            "export IAM_DEVICE_CODE_CLIENT_ID=site IAM_DEVICE_CODE_CLIENT_SECRET=site-secret
            export IAM_TOKEN_ENDPOINT=${ISS}token IAM_DEVICE_CODE_CLIENT_SCOPES=$SCOPES
            export IAM_CLIENT_AUDIENCE=https://se.example.org
            iamctl account add script3 --from-env >&2; iamctl token script3",
            &["for https://se.example.org:"],
        ),
    ),
    same(
        SCRIPT,
        "`introspect-token.sh`: `IAM_INTROSPECTION_ENDPOINT`",
        &["storage.read:/"],
        "oidc-add given --pw-env >&2; export IAM_ACCESS_TOKEN=$(oidc-token given) IAM_INTROSPECTION_ENDPOINT=${ISS}introspect
            curl -sS -m 20 -u site:site-secret $IAM_INTROSPECTION_ENDPOINT -d token=$IAM_ACCESS_TOKEN \
         | jq -r .scope",
        "iamctl token script2 --decode 2> /dev/null | jq -r .scope",
    ),
    // ---- the end
    same(
        GEN,
        "`--confirm-default`, `--confirm-yes`, `--confirm-no`",
        &["still there", "gone"],
        "has() { oidc-gen -l | grep -qx named; }
            oidc-gen -d named --pw-env --confirm-no >&2; has && echo still there
            oidc-gen -d named --pw-env --confirm-yes >&2; has || echo gone",
        "has() { iamctl account list --json | jq -r '.accounts[].name' | grep -qx named; }
            iamctl account remove named < /dev/null >&2; has && echo still there
            iamctl account remove named --yes >&2; has || echo gone",
    ),
    unlike(
        GEN,
        "`-d`, `--delete`",
        "both end the sign-in; its client stays at the issuer, ours is deleted there",
        Run(
            "account=$(oidc-gen -p cms --pw-env)
            id=$(jq -r .client_id <<< \"$account\") secret=$(jq -r .client_secret <<< \"$account\")
            oidc-gen -d cms --pw-env --confirm-yes; oidc-gen -l | grep -x cms && exit 99
            revoked=$(curl -sS -m 20 -u \"$id:$secret\" ${ISS}introspect \
             -d token=$(jq -r .refresh_token <<< \"$account\"))
            echo \"the sign-in: $(jq -c .active <<< \"$revoked\")\"
            oidc-agent -k > /dev/null",
            0,
            &["Successfully deleted", "the sign-in: false"],
        ),
        Run(
            "secrets=$(iamctl account show cms --secrets --json | jq .secrets)
            id=$(jq -r .client_id <<< \"$secrets\") secret=$(jq -r .client_secret <<< \"$secrets\")
            iamctl account remove cms --yes
            iamctl account list --json | jq -r '.accounts[].name' | grep -x cms && exit 99
            curl -sS -m 20 -o /dev/null -w 'the client: %{http_code}\\n' -u \"$id:$secret\" \
             ${ISS}introspect -d token=$(jq -r .refresh_token <<< \"$secrets\")",
            0,
            &["the client: 401"],
        ),
    ),
];
