//! Passphrases, how things stand, and the programs around it.

use super::Act::{Nothing, Run, SignIn};
use super::{ADD, AGENT, AROUND, FILES, GEN, Step, step};

pub(super) const STEPS: &[Step] = &[
    // ---- passphrases
    step(
        GEN,
        "`--pw-cmd=CMD`, `--pw-env[=VAR]`, `--pw-file=FILE`",
        Run("oidc-gen -p cms --pw-cmd='echo walk-walk'", 0, &["\"client_id\""]),
        Run(
            "iamctl account passphrase cms --new-passphrase-fd 3 3< <(echo walk-walk)",
            0,
            &["cms"],
        ),
    ),
    step(
        ADD,
        "`-r`, `--remove`",
        Run("oidc-add -r cms && oidc-add -a", 0, &["success"]),
        Run("iamctl account lock cms && iamctl token cms", 3, &["cms", "unlock"]),
    ),
    step(
        ADD,
        "`-X`, `--unlock`",
        Nothing,
        Run(
            "iamctl account unlock cms --passphrase-fd 3 3<<<wrong-wrong && exit 99; \
             iamctl account unlock cms --passphrase-fd 3 3<<<walk-walk && iamctl token cms",
            0,
            &["eyJ"],
        ),
    ),
    step(
        ADD,
        "`-t`, `--lifetime=SEC`",
        Run("oidc-add -t 2 cms --pw-env && oidc-add -a && sleep 3 && oidc-add -a", 0, &["cms"]),
        Run(
            "iamctl account unlock cms --for 2s --passphrase-fd 3 3<<<walk-walk && iamctl token cms \
             > /dev/null && sleep 3 && iamctl token cms",
            3,
            &["unlock"],
        ),
    ),
    step(
        ADD,
        "`-R`, `--remove-all`",
        Run("oidc-add -R && oidc-add -a", 0, &[]),
        Run("iamctl account lock --all && iamctl account list", 0, &["locked"]),
    ),
    step(
        ADD,
        "`-x`, `--lock`",
        // Asks for a password on a terminal.
        Nothing,
        Run("iamctl account lock --all && iamctl token cms", 3, &["unlock"]),
    ),
    step(
        ADD,
        "`--pw-env[=VAR]`, `--pw-cmd=CMD`, `--pw-file=FILE`",
        Run("oidc-add cms --pw-env && oidc-add -a", 0, &["cms"]),
        Run(
            "echo walk-walk > ~/pw && iamctl account unlock cms --passphrase-fd 3 3<~/pw; rm ~/pw; \
             iamctl token cms",
            0,
            &["eyJ"],
        ),
    ),
    step(
        ADD,
        "`--pw-keyring`, `--pw-gpg`, `--pw-pgp`, `--gpg`, `--pgp` (4.2)",
        Nothing,
        Run("iamctl account unlock cms --passphrase-fd 3 3< <(echo walk-walk)", 0, &[]),
    ),
    step(
        FILES,
        "`OIDC_ENCRYPTION_PW`",
        Nothing,
        Run("iamctl account unlock cms --passphrase-fd 3 3<<<\"$OIDC_ENCRYPTION_PW\"", 0, &[]),
    ),
    step(
        AGENT,
        "`-t`, `--lifetime=SEC`",
        Nothing,
        Run(
            "iamctl account unlock cms --for 8h --passphrase-fd 3 3<<<walk-walk \
             && iamctl account show cms",
            0,
            &["cms"],
        ),
    ),
    step(
        AGENT,
        "`--no-autoload`",
        Nothing,
        Run(
            "iamctl account lock cms; iamctl token cms && exit 99; \
             iamctl account passphrase cms --remove --passphrase-fd 3 3<<<walk-walk \
             && iamctl token cms",
            0,
            &["eyJ"],
        ),
    ),
    // ---- how things stand
    step(
        ADD,
        "`-l`, `--list`",
        Run("oidc-add -l", 0, &["cms"]),
        Run("iamctl account list", 0, &["cms"]),
    ),
    step(
        ADD,
        "`-a`, `--loaded`",
        Run("oidc-add -a", 0, &["cms"]),
        Run("iamctl account list", 0, &["signed in"]),
    ),
    step(
        ADD,
        "`-p`, `--print`",
        Run("oidc-add -p cms --pw-env", 0, &["\"client_id\""]),
        Run("iamctl account show cms", 0, &["Client"]),
    ),
    step(
        ADD,
        "`-v`, `--verbose`, `-g`, `--debug`",
        Run("oidc-add -g -l 2>&1", 0, &["cms"]),
        Run("iamctl doctor; true", 0, &["issuer", "account cms"]),
    ),
    step(ADD, "`-f`, `--force`", Nothing, Run("iamctl token cms --force-new", 0, &["eyJ"])),
    step(
        AGENT,
        "`--status`, `--status --json`",
        Nothing,
        Run("iamctl status && iamctl status --json", 0, &["signed in", "\"accounts\""]),
    ),
    step(
        AGENT,
        "`--no-autoreauthenticate`, `--no-auto-reauthenticate`",
        Nothing,
        Run(
            "iamctl login --off && iamctl status && iamctl login --on",
            0,
            &["notice at login off"],
        ),
    ),
    // ---- around it
    step(
        AGENT,
        "`oidc-agent COMMAND`",
        Nothing,
        Run("iamctl run -- sh -c 'cut -c1-3 $BEARER_TOKEN_FILE; exit 7'", 7, &["eyJ"]),
    ),
    step(
        AROUND,
        "`oidc-tokensh --oidc NAME -- CMD`",
        Nothing,
        Run("iamctl run --account cms -- sh -c 'stat -c %a $BEARER_TOKEN_FILE'", 0, &["600"]),
    ),
    step(
        AROUND,
        "`oidc-tokensh --minsecs N`",
        Nothing,
        Run("iamctl run --min-valid 600 -- true && iamctl run --min-valid 7200 -- true", 6, &[]),
    ),
    step(
        AROUND,
        "`oidc-tokensh -o FILE`",
        Nothing,
        Run(
            "iamctl token cms --outfile ~/token && stat -c %a ~/token && cut -c1-3 ~/token; rm ~/token",
            0,
            &["600", "eyJ"],
        ),
    ),
    step(
        AROUND,
        "`get-access-token.sh` of INDIGO IAM",
        Nothing,
        SignIn(
            "export IAM_CLIENT_ID=site IAM_CLIENT_SECRET=site-secret IAM_ENDPOINT=${ISS}token; \
             iamctl account add script --from-env && iamctl token script > /dev/null",
            &["IAM_CLIENT_SECRET"],
        ),
    ),
    step(
        AROUND,
        "the device code script of INDIGO IAM",
        Nothing,
        SignIn(
            "export IAM_DEVICE_CODE_CLIENT_ID=site IAM_DEVICE_CODE_CLIENT_SECRET=site-secret \
             IAM_DEVICE_CODE_ENDPOINT=${ISS}devicecode IAM_TOKEN_ENDPOINT=${ISS}token \
             IAM_DEVICE_CODE_CLIENT_SCOPES='openid profile offline_access'; \
             iamctl account add script2 --from-env && iamctl token script2 > /dev/null",
            &["IAM_DEVICE_CODE_CLIENT_ID"],
        ),
    ),
    // ---- the end
    step(
        GEN,
        "`--confirm-default`, `--confirm-yes`, `--confirm-no`",
        Nothing,
        Run(
            "iamctl account remove script && exit 99; iamctl account remove script --yes",
            0,
            &["--yes"],
        ),
    ),
    step(
        GEN,
        "`-d`, `--delete`",
        Run(
            "oidc-gen -d cms --pw-env --confirm-yes; oidc-agent -k > /dev/null",
            0,
            &["Successfully"],
        ),
        Run("iamctl account remove cms --yes && iamctl token cms", 1, &["no account “cms”"]),
    ),
];
