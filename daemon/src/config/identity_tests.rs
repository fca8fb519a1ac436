//! `[identity]`: what a site can write, and what is said of its mistakes.

use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

use super::*;
use crate::{
    account::{Owner, identity_rule::ClaimValues},
    config::{Config, Sources},
};

struct Site(tempfile::TempDir);

impl Site {
    /// With this table in the file of its issuer.
    fn new(identity: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("issuers.d")).unwrap();
        let site = Self(dir);
        site.put("iamd.toml", "");
        let identity = identity.replace("DIR", &site.0.path().display().to_string());
        let head = "name = \"x\"\nurl = \"https://x.example/\"\nscopes = [\"a\"]\n";
        site.put("issuers.d/x.toml", &format!("{head}[identity]\n{identity}\n"));
        site
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn load(&self) -> Result<Config, String> {
        let at = |name: &str| self.0.path().join(name);
        let sources = Sources {
            file: at("iamd.toml"),
            issuers: at("issuers.d"),
            shipped_issuers: at("none"),
            policy: at("policy.d"),
        };
        let prefix = format!("{}/", self.0.path().display());
        Config::load(&sources).map_err(|error| error.to_string().replace(&prefix, ""))
    }

    fn rule(&self) -> IdentityRule {
        self.load().unwrap().issuers["x"].identity.clone().unwrap()
    }

    fn error(&self) -> String {
        self.load().unwrap_err()
    }
}

#[test]
fn a_rule_is_read_and_the_scopes_that_it_needs_are_asked_for() {
    let site = Site::new("claim = \"preferred_username\"\nmust_equal = \"{user}\"");
    let rule = site.rule();
    assert_eq!(rule.expect, Expect::Equal("{user}".into()));
    let scopes = |site: &Site| site.load().unwrap().issuers["x"].scopes.to_string();
    assert_eq!(scopes(&site), "a openid profile");
    let site = Site::new("claim = \"wlcg.groups\"\nmust_match = \"/cms(/.*)?\"");
    assert_eq!(scopes(&site), "a openid wlcg.groups");
    let own = "claim = \"eppn\"\nmust_equal = \"{user}@x\"\nscopes = [\"eduperson\"]";
    assert_eq!(scopes(&Site::new(own)), "a eduperson openid");
    assert_eq!(scopes(&Site::new("claim = \"sub\"\nmust_equal = \"{uid}\"")), "a openid");
}

#[test]
fn a_mistake_in_the_table_is_named_with_file_line_and_key() {
    let at = |line: u8, key: &str, text: &str| {
        format!("issuers.d/x.toml:{line}: identity.{key}: {text}")
    };
    let one = "needs one of must_equal, must_match and map_file";
    let claim = "must be a claim's name, or names with dots between them";
    for (table, said) in [
        ("must_equal = \"{user}\"", "issuers.d/x.toml:4: identity.claim: is missing".to_owned()),
        ("claim = \"c\"", at(5, "claim", one)),
        ("claim = \"c\"\nmust_equal = \"{user}\"\nmust_match = \"x\"", at(5, "claim", one)),
        ("claim = \"\"\nmust_equal = \"{user}\"", at(5, "claim", claim)),
        ("claim = \"a..b\"\nmust_equal = \"{user}\"", at(5, "claim", claim)),
        (
            "claim = \"c\"\nmust_equal = \"{usr}\"",
            at(6, "must_equal", "has a place that is neither {user} nor {uid}"),
        ),
        (
            "claim = \"c\"\nmust_match = \"[{user}]\"",
            at(6, "must_match", "is no expression that can be used"),
        ),
        ("claim = \"c\"\nmap_file = \"maps/x\"", at(6, "map_file", "must be an absolute path")),
        ("claim = \"c\"\nmust_equal = \"x\"\nscopes = [\"ä\"]", at(7, "scopes", "")),
        ("claim = \"c\"\nmust_equals = \"x\"", at(6, "must_equals", "unknown key")),
    ] {
        let error = Site::new(table).error();
        assert!(error.contains(&said), "{table}: {error}");
    }
}

const MAPPED: &str = "claim = \"sub\"\nmap_file = \"DIR/map\"";

#[test]
fn a_map_has_a_line_for_each_value_and_user_and_is_read_again_with_the_configuration() {
    let site = Site::new(MAPPED);
    site.put("map", "# people\n\n 4711 -> alice\n/DC=ch/CN=Bob -> B. -> bob\n4711->carol\n");
    let admits = |site: &Site, user: &str, value: &str| {
        let owner = Owner { uid: 1, user: user.into() };
        site.rule().admits(&owner, &ClaimValues::new([value])).is_ok()
    };
    assert!(admits(&site, "alice", "4711") && admits(&site, "carol", "4711"));
    assert!(admits(&site, "bob", "/DC=ch/CN=Bob -> B."));
    assert!(!admits(&site, "bob", "4711") && !admits(&site, "# people", ""));
    site.put("map", "4711 -> bob\n");
    assert!(admits(&site, "bob", "4711") && !admits(&site, "alice", "4711"));
    site.put("map", "");
    assert_eq!(site.rule().expect, Expect::Mapped(Arc::default()), "nobody");
}

#[test]
fn a_mistake_in_a_map_is_named_with_file_and_line() {
    let site = Site::new(MAPPED);
    let named = "issuers.d/x.toml:6: identity.map_file: names map, which is not there";
    assert!(site.error().starts_with(named), "{}", site.error());
    for (text, said) in [
        ("a -> b\n\nc\n", "map:3: must be: VALUE -> USER"),
        ("a -> b\n -> c\n", "map:2: must be: VALUE -> USER"),
        ("a ->\n", "map:1: must be: VALUE -> USER"),
        ("a -> b c\n", "map:1: must be: VALUE -> USER"),
        ("a -> b\na  ->  b\n", "map:2: says again what a line above says"),
        ("a\u{1b} -> b\n", "map:1: is too long, or has control characters"),
    ] {
        site.put("map", text);
        assert_eq!(site.error(), said);
    }
    site.put("map", &format!("{} -> b\n", "a".repeat(3000)));
    assert!(site.error().starts_with("map:1: is too long"));
    site.put("map", &"nonsense\n".repeat(1000));
    assert_eq!(site.error().lines().count(), MOST_PROBLEMS + 1);
    fs::write(site.0.path().join("map"), b"a -> b\n\xff\xfe -> b\n").unwrap();
    assert_eq!(site.error(), "map:2: is not UTF-8 text");
}

#[test]
fn a_map_that_others_can_write_or_that_is_no_file_is_refused() {
    let site = Site::new(MAPPED);
    site.put("map", "a -> b\n");
    let path = site.0.path().join("map");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for bad in [0o664, 0o646] {
        mode(&path, bad);
        assert_eq!(site.error(), "map: can be written by others than its owner (chmod go-w)");
    }
    mode(&path, 0o600);
    site.load().unwrap();
    mode(site.0.path(), 0o777);
    assert!(site.error().contains("its directory"), "{}", site.error());
    mode(site.0.path(), 0o755);
    if nix::unistd::geteuid().is_root() {
        nix::unistd::chown(&path, Some(65534.into()), None).unwrap();
        assert!(site.error().contains("belongs to somebody else than root"));
    }
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(site.error(), "map: is not a file");
    fs::remove_file(&path).unwrap();
    fs::File::create(&path).unwrap().set_len(LONGEST_MAP + 1).unwrap();
    assert_eq!(site.error(), "map: is longer than 8 MiB");
}
