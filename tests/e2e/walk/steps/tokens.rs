//! Tokens.

use super::Act::Run;
use super::{AGENT, FILES, Step, TOKEN, gone, left, same, unlike};

pub(super) const STEPS: &[Step] = &[
    same(TOKEN, "`oidc-token NAME`", &["<token of "], "oidc-token cms", "iamctl token cms"),
    same(
        TOKEN,
        "`oidc-token https://ISSUER`",
        &["<token of "],
        "oidc-token $ISS && oidc-token ${ISS%/}",
        "iamctl token $ISS && iamctl token ${ISS%/}",
    ),
    unlike(
        TOKEN,
        "`-t`, `--time=SEC`",
        "it prints what there is; ours says that so much is not to be had",
        Run("oidc-token -t 600 cms && oidc-token -t 7200 cms", 0, &["<token of "]),
        Run(
            "$NAMES/oidc-token -t 7200 cms && iamctl token cms -t 600 && iamctl token cms -t 7200",
            6,
            &["<token of ", "7200"],
        ),
    ),
    same(
        TOKEN,
        "`-f`, `--force-new`",
        &["another: <token of "],
        "old=$(oidc-token cms); new=$(oidc-token -f cms); [ \"$old\" != \"$new\" ] && echo \"another: $new\"",
        "old=$(iamctl token cms); new=$(iamctl token cms --force-new)
            [ \"$old\" != \"$new\" ] && echo \"another: $new\"",
    ),
    same(
        TOKEN,
        "`-o`, `--token[=VAR]`",
        &["<token of "],
        "eval \"$(oidc-token --token=T cms)\"; echo \"$T\"",
        "T=$(iamctl token cms); echo \"$T\"",
    ),
    same(
        TOKEN,
        "`-i`, `--issuer[=VAR]`",
        &["https://walk.test/"],
        "oidc-token -i cms; eval \"$(oidc-token --issuer=I cms)\"; echo \"$I\"",
        "I=$(iamctl token cms --json | jq -r .issuer); echo \"$I\"; echo \"$I\"",
    ),
    same(
        TOKEN,
        "`-e`, `--expires-at[=VAR]`",
        &["as the token says"],
        "theirs_to_the_second; T=$(oidc-token cms); [ \"$(oidc-token -e cms)\" = \"$(claim exp <<< \"$T\")\" ] \
         && echo as the token says",
        "ours_to_the_second; T=$(iamctl token cms --json)
            [ \"$(jq .expires_at <<< \"$T\")\" = \"$(jq -r .token <<< \"$T\" | claim exp)\" ] \
         && echo as the token says",
    ),
    same(
        TOKEN,
        "`-c`, `--env`",
        &["<token of ", "https://walk.test/", "until then"],
        "theirs_to_the_second; eval \"$(oidc-token -c cms)\"; printenv OIDC_AT OIDC_ISS
            [ \"$(printenv OIDC_EXP)\" = \"$(claim exp <<< \"$OIDC_AT\")\" ] && echo until then",
        "ours_to_the_second; eval \"$(iamctl token cms --env)\"; printenv BEARER_TOKEN; T=$(iamctl token cms --json)
            jq -r .issuer <<< \"$T\"
            [ \"$(jq .expires_at <<< \"$T\")\" = \"$(claim exp <<< \"$BEARER_TOKEN\")\" ] && echo until then",
    ),
    same(
        FILES,
        "`OIDC_AT`, `OIDC_ISS`, `OIDC_EXP`",
        &["<token of ", "https://walk.test/", "until then"],
        "theirs_to_the_second; eval \"$(oidc-token --env cms)\"; echo \"$OIDC_AT\"; echo \"$OIDC_ISS\"
            [ \"$OIDC_EXP\" = \"$(claim exp <<< \"$OIDC_AT\")\" ] && echo until then",
        "ours_to_the_second; eval \"$(iamctl token cms --env)\"; echo \"$BEARER_TOKEN\"; T=$(iamctl token cms --json)
            jq -r .issuer <<< \"$T\"
            [ \"$(jq .expires_at <<< \"$T\")\" = \"$(claim exp <<< \"$BEARER_TOKEN\")\" ] && echo until then",
    ),
    same(
        TOKEN,
        "`-a`, `--all`",
        &["<token of ", "https://walk.test/", "until then"],
        "theirs_to_the_second; oidc-token -a cms | { read -r T; read -r I; read -r E; echo \"$T\"; echo \"$I\"
            [ \"$E\" = \"$(claim exp <<< \"$T\")\" ] && echo until then; }",
        "ours_to_the_second; iamctl token cms --json | jq -r '.token, .issuer, .expires_at' \
         | { read -r T; read -r I; read -r E; echo \"$T\"; echo \"$I\"
            [ \"$E\" = \"$(claim exp <<< \"$T\")\" ] && echo until then; }",
    ),
    left(
        TOKEN,
        "`--bearer` (5)",
        "5",
        Run("iamctl token cms --header", 0, &["Authorization: Bearer <token of "]),
    ),
    left(
        TOKEN,
        "`--auth-header`, `--auth` (5)",
        "5",
        Run(
            "curl -sS -m 20 -o /dev/null -w '%{http_code}\\n' -H @<(iamctl token cms --header) ${ISS}userinfo
            iamctl token cms --header",
            0,
            &["Authorization: Bearer <token of "],
        ),
    ),
    same(
        TOKEN,
        "`-s`, `--scope=S`",
        &["storage.read:/atlas>"],
        "oidc-token -s storage.read:/atlas cms",
        "iamctl token cms -s storage.read:/atlas",
    ),
    same(
        TOKEN,
        "`--aud=A`",
        &["for https://b.example.org https://se.example.org:"],
        "oidc-token --aud='https://se.example.org https://b.example.org' cms",
        "iamctl token cms --aud https://se.example.org --aud https://b.example.org",
    ),
    gone(TOKEN, "`--name=NAME`", Run("oidc-token --name=walk cms", 0, &["<token of "])),
    // ID tokens: for the client that asked, and without a display for nobody else.
    gone(
        AGENT,
        "`--always-allow-idtoken`",
        Run(
            "eval \"$(oidc-agent --quiet --always-allow-idtoken)\"; ready; oidc-add cms --pw-env >&2
            oidc-token --id-token cms | claim aud | grep -qx \"$(oidc-gen -p cms --pw-env | jq -r .client_id)\" \
             && echo for the client",
            0,
            &["for the client"],
        ),
    ),
    unlike(
        TOKEN,
        "`--id-token`",
        "there is no display to confirm it on, and here nothing to confirm: its own user asks",
        Run(
            "eval \"$(oidc-agent --quiet)\"; ready; oidc-add cms --pw-env >&2; timeout 20 oidc-token --id-token cms",
            1,
            &["operation forbidden"],
        ),
        Run(
            "$NAMES/oidc-token --id-token cms \
             | claim aud | grep -qx \"$(iamctl account show cms --json | jq -r .account.client_id)\" \
             && echo for the client",
            0,
            &["for the client"],
        ),
    ),
    gone(
        AGENT,
        "`-c`, `--confirm`",
        Run(
            "eval \"$(oidc-agent --quiet -c)\"; ready; oidc-add cms --pw-env >&2; timeout 20 oidc-token cms",
            1,
            &["operation forbidden"],
        ),
    ),
];
