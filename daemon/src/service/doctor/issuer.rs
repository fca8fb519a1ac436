//! What a look at an issuer means: reachable, complete, with a clock like ours and a certificate
//! that lasts. Pure.

use std::time::Duration;

use iamd_protocol::bus::Finding;

use super::{advice, ok, problem, warning};
use crate::account::{
    IssuerProfile, UnixTime,
    ports::{Checkup, IssuerError},
};

/// Beyond this, tokens are refused as "not valid yet" or seem to have ended.
const CLOCK_TOLERANCE: u64 = 60;
/// Certificates are renewed well before their end; this late it has been forgotten.
const CERTIFICATE_AHEAD: Duration = Duration::from_secs(10 * 86_400);

/// The findings about one issuer: what asking for its metadata came to, and what an endpoint of it
/// failed with that was asked for an account.
pub(super) fn judge(
    profile: &IssuerProfile,
    found: &Result<Checkup, IssuerError>,
    failed: Option<&IssuerError>,
    now: UnixTime,
) -> Vec<Finding> {
    let name = format!("issuer {}", profile.name);
    let found = match found {
        Err(error) => return vec![problem(&name, said(error), &advice::on(profile, error))],
        Ok(found) => found,
    };
    let mut findings = Vec::new();
    if let Some(error) = failed {
        let text = format!("its metadata is there, and not all else: {}", said(error));
        findings.push(problem(&name, text, &advice::on(profile, error)));
    } else if found.lacks.is_empty() {
        findings.push(ok(&name, found.summary.clone()));
    } else {
        findings.push(problem(
            &name,
            format!("its metadata names no endpoint for: {}", found.lacks.join(", ")),
            "Administrators: where it has one, set endpoints.* in its file in issuers.d",
        ));
    }
    if let Some(ahead) = found.clock_ahead.filter(|ahead| ahead.unsigned_abs() > CLOCK_TOLERANCE) {
        let way = if ahead > 0 { "behind" } else { "ahead of" };
        let seconds = ahead.unsigned_abs();
        findings.push(warning(
            &format!("clock and issuer {}", profile.name),
            &format!("this node's clock is {seconds} s {way} the issuer's"),
            "Administrators: which one is wrong?  timedatectl status",
        ));
    }
    if let Some(end) = found.certificate_ends {
        let left = end.after(now);
        if left <= CERTIFICATE_AHEAD {
            findings.push(warning(
                &format!("certificate of issuer {}", profile.name),
                &format!("ends in {} h", left.as_secs() / 3600),
                "Tell the administrators of the issuer",
            ));
        }
    }
    findings
}

/// An error, and what one that is not asked failed with before.
fn said(error: &IssuerError) -> String {
    let IssuerError::CircuitOpen { retry_in, last, .. } = error else { return error.to_string() };
    let wait = format!("failed too often; asked again in {} s", retry_in.as_secs());
    match last {
        Some(last) => format!("{wait}; the last time: {last}"),
        None => wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{account::ports::Cause, testing::profile};

    const NOW: UnixTime = UnixTime(1_000_000);

    fn levels(found: Checkup) -> Vec<(String, String)> {
        let findings = judge(&profile(), &Ok(found), None, NOW);
        assert!(findings.iter().all(|f| (f.level == "ok") == f.advice.is_empty()), "{findings:?}");
        findings.into_iter().map(|finding| (finding.level, finding.text)).collect()
    }

    #[test]
    fn an_issuer_that_answers_is_ok() {
        let found = Checkup {
            summary: "dialect standard".into(),
            clock_ahead: Some(-60),
            certificate_ends: Some(NOW.plus(Duration::from_secs(11 * 86_400))),
            ..Checkup::default()
        };
        assert_eq!(levels(found), [("ok".into(), "dialect standard".into())]);
    }

    #[test]
    fn each_thing_that_is_not_sane_is_a_finding_of_its_own() {
        let found = Checkup {
            lacks: vec!["token", "device login"],
            clock_ahead: Some(61),
            certificate_ends: Some(NOW.plus(Duration::from_secs(7300))),
            ..Checkup::default()
        };
        let pair = |level: &str, text: &str| (level.to_owned(), text.to_owned());
        assert_eq!(
            levels(found),
            [
                pair("problem", "its metadata names no endpoint for: token, device login"),
                pair("warning", "this node's clock is 61 s behind the issuer's"),
                pair("warning", "ends in 2 h"),
            ]
        );
        let ahead = Checkup { clock_ahead: Some(-3600), ..Checkup::default() };
        assert!(levels(ahead)[1].1.contains("3600 s ahead of the issuer's"));
    }

    #[test]
    fn an_issuer_that_cannot_be_asked_is_one_problem() {
        let text = "no connection to issuer.test within 5 s".to_owned();
        let error = Err(IssuerError::NoMetadata { text, cause: Cause::ConnectTimeout });
        let findings = judge(&profile(), &error, None, NOW);
        assert_eq!((findings.len(), findings[0].level.as_str()), (1, "problem"));
        assert!(findings[0].text.contains("no connection"), "{findings:?}");
        assert!(findings[0].advice.contains("let this node out"), "{findings:?}");
    }

    #[test]
    fn an_issuer_that_is_not_asked_for_a_while_has_the_cause_and_the_way_out_all_the_same() {
        let text = "the certificate has expired".to_owned();
        let last = IssuerError::NoMetadata { text, cause: Cause::Expired };
        let open = |last| IssuerError::CircuitOpen {
            issuer: "WLCG".into(),
            retry_in: Duration::from_secs(14),
            last,
        };
        let judged = |error| judge(&profile(), &Err(error), None, NOW).remove(0);
        let finding = judged(open(Some(Box::new(last))));
        assert_eq!(
            finding.text,
            "failed too often; asked again in 14 s; the last time: the certificate has expired"
        );
        assert!(finding.advice.contains("renew it"), "{finding:?}");
        let finding = judged(open(None));
        assert_eq!(finding.text, "failed too often; asked again in 14 s");
        assert!(finding.advice.starts_with("Wait"), "{finding:?}");
    }

    #[test]
    fn an_issuer_whose_other_endpoints_fail_is_a_problem_beside_what_else_is_found() {
        let found = Checkup { clock_ahead: Some(100), ..Checkup::default() };
        let text = "WLCG answered 503 with nothing".to_owned();
        let failed = IssuerError::NoMetadata { text, cause: Cause::Status(503) };
        let findings = judge(&profile(), &Ok(found), Some(&failed), NOW);
        let levels: Vec<_> = findings.iter().map(|finding| finding.level.as_str()).collect();
        assert_eq!(levels, ["problem", "warning"]);
        assert!(findings[0].text.contains("answered 503"), "{findings:?}");
        assert!(findings[0].advice.contains("The issuer itself fails"), "{findings:?}");
    }
}
