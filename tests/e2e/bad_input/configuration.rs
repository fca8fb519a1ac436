//! Mistakes of the site: configuration files and the line in the PAM stack.

use iamd_tests::{Error, Issuer, IssuerSpec, Node, Product, World};

use super::{failed_start, logs_in, starts};
use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::error_of;

pub fn cases() -> Vec<Case> {
    cases![
        every_mistake_in_a_configuration_is_named_with_file_line_and_key,
        iamd_does_not_start_with_a_mistake_and_says_where_it_is,
        a_reload_with_a_mistake_says_where_it_is_and_changes_nothing,
        words_of_the_pam_line_that_mean_nothing_cost_no_login_and_are_logged,
    ]
}

const MAIN: &str = "/etc/iamd/iamd.toml";

/// Configurations with one mistake each, and what is said of it behind the file's name.
const MISTAKES: [(&str, &str); 18] = [
    ("[limits]\naccount = 3\n", ":2: limits.account: unknown key; did you mean accounts?"),
    ("[limit]\n", ":1: limit: unknown key; did you mean limits?"),
    ("[limits]\naccounts = 0\n", ":2: limits.accounts: must be between 1 and 1000"),
    ("[limits]\nlogins = \"two\"\n", ":2: limits.logins: invalid type"),
    ("[limits]\nrequests = -1\n", ":2: limits.requests: must be between 1 and 100000"),
    ("[limits]\nreply_time = \"1h\"\n", ":2: limits.reply_time: must be between"),
    ("[limits]\nframe_bytes = 1\n", ":2: limits.frame_bytes: must be between 1024 and 65536"),
    ("\n[sessions]\ngrace = 15\n", ":3: sessions.grace: invalid type"),
    ("[sessions]\ngrace = \"soon\"\n", ":2: sessions.grace: invalid value"),
    ("[issuers]\n\ndefault = \"x\"\n", ":3: issuers.default: “x” is not among the issuers"),
    ("[issuers]\nallow = [\"y\"]\n", ":2: issuers.allow: “y”: no issuer file of that name"),
    ("[tokens]\nrenew_at = 2.0\n", ":2: tokens.renew_at: must be between 0.1 and 0.95"),
    ("[store]\nkind = \"redis\"\n", ":2: store.kind: there are \"sqlite\" and \"etcd\""),
    ("[site]\nname = \"a\\u001b[31m\"\n", ":2: site.name: must be printable ASCII"),
    ("[login]\nanswer_within = \"5s\"\n", ":2: login.answer_within: must be between"),
    ("[log]\nfilter = \"iamd=loud\"\n", ":2: log.filter:"),
    ("[users]\nservices = [\"../sshd\"]\n", ":2: users.services: a PAM service"),
    ("[limits]\naccounts = 1\naccounts = 2\n", ":3: limits.accounts: stands in the file already"),
];

fn every_mistake_in_a_configuration_is_named_with_file_line_and_key(world: &World) -> Outcome {
    // Only looked at: the daemon of the shared node is not told.
    let (node, user) = (world.node()?, world.user()?);
    let file = format!("/srv/{user}.toml");
    let check = format!("iamd --check --config {file}");
    for (text, expected) in MISTAKES {
        node.put(&file, 0o644, "root", text.as_bytes())?;
        let said = node.exec(&check)?.exited(78)?.errors();
        assert!(said.starts_with(&format!("{file}{expected}")), "{text:?}: {said}");
        assert!(said.contains("has to be corrected first"), "{said}");
    }
    // No mistake hides another, whatever their kinds.
    let several = "[limits]\naccounts = 0\nlogins = \"two\"\nreqests = 1\nregistrations =\n";
    node.put(&file, 0o644, "root", several.as_bytes())?;
    let said = node.exec(&check)?.exited(78)?.errors();
    for (line, key) in [(2, "accounts"), (3, "logins"), (4, "reqests"), (5, "registrations")] {
        assert!(said.contains(&format!("{file}:{line}: limits.{key}: ")), "{said}");
    }
    node.exec(&format!("rm {file}; mkdir {file}"))?.ok()?;
    let said = node.exec(&check)?.exited(78)?.errors();
    assert!(said.starts_with(&format!("{file}: cannot be read")), "{said}");
    node.exec("iamd --check")?.ok()?;
    Ok(())
}

/// A node of the test's own with an issuer of its own.
fn careless(world: &World, name: &str) -> Result<(Node, String, String, Issuer), Error> {
    let issuer = world.start_issuer(IssuerSpec::new(&format!("{name}.test")))?;
    let node = world.boot(Product::new(&issuer).on(world.spec(name)))?;
    let good = String::from_utf8_lossy(&node.get(MAIN)?).into_owned();
    Ok((node, good, "alice".into(), issuer))
}

fn iamd_does_not_start_with_a_mistake_and_says_where_it_is(world: &World) -> Outcome {
    let (node, good, user, _issuer) = careless(world, "mistaken")?;
    let bad = format!("{good}[limits]\naccount = 3\n");
    let line = bad.lines().count();
    node.put(MAIN, 0o644, "root", bad.as_bytes())?;
    let (status, said) = failed_start(&node)?;
    assert_eq!(status, "78", "{said}");
    assert!(said.contains(&format!("{MAIN}:{line}: limits.account: unknown key")), "{said}");
    let restarts = node.root_says("systemctl show -P NRestarts iamd")?;
    assert_eq!(restarts, "0", "starting again does not cure it");
    logs_in(&node, &user)?;
    node.put(MAIN, 0o644, "root", good.as_bytes())?;
    let issuer = "/etc/iamd/issuers.d/cms.toml";
    let text = "name = \"cms\"\nurl = \"http://cms.example/\"\nscopes = []\n";
    node.put(issuer, 0o644, "root", text.as_bytes())?;
    let (status, said) = failed_start(&node)?;
    assert_eq!(status, "78", "{said}");
    assert!(said.contains(&format!("{issuer}:2: url: must begin with https://")), "{said}");
    node.exec(&format!("rm {issuer}"))?.ok()?;
    starts(&node)?;
    // Two files for one issuer: only one of them would be followed, and what the other requires of
    // who signs in would not hold.
    let strict = "/etc/iamd/issuers.d/zz-strict.toml";
    let copy = format!(
        "sed 's/^name = .*/name = \"zz-strict\"/' /etc/iamd/issuers.d/test.toml > {strict} && printf \
         '[identity]\\nclaim = \"preferred_username\"\\nmust_equal = \"{{user}}\"\\n' >> {strict}"
    );
    node.exec(&copy)?.ok()?;
    let told = "zz-strict.toml:3: url: is the issuer of /etc/iamd/issuers.d/test.toml too";
    let checked = node.exec("iamd --check")?.exited(78)?;
    assert!(checked.errors().contains(told), "{checked:?}");
    let checked = node.exec("iamctl admin policy check")?;
    assert_ne!(checked.code, 0, "{checked:?}");
    assert!(format!("{}{}", checked.text(), checked.errors()).contains(told), "{checked:?}");
    let refused = node.exec("iamctl admin reload")?.exited(1)?;
    assert!(refused.errors().contains(told), "{refused:?}");
    let login = node.exec_as(&user, "iamctl login mine --issuer zz-strict --no-wait")?;
    assert_ne!(login.code, 0, "the one that is not in force: {login:?}");
    Ok(())
}

fn a_reload_with_a_mistake_says_where_it_is_and_changes_nothing(world: &World) -> Outcome {
    let (node, good, user, _issuer) = careless(world, "reloading")?;
    // What is known of the default issuer by itself, soon after the start, is no matter of this.
    iamd_tests::sign_in::warm(&node)?;
    let pid = node.root_says("systemctl show -P MainPID iamd")?;
    let renamed = good.replace("Test cluster", "Renamed cluster");
    let bad = format!("{renamed}default = \"nobody\"\n[login]\nautomatic = 1\n");
    node.put(MAIN, 0o644, "root", bad.as_bytes())?;
    let issuers = || node.root_says("iamctl issuer list --json");
    let before = issuers()?;
    node.put("/etc/iamd/issuers.d/new.toml", 0o644, "root", b"name = 1\n")?;
    let refused = node.exec("iamctl admin reload --json")?.exited(1)?;
    let (name, text) = error_of(&refused)?;
    assert_eq!(name, "ConfigurationInvalid");
    assert!(text.contains("/etc/iamd/issuers.d/new.toml:1: name:"), "{text}");
    assert!(text.contains(&format!("{MAIN}:{}", good.lines().count() + 1)), "{text}");
    assert_ne!(node.exec("systemctl reload iamd")?.code, 0, "systemctl says so too");
    node.exec(&format!("kill -HUP {pid}"))?.ok()?;
    let journal = "journalctl -b -u iamd -o cat --no-pager | grep -c 'was not changed'";
    iamd_tests::eventually(
        "three refusals in the journal",
        std::time::Duration::from_secs(5),
        || match node.exec(journal)?.line().as_str() {
            "3" => Ok(()),
            other => Err(Error::Wrong(other.to_owned())),
        },
    )?;
    assert_eq!(issuers()?, before);
    assert_eq!(node.root_says("systemctl show -P MainPID iamd")?, pid);
    // A first login is still asked to sign in at the issuer that was the default.
    let login = node.exec_as(&user, "iamctl login --no-wait --json")?.ok()?;
    assert!(login.text().contains("https://reloading.test/device"), "{login:?}");
    node.exec("rm /etc/iamd/issuers.d/new.toml")?.ok()?;
    node.put(MAIN, 0o644, "root", renamed.as_bytes())?;
    node.exec("systemctl reload iamd")?.ok()?;
    Ok(())
}

fn words_of_the_pam_line_that_mean_nothing_cost_no_login_and_are_logged(world: &World) -> Outcome {
    let (node, _, user, _issuer) = careless(world, "pamline")?;
    let words = [
        ("deadline=never", "not a number with the unit ms or s: default used"),
        ("deadline=9s", "out of bounds (50ms to 2000ms): 2000ms used"),
        ("services=a/b", "not service names separated by commas: default used"),
        ("min_uid=x", "not a uid: default used"),
        ("notice=loud", "not auto or never: default used"),
        ("socket=relative", "not an absolute path of at most 107 bytes: default used"),
        ("socket_uid=-1", "not a uid: default used"),
        ("selftest=x", "not panic: ignored"),
        ("frobnicate", "unknown: ignored"),
    ];
    let line = words.map(|(word, _)| word).join(" ");
    let edit = format!("sed -i 's#pam_iam.so.*#pam_iam.so {line}#' /etc/pam.d/common-session");
    node.exec(&format!("{edit}; grep -q frobnicate /etc/pam.d/common-session"))?.ok()?;
    logs_in(&node, &user)?;
    let file = node.ssh(&user).run("echo $BEARER_TOKEN_FILE")?.ok()?.line();
    assert_eq!(file, iamd_tests::token_file(&user)?, "the defaults are in force");
    let log = node.root_says("journalctl -b -o cat --no-pager | grep pam_iam")?;
    for (word, complaint) in words {
        assert!(log.contains(&format!("argument '{word}': {complaint}")), "{word}: {log}");
    }
    Ok(())
}
