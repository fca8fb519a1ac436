//! Does a login over SSH call us, and in the right place? And is the profile script on?

mod sshd;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use iamd_protocol::bus::Finding;

use super::{OK, PROBLEM, WARNING, finding};
use crate::environment::Environment;

/// Where PAM looks for a service's file, in this order (pam.d(5), `--with-vendordir`).
const DIRECTORIES: &[&str] = &["/etc/pam.d", "/usr/lib/pam.d"];
/// Where libpam looks for modules; Debian has one such directory per architecture.
const SECURITY: &[&str] =
    &["/usr/lib64/security", "/usr/lib/security", "/lib64/security", "/lib/security"];
const MODULE: &str = "pam_iam.so";
/// It makes `/run/user/UID`, where the link to the token file is put.
const SYSTEMD: &str = "pam_systemd.so";
const PROFILE_SCRIPT: &str = "/etc/profile.d/iamd.sh";
const READ: &str = "Administrators: see that everybody can read /etc/pam.d, as PAM has it";
/// Files may include each other in a circle.
const DEPTH: usize = 8;

/// Looks at PAM and at the profile script.
pub(super) fn look(environment: &Environment) -> Vec<Finding> {
    let script = if environment.path(PROFILE_SCRIPT).exists() {
        "on: a login at a terminal waits for the sign-in"
    } else {
        "off, as the site left it"
    };
    let mut findings = vec![rules(environment)];
    findings.extend(sshd::look(environment));
    findings.push(finding("profile script", OK, script, ""));
    findings
}

fn rules(environment: &Environment) -> Finding {
    let name = "PAM for sshd";
    let mut rules = Vec::new();
    if let Err(error) = collect(environment, "sshd", DEPTH, &mut rules) {
        return finding(name, WARNING, format!("its rules cannot be read: {error}"), READ);
    }
    let ours: Vec<&Rule> = rules.iter().filter(|rule| rule.module == MODULE).collect();
    if let Some(wrong) = ours.iter().find(|rule| rule.kind != "session") {
        return finding(
            name,
            PROBLEM,
            format!("{MODULE} stands among the {:?} rules, in {}", wrong.kind, wrong.file),
            "Administrators: it belongs among the session rules only",
        );
    }
    match ours.first() {
        None => finding(
            name,
            WARNING,
            format!("{MODULE} is not called: a login gets no token by itself"),
            "Administrators: pam-auth-update --enable iamd",
        ),
        Some(rule) if !locks_nobody_out(&rule.control) => finding(
            name,
            WARNING,
            format!(
                "{MODULE} is {:?} in {}: a missing module locks users out",
                rule.control, rule.file
            ),
            "Administrators: make it optional",
        ),
        Some(rule) => {
            let called = format!("{MODULE} is called for a session, in {}", rule.file);
            if comes_before_systemd(&rules) {
                return finding(
                    name,
                    WARNING,
                    format!("{called}, in front of {SYSTEMD}: /run/user/UID is not there yet"),
                    format!("Administrators: put its line behind that of {SYSTEMD}"),
                );
            }
            match find_module(environment, &rule.path) {
                Ok(true) => finding(name, OK, called, ""),
                Ok(false) => finding(
                    name,
                    PROBLEM,
                    format!("{called}, and the module is not there: a login goes on without it"),
                    "Administrators: install iamd again, see its dist/install",
                ),
                Err(error) => finding(
                    name,
                    WARNING,
                    format!("{called}; the module cannot be looked for: {error}"),
                    "Administrators: see that its directory can be read by everybody",
                ),
            }
        }
    }
}

/// Whether a module that fails or is not there leaves the login as it is (pam.conf(5)).
fn locks_nobody_out(control: &str) -> bool {
    let Some(pairs) = control.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return control == "optional";
    };
    let pairs: Vec<_> = pairs.split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
    pairs.contains(&("default", "ignore"))
        && pairs.iter().all(|pair| pair.1 == "ignore" || *pair == ("success", "ok"))
}

/// Whether ours runs before the session has its runtime directory.
fn comes_before_systemd(rules: &[Rule]) -> bool {
    let first = |module: &str| {
        rules.iter().position(|rule| rule.kind == "session" && rule.module == module)
    };
    matches!((first(MODULE), first(SYSTEMD)), (Some(ours), Some(systemd)) if ours < systemd)
}

/// Whether libpam finds the module that a rule names.
fn find_module(environment: &Environment, named: &str) -> std::io::Result<bool> {
    if named.starts_with('/') {
        return is_there(environment, Path::new(named));
    }
    let mut directories: Vec<_> = SECURITY.iter().map(|path| (*path).to_owned()).collect();
    for lib in ["/usr/lib", "/lib"] {
        let Ok(entries) = fs::read_dir(environment.path(lib)) else { continue };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let of_architectures = names.filter(|name| name.contains("-linux-"));
        directories.extend(of_architectures.map(|name| format!("{lib}/{name}/security")));
    }
    let mut unreadable = None;
    for directory in directories {
        match is_there(environment, &Path::new(&directory).join(named)) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => unreadable = Some(error),
        }
    }
    unreadable.map_or(Ok(false), Err)
}

fn is_there(environment: &Environment, path: &Path) -> std::io::Result<bool> {
    match fs::metadata(environment.path(path)) {
        Ok(found) => Ok(found.is_file()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => {
            Err(std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))
        }
    }
}

/// One rule of PAM.
struct Rule {
    kind: String,
    control: String,
    module: String,
    /// As the rule names it.
    path: String,
    file: String,
}

/// The rules of a service, with those that it includes (pam.conf(5)).
fn collect(
    environment: &Environment,
    service: &str,
    depth: usize,
    rules: &mut Vec<Rule>,
) -> std::io::Result<()> {
    if depth == 0 || service.contains('/') {
        return Ok(());
    }
    let paths = DIRECTORIES.iter().map(|directory| format!("{directory}/{service}"));
    let file = paths
        .clone()
        .find(|path| environment.path(path).exists())
        .unwrap_or_else(|| format!("{}/{service}", DIRECTORIES[0]));
    let text = fs::read_to_string(environment.path(&file))
        .map_err(|error| std::io::Error::new(error.kind(), format!("{file}: {error}")))?;
    for line in text.replace("\\\n", " ").lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let (Some(kind), Some(second)) = (words.next(), words.next()) else { continue };
        if kind == "@include" {
            collect(environment, second, depth - 1, rules)?;
            continue;
        }
        let kind = kind.trim_start_matches('-').to_ascii_lowercase();
        let mut control = second.to_owned();
        // [value1=action1 value2=action2] is one word.
        while control.starts_with('[') && !control.ends_with(']') {
            let Some(more) = words.next() else { break };
            control = format!("{control} {more}");
        }
        let Some(module) = words.next() else { continue };
        if matches!(control.as_str(), "include" | "substack") {
            collect(environment, module, depth - 1, rules)?;
            continue;
        }
        let path = module.to_owned();
        let module = module.rsplit('/').next().unwrap_or(module).to_owned();
        rules.push(Rule { kind, control, module, path, file: file.clone() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system with these files below it.
    fn with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_module_that_is_ignored_when_it_fails_locks_nobody_out() {
        for harmless in ["optional", "[success=ok default=ignore]", "[default=ignore]"] {
            assert!(locks_nobody_out(harmless), "{harmless}");
        }
        for control in [
            "required",
            "requisite",
            "sufficient",
            "[success=ok]",
            "[success=ok default=bad]",
            "[success=ok ignore=ignore default=die]",
            "[success=1 default=ignore]",
            "[success=ok module_unknown=die default=ignore]",
            "[]",
        ] {
            assert!(!locks_nobody_out(control), "{control}");
        }
    }

    const INSTALLED: &str = "usr/lib/x86_64-linux-gnu/security/pam_iam.so";

    fn sshd_with(files: &[(&str, &str)]) -> Finding {
        let root = with(&[(INSTALLED, "")]);
        fs::create_dir_all(root.path().join("etc/pam.d")).unwrap();
        for (name, text) in files {
            fs::write(root.path().join("etc/pam.d").join(name), text).unwrap();
        }
        let found = rules(&Environment::for_test(&[], root.path()));
        assert_eq!(found.advice.is_empty(), found.level == OK, "{found:?}");
        found
    }

    #[test]
    fn the_line_is_found_where_distributions_put_it() {
        let debian = sshd_with(&[
            (
                "sshd",
                "@include common-auth\nsession optional pam_motd.so\n@include common-session\n",
            ),
            ("common-auth", "auth [success=1 default=ignore] pam_unix.so\n"),
            ("common-session", "session\toptional\t\t\tpam_iam.so\n"),
        ]);
        assert_eq!(debian.level, OK, "{}", debian.text);
        assert!(debian.text.ends_with("/etc/pam.d/common-session"));
        let fedora = sshd_with(&[
            ("sshd", "session include password-auth\n"),
            ("password-auth", "-session optional pam_iam.so # tokens\n"),
        ]);
        assert_eq!(fedora.level, OK, "{}", fedora.text);
    }

    #[test]
    fn a_missing_a_misplaced_and_a_dangerous_line_are_told() {
        assert_eq!(sshd_with(&[("sshd", "# session optional pam_iam.so\n")]).level, WARNING);
        let none = sshd_with(&[]);
        assert_eq!(none.level, WARNING);
        assert!(none.text.starts_with("its rules cannot be read: /etc/pam.d/sshd: "), "{none:?}");
        let auth = sshd_with(&[("sshd", "auth required pam_iam.so\n")]);
        assert_eq!(auth.level, PROBLEM);
        assert_eq!(auth.advice, "Administrators: it belongs among the session rules only");
        let required = sshd_with(&[("sshd", "session required pam_iam.so\n")]);
        assert_eq!(required.level, WARNING);
        assert!(required.text.contains("required"));
        assert_eq!(required.advice, "Administrators: make it optional");
    }

    #[test]
    fn in_front_of_pam_systemd_is_the_wrong_place() {
        let systemd = "session optional pam_systemd.so\n";
        let ours = "session optional pam_iam.so\n";
        let behind = format!("session required pam_unix.so\n{systemd}{ours}");
        assert_eq!(sshd_with(&[("sshd", &behind)]).level, OK);
        let front = sshd_with(&[
            ("sshd", "session optional pam_iam.so\n@include common-session\n"),
            ("common-session", &format!("{systemd}{ours}")),
        ]);
        assert_eq!(front.level, WARNING);
        assert!(front.text.contains("in front of pam_systemd.so"), "{}", front.text);
        assert!(front.advice.contains("behind that of pam_systemd.so"), "{}", front.advice);
    }

    #[test]
    fn a_module_that_is_not_installed_is_a_problem() {
        let line = "session optional pam_iam.so\n";
        for (module, level) in [
            (INSTALLED, OK),
            ("usr/lib64/security/pam_iam.so", OK),
            ("lib/security/pam_iam.so", OK),
            ("usr/lib/x86_64-linux-gnu/pam_iam.so", PROBLEM),
            ("usr/lib/x86_64-linux-gnu/security/pam_iam.so.old", PROBLEM),
        ] {
            let root = with(&[("etc/pam.d/sshd", line), (module, "")]);
            let found = rules(&Environment::for_test(&[], root.path()));
            assert_eq!(found.level, level, "{module}: {found:?}");
        }
        let line = "session optional /opt/iamd/pam_iam.so\n";
        for (module, level) in [("opt/iamd/pam_iam.so", OK), (INSTALLED, PROBLEM)] {
            let root = with(&[("etc/pam.d/sshd", line), (module, "")]);
            assert_eq!(rules(&Environment::for_test(&[], root.path())).level, level, "{module}");
        }
        // A circle of links is nothing that can be looked at, for root neither.
        let root = with(&[("etc/pam.d/sshd", "session optional pam_iam.so\n")]);
        fs::create_dir_all(root.path().join("usr/lib/security")).unwrap();
        let module = root.path().join("usr/lib/security/pam_iam.so");
        std::os::unix::fs::symlink(&module, &module).unwrap();
        let found = rules(&Environment::for_test(&[], root.path()));
        assert_eq!(found.level, WARNING, "{found:?}");
        assert!(found.text.contains("cannot be looked for"), "{found:?}");
    }

    #[test]
    fn files_that_include_each_other_come_to_an_end() {
        assert_eq!(sshd_with(&[("sshd", "@include sshd\n@include sshd\n")]).level, WARNING);
    }
}
