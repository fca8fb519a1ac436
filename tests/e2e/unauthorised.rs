//! Who is no administrator gets nothing done: every method of administration that the introspection
//! lists is called on a node where polkit says no, with arguments that would change something.

use std::collections::BTreeSet;
use std::time::Duration;

use iamd_tests::{Error, Node, Output, World, clock, eventually, sign_in, uid};
use serde_json::Value;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::own;
use crate::people::{error_of, json};

type Result<T> = std::result::Result<T, Error>;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: each_method_of_administration_is_refused_where_polkit_says_no_and_nothing_happens,
    ]
}

/// What is installed for programs to read.
const INTERFACES: &str = include_str!("../../dist/dbus/org.iamd1.xml");
const WORDS: &str = "the words of a backup";

/// Every method with arguments for busctl(1), and the action that polkit is asked for.
const METHODS: &[(&str, &str, &str)] = &[
    ("AcceptStore", "", "backup"),
    ("Backup", "a{sv}a{sh} 0 0", "backup"),
    ("CheckPolicy", "", "inspect"),
    ("CheckStore", "", "inspect"),
    ("DisablePasswordFlow", "a{sv} 2 issuer s test client s enabled", "password-flow"),
    ("Drain", "", "inspect"),
    ("EnablePasswordFlow", "a{sv} 2 issuer s test client s another", "password-flow"),
    ("ExplainPolicy", "s alice", "inspect"),
    ("PasswordFlows", "", "password-flow"),
    ("Rekey", "a{sv} 0", "keys"),
    ("RekeyProgress", "", "keys"),
    ("Reload", "", "reload"),
    ("Restore", "a{sv}a{sh} 1 replace b true 0", "backup"),
    ("Revoke", "a{sv} 1 user s alice", "revoke"),
    ("Sessions", "", "inspect"),
    ("SetDrain", "a{sv} 1 on b true", "drain"),
    ("Stats", "", "inspect"),
    ("Users", "", "inspect"),
];

fn methods() -> BTreeSet<&'static str> {
    let admin =
        INTERFACES.split("<interface ").find(|text| text.starts_with("name=\"org.iamd1.Admin\""));
    let methods = admin.unwrap_or_default().split("<method name=\"").skip(1);
    methods.filter_map(|rest| rest.split('"').next()).collect()
}

fn each_method_of_administration_is_refused_where_polkit_says_no_and_nothing_happens(
    world: &World,
) -> Outcome {
    let there: BTreeSet<&str> = METHODS.iter().map(|(method, ..)| *method).collect();
    assert_eq!(methods(), there, "each method stands in the table");
    let (node, issuer) = own(world, "unauthorised", &[], "")?;
    let (node, issuer) = (&node, &issuer);
    // carol administers everything but backups, by a rule; user01 is refused by one, and the others
    // have none: alice without a session, bob in one.
    let rules = "polkit.addRule(function(action, subject) {\n\
                 if (action.id.indexOf('org.iamd1.admin.') != 0) return;\n\
                 if (subject.user == 'user01') return polkit.Result.NO;\n\
                 if (subject.user == 'carol' && action.id != 'org.iamd1.admin.backup') return polkit.Result.YES;\n\
                 });\n";
    node.put("/etc/iamd/rule", 0o644, "root", rules.as_bytes())?;
    node.exec("mv /etc/iamd/rule /etc/polkit-1/rules.d/10-iamd.rules")?.ok()?;
    drop(sign_in(node, issuer, "alice")?);
    node.exec("iamctl admin password-flow enable --issuer test --client enabled")?.ok()?;
    let backup = format!("printf '%s\\n' '{WORDS}' | iamctl admin backup --passphrase-fd 0");
    node.exec(&format!(
        "{backup} /root/iamd.backup && cp /root/iamd.backup /home/alice/copy && \
                        chown alice /home/alice/copy && cp /root/iamd.backup /home/carol/copy && \
                        chown carol /home/carol/copy"
    ))?
    .ok()?;
    eventually("carol's rule to hold", Duration::from_secs(20), || {
        clock::pause(Duration::from_millis(200));
        node.exec_as("carol", "iamctl admin users")?.ok()
    })?;
    // What a reload would bring.
    node.exec("sed -i 's/^title = .*/title = \"Another title\"/' /etc/iamd/issuers.d/test.toml")?
        .ok()?;
    let (before, revocations) = (state(node)?, issuer.count("POST /revoke")?);

    for (method, arguments, action) in METHODS {
        for user in ["alice", "bob", "user01", "carol"] {
            if user == "carol" && *action != "backup" {
                continue;
            }
            let said = call(node, user, method, arguments)?;
            assert_ne!(said.code, 0, "{user}: {method}: {said:?}");
            let refusal = format!("polkit does not allow you org.iamd1.admin.{action}");
            assert!(said.errors().contains(&refusal), "{user}: {method}: {said:?}");
            assert_eq!(said.text(), "", "{user}: {method}");
        }
    }
    backups_are_refused(node)?;
    assert_eq!(state(node)?, before);
    assert_eq!(issuer.count("POST /revoke")?, revocations);
    node.exec_as("alice", "iamctl token --force-new")?.ok()?;

    // Each refusal is on record, with the method and the action.
    for user in ["alice", "bob", "user01"] {
        let told = node.root_says(&format!(
            "journalctl -b -o cat --no-pager IAMD_EVENT=administration IAMD_RESULT=NotAuthorized \
             IAMD_UID={}",
            uid(user)?
        ))?;
        for (method, _, action) in METHODS {
            let refused = format!("{method} (org.iamd1.admin.{action})");
            assert!(told.contains(&refused), "{user}: {refused}: {told}");
        }
    }
    let named = "journalctl -b -o cat --no-pager IAMD_EVENT=administration \
                 IAMD_RESULT=NotAuthorized IAMD_CLIENT=another";
    assert_ne!(node.root_says(&format!("{named} | wc -l"))?, "0", "which client was named");
    Ok(())
}

/// A call of the method over the bus: without a session, or in one without a terminal.
fn call(node: &Node, user: &str, method: &str, arguments: &str) -> Result<Output> {
    let line =
        format!("busctl --system call org.iamd1 /org/iamd1 org.iamd1.Admin {method} {arguments}");
    match user {
        "bob" => node.ssh(user).run(&line),
        _ => node.exec_as(user, &line),
    }
}

/// As a user would do it: nothing of a backup comes out, and nothing of one gets in.
fn backups_are_refused(node: &Node) -> Result<()> {
    for user in ["alice", "carol"] {
        let with = |words: &str| {
            let line =
                format!("printf '%s\\n' '{WORDS}' | iamctl admin {words} --passphrase-fd 0 --json");
            node.exec_as(user, &line)
        };
        for words in [
            format!("backup /home/{user}/mine"),
            format!("restore --replace /home/{user}/copy"),
            format!("backup --verify /home/{user}/copy"),
        ] {
            let said = with(&words)?.exited(4)?;
            assert_eq!(error_of(&said)?.0, "NotAuthorized", "{user}: {words}: {said:?}");
        }
        let left =
            node.root_says(&format!("ls -A /home/{user} | grep -E 'mine|partial' || true"))?;
        assert_eq!(left, "", "{user}");
    }
    Ok(())
}

/// What administration could have changed.
fn state(node: &Node) -> Result<Value> {
    let account = json(node, "alice", "iamctl account show test --json")?;
    let account = &account["account"];
    let issuer = json(node, "alice", "iamctl issuer show test --json")?;
    Ok(serde_json::json!({
        "account": [account["state"], account["client_id"], account["signed_in_at"], account["subject"]],
        "issuer": issuer["issuer"]["title"],
        "draining": json(node, "root", "iamctl admin drain --show --json")?["draining"],
        "flows": json(node, "root", "iamctl admin password-flow list --json")?,
        "keys": json(node, "root", "iamctl admin rekey --status --json")?,
        "store": json(node, "root", "iamctl admin store check --json")?["sound"],
    }))
}
