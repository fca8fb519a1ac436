//! No secret of ours in any text, even when the issuer echoes it.

use super::{DEVICE_CODE, REFRESH_TOKEN, SECRET, secret};
use crate::issuer::redact::{LONGEST, Redactor, printable};

fn clean(text: &str) -> String {
    let secrets = [secret(DEVICE_CODE), secret(REFRESH_TOKEN), secret(SECRET), secret("k9")];
    Redactor::new(&secrets).clean(text)
}

#[test]
fn a_secret_of_the_request_never_comes_out_whole_in_parts_or_in_other_letters() {
    for (text, cleaned) in [
        (
            "Authorization pending for code: 0f9c2d4e-device-code-Canary2",
            "Authorization pending for code: [redacted]",
        ),
        (
            "Refresh token for value refresh-token-Canary3 was not found",
            "Refresh token for value [redacted] was not found",
        ),
        ("value=refresh-token-Canary3&x", "[redacted]"),
        ("REFRESH-TOKEN-CANARY3", "[redacted]"),
        ("cut off: refresh-token-Can", "cut off: [redacted]"),
        ("tail only: en-Canary3", "tail only: [redacted]"),
        ("esc\u{1b}[31maped refresh-\u{200b}token-\u{0}Canary3", "esc[31maped [redacted]"),
        ("short one k9 too", "short one [redacted] too"),
    ] {
        assert_eq!(clean(text), cleaned);
    }
}

#[test]
fn a_secret_with_a_space_in_it_takes_the_whole_text_with_it() {
    let secrets = [secret("my pass")];
    assert_eq!(Redactor::new(&secrets).clean("wrong: my pass!"), "[redacted]");
}

#[test]
fn what_looks_like_a_token_is_redacted_whosever_it_is() {
    for (text, cleaned) in [
        ("bad eyJhbGciOiJub25lIn0.eyJleHAiOjE3NjM1NTU5NDd9.", "bad [redacted].[redacted]."),
        ("token 'AbCdEfGhIjKlMnOpQrStUv' unknown", "token '[redacted]' unknown"),
        ("9bef3e68-0123-4567-89ab-cdef01234567", "[redacted]"),
        (
            "name device_authorization_endpoint is missing",
            "name device_authorization_endpoint is missing",
        ),
        (
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:device_code",
        ),
        ("https://wlcg.cloud.cnaf.infn.it/device", "https://wlcg.cloud.cnaf.infn.it/device"),
    ] {
        assert_eq!(clean(text), cleaned);
    }
}

#[test]
fn the_clients_own_identifier_is_shown_and_no_secret_for_it() {
    let id = "q0PG36uvJDxnFBfuzgtMwRMFmskpSRae_T37bpLYaft";
    let said = format!("scope is not allowed for client '{id}'");
    let secrets = [secret(SECRET)];
    assert_eq!(Redactor::new(&secrets).of_client(id).clean(&said), said);
    assert!(Redactor::new(&secrets).clean(&said).ends_with("client '[redacted]'"));
    // Another's stays hidden, and so does one that is in a longer word.
    let other = format!("client {}x and {id}.{id}", id.to_lowercase());
    assert_eq!(
        Redactor::new(&secrets).of_client(id).clean(&other),
        "client [redacted] and [redacted].[redacted]"
    );
    let both = [secret(id)];
    assert!(!Redactor::new(&both).of_client(id).clean(&said).contains(id));
    assert_eq!(Redactor::new(&secrets).of_client("").clean("plain"), "plain");
}

#[test]
fn a_text_is_printable_and_bounded() {
    assert_eq!(printable("a\tb\r\nc\u{7}\u{202e}d  \u{feff}e ü – 日本 ", 100), "a b cd e ü – 日本");
    let long = clean(&"word ".repeat(100_000));
    assert_eq!(long.chars().count(), LONGEST);
    assert!(long.ends_with('…'));
    assert_eq!(clean("\u{1b}]0;title\u{7}\u{9b}2J"), "]0;title2J");
}
