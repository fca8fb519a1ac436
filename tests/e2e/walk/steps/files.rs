//! What oidc-agent's users have in files and variables.

use super::Act::Run;
use super::{FILES, Step, left, same};

pub(super) const STEPS: &[Step] = &[
    same(
        FILES,
        "`issuer.config`, `issuer.config.d/` (5)",
        &["https://walk.test/"],
        "cut -d' ' -f1 ~/.oidc-agent/issuer.config | grep -x \"$ISS\"",
        "iamctl issuer list --json | jq -r '.issuers[] | select(.name == \"test\").url'",
    ),
    left(
        FILES,
        "`NO_COLOR`, `OIDC_AGENT_NOCOLOR` (5)",
        "5",
        Run(
            "colours() { script -qec \"$1\" /dev/null | grep -c $'\\033'; }
            [ \"$(colours 'iamctl status')\" = 0 ] && unset NO_COLOR \
             && [ \"$(TERM=xterm colours 'iamctl status')\" != 0 ]",
            0,
            &[],
        ),
    ),
    left(
        FILES,
        "`legacy_aud_mode` (5)",
        "5",
        Run(
            "iamctl doctor | grep 'issuer test'; iamctl token cms --aud https://se.example.org",
            0,
            &["audiences by `audience`", "for https://se.example.org:"],
        ),
    ),
];
