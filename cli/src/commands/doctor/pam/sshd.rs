//! Does sshd call PAM at all? `UsePAM` is `no` where nothing says otherwise (sshd_config(5)), and
//! the first line that sets it counts.

use std::fs;
use std::io;

use iamd_protocol::bus::Finding;

use super::super::{OK, WARNING, finding};
use crate::environment::Environment;

/// Where sshd reads its settings; the second is openSUSE's.
const FILES: &[&str] = &["/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config"];
/// sshd gives up a chain of includes at this depth too (servconf.c).
const DEPTH: usize = 16;

/// What sshd's settings say; nothing where there is no sshd.
pub(super) fn look(environment: &Environment) -> Option<Finding> {
    let file = FILES.iter().find(|path| environment.path(path).exists())?;
    let name = "sshd";
    let set = |at: &str| format!("Administrators: set  UsePAM yes  in {at}, then restart sshd");
    Some(match use_pam(environment, file, DEPTH) {
        Err(error) => finding(
            name,
            WARNING,
            format!("its settings cannot be read, so whether it calls PAM is not known: {error}"),
            "Administrators: see  sshd -T | grep -i usepam",
        ),
        Ok(Some((value, at))) if value.eq_ignore_ascii_case("yes") => {
            finding(name, OK, format!("calls PAM: UsePAM is yes in {at}"), "")
        }
        Ok(Some((value, at))) => finding(
            name,
            WARNING,
            format!("UsePAM is {value} in {at}: no login over SSH calls {}", super::MODULE),
            set(&at),
        ),
        Ok(None) => finding(
            name,
            WARNING,
            format!(
                "UsePAM is nowhere set, which is no: no login over SSH calls {}",
                super::MODULE
            ),
            set(file),
        ),
    })
}

/// The first `UsePAM` and the file it is in.
fn use_pam(
    environment: &Environment,
    file: &str,
    depth: usize,
) -> io::Result<Option<(String, String)>> {
    if depth == 0 {
        return Ok(None);
    }
    let text = fs::read_to_string(environment.path(file))
        .map_err(|error| io::Error::new(error.kind(), format!("{file}: {error}")))?;
    for line in text.lines() {
        let line = line.trim();
        let Some(end) = line.find(|c: char| c.is_whitespace() || c == '=') else { continue };
        let (keyword, value) = line.split_at(end);
        let value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
        match keyword.to_ascii_lowercase().as_str() {
            "usepam" => {
                let value = value.split_whitespace().next().unwrap_or_default();
                return Ok(Some((value.trim_matches('"').to_owned(), file.to_owned())));
            }
            "include" => {
                for pattern in value.split_whitespace() {
                    for file in included(environment, pattern.trim_matches('"'))? {
                        if let Some(found) = use_pam(environment, &file, depth - 1)? {
                            return Ok(Some(found));
                        }
                    }
                }
            }
            // It cannot stand in such a block, which lasts to the end of the file.
            "match" => break,
            _ => {}
        }
    }
    Ok(None)
}

/// The files of a pattern, in the order of their names; wildcards in the last part of a path, as
/// distributions have it. A relative one is below `/etc/ssh`.
fn included(environment: &Environment, pattern: &str) -> io::Result<Vec<String>> {
    let pattern = match pattern.starts_with('/') {
        true => pattern.to_owned(),
        false => format!("/etc/ssh/{pattern}"),
    };
    let Some((directory, last)) = pattern.rsplit_once('/') else { return Ok(Vec::new()) };
    if !last.contains('*') {
        let is_there = environment.path(&pattern).exists();
        return Ok(if is_there { vec![pattern] } else { Vec::new() });
    }
    let entries = match fs::read_dir(environment.path(directory)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(io::Error::new(error.kind(), format!("{directory}: {error}")));
        }
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| fits(last, name)).collect();
    names.sort();
    Ok(names.into_iter().map(|name| format!("{directory}/{name}")).collect())
}

/// Whether a name fits a pattern with `*`, which does not stand for a dot in front (glob(7)).
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    if first.is_empty() && name.starts_with('.') {
        return false;
    }
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Option<Finding> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join("etc/ssh").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        look(&Environment::for_test(&[], root.path()))
    }

    #[test]
    fn the_first_line_that_sets_it_counts_in_every_spelling() {
        let all = "Include /etc/ssh/sshd_config.d/*.conf\n#UsePAM no\nUsePAM yes\n";
        for (files, level) in [
            (&[("sshd_config", all)][..], OK),
            (&[("sshd_config", all), ("sshd_config.d/10-site.conf", "usepam no\n")][..], WARNING),
            (&[("sshd_config", all), ("sshd_config.d/10-site.conf.off", "UsePAM no\n")][..], OK),
            (
                &[
                    ("sshd_config", all),
                    ("sshd_config.d/10-a.conf", "UsePAM \"yes\"\n"),
                    ("sshd_config.d/20-b.conf", "UsePAM no\n"),
                ][..],
                OK,
            ),
            (&[("sshd_config", "UsePAM=no\nUsePAM yes\n")][..], WARNING),
            (
                &[("sshd_config", "Include more\nUsePAM yes\n"), ("more", "UsePAM no\n")][..],
                WARNING,
            ),
            (&[("sshd_config", "Port 22\nMatch User alice\n  UsePAM yes\n")][..], WARNING),
            (&[("sshd_config", "")][..], WARNING),
        ] {
            let found = found(files).unwrap();
            assert_eq!(found.level, level, "{files:?}: {found:?}");
            assert_eq!(found.advice.is_empty(), level == OK, "{found:?}");
        }
        assert_eq!(found(&[]), None, "there is no sshd");
    }

    #[test]
    fn settings_that_cannot_be_read_are_told_with_who_can() {
        let root = tempfile::tempdir().unwrap();
        // A directory cannot be read as a file by anybody.
        fs::create_dir_all(root.path().join("etc/ssh/sshd_config")).unwrap();
        let found = look(&Environment::for_test(&[], root.path())).unwrap();
        assert_eq!(found.level, WARNING);
        assert!(found.advice.contains("sshd -T"), "{found:?}");
    }

    #[test]
    fn files_that_include_each_other_come_to_an_end() {
        let circle = found(&[("sshd_config", "Include sshd_config\nUsePAM yes\n")]).unwrap();
        assert_eq!(circle.level, OK);
    }
}
