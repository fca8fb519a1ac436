//! What the readers would find, in file systems made for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::token_file::jwt;
use super::*;

const NOW: u64 = 1_000_000;

struct Shell {
    root: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Shell {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// A file; `UID` in its path is the user's.
    fn file(self, path: &str, content: &str, mode: u32) -> Self {
        let uid = nix::unistd::geteuid().to_string();
        let path = self.root.path().join(path.trim_start_matches('/').replace("UID", &uid));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn look(&self) -> Vec<Finding> {
        let variables: Vec<(&'static str, &str)> =
            self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let environment = Environment::for_test(&variables, self.root.path());
        advised(look(&environment, NOW, None))
    }

    /// The same for somebody to whom none of the files belongs; the findings of this name.
    fn to_another(&self, name: &str) -> Vec<Finding> {
        let variables: Vec<(&'static str, &str)> =
            self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut environment = Environment::for_test(&variables, self.root.path());
        environment.uid = other();
        let mut found = advised(look(&environment, NOW, None));
        found.retain(|finding| finding.name == name);
        found
    }

    fn finding(&self, name: &str) -> Finding {
        self.look().into_iter().find(|finding| finding.name == name).unwrap()
    }

    fn problems(&self) -> Vec<String> {
        let findings = self.look().into_iter().filter(|finding| finding.level == PROBLEM);
        findings.map(|finding| format!("{}: {}", finding.name, finding.text)).collect()
    }
}

/// Whoever reads of something that is not well is told what to do.
fn advised(findings: Vec<Finding>) -> Vec<Finding> {
    for finding in &findings {
        assert!(finding.level == OK || !finding.advice.is_empty(), "{finding:?}");
    }
    findings
}

fn other() -> u32 {
    nix::unistd::geteuid().as_raw() + 1
}

#[test]
fn a_good_token_file_is_found_by_all_who_look() {
    let shell = Shell::new().set(BEARER_TOKEN_FILE, "/run/iamd/users/7/bt_u7").file(
        "/run/iamd/users/7/bt_u7",
        &jwt(NOW + 3000),
        0o600,
    );
    assert_eq!(shell.problems(), [""; 0]);
    for reader in ["XRootD", "Rucio", "HTCondor", "scitokens"] {
        let finding = shell.finding(reader);
        assert_eq!(finding.level, OK);
        assert_eq!(
            finding.text, "finds /run/iamd/users/7/bt_u7 through BEARER_TOKEN_FILE",
            "{reader}"
        );
    }
    assert_eq!(
        shell.finding("token file").text,
        "/run/iamd/users/7/bt_u7 through BEARER_TOKEN_FILE is in order, 50 min left"
    );
    assert!(shell.finding("gfal2").text.contains("not set"));
}

#[test]
fn the_runtime_directory_and_then_tmp_are_looked_at() {
    let shell = Shell::new().set(XDG_RUNTIME_DIR, "/run/user/7").file(
        "/run/user/7/bt_uUID",
        &jwt(NOW + 60),
        0o600,
    );
    assert!(shell.finding("Rucio").text.contains("through XDG_RUNTIME_DIR"));
    let shell = Shell::new().file("/tmp/bt_uUID", &jwt(NOW + 60), 0o600);
    assert!(shell.finding("Rucio").text.starts_with("finds /tmp/bt_u"));
    assert_eq!(Shell::new().finding("Rucio").level, WARNING);
}

#[test]
fn a_variable_hides_the_file_and_an_empty_one_does_not() {
    let file = |shell: Shell| shell.file("/tmp/bt_uUID", &jwt(NOW + 60), 0o600);
    let shell = file(Shell::new().set(BEARER_TOKEN, &jwt(NOW - 120)));
    assert_eq!(shell.finding("HTCondor").text, "finds BEARER_TOKEN");
    assert_eq!(shell.finding(BEARER_TOKEN).level, WARNING);
    assert!(shell.problems()[0].contains("BEARER_TOKEN has expired 2 min ago"));
    let shell = file(Shell::new().set(BEARER_TOKEN, " "));
    assert!(shell.finding("HTCondor").text.starts_with("finds /tmp/"));
}

#[test]
fn a_file_that_others_can_read_is_refused_by_xrootd_only() {
    let shell = Shell::new().file("/tmp/bt_uUID", &jwt(NOW + 60), 0o644);
    assert_eq!(shell.finding("XRootD").level, PROBLEM);
    assert_eq!(shell.finding("Rucio").level, OK);
    assert!(shell.finding("token file").text.contains("mode 0644"));
}

#[test]
fn the_shape_of_the_file_is_checked() {
    let text = |content: &str| {
        let shell = Shell::new().file("/tmp/bt_uUID", content, 0o600);
        shell.finding("token file")
    };
    assert!(text(&format!("{}\n", jwt(NOW + 60))).text.contains("white space"));
    assert!(text(&"x".repeat(4096)).text.contains("XRootD refuses 4096"));
    assert_eq!(text(&"x".repeat(4095)).level, OK);
    assert!(text("<html>").text.contains("not a bearer token"));
    assert!(text("").text.contains("is empty"));
    assert_eq!(text(&jwt(NOW)).level, PROBLEM);
}

#[test]
fn a_variable_that_points_to_nothing_and_one_that_is_missing_are_told() {
    let shell = Shell::new().set(BEARER_TOKEN_FILE, "/run/iamd/users/7/bt_u7");
    assert!(shell.finding("token file").text.contains("is not there"));
    let shell = Shell::new().file("/run/iamd/users/UID/bt_uUID", &jwt(NOW + 60), 0o600);
    assert!(shell.finding(BEARER_TOKEN_FILE).advice.starts_with("export BEARER_TOKEN_FILE=/run"));
    let shell = Shell::new().set(XDG_RUNTIME_DIR, "/run/user/7");
    assert_eq!(shell.finding(XDG_RUNTIME_DIR).level, WARNING);
}

#[test]
fn what_cannot_be_read_stops_the_readers() {
    let shell = Shell::new();
    let uid = nix::unistd::geteuid();
    fs::create_dir_all(shell.root.path().join(Path::new(&format!("tmp/bt_u{uid}")))).unwrap();
    assert_eq!(shell.finding("Rucio").level, PROBLEM);
}

#[test]
fn what_xrootd_alone_does_otherwise_is_told_with_a_way_out() {
    let long =
        Shell::new().set(BEARER_TOKEN_FILE, "/run/t").file("/run/t", &"x".repeat(4096), 0o600);
    let found = long.finding("XRootD");
    assert_eq!(found.level, WARNING);
    assert!(found.text.contains("refuses its 4096 bytes"), "{found:?}");
    assert_eq!(long.finding("scitokens").level, OK);
    let in_tmp = Shell::new().file("/tmp/bt_uUID", &jwt(NOW + 60), 0o600).finding("XRootD");
    assert!(in_tmp.level == WARNING && in_tmp.text.contains("Debian 12"), "{in_tmp:?}");
    assert!(in_tmp.advice.starts_with("export BEARER_TOKEN_FILE=/run/iamd/users/"), "{in_tmp:?}");
    let open = Shell::new().file("/tmp/bt_uUID", &jwt(NOW + 60), 0o644).finding("XRootD");
    assert_eq!((open.level.as_str(), open.advice.as_str()), (PROBLEM, "chmod 600 it"));
}

#[test]
fn who_looks_for_no_token_is_given_one() {
    for (reader, command) in [
        ("gfal2", "eval \"$(iamctl token --env)\""),
        ("davix", "davix-get -H"),
        ("curl", "curl -H @<(iamctl token --header) URL"),
    ] {
        let found = Shell::new().finding(reader);
        assert!(found.advice.contains(command), "{found:?}");
    }
    let shell = Shell::new().set(BEARER_TOKEN, &jwt(NOW + 60));
    assert_eq!(shell.finding("gfal2").text, "finds BEARER_TOKEN");
}

#[test]
fn a_file_of_somebody_else_and_one_that_is_too_long_are_told() {
    let good = jwt(NOW + 3000);
    let shell = Shell::new().set(BEARER_TOKEN_FILE, "/mine").file("/mine", &good, 0o600);
    let path = [(BEARER_TOKEN_FILE, "/mine")];
    let mut environment = Environment::for_test(&path, shell.root.path());
    environment.uid += 1;
    let found = look(&environment, NOW, None);
    let owner = environment.uid - 1;
    let text = format!("/mine through BEARER_TOKEN_FILE belongs to uid {owner}, not to you");
    let told = found.iter().find(|finding| finding.text == text).unwrap();
    assert_eq!((told.level.as_str(), told.advice.as_str()), (PROBLEM, "Do not use what it holds"));
    let long = "x".repeat((1 << 20) + 1);
    let shell = Shell::new().set(BEARER_TOKEN_FILE, "/long").file("/long", &long, 0o600);
    let told = shell.finding("token file");
    assert!(told.text.contains("is too long for a token"), "{told:?}");
    assert_eq!((told.level.as_str(), told.advice.is_empty()), (PROBLEM, false));
}

#[test]
fn who_has_no_token_is_told_what_the_default_account_needs() {
    let root = tempfile::tempdir().unwrap();
    let environment = Environment::for_test(&[], root.path());
    let of = |way| {
        let found = look(&environment, NOW, way);
        found.into_iter().find(|finding| finding.name == "XRootD").unwrap().advice
    };
    assert_eq!(of(None), "Sign in with:  iamctl login");
    assert_eq!(of(Some("iamctl account unlock")), "iamctl account unlock");
}

#[test]
fn scitokens_does_not_look_in_tmp_beside_a_runtime_directory() {
    let shell = Shell::new().file("/tmp/bt_uUID", &jwt(NOW + 60), 0o600);
    assert!(shell.finding("scitokens").text.starts_with("finds /tmp/bt_u"));
    let shell = shell.set(XDG_RUNTIME_DIR, "/run/user/7");
    assert!(shell.finding("Rucio").text.starts_with("finds /tmp/bt_u"));
    let found = shell.finding("scitokens");
    assert_eq!((found.text.as_str(), found.level.as_str()), ("finds no token", WARNING));
    let shell = shell.file("/run/iamd/users/UID/bt_uUID", &jwt(NOW + 60), 0o600);
    let found = shell.finding("scitokens");
    assert!(found.level == WARNING && found.text.contains("does not look in /tmp"), "{found:?}");
    assert!(found.advice.starts_with("export BEARER_TOKEN_FILE=/run/iamd/users/"), "{found:?}");
    // An empty one is as none.
    let shell = Shell::new().file("/tmp/bt_uUID", &jwt(NOW + 60), 0o600).set(XDG_RUNTIME_DIR, "");
    assert_eq!(shell.finding("scitokens").level, OK);
}

#[test]
fn scitokens_stops_at_an_empty_file_and_at_a_blank_variable() {
    let good = |shell: Shell| shell.file("/tmp/bt_uUID", &jwt(NOW + 60), 0o600);
    for content in ["", " \n"] {
        let shell =
            good(Shell::new().set(BEARER_TOKEN_FILE, "/mine").file("/mine", content, 0o600));
        assert!(shell.finding("HTCondor").text.starts_with("finds /tmp/"));
        let found = shell.finding("scitokens");
        let text = "stops at /mine through BEARER_TOKEN_FILE, which is empty";
        assert_eq!((found.level.as_str(), found.text.as_str()), (PROBLEM, text));
    }
    let found = good(Shell::new().set(BEARER_TOKEN, " ")).finding("scitokens");
    assert_eq!((found.level.as_str(), found.advice.as_str()), (PROBLEM, "unset BEARER_TOKEN"));
    assert_eq!(good(Shell::new().set(BEARER_TOKEN, "")).finding("scitokens").level, OK);
}

#[test]
fn scitokens_passes_over_what_is_no_regular_file() {
    let shell = Shell::new().set(BEARER_TOKEN_FILE, "/folder").file("/folder/x", "", 0o600);
    let shell = shell.file("/tmp/bt_uUID", &jwt(NOW + 60), 0o600);
    assert_eq!(shell.finding("Rucio").level, PROBLEM);
    assert!(shell.finding("scitokens").text.starts_with("finds /tmp/bt_u"));
}

#[test]
fn another_users_file_is_gone_past_by_a_variable_and_its_owners_to_remove() {
    let uid = other();
    let path = format!("/tmp/bt_u{uid}");
    let way = format!(
        "export BEARER_TOKEN_FILE=/run/iamd/users/{uid}/bt_u{uid}; its owner, or administrators:  rm \
         {path}"
    );
    for (content, mode) in
        [("<html>", 0o600), (jwt(NOW + 60).as_str(), 0o644), (jwt(NOW - 60).as_str(), 0o600)]
    {
        let shell = Shell::new().file(&path, content, mode);
        let found = shell.to_another("token file");
        assert!(found.len() == 2, "and that it belongs to another: {found:?}");
        for found in found {
            assert_eq!((found.level.as_str(), &found.advice), (PROBLEM, &way), "{found:?}");
        }
    }
    let open = Shell::new().file(&path, &jwt(NOW + 60), 0o644).to_another("XRootD").remove(0);
    assert_eq!((open.level.as_str(), open.advice), (PROBLEM, way.clone()));
    let empty = Shell::new().file(&path, "", 0o600).to_another("token file").remove(0);
    assert_eq!((empty.level.as_str(), empty.advice), (WARNING, way.clone()));
    let folder = Shell::new().file(&format!("{path}/x"), "", 0o600);
    let folder = folder.to_another("token file").remove(0);
    assert_eq!((folder.level.as_str(), folder.advice), (PROBLEM, way));
}

#[test]
fn another_users_file_that_no_reader_gets_to_is_no_problem() {
    let (uid, good) = (other(), jwt(NOW + 60));
    let ours = format!("/run/iamd/users/{uid}/bt_u{uid}");
    let path = format!("/tmp/bt_u{uid}");
    let shell = Shell::new().set(BEARER_TOKEN_FILE, &ours).file(&ours, &good, 0o600);
    let found = shell.file(&path, "<html>", 0o644).to_another("token file");
    let of_it: Vec<_> = found.iter().filter(|found| found.text.starts_with(&path)).collect();
    assert_eq!(of_it.len(), 3, "{found:?}");
    for found in of_it {
        let way = format!("Its owner, or administrators:  rm {path}");
        assert_eq!((found.level.as_str(), &found.advice), (WARNING, &way), "{found:?}");
    }
    // One's own stays one: it comes up when the variable goes.
    let shell = Shell::new().set(BEARER_TOKEN, &good).file("/tmp/bt_uUID", "<html>", 0o600);
    assert_eq!(shell.finding("token file").level, OK);
    assert!(shell.problems().iter().any(|text| text.contains("not a bearer token")));
}
