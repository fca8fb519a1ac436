//! What a record says, and what it cannot be made to say.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use iamd_protocol::audit;
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, layer::SubscriberExt as _};

use super::*;

/// Every field that a record may have, but for those of the journal itself.
const FIELDS: [&str; 14] = [
    "MESSAGE_ID",
    audit::EVENT,
    audit::UID,
    audit::ACCOUNT,
    audit::ISSUER,
    audit::CLIENT,
    audit::SCOPES,
    audit::AUDIENCE,
    audit::JTI_HASH,
    audit::CALLER_PID,
    audit::CALLER_EXE,
    audit::RESULT,
    audit::DETAIL,
    "message",
];

#[test]
fn the_events_are_those_of_the_protocol() {
    let ours: Vec<_> = Kind::ALL.iter().map(|kind| (kind.word(), kind.message_id())).collect();
    assert_eq!(ours, audit::EVENTS);
}

#[test]
fn message_ids_are_128_bits_and_unique() {
    let mut ids: Vec<_> = Kind::ALL.iter().map(|kind| kind.message_id()).collect();
    assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), Kind::ALL.len());
}

/// Each entry of the catalog: its id, and its lines.
fn catalog() -> BTreeMap<String, Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/catalog/iamd.catalog");
    let text = std::fs::read_to_string(path).unwrap();
    let mut entries: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut id = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(next) = line.strip_prefix("-- ") {
            assert!(entries.insert(next.to_owned(), Vec::new()).is_none(), "{next} twice");
            id = Some(next.to_owned());
        } else if let Some(lines) = id.as_ref().and_then(|id| entries.get_mut(id)) {
            lines.push(line.to_owned());
        } else {
            assert!(line.is_empty(), "before the first entry: {line}");
        }
    }
    entries
}

#[test]
fn the_catalog_explains_every_event_and_says_what_to_do() {
    let entries = catalog();
    let ids: Vec<_> = entries.keys().map(String::as_str).collect();
    let mut ours: Vec<_> = Kind::ALL.iter().map(|kind| kind.message_id()).collect();
    ours.sort_unstable();
    assert_eq!(ids, ours);
    for kind in Kind::ALL {
        let lines = &entries[kind.message_id()];
        let head = ["Subject: ", "Defined-By: iamd", "Documentation: man:iamd(8)"];
        for (line, head) in lines.iter().zip(head) {
            assert!(line.starts_with(head), "{}: {line}", kind.word());
        }
        let paragraphs = lines[head.len()..].split(String::is_empty);
        let paragraphs = paragraphs.filter(|paragraph| !paragraph.is_empty()).count();
        assert_eq!(paragraphs, 2, "{}: what happened, and what to do", kind.word());
        // Only fields that the records of iamd have are filled in.
        for part in lines.join(" ").split('@').skip(1).step_by(2) {
            assert!(FIELDS.contains(&part), "{}: @{part}@", kind.word());
        }
    }
    let changed = entries[Kind::Registration.message_id()].join(" ");
    assert!(changed.contains("With not-put-back: mend it"), "{changed}");
}

/// What the subscriber of the journal is given.
#[derive(Default, Clone)]
struct Seen(Arc<Mutex<BTreeMap<String, String>>>);

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.lock().unwrap().insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Seen {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        event.record(&mut self.clone());
    }
}

fn recorded(kind: Kind, event: &Event<'_>) -> BTreeMap<String, String> {
    let seen = Seen::default();
    let subscriber = tracing_subscriber::registry().with(seen.clone());
    tracing::subscriber::with_default(subscriber, || Journal.record(kind, event));
    seen.0.lock().unwrap().clone()
}

#[test]
fn r56_a_record_has_its_fields_and_an_empty_one_is_left_out() {
    let me = std::process::id();
    let event = Event {
        uid: nix::unistd::geteuid().as_raw(),
        account: "wlcg",
        issuer: "https://wlcg.example/",
        client: "id",
        scopes: "openid storage.read:/".into(),
        audience: "https://se".into(),
        token_hash: token_hash(&"abc".to_owned().into()),
        caller_pid: Some(me),
        caller_uid: None,
        result: "ok",
        detail: "narrowed".into(),
    };
    let fields = recorded(Kind::Issue, &event);
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    let mut all = FIELDS;
    all.sort_unstable();
    assert_eq!(names, all);
    assert_eq!(fields["IAMD_EVENT"], "issue");
    assert_eq!(fields["IAMD_JTI_HASH"], "ba7816bf8f01cfea");
    assert_eq!(fields["IAMD_CALLER_PID"], me.to_string());
    let uid = event.uid;
    let line = "account=wlcg issuer=https://wlcg.example/ result=ok: narrowed";
    assert_eq!(fields["message"], format!("issue uid={uid} {line}"));
    let few = recorded(Kind::SessionClosed, &Event { uid: 7, result: "ok", ..Event::default() });
    let names: Vec<&str> = few.keys().map(String::as_str).collect();
    assert_eq!(names, ["IAMD_EVENT", "IAMD_RESULT", "IAMD_UID", "MESSAGE_ID", "message"]);
}

#[test]
fn nothing_that_users_or_issuers_name_makes_a_field_or_a_line() {
    let forged = "x\nIAMD_UID=0\nMESSAGE=all is well\u{1b}[2J\u{202e}\0\u{85}\u{2028}";
    let event = Event {
        account: forged,
        issuer: forged,
        client: forged,
        scopes: forged.into(),
        audience: forged.into(),
        token_hash: forged.into(),
        result: forged,
        detail: forged.into(),
        uid: 4711,
        caller_pid: None,
        caller_uid: None,
    };
    let fields = recorded(Kind::Denial, &event);
    assert_eq!(fields["IAMD_UID"], "4711");
    for (name, value) in &fields {
        let odd = |c: char| c.is_control() || c == '\u{202e}' || c == '\u{2028}';
        assert!(!value.chars().any(odd), "{name}: {value:?}");
    }
    let long = Event { detail: "\u{e4}".repeat(9000), ..Event::default() };
    assert_eq!(recorded(Kind::Denial, &long)["IAMD_DETAIL"].chars().count(), LONGEST + 1);
}

#[test]
fn r56_a_token_is_named_by_its_hash() {
    assert_eq!(token_hash(&"abc".to_owned().into()), "ba7816bf8f01cfea");
}
