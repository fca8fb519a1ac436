//! A backup of one node, and what another makes of it.

use std::process::Command;
use std::time::Duration;

use iamd_tests::{Error, Issuer, Node, Output, Product, World, eventually, sign_in};
use serde_json::Value;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::own;
use crate::people::{error_of, parsed, sign_in_as};

type Result<T> = std::result::Result<T, Error>;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: a_backup_restored_on_a_fresh_node_serves_tokens_without_a_sign_in,
        a_swapped_row_and_an_older_row_do_not_open,
    ]
}

const FILE: &str = "/root/iamd.backup";
const WORDS: &str = "the words of a backup";
const SOON: Duration = Duration::from_secs(20);

/// `iamctl admin WORDS` with the passphrase on descriptor 3.
fn admin(node: &Node, words: &str) -> Result<Output> {
    node.exec(&format!("printf '%s\\n' '{WORDS}' | iamctl admin {words} --passphrase-fd 3 3<&0"))
}

fn admin_json(node: &Node, words: &str) -> Result<Value> {
    parsed(&admin(node, &format!("{words} --json"))?.ok()?)
}

/// A node with the same product, users and issuer, where nobody has signed in.
fn fresh(world: &World, name: &str, issuer: &Issuer) -> Result<Node> {
    world.boot(Product::new(issuer).on(world.spec(name)))
}

/// Insists that there is but the site's client, which comes by itself.
fn is_empty(node: &Node) -> Result<()> {
    let report = parsed(&node.exec("iamctl admin store check --json")?.ok()?)?;
    let found = ["records", "clients", "accounts", "journal"].map(|kind| report[kind].as_u64());
    if found == [1, 1, 0, 0].map(Some) { Ok(()) } else { Err(Error::Wrong(report.to_string())) }
}

/// Clients that were deleted at the issuer.
fn deleted(issuer: &Issuer) -> Result<usize> {
    let requests = issuer.requests()?;
    let deleted = |one: &&Value| one["method"] == "DELETE" && one["status"] == 204;
    Ok(requests.iter().filter(deleted).count())
}

fn a_backup_restored_on_a_fresh_node_serves_tokens_without_a_sign_in(world: &World) -> Outcome {
    let (old, issuer) = own(world, "backup", &[("ROTATE", "always")], "")?;
    drop(sign_in(&old, &issuer, "alice")?);
    sign_in_as(&old, &issuer, "bob", "test", "test")?;
    old.exec_as("alice", "iamctl token --force-new")?.ok()?;
    let made = admin_json(&old, &format!("backup {FILE}"))?;
    assert_eq!((&made["accounts"], &made["with_keys"]), (&2.into(), &true.into()));
    assert_eq!(old.root_says(&format!("stat -c '%U %a' {FILE}"))?, "root 600");
    assert_eq!(old.root_says("ls -A /root | grep -c partial || true")?, "0");
    let checked = admin_json(&old, &format!("backup --verify {FILE}"))?;
    assert_eq!((&checked["digest"], &checked["restored"]), (&made["digest"], &false.into()));
    let bytes = old.get(FILE)?;
    for secret in ["alice", "accounts/", "eyJ"] {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} is in the backup");
    }
    // One node at a time has a token that rotates.
    old.exec("systemctl disable --now iamd")?.ok()?;

    let new = fresh(world, "restored", &issuer)?;
    eventually("the client of a node that waits for its first login", SOON, || is_empty(&new))?;
    assert_eq!(deleted(&issuer)?, 0);
    // Changed, cut, or with other words: nothing of it gets in.
    let mut wrongs = vec![bytes[..bytes.len() - 1].to_vec(), [&bytes[..], b"x"].concat()];
    for at in [0, 20, 200, bytes.len() / 2, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        wrongs.push(changed);
    }
    for wrong in wrongs {
        new.put("/root/wrong", 0o600, "root", &wrong)?;
        let said = admin(&new, "restore /root/wrong --json")?.exited(1)?;
        assert_eq!(error_of(&said)?.0, "BackupInvalid", "{said:?}");
        is_empty(&new)?;
    }
    new.put(FILE, 0o600, "root", &bytes)?;
    let line = format!("echo 'some other words' | iamctl admin restore {FILE} --passphrase-fd 0");
    let said = new.exec(&line)?.exited(1)?;
    assert!(said.errors().contains("the passphrase is another one"), "{said:?}");
    is_empty(&new)?;

    let said = admin(&new, &format!("restore {FILE}"))?.ok()?;
    for part in ["2 accounts", "In force, sealed with", "on two nodes at once", "sign in again"] {
        assert!(said.errors().contains(part), "{part}: {said:?}");
    }
    // The client that this node had until now is of no use to anybody.
    eventually("the end of the other client", SOON, || match deleted(&issuer)? {
        1 => Ok(()),
        other => Err(Error::Wrong(format!("{other} deleted"))),
    })?;
    let asked = issuer.count("POST /token refresh_token")?;
    for user in ["alice", "bob"] {
        let token = new.exec_as(user, "iamctl token")?.ok()?.line();
        issuer.verify(&token)?;
    }
    let now = issuer.count("POST /token refresh_token")?;
    assert_eq!(now, asked, "what was valid is still served");
    for user in ["alice", "bob"] {
        let token = new.exec_as(user, "iamctl token --force-new")?.ok()?.line();
        assert_eq!(issuer.verify(&token)?["sub"].as_str().map(str::is_empty), Some(false));
    }
    let file = new.ssh("alice").run("cat $BEARER_TOKEN_FILE")?.ok()?;
    issuer.verify(&file.line())?;
    // Not over what is there, unless that is meant.
    let said = admin(&new, &format!("restore {FILE} --json"))?.exited(1)?;
    assert_eq!(error_of(&said)?.0, "StoreNotEmpty", "{said:?}");
    new.exec_as("alice", "iamctl token --force-new")?.ok()?;
    new.restart("iamd")?;
    new.exec_as("bob", "iamctl token --force-new")?.ok()?;
    // Neither the passphrase nor a token is in the journal.
    assert_eq!(
        new.root_says(&format!("journalctl -o export --all | grep -c '{WORDS}' || true"))?,
        "0"
    );
    let told =
        new.root_says("journalctl -o cat IAMD_EVENT=administration | grep -c 'restore of'")?;
    assert_ne!(told, "0");
    Ok(())
}

/// Changes rows of the store behind the daemon's back, from outside: nodes have no SQLite.
fn edit(node: &Node, change: &str) -> Result<()> {
    let (db, dir) = (node.root().join("var/lib/iamd/iamd.db"), node.root().join("root"));
    let program = format!(
        "import sqlite3\n\
         db = sqlite3.connect({db:?}, timeout=20)\n\
         def get(row):\n    \
             return db.execute('select value from entries where key=?', (row.encode(),)).fetchone()[0]\n\
         def put(row, value):\n    \
             db.execute('update entries set value=? where key=?', (value, row.encode()))\n\
         def kept(name):\n    return open({dir:?} + '/' + name, 'rb').read()\n\
         def keep(name, value):\n    open({dir:?} + '/' + name, 'wb').write(value)\n\
         {change}\n\
         db.commit()\n"
    );
    let output = Command::new("python3").args(["-c", &program]).output();
    let output = output.map_err(|error| Error::Wrong(format!("python3: {error}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::Wrong(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

fn a_swapped_row_and_an_older_row_do_not_open(world: &World) -> Outcome {
    let (node, issuer) = own(world, "rows", &[("ROTATE", "always")], "")?;
    drop(sign_in(&node, &issuer, "alice")?);
    sign_in_as(&node, &issuer, "bob", "test", "test")?;
    let row = |user: &str| -> Result<String> {
        Ok(format!("accounts/{}/test", node.root_says(&format!("id -u {user}"))?))
    };
    let (alice, bob) = (row("alice")?, row("bob")?);
    edit(&node, &format!("keep('old', get('{alice}'))"))?;
    node.exec_as("alice", "iamctl token --force-new")?.ok()?;
    edit(&node, &format!("keep('new', get('{alice}'))"))?;
    admin_json(&node, &format!("backup {FILE}"))?;

    // An older row.
    edit(&node, &format!("put('{alice}', kept('old'))"))?;
    let refused = node.exec_as("alice", "iamctl token --force-new")?.exited(1)?;
    assert!(refused.errors().contains("older version"), "{refused:?}");
    let report = node.exec("iamctl admin store check")?.exited(1)?;
    assert!(report.text().contains("older version"), "{report:?}");
    // Neither after a restart.
    node.restart("iamd")?;
    let refused = node.exec_as("alice", "iamctl token --force-new")?.exited(1)?;
    assert!(refused.errors().contains("older version"), "{refused:?}");
    // A backup leaves it out and says so.
    let made = admin(&node, "backup /root/second")?.ok()?;
    assert!(made.errors().contains(&format!("left out: {alice}")), "{made:?}");
    // A swapped one.
    edit(&node, &format!("put('{alice}', get('{bob}'))"))?;
    let refused = node.exec_as("alice", "iamctl token --force-new")?.exited(1)?;
    assert!(refused.errors().contains("moved here from another place"), "{refused:?}");
    node.exec_as("bob", "iamctl token --force-new")?.ok()?;

    // The backup puts all right, and what was there before opens no more.
    admin(&node, &format!("restore --replace {FILE}"))?.ok()?;
    node.exec_as("alice", "iamctl token --force-new")?.ok()?;
    for old in ["old", "new"] {
        edit(&node, &format!("keep('now', get('{alice}'))"))?;
        edit(&node, &format!("put('{alice}', kept('{old}'))"))?;
        node.exec_as("alice", "iamctl token --force-new")?.exited(1)?;
        edit(&node, &format!("put('{alice}', kept('now'))"))?;
        node.exec_as("alice", "iamctl token --force-new")?.ok()?;
    }
    a_leave_that_was_taken_away_stays_away(&node)?;
    // Who means it says so, and that is on record.
    edit(&node, &format!("put('{alice}', kept('new'))"))?;
    node.restart("iamd")?;
    node.exec_as("alice", "iamctl admin store accept")?.exited(4)?;
    let said = parsed(&node.exec("iamctl admin store accept --json")?.ok()?)?;
    assert!(
        said["accepted"].as_array().is_some_and(|rows| rows.contains(&alice.clone().into())),
        "{said}"
    );
    node.exec("iamctl admin store check")?.ok()?;
    let told = "journalctl -b -o cat IAMD_EVENT=administration | grep -c 'store accept'";
    assert_ne!(node.root_says(told)?, "0");
    Ok(())
}

/// Nor does a restart help whoever puts the row back: no password goes to the issuer for it.
fn a_leave_that_was_taken_away_stays_away(node: &Node) -> Result<()> {
    let flow = |what: &str| {
        format!("iamctl admin password-flow {what} --issuer test --client site-password")
    };
    let add = "iamctl account add mine --issuer test --client-id site-password --client-secret-fd 3 \
               --no-login 3<<<site-secret";
    node.exec_as("bob", add)?.ok()?;
    let by_password = || {
        let login =
            "iamctl login mine --flow password --user bob --password-fd 3 --json 3<<<bob-pw";
        node.exec_as("bob", login)
    };
    node.exec(&flow("enable"))?.ok()?;
    by_password()?.ok()?;
    node.exec_as("bob", "iamctl logout mine")?.ok()?;
    let keep = "import pickle; keep('leave', pickle.dumps([tuple(it) for it in db.execute('select key, \
                value, revision from entries') if bytes(it[0]).startswith(b'password-flows/')]))";
    edit(node, keep)?;
    node.exec(&flow("disable"))?.ok()?;
    edit(
        node,
        "import pickle; [db.execute('insert into entries values (?,?,?)', it) for it in \
         pickle.loads(kept('leave'))]",
    )?;
    for restarted in [false, true] {
        if restarted {
            node.restart("iamd")?;
        }
        let listed = parsed(&node.exec("iamctl admin password-flow list --json")?.ok()?)?;
        let flows = listed["password_flows"].as_array().cloned().unwrap_or_default();
        assert_eq!(flows.len(), 1, "{listed}");
        assert!(
            flows[0]["problem"].as_str().is_some_and(|text| text.contains("older")),
            "{listed}"
        );
        let refused = by_password()?;
        assert_ne!(refused.code, 0, "{refused:?}");
        assert_eq!(error_of(&refused)?.0, "DeniedByPolicy", "{refused:?}");
    }
    node.exec(&flow("disable"))?.ok().map(drop)
}
