//! Whatever bytes come: no panic, and nothing in a text that a terminal acts on.

use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::{
    super::{
        classify,
        error::ErrorReply,
        http::{Reply, parse_retry_after},
        jwt,
        redact::{LONGEST, Redactor},
    },
    NOW, profile, secret,
};
use crate::account::Dialect;

fn is_fit_for_people(text: &str) -> bool {
    text.chars()
        .all(|c| !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'))
}

/// Error replies that are nearly right.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let text = "\\PC{0,40}|[\\x00-\\x7f]{0,40}|invalid_grant|invalid_token|slow_down";
    let json = (text, text).prop_map(|(error, description)| {
        serde_json::json!({ "error": error, "error_description": description })
            .to_string()
            .into_bytes()
    });
    prop_oneof![json, proptest::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn any_error_reply_is_read(status in 100_u16..600, body in body()) {
        let reply = Reply { status, retry_after: None, date: None, certificate: None, body: Zeroizing::new(body) };
        let held = [secret("a-refresh-token")];
        let read = || ErrorReply::read(&profile("https://iam.example/"), &reply, &Redactor::new(&held));
        prop_assert!(is_fit_for_people(&read().text), "{:?}", read().text);
        prop_assert!(read().code().len() <= 64);
        let _ = (classify::poll(read()), classify::refresh(read()));
        let _ = classify::device(read(), Dialect::IndigoIam);
    }

    #[test]
    fn a_secret_never_survives(
        before in "\\PC{0,30}", held in "[!-~]{1,60}", after in "\\PC{0,30}", in_words in any::<bool>(),
    ) {
        let gap = if in_words { " " } else { "" };
        let held = secret(&held);
        let text = format!("{before}{gap}{}{gap}{after}", held.expose_secret());
        let clean = Redactor::new([&held]).clean(&text);
        // What stands for a secret may hold a short one by chance.
        prop_assert!(!clean.replace("[redacted]", "").contains(held.expose_secret()), "{clean:?}");
        prop_assert!(is_fit_for_people(&clean) && clean.chars().count() <= LONGEST);
    }

    #[test]
    fn any_token_and_any_header_is_read(text in "\\PC{0,80}|[A-Za-z0-9_.-]{0,80}|eyJ[A-Za-z0-9_-]{0,30}\\.eyJ[A-Za-z0-9_-]{0,30}\\.") {
        let _ = (jwt::expires_at(&text), jwt::unsigned_expires_at(&text), parse_retry_after(&text, NOW));
    }
}
