//! iamctl under the other names of oidc-agent's programs: `oidc-agent` and what starts one, `oidc-gen`,
//! `oidc-tokensh`. What is printed for scripts, how they end, and what reaches the daemon.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use iamd_protocol::error::Kind;
use support::names::{Names, TOKEN};

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
        "oidc-keychain --quiet --no-autoload --accounts wlcg",
    ] {
        names.prints(start, line);
    }
    names.tells("oidc-agent -t 3600", line, "iamctl account unlock --for TIME");
    names.tells("oidc-agent -d", line, "runs already");
    names.tells("oidc-keychain -t 90 --accounts wlcg", line, "iamctl account unlock --for TIME");
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
        ("oidc-keychain -c --accounts wlcg", 1, "iamctl account passphrase"),
        ("oidc-keychain --with-group", 1, "an account each"),
        ("oidc-keychain --json", 1, "oidc-agent --json"),
        ("oidc-keychain --status", 1, "oidc-agent --status"),
        ("oidc-keychain --bogus", 64, "unexpected argument"),
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
        ("oidc-gen -w device WLCG", "Everything setup correctly!\n", r#"Login("wlcg""#),
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
    // A name that was mistyped makes no account.
    let outcome = names.run("oidc-gen --reauthenticate typo");
    assert_ne!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("No account configured with that short name"), "{outcome:?}");
    let calls = names.fake.calls();
    assert!(!calls.iter().any(|call| call.starts_with("Login(\"typo")), "{calls:?}");
    for (words, says) in [
        ("mine -w code", "--flow=device"),
        ("-w password --iss=https://x.example/", "has to be named"),
        (
            "wlcg --iss=https://other.example/",
            "iamctl account add NEW_NAME --issuer https://other.example/",
        ),
        ("wlcg --client-id=other", "--client-id other"),
        ("wlcg --pub", "--public-client"),
        ("wlcg --cnid=n7", "iamctl account edit wlcg --client-name oidc-agent:wlcg-n7"),
        ("wlcg --scope-max", "iamctl account edit wlcg --scope max --login"),
        ("mine -m", "iamctl account add NAME --client-id ID"),
        ("mine -w refresh", "--refresh-token-fd"),
        ("mine -w magic", "device and password only"),
        ("mine --client-secret=canary", "--client-secret-fd 3"),
        ("mine --rt=canary", "--refresh-token-fd 3"),
        ("mine --at=canary", "--initial-access-token-fd 3"),
        ("mine --rt-env", "--refresh-token-fd"),
        ("mine --op-password=canary", "--password-fd"),
        ("mine --op-username=x", "--flow=password"),
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
    // Where an administrator allowed it, and nobody is there to type: the descriptor is named.
    names.fake.script().password_login.state =
        iamd_protocol::bus::login_state::PASSWORD_NEEDED.into();
    names.fails("oidc-gen wlcg -w password --op-username=al", 1, "--password-fd N");
    names.asked(r#"LoginWithoutPassword("wlcg""#);
    names.fails("oidc-gen --bogus", 64, "unexpected argument");
    let harmless = "-m --prompt=none --confirm-default --no-url-call \
                    --no-webserver --no-scheme --oauth --redirect-uri=http://localhost:1 --port=1 -v -g";
    names.prints(&format!("oidc-gen -l {harmless} | wc -l"), "3\n");
    names.tells("oidc-gen -l --cp=x > /dev/null", "", "the node's certificates");
    for given in ["--pw-env", "--pw-cmd=x", "--pw-file=x"] {
        let line = format!("oidc-gen -l {given} > /dev/null");
        names.tells(&line, "", "--new-passphrase-fd");
    }
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
