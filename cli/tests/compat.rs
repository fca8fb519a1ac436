//! iamctl under the names of oidc-agent's programs: every option, what is printed for scripts, how
//! they end, and what reaches the daemon.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::cell::RefCell;
use std::os::unix::fs::symlink;
use std::process::Command;

use iamd_protocol::bus::state;
use iamd_protocol::error::Kind;
use support::terminal::Terminal;
use support::transcript::Transcript;
use support::{Fake, Run, file, iamctl, run, samples};

/// The token and what is known of it, as the samples have it.
const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.c2ln";
const ISSUER: &str = "https://wlcg.example.org/";

/// A daemon, and a directory with the names.
struct Names {
    fake: Fake,
    directory: tempfile::TempDir,
    expires_at: u64,
    /// What was refused or told, for `tests/transcripts`.
    transcript: RefCell<Transcript>,
}

impl Names {
    fn new(transcript: &'static str) -> Self {
        let base = samples::base();
        let fake = Fake::start(samples::script(base));
        fake.script().login = samples::done(base);
        let directory = tempfile::tempdir().unwrap();
        for name in std::fs::read_to_string(file("../dist/compat/names")).unwrap().lines() {
            symlink(env!("CARGO_BIN_EXE_iamctl"), directory.path().join(name)).unwrap();
        }
        let transcript = RefCell::new(Transcript::new(transcript, base));
        Self { fake, directory, expires_at: base + 3000, transcript }
    }

    fn command(&self, line: &str) -> Command {
        let plain = iamctl(&self.fake.bus.address, &[]);
        let mut shell = Command::new("bash");
        shell.args(["-c", line]).env_clear();
        shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PATH", format!("{}:/usr/bin:/bin", self.directory.path().display()));
        shell.stdin(std::process::Stdio::null());
        shell
    }

    fn run(&self, line: &str) -> Run {
        self.fake.script().calls.clear();
        run(&mut self.command(line))
    }

    /// The exit code and standard output of a line, with nothing on standard error.
    fn prints(&self, line: &str, expected: &str) {
        let outcome = self.run(line);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, expected), "{line}: {outcome:?}");
        assert_eq!(outcome.stderr, "", "{line}");
    }

    /// A line that does its job, and says something besides.
    fn tells(&self, line: &str, expected: &str, says: &str) {
        let outcome = self.run(line);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, expected), "{line}: {outcome:?}");
        assert!(outcome.stderr.contains(says), "{line}: {outcome:?}");
        self.transcript.borrow_mut().take_line(line, &outcome);
    }

    /// A line that fails, prints nothing for scripts, and says so.
    fn fails(&self, line: &str, code: i32, says: &str) {
        let outcome = self.run(line);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{line}: {outcome:?}");
        assert!(outcome.stderr.contains(says), "{line}: {outcome:?}");
        self.transcript.borrow_mut().take_line(line, &outcome);
    }

    fn asked(&self, what: &str) {
        let calls = self.fake.calls();
        assert!(calls.iter().any(|call| call.contains(what)), "{what} not in {calls:?}");
    }
}

#[test]
fn every_option_of_oidc_token_prints_what_the_original_prints() {
    let names = Names::new("");
    let expires = names.expires_at;
    let lines = format!("{TOKEN}\n{ISSUER}\n{expires}\n");
    let set = |name: &str, value: &str| format!("{name}={value}; export {name};\n");
    let (at, iss, exp) =
        (set("OIDC_AT", TOKEN), set("OIDC_ISS", ISSUER), set("OIDC_EXP", &expires.to_string()));
    for (words, expected) in [
        ("wlcg", format!("{TOKEN}\n")),
        ("https://wlcg.example.org", format!("{TOKEN}\n")),
        ("-o wlcg", format!("{TOKEN}\n")),
        ("--token wlcg", format!("{TOKEN}\n")),
        ("wlcg --tok", format!("{TOKEN}\n")),
        ("-i wlcg", format!("{ISSUER}\n")),
        ("--issuer wlcg", format!("{ISSUER}\n")),
        ("-e wlcg", format!("{expires}\n")),
        ("--expires-at wlcg", format!("{expires}\n")),
        ("-oX wlcg", set("X", TOKEN)),
        ("--token=X wlcg", set("X", TOKEN)),
        ("-iX wlcg", set("X", ISSUER)),
        ("--issuer=FOO -e wlcg", format!("{}{exp}", set("FOO", ISSUER))),
        ("-o -i wlcg", format!("{at}{iss}")),
        ("-o -i -e wlcg", format!("{at}{iss}{exp}")),
        ("-eX -o wlcg", format!("{at}{}", set("X", &expires.to_string()))),
        ("-c wlcg", format!("{at}{iss}{exp}")),
        ("--env wlcg", format!("{at}{iss}{exp}")),
        ("-c --token=X wlcg", format!("{}{iss}{exp}", set("X", TOKEN))),
        ("-a wlcg", lines.clone()),
        ("--all wlcg", lines.clone()),
        ("-a -c wlcg", lines.clone()),
        ("-o -a wlcg", lines),
        ("--bearer wlcg", format!("Bearer {TOKEN}")),
        ("--auth-header wlcg", format!("Authorization: Bearer {TOKEN}")),
        ("--auth wlcg", format!("Authorization: Bearer {TOKEN}")),
        ("-g --seccomp --verbose wlcg", format!("{TOKEN}\n")),
        ("-- wlcg", format!("{TOKEN}\n")),
    ] {
        names.prints(&format!("oidc-token {words}"), &expected);
    }
    names.prints(r#"eval "$(oidc-token -c wlcg)"; printenv OIDC_ISS"#, &format!("{ISSUER}\n"));
}

#[test]
fn what_oidc_token_asks_for_reaches_the_daemon() {
    let names = Names::new("");
    for (words, asked) in [
        (
            "wlcg",
            r#"GetToken("wlcg", TokenOptions { scopes: None, audiences: None, min_valid_seconds: None, force_new: None, strict: None, application: Some("oidc-token") })"#,
        ),
        ("https://x.example/", r#"GetToken("https://x.example/", "#),
        ("-t 90 wlcg", "min_valid_seconds: Some(90), force_new: None"),
        ("--time=90 wlcg", "min_valid_seconds: Some(90)"),
        ("-f wlcg", "force_new: Some(true)"),
        ("--force-new wlcg", "force_new: Some(true)"),
        ("-s openid -s 'a b' wlcg", r#"scopes: Some(["openid", "a", "b"])"#),
        ("--scope=openid wlcg", r#"scopes: Some(["openid"])"#),
        ("--aud 'u v' wlcg", r#"audiences: Some(["u", "v"])"#),
        ("--aud=u wlcg", r#"audiences: Some(["u"])"#),
        ("--name=mine wlcg", r#"application: Some("mine")"#),
    ] {
        names.prints(&format!("oidc-token {words}"), &format!("{TOKEN}\n"));
        names.asked(asked);
    }
    // No promise of the original's: what there is, but a new one.
    names.fake.script().token.expires_at = samples::base() + 30;
    names.prints("oidc-token -t 3600 wlcg", &format!("{TOKEN}\n"));
    names.asked("min_valid_seconds: None, force_new: Some(true)");
}

#[test]
fn what_oidc_token_cannot_do_is_an_error_with_the_way_out() {
    let names = Names::new("compat-token");
    for (words, code, says) in [
        ("--id-token wlcg", 1, "iamctl account show"),
        ("-m wlcg", 1, "--scope and --aud"),
        ("-mprofile wlcg", 1, "no mytokens"),
        ("--mytoken=profile wlcg", 1, "no mytokens"),
        ("--MT wlcg", 1, "no mytokens"),
        ("'--token=X; rm' wlcg", 1, "no shell has a variable of that name"),
        ("-o1 wlcg", 1, "no shell has a variable of that name"),
        ("", 64, "an account or an issuer has to be named"),
        ("--bogus wlcg", 64, "oidc-token: unexpected argument '--bogus'"),
        ("-t soon wlcg", 64, "oidc-token: invalid value 'soon'"),
    ] {
        names.fails(&format!("oidc-token {words}"), code, says);
        assert_eq!(names.fake.calls(), [""; 0], "{words}");
    }
    let fail = |kind: Kind, text: &str| {
        names.fake.script().fail.insert("GetToken", (kind.bus_name(), text.to_owned()));
    };
    fail(Kind::NoSuchAccount, "you have no account x");
    names.fails("oidc-token x", 1, "Error: No account configured with that short name\n");
    fail(Kind::LoginRequired, "signed out");
    names.fails("oidc-token wlcg", 1, "Error: signed out\n  Sign in with:  iamctl login wlcg\n");
    fail(Kind::IssuerUnreachable, "away");
    names.fails("oidc-token wlcg", 1, "Error: away\n");
    assert!(names.run("oidc-token --version").stdout.starts_with("oidc-token (iamd) "));
    assert!(names.run("oidc-token --usage").stdout.contains("--time"));
    assert!(names.run("oidc-token '-?'").stdout.contains("--auth-header"));
    names.transcript.into_inner().check();
}

#[test]
fn an_issuer_with_anything_in_it_is_one_word_for_a_shell() {
    let names = Names::new("");
    let evil = "https://x/';touch evil;$(touch evil)";
    names.fake.script().token.issuer = evil.into();
    let line = r#"eval "$(oidc-token -c wlcg)"; printf %s "$OIDC_ISS"; ls evil"#;
    let outcome = names.run(line);
    assert_eq!(outcome.stdout, evil, "{outcome:?}");
    names.prints("oidc-token -i wlcg", &format!("{evil}\n"));
}

#[test]
fn every_option_of_oidc_add_does_its_job_or_says_why_not() {
    let names = Names::new("compat-add");
    for (words, expected) in [
        ("-l", "The following account configurations are usable: \nwlcg\ncms\n"),
        ("--list", "The following account configurations are usable: \nwlcg\ncms\n"),
        ("-a", "The following account configurations are currently loaded: \nwlcg\n"),
        ("--loaded", "The following account configurations are currently loaded: \nwlcg\n"),
        ("wlcg", "success\n"),
        ("https://wlcg.example.org", "success\n"),
        ("wlcg --pw-env", "success\n"),
        ("wlcg --pw-store --pw-prompt=gui --skip-check --always-allow-idtoken -v -g", "success\n"),
        ("wlcg -f", "success\n"),
        ("--seccomp wlcg --pw-store=90", "success\n"),
    ] {
        names.prints(&format!("oidc-add {words}"), expected);
    }
    names.tells("oidc-add -t 3600 wlcg", "success\n", "and is locked;");
    names.tells("oidc-add -r cms", "success\n", "cms gave no tokens");
    let printed = names.run("oidc-add -p wlcg");
    let json: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!((&json["name"], &json["issuer_url"]), (&"wlcg".into(), &ISSUER.into()));
    assert_eq!(json["scope"], "openid offline_access storage.read:/");
    for (words, code, says) in [
        ("-r wlcg", 1, "still usable: wlcg\n"),
        ("-x", 1, "nothing was locked"),
        ("-R", 1, "iamctl account passphrase wlcg"),
        ("-X", 1, "no account has a passphrase"),
        ("nope", 1, "Error: No account configured with that short name\n"),
        ("-r nope", 1, "Error: No account configured with that short name\n"),
        ("https://nope.example", 1, "Error: No account configured with that short name\n"),
        ("cms", 1, "iamctl login cms"),
        ("-c wlcg", 1, "iamctl account passphrase"),
        ("--remote wlcg", 1, "the node it runs on"),
        ("--pw-keyring wlcg", 1, "--pw-cmd"),
        ("--pw-gpg=KEY wlcg", 1, "gpg -d"),
        ("--pgp=KEY wlcg", 1, "gpg -d"),
        ("", 64, "has to be named"),
        ("--bogus", 64, "oidc-add: unexpected argument '--bogus'"),
    ] {
        names.fails(&format!("oidc-add {words}"), code, says);
    }
    {
        // A state of a later daemon, which says no more.
        let account = &mut names.fake.script().accounts[1];
        (account.state, account.reason) = ("dormant".into(), None);
    }
    names.fails("oidc-add cms", 1, "cms is not signed in");
    names.fake.script().accounts.clear();
    names.prints("oidc-add -a", "No account configurations are currently loaded.\n");
    names.tells("oidc-add -R", "success\n", "nothing was to be locked");
    names.transcript.into_inner().check();
}

#[test]
fn an_account_with_a_passphrase_is_unlocked_and_locked() {
    let names = Names::new("compat-passphrase");
    {
        let account = &mut names.fake.script().accounts[0];
        account.has_passphrase = Some(true);
        account.state = state::LOCKED.into();
    }
    for (line, asked) in [
        ("OIDC_ENCRYPTION_PW=canary oidc-add wlcg --pw-env", r#"Unlock("wlcg", None, "canary")"#),
        ("MINE=canary oidc-add wlcg --pw-env=MINE -t 90", r#"Unlock("wlcg", Some(90), "canary")"#),
        ("oidc-add wlcg --pw-cmd='echo canary; echo x'", r#"Unlock("wlcg", None, "canary")"#),
        ("oidc-add wlcg --pw-file=<(echo canary)", r#"Unlock("wlcg", None, "canary")"#),
        ("oidc-add -X --pw-cmd='echo canary'", r#"Unlock("wlcg", None, "canary")"#),
        ("oidc-add -r wlcg", r#"Lock("wlcg")"#),
    ] {
        names.prints(line, "success\n");
        names.asked(asked);
    }
    names.tells("oidc-add -x", "success\n", "no account gave tokens");
    let state_of = |account: usize, guarded: bool, state: &str| {
        let account = &mut names.fake.script().accounts[account];
        (account.has_passphrase, account.state) = (Some(guarded), state.into());
    };
    state_of(0, true, state::SIGNED_IN);
    for line in ["oidc-add -x", "oidc-add -R"] {
        names.prints(line, "success\n");
        names.asked(r#"Lock("wlcg")"#);
    }
    names.tells("oidc-add -X", "success\n", "no account is locked");
    // One that cannot be locked is no success, and the others are locked all the same.
    state_of(1, false, state::SIGNED_IN);
    names.fails("oidc-add -x", 1, "Error: the others are locked: without a passphrase, and so");
    names.asked(r#"Lock("wlcg")"#);
    state_of(0, true, state::LOCKED);
    for (line, says) in [
        ("oidc-add wlcg", "there is no terminal to ask on"),
        ("oidc-add wlcg --pw-env=NONE", "no passphrase is there"),
        ("oidc-add wlcg --pw-cmd=false", "no passphrase is there"),
        ("oidc-add wlcg --pw-file=/nonexistent", "No such file"),
    ] {
        names.fails(line, 1, says);
    }
    let wrong = (Kind::WrongPassphrase.bus_name(), "that is not the passphrase".to_owned());
    names.fake.script().fail.insert("Unlock", wrong);
    names.fails("oidc-add wlcg --pw-cmd='echo canary'", 1, "Error: that is not the passphrase");
    names.transcript.into_inner().check();
}

#[test]
fn on_a_terminal_the_passphrase_is_asked_for_without_an_echo() {
    for (keys, code) in [("canary\n", 0), ("canary half\x03", 130)] {
        for (args, one) in [(["wlcg"], true), (["-X"], false)] {
            let names = Names::new("compat-terminal");
            {
                let mut script = names.fake.script();
                let account = &mut script.accounts[0];
                (account.has_passphrase, account.state) = (Some(true), state::LOCKED.into());
            }
            let mut terminal = Terminal::start_with(&names.fake.bus.address, (80, 24), |_| {
                let mut add = Command::new(names.directory.path().join("oidc-add"));
                add.args(args);
                add
            });
            if one {
                terminal.wait_for("Passphrase of wlcg: ");
            } else {
                terminal.wait_for("Passphrase: ");
            }
            terminal.type_keys(keys);
            let (ended, seen) = terminal.end_restored();
            assert_eq!(ended, code, "{args:?}: {seen}");
            assert!(!seen.contains("canary"), "{args:?}: {seen}");
            let unlocked = names.fake.calls().iter().any(|call| call.starts_with("Unlock("));
            assert_eq!(unlocked, code == 0, "{args:?}: {seen}");
        }
    }
}

#[test]
fn a_script_that_starts_an_agent_is_told_where_to_ask() {
    let names = Names::new("compat-agent");
    let line = "OIDC_SOCK=/run/iamd/oidc-agent.sock; export OIDC_SOCK;\n";
    for start in [
        "oidc-agent",
        "oidc-agent --quiet --no-autoload --no-autoreauthenticate --no-webserver --no-scheme",
        "oidc-agent --log-stderr -g --restart-on-update --always-allow-idtoken --pw-store --seccomp",
        "oidc-agent-service use",
        "oidc-agent-service start",
        "oidc-agent-service restart",
        "oidc-agent-service start-from-x",
        "oidc-keychain",
        "oidc-keychain -t 90 --accounts wlcg",
    ] {
        names.prints(start, line);
    }
    names.tells("oidc-agent -t 3600", line, "iamctl account unlock --for TIME");
    names.tells("oidc-agent -d", line, "runs already");
    let socket = "/run/iamd/oidc-agent.sock";
    for eval in ["eval $(oidc-agent)", "eval `oidc-agent-service use`", "eval $(oidc-keychain)"] {
        names.prints(&format!("{eval}; printenv OIDC_SOCK"), &format!("{socket}\n"));
        names.prints(&format!("{eval}; eval $(oidc-agent -k); printenv OIDC_SOCK; true"), "");
    }
    names.prints("oidc-agent --json", &format!("{{\"socket\":\"{socket}\"}}\n"));
    names.prints("oidc-agent printenv OIDC_SOCK", &format!("{socket}\n"));
    names.prints("oidc-agent -- sh -c 'exit 0'", "");
    assert_eq!(names.run("oidc-agent sh -c 'exit 7'").code, 7);
    for silent in
        ["oidc-agent-service stop", "oidc-agent-service kill", "oidc-agent-service restart-s"]
    {
        names.prints(silent, "");
    }
    let status = names.run("oidc-agent --status");
    assert!(status.stdout.ends_with("Currently there are 1 accounts loaded: wlcg\n"), "{status:?}");
    let status = names.run("oidc-agent --status --json");
    let json: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(json["loaded_accounts"], serde_json::json!(["wlcg"]));
    for (line, code, says) in [
        ("oidc-agent -c", 1, "iamctl account passphrase"),
        ("oidc-agent --with-group=users", 1, "an account each"),
        ("oidc-agent -a /tmp/x", 1, "at one place by all"),
        ("oidc-agent --bind_address=/tmp/x", 1, "at one place by all"),
        ("oidc-agent --pid-file=/tmp/x", 1, "systemctl show iamd"),
        ("oidc-agent /nonexistent/program", 1, "No such file"),
        ("oidc-agent --bogus", 64, "unexpected argument"),
        ("oidc-agent-service", 1, "Usage: oidc-agent-service use"),
        ("oidc-agent-service twist", 1, "Usage: oidc-agent-service use"),
    ] {
        names.fails(line, code, says);
    }
    names.tells("oidc-agent-service --help", "", "Usage: oidc-agent-service use");
    let missing = names.run("oidc-keychain --accounts cms");
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.stderr.contains("iamctl login cms"), "{missing:?}");
    let away = (Kind::StoreUnavailable.bus_name(), "away".to_owned());
    names.fake.script().fail.insert("Status", away);
    for line in ["oidc-agent", "oidc-agent-service use", "oidc-keychain"] {
        names.fails(line, 1, "Error: away");
    }
    names.transcript.into_inner().check();
}

#[test]
fn oidc_gen_does_what_has_a_counterpart_and_names_it_for_the_rest() {
    let names = Names::new("compat-gen");
    names.fake.script().change.account = "mine".into();
    names.prints("oidc-gen -l", "The following account configurations are usable: \nwlcg\ncms\n");
    for print in ["oidc-gen -p wlcg", "oidc-gen --print ~/.oidc-agent/wlcg"] {
        let line = format!("{print} | grep -o '\"name\": \"wlcg\"'");
        names.tells(&line, "\"name\": \"wlcg\"\n", "Secrets are not printed");
    }
    for (line, says, asked) in [
        ("oidc-gen -w device wlcg", "Everything setup correctly!\n", r#"Login("wlcg""#),
        (
            "oidc-gen wlcg --reauthenticate --pw-env",
            "Everything setup correctly!\n",
            r#"Login("wlcg""#,
        ),
        (
            "oidc-gen -w device mine --iss=https://x.example/ --pub --scope=openid --aud 'u v'",
            "Everything setup correctly!\n",
            r#"Add("mine", AddOptions { issuer: Some("https://x.example/"), scopes: Some(["openid"]), all_scopes: None, audiences: Some(["u", "v"])"#,
        ),
        ("oidc-gen --rename=new wlcg", "", r#"Rename("wlcg", "new")"#),
        ("oidc-gen -d wlcg --confirm-yes", "", r#"Remove("wlcg""#),
    ] {
        let outcome = names.run(line);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, says), "{line}: {outcome:?}");
        names.asked(asked);
    }
    for (words, says) in [
        ("mine -w code", "--flow=device"),
        ("mine -w password", "iamctl login --flow password"),
        ("mine -m", "iamctl account add NAME --client-id ID"),
        ("mine -w refresh", "--refresh-token-fd"),
        ("mine -w magic", "there is device only"),
        ("mine --client-secret=canary", "by descriptor"),
        ("mine --rt=canary", "by descriptor"),
        ("mine --at=canary", "by descriptor"),
        ("mine --rt-env", "--refresh-token-fd"),
        ("mine --op-password=canary", "--password-fd"),
        ("mine --op-username=x", "--flow password"),
        ("-u file", "iamctl account import oidc-agent"),
        ("-f file", "--client-id"),
        ("mine --no-save", "iamctl account remove"),
        ("mine --only-at", "iamctl token"),
        ("mine --dae=https://x/", "iamd.toml"),
        ("mine --configuration-endpoint=https://x/", "iamd.toml"),
        ("mine --mytoken-url=https://x/", "mytoken"),
        ("mine --mytoken=p", "mytoken"),
        ("--codeExchange=x:/", "code flow"),
        ("--state=x", "code flow"),
        ("mine --confirm-no", "nothing is asked"),
        ("-d wlcg", "iamctl account remove wlcg --yes"),
        ("--rename=new", "has to be named"),
    ] {
        names.fails(&format!("oidc-gen {words}"), 1, says);
        let changes = ["Add(", "Remove(", "Rename(", "Login("];
        let calls = names.fake.calls();
        assert!(!calls.iter().any(|call| changes.iter().any(|c| call.starts_with(c))), "{calls:?}");
    }
    names.fails("oidc-gen --bogus", 64, "unexpected argument");
    let harmless = "-m --pw-file=x --pw-cmd=x --prompt=none --confirm-default --no-url-call \
                    --no-webserver --no-scheme --oauth --redirect-uri=http://localhost:1 --port=1 -v -g";
    names.prints(&format!("oidc-gen -l {harmless} | wc -l"), "3\n");
    names.tells("oidc-gen -l --cp=x > /dev/null", "", "the node's certificates");
    names.tells("oidc-gen -l --pw-gpg=x > /dev/null", "", "the daemon seals");
    names.transcript.into_inner().check();
}

#[test]
fn oidc_tokensh_runs_its_command_with_a_token() {
    let names = Names::new("compat-tokensh");
    names.prints("oidc-tokensh --oidc wlcg -- sh -c 'cat $BEARER_TOKEN_FILE'", TOKEN);
    names.asked("min_valid_seconds: Some(60)");
    assert_eq!(names.run("oidc-tokensh --oidc wlcg --minsecs 90 sh -c 'exit 7'").code, 7);
    names.fails("oidc-tokensh", 64, "--oidc NAME is missing");
    names.fails("oidc-tokensh --oidc wlcg -o file -- true", 1, "iamctl token --outfile FILE");
    names.fails("oidc-tokensh --renewer --oidc wlcg", 1, "the daemon renews");
    names.transcript.into_inner().check();
}
