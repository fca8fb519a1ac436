//! Refresh tokens that one has already, and what else an account can begin with.

use super::Act::Run;
use super::{AGENT, FILES, GEN, Step, gone, same, unlike};

pub(super) const STEPS: &[Step] = &[
    same(
        GEN,
        "`--rt`, `--refresh-token=RT`",
        &["<token of "],
        "oidc-gen taken $OTHER --scope=\"$SCOPES\" --rt=$(rt) $GEN >&2 && oidc-token taken",
        "iamctl account add taken --issuer test --client-id site-password --client-secret-fd 3 \
         -s openid -s offline_access -s storage.read:/ --refresh-token-fd 4 \
         3<<<site-secret 4< <(rt) >&2 && iamctl token taken",
    ),
    same(
        GEN,
        "`--rt-env`, `--refresh-token-env[=VAR]`",
        &["<token of "],
        "export RT=$(rt); oidc-gen from-env $OTHER --scope=\"$SCOPES\" --rt-env=RT $GEN >&2 \
         && oidc-token from-env",
        "RT=$(rt); iamctl account add from-env --issuer test --client-id site-password \
         -s openid -s offline_access -s storage.read:/ --client-secret-fd 3 --refresh-token-fd 4 \
         3<<<site-secret 4<<<\"$RT\" >&2 && iamctl token from-env",
    ),
    same(
        GEN,
        "`-w`, `--flow=refresh`",
        &["<token of "],
        "oidc-gen refresh $OTHER --scope=\"$SCOPES\" -w refresh --rt=$(rt) $GEN >&2 && oidc-token -f refresh",
        "iamctl account add refresh --issuer test --client-id site-password --client-secret-fd 3 \
         -s openid -s offline_access -s storage.read:/ --refresh-token-fd 4 \
         3<<<site-secret 4< <(rt) >&2 && iamctl token refresh --force-new",
    ),
    unlike(
        FILES,
        "`OIDC_REFRESH_TOKEN`",
        "a dead one makes no account on either side; the exit code says what to do",
        Run(
            "export OIDC_REFRESH_TOKEN=dead; timeout 30 oidc-gen dead $OTHER --scope=\"$SCOPES\" --rt-env $GEN
            code=$?; oidc-gen -l | grep -x dead && exit 99; exit $code",
            1,
            &["efresh token"],
        ),
        Run(
            "OIDC_REFRESH_TOKEN=dead; iamctl account add dead --issuer test --client-id site-password \
             --client-secret-fd 3 --refresh-token-fd 4 3<<<site-secret 4<<<\"$OIDC_REFRESH_TOKEN\"
            code=$?; iamctl account list --json | jq -r '.accounts[].name' | grep -x dead && exit 99
            exit $code",
            3,
            &["refresh token"],
        ),
    ),
    same(
        GEN,
        "`--only-at`",
        &["<token of "],
        "oidc-gen only --only-at $OTHER --scope=\"$SCOPES\" --rt=$(rt) $GEN",
        "iamctl token taken",
    ),
    same(
        GEN,
        "`--no-save`",
        &["<token of ", "not kept"],
        "oidc-gen unsaved --no-save $OTHER --scope=\"$SCOPES\" --rt=$(rt) $GEN >&2 && oidc-token unsaved
            oidc-gen -l | grep -x unsaved || echo not kept",
        "iamctl token taken && iamctl account remove taken --yes >&2
            iamctl account list --json | jq -r '.accounts[].name' | grep -x taken || echo not kept",
    ),
    gone(
        GEN,
        "`--op-username`, `--op-password`",
        Run(
            "oidc-gen password --client-id=site-password --client-secret=site-secret -w password \
             --op-username=$USER --op-password=$USER-pw --scope=\"$SCOPES\" $GEN >&2 && oidc-token password",
            0,
            &["<token of "],
        ),
    ),
    // Prints where a browser has to go, and waits for nothing.
    gone(
        GEN,
        "`-w`, `--flow=code` (browser)",
        Run(
            "timeout 20 oidc-gen code $SITE --scope=\"$SCOPES\" -w code --no-url-call --no-webserver \
             --no-scheme $GEN < /dev/null",
            0,
            &["response_type=code", "Browser"],
        ),
    ),
    gone(
        GEN,
        "`--dae`, `--device-authorization-endpoint=URI`",
        Run(
            "oidc-gen dae $OTHER --dae=${ISS}devicecode --scope=\"$SCOPES\" --rt=$(rt) $GEN >&2 \
             && oidc-gen -p dae --pw-env | jq -r .device_authorization_endpoint",
            0,
            &["https://walk.test/devicecode"],
        ),
    ),
    // A sign-in that has ended at the issuer. Without the option oidc-agent waits five minutes for a
    // display.
    unlike(
        AGENT,
        "`--no-autoreauthenticate`, `--no-auto-reauthenticate`",
        "both say at once what to do; ours in the exit code too, and without the token in its text",
        Run(
            "eval \"$(oidc-agent --quiet --no-autoreauthenticate)\"; ready; RT=$(rt)
            oidc-gen ended $OTHER --scope=\"$SCOPES\" --rt=$RT $GEN >&2 && revoke $RT
            timeout 20 oidc-token -f ended",
            1,
            &["oidc-gen ended --reauthenticate", "<refresh token> was not found"],
        ),
        Run(
            "iamctl login --off >&2; iamctl status | grep -q 'notice at login off' || exit 99
            iamctl login --on >&2; RT=$(rt)
            iamctl account add ended --issuer test --client-id site-password --client-secret-fd 3 \
             -s openid -s offline_access -s storage.read:/ --refresh-token-fd 4 \
             3<<<site-secret 4<<<\"$RT\" >&2 && revoke $RT
            timeout 20 iamctl token ended --force-new; code=$?
            iamctl account remove ended --yes >&2; exit $code",
            3,
            &["iamctl login ended"],
        ),
    ),
];
