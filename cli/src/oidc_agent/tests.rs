//! Files as oidc-agent wrote them, files that were changed on the way, and any bytes.

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

/// The password of all of them. See `tests/oidc-agent/README.md`.
const PASSWORD: &str = "fixture password";

macro_rules! files {
    ($($constant:ident = $name:literal;)*) => {
        $(const $constant: &[u8] = include_bytes!(concat!("../../tests/oidc-agent/", $name));)*
    };
}
files! {
    DEBIANS = "oidc-gen-4.2.6";
    REGISTERED = "registered-4.2.6";
    VERSION_5 = "version-5";
    MYTOKEN = "mytoken-5";
    ARGON2I = "argon2i";
    HEX_ARGON2I = "hex-argon2i";
    HEX_ARGON2ID = "hex-argon2id";
    PLAIN = "plain.json";
    NO_REFRESH_TOKEN = "no-refresh-token.json";
}
/// Those that a password opens.
const SEALED: [&[u8]; 7] =
    [DEBIANS, REGISTERED, VERSION_5, MYTOKEN, ARGON2I, HEX_ARGON2I, HEX_ARGON2ID];

fn content(bytes: &[u8]) -> Result<Content, Unreadable> {
    Content::of(Zeroizing::new(bytes.to_vec()))
}

fn open(bytes: &[u8], password: &str) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    content(bytes)?.open(Some(&SecretString::from(password)))
}

fn account(bytes: &[u8]) -> Result<Account, Unfit> {
    Account::of(&open(bytes, PASSWORD).unwrap())
}

#[test]
fn every_form_since_the_first_gives_its_account() {
    for (bytes, issuer, secret, audiences) in [
        (DEBIANS, "http://127.0.0.1:18099/", true, 0),
        (REGISTERED, "https://iam.example.org/", true, 0),
        (VERSION_5, "https://iam.example.org/", false, 2),
        (ARGON2I, "https://iam.example.org/", true, 0),
        (HEX_ARGON2I, "https://iam.example.org/", true, 0),
        (HEX_ARGON2ID, "https://iam.example.org/", true, 0),
        (PLAIN, "https://iam.example.org/", true, 0),
    ] {
        let account = account(bytes).unwrap();
        assert_eq!(account.name.as_deref(), Some("fixture"));
        assert_eq!(
            (account.issuer.as_str(), account.client_id.as_deref()),
            (issuer, Some("fixture-client"))
        );
        assert_eq!(account.refresh_token.expose_secret(), "fixture-refresh-token");
        let secret = secret.then_some("fixture-client-secret");
        assert_eq!(account.client_secret.as_ref().map(|s| s.expose_secret()), secret);
        assert_eq!(account.scopes, ["openid", "offline_access", "storage.read:/"]);
        assert_eq!(account.audiences.len(), audiences);
        assert_eq!(account.remarks.is_empty(), bytes != REGISTERED, "{:?}", account.remarks);
    }
}

#[test]
fn what_is_no_refresh_token_is_refused_with_the_issuer_to_go_to() {
    let issuer = || Some("https://iam.example.org/".to_owned());
    assert_eq!(account(MYTOKEN).unwrap_err(), Unfit::Mytoken(issuer()));
    assert_eq!(account(NO_REFRESH_TOKEN).unwrap_err(), Unfit::NoRefreshToken(issuer()));
    for json in ["{}", r#"{"issuer_url":"https://x/"}"#, r#"{"client_id":7}"#, "{\"a\"", "[]"] {
        assert_eq!(Account::of(json.as_bytes()).unwrap_err(), Unfit::Foreign, "{json}");
    }
}

#[test]
fn what_is_not_taken_is_said_and_shows_no_secret() {
    let json = r#"{"name":"a","issuer":"https://x/","client_id":"c","refresh_token":"canary",
        "cert_path":"/home/a/ca.pem","daeSetByUser":1,"registration_access_token":"canary",
        "password":"canary","client_secret":"canary","scope":" a  b ","unknown":[{}]}"#;
    let account = Account::of(json.as_bytes()).unwrap();
    assert_eq!(account.remarks.len(), 4, "{:?}", account.remarks);
    assert_eq!(account.scopes, ["a", "b"]);
    assert!(!format!("{account:?}").contains("canary"), "{account:?}");
}

#[test]
fn another_password_opens_none_of_them() {
    for bytes in SEALED {
        for password in ["fixture passwore", "", "fixture password\n"] {
            assert_eq!(open(bytes, password).unwrap_err(), Unreadable::WrongPassword);
        }
        assert_eq!(content(bytes).unwrap().open(None).unwrap_err(), Unreadable::WrongPassword);
    }
}

#[test]
fn a_file_that_was_changed_does_not_open() {
    let text = str::from_utf8(DEBIANS).unwrap();
    // A letter of each line that says what is sealed and how: length, nonce, salt, box, hash.
    for line in [0, 1, 2, 4, 5] {
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let first = if lines[line].starts_with('2') { "3" } else { "2" };
        lines[line].replace_range(..1, first);
        assert!(open(lines.join("\n").as_bytes(), PASSWORD).is_err(), "line {line}");
    }
    let hex = str::from_utf8(HEX_ARGON2ID).unwrap();
    let last = if hex.ends_with('0') { "1" } else { "0" };
    let changed = format!("{}{last}", &hex[..hex.len() - 1]);
    assert_eq!(open(changed.as_bytes(), PASSWORD).unwrap_err(), Unreadable::WrongPassword);
}

#[test]
fn a_file_that_was_cut_off_is_told_before_its_password_is_tried() {
    for whole in [DEBIANS, VERSION_5, HEX_ARGON2I] {
        let version = whole.windows(9).position(|part| part == b"Generated");
        // The version is all that may be missing.
        let end = version.unwrap_or(whole.len()) - 1;
        for length in 0..end {
            assert!(content(&whole[..length]).is_err(), "{length} of {end}");
        }
    }
    let message = "-----BEGIN PGP MESSAGE-----\n\nhQEMA";
    assert_eq!(content(message.as_bytes()).unwrap_err(), Unreadable::Damaged("it is not whole"));
}

#[test]
fn what_opening_may_cost_is_bounded_before_it_is_paid() {
    let text = str::from_utf8(DEBIANS).unwrap();
    let with = |numbers: &str| {
        let lines: Vec<_> = text.split('\n').collect();
        let old = lines[3].to_owned();
        content(text.replace(&old, numbers).as_bytes())
    };
    for costly in ["24:16:16:32:1:2:1073742848:2", "24:16:16:32:1:9:67108864:2"] {
        assert_eq!(with(costly).unwrap_err(), Unreadable::TooCostly, "{costly}");
    }
    for numbers in [
        "24:16:16:32:1:2:67108864",
        "24:16:16:32:1:2:67108864:2:2",
        "24:16:16:32:1:2:67108864:9",
        "24:16:16:32:9:2:67108864:2",
        "24:16:16:33:1:2:67108864:2",
        "24:16:16:32:1:2:-1:2",
        "24:16:16:32:1:2:99999999999999999999:2",
        "",
    ] {
        assert!(matches!(with(numbers).unwrap_err(), Unreadable::Damaged(_)), "{numbers}");
    }
    assert!(with("24:16:16:32:1:4:1073741824:2").is_ok());
}

#[test]
fn what_is_of_somebody_else_is_not_taken_for_damaged() {
    for other in ["", "\n\n", "-----BEGIN PRIVATE KEY-----\n", "a:b:c:d", "1:2", "\u{1b}[2J", "\0"]
    {
        assert_eq!(content(other.as_bytes()).unwrap_err(), Unreadable::Foreign, "{other:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_form_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _ = content(&bytes);
        let _ = Account::of(&bytes);
    }

    #[test]
    fn any_lines_are_a_form_or_an_error(
        lines in proptest::collection::vec("[0-9:]{0,40}|[A-Za-z0-9+/=]{0,60}|\\PC{0,20}", 0..10),
    ) {
        let _ = content(lines.join("\n").as_bytes());
    }

    #[test]
    fn a_file_with_any_part_in_another_ones_place_is_a_form_or_an_error(
        which in 0..SEALED.len(), at in any::<prop::sample::Index>(),
        piece in proptest::collection::vec(any::<u8>(), 0..64), length in 0..128_usize,
    ) {
        let mut bytes = SEALED[which].to_vec();
        let start = at.index(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, piece);
        let _ = content(&bytes);
    }

    #[test]
    fn any_json_of_such_members_is_an_account_or_an_error_and_shows_no_secret(
        name in "\\PC{0,20}", issuer in "\\PC{0,20}", client in any::<String>(), other in "\\PC{0,9}",
        flag in prop_oneof![Just("0"), Just("1"), Just("\"x\""), Just("{}"), Just("null"), Just("[1]")],
    ) {
        let json = serde_json::json!({
            "name": name, "issuer": issuer, "client_id": client, other: "x",
            "refresh_token": "CANARY-token", "client_secret": "CANARY-secret",
        });
        let flags = format!(r#","daeSetByUser":{flag},"mytoken_profile":{flag}}}"#);
        let json = json.to_string().strip_suffix('}').unwrap().to_owned() + &flags;
        let shown = format!("{:?}", Account::of(json.as_bytes()));
        prop_assert!(!shown.contains("CANARY"), "{}", shown);
    }
}
