//! Mistakes in the site's files, as `iamctl admin reload` tells them. At a start they are told in
//! the same words, and iamd does not start.

use std::fs;

use super::*;

/// What a reload says of a house with this file written over what was there.
fn reloaded(when: &str, file: &str, text: &str) {
    let house = House::with("");
    fs::write(house.dir.path().join(file), text).unwrap();
    told_of(when, &house);
}

fn told_of(when: &str, house: &House) {
    let mut error = told(house.service.reload(By::ITSELF));
    error.message = error.message.replace(house.dir.path().to_str().unwrap(), "/etc/iamd");
    crate::testing::shows("Configuration", when, error);
}

#[tokio::test]
async fn in_iamd_toml() {
    for (when, text) in [
        ("the file is no TOML", "[limits\n"),
        ("a key that there is not", "[limits]\nacounts = 3\n"),
        ("a key like none that there is", "[limits]\nfoo = 3\n"),
        ("a table that is none", "limits = 3\n"),
        ("a table that stands there twice", "[limits]\n\n[limits]\naccounts = 3\n"),
        ("a list that is none", "[issuers]\nallow = \"cms\"\n"),
        ("a number that is none", "[limits]\naccounts = \"three\"\n"),
        ("a number out of bounds", "[limits]\naccounts = 0\n"),
        ("a duration out of bounds", "[login]\nanswer_within = \"5s\"\n"),
        ("something else than a duration", "[sessions]\ngrace = \"soon\"\n"),
        ("a name that no terminal shows", "[site]\nname = \"\u{e9}\"\n"),
        ("an issuer is allowed that there is not", "[issuers]\nallow = [\"atlas\"]\n"),
        ("the default issuer is none", "[issuers]\ndefault = \"atlas\"\n"),
        ("a renewal too early or too late", "[tokens]\nrenew_at = 1.5\n"),
        ("a store that there is not", "[store]\nkind = \"redis\"\n"),
        ("a key of etcd for another store", "[store]\nprefix = \"iamd/\"\n"),
        ("a PAM service with a path", "[users]\nservices = [\"/etc/pam.d/sshd\"]\n"),
        ("somebody who is neither a user nor a group", "[policy]\nshow_secrets = [\"@\"]\n"),
        ("a filter for the log that is none", "[log]\nfilter = \"iamd=loud\"\n"),
        ("several mistakes at once", "[limits]\naccounts = 0\nlogins = 0\n"),
    ] {
        reloaded(when, "iamd.toml", text);
    }
    let house = House::with("");
    fs::remove_file(house.dir.path().join("iamd.toml")).unwrap();
    fs::create_dir(house.dir.path().join("iamd.toml")).unwrap();
    told_of("the file cannot be read", &house);
    let house = House::with("");
    let rules = house.dir.path().join("policy.d/10-site.toml");
    std::os::unix::fs::symlink("/srv/not/mounted.toml", &rules).unwrap();
    told_of("a file of rules is a link to nothing", &house);
    fs::remove_file(&rules).unwrap();
    fs::write(&rules, "").unwrap();
    fs::set_permissions(&rules, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    told_of("a file of rules that others may write", &house);
    for (when, path) in [
        ("a pipe or a device is where a file of rules belongs", "/dev/zero"),
        ("a directory is where a file of rules belongs", "/"),
    ] {
        fs::remove_file(&rules).unwrap();
        std::os::unix::fs::symlink(path, &rules).unwrap();
        told_of(when, &house);
    }
    fs::remove_file(&rules).unwrap();
    fs::File::create(&rules).unwrap().set_len(2 << 20).unwrap();
    told_of("a file of rules that is far too long", &house);
    fs::write(&rules, b"# rules\n[[rule]]\nfor = \"\xff\"\n").unwrap();
    told_of("a file of rules with bytes that are no text", &house);
    fs::remove_file(&rules).unwrap();
    let dir = rules.parent().unwrap();
    fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    told_of("a directory of rules that others may write", &house);
}

/// `[store]` of a house with files of certificates.
#[tokio::test]
async fn in_the_store_of_several_nodes() {
    let house = House::with("");
    let at = |name: &str| house.dir.path().join(name);
    let pem = |what: &str| format!("-----BEGIN {what}-----\nAAAA\n-----END {what}-----\n");
    let write = |name: &str, text: String, mode: u32| {
        fs::write(at(name), text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(at(name), mode).unwrap();
    };
    write("ca.pem", pem("CERTIFICATE"), 0o644);
    write("node.key", pem("EC PRIVATE KEY"), 0o600);
    write("open.key", pem("PRIVATE KEY"), 0o644);
    write("anybodys.pem", pem("CERTIFICATE"), 0o666);
    let one = "endpoints = [\"https://etcd1.example.org:2379\"]\n";
    let here = "endpoints = [\"http://127.0.0.1:2379\"]\n";
    let ca = format!("ca = \"{}\"\n", at("ca.pem").display());
    let file = |key: &str, name: &str| format!("{key} = \"{}\"\n", at(name).display());
    for (when, lines) in [
        ("etcd without a member", String::new()),
        ("etcd with no member", "endpoints = []\n".into()),
        ("a member of etcd that is no URL", "endpoints = [\"etcd1.example.org\"]\n".into()),
        ("a member of etcd in clear", "endpoints = [\"http://etcd1.example.org:2379\"]\n".into()),
        (
            "members of etcd of both kinds",
            "endpoints = [\"http://127.0.0.1:2379\", \"https://etcd1.example.org:2379\"]\n".into(),
        ),
        ("etcd with nobody to vouch for it", one.into()),
        ("an authority for etcd in clear", format!("{here}{ca}")),
        (
            "a certificate for etcd in clear",
            format!("{here}{}{}", file("certificate", "ca.pem"), file("key", "node.key")),
        ),
        ("keys of etcd with a prefix that is none", format!("{here}prefix = \"iamd\"\n")),
        ("a file of certificates by a relative path", format!("{one}ca = \"ca.pem\"\n")),
        ("a file of certificates that is not there", format!("{one}{}", file("ca", "gone.pem"))),
        ("a file of certificates that is a directory", format!("{one}{}", file("ca", "issuers.d"))),
        (
            "a file of certificates that others may write",
            format!("{one}{}", file("ca", "anybodys.pem")),
        ),
        ("a file of certificates without one", format!("{one}{}", file("ca", "node.key"))),
        ("a certificate without its key", format!("{one}{ca}{}", file("certificate", "ca.pem"))),
        ("a key without its certificate", format!("{one}{ca}{}", file("key", "node.key"))),
        (
            "a key that others may read",
            format!("{one}{ca}{}{}", file("certificate", "ca.pem"), file("key", "open.key")),
        ),
        ("a password for etcd without a user", format!("{one}{ca}credential = \"iamd.pw\"\n")),
        ("a user of etcd without a name", format!("{one}{ca}user = \"\"\n")),
        ("a credential by a path", format!("{one}{ca}user = \"u\"\ncredential = \"/etc/pw\"\n")),
        ("a time-out that is none", format!("{one}{ca}timeout = \"1m\"\n")),
    ] {
        let text = format!("[store]\nkind = \"etcd\"\n{lines}");
        fs::write(at("iamd.toml"), text).unwrap();
        told_of(when, &house);
    }
    let whole = format!(
        "[store]\nkind = \"etcd\"\n{one}{ca}{}{}user = \"iamd\"\n",
        file("certificate", "ca.pem"),
        file("key", "node.key")
    );
    fs::write(at("iamd.toml"), whole).unwrap();
    house.service.reload(By::ITSELF).unwrap();
    let config = house.service.config();
    let crate::config::StoreKind::Etcd(etcd) = &config.store else { panic!("{:?}", config.store) };
    assert_eq!((etcd.prefix.as_str(), etcd.timeout), ("iamd/", 5 * S));
    assert_eq!(etcd.user, Some(("iamd".into(), "iamd.etcd-password".into())));
    assert!(etcd.identity.is_some() && etcd.connect_timeout == 2 * S);
}

#[tokio::test]
async fn in_an_issuers_file() {
    let file = |lines: &str| {
        format!("name = \"x\"\nurl = \"https://x.test/\"\nscopes = [\"openid\"]\n{lines}")
    };
    let url = |url: &str| file("").replace("https://x.test/", url);
    for (when, text) in [
        ("an issuer's file without its URL", "name = \"x\"\nscopes = [\"openid\"]\n".to_owned()),
        ("an issuer's file named otherwise than the issuer", file("").replace("\"x\"", "\"y\"")),
        ("the URL of an issuer's file is not https", url("http://x.test/")),
        ("the URL of an issuer's file has a password", url("https://me:pw@x.test/")),
        ("the URL of an issuer's file has a query", url("https://x.test/?x")),
        ("an endpoint is not https", file("[endpoints]\ntoken = \"http://x.test/token\"\n")),
        ("a title that no terminal shows", file("title = \"\u{e9}\"\n")),
        ("a scope of an issuer's file is none", file("").replace("openid", "\\u0007")),
        ("a public client without an ID", file("[public_client]\nid = \"\"\n")),
        ("two files for one issuer", url("https://issuer.test")),
    ] {
        reloaded(when, "issuers.d/x.toml", &text);
    }
    let house = House::with("");
    let (issuers, dir) = (house.dir.path().join("issuers.d"), house.dir.path());
    fs::remove_dir(&issuers).unwrap();
    fs::write(dir.join("issuers.d"), "").unwrap();
    told_of("the directory of issuers' files cannot be read", &house);
}

#[tokio::test]
async fn in_the_identity_table_of_an_issuers_file() {
    let file = |lines: &str| {
        let head = "name = \"x\"\nurl = \"https://x.test/\"\nscopes = [\"openid\"]\n";
        format!("{head}[identity]\n{lines}\n")
    };
    for (when, lines) in [
        ("a rule for who signs in without what has to be", "claim = \"sub\""),
        ("a claim that is no name", "claim = \"a..b\"\nmust_equal = \"{user}\""),
        ("a text with a place that there is not", "claim = \"sub\"\nmust_equal = \"{usr}\""),
        ("a text with control characters", "claim = \"sub\"\nmust_equal = \"a\\nb\""),
        ("an expression that is none", "claim = \"sub\"\nmust_match = \"(\""),
        ("a map with a relative path", "claim = \"sub\"\nmap_file = \"maps/x\""),
    ] {
        reloaded(when, "issuers.d/x.toml", &file(lines));
    }
    for (when, text) in [
        ("a line of a map without a user", "4711\n"),
        ("a line of a map with two words for a user", "4711 -> a b\n"),
        ("a line of a map twice", "4711 -> alice\n4711 -> alice\n"),
        ("a line of a map that is too long", &*"x".repeat(3000)),
        ("a map that is something else", &*"nonsense\n".repeat(30)),
        ("a map that is far too long", &*"#\n".repeat(5 << 20)),
    ] {
        let house = mapped(&file);
        fs::write(house.dir.path().join("map"), text).unwrap();
        told_of(when, &house);
    }
    told_of("a map that is not there", &mapped(&file));
    let house = mapped(&file);
    fs::create_dir(house.dir.path().join("map")).unwrap();
    told_of("a map that is a directory", &house);
    let mode = |house: &House, name: &str, mode| {
        let path = house.dir.path().join(name);
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let house = mapped(&file);
    fs::write(house.dir.path().join("map"), "").unwrap();
    mode(&house, "map", 0o666);
    told_of("a map that others may write", &house);
    mode(&house, "map", 0o644);
    mode(&house, "", 0o777);
    told_of("a map in a directory that others may write", &house);
    if nix::unistd::geteuid().is_root() {
        mode(&house, "", 0o755);
        let map = house.dir.path().join("map");
        nix::unistd::chown(&map, Some(65534.into()), None).unwrap();
        told_of("a map that is somebody else's", &house);
    }
}

/// A house whose issuer `x` has a map.
fn mapped(file: &dyn Fn(&str) -> String) -> House {
    let house = House::with("");
    let map = house.dir.path().join("map");
    let lines = format!("claim = \"sub\"\nmap_file = \"{}\"", map.display());
    fs::write(house.dir.path().join("issuers.d/x.toml"), file(&lines)).unwrap();
    house
}
