//! Passphrases, and accounts that are there for a while.

use super::Act::{Left, Run};
use super::{ADD, AGENT, FILES, GEN, Step, alike, gone, left, same};

pub(super) const STEPS: &[Step] = &[
    same(
        GEN,
        "`--pw-cmd=CMD`, `--pw-env[=VAR]`, `--pw-file=FILE`",
        &["cmd", "env", "file"],
        "echo walk-walk > ~/pw; export PW=walk-walk
            for way in \"cmd=echo walk-walk\" env=PW file=$HOME/pw; do
                oidc-gen -p cms \"--pw-$way\" > /dev/null && echo \"${way%%=*}\"
            done",
        "echo walk-walk > ~/pw; PW=walk-walk
            iamctl account passphrase cms --new-passphrase-fd 3 3< <(echo walk-walk) >&2 && echo cmd
            iamctl account lock cms >&2
            iamctl account unlock cms --passphrase-fd 3 3<<<\"$PW\" >&2 && echo env
            iamctl account lock cms >&2
            iamctl account unlock cms --passphrase-fd 3 3<~/pw >&2 && echo file",
    ),
    same(
        ADD,
        "`-r`, `--remove`",
        &["<token of ", "nothing"],
        "oidc-token cms; oidc-add -r cms >&2; or_nothing oidc-token cms",
        "iamctl token cms; iamctl account lock cms >&2; or_nothing iamctl token cms",
    ),
    same(
        ADD,
        "`oidc-add NAME`",
        &["<token of "],
        "oidc-add cms --pw-env >&2 && oidc-token cms",
        "iamctl account unlock cms --passphrase-fd 3 3<<<walk-walk >&2 && iamctl token cms",
    ),
    same(
        ADD,
        "`-R`, `--remove-all`",
        &["nothing"],
        "oidc-add -R >&2; or_nothing oidc-token cms",
        "iamctl account lock --all >&2; or_nothing iamctl token cms",
    ),
    same(
        ADD,
        "`--pw-env[=VAR]`, `--pw-cmd=CMD`, `--pw-file=FILE`",
        &["<token of "],
        "export PW=walk-walk
            for way in \"cmd=echo walk-walk\" env=PW file=$HOME/pw; do
                oidc-add cms \"--pw-$way\" >&2 && oidc-token cms; oidc-add -r cms >&2
            done",
        "for way in cmd env file; do
                case $way in
                cmd) exec 3< <(echo walk-walk) ;; env) exec 3<<<walk-walk ;; file) exec 3<~/pw ;;
                esac
                iamctl account unlock cms --passphrase-fd 3 >&2 && iamctl token cms
                iamctl account lock cms >&2
            done",
    ),
    same(
        FILES,
        "`OIDC_ENCRYPTION_PW`",
        &["<token of "],
        "oidc-add cms --pw-env >&2 && oidc-token cms",
        "iamctl account unlock cms --passphrase-fd 3 3<<<\"$OIDC_ENCRYPTION_PW\" >&2 && iamctl token cms",
    ),
    same(
        GEN,
        "`--pw-prompt=cli|gui`, `--prompt=cli|gui|none`",
        &["asked on the terminal", "and not without one"],
        "typing walk-walk 'oidc-gen -p cms --pw-prompt=cli' | grep -q refresh_token \
         && echo asked on the terminal
            timeout 20 oidc-gen -p cms < /dev/null >&2 || echo and not without one",
        "iamctl account lock cms >&2
            typing walk-walk 'iamctl account unlock cms' >&2 && echo asked on the terminal
            iamctl account lock cms >&2
            timeout 20 iamctl account unlock cms < /dev/null >&2 || echo and not without one",
    ),
    same(
        ADD,
        "`--pw-prompt=cli|gui`",
        &["<token of "],
        "oidc-add -r cms >&2; typing walk-walk 'oidc-add cms --pw-prompt=cli' >&2; oidc-token cms",
        "iamctl account lock cms >&2; typing walk-walk '/usr/lib/iamd/oidc-agent/oidc-add cms --pw-prompt=cli' \
         >&2; iamctl token cms",
    ),
    // Who locks in oidc-agent gives a password for it; here it is the account's passphrase.
    same(
        ADD,
        "`-x`, `--lock`",
        &["nothing"],
        "typing lock-lock 'oidc-add -x' >&2; or_nothing oidc-token cms",
        "iamctl account lock --all >&2; or_nothing iamctl token cms",
    ),
    same(
        ADD,
        "`-X`, `--unlock`",
        &["<token of "],
        "typing lock-lock 'oidc-add -X' >&2; oidc-token cms",
        "iamctl account unlock cms --passphrase-fd 3 3<<<wrong-wrong && exit 99
            iamctl account unlock cms --passphrase-fd 3 3<<<walk-walk >&2; iamctl token cms",
    ),
    same(
        ADD,
        "`-t`, `--lifetime=SEC`",
        &["<token of ", "nothing"],
        "oidc-add -r cms >&2
            until oidc-token cms; do oidc-add -t 3 cms --pw-env >&2; done; until_nothing oidc-token cms",
        "iamctl account lock cms >&2
            until iamctl token cms; do
                iamctl account unlock cms --for 3s --passphrase-fd 3 3<<<walk-walk >&2
            done; until_nothing iamctl token cms",
    ),
    same(
        AGENT,
        "`-t`, `--lifetime=SEC`",
        &["<token of ", "nothing"],
        "eval \"$(oidc-agent --quiet -t 3)\"; ready
            until oidc-token cms; do oidc-add cms --pw-env >&2; done; until_nothing oidc-token cms",
        "until iamctl token cms; do
                iamctl account unlock cms --for 3 --passphrase-fd 3 3<<<walk-walk >&2
            done; until_nothing iamctl token cms",
    ),
    alike(
        ADD,
        "`-f`, `--force` (5)",
        Left("5"),
        Run(
            "iamctl account unlock cms --passphrase-fd 3 3<<<walk-walk >&2; iamctl token cms --force-new",
            0,
            &["<token of "],
        ),
    ),
    left(
        ADD,
        "`--pw-keyring`, `--pw-gpg`, `--pw-pgp`, `--gpg`, `--pgp` (4.2) (keyring)",
        "keyring",
        Run(
            "iamctl account lock cms >&2
            iamctl account unlock cms --passphrase-fd 3 3< <(echo walk-walk) >&2 && iamctl token cms",
            0,
            &["<token of "],
        ),
    ),
    left(
        GEN,
        "`--pw-gpg=KEY`, `--pw-pgp`, `--gpg`, `--pgp` (keyring)",
        "keyring",
        Run(
            "iamctl account lock cms >&2
            iamctl account unlock cms --passphrase-fd 3 3< <(echo walk-walk) >&2 && iamctl token cms",
            0,
            &["<token of "],
        ),
    ),
    gone(
        ADD,
        "`--pw-store[=SEC]`",
        Run("oidc-add cms --pw-env --pw-store=60", 0, &["success"]),
    ),
    gone(
        ADD,
        "`-c`, `--confirm`",
        Run(
            "oidc-add -R >&2; oidc-add -c cms --pw-env >&2; timeout 20 oidc-token cms",
            1,
            &["operation forbidden"],
        ),
    ),
    gone(
        AGENT,
        "`--pw-store` (4.2)",
        Run(
            "eval \"$(oidc-agent --quiet --pw-store=60)\"; ready; oidc-add cms --pw-env >&2 && oidc-token cms",
            0,
            &["<token of "],
        ),
    ),
    same(
        AGENT,
        "`--no-autoload`",
        &["nothing", "<token of "],
        "eval \"$(oidc-agent --quiet --no-autoload)\"; ready; or_nothing oidc-token cms
            oidc-add cms --pw-env >&2; oidc-token cms",
        "iamctl account lock cms >&2; or_nothing iamctl token cms
            iamctl account passphrase cms --remove --passphrase-fd 3 3<<<walk-walk >&2; iamctl token cms",
    ),
];
