//! Every kind of mistake, and what is said of it.

use std::{fs, path::PathBuf};

use super::*;

const WLCG: &str = "name = \"wlcg\"\nurl = \"https://wlcg.example/\"\nscopes = [\"openid\"]\n";

pub(super) struct Site {
    pub(super) dir: tempfile::TempDir,
}

impl Site {
    pub(super) fn new(main: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["site", "shipped", "policy.d"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        fs::write(dir.path().join("iamd.toml"), main).unwrap();
        let site = Self { dir };
        site.issuer("shipped/wlcg.toml", WLCG)
    }

    pub(super) fn issuer(self, path: &str, text: &str) -> Self {
        fs::write(self.dir.path().join(path), text).unwrap();
        self
    }

    fn sources(&self) -> Sources {
        let at = |name: &str| -> PathBuf { self.dir.path().join(name) };
        Sources {
            file: at("iamd.toml"),
            issuers: at("site"),
            shipped_issuers: at("shipped"),
            policy: at("policy.d"),
        }
    }

    pub(super) fn load(&self) -> Result<Config, String> {
        let prefix = format!("{}/", self.dir.path().display());
        Config::load(&self.sources()).map_err(|error| error.to_string().replace(&prefix, ""))
    }
}

#[test]
fn without_a_file_there_are_the_defaults() {
    let site = Site::new("");
    fs::remove_file(site.dir.path().join("iamd.toml")).unwrap();
    let config = site.load().unwrap();
    assert_eq!(config.limits.accounts, 16);
    assert_eq!(config.limits.logins, 2);
    assert_eq!(config.limits.requests, 64);
    assert_eq!(config.limits.registrations, 5);
    assert_eq!((config.limits.login_starts, config.limits.tokens_per_minute), (10, 120));
    assert_eq!(config.sessions.grace, Duration::from_secs(900));
    assert_eq!(config.users.services, ["sshd", "login"]);
    assert!(config.default_issuer.is_none() && !config.custom_issuers);
}

#[test]
fn r70_every_mistake_is_named_with_file_line_and_key() {
    let cases = [
        (
            "[limits]\naccount = 3\n",
            "iamd.toml:2: limits.account: unknown key; did you mean accounts?",
        ),
        (
            "[limits]\nregistrations = 1001\n",
            "iamd.toml:2: limits.registrations: must be between 1 and 1000",
        ),
        (
            "[agent_socket]\nconnections = 1\n",
            "iamd.toml:2: agent_socket.connections: must be between 8 and 4096",
        ),
        ("[limits]\naccounts = 0\n", "iamd.toml:2: limits.accounts: must be between 1 and 1000"),
        (
            "[policy]\nshow_secrets = [\"a b\"]\n",
            "iamd.toml:2: policy.show_secrets: must be a user's name",
        ),
        ("[policy]\nshow_secrets = [\"@\"]\n", "must be a user's name, or @ and a group's"),
        ("[sessions]\ngrace = 15\n", "iamd.toml:2: sessions.grace: invalid type: integer `15`"),
        ("[sessions]\ngrace = \"soon\"\n", "expected a duration in quotes"),
        ("[issuers]\n\ndefault = \"x\"\n", "iamd.toml:3: issuers.default: “x” is not among"),
        (
            "[issuers]\nallow = [\"wlcg\", \"y\"]\n",
            "iamd.toml:2: issuers.allow: “y”: no issuer file",
        ),
        ("[tokens]\nrenew_at = 2.0\n", "iamd.toml:2: tokens.renew_at: must be between 0.1"),
        ("[store]\nkind = \"redis\"\n", "iamd.toml:2: store.kind: there are \"sqlite\" and"),
        ("[site]\nname = \"a\\u001b[31m\"\n", "iamd.toml:2: site.name: must be printable ASCII"),
        ("[login]\nanswer_within = \"5s\"\n", "iamd.toml:2: login.answer_within: must be between"),
        ("[log]\nfilter = \"iamd=loud\"\n", "iamd.toml:2: log.filter:"),
        ("[users]\nservices = [\"../sshd\"]\n", "iamd.toml:2: users.services: a PAM service"),
        ("what is this", "iamd.toml:1"),
        (
            "[limits]\naccounts = 1\naccounts = 2\n",
            "iamd.toml:3: limits.accounts: stands in the file",
        ),
        (
            "[issuers]\n#default = \"a\"\n[issuers]\ndefault = \"wlcg\"\n",
            "iamd.toml:3: issuers: stands in the file already: put it there",
        ),
    ];
    for (text, expected) in cases {
        let error = Site::new(text).load().unwrap_err();
        assert!(error.contains(expected), "for {text:?} got: {error}");
    }
}

#[test]
fn mistakes_in_issuer_files_are_named_too() {
    let cases = [
        (
            "name = \"other\"\nurl = \"https://a/\"\nscopes = []\n",
            "site/cms.toml:1: name: must be the file's name",
        ),
        (
            "name = \"cms\"\nurl = \"http://a/\"\nscopes = []\n",
            "site/cms.toml:2: url: must begin with https://",
        ),
        ("name = \"cms\"\nurl = \"nonsense\"\nscopes = []\n", "site/cms.toml:2: url: relative URL"),
        ("name = \"cms\"\nurl = \"https://u:p@a/\"\nscopes = []\n", "must not carry a user name"),
        (
            "name = \"cms\"\nurl = \"https://a/\"\nscopes = [\"a\\\"b\"]\n",
            "site/cms.toml:3: scopes:",
        ),
        (
            "name = \"cms\"\nurl = \"https://a/\"\nscopes = []\ndialect = \"iam\"\n",
            "site/cms.toml:4: dialect: unknown variant",
        ),
        ("name = \"cms\"\nurl = \"https://a/\"\n", "site/cms.toml: scopes: is missing"),
        (
            "name = \"cms\"\nurl = \"https://a/\"\nscopes = []\n[endpoints]\ntoken = \"ftp://a/\"\n",
            "site/cms.toml:5: endpoints.token: must begin with https://",
        ),
    ];
    for (text, expected) in cases {
        let error = Site::new("").issuer("site/cms.toml", text).load().unwrap_err();
        assert!(error.contains(expected), "for {text:?} got: {error}");
    }
}

#[test]
fn clients_and_secrets_are_the_sites_to_allow() {
    let config = Site::new("").load().unwrap();
    assert!(config.users.own_clients && config.policy.show_secrets.is_empty());
    assert_eq!(config.issuers["wlcg"].public_client, None);
    let site =
        Site::new("[users]\nown_clients = false\n[policy]\nshow_secrets = [\"alice\", \"@ops\"]\n")
            .issuer("site/wlcg.toml", &format!("{WLCG}[public_client]\nid = \"public\"\n"));
    let config = site.load().unwrap();
    assert!(!config.users.own_clients);
    assert_eq!(config.policy.show_secrets, ["alice", "@ops"]);
    assert_eq!(config.issuers["wlcg"].public_client.as_deref(), Some("public"));
    for bad in ["id = \"\"", "id = \"a\\u0007\"", "id = \"a\"\nsecret = \"s\""] {
        let site =
            Site::new("").issuer("site/wlcg.toml", &format!("{WLCG}[public_client]\n{bad}\n"));
        assert!(site.load().unwrap_err().contains("public_client"), "{bad}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let error = Site::new("[limits]\naccounts = 0\nlogins = 0\n")
        .issuer("site/cms.toml", "name = \"x\"\nurl = \"https://a/\"\nscopes = []\n")
        .load()
        .unwrap_err();
    assert_eq!(error.lines().count(), 3, "{error}");
}

/// A mistake of each kind in each file: one run names them all, in the order of the lines.
#[test]
fn r70_no_mistake_hides_another() {
    let error = Site::new(
        "[limit]\n\
         [limits]\n\
         accounts = 0\n\
         logins = \"two\"\n\
         reqests = 5\n\
         requests = -1\n\
         [sessions]\n\
         grace = 15\n\
         keep-for-lingering = true\n\
         [tokens]\n\
         renew_at = \"0.5\"\n\
         [login]\n\
         automatic = 1\n\
         answer_within = \"soon\"\n\
         colour = \"red\"\n\
         [users]\n\
         services = [\n\
           \"sshd\",\n\
           22,\n\
           \"a/b\",\n\
         ]\n\
         [policy]\n\
         show_secrets = \"@ops\"\n\
         [issuers]\n\
         default = \"cms\"\n\
         allow = [\"cms\", \"nobody\"]\n\
         custom = \"no\"\n",
    )
    .issuer(
        "site/cms.toml",
        "name = \"cms\"\n\
         url = 5\n\
         scops = [\"openid\"]\n\
         dialect = \"iam\"\n\
         title = \"\\u001b[31m\"\n\
         fixed_client = { secret = \"hunter2\", auth = \"none\" }\n\
         [endpoints]\n\
         token = \"ftp://a/\"\n\
         jwks = true\n\
         tokens = \"https://a/\"\n",
    )
    .load()
    .unwrap_err();
    let expected = [
        "site/cms.toml: scopes: is missing",
        "site/cms.toml:2: url: invalid type: integer `5`, expected a string representing an URL",
        "site/cms.toml:3: scops: unknown key; did you mean scopes?",
        "site/cms.toml:4: dialect: unknown variant",
        "site/cms.toml:5: title: must be printable ASCII",
        "site/cms.toml:6: fixed_client.id: is missing",
        "site/cms.toml:6: fixed_client.secret: unknown key; there are: id, secret_file, auth",
        "site/cms.toml:8: endpoints.token: must begin with https://",
        "site/cms.toml:9: endpoints.jwks: invalid type: boolean `true`",
        "site/cms.toml:10: endpoints.tokens: unknown key; did you mean token?",
        "iamd.toml:1: limit: unknown key; did you mean limits?",
        "iamd.toml:3: limits.accounts: must be between 1 and 1000",
        "iamd.toml:4: limits.logins: invalid type: string \"two\", expected a whole number",
        "iamd.toml:5: limits.reqests: unknown key; did you mean requests?",
        "iamd.toml:6: limits.requests: must be between 1 and 100000",
        "iamd.toml:8: sessions.grace: invalid type: integer `15`, expected a duration in quotes",
        "iamd.toml:9: sessions.keep-for-lingering: unknown key; did you mean keep_for_lingering?",
        "iamd.toml:11: tokens.renew_at: invalid type: string \"0.5\", expected a number",
        "iamd.toml:13: login.automatic: invalid type: integer `1`, expected a boolean",
        "iamd.toml:14: login.answer_within: invalid value: string \"soon\"",
        "iamd.toml:15: login.colour: unknown key; there are: automatic, unanswered_limit, answer",
        "iamd.toml:19: users.services: invalid type: integer `22`, expected a string",
        "iamd.toml:20: users.services: a PAM service is named like its file",
        "iamd.toml:23: policy.show_secrets: must be a list in [ ], not a string",
        // The file of cms has mistakes of its own, that is no mistake here.
        "iamd.toml:26: issuers.allow: \u{201c}nobody\u{201d}: no issuer file of that name",
        "iamd.toml:27: issuers.custom: invalid type: string \"no\", expected a boolean",
    ];
    for expected in expected {
        assert!(error.lines().any(|line| line.starts_with(expected)), "{expected}\n-- in\n{error}");
    }
    assert_eq!(error.lines().count(), expected.len(), "{error}");
    assert!(!error.contains("hunter2") && !error.contains('\u{1b}'), "{error}");
    let lines = error.lines().filter_map(|line| {
        line.strip_prefix("iamd.toml:")?.split(':').next()?.parse::<usize>().ok()
    });
    assert!(lines.is_sorted(), "{error}");
}

/// What is not TOML is one mistake for each place, and what is right around it still counts.
#[test]
fn r70_a_line_that_is_no_toml_hides_no_other_mistake() {
    let error = Site::new("[sesions]\n[limits]\naccounts = \nlogins = 0\nthis is nothing\n")
        .issuer("site/cms.toml", "name = \"cms\"\nurl = https://a/\nscope = []\n")
        .load()
        .unwrap_err();
    for expected in [
        "site/cms.toml:2: url: ",
        "site/cms.toml:3: scope: unknown key; did you mean scopes?",
        "iamd.toml:1: sesions: unknown key; did you mean sessions?",
        "iamd.toml:3: limits.accounts: ",
        "iamd.toml:4: limits.logins: must be between 1 and 100",
        "iamd.toml:5: ",
    ] {
        let found = error.lines().filter(|line| line.starts_with(expected)).count();
        assert_eq!(found, 1, "{expected}\n-- in\n{error}");
    }
    assert_eq!(error.lines().count(), 6, "{error}");
}

#[test]
fn r70_a_table_is_a_table() {
    for text in ["limits = 3\n", "[[limits]]\naccounts = 3\n"] {
        let error = Site::new(text).load().unwrap_err();
        assert!(error.starts_with("iamd.toml:1: limits: must be a table, not a"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let dotted = Site::new("limits.accounts = 0\nlimits.account = 1\n").load().unwrap_err();
    assert!(dotted.contains("iamd.toml:1: limits.accounts: must be between"), "{dotted}");
    assert!(dotted.contains("iamd.toml:2: limits.account: unknown key"), "{dotted}");
}

#[test]
fn the_sites_issuer_file_hides_the_shipped_one_and_an_empty_one_removes_it() {
    let mine = WLCG.replace("wlcg.example", "mine.example");
    let config = Site::new("").issuer("site/wlcg.toml", &mine).load().unwrap();
    assert_eq!(config.issuers["wlcg"].url.host_str(), Some("mine.example"));
    let config = Site::new("").issuer("site/wlcg.toml", "").load().unwrap();
    assert!(config.issuers.is_empty());
}

#[test]
fn a_file_that_others_may_write_and_a_link_to_nothing_are_mistakes_wherever_they_are() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    for name in ["iamd.toml", "site/wlcg.toml", "policy.d/10-site.toml"] {
        let site = Site::new("");
        let path = site.dir.path().join(name);
        fs::write(&path, if name.starts_with("site") { WLCG } else { "" }).unwrap();
        site.load().unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let error = site.load().unwrap_err();
        assert!(error.contains(&format!("{name}: can be written by others")), "{error}");
        fs::remove_file(&path).unwrap();
        symlink("/nonexistent/file.toml", &path).unwrap();
        let error = site.load().unwrap_err();
        assert_eq!(error, format!("{name}: is a link to a file that is not there"));
    }
}

#[test]
fn a_directory_that_others_may_write_is_a_mistake_and_hides_no_other() {
    use std::os::unix::fs::PermissionsExt as _;
    for name in ["policy.d", "site", "shipped"] {
        for mode in [0o775, 0o757] {
            let site = Site::new("").issuer("policy.d/1.toml", "[[rule]]\n");
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(site.dir.path().join(name), mode).unwrap();
            let error = site.load().unwrap_err();
            let told = format!("{name}: can be written by others than its owner (chmod go-w)");
            assert!(error.lines().any(|line| line == told), "{error}");
            assert!(error.contains("policy.d/1.toml:1: "), "{error}");
        }
    }
}

#[test]
fn two_files_of_one_issuer_are_a_mistake_and_a_file_of_the_same_name_is_none() {
    let other = |url: &str| {
        let text = WLCG.replace("\"wlcg\"", "\"zz-strict\"");
        text.replace("https://wlcg.example", url)
    };
    for url in ["https://wlcg.example", "https://WLCG.example.:443//"] {
        let site = Site::new("").issuer("site/zz-strict.toml", &other(url));
        let error = site.load().unwrap_err();
        let line = 1 + WLCG.lines().position(|line| line.starts_with("url")).unwrap();
        let told = format!("site/zz-strict.toml:{line}: url: is the issuer of ");
        assert!(error.contains(&told) && error.contains("shipped/wlcg.toml too"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let elsewhere = Site::new("").issuer("site/zz-strict.toml", &other("https://zz.example"));
    assert_eq!(elsewhere.load().unwrap().issuers.len(), 2);
    // The shipped one is hidden: only the site's is left.
    let hidden = Site::new("").issuer("site/zz-strict.toml", &other("https://wlcg.example"));
    let config = hidden.issuer("site/wlcg.toml", "").load().unwrap();
    assert_eq!(config.issuer("https://wlcg.example").unwrap().name, "zz-strict");
    let same = Site::new("").issuer("site/wlcg.toml", WLCG).load().unwrap();
    assert_eq!(same.issuers.len(), 1);
}

#[test]
fn an_issuer_is_found_by_name_and_by_url_with_and_without_the_slash() {
    let config = Site::new("[issuers]\ndefault = \"wlcg\"\n").load().unwrap();
    for text in ["wlcg", "https://wlcg.example/", "https://wlcg.example", "https://WLCG.example//"]
    {
        assert_eq!(config.issuer(text).unwrap().name, "wlcg");
    }
    assert!(config.issuer("https://wlcg.example/x").is_none());
    assert_eq!(config.default_profile().unwrap().name, "wlcg");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_not_a_default() {
    let site = Site::new("");
    fs::remove_file(site.dir.path().join("iamd.toml")).unwrap();
    fs::create_dir(site.dir.path().join("iamd.toml")).unwrap();
    let error = site.load().unwrap_err();
    assert!(error.starts_with("iamd.toml: cannot be read"), "{error}");
}

/// The files that a site gets, as they are and with every key switched on.
#[test]
fn the_shipped_configuration_and_issuer_files_are_good() {
    let dist = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist");
    let dir = tempfile::tempdir().unwrap();
    let shipped = fs::read_to_string(dist.join("etc/iamd.toml")).unwrap();
    let key = |line: &str| {
        let name = line.strip_prefix('#')?;
        let name = name.strip_prefix(' ').unwrap_or(name);
        let (key, _) = name.split_once(" = ")?;
        key.chars().all(|c| c.is_ascii_lowercase() || c == '_').then(|| name.to_owned())
    };
    let switched_on: String =
        shipped.lines().map(|line| key(line).unwrap_or_else(|| line.to_owned()) + "\n").collect();
    assert_ne!(switched_on, shipped, "no key is commented out");
    for text in [&shipped, &switched_on] {
        let file = dir.path().join("iamd.toml");
        fs::write(&file, text).unwrap();
        let sources = Sources {
            file,
            issuers: dir.path().join("none"),
            shipped_issuers: dist.join("issuers.d"),
            policy: dir.path().join("none"),
        };
        let config = Config::load(&sources).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(config.issuers.contains_key("wlcg"));
        // Clients do not register themselves there: nobody is told that they do. (The keys that are
        // switched on allow other issuers only.)
        for name in ["egi", "helmholtz", "kit"].into_iter().filter(|_| text == &shipped) {
            let client = &config.issuers[name].client;
            assert_eq!(*client, crate::account::ClientPolicy::Missing, "{name}");
        }
    }
}

/// The example of rules, with every line of it switched on.
#[test]
fn the_shipped_example_of_rules_is_good_and_names_every_key() {
    let dist = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist");
    let shipped = fs::read_to_string(dist.join("etc/policy.toml")).unwrap();
    let switched_on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    let rules: String = shipped.lines().map(|line| switched_on(line) + "\n").collect();
    let cms = WLCG.replace("wlcg", "cms");
    let config = Site::new("")
        .issuer("shipped/cms.toml", &cms)
        .issuer("policy.d/example.toml", &rules)
        .load()
        .unwrap();
    let named: std::collections::BTreeSet<_> =
        config.policy.clauses.iter().map(|clause| clause.key).collect();
    assert_eq!(named.len(), policy::Key::ALL.len(), "{named:?}");
}

proptest::proptest! {
    /// Whatever a file holds: no panic, and a complaint is a line that a terminal can show.
    #[test]
    fn any_text_is_a_configuration_or_a_list_of_mistakes(
        text in "(\\PC|\\[\\[policy.rule\\]\\]\n|for|scopes|\\[limits\\]|\\[users\\]|accounts|services| = |[\\[\\]{}\"'.,=0-9\\n\\r\\t\u{1b}]){0,40}",
    ) {
        let mut problems = Vec::new();
        let none = PathBuf::from("none");
        let sources = Sources {
            file: "iamd.toml".into(),
            issuers: none.clone(),
            shipped_issuers: none.clone(),
            policy: none,
        };
        file::build(&sources, &text, BTreeMap::new(), &mut problems);
        for problem in problems {
            let shown = problem.to_string();
            proptest::prop_assert!(shown.starts_with("iamd.toml"), "{}", shown);
            proptest::prop_assert!(!shown.contains(char::is_control), "{:?}", shown);
        }
    }
}

#[test]
fn what_is_no_file_is_refused_and_holds_nobody() {
    let at = |site: &Site, name: &str| site.dir.path().join(name);
    for name in ["iamd.toml", "site/wlcg.toml", "policy.d/90.toml"] {
        let site = Site::new("");
        let path = at(&site, name);
        let _ = fs::remove_file(&path);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert_eq!(site.load().unwrap_err(), format!("{name}: is not a file"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let said = format!("{name}: cannot be read: it is a directory, and a file belongs here");
        assert_eq!(site.load().unwrap_err(), said);
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(site.load().unwrap_err(), format!("{name}: is not a file"));
        fs::remove_file(&path).unwrap();
        fs::File::create(&path).unwrap().set_len((1 << 20) + 1).unwrap();
        assert_eq!(site.load().unwrap_err(), format!("{name}: is longer than 1 MiB"));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&path, &path).unwrap();
        assert!(site.load().unwrap_err().starts_with(&format!("{name}: cannot be read: ")));
    }
}

#[test]
fn r70_a_line_that_is_no_utf_8_is_named_with_its_key() {
    let site = Site::new("");
    fs::write(site.dir.path().join("iamd.toml"), b"[site]\n\nname = \"a\xff\"\n").unwrap();
    assert_eq!(site.load().unwrap_err(), "iamd.toml:3: site.name: is not UTF-8 text");
}
