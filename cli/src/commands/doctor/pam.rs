//! Does a login over SSH call us, and in the right place? And is the profile script on?

use std::fs;

use iamd_protocol::bus::Finding;

use super::{OK, PROBLEM, WARNING, finding};
use crate::environment::Environment;

/// Where PAM looks for a service's file, in this order (pam.d(5), `--with-vendordir`).
const DIRECTORIES: &[&str] = &["/etc/pam.d", "/usr/lib/pam.d"];
const MODULE: &str = "pam_iam.so";
const PROFILE_SCRIPT: &str = "/etc/profile.d/iamd.sh";
/// Files may include each other in a circle.
const DEPTH: usize = 8;

/// Looks at PAM and at the profile script.
pub(super) fn look(environment: &Environment) -> Vec<Finding> {
    let script = if environment.path(PROFILE_SCRIPT).exists() {
        "on: a login at a terminal waits for the sign-in"
    } else {
        "off, as the site left it"
    };
    vec![sshd(environment), finding("profile script", OK, script, "")]
}

fn sshd(environment: &Environment) -> Finding {
    let name = "PAM for sshd";
    let mut rules = Vec::new();
    if let Err(error) = collect(environment, "sshd", DEPTH, &mut rules) {
        return finding(name, WARNING, format!("its rules cannot be read: {error}"), "");
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
        Some(rule) if rule.control != "optional" => finding(
            name,
            WARNING,
            format!(
                "{MODULE} is {:?} in {}: a missing module locks users out",
                rule.control, rule.file
            ),
            "Administrators: make it optional",
        ),
        Some(rule) => {
            finding(name, OK, format!("{MODULE} is called for a session, in {}", rule.file), "")
        }
    }
}

/// One rule of PAM.
struct Rule {
    kind: String,
    control: String,
    module: String,
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
        let module = module.rsplit('/').next().unwrap_or(module).to_owned();
        rules.push(Rule { kind, control, module, file: file.clone() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sshd_with(files: &[(&str, &str)]) -> Finding {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/pam.d")).unwrap();
        for (name, text) in files {
            fs::write(root.path().join("etc/pam.d").join(name), text).unwrap();
        }
        sshd(&Environment::for_test(&[], root.path()))
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
            ("password-auth", "-session optional /usr/lib64/security/pam_iam.so # tokens\n"),
        ]);
        assert_eq!(fedora.level, OK, "{}", fedora.text);
    }

    #[test]
    fn a_missing_a_misplaced_and_a_dangerous_line_are_told() {
        assert_eq!(sshd_with(&[("sshd", "# session optional pam_iam.so\n")]).level, WARNING);
        assert_eq!(sshd_with(&[]).level, WARNING);
        let auth = sshd_with(&[("sshd", "auth required pam_iam.so\n")]);
        assert_eq!(auth.level, PROBLEM);
        let required = sshd_with(&[("sshd", "session required pam_iam.so\n")]);
        assert_eq!(required.level, WARNING);
        assert!(required.text.contains("required"));
    }

    #[test]
    fn files_that_include_each_other_come_to_an_end() {
        assert_eq!(sshd_with(&[("sshd", "@include sshd\n@include sshd\n")]).level, WARNING);
    }
}
