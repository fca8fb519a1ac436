//! Rows of the page that the walk does not walk, each with the reason. Where our side can be shown,
//! the reason says which test does.

use super::steps::{ADD, AGENT, AROUND, FILES, GEN, SCRIPT, TOKEN};
use super::table::Row;

/// A row and why nothing is run for it.
pub(super) struct NotRun {
    section: &'static str,
    pub(super) row: &'static str,
    pub(super) why: &'static str,
}

impl NotRun {
    /// Whether it is about this row.
    pub(super) fn is_of(&self, row: &Row) -> bool {
        row.section == self.section && row.theirs == self.row
    }
}

const fn not(section: &'static str, row: &'static str, why: &'static str) -> NotRun {
    NotRun { section, row, why }
}

/// All of them, in the order of the page.
pub(super) const NOT_RUN: &[NotRun] = &[
    not(AGENT, "`--no-webserver`", "a web server is started for a browser only"),
    not(AGENT, "`--no-scheme`", "what a browser is sent to needs a browser"),
    not(AGENT, "`--with-group[=GROUP]`", "a second user in one group, which the walk has not"),
    not(
        AGENT,
        "`--restart-on-update` (5)",
        "the node is not upgraded while it is walked: dist/test-install does that",
    ),
    not(
        AGENT,
        "`--seccomp` (4.2)",
        "a filter of system calls shows nothing that could be compared",
    ),
    not(
        GEN,
        "`--redirect-uri=URI`, `--redirect-url=URI`, `--port=N`",
        "belongs to the code flow, which needs a browser",
    ),
    not(
        GEN,
        "`--oauth2`, `--oauth` (5)",
        "the issuer of the walk has OpenID's document; r11 of the daemon's tests has the other",
    ),
    not(
        GEN,
        "`--mytoken-url`, `--mytoken-issuer[=URL]`, `--mytoken`, `--mytoken-profile=P` (5)",
        "needs a mytoken server",
    ),
    not(
        GEN,
        "`--cp`, `--cert-path`, `--cert-file=FILE`",
        "the site's file: the daemon's tests of TLS check an issuer by `ca`",
    ),
    not(
        GEN,
        "`--configuration-endpoint=URI`, `--config-endpoint`, `--discovery-endpoint=URI` (5)",
        "the site's file: the daemon's tests of discovery (r14)",
    ),
    not(GEN, "`-w`, `--flow=device`", "each sign-in of the walk is one"),
    not(
        GEN,
        "`-w`, `--flow=password`",
        "an administrator has to allow it first: e2e password_flow",
    ),
    not(GEN, "`--no-url-call`", "no browser is there that could be called"),
    not(
        GEN,
        "`--pw-prompt=cli|gui`, `--prompt=cli|gui|none`",
        "a question on a terminal: cli/tests/prompts.rs asks each of ours",
    ),
    not(GEN, "`--codeExchange=URI` (browser)", "belongs to the code flow, which needs a browser"),
    not(GEN, "`--no-webserver`, `--no-scheme`", "belongs to the code flow, which needs a browser"),
    not(GEN, "`--seccomp` (4.2)", "a filter of system calls shows nothing that could be compared"),
    not(GEN, "`--state=STATE`", "belongs to the code flow, which needs a browser"),
    not(
        ADD,
        "`oidc-add https://ISSUER` (5)",
        "only version 5 has it, and nothing stands against it",
    ),
    not(
        ADD,
        "`--pw-prompt=cli|gui`",
        "a question on a terminal: cli/tests/prompts.rs asks each of ours",
    ),
    not(ADD, "`--always-allow-idtoken`", "walked for oidc-agent itself"),
    not(ADD, "`--skip-check` (5)", "only version 5 has it, and nothing stands against it"),
    not(ADD, "`--seccomp` (4.2)", "a filter of system calls shows nothing that could be compared"),
    not(ADD, "`--remote`", "needs an agent on another node"),
    not(
        TOKEN,
        "`-v`, `--verbose`, `-g`, `--debug`, `--seccomp` (4.2)",
        "a log of the program shows nothing that could be compared",
    ),
    not(TOKEN, "`-m`, `--mytoken[=PROFILE]`, `--MT[=PROFILE]` (5)", "needs a mytoken server"),
    not(
        AROUND,
        "`oidc-tokensh -v`, `--verbose`, `--renewer` (5)",
        "only version 5 has it; cli/tests/run.rs shows what is told of a renewal",
    ),
    not(
        AROUND,
        "`oidc-prompt password|input|confirm|confirm-default-yes|confirm-default-no|multiple|select|select-other|link|mytoken-confirm` (5) (display)",
        "needs a display",
    ),
    not(
        AROUND,
        "`liboidc-agent`, `liboidcagent` for Python and Go",
        "libraries are no commands; e2e readers reads tokens as programs do",
    ),
    not(
        SCRIPT,
        "`IAM_USER`, `IAM_PASSWORD`",
        "an administrator has to allow it first: e2e password_flow",
    ),
    not(
        FILES,
        "`OIDC_SOCK`, `OIDCD_PID`, `OIDCD_PID_FILE`, `OIDC_REMOTE_SOCK`",
        "each step with oidc-agent has them, none with iamctl",
    ),
    not(
        FILES,
        "`OIDC_CONFIG_DIR`, `~/.config/oidc-agent/`, `~/.oidc-agent/`",
        "each step with oidc-agent has them, none with iamctl",
    ),
    not(
        FILES,
        "`client_id`, `client_secret`, `scope`, `flow`, `redirect_uris` of `pubclient` and `user_client` (5)",
        "only version 5 has it; a public client is walked with `--pub`",
    ),
    not(FILES, "`config` (5)", "the site's: the tests of the configuration read every key"),
    not(
        FILES,
        "`auto-gen`, `auto-gen-scope-mode`, `autoload`, `auto-reauthenticate` in `config` (5)",
        "only version 5 has it, and nothing of yours stands against it",
    ),
    not(
        FILES,
        "`default-min-lifetime`, also spelt `default_min_lifetime`, in `config` (5)",
        "it would have to wait for most of a token's life: the daemon's tests of the cache do, by their clock",
    ),
    not(
        FILES,
        "`lifetime`, `store-pw` in `config` (5)",
        "only version 5 has it, and nothing of yours stands against it",
    ),
    not(
        FILES,
        "`cert_path`, also spelt `cert-path`, `debug_logging` in `config` (5)",
        "only version 5 has it, and nothing of yours stands against it",
    ),
    not(
        FILES,
        "`bind_address`, `group`, `confirm`, `always_allow_id_token`, `skip-check` in `config` (5)",
        "only version 5 has it, and nothing of yours stands against it",
    ),
    not(
        FILES,
        "`webserver`, `custom-uri-scheme`, `auto-open-url` in `config` (5)",
        "only version 5 has it, and nothing of yours stands against it",
    ),
    not(
        FILES,
        "`cnid` in `config` (5)",
        "only version 5 has it, and nothing of yours stands against it",
    ),
    not(
        FILES,
        "`prompt`, `pw-prompt`, `answer-confirm-prompts`, `default_gpg_key` in `config` (5)",
        "only version 5 has it, and nothing of yours stands against it",
    ),
    not(
        FILES,
        "`default_mytoken_server`, `default_mytoken_profile`, `prefer_mytoken_over_oidc` in `config` (5)",
        "only version 5 has it, and nothing of yours stands against it",
    ),
    not(
        FILES,
        "`stats_collect_local`, `stats_collect_share`, `stats_collect_location` in `config`, `oidc-agent.stats` (5)",
        "only version 5 has it, and nothing of yours stands against it",
    ),
    not(
        FILES,
        "`issuer`, `accounts`, `pw-store` of an issuer (5)",
        "only version 5 has it, and nothing of yours stands against it",
    ),
    not(
        FILES,
        "`OIDC_USER_CONFIG`, `HOME`, `TMPDIR`, `DISPLAY`",
        "a variable that is not read shows nothing",
    ),
    not(
        FILES,
        "`oidc-agent-service.options`: `OIDC_AGENT`, `OIDC_AGENT_OPTS`, `OIDC_AGENT_RESTART_WITH_SAME_OPTS`, `START_AGENT_WITH_XSESSION`; the Xsession hook; `tmpfiles.d/oidc-agent.conf`",
        "a session with a display starts it",
    ),
    not(
        FILES,
        "`custom_parameters.config`: `parameter`, `value`, `for_issuer`, `for_account`, `request` (5)",
        "only version 5 has it, and nothing stands against it",
    ),
    not(
        FILES,
        "`privileges/` (4.2)",
        "a filter of system calls shows nothing that could be compared",
    ),
];
