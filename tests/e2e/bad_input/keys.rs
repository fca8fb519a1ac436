//! Keys and store: a credential that cannot be read, keys that are gone, a damaged database, a
//! second daemon. Nothing is made anew over what is there.

use iamd_tests::{Error, Issuer, IssuerSpec, Node, Product, World, sign_in};

use super::{failed_start, logs_in, starts};
use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        a_keyring_that_cannot_be_used_is_named_and_nothing_is_made,
        a_key_that_is_not_there_makes_its_accounts_unreadable_until_it_is_back,
        a_credential_that_cannot_be_used_is_named,
        an_encrypted_credential_that_is_damaged_is_told_by_systemd_and_logins_go_on,
        a_damaged_store_is_named_and_left_as_it_is,
        a_second_daemon_is_told_of_the_first_and_disturbs_nothing,
    ]
}

const KEYRING: &str = "/var/lib/iamd/keyring";
const STORE: &str = "/var/lib/iamd/iamd.db";

/// A node of the test's own, where a user has signed in.
fn signed_in(world: &World, name: &str) -> Result<(Node, Issuer, String), Error> {
    let issuer = world.start_issuer(IssuerSpec::new(&format!("{name}.test")))?;
    let node = world.boot(Product::new(&issuer).on(world.spec(name)))?;
    let user = "alice".to_owned();
    drop(sign_in(&node, &issuer, &user)?);
    Ok((node, issuer, user))
}

/// The state directory: names, sizes, owners, modes, contents.
fn state(node: &Node) -> Result<String, Error> {
    node.root_says(
        "cd /var/lib/iamd; stat -c '%n %s %U %a' * | grep -v lock; sha256sum keyring* iamd.db",
    )
}

fn a_keyring_that_cannot_be_used_is_named_and_nothing_is_made(world: &World) -> Outcome {
    let (node, _issuer, user) = signed_in(world, "keyring")?;
    node.exec(&format!("systemctl stop iamd && cp -a {KEYRING} /root/keyring"))?.ok()?;
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (spoil, expected) in [
        (format!("rm {KEYRING}"), format!("{KEYRING}: the keyring is missing")),
        (format!("chmod 0640 {KEYRING}"), "others can read or write it: chmod 0400".to_owned()),
        (format!("chown daemon {KEYRING}"), "belongs to somebody else".to_owned()),
        (format!("echo nonsense > {KEYRING}"), format!("{KEYRING}:1: not KEYID BASE64")),
        (format!("echo 'k1 c2hvcnQ=' > {KEYRING}"), format!("{KEYRING}:1: not 32 bytes")),
        (format!("echo '# none' > {KEYRING}"), format!("{KEYRING}: no key in it")),
        (
            format!("printf 'a {key}\\na {key}\\n' > {KEYRING}"),
            format!("{KEYRING}:2: this key id is there already"),
        ),
        (format!("rm {KEYRING}; ln -s /root/keyring {KEYRING}"), format!("{KEYRING}: ")),
    ] {
        node.exec(&format!("rm -f {KEYRING}; cp -a /root/keyring {KEYRING}"))?.ok()?;
        node.exec(&spoil)?.ok()?;
        let before = node.exec("cd /var/lib/iamd; ls -l keyring*; sha256sum iamd.db")?.text();
        let (status, said) = failed_start(&node)?;
        assert_eq!(status, "78", "{spoil}: {said}");
        assert!(said.contains(&expected), "{spoil}: {said}");
        assert!(!said.contains(key), "{said}");
        let after = node.exec("cd /var/lib/iamd; ls -l keyring*; sha256sum iamd.db")?.text();
        assert_eq!(after, before, "{spoil}");
    }
    logs_in(&node, &user)?;
    node.exec(&format!("rm -f {KEYRING}; cp -a /root/keyring {KEYRING}"))?.ok()?;
    starts(&node)?;
    node.exec_as(&user, "iamctl token")?.ok()?;
    Ok(())
}

fn a_key_that_is_not_there_makes_its_accounts_unreadable_until_it_is_back(
    world: &World,
) -> Outcome {
    let (node, _issuer, user) = signed_in(world, "otherkey")?;
    node.exec(&format!("cp -a {KEYRING} /root/keyring"))?.ok()?;
    let id = node.root_says(&format!("grep -v '^#' {KEYRING} | cut -d' ' -f1"))?;
    let other = "new AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    node.exec(&format!("echo '{other}' > {KEYRING}"))?.ok()?;
    starts(&node)?;
    let refused = node.exec_as(&user, "iamctl token")?.exited(1)?;
    assert!(refused.errors().contains(&id), "it names the key {id}: {refused:?}");
    assert!(refused.errors().contains("restore what is missing"), "{refused:?}");
    let status = node.exec_as(&user, "iamctl status")?.ok()?.text();
    assert!(status.contains("cannot be read on this node"), "{status}");
    let doctor = node.exec_as(&user, "iamctl doctor")?.exited(1)?.text();
    assert!(doctor.contains(&id), "{doctor}");
    // A login neither fails nor begins a sign-in over the account.
    let mut session = node.ssh(&user).pty().open(None)?;
    assert_eq!(session.ask("echo in")?, "in\n");
    assert!(iamd_tests::Notice::find(&session.seen()).is_none(), "{}", session.seen());
    // Both keys together: the new one seals, the old one opens.
    node.exec(&format!("{{ echo '{other}'; cat /root/keyring; }} > {KEYRING}"))?.ok()?;
    starts(&node)?;
    node.exec_as(&user, "iamctl token")?.ok()?;
    Ok(())
}

fn a_credential_that_cannot_be_used_is_named(world: &World) -> Outcome {
    let (node, _issuer, user) = signed_in(world, "credential")?;
    let given = |text: &str| -> Result<(), Error> {
        node.put("/etc/iamd/credential", 0o600, "root", text.as_bytes())?;
        let drop_in = "[Service]\nLoadCredentialEncrypted=\nLoadCredential=iamd.keyring:/etc/iamd/credential\n";
        let path = "/etc/systemd/system/iamd.service.d/credential.conf";
        node.put(path, 0o644, "root", drop_in.as_bytes())?;
        node.exec("systemctl daemon-reload")?.ok().map(|_| ())
    };
    given("# keys\nmine tooshort\n")?;
    let (status, said) = failed_start(&node)?;
    assert_eq!(status, "78", "{said}");
    let path = "/run/credentials/iamd.service/iamd.keyring:2: not 32 bytes in base64";
    assert!(said.contains(path) && !said.contains("tooshort"), "{said}");
    // Of the same name as the file's key, and another key.
    let id = node.root_says(&format!("grep -v '^#' {KEYRING} | cut -d' ' -f1"))?;
    given(&format!("{id} AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"))?;
    let (status, said) = failed_start(&node)?;
    assert_eq!(status, "78", "{said}");
    assert!(said.contains(&format!("key {id} is another one in the credential")), "{said}");
    // One that is named and not there: systemd says so, and the login works.
    given("")?;
    node.exec("rm /etc/iamd/credential")?.ok()?;
    let before = state(&node)?;
    let (status, _) = failed_start(&node)?;
    assert_eq!(status, "243", "systemd's EXIT_CREDENTIALS");
    assert_eq!(state(&node)?, before);
    logs_in(&node, &user)?;
    // A good one seals from now on, and what the file's key sealed still opens.
    given("mine AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")?;
    starts(&node)?;
    node.exec_as(&user, "iamctl token --force-new")?.ok()?;
    Ok(())
}

/// Where the unit's own line finds it.
const SEALED: &str = "/etc/credstore.encrypted/iamd.keyring";

fn an_encrypted_credential_that_is_damaged_is_told_by_systemd_and_logins_go_on(
    world: &World,
) -> Outcome {
    let (node, _issuer, user) = signed_in(world, "damaged-key")?;
    // The keys are in the credential and nowhere else.
    node.exec(&format!(
        "set -e -o pipefail; install -d -m 0700 /etc/credstore.encrypted /root/kept
         systemd-creds encrypt --with-key=host --name=iamd.keyring {KEYRING} {SEALED}
         systemctl stop iamd; mv {KEYRING} /root/kept/; cp -a {SEALED} /root/kept/sealed"
    ))?
    .ok()?;
    starts(&node)?;
    node.exec_as(&user, "iamctl token --force-new")?.ok()?;
    let look = "cd /var/lib/iamd; ls; sha256sum iamd.db";
    for damage in [
        // A bit, half of it, all of it.
        format!(
            "c=$(tail -c +101 {SEALED} | head -c 1); [ $c = A ] && c=B || c=A; \
                 printf $c | dd of={SEALED} bs=1 seek=100 conv=notrunc"
        ),
        format!("truncate -s 100 {SEALED}"),
        format!(": > {SEALED}"),
    ] {
        node.exec(&format!("systemctl stop iamd; cp -a /root/kept/sealed {SEALED}"))?.ok()?;
        node.exec(&damage)?.ok()?;
        let before = node.exec(look)?.text();
        let (status, _) = failed_start(&node)?;
        assert_eq!(status, "243", "systemd's EXIT_CREDENTIALS: {damage}");
        // What an administrator sees: which unit, that it did not run, and that it stays so.
        let seen = node.exec("systemctl status iamd --no-pager -l")?.exited(3)?.text();
        assert!(seen.contains("Active: failed (Result: exit-code)"), "{damage}: {seen}");
        assert!(seen.contains("status=243/CREDENTIALS"), "{damage}: {seen}");
        assert_eq!(node.root_says("systemctl show -P NRestarts iamd")?, "0", "{damage}");
        assert_eq!(node.exec(look)?.text(), before, "{damage}");
        // What the manual says to look at names the line, and what is wrong with the file.
        let unit = node.root_says("systemctl cat iamd")?;
        assert!(unit.contains("\nLoadCredentialEncrypted=iamd.keyring\n"), "{unit}");
        let why = format!("systemd-creds decrypt --name=iamd.keyring {SEALED} -");
        let why = node.exec(&why)?;
        assert!(why.code != 0 && why.stdout.is_empty() && !why.stderr.is_empty(), "{why:?}");
        // What users see.
        logs_in(&node, &user)?;
        let told = node.exec_as(&user, "iamctl token")?.exited(5)?.errors();
        assert!(told.contains("systemctl status iamd"), "{told}");
    }
    // The way out: the right file.
    node.exec(&format!("cp -a /root/kept/sealed {SEALED}; systemctl restart iamd"))?.ok()?;
    node.exec_as(&user, "iamctl token --force-new")?.ok()?;
    // And the other one, without it: everybody signs in again.
    node.exec(&format!("systemctl stop iamd; rm {SEALED}; mv /var/lib/iamd /root/given-up"))?
        .ok()?;
    node.exec("systemctl restart iamd")?.ok()?;
    logs_in(&node, &user)?;
    let told = node.exec_as(&user, "iamctl token")?.exited(3)?.errors();
    assert!(told.contains("iamctl login"), "{told}");
    Ok(())
}

fn a_damaged_store_is_named_and_left_as_it_is(world: &World) -> Outcome {
    let (node, _issuer, user) = signed_in(world, "damaged")?;
    node.exec(&format!("systemctl stop iamd && mkdir /root/kept && cp -a {STORE}* /root/kept/"))?
        .ok()?;
    let newer = format!("printf '\\0\\0\\0\\11' | dd of={STORE} bs=1 seek=60 conv=notrunc");
    for (spoil, expected) in [
        (format!("head -c 8192 /dev/urandom > {STORE}"), "damaged ("),
        (
            format!("dd if=/dev/urandom of={STORE} bs=1 seek=4096 count=4096 conv=notrunc"),
            "damaged (",
        ),
        (newer, "its format is 9, this iamd knows 1 at most"),
        (format!("rm {STORE}; mkdir {STORE}"), "iamd.db: "),
    ] {
        node.exec(&format!("rm -rf {STORE}*; cp -a /root/kept/* /var/lib/iamd/"))?.ok()?;
        node.exec(&spoil)?.ok()?;
        let look = format!("sha256sum {STORE}; ls /var/lib/iamd | grep -v -e -wal -e -shm");
        let before = node.exec(&look)?.text();
        let (status, said) = failed_start(&node)?;
        assert_ne!(status, "0", "{spoil}: {said}");
        assert!(said.contains("/var/lib/iamd") && said.contains(expected), "{spoil}: {said}");
        logs_in(&node, &user)?;
        node.exec("systemctl stop iamd")?.ok()?;
        assert_eq!(node.exec(&look)?.text(), before, "{spoil}");
    }
    node.exec(&format!("rm -rf {STORE}*; cp -a /root/kept/* /var/lib/iamd/"))?.ok()?;
    starts(&node)?;
    node.exec_as(&user, "iamctl token")?.ok()?;
    Ok(())
}

fn a_second_daemon_is_told_of_the_first_and_disturbs_nothing(world: &World) -> Outcome {
    let (node, _issuer, user) = signed_in(world, "second-iamd")?;
    let pid = node.root_says("systemctl show -P MainPID iamd")?;
    let before = state(&node)?;
    let said = node.exec("timeout 10 iamd")?.exited(1)?;
    let expected = format!("another iamd (process {pid}) uses this directory; stop it first");
    assert!(said.errors().contains(&expected), "{said:?}");
    assert_eq!(state(&node)?, before);
    logs_in(&node, &user)?;
    node.exec_as(&user, "iamctl token")?.ok()?;
    let file = node.ssh(&user).run("cat $BEARER_TOKEN_FILE")?.ok()?;
    assert!(file.text().starts_with("eyJ"), "the socket is still the first one's");
    Ok(())
}
