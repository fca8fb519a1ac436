//! Every finding that `iamctl doctor` makes by itself: provoked, and compared with its row in
//! docs/errors.md. What the daemon finds is in the daemon's tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use iamd_protocol::paths::{AGENT_SOCKET, PAM_SOCKET, TOKEN_SOCKET};
use iamd_protocol::variables::{BEARER_TOKEN, BEARER_TOKEN_FILE, OIDC_SOCK, XDG_RUNTIME_DIR};

use super::token_file::jwt;
use super::*;
use crate::environment::Environment;

const NOW: u64 = 1_000_000;

/// The line in PAM's file that is as it should be.
const CALLED: &str = "session optional pam_iam.so\n";

/// A node and a shell on it, made for a test.
struct Node {
    root: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
    uid: u32,
}

impl Node {
    fn new() -> Self {
        let uid = nix::unistd::geteuid().as_raw();
        Self { root: tempfile::tempdir().unwrap(), variables: Vec::new(), uid }
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Where a path is; `UID` in it is the user's. Its directory is made.
    fn at(&self, path: &str) -> PathBuf {
        let path = path.trim_start_matches('/').replace("UID", &self.uid.to_string());
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn file(self, path: &str, content: &str, mode: u32) -> Self {
        let at = self.at(path);
        fs::write(&at, content).unwrap();
        fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// With these rules of PAM for sshd.
    fn pam(self, rules: &str) -> Self {
        self.file("/etc/pam.d/sshd", rules, 0o644)
    }

    fn look(&self, uid: u32) -> Vec<Finding> {
        let variables: Vec<(&'static str, &str)> =
            self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut environment = Environment::for_test(&variables, self.root.path());
        environment.uid = uid;
        let mut findings = pam::look(&environment);
        findings.extend(foreign::look(&environment));
        findings.extend(readers::look(&environment, NOW, None));
        findings.extend(agent::look(&environment));
        findings.extend(sockets::look(&environment));
        findings
    }

    /// Of this there is a finding with these words.
    fn shows(&self, when: &str, name: &str, words: &str) {
        self.shows_to(self.uid, when, name, words);
    }

    fn shows_to(&self, uid: u32, when: &str, name: &str, words: &str) {
        let findings = self.look(uid);
        let found = findings.iter().find(|one| one.name == name && one.text.contains(words));
        let mut found = found.unwrap_or_else(|| panic!("{when}: {findings:?}")).clone();
        if uid != self.uid {
            // Somebody else's uid is 2000 on the page.
            for text in [&mut found.text, &mut found.advice] {
                *text = text.replace(&format!("bt_u{uid}"), "bt_u2000");
                *text = text.replace(&format!("/users/{uid}/"), "/users/2000/");
            }
        }
        shows(when, &found, self.uid);
    }
}

/// This finding is a row of the page, where the user's uid is 1000.
fn shows(when: &str, found: &Finding, uid: u32) {
    assert_ne!(found.level, OK, "{when}: {found:?}");
    assert!(!found.advice.is_empty(), "{when}: {found:?}");
    let clean = |text: &str| {
        let text = text.replace(&format!("bt_u{uid}"), "bt_u1000");
        let text = text.replace(&format!("/users/{uid}/"), "/users/1000/");
        let text = text.replace(&format!("to uid {uid},"), "to uid 1000,");
        text.replace(env!("CARGO_PKG_VERSION"), "1.0.0")
    };
    let text = clean(&format!("{}: {}", found.name, found.text));
    iamd_errors::shows("Doctor", when, &text, &found.level, None, &clean(&found.advice));
}

#[test]
fn another_version_is_a_warning() {
    assert_eq!(version(env!("CARGO_PKG_VERSION")).level, OK);
    shows("iamd and iamctl are of two versions", &version("9.9.9"), 1000);
}

#[test]
fn what_is_wrong_with_the_rules_of_pam() {
    let name = "PAM for sshd";
    let is = |when: &str, rules: &str, words: &str| Node::new().pam(rules).shows(when, name, words);
    Node::new().shows("PAM's file for sshd is not there", name, "cannot be read");
    is("the module is not in PAM's file", "# none\n", "is not called");
    is("the module is in another stack", "auth optional pam_iam.so\n", "stands among");
    is("the module is required", "session required pam_iam.so\n", "locks users out");
    let front = format!("{CALLED}session optional pam_systemd.so\n");
    is("the module is in front of pam_systemd", &front, "in front of");
    is("the module is not installed", CALLED, "is not there");
    let circle = Node::new().pam(CALLED);
    let module = circle.at("/usr/lib/security/pam_iam.so");
    symlink(&module, &module).unwrap();
    circle.shows("the module is a link to itself", name, "cannot be looked for");
}

#[test]
fn what_is_wrong_with_the_settings_of_sshd() {
    let is = |when: &str, settings: &str, words: &str| {
        Node::new().file("/etc/ssh/sshd_config", settings, 0o644).shows(when, "sshd", words);
    };
    is("sshd does not call PAM", "UsePAM no\n", "UsePAM is no");
    is("sshd's settings do not speak of PAM", "Port 22\n", "nowhere set");
    let closed = Node::new();
    // A directory cannot be read as a file by anybody.
    fs::create_dir_all(closed.at("/etc/ssh/sshd_config")).unwrap();
    closed.shows("sshd's settings cannot be read", "sshd", "cannot be read");
}

#[test]
fn what_is_wrong_with_the_variable_of_oidc_agent() {
    let nobody = Node::new().set(OIDC_SOCK, AGENT_SOCKET);
    nobody.shows("OIDC_SOCK is iamd's, which serves nobody there", "oidc-agent", "no socket");
    let other = Node::new().set(OIDC_SOCK, "/tmp/oidc-x/agent");
    let _served = UnixListener::bind(other.at(AGENT_SOCKET)).unwrap();
    other.shows("OIDC_SOCK is that of another agent", "oidc-agent", "ask that agent");
}

#[test]
fn what_is_wrong_with_the_socket_for_tokens() {
    let node = Node::new();
    assert!(node.look(node.uid).iter().all(|one| one.name != "token socket"));
    fs::create_dir_all(node.at("/run/iamd")).unwrap();
    let _pam = UnixListener::bind(node.at(PAM_SOCKET)).unwrap();
    node.shows("the token socket is gone", "token socket", "over the bus");
    let _token = UnixListener::bind(node.at(TOKEN_SOCKET)).unwrap();
    assert!(node.look(node.uid).iter().all(|one| one.name != "token socket"));
}

#[test]
fn what_others_left_at_a_place_of_tokens() {
    let left = Node::new().set(XDG_RUNTIME_DIR, "/run/user/7").file(
        "/run/user/7/bt_uUID",
        &jwt(NOW + 60),
        0o600,
    );
    left.shows("a token file that another program left", "token path", "is not iamd's");
    let by_hand = Node::new().set(BEARER_TOKEN_FILE, "/home/alice/token");
    let words = "does not renew";
    by_hand.shows("BEARER_TOKEN_FILE was set by hand", BEARER_TOKEN_FILE, words);
}

#[test]
fn what_is_wrong_with_the_variables_of_a_shell() {
    let set = Node::new().set(BEARER_TOKEN, &jwt(NOW + 60));
    set.shows("BEARER_TOKEN is set", BEARER_TOKEN, "is set");
    let ours = Node::new().file("/run/iamd/users/UID/bt_uUID", &jwt(NOW + 60), 0o600);
    let words = "is not set in this shell";
    ours.shows("BEARER_TOKEN_FILE is not set, and a file is there", BEARER_TOKEN_FILE, words);
    let su = Node::new().set(XDG_RUNTIME_DIR, "/run/user/7");
    su.shows("XDG_RUNTIME_DIR leads nowhere", XDG_RUNTIME_DIR, "is not there");
}

#[test]
fn what_is_wrong_with_a_token_file() {
    let file = "token file";
    let with = |content: &str, mode: u32| Node::new().file("/tmp/bt_uUID", content, mode);
    let nowhere = Node::new().set(BEARER_TOKEN_FILE, "/run/iamd/users/1000/bt_u1000");
    nowhere.shows("the token file is not there", file, "is not there");
    with("", 0o600).shows("the token file is empty", file, "is empty");
    with(&jwt(NOW - 120), 0o600).shows("the token in a file has expired", file, "has expired");
    let expired = Node::new().set(BEARER_TOKEN, &jwt(NOW - 120));
    expired.shows("the token in BEARER_TOKEN has expired", file, "has expired");
    let html = "is not a bearer token";
    with("<html>", 0o600).shows("a file that holds no token", file, html);
    let open = with(&jwt(NOW + 60), 0o644);
    open.shows("a token file that others can read", file, "others can read it");
    open.shows("the same, as XRootD sees it", "XRootD", "in silence");
    let padded = with(&format!("{}\n", jwt(NOW + 60)), 0o600);
    padded.shows("a token file with a newline", file, "white space");
    let long = with(&"x".repeat(4096), 0o600);
    long.shows("a token file that XRootD refuses", file, "4096 bytes");
    long.shows("the same, as XRootD sees its length", "XRootD", "refuses its 4096 bytes");
    let much = with(&"x".repeat((1 << 20) + 1), 0o600);
    much.shows("a file too long for a token", file, "too long for a token");
    let folder = Node::new();
    fs::create_dir_all(folder.at("/tmp/bt_uUID")).unwrap();
    folder.shows("a directory where the token file should be", file, "not a regular file");
    folder.shows("the same, as readers see it", "Rucio", "stops at");
    let theirs = Node::new().set(BEARER_TOKEN_FILE, "/token").file("/token", &jwt(NOW + 60), 0o600);
    theirs.shows_to(theirs.uid + 1, "a token file of somebody else", file, "not to you");
    let reader = theirs.uid + 1;
    let at = format!("/tmp/bt_u{reader}");
    let planted = Node::new().file(&at, "<html>", 0o644);
    planted.shows_to(reader, "somebody else's file in /tmp", "token path", "is not iamd's");
    planted.shows_to(reader, "a file of somebody else in /tmp, whose it is", file, "not to you");
    planted.shows_to(reader, "a file of somebody else in /tmp that holds no token", file, html);
    planted.shows_to(
        reader,
        "a file of somebody else in /tmp that others can read",
        file,
        "others can read it",
    );
    planted.shows_to(reader, "somebody else's file, as XRootD sees it", "XRootD", "in silence");
    let ours = format!("/run/iamd/users/{reader}/bt_u{reader}");
    let passed = planted.set(BEARER_TOKEN_FILE, &ours).file(&ours, &jwt(NOW + 60), 0o600);
    let when = "somebody else's file in /tmp, which no reader gets to";
    passed.shows_to(reader, when, file, html);
}

#[test]
fn what_is_wrong_with_the_view_that_users_have_of_token_files() {
    let node = Node::new().file("/run/iamd/users/UID/bt_uUID", &jwt(NOW + 60), 0o600);
    let environment = Environment::for_test(&[], node.root.path());
    let look = |wrote: &str, is_read_only| {
        let wrote = [finding("token file", OK, wrote, "")];
        view::look_at(&environment, &wrote, |_| is_read_only).unwrap()
    };
    let elsewhere = look("/run/iamd/users/1000/bt_u1000-cms", true);
    shows("users do not see the token files that iamd writes", &elsewhere, node.uid);
    let ours = format!("/run/iamd/users/{0}/bt_u{0}", node.uid);
    shows("users can write where the token files are", &look(&ours, false), node.uid);
}

#[test]
fn what_readers_do_not_find() {
    Node::new().shows("there is no token at all", "Rucio", "finds no token");
    let blank = Node::new().set(BEARER_TOKEN, " ");
    blank.shows("BEARER_TOKEN is blank", "scitokens", "which is empty");
    let in_tmp = Node::new().set(XDG_RUNTIME_DIR, "/run/user/7");
    let in_tmp = in_tmp.file("/tmp/bt_uUID", &jwt(NOW + 60), 0o600);
    let in_tmp = in_tmp.file("/run/iamd/users/UID/bt_uUID", &jwt(NOW + 60), 0o600);
    let when = "a token file in /tmp, and XDG_RUNTIME_DIR is set";
    in_tmp.shows(when, "scitokens", "does not look in /tmp");
    let in_tmp = Node::new().file("/tmp/bt_uUID", &jwt(NOW + 60), 0o600);
    in_tmp.shows("a token file in /tmp, as an old XRootD sees it", "XRootD", "Debian 12");
}
