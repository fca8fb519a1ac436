//! What an issuer's answers about a client and a refresh token mean. Pure.

use iamd_protocol::bus::Finding;

use super::{ok, problem, warning};

/// Whether the issuer still knows a client, under the name of the finding.
pub(super) fn client(
    name: &str,
    issuer: &str,
    knows: Result<bool, String>,
    advice: &str,
) -> Finding {
    match knows {
        Ok(true) => ok(name, format!("is known to {issuer}")),
        Ok(false) => problem(name, format!("{issuer} does not know it any more"), advice),
        Err(error) => warning(name, &format!("could not be asked for: {error}"), LATER),
    }
}

/// Whether the refresh token lives; nothing where it cannot be asked.
pub(super) fn refresh_token(
    account: &str,
    alive: Result<Option<bool>, String>,
    advice: &str,
) -> Option<Finding> {
    let name = format!("sign-in of account {account}");
    Some(match alive {
        Ok(None) => return None,
        Ok(Some(true)) => ok(&name, "the issuer says that its refresh token is alive"),
        Ok(Some(false)) => {
            problem(&name, "the issuer says that its refresh token is not valid any more", advice)
        }
        Err(error) => warning(&name, &format!("could not be inspected: {error}"), LATER),
    })
}

const LATER: &str = "Try again later; a token that is valid keeps working";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_finding_and_a_way_out() {
        let way = "Sign in with:  iamctl login";
        for (answer, level) in [
            (Ok(true), "ok"),
            (Ok(false), "problem"),
            (Err("no answer within 8 s".to_owned()), "warning"),
        ] {
            let of_client = client("client of account cms", "CMS", answer.clone(), way);
            let of_token = refresh_token("cms", answer.map(Some), way).unwrap();
            for finding in [of_client, of_token] {
                assert_eq!(finding.level, level, "{finding:?}");
                assert_eq!(finding.advice.is_empty(), level == "ok", "{finding:?}");
                assert!(finding.name.ends_with("account cms"), "{finding:?}");
            }
        }
        assert_eq!(refresh_token("cms", Ok(None), way), None);
    }
}
