//! Real readers of token files on a node: XRootD's client and server from Debian, scitokens from
//! PyPI, curl. They are given nothing but what a session has.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use iamd_tests::node::write;
use iamd_tests::rootfs::{PYTHON_READERS_AT, readers};
use iamd_tests::{
    Error, Node, Output, Product, Result, World, command, eventually, sign_in, token_file,
};

use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: r70_xrootd_reads_with_the_token_of_the_session_and_not_without,
        r70_xrootd_and_the_doctor_agree_on_a_file_that_others_can_read,
        r70_scitokens_finds_the_token_of_the_session_and_verifies_it,
        r70_scitokens_and_the_doctor_agree_where_a_token_is_looked_for,
        r70_curl_takes_the_header_from_a_file,
    ]
}

/// A node with the readers on it, and an XRootD server that believes the issuer's tokens.
struct Site(Node);

const SERVER: &str = "\
all.export /data
oss.localroot /srv/xrootd
xrd.port 1094
xrd.tls /etc/xrootd/server.pem /etc/xrootd/server.key
xrd.tlsca certdir /etc/grid-security/certificates
xrootd.tls capable all
xrootd.seclib libXrdSec.so
sec.protocol ztn
sec.protbind * ztn
ofs.authorize 1
ofs.authlib libXrdAccSciTokens.so config=/etc/xrootd/scitokens.cfg
";

const CONTENT: &str = "what only a token opens\n";

impl Site {
    fn of(world: &World) -> Result<Site> {
        let issuer = world.issuer()?;
        let layer = readers(&|line| world.say(line))?;
        let ground = world.ground();
        let (certificate, key) = ground.ca.issue(&ground.run, &["readers"], &[])?;
        let read = |path: &Path| std::fs::read(path).map_err(Error::at(path));
        let (certificate, key) = (read(&certificate)?, read(&key)?);
        let trust = format!(
            "[Global]\naudience = https://wlcg.cern.ch/jwt/v1/any\n\n\
             [Issuer test]\nissuer = {}\nbase_path = /data\n",
            // As the tokens say it: XRootD compares the text.
            issuer.url().trim_end_matches('/')
        );
        let spec = world
            .spec("readers")
            .over(layer)
            .file("/etc/xrootd/xrootd-token.cfg", 0o644, SERVER)
            .file("/etc/xrootd/scitokens.cfg", 0o644, &trust)
            .file("/srv/xrootd/data/hello", 0o644, CONTENT)
            .prepare(move |root| {
                write(&root.join("etc/xrootd/server.pem"), 0o644, &certificate)?;
                write(&root.join("etc/xrootd/server.key"), 0o400, &key)?;
                trusted_by_all(root)
            });
        let node = world.boot(Product::new(issuer).on(spec))?;
        node.exec("systemctl start xrootd@token")?.ok()?;
        eventually("the XRootD server", Duration::from_secs(15), || {
            node.exec("ss -Hltn sport = :1094 | grep -q .")?.ok()
        })?;
        Ok(Site(node))
    }
}

/// Makes the run's CA one of the node's as `update-ca-certificates` and a grid site would: OpenSSL
/// finds it by its hash.
fn trusted_by_all(root: &Path) -> Result<()> {
    let mut link = Command::new("chroot");
    link.arg(root).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    link.args(["sh", "-euc"]).arg(
        "ca=/usr/local/share/ca-certificates/iamd-test.crt; \
         hash=$(openssl x509 -hash -noout -in $ca); mkdir -p /etc/grid-security/certificates; \
         cp $ca /etc/grid-security/certificates/$hash.0; cp $ca /etc/ssl/certs/$hash.0; \
         chown -R xrootd:xrootd /etc/xrootd/server.key /srv/xrootd",
    );
    command::must(link).map(|_| ())
}

/// One that the discovery does not find.
const NO_TOKEN: &str = "env -u BEARER_TOKEN_FILE -u XDG_RUNTIME_DIR";

fn r70_xrootd_reads_with_the_token_of_the_session_and_not_without(world: &World) -> Outcome {
    let site = world.place(Site::of)?;
    let (node, user) = (&site.0, world.user()?);
    let _session = sign_in(node, world.issuer()?, &user)?;
    let run = |line: &str| -> Result<Output> { node.ssh(&user).run(line) };
    let seen = run("xrdfs readers ls /data && xrdcp -s root://readers//data/hello -")?.ok()?;
    assert_eq!(seen.text(), format!("/data/hello\n{CONTENT}"));
    // The same, by the link in the runtime directory alone.
    let link = run("env -u BEARER_TOKEN_FILE xrdcp -s root://readers//data/hello -")?.ok()?;
    assert_eq!(link.text(), CONTENT);
    // And to write: the session's token has storage.modify.
    run("echo mine > mine && xrdcp -s mine root://readers//data/mine")?.ok()?;

    let refused = run(&format!("{NO_TOKEN} xrdcp -s root://readers//data/hello -"))?;
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stdout.is_empty() && refused.errors().contains("Auth failed"), "{refused:?}");
    // A token that the server cannot verify opens nothing either.
    let forged = format!(
        "umask 077; sed 's/.....$/AAAAA/' < {} > forged; BEARER_TOKEN_FILE=$PWD/forged xrdcp -s \
         root://readers//data/hello -",
        token_file(&user)?
    );
    let forged = run(&forged)?;
    assert!(forged.code != 0 && forged.stdout.is_empty(), "{forged:?}");
    Ok(())
}

fn r70_xrootd_and_the_doctor_agree_on_a_file_that_others_can_read(world: &World) -> Outcome {
    let site = world.place(Site::of)?;
    let (node, user) = (&site.0, world.user()?);
    let _session = sign_in(node, world.issuer()?, &user)?;
    let open = "cp $BEARER_TOKEN_FILE open; chmod 644 open; export BEARER_TOKEN_FILE=$PWD/open; ";
    node.ssh(&user).run("xrdfs readers ls /data")?.ok()?;
    let said = node.ssh(&user).run(&format!("{open} xrdfs readers ls /data"))?;
    assert_ne!(said.code, 0, "XRootD took it: {said:?}");
    let doctor = node.ssh(&user).run(&format!("{open} iamctl doctor"))?.exited(1)?;
    let text = doctor.text();
    assert!(text.contains("others can read it, and XRootD refuses it"), "{text}");
    assert!(text.contains("XRootD: finds") && text.contains("and refuses it"), "{text}");
    Ok(())
}

const SCITOKENS: &str = r#"
import json, scitokens
token = scitokens.SciToken.discover(audience="https://wlcg.cern.ch/jwt/v1/any")
print(json.dumps({"issuer": token["iss"], "subject": token["sub"], "scope": token["scope"]}))
"#;

fn r70_scitokens_finds_the_token_of_the_session_and_verifies_it(world: &World) -> Outcome {
    let site = world.place(Site::of)?;
    let (node, issuer, user) = (&site.0, world.issuer()?, world.user()?);
    let _session = sign_in(node, issuer, &user)?;
    let python = format!("PYTHONPATH={PYTHON_READERS_AT} python3 -");
    let said = node.ssh(&user).run_with(&python, SCITOKENS.as_bytes())?.ok()?;
    let found: serde_json::Value = serde_json::from_slice(&said.stdout)?;
    let token = String::from_utf8(node.get(&token_file(&user)?)?)?;
    let claims = issuer.verify(&token)?;
    assert_eq!((&found["issuer"], &found["subject"]), (&claims["iss"], &claims["sub"]));
    assert!(found["scope"].as_str().unwrap_or_default().contains("storage.read:/"), "{found}");

    let none = node.ssh(&user).run_with(&format!("{NO_TOKEN} {python}"), SCITOKENS.as_bytes())?;
    assert!(none.code != 0 && none.stdout.is_empty(), "{none:?}");
    let forged = format!(
        "umask 077; sed 's/.....$/AAAAA/' < $BEARER_TOKEN_FILE > forged; \
         BEARER_TOKEN_FILE=$PWD/forged {python}"
    );
    let forged = node.ssh(&user).run_with(&forged, SCITOKENS.as_bytes())?;
    assert!(forged.code != 0 && forged.stdout.is_empty(), "it was not verified: {forged:?}");
    Ok(())
}

/// The library's own search: what the doctor says of it is what it does.
fn r70_scitokens_and_the_doctor_agree_where_a_token_is_looked_for(world: &World) -> Outcome {
    let site = world.place(Site::of)?;
    let (node, user) = (&site.0, world.user()?);
    let _session = sign_in(node, world.issuer()?, &user)?;
    let set = "umask 077; file=/tmp/bt_u$(id -u); cp $BEARER_TOKEN_FILE $file; mkdir -p none; \
               : > blank; unset BEARER_TOKEN BEARER_TOKEN_FILE; export XDG_RUNTIME_DIR=$PWD/none; ";
    for (line, finds, said) in [
        ("", false, "does not look in /tmp"),
        ("unset XDG_RUNTIME_DIR; ", true, "finds /tmp/bt_u"),
        ("export BEARER_TOKEN_FILE=$file; ", true, "through BEARER_TOKEN_FILE"),
        ("unset XDG_RUNTIME_DIR; export BEARER_TOKEN_FILE=$PWD/none; ", true, "finds /tmp/bt_u"),
        ("unset XDG_RUNTIME_DIR; export BEARER_TOKEN_FILE=$PWD/blank; ", false, "which is empty"),
        ("unset XDG_RUNTIME_DIR; export BEARER_TOKEN=' '; ", false, "which is empty"),
    ] {
        let python = format!("{set}{line}PYTHONPATH={PYTHON_READERS_AT} python3 -");
        let found = node.ssh(&user).run_with(&python, SCITOKENS.as_bytes())?;
        assert_eq!(found.code == 0, finds, "{line}: {found:?}");
        let doctor = node.ssh(&user).run(&format!("{set}{line}iamctl doctor"))?;
        let text = doctor.text();
        let told = text.lines().find(|line| line.contains(" scitokens: "));
        assert!(told.is_some_and(|told| told.contains(said)), "{line}: {text}");
        assert_eq!(told.is_some_and(|told| told.starts_with("ok ")), finds, "{line}: {text}");
    }
    node.ssh(&user).run("rm -f /tmp/bt_u$(id -u)")?.ok()?;
    Ok(())
}

fn r70_curl_takes_the_header_from_a_file(world: &World) -> Outcome {
    let site = world.place(Site::of)?;
    let (node, issuer, user) = (&site.0, world.issuer()?, world.user()?);
    let _session = sign_in(node, issuer, &user)?;
    let metadata = issuer.get(".well-known/openid-configuration")?;
    let userinfo = metadata["userinfo_endpoint"].as_str().unwrap_or_default().to_owned();
    let line = format!(
        "umask 077; iamctl token --header > header; curl -sS --fail -H @header {userinfo}; \
         echo; curl -s -o /dev/null -w '%{{http_code}}' {userinfo}"
    );
    let said = node.ssh(&user).run(&line)?.ok()?.text();
    let (answer, without) = said.split_once('\n').unwrap_or_default();
    let answer: serde_json::Value = serde_json::from_str(answer)?;
    let token = String::from_utf8(node.get(&token_file(&user)?)?)?;
    assert_eq!(answer["sub"], issuer.verify(&token)?["sub"]);
    assert!(["400", "401"].contains(&without), "without the header: {without}");
    Ok(())
}
