//! One audit record, as journalctl's JSON has it (journalctl(1), `--output=json`), and how it is
//! shown. What is in it was named by users and issuers: it is cleaned before anybody reads it.

use std::collections::BTreeMap;

use iamd_protocol::audit;
use serde_json::{Map, Value, json};

use crate::names;
use crate::output::{text::clean, time};

/// Whose records they are. Only the journal writes fields that begin with `_`.
pub(super) const UNIT: &str = "iamd.service";
const SYSTEMD_UNIT: &str = "_SYSTEMD_UNIT";
const TRUSTED_UID: &str = "_UID";
const HOSTNAME: &str = "_HOSTNAME";
const MESSAGE_ID: &str = "MESSAGE_ID";
/// In each record, asked for or not; microseconds.
const TIME: &str = "__REALTIME_TIMESTAMP";

/// The fields that are asked for, and no others.
pub(super) const ALL: [&str; 16] = [
    SYSTEMD_UNIT,
    TRUSTED_UID,
    HOSTNAME,
    MESSAGE_ID,
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
];

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    micros: u64,
    pub(super) uid: Option<u32>,
    fields: BTreeMap<&'static str, String>,
}

/// The names of users, each asked for once.
#[derive(Default)]
pub(super) struct Names(BTreeMap<u32, Option<String>>);

impl Names {
    /// The user with this uid now; it may have been another one then.
    pub(super) fn of(&mut self, uid: Option<u32>) -> Option<String> {
        let known = self.0.entry(uid?);
        known.or_insert_with_key(|uid| Some(names::user(*uid)?.name)).clone()
    }
}

impl Record {
    /// The record of a line; `None` when it is not one of the daemon's.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let object: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let field = |name: &str| Some(clean(&text(object.get(name)?)?));
        // Asked for already; what is shown as the daemon's has to be.
        if field(SYSTEMD_UNIT)? != UNIT || field(TRUSTED_UID)? != "0" {
            return None;
        }
        let fields: BTreeMap<_, _> =
            ALL.iter().filter_map(|name| Some((*name, field(name)?))).collect();
        fields.get(audit::EVENT)?;
        let micros = field(TIME)?.parse().ok()?;
        let uid = fields.get(audit::UID).and_then(|uid| uid.parse().ok());
        Some(Self { micros, uid, fields })
    }

    /// On one line.
    pub(super) fn line(&self, user: &Option<String>) -> String {
        let get = |name: &str| self.fields.get(name).map_or("-", String::as_str);
        let user = user.as_deref().unwrap_or(get(audit::UID));
        let mut line = format!(
            "{}  {:<16}  {:<16}  {:<10}  {:<12}  {}",
            time::stamp(self.micros / 1_000_000),
            get(audit::EVENT),
            get(audit::RESULT),
            user,
            get(audit::ACCOUNT),
            get(audit::ISSUER),
        );
        if let Some(detail) = self.fields.get(audit::DETAIL) {
            line.push_str("  ");
            line.push_str(detail);
        }
        if let Some(program) = self.fields.get(audit::CALLER_EXE) {
            line.push_str("  by ");
            line.push_str(program);
        }
        line
    }

    /// For programs: what is not in the record is null.
    pub(super) fn json(&self, user: &Option<String>) -> Value {
        let get = |name: &str| self.fields.get(name);
        let number = |name: &str| get(name).and_then(|text| text.parse::<u32>().ok());
        let words = |name: &str| -> Vec<&str> {
            get(name).map(|text| text.split_whitespace().collect()).unwrap_or_default()
        };
        json!({
            "time": self.micros / 1_000_000,
            "micros": self.micros,
            "host": get(HOSTNAME),
            "message_id": get(MESSAGE_ID),
            "event": get(audit::EVENT),
            "result": get(audit::RESULT),
            "uid": self.uid,
            "user": user,
            "account": get(audit::ACCOUNT),
            "issuer": get(audit::ISSUER),
            "client": get(audit::CLIENT),
            "scopes": words(audit::SCOPES),
            "audiences": words(audit::AUDIENCE),
            "token_hash": get(audit::JTI_HASH),
            "caller_pid": number(audit::CALLER_PID),
            "caller_program": get(audit::CALLER_EXE),
            "detail": get(audit::DETAIL),
        })
    }
}

/// A field: text, or a list of bytes where it is not printable, or a list of those where it is
/// there more than once; null where it is too long. Of several the first.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) if list.iter().all(Value::is_u64) => {
            let bytes = list.iter().filter_map(Value::as_u64).map(|byte| u8::try_from(byte).ok());
            Some(String::from_utf8_lossy(&bytes.collect::<Option<Vec<u8>>>()?).into_owned())
        }
        Value::Array(list) => text(list.first()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(changes: Value) -> Vec<u8> {
        let mut record = json!({
            "__REALTIME_TIMESTAMP": "1795463220000001", "_SYSTEMD_UNIT": "iamd.service",
            "_UID": "0", "IAMD_EVENT": "sign-in", "IAMD_UID": "1001", "IAMD_ACCOUNT": "wlcg",
            "IAMD_ISSUER": "https://wlcg.example.org/", "IAMD_RESULT": "ok",
            "IAMD_SCOPES": "openid storage.read:/",
        });
        record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        record.to_string().into_bytes()
    }

    #[test]
    fn what_the_journal_does_not_say_is_the_daemons_is_no_record() {
        assert!(Record::read(&line(json!({}))).is_some());
        for forged in [
            json!({ "_UID": "1001" }),
            json!({ "_UID": ["1001", "0"] }),
            json!({ "_SYSTEMD_UNIT": "user@1001.service" }),
            json!({ "_SYSTEMD_UNIT": null }),
            json!({ "IAMD_EVENT": null }),
            json!({ "__REALTIME_TIMESTAMP": "soon" }),
        ] {
            assert_eq!(Record::read(&line(forged.clone())), None, "{forged}");
        }
        for not_one in ["", "{}", "[]", "nonsense", "{\"_UID\":"] {
            assert_eq!(Record::read(not_one.as_bytes()), None);
        }
    }

    #[test]
    fn no_value_makes_a_second_line_or_steers_a_terminal() {
        let escape =
            json!({ "IAMD_ACCOUNT": "a\nfake\u{1b}[31m", "IAMD_DETAIL": [98, 10, 99, 27] });
        let record = Record::read(&line(escape)).unwrap();
        let shown = record.line(&Some("alice".into()));
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(shown.contains("a fake") && shown.contains("b c"), "{shown}");
        assert!(shown.starts_with("2026-11-23 19:47:00 UTC  sign-in "), "{shown}");
    }

    #[test]
    fn json_has_every_member_and_null_where_nothing_is_known() {
        let record = Record::read(&line(json!({ "IAMD_CALLER_PID": "7" }))).unwrap();
        let json = record.json(&None);
        assert_eq!(json["time"], 1_795_463_220);
        assert_eq!(json["uid"], 1001);
        assert_eq!(json["scopes"], json!(["openid", "storage.read:/"]));
        assert_eq!(json["caller_pid"], 7);
        assert_eq!(json["user"], Value::Null);
        assert_eq!(json["client"], Value::Null);
        assert_eq!(json["audiences"], json!([]));
    }
}
