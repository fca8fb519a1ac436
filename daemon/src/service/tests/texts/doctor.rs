//! What the doctor finds wrong as far as the daemon sees it, each provoked and shown with its way out.

use iamd_protocol::bus::Finding;

use super::*;
use crate::{
    account::ports::{Cause, Checkup},
    service::tests::passphrases::guarded,
};

async fn findings(house: &House) -> Vec<Finding> {
    house.service.diagnose(&house.caller(ALICE)).await.unwrap()
}

/// The finding whose name and text have these parts.
fn found(findings: &[Finding], name: &str, text: &str) -> Finding {
    let fits = |finding: &&Finding| finding.name.starts_with(name) && finding.text.contains(text);
    findings.iter().find(fits).unwrap_or_else(|| panic!("{name}: {text}: {findings:#?}")).clone()
}

/// Compares it with its row in docs/errors.md. Whoever reads it has to know what to do.
fn shown(when: &str, finding: &Finding) {
    assert_ne!(finding.level, "ok", "{finding:?}");
    assert!(!finding.advice.is_empty(), "{finding:?}");
    let text = format!("{}: {}", finding.name, finding.text);
    iamd_errors::shows("Doctor", when, &text, &finding.level, None, &finding.advice);
}

#[tokio::test(start_paused = true)]
async fn of_sessions_and_accounts() {
    let house = House::new();
    let none = findings(&house).await;
    shown("iamd knows of no login of the user's", &found(&none, "sessions", "no session"));
    shown("the user has no account yet", &found(&none, "accounts", "none yet"));
    let nowhere = findings(&House::with("")).await;
    shown("the site names no default issuer", &found(&nowhere, "issuers", "no default"));
    house.make("mine", AddOptions::default(), &[]).await.unwrap();
    let fresh = findings(&house).await;
    shown("an account that never was signed in", &found(&fresh, "account mine", "never"));
    let key = house.alices("lost");
    let why = "its seal does not open with the keys of this node";
    house.vault.unreadable.lock().unwrap().insert(key, why.into());
    let lost = findings(&house).await;
    shown("an account that this node cannot read", &found(&lost, "account lost", "seal"));
}

#[tokio::test(start_paused = true)]
async fn of_a_token_file() {
    let house = House::new();
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    // Only root could: the directory is closed to its user.
    let file = house.dir.path().join("users/1001/bt_u1001");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    house.log_in(ALICE).await;
    let mut stands = found(&findings(&house).await, "token file", "");
    stands.text = stands.text.replace(house.dir.path().to_str().unwrap(), "/run/iamd");
    shown("something stands in the token file's place", &stands);
}

#[tokio::test]
async fn of_a_passphrase() {
    let house = guarded().await;
    house.service.lock(&house.caller(ALICE), "").await.unwrap();
    let locked = findings(&house).await;
    shown("an account that is locked", &found(&locked, "account wlcg", "locked"));
}

#[tokio::test(start_paused = true)]
async fn of_a_sign_in_and_its_token() {
    let house = House::new();
    let key = house.signed_in_with_token();
    let now = house.clock.wall();
    house.change(&key, |record| {
        record.refresh_expires_at = Some(now.plus(30 * 3600 * S));
        record.access_token.as_mut().unwrap().token = "x".repeat(5000).into();
    });
    let found_now = findings(&house).await;
    shown("a sign-in that ends within days", &found(&found_now, "account wlcg", "ends in"));
    shown("a token that XRootD refuses", &found(&found_now, "token size", "XRootD"));
    *house.issuers.alive.lock().unwrap() = Some(Ok(Some(false)));
    let dead = findings(&house).await;
    shown("a refresh token that is dead", &found(&dead, "sign-in of", "not valid any more"));
    *house.issuers.alive.lock().unwrap() = Some(Err(unreachable()));
    let unknown = findings(&house).await;
    shown("introspection fails", &found(&unknown, "sign-in of", "could not be inspected"));
    let half = found(&unknown, "issuer wlcg", "not all else");
    assert_eq!(half.level, "problem");
    shown("an issuer that answers for its metadata alone", &half);
    house.change(&key, |record| record.state = State::LoginRequired { reason: "revoked".into() });
    let ended = findings(&house).await;
    shown("a sign-in that has ended", &found(&ended, "account wlcg", "revoked"));
}

#[tokio::test(start_paused = true)]
async fn of_issuers_that_were_asked_as_often_as_a_user_may() {
    let house = House::and("[limits]\ntokens_per_minute = 2\n");
    house.signed_in_with_token();
    // The default issuer, and what is asked for the account.
    findings(&house).await;
    house.issuers.asked_for.lock().unwrap().clear();
    let again = findings(&house).await;
    assert!(house.issuers.asked_for.lock().unwrap().is_empty(), "a loop reaches no issuer");
    shown("diagnoses in a loop", &found(&again, "issuers", "not asked now"));
    tokio::time::advance(Duration::from_secs(60)).await;
    findings(&house).await;
    assert!(!house.issuers.asked_for.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_made_costs_no_token_and_who_has_many_accounts_has_one_too() {
    let house = House::and("[limits]\ntokens_per_minute = 3\n");
    house.signed_in_with_token();
    let anew = || TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    for _ in 0..2 {
        house.token(anew()).await.unwrap();
    }
    // It takes two, and one is left.
    for _ in 0..3 {
        found(&findings(&house).await, "issuers", "not asked now");
    }
    house.token(anew()).await.unwrap();
    assert_eq!(house.token(anew()).await.unwrap_err().kind, Kind::TooManyAttempts);
    tokio::time::advance(Duration::from_secs(60)).await;
    for name in ["a", "b", "c", "d"] {
        house.add(ALICE, "alice", name, "https://issuer.test/");
    }
    let made = findings(&house).await;
    assert!(!made.iter().any(|finding| finding.text.contains("not asked now")), "{made:#?}");
}

#[tokio::test(start_paused = true)]
async fn of_a_client() {
    let house = House::new();
    house.signed_in_with_token();
    *house.issuers.accepts.lock().unwrap() = Some(Ok(false));
    let gone = findings(&house).await;
    shown("the issuer forgot the site's client", &found(&gone, "client of", "does not know"));
    *house.issuers.accepts.lock().unwrap() = Some(Err(unreachable()));
    let unknown = findings(&house).await;
    shown("a client cannot be asked for", &found(&unknown, "client of", "could not be asked"));
    assert_eq!(found(&unknown, "issuer wlcg", "not all else").level, "problem");
    let fixed = "name = \"fix\"\ntitle = \"FIX\"\nurl = \"https://fix.test/\"\nscopes = [\"openid\"]\n\
                 [fixed_client]\nid = \"fixed-id\"\nauth = \"none\"\n";
    std::fs::write(house.dir.path().join("shipped/fix.toml"), fixed).unwrap();
    std::fs::write(house.dir.path().join("iamd.toml"), "[issuers]\ndefault = \"fix\"\n").unwrap();
    house.service.reload(crate::service::By::ITSELF).unwrap();
    *house.issuers.accepts.lock().unwrap() = Some(Ok(false));
    let gone = findings(&house).await;
    shown("the issuer forgot the client of its file", &found(&gone, "client of issuer", "know"));
}

#[tokio::test(start_paused = true)]
async fn of_an_issuer() {
    let house = House::new();
    let now = house.clock.wall();
    let looked = |checkup: Checkup| *house.issuers.probe.lock().unwrap() = Some(Ok(checkup));
    looked(Checkup { lacks: vec!["device login"], ..Checkup::default() });
    let lacks = findings(&house).await;
    shown("metadata without an endpoint", &found(&lacks, "issuer wlcg", "names no endpoint"));
    for (when, ahead) in [("a clock that is behind", 300), ("a clock that is ahead", -300)] {
        looked(Checkup { clock_ahead: Some(ahead), ..Checkup::default() });
        shown(when, &found(&findings(&house).await, "clock and issuer", "this node's clock"));
    }
    let certificate_ends = Some(now.plus(30 * 3600 * S));
    looked(Checkup { certificate_ends, ..Checkup::default() });
    let ends = findings(&house).await;
    shown("a certificate that ends soon", &found(&ends, "certificate of", "ends in"));
    *house.issuers.probe.lock().unwrap() = None;
    *house.issuers.probe_latency.lock().unwrap() = 600 * S;
    let silent = findings(&house).await;
    shown("an issuer that is silent", &found(&silent, "issuer wlcg", "no answer within"));
    *house.issuers.health.lock().unwrap() = Some(Health::Open(30 * S));
    let open = findings(&house).await;
    shown("an issuer that failed too often", &found(&open, "issuer wlcg", "failed too often"));
    *house.issuers.health.lock().unwrap() = None;
    *house.issuers.probe_latency.lock().unwrap() = Duration::ZERO;
    *house.issuers.probe.lock().unwrap() = Some(Err(IssuerError::CircuitOpen {
        issuer: "WLCG".into(),
        retry_in: 30 * S,
        last: Some(Box::new(unreachable())),
    }));
    let open = findings(&house).await;
    let when = "an issuer that failed too often, as it failed the last time";
    shown(when, &found(&open, "issuer wlcg", "the last time"));
}

/// What is said of an issuer that does not answer, and what is to be done, by what keeps it from that.
#[tokio::test(start_paused = true)]
async fn of_the_way_to_an_issuer() {
    let house = House::new();
    let (here, url) = ("issuer.test", "https://issuer.test/");
    let certificate =
        "the TLS certificate of issuer.test is not accepted: invalid peer certificate";
    let nothing =
        |what: &str| format!("no metadata at {url}: WLCG {what}; is this the issuer's URL?");
    for (when, cause, text) in [
        (
            "a name that is not known",
            Cause::Name,
            format!("no connection to {here}: Name or service not known"),
        ),
        (
            "a port where nobody is",
            Cause::NoConnection,
            format!("no connection to {here}: Connection refused"),
        ),
        (
            "a firewall that swallows",
            Cause::ConnectTimeout,
            format!("no connection to {here} within 5 s"),
        ),
        (
            "an authority that is not trusted",
            Cause::Authority,
            format!("{certificate}: UnknownIssuer"),
        ),
        (
            "a certificate that has ended",
            Cause::Expired,
            format!("{certificate}: certificate expired"),
        ),
        (
            "a certificate that does not hold yet",
            Cause::NotYetValid,
            format!("{certificate}: not valid yet"),
        ),
        (
            "a certificate for another host",
            Cause::OtherName,
            format!("{certificate}: not valid for name"),
        ),
        (
            "TLS that this node does not speak",
            Cause::Tls,
            format!("no connection to {here}: HandshakeFailure"),
        ),
        (
            "a connection that breaks",
            Cause::Broken,
            format!("the connection to {here} broke: reset by peer"),
        ),
        (
            "an issuer that takes its time",
            Cause::Slow,
            format!("no answer from {here} within 30 s (limits.reply_time)"),
        ),
        (
            "an issuer with too much to do",
            Cause::Status(429),
            "WLCG answered 429 with nothing".into(),
        ),
        (
            "an issuer that fails",
            Cause::Status(502),
            "WLCG answered 502 with a page instead of JSON".into(),
        ),
        (
            "an issuer that has moved",
            Cause::Status(301),
            nothing("redirects (301), which is not followed"),
        ),
        ("an issuer that keeps us out", Cause::Status(403), nothing("answered 403 with nothing")),
        ("a URL where no issuer is", Cause::Status(404), nothing("answered 404 with nothing")),
        (
            "a portal in its place",
            Cause::NotJson,
            nothing("answered 200 with a page instead of JSON"),
        ),
        (
            "another issuer in its place",
            Cause::OtherIssuer,
            format!("the issuer at {url} says that it is https://other.test/"),
        ),
    ] {
        *house.issuers.probe.lock().unwrap() =
            Some(Err(IssuerError::NoMetadata { text: text.clone(), cause }));
        shown(when, &found(&findings(&house).await, "issuer wlcg", &text));
    }
}

/// An issuer that a user named is in no file of the site.
#[tokio::test(start_paused = true)]
async fn of_the_way_to_an_issuer_of_ones_own() {
    let house = House::with("[issuers]\ncustom = true\n");
    house.add(ALICE, "alice", "mine", "https://mine.example/");
    let certificate = "the TLS certificate of mine.example is not accepted: UnknownIssuer";
    let other = "the issuer at https://mine.example/ says that it is https://other.test/";
    for (when, cause, text) in [
        ("an authority that is not trusted, of one's own issuer", Cause::Authority, certificate),
        ("another issuer in the place of one's own", Cause::OtherIssuer, other),
    ] {
        let error = IssuerError::NoMetadata { text: text.to_owned(), cause };
        *house.issuers.probe.lock().unwrap() = Some(Err(error));
        shown(when, &found(&findings(&house).await, "issuer mine.example", text));
    }
}
