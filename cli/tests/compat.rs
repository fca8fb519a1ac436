//! iamctl under the names of `oidc-token` and `oidc-add`: every option, what is printed for scripts,
//! how they end, and what reaches the daemon.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::process::Command;

use iamd_protocol::bus::state;
use iamd_protocol::error::Kind;
use support::names::{ISSUER, Names, TOKEN};
use support::samples;
use support::terminal::Terminal;

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
        ("-g --debug --seccomp -v --verbose wlcg", format!("{TOKEN}\n")),
        ("-- wlcg", format!("{TOKEN}\n")),
    ] {
        names.prints(&format!("oidc-token {words}"), &expected);
    }
    names.prints(r#"eval "$(oidc-token -c wlcg)"; printenv OIDC_ISS"#, &format!("{ISSUER}\n"));
}

/// The options in the first cells of a section's rows, without their values.
fn options_of(section: &str) -> Vec<String> {
    let page = std::fs::read_to_string(support::file("../docs/from-oidc-agent.md")).unwrap();
    let (_, rest) = page.split_once(&format!("\n## {section}\n")).unwrap();
    let rows = rest.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split(" | ").next().unwrap().to_owned());
    let quoted = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
    let names = quoted.filter(|quoted| quoted.starts_with('-'));
    names.map(|name| name.split(['=', '[']).next().unwrap().to_owned()).collect()
}

#[test]
fn the_page_names_the_options_of_oidc_token_and_each_is_answered() {
    let names = Names::new("");
    let known = include_str!("../../tests/e2e/walk/oidc-agent-5.3.3.txt");
    let (_, known) = known.split_once("[oidc-token]\n").unwrap();
    let known: Vec<_> = known.split("\n[").next().unwrap().split_whitespace().collect();
    let options = options_of("oidc-token, tokens");
    assert!(options.len() > 20, "{options:?}");
    for option in options {
        assert!(
            option == "--seccomp" || known.contains(&&*option),
            "{option} is not one of theirs"
        );
        let has_value = ["-t", "--time", "-s", "--scope", "--aud", "--name"].contains(&&*option);
        let value = if has_value { "9" } else { "" };
        let outcome = names.run(&format!("oidc-token {option} {value} wlcg"));
        assert_ne!(outcome.code, 64, "{option}: {outcome:?}");
    }
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
        ("WLCG", r#"GetToken("wlcg", "#),
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
    // No promise of the original's: what the issuer gave just now, and it is not asked again.
    names.fake.script().token.expires_at = samples::base() + 30;
    names.prints("oidc-token -t 3600 wlcg", &format!("{TOKEN}\n"));
    let calls = names.fake.calls();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls[0].contains("min_valid_seconds: Some(3600), force_new: None"), "{calls:?}");
    assert!(calls[1].contains("min_valid_seconds: Some(0), force_new: None"), "{calls:?}");
}

#[test]
fn what_oidc_token_cannot_do_is_an_error_with_the_way_out() {
    let names = Names::new("compat-token");
    for (words, code, says) in [
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
    names.fails("oidc-token 'My Account'", 1, "it may be called:  my-account\n");
    fail(Kind::LoginRequired, "signed out");
    names.fails("oidc-token wlcg", 1, "Error: signed out\n  Sign in with:  iamctl login wlcg\n");
    fail(Kind::IssuerUnreachable, "away");
    names.fails("oidc-token wlcg", 1, "Error: away\n");
    assert!(names.run("oidc-token --version").stdout.starts_with("oidc-token (iamd) "));
    assert!(names.run("oidc-token --usage").stdout.contains("--time"));
    for name in ["token", "add", "gen", "agent", "tokensh"] {
        for help in ["-h", "--help", "'-?'", "--usage"] {
            let helped = names.run(&format!("oidc-{name} {help}"));
            assert_eq!((helped.code, helped.stderr.as_str()), (0, ""), "{name} {help}");
            assert!(helped.stdout.contains(&format!("Usage: oidc-{name} ")), "{name}: {helped:?}");
        }
    }
    for name in ["agent-service", "keychain"] {
        assert_eq!(names.run(&format!("oidc-{name} -h")).code, 0, "{name}");
    }
    names.transcript.into_inner().check();
}

/// Whoever asks at this path gets this answer; what they asked for.
fn agent_that_says(path: &std::path::Path, answer: &str) -> std::thread::JoinHandle<String> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).unwrap();
    let answer = answer.to_owned();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = vec![0; 4096];
        // It comes in one write, and nothing follows it.
        let length = stream.read(&mut asked).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(asked[..length].to_vec()).unwrap()
    })
}

#[test]
fn oidc_token_has_an_id_token_over_the_socket_of_oidc_agents_clients() {
    let names = Names::new("compat-id-token");
    let path = names.directory.path().join("agent.sock");
    names.fake.script().status.agent_socket = Some(path.display().to_string());
    for (words, asked) in [
        (
            "--id-token wlcg",
            r#"{"request":"id_token","account":"wlcg","application_hint":"oidc-token"}"#,
        ),
        (
            "--id-token -c -t 90 --name=mine https://x.example/",
            r#"{"request":"id_token","issuer":"https://x.example/","application_hint":"mine"}"#,
        ),
    ] {
        let given =
            r#"{"status":"success","id_token":"h.p.s","issuer":"https://wlcg.example.org/"}"#;
        let agent = agent_that_says(&path, given);
        names.prints(&format!("oidc-token {words}"), "h.p.s\n");
        assert_eq!(agent.join().unwrap(), asked);
    }
    let locked = r#"{"status":"failure","error":"Account not loaded","info":"the account wlcg is locked. Unlock it with:  iamctl account unlock wlcg"}"#;
    // As of a daemon that leaves the name out.
    let nameless = locked.replace("unlock wlcg", "unlock");
    for answer in [locked, &nameless] {
        let agent = agent_that_says(&path, answer);
        let says = "Unlock it with:  iamctl account unlock wlcg\n";
        names.fails("oidc-token --id-token wlcg", 1, says);
        agent.join().unwrap();
    }
    let refusal = r#"{"status":"failure","error":"No account configured with that short name","info":"See:  iamctl account list"}"#;
    for (answer, says) in [
        (
            refusal,
            "Error: No account configured with that short name\n  See:  iamctl account list\n",
        ),
        (r#"{"status":"failure"}"#, "there is no ID token"),
        (r#"{"id_token":"h.p\u001b[2J"}"#, "characters that no token has"),
        ("no JSON", "is not understood"),
    ] {
        let agent = agent_that_says(&path, answer);
        names.fails("oidc-token --id-token wlcg", 1, says);
        agent.join().unwrap();
    }
    // A path that is the same in every run, for the transcript.
    names.fake.script().status.agent_socket = Some("/nonexistent/agent.sock".into());
    names.fails("oidc-token --id-token wlcg", 1, "gives no answer: No such file");
    names.fake.script().status.agent_socket = None;
    names.fails("oidc-token --id-token wlcg", 1, "this site has no socket");
    names.transcript.into_inner().check();
}

#[test]
fn where_there_is_no_socket_no_script_is_sent_to_one() {
    let names = Names::new("compat-no-socket");
    names.fake.script().status.agent_socket = None;
    for line in [
        "oidc-agent",
        "oidc-agent --json",
        "oidc-agent printenv OIDC_SOCK",
        "oidc-agent-service use",
        "oidc-agent-service start",
        "oidc-keychain",
        "oidc-keychain --accounts wlcg",
    ] {
        names.fails(line, 1, "this site has no socket for oidc-agent's clients");
    }
    names.tells(
        "oidc-agent --status | tail -n 1",
        "Currently there are 1 accounts loaded: wlcg\n",
        "",
    );
    let kept = "export OIDC_SOCK=/mine; eval $(oidc-agent 2>/dev/null); printenv OIDC_SOCK";
    names.prints(kept, "/mine\n");
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
        // Names of oidc-agent's may have capitals.
        ("WLCG", "success\n"),
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
        ("'My Account'", 1, "it may be called:  my-account\n"),
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
