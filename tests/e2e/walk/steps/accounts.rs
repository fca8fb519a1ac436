//! An account, and changes to it.

use super::Act::{Run, SignIn};
use super::{ADD, AGENT, FILES, GEN, Step, alike, gone, same, unlike};

pub(super) const STEPS: &[Step] = &[
    alike(
        GEN,
        "`oidc-gen NAME`",
        SignIn(
            "oidc-gen cms --scope=\"$SCOPES\" --flow=device $GEN >&2 && oidc-token cms",
            &["Everything setup correctly", "<token of "],
        ),
        SignIn(
            "iamctl account add cms --issuer test --own-client -s openid -s offline_access \
             -s storage.read:/ >&2 && iamctl token cms",
            &["cms", "<token of "],
        ),
    ),
    same(
        GEN,
        "`-l`, `--accounts`",
        &["cms"],
        "oidc-gen -l | grep -x cms",
        "iamctl account list --json | jq -r '.accounts[].name' | grep -x cms",
    ),
    same(
        GEN,
        "`-p`, `--print=NAME`",
        &["https://walk.test/", "offline_access openid storage.read:/", "<refresh token>"],
        r#"oidc-gen -p cms --pw-env |
            jq -r '.issuer_url, (.scope | split(" ") | sort | join(" ")), .refresh_token'"#,
        r#"iamctl account show cms --secrets --json |
            jq -r '.account.issuer, (.account.scopes | sort | join(" ")), .secrets.refresh_token'"#,
    ),
    same(
        GEN,
        "`-v`, `--verbose`",
        &["cms"],
        "oidc-gen -v -p cms --pw-env | jq -r .name",
        "iamctl account show cms --json | jq -r .account.name",
    ),
    unlike(
        GEN,
        "`-g`, `--debug`",
        "a log of the program; what is in order and what is not",
        Run("oidc-gen -g -l 2>&1", 0, &["cms"]),
        Run("iamctl doctor", 0, &["account cms: signed in", "issuer test"]),
    ),
    alike(
        GEN,
        "`--reauthenticate`",
        SignIn(
            "old=$(oidc-gen -p cms --pw-env | jq -r .refresh_token)
            oidc-gen --reauthenticate cms --flow=device $GEN >&2 || exit
            new=$(oidc-gen -p cms --pw-env | jq -r .refresh_token)
            [ \"$new\" != \"$old\" ] && echo another sign-in && oidc-token -f cms",
            &["another sign-in", "<token of "],
        ),
        SignIn(
            "old=$(iamctl account show cms --secrets --json | jq -r .secrets.refresh_token)
            iamctl login cms >&2 || exit
            new=$(iamctl account show cms --secrets --json | jq -r .secrets.refresh_token)
            [ \"$new\" != \"$old\" ] && echo another sign-in && iamctl token cms",
            &["another sign-in", "<token of "],
        ),
    ),
    same(
        GEN,
        "`--rename=NEW`",
        &["cms2"],
        "oidc-gen --rename=cms2 cms --pw-env >&2 && oidc-gen -l | grep -x 'cms2*' \
         && oidc-gen --rename=cms cms2 --pw-env >&2",
        "iamctl account rename cms cms2 >&2 \
         && iamctl account list --json | jq -r '.accounts[].name' | grep -x 'cms2*' \
         && iamctl account rename cms2 cms >&2",
    ),
    gone(
        GEN,
        "`-u`, `--update=FILE`",
        Run("oidc-gen -u cms --pw-env --confirm-yes", 0, &["Updated config file format"]),
    ),
    alike(
        GEN,
        "`--cnid`, `--client-name-identifier=ID`",
        SignIn(
            "oidc-gen named --cnid=node7 --scope=\"$SCOPES\" --flow=device $GEN >&2
            oidc-gen -p named --pw-env | jq -r .client_name",
            &["oidc-agent:named-node7"],
        ),
        Run(
            "iamctl account add named --issuer test --own-client --client-name walk --no-login >&2 \
             && iamctl account edit named --client-name oidc-agent:named-node7 >&2 \
             && iamctl account show named --json | jq -r .account.client_name",
            0,
            &["oidc-agent:named-node7"],
        ),
    ),
    same(
        FILES,
        "`default_account` of an issuer",
        &["cms's client"],
        "echo \"$ISS cms\" > ~/.oidc-agent/issuer.config; oidc-add cms --pw-env >&2; oidc-add named --pw-env >&2
            id=$(oidc-gen -p cms --pw-env | jq -r .client_id)
            [ \"$(oidc-token $ISS | claim client_id)\" = \"$id\" ] && echo \"cms's client\"
            oidc-add -r named >&2",
        "iamctl account default cms >&2; id=$(iamctl account show cms --json | jq -r .account.client_id)
            [ \"$(iamctl account list --json | jq \".accounts | length\")\" -ge 2 ] || exit 99
            [ \"$(iamctl token $ISS | claim client_id)\" = \"$id\" ] && echo \"cms's client\"",
    ),
    // ---- what is there
    same(
        ADD,
        "`-l`, `--list`",
        &["cms"],
        "oidc-add -l | grep -x cms",
        "iamctl account list --json | jq -r '.accounts[].name' | grep -x cms",
    ),
    same(
        ADD,
        "`-a`, `--loaded`",
        &["cms"],
        "oidc-add -a | grep -x cms",
        "iamctl account list --json \
         | jq -r '.accounts[] | select(.state == \"signed-in\").name' | grep -x cms",
    ),
    same(
        ADD,
        "`-p`, `--print`",
        &["cms", "https://walk.test/"],
        "oidc-add -p cms --pw-env | jq -r '.name, .issuer_url'",
        "iamctl account show cms --json | jq -r '.account | .name, .issuer'",
    ),
    unlike(
        ADD,
        "`-v`, `--verbose`, `-g`, `--debug`",
        "a log of the program; what is in order and what is not",
        Run("oidc-add -v -g -l 2>&1", 0, &["cms"]),
        Run("iamctl doctor", 0, &["account cms: signed in"]),
    ),
    same(
        AGENT,
        "`--status`, `--status --json`",
        &["cms"],
        "oidc-agent --status --json | jq -r '.loaded_accounts[]' | grep -x cms",
        "iamctl status --json \
         | jq -r '.accounts[] | select(.state == \"signed-in\").name' | grep -x cms",
    ),
];
