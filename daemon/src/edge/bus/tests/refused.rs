//! What needs an administrator, method by method as the introspection lists them: polkit is asked for
//! the method's own action, and where it says no, nothing happens.

use std::{io::Read as _, sync::Mutex};

use iamd_protocol::bus::{
    ACTION_BACKUP, ACTION_DRAIN, ACTION_INSPECT, ACTION_KEYS, ACTION_PASSWORD_FLOW, ACTION_RELOAD,
    ACTION_REVOKE, BackupOptions, DrainOptions, PasswordFlowOptions, RekeyOptions, RestoreOptions,
    RevokeOptions, backup,
};
use zbus::{Fd, OwnedVariant};
use zbus_polkit::policykit1::AuthorizationResult;

use super::{contract::methods_of, *};
use crate::{audit::Kind as Event, service::By};

/// Every method and what polkit is asked. A new one needs its line here, and one in the end-to-end
/// test of the same name.
const METHODS: &[(&str, &str)] = &[
    ("AcceptStore", ACTION_BACKUP),
    ("Backup", ACTION_BACKUP),
    ("CheckPolicy", ACTION_INSPECT),
    ("CheckStore", ACTION_INSPECT),
    ("DisablePasswordFlow", ACTION_PASSWORD_FLOW),
    ("Drain", ACTION_INSPECT),
    ("EnablePasswordFlow", ACTION_PASSWORD_FLOW),
    ("ExplainPolicy", ACTION_INSPECT),
    ("PasswordFlows", ACTION_PASSWORD_FLOW),
    ("Rekey", ACTION_KEYS),
    ("RekeyProgress", ACTION_KEYS),
    ("Reload", ACTION_RELOAD),
    ("Restore", ACTION_BACKUP),
    ("Revoke", ACTION_REVOKE),
    ("Sessions", ACTION_INSPECT),
    ("SetDrain", ACTION_DRAIN),
    ("Stats", ACTION_INSPECT),
    ("Users", ACTION_INSPECT),
];

/// What polkit was asked.
static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Allows nothing.
struct No;

#[interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl No {
    fn check_authorization(
        &self,
        subject: (String, HashMap<String, OwnedVariant>),
        action: String,
        _details: HashMap<String, String>,
        _flags: u32,
        _cancellation: String,
    ) -> AuthorizationResult {
        assert_eq!(subject.0, "system-bus-name", "asked by a name that cannot be another's");
        ASKED.lock().unwrap().push(action);
        AuthorizationResult { is_authorized: false, is_challenge: true, details: HashMap::new() }
    }
}

/// Calls the method with arguments that would have it do something.
async fn call(line: &Line, method: &str, pipe: Fd<'static>) -> Result<(), String> {
    let of = PasswordFlowOptions {
        issuer: Some("wlcg".into()),
        client: Some("client-1".into()),
        ..PasswordFlowOptions::default()
    };
    let descriptors = |data| {
        let (reader, mut words) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut words, b"the words of a backup\n").unwrap();
        let words = Fd::from(std::os::fd::OwnedFd::from(reader));
        HashMap::from([(backup::DATA, data), (backup::PASSPHRASE, words)])
    };
    let by = ":1.7";
    match method {
        "EnablePasswordFlow" | "DisablePasswordFlow" => line.says(by, method, &(of,)).await,
        "Revoke" => {
            let all = RevokeOptions { user: Some("alice".into()), ..RevokeOptions::default() };
            line.says(by, method, &(all,)).await
        }
        "SetDrain" => line.says(by, method, &(DrainOptions { on: true, reason: None },)).await,
        "ExplainPolicy" => line.says(by, method, &("alice",)).await,
        "Rekey" => line.says(by, method, &(RekeyOptions::default(),)).await,
        "Backup" => line.says(by, method, &(BackupOptions::default(), descriptors(pipe))).await,
        "Restore" => line.says(by, method, &(RestoreOptions::default(), descriptors(pipe))).await,
        _ => line.call_as(by, ADMIN, method).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_method_of_administration_is_refused_where_polkit_says_no_and_nothing_happens() {
    let there: Vec<&str> = METHODS.iter().map(|(method, _)| *method).collect();
    assert_eq!(methods_of(ADMIN), there, "each method stands in the table");
    let with_polkit: Prepare =
        |client| client.serve_at("/org/freedesktop/PolicyKit1/Authority", No);
    let line = Line::between(House::new(), Callers::always(BOB), with_polkit).await;
    let key = signed_in(&line.house.vault);
    let before = line.house.vault.record(&key);
    for (method, action) in METHODS {
        line.house.audit.0.lock().unwrap().clear();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let refused = call(&line, method, Fd::from(std::os::fd::OwnedFd::from(writer))).await;
        assert_eq!(refused.err(), named(Kind::NotAuthorized), "{method}");
        assert_eq!(*ASKED.lock().unwrap(), [*action], "{method}");
        ASKED.lock().unwrap().clear();
        // Not a byte of a backup.
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        assert_eq!(reader.read(&mut [0; 64]).unwrap_or_default(), 0, "{method}");
        // The refusal is on record, with the method, and nothing else is.
        let recorded = line.house.audit.0.lock().unwrap().clone();
        let [one] = recorded.as_slice() else { panic!("{method}: {recorded:?}") };
        assert_eq!(
            (one.kind, one.uid, one.result.as_str()),
            (Event::Administration, BOB, "NotAuthorized")
        );
        assert_eq!(one.detail, format!("{method} ({action})"));
        if ["EnablePasswordFlow", "DisablePasswordFlow"].contains(method) {
            let of = (one.issuer.as_str(), one.client.as_str());
            assert_eq!(of, ("https://issuer.test/", "client-1"), "{method}");
        }
    }
    let after = line.house.vault.record(&key);
    assert_eq!((after.generation, after.state), (before.generation, before.state));
    assert!(line.house.issuers.revoked.lock().unwrap().is_empty());
    assert!(!line.house.service.drain_state(By::ITSELF).on);
    assert!(line.house.service.password_flows(By::ITSELF).await.unwrap().is_empty());
}
