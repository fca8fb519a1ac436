//! Errors as a user meets them: on a real node, at a real issuer, from the real `iamctl`. What is
//! said, what to do next, the exit code, and nothing on standard output. All errors there are, each
//! provoked nearer to where it comes from, stand in docs/errors.md; here is at least one of each
//! kind that a user can meet without anything of the node being broken.

use std::time::Duration;

use iamd_tests::{Error, Issuer, IssuerSpec, Node, Output, Product, World, clock, eventually};
use serde_json::json;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{sign_in_as, start_login, wait_for_state};

type Result<T> = std::result::Result<T, Error>;

pub fn cases() -> Vec<Case> {
    cases![
        a_login_that_comes_to_nothing_says_why_and_what_to_do,
        a_login_that_may_not_be_says_why_and_what_to_do,
        a_token_that_is_not_to_be_had_says_why_and_what_to_do,
        an_account_that_is_not_changed_says_why_and_what_to_do,
        a_passphrase_that_does_not_fit_says_so_and_what_to_do;
        alone: a_store_that_cannot_be_written_says_why_and_what_to_do,
    ]
}

/// A node of this module's own, with an INDIGO IAM, an issuer that follows the RFCs, and one whose
/// device codes one test makes faulty.
struct Place {
    node: Node,
    iam: Issuer,
    rfc: Issuer,
    faulty: Issuer,
}

fn place(world: &World) -> Result<Place> {
    let iam = world.start_issuer(IssuerSpec::new("errors.test"))?;
    let rfc = |host: &str| IssuerSpec::new(host).option("SHAPE", "rfc").option("INTERVAL", "1");
    let (rfc, faulty) = (rfc("errors-rfc.test"), rfc("errors-faulty.test"));
    let (rfc, faulty) = (world.start_issuer(rfc)?, world.start_issuer(faulty)?);
    let product = Product::new(&iam).issuer("rfc", &rfc).issuer("faulty", &faulty);
    let product = product.config(
        "[login]
automatic = false
[limits]
login_starts = 100
",
    );
    let node = world.boot(product.on(world.spec("errors")))?;
    Ok(Place { node, iam, rfc, faulty })
}

impl Place {
    fn iamctl(&self, user: &str, words: &str) -> Result<Output> {
        self.node.exec_as(user, &format!("iamctl {words}"))
    }

    /// The same with something to read on standard input.
    fn given(&self, user: &str, secret: &str, words: &str) -> Result<Output> {
        self.node.exec_as(user, &format!("printf '%s\\n' '{secret}' | iamctl {words}"))
    }

    fn sign_in(&self, user: &str) -> Result<()> {
        sign_in_as(&self.node, &self.iam, user, "test", "test")
    }
}

/// What came of a command: the exit code, and on standard error one line of what happened and one
/// of what to do, behind whatever a login shows before it ends.
#[track_caller]
fn shows(said: &Output, exit: i32, text: &str, advice: &str) {
    let told = match advice {
        "" => format!("iamctl: {text}\n"),
        advice => format!("iamctl: {text}\n  {advice}\n"),
    };
    assert_eq!(said.text(), "", "standard output is for the product");
    assert_eq!((said.code, said.errors().as_str()), (exit, told.as_str()));
}

/// A login in the background: what it said is read when it has ended.
struct Waiting<'p> {
    place: &'p Place,
    user: String,
}

impl<'p> Waiting<'p> {
    fn begin(place: &'p Place, user: &str, words: &str) -> Result<Self> {
        let line = format!(
            "setsid sh -c 'iamctl login {words} >~/out 2>~/err; echo $? >~/code' >/dev/null 2>&1 &"
        );
        place.node.exec_as(user, &line)?.ok()?;
        Ok(Self { place, user: user.to_owned() })
    }

    /// The end of it: its exit code, and its last lines from `iamctl:` on.
    fn ends(self) -> Result<(String, String)> {
        let home = format!("/home/{}", self.user);
        eventually("the login to end", Duration::from_secs(30), || {
            clock::pause(Duration::from_millis(200));
            self.place.node.exec(&format!("test -s {home}/code"))?.ok()
        })?;
        let read = |name: &str| self.place.node.root_says(&format!("cat {home}/{name}"));
        assert_eq!(read("out")?, "", "standard output is for the product");
        let told = read("err")?;
        let at = told.find("iamctl: ").unwrap_or_default();
        Ok((read("code")?, told[at..].to_owned()))
    }
}

fn a_login_that_comes_to_nothing_says_why_and_what_to_do(world: &World) -> Outcome {
    let place = world.place(place)?;
    // Somebody says no.
    let user = world.user()?;
    let waiting = Waiting::begin(&place, &user, "no --issuer rfc")?;
    let (uri, code) = start_login(&place.node, &user, "no", "rfc")?;
    place.rfc.deny(&uri, &code, &user)?;
    let (exit, told) = waiting.ends()?;
    let denied = "iamctl: the login was refused at the issuer\n  \
                  If that was a mistake, start again with:  iamctl login no";
    assert_eq!((exit.as_str(), told.as_str()), ("1", denied));

    // It is cancelled on another terminal.
    let user = world.user()?;
    let waiting = Waiting::begin(&place, &user, "off --issuer rfc")?;
    start_login(&place.node, &user, "off", "rfc")?;
    place.iamctl(&user, "login --cancel off")?.ok()?;
    let (exit, told) = waiting.ends()?;
    let cancelled = "iamctl: the login was cancelled\n  Start again with:  iamctl login off";
    assert_eq!((exit.as_str(), told.as_str()), ("1", cancelled));
    Ok(())
}

fn a_login_that_may_not_be_says_why_and_what_to_do(world: &World) -> Outcome {
    let place = world.place(place)?;
    let user = world.user()?;
    let login = |words: &str| place.iamctl(&user, &format!("login {words}"));
    let list = "See what there is with:  iamctl issuer list";
    shows(
        &login("--issuer nowhere")?,
        1,
        "this site knows no issuer \u{201c}nowhere\u{201d}",
        list,
    );
    shows(
        &login("--issuer https://elsewhere.example/")?,
        4,
        "this site does not allow the issuer https://elsewhere.example/",
        "See what this site allows with:  iamctl issuer list",
    );
    shows(
        &login("x --issuer rfc -s 'storage.read:/a/../b'")?,
        2,
        "the path in scope \u{201c}storage.read:/a/../b\u{201d} has '..' in it",
        "",
    );
    for (fault, exit, text, advice) in [
        (
            json!({"status": {"code": 400, "body": {"error": "invalid_request", "error_description": "no such thing"}}}),
            1,
            "the test issuer: no such thing (invalid_request)",
            "See:  iamctl doctor",
        ),
        (
            json!({"status": {"code": 400, "body": {"error": "invalid_target", "error_description": "not here"}}}),
            6,
            "the test issuer: not here (invalid_target)",
            "Ask for another one with --aud.",
        ),
        (
            json!({"replace_json": {"set": {"user_code": "\u{1b}[2J"}}}),
            1,
            "the test issuer: the device code reply has a user_code that cannot be shown",
            "Tell the administrators of the issuer; details:  iamctl doctor",
        ),
    ] {
        let rules = json!([{"match": {"path": "/device/auth"}, "fault": fault}]);
        let _faults = place.faulty.faults(&rules)?;
        shows(&login("x --issuer faulty")?, exit, text, advice);
    }
    // Nobody answers in time.
    let soon = json!({"replace_json": {"set": {"expires_in": 1}}});
    let _faults =
        place.faulty.faults(&json!([{"match": {"path": "/device/auth"}, "fault": soon}]))?;
    let said = login("x --issuer faulty")?.exited(3)?;
    let told = said.errors();
    let expired = "\niamctl: nobody approved the login in time\n  \
                   Start again with:  iamctl login x\n";
    assert!(said.stdout.is_empty() && told.ends_with(expired), "{told}");
    Ok(())
}

fn a_token_that_is_not_to_be_had_says_why_and_what_to_do(world: &World) -> Outcome {
    let place = world.place(place)?;
    let user = world.user()?;
    let token = |words: &str| place.iamctl(&user, &format!("token {words}"));
    shows(&token("")?, 3, "you have no account yet", "Sign in with:  iamctl login");
    start_login(&place.node, &user, "test", "test")?;
    let first = "the first login of the account test is running";
    shows(&token("")?, 3, first, "Finish the running login:  iamctl login");
    place.iamctl(&user, "login --cancel")?.ok()?;
    place.sign_in(&user)?;
    let list = "See what there is with:  iamctl account list";
    shows(&token("nosuch")?, 1, "you have no account \u{201c}nosuch\u{201d}", list);
    shows(
        &token("--min-valid 2h")?,
        6,
        "the issuer gives tokens that are valid for 3600 s; 7200 s were asked for",
        "Ask for less with --min-valid.",
    );
    let refreshes = json!({"path": "/token", "grant_type": "refresh_token"});
    let refused = |code: u16, error: &str, words: &str| {
        let body = json!({"error": error, "error_description": words});
        json!([{"match": refreshes, "fault": {"status": {"code": code, "body": body}}}])
    };
    for (rules, exit, text, advice) in [
        (
            refused(400, "invalid_target", "audience not allowed"),
            6,
            "the test issuer: audience not allowed (invalid_target)",
            "Ask for another one with --aud.",
        ),
        (
            refused(400, "invalid_scope", "scope not allowed"),
            6,
            "the test issuer: scope not allowed (invalid_scope)",
            "See what was granted with:  iamctl account show",
        ),
        (
            refused(400, "invalid_request", "no such thing"),
            1,
            "the test issuer: no such thing (invalid_request)",
            "See:  iamctl doctor",
        ),
        (
            json!([{"match": refreshes, "fault": {"status": {"code": 503}}}]),
            5,
            "the test issuer answered 503 with nothing",
            "Try again later; a login or token that is still valid keeps working.",
        ),
        (
            json!([{"match": refreshes, "fault": {"replace_json": {"set": {"token_type": "DPoP"}}}}]),
            1,
            "the test issuer: token_type is DPoP, not Bearer",
            "Tell the administrators of the issuer; details:  iamctl doctor",
        ),
    ] {
        let _faults = place.iam.faults(&rules)?;
        shows(&token("--force-new")?, exit, text, advice);
    }
    // What the user has to do at the issuer, what the site has to do, and the end of the sign-in.
    place.iam.change_user(&user, &json!({"signed_aup": false}))?;
    let said = token("--force-new")?.exited(1)?;
    let told = said.errors();
    let advice = "\n  Do at the issuer what it asks for, then try again.\n";
    assert!(told.contains("needs to sign AUP") && told.ends_with(advice), "{told}");
    assert_eq!((said.text().as_str(), told.lines().count()), ("", 2), "{told}");
    place.iam.change_user(&user, &json!({"signed_aup": true}))?;
    token("--force-new")?.ok()?;
    {
        let _faults = place.iam.faults(&refused(401, "invalid_client", "Bad credentials"))?;
        shows(
            &token("--force-new")?,
            1,
            "the test issuer: Bad credentials (invalid_client)",
            "Register anew and sign in with:  iamctl login --new-client",
        );
    }
    wait_for_state(&place.node, &user, "test", "client-broken", Duration::from_secs(20))?;
    Ok(())
}

fn an_account_that_is_not_changed_says_why_and_what_to_do(world: &World) -> Outcome {
    let place = world.place(place)?;
    let user = world.user()?;
    place.sign_in(&user)?;
    let account = |words: &str| place.iamctl(&user, &format!("account {words}"));
    shows(
        &account("add test --issuer test --no-login")?,
        1,
        "you have an account \u{201c}test\u{201d} already",
        "Choose another name, or change it with:  iamctl account edit test",
    );
    shows(
        &account("edit test --client-name 'my laptop'")?,
        4,
        "the client of this account is the site's, and so is its name",
        "Ask the administrators of this site, or use a client of your own:  iamctl account add --own-client",
    );
    shows(
        &account("show test --secrets")?,
        4,
        "this site does not show the secrets of accounts",
        "Ask the administrators of this site.",
    );
    shows(
        &place.iamctl(&user, "login test --new-client")?,
        4,
        "the client at this issuer is the site's; only the issuer's refusal of it makes a new one",
        "Ask the administrators of this site.",
    );
    shows(
        &account("rename test '../x'")?,
        2,
        "\u{201c}../x\u{201d} is not an account name: use 1 to 32 of a-z, 0-9, '.', '_' and '-', \
         beginning with a letter or digit",
        "",
    );
    shows(
        &place.iamctl(&user, "admin reload")?,
        4,
        "polkit does not allow you org.iamd1.admin.reload",
        "This needs an administrator: run it as root, or ask one.",
    );
    Ok(())
}

fn a_passphrase_that_does_not_fit_says_so_and_what_to_do(world: &World) -> Outcome {
    const WORDS: &str = "correct horse battery";
    let place = world.place(place)?;
    let user = world.user()?;
    place.sign_in(&user)?;
    let set = |words: &str| place.given(&user, words, "account passphrase --new-passphrase-fd 0");
    shows(&set("short")?, 2, "a passphrase has at least 8 characters", "");
    set(WORDS)?.ok()?;
    place.iamctl(&user, "account lock")?.ok()?;
    let advice = "Unlock it with:  iamctl account unlock";
    shows(&place.iamctl(&user, "token")?, 3, "the account test is locked", advice);
    let unlock = |words: &str| place.given(&user, words, "account unlock --passphrase-fd 0");
    for _ in 0..5 {
        shows(
            &unlock("wrong horse battery")?,
            1,
            "that is not the passphrase of the account test",
            "Try again. One that is lost cannot be recovered: sign out with iamctl logout, and in again.",
        );
    }
    // The right one neither, for a while.
    shows(
        &unlock(WORDS)?,
        4,
        "too many wrong passphrases just now; none is tried for a minute",
        "Wait a minute, then try again.",
    );
    Ok(())
}

fn a_store_that_cannot_be_written_says_why_and_what_to_do(world: &World) -> Outcome {
    let place = world.place(place)?;
    let user = world.user()?;
    place.sign_in(&user)?;
    // As a program that writes the database holds it: byte 120 of the shared memory beside it is
    // the lock of writers (https://www.sqlite.org/walformat.html, section 2.3.1).
    let hold = "import fcntl, os, time; f = open('/var/lib/iamd/iamd.db-shm', 'r+b'); \
                fcntl.lockf(f, fcntl.LOCK_EX, 1, 120); open('/run/held', 'w'); \
                [time.sleep(0.1) for _ in iter(lambda: os.path.exists('/run/held'), False)]";
    let line = format!("rm -f /run/held; setsid python3 -c \"{hold}\" >/dev/null 2>&1 &");
    place.node.exec(&line)?.ok()?;
    let said = eventually("the database to be held", Duration::from_secs(20), || {
        place.node.exec("test -e /run/held")?.ok()
    })
    .and_then(|_| place.iamctl(&user, "account edit test --aud https://se.test"));
    place.node.exec("rm -f /run/held")?.ok()?;
    shows(
        &said?,
        5,
        "/var/lib/iamd/iamd.db: database is locked; another program has it open, such as sqlite3: close it",
        "Try again; administrators see:  journalctl -u iamd",
    );
    // It was only held for a while.
    eventually("the account to be changed", Duration::from_secs(20), || {
        place.iamctl(&user, "account edit test --aud https://se.test")?.ok()
    })?;
    Ok(())
}
