//! The agent of oidc-agent: it is started, asked and ended by its user. Ours is there.

use super::Act::Run;
use super::{AGENT, Step, gone, left, unlike};

pub(super) const STEPS: &[Step] = &[
    unlike(
        AGENT,
        "`eval $(oidc-agent)`",
        "nothing is started, nothing has to be in the environment",
        Run(
            r#"echo "$(oidc-agent)" > ~/agent; cat ~/agent; . ~/agent > /dev/null; ready"#,
            0,
            &["export OIDC_SOCK", "export OIDCD_PID"],
        ),
        Run(
            "env -i /usr/bin/iamctl issuer list --json | jq -r '.issuers[].name' | grep -x test",
            0,
            &["test"],
        ),
    ),
    gone(
        AGENT,
        "`-k`, `--kill`",
        Run(
            r#"eval "$(oidc-agent --quiet)"; ready; oidc-agent -k; oidc-add -a"#,
            1,
            &["killed", "Could not connect"],
        ),
    ),
    gone(
        AGENT,
        "`--json`, `--quiet`",
        Run(
            r#"agent=$(oidc-agent --json); jq -r 'keys[]' <<< "$agent"
            export OIDC_SOCK=$(jq -r .socket <<< "$agent") OIDCD_PID=$(jq -r .dpid <<< "$agent")
            oidc-agent -k > /dev/null; unset OIDCD_PID
            eval "$(oidc-agent --quiet)""#,
            0,
            &["dpid", "socket"],
        ),
    ),
    gone(
        AGENT,
        "`-a`, `--socket-path=PATH`, `--bind-address` (5), `--bind_address` (4.2)",
        Run(
            r#"eval "$(oidc-agent --quiet -a ~/sockets/XXXXXX/agent)"; ready; echo "$OIDC_SOCK"; oidc-add -a"#,
            0,
            &["/sockets/", "currently loaded"],
        ),
    ),
    gone(
        AGENT,
        "`-d`, `--console`, `-g`, `--debug`, `--log-stderr`",
        Run(
            "oidc-agent -d -g --log-stderr > ~/log 2>&1 &
            for _ in $(seq 300); do grep -q DEBUG ~/log && break; sleep 0.1; done
            head -n 1 ~/log; kill $!",
            0,
            &["DEBUG"],
        ),
    ),
    left(
        AGENT,
        "`--pid-file=PATH` (5)",
        "5",
        Run(
            "systemctl show iamd -P MainPID | grep '^[1-9]' >&2 && echo a process",
            0,
            &["a process"],
        ),
    ),
];
