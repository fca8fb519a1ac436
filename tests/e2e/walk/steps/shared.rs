//! What programs and shells have of oidc-agent, and of iamd in its place: sockets, libraries,
//! variables, directories, services.

use super::Act::{Left, Root, Run};
use super::{ADD, AROUND, FILES, Step, alike, left, same, unlike};

pub(super) const STEPS: &[Step] = &[
    same(
        ADD,
        "`--always-allow-idtoken`",
        &["for the client"],
        "eval \"$(oidc-agent --quiet)\"; ready; oidc-add cms --always-allow-idtoken --pw-env >&2
            oidc-token --id-token cms | claim aud | grep -qx \"$(oidc-gen -p cms --pw-env | jq -r .client_id)\" \
         && echo for the client",
        "export OIDC_SOCK=$OURS; python3 -c '
import json, os, socket
agent = socket.socket(socket.AF_UNIX)
agent.connect(os.environ[\"OIDC_SOCK\"])
asked = {\"request\": \"id_token\", \"account\": \"cms\", \"application_hint\": \"oidc-token\"}
agent.sendall(json.dumps(asked).encode())
print(json.loads(agent.makefile().read())[\"id_token\"])' \
         | claim aud | grep -qx \"$(iamctl account show cms --json | jq -r .account.client_id)\" \
         && echo for the client",
    ),
    // The same library and the same lines; only the socket is another.
    same(
        AROUND,
        "`liboidc-agent`, `liboidcagent` for Python and Go",
        &["in C: <token of ", "in Python: <token of "],
        "python3 -c \"$IN_C\"; PYTHONPATH=/opt/readers python3 -c \"$IN_PYTHON\"",
        "export OIDC_SOCK=$OURS; python3 -c \"$IN_C\"; PYTHONPATH=/opt/readers python3 -c \"$IN_PYTHON\"",
    ),
    unlike(
        FILES,
        "`OIDC_SOCK`, `OIDCD_PID`, `OIDCD_PID_FILE`, `OIDC_REMOTE_SOCK`",
        "without them, or with wrong ones, there is no agent; iamctl asks the daemon of the node",
        Run(
            "oidc-token cms; env OIDC_SOCK=/nowhere OIDCD_PID=1 oidc-token cms",
            1,
            &["<token of ", "did not receive any response"],
        ),
        Run(
            "env OIDC_SOCK=/nowhere OIDCD_PID=1 OIDCD_PID_FILE=/nowhere OIDC_REMOTE_SOCK=nowhere.test \
             iamctl token cms",
            0,
            &["<token of "],
        ),
    ),
    unlike(
        FILES,
        "`OIDC_CONFIG_DIR`, `~/.config/oidc-agent/`, `~/.oidc-agent/`",
        "accounts are the daemon's; a directory of oidc-agent's is read when it is taken over",
        Run(
            "mkdir -p ~/elsewhere; cp ~/.oidc-agent/cms ~/elsewhere/alone; export OIDC_CONFIG_DIR=~/elsewhere
            oidc-gen -l | grep -x alone; oidc-gen -l | grep -x cms || echo and nothing else",
            0,
            &["alone", "and nothing else"],
        ),
        Run(
            "mkdir -p ~/elsewhere2; cp ~/.oidc-agent/given ~/elsewhere2/moved; export OIDC_CONFIG_DIR=~/elsewhere2
            iamctl account import oidc-agent --dry-run --password-fd 3 3<<<walk-walk 2>&1 | grep moved
            iamctl account list --json | jq -r '.accounts[].name' | grep -x cms",
            0,
            &["moved", "cms"],
        ),
    ),
    unlike(
        FILES,
        "`OIDC_USER_CONFIG`, `HOME`, `TMPDIR`, `DISPLAY`",
        "its accounts are files below HOME; ours needs none of these variables",
        Run(
            "oidc-gen -l | grep -x cms; env HOME=/nonexistent oidc-gen -l | grep -x cms || echo none",
            0,
            &["cms", "none"],
        ),
        Run(
            "env -i HOME=/nonexistent TMPDIR=/nonexistent DISPLAY=:9 OIDC_USER_CONFIG=/nonexistent \
             /usr/bin/iamctl token cms",
            0,
            &["<token of "],
        ),
    ),
    unlike(
        FILES,
        "`oidc-agent-service.options`: `OIDC_AGENT`, `OIDC_AGENT_OPTS`, `OIDC_AGENT_RESTART_WITH_SAME_OPTS`, `START_AGENT_WITH_XSESSION`; the Xsession hook; `tmpfiles.d/oidc-agent.conf`",
        "each user's agent there; here one daemon that the node starts",
        Run(
            "unset OIDC_SOCK OIDCD_PID; echo 'OIDC_AGENT_OPTS=\"--lifetime=7777\"' \
             > ~/.oidc-agent/oidc-agent-service.options
            eval \"$(oidc-agent-service use)\" >&2; tr '\\0' ' ' < /proc/$OIDCD_PID/cmdline
            rm ~/.oidc-agent/oidc-agent-service.options; oidc-agent-service stop >&2; unset OIDCD_PID",
            0,
            &["7777"],
        ),
        Run(
            "$NAMES/oidc-agent-service use; systemctl is-active iamd",
            0,
            &["OIDC_SOCK=/run/iamd/oidc-agent.sock", "active"],
        ),
    ),
    unlike(
        FILES,
        "`privileges/` (4.2)",
        "lists of system calls that the user may change there; here the unit's",
        Run("cat /etc/oidc-agent/privileges/*", 0, &["write"]),
        Run("systemctl show iamd -P SystemCallFilter", 0, &["write"]),
    ),
    left(
        FILES,
        "`stats_collect_local`, `stats_collect_share`, `stats_collect_location` in `config`, `oidc-agent.stats` (5)",
        "5",
        Run(
            "export HOME=$(mktemp -d); iamctl token cms > /dev/null; iamctl status > /dev/null
            [ -z \"$(ls -A $HOME)\" ] && echo nothing is written down; rmdir $HOME",
            0,
            &["nothing is written down"],
        ),
    ),
    left(
        FILES,
        "`prompt`, `pw-prompt`, `answer-confirm-prompts`, `default_gpg_key` in `config` (5)",
        "5",
        Run(
            "has() { iamctl account list --json | jq -r '.accounts[].name' | grep -qx unasked; }
            iamctl account add unasked --issuer test --no-login >&2
            iamctl account remove unasked < /dev/null; has && echo still there
            iamctl account remove unasked --yes < /dev/null; has || echo gone",
            0,
            &["--yes", "still there", "gone"],
        ),
    ),
    left(
        FILES,
        "`auto-gen`, `auto-gen-scope-mode`, `autoload`, `auto-reauthenticate` in `config` (5)",
        "5",
        Run(
            "iamctl account add fresh --issuer test --no-login >&2; timeout 20 iamctl token fresh
            code=$?; begun=$(iamctl status --json | jq '[.logins[] | select(.account == \"fresh\")] | length')
            echo \"sign-ins begun: $begun\"
            iamctl account remove fresh --yes >&2; exit $code",
            3,
            &["iamctl login fresh", "sign-ins begun: 0"],
        ),
    ),
    alike(
        FILES,
        "`cert_path`, also spelt `cert-path`, `debug_logging` in `config` (5)",
        Left("5"),
        Root(
            "runuser -u $WALKER -- iamctl account show cms --json | jq .account.ca_file
            journalctl -u iamd -o cat | grep -q . && echo a log for administrators",
            0,
            &["null", "a log for administrators"],
        ),
    ),
];
