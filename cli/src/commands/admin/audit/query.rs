//! What is asked of journalctl: matches on fields that iamd writes, and on fields that only the
//! journal itself can write, so that nobody's own log lines pass for records.

use iamd_protocol::audit;
use iamd_protocol::bus::IssuerInfo;
use iamd_protocol::error::Kind;

use super::record::{ALL, UNIT};
use crate::args::Audit;
use crate::commands::issuer::same_url;
use crate::failure::Failure;
use crate::names;

/// How many records are shown where neither a number nor a time is named.
const USUAL: u32 = 100;

/// The arguments of journalctl.
///
/// # Errors
/// No such user; a value that no record can have.
pub(super) fn words(args: &Audit, issuers: &[String]) -> Result<Vec<String>, Failure> {
    let mut words: Vec<String> =
        ["--system", "--no-pager", "--quiet", "--output=json"].map(str::to_owned).into();
    words.push(format!("--output-fields={}", ALL.join(",")));
    let timed = args.since.is_some() || args.until.is_some();
    match (args.lines, timed) {
        (Some(lines), _) => words.push(format!("--lines={lines}")),
        // From a time: from the last lines on, systemd 252 follows nothing where none fits yet.
        (None, false) if args.follow => words.push("--since=now".into()),
        (None, false) => words.push(format!("--lines={USUAL}")),
        (None, true) => {}
    }
    for (option, time) in [("since", &args.since), ("until", &args.until)] {
        if let Some(time) = time {
            words.push(format!("--{option}={}", printable(time)?));
        }
    }
    if args.follow {
        words.push("--follow".into());
    }
    words.extend([format!("_SYSTEMD_UNIT={UNIT}"), "_UID=0".to_owned()]);
    let mut matches = |field: &str, values: &[String]| -> Result<(), Failure> {
        for value in values {
            words.push(format!("{field}={}", printable(value)?));
        }
        Ok(())
    };
    if args.events.is_empty() {
        let every: Vec<String> = audit::EVENTS.iter().map(|(word, _)| (*word).to_owned()).collect();
        matches(audit::EVENT, &every)?;
    } else {
        matches(audit::EVENT, &args.events)?;
    }
    if let Some(user) = &args.user {
        matches(audit::UID, &[uid_of(user)?.to_string()])?;
    }
    matches(audit::ISSUER, issuers)?;
    for (field, value) in [
        (audit::CLIENT, &args.client),
        (audit::ACCOUNT, &args.account_name),
        (audit::RESULT, &args.result),
    ] {
        matches(field, value.as_slice())?;
    }
    Ok(words)
}

/// The URLs that records of this issuer may have: records have URLs, with or without a slash at
/// the end, and people know short names.
///
/// # Errors
/// No issuer of that name; the daemon, which knows the names.
pub(super) fn issuer_urls(
    named: &str,
    issuers: impl FnOnce() -> Result<Vec<IssuerInfo>, Failure>,
) -> Result<Vec<String>, Failure> {
    let url = if named.contains("://") {
        named.to_owned()
    } else {
        let found = issuers()?.into_iter().find(|issuer| issuer.name == named);
        let unknown = || {
            let text = format!("this site knows no issuer \u{201c}{named}\u{201d}; name its URL");
            Failure::new(Kind::NoSuchIssuer, text)
        };
        found.ok_or_else(unknown)?.url
    };
    let bare = url.trim_end_matches('/').to_owned();
    let both = vec![format!("{bare}/"), bare];
    debug_assert!(both.iter().all(|each| same_url(each, &url)));
    Ok(both)
}

/// A name or a uid; a user who is gone still has records.
fn uid_of(user: &str) -> Result<u32, Failure> {
    if let Ok(uid) = user.parse() {
        return Ok(uid);
    }
    match names::user_named(user) {
        Some(user) => Ok(user.uid),
        None => {
            let text = format!("there is no user \u{201c}{user}\u{201d}; name the uid");
            Err(Failure::new(Kind::InvalidArgument, text))
        }
    }
}

fn printable(value: &str) -> Result<&str, Failure> {
    if value.is_empty() || value.chars().any(char::is_control) {
        let text = "a value to look for is a text without control characters";
        return Err(Failure::new(Kind::InvalidArgument, text));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Admin, Cli, Command};

    fn args(line: &str) -> Audit {
        let words = ["iamctl", "admin", "audit"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words).unwrap().command {
            Command::Admin(Admin::Audit(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    fn asked(line: &str) -> Vec<String> {
        words(&args(line), &[]).unwrap()
    }

    #[test]
    fn only_what_the_journal_itself_says_is_the_daemons_is_asked_for() {
        for line in ["", "--user 0", "--event sign-in --follow", "--since yesterday"] {
            let asked = asked(line);
            for trusted in ["_SYSTEMD_UNIT=iamd.service", "_UID=0", "--system"] {
                assert!(asked.iter().any(|word| word == trusted), "{line}: {asked:?}");
            }
            // `+` would be an "or" over all of it.
            assert!(!asked.iter().any(|word| word == "+"), "{asked:?}");
        }
    }

    #[test]
    fn what_is_named_becomes_a_match_and_nothing_else() {
        let line = "--user 1001 --event denial --event sign-in --account wlcg --result ok -n 5";
        let asked = asked(line);
        for word in [
            "IAMD_UID=1001",
            "IAMD_EVENT=denial",
            "IAMD_EVENT=sign-in",
            "IAMD_ACCOUNT=wlcg",
            "IAMD_RESULT=ok",
            "--lines=5",
        ] {
            assert!(asked.iter().any(|each| each == word), "{word}: {asked:?}");
        }
        let events = asked.iter().filter(|word| word.starts_with("IAMD_EVENT=")).count();
        assert_eq!(events, 2);
        let mut odd = args("--account x");
        odd.account_name = Some("--vacuum-time=1s".into());
        assert!(words(&odd, &[]).unwrap().contains(&"IAMD_ACCOUNT=--vacuum-time=1s".into()));
        odd.account_name = Some("a\nb".into());
        assert!(words(&odd, &[]).unwrap_err().is(Kind::InvalidArgument));
    }

    #[test]
    fn there_is_an_end_to_what_is_shown_unless_a_time_is_named() {
        let lines = |line: &str| asked(line).into_iter().find(|word| word.starts_with("--lines"));
        assert_eq!(lines("").as_deref(), Some("--lines=100"));
        assert_eq!(lines("--since today"), None);
        assert_eq!(lines("--until today -n 3").as_deref(), Some("--lines=3"));
        assert_eq!(lines("--follow"), None);
        assert!(asked("--follow").contains(&"--since=now".to_owned()));
        assert!(!asked("--follow --since today").contains(&"--since=now".to_owned()));
    }

    #[test]
    fn an_issuer_is_found_by_name_and_by_url_with_and_without_its_slash() {
        let known = || {
            let url = "https://wlcg.example.org/".to_owned();
            Ok(vec![IssuerInfo { name: "wlcg".into(), url, ..Default::default() }])
        };
        let both = ["https://wlcg.example.org/", "https://wlcg.example.org"];
        assert_eq!(issuer_urls("wlcg", known).unwrap(), both);
        assert_eq!(issuer_urls("https://wlcg.example.org", known).unwrap(), both);
        assert!(issuer_urls("cms", known).unwrap_err().is(Kind::NoSuchIssuer));
    }
}
