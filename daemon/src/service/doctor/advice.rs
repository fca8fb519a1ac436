//! What to do about an issuer that cannot be asked, by what kept it from answering. Pure.

use iamd_protocol::error::Kind;

use crate::{
    account::{
        IssuerProfile,
        ports::{Cause, IssuerError},
    },
    login::Failure,
};

/// The way out of `error`, for the user and for administrators.
pub(super) fn on(profile: &IssuerProfile, error: &IssuerError) -> String {
    let place = profile.endpoints.configuration.as_ref().unwrap_or(&profile.url);
    let host = place.host_str().unwrap_or_default();
    let port = place.port_or_known_default().unwrap_or(443);
    match error {
        IssuerError::CircuitOpen { last: Some(last), .. } => return on(profile, last),
        IssuerError::CircuitOpen { last: None, .. } => {
            return "Wait; tokens that are valid keep working".into();
        }
        _ => {}
    }
    let Some(cause) = error.why() else {
        return Failure::from(error.clone()).kind.advice().to_owned();
    };
    // Whose matter the issuer's URL is.
    let file = format!("Administrators: {} in issuers.d", profile.name);
    match cause {
        Cause::Name => format!(
            "Check how {host} is spelt in the issuer's URL; administrators: does this node find its address?  getent hosts {host}"
        ),
        Cause::NoConnection => format!(
            "Nothing takes connections at {host} port {port}: see the issuer's status page; administrators: does a firewall refuse it?"
        ),
        Cause::ConnectTimeout => format!(
            "Administrators: let this node out to {host} port {port} in the firewall, no proxy is used; else see the issuer's status page"
        ),
        Cause::Authority if profile.listed => format!(
            "{file}: set ca to the certificate of the authority that the issuer has, if it is to be trusted; of a public one: update ca-certificates"
        ),
        Cause::Authority => {
            "Ask the administrators of this site: only an issuer in issuers.d can have an authority of its own (ca)".into()
        }
        Cause::Expired => {
            "Tell the administrators of the issuer: they have to renew it. Is this node's clock right?  timedatectl status".into()
        }
        Cause::NotYetValid => {
            "Administrators: is this node's clock behind?  timedatectl status; else tell the administrators of the issuer".into()
        }
        Cause::OtherName => format!(
            "Check the issuer's URL: the certificate is for another host than {host}; else something else answers in its place"
        ),
        Cause::Tls => format!(
            "Tell the administrators of the issuer; what it offers:  openssl s_client -connect {host}:{port}"
        ),
        Cause::Broken => {
            "Try again; if it stays, something between cuts connections off: administrators of this node or of the issuer".into()
        }
        Cause::Slow => {
            "The issuer is there and slow, or swallowed on the way: see its status page, then try again".into()
        }
        Cause::Status(429) => {
            "It wants to be asked less by this node: wait, and see that no script of yours asks it in a loop".into()
        }
        Cause::Status(500..) => {
            "The issuer itself fails: see its status page, and try again later".into()
        }
        Cause::Status(300..=399) => format!(
            "Use the URL that it leads to, as its tokens have it in iss:  curl -sI {place}"
        ),
        Cause::Status(401 | 403) => {
            "Something in front of the issuer keeps this node out: tell the administrators of the issuer".into()
        }
        Cause::Status(_) => format!(
            "Check the issuer's URL: there is no issuer at {place}; where one has no metadata, its file in issuers.d has [endpoints]"
        ),
        Cause::NotJson => format!(
            "Check the issuer's URL: a web page answers at {place}, of a portal or a proxy, or a page that says why"
        ),
        Cause::OtherIssuer if profile.listed => {
            format!("{file}: its url has to be what the issuer calls itself, if that is who you mean")
        }
        Cause::OtherIssuer => {
            "Name the issuer by the URL that it calls itself, if that is who you mean:  iamctl account add --issuer URL".into()
        }
        Cause::Other => Kind::IssuerUnreachable.advice().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::profile;

    fn way(cause: Cause) -> String {
        let text = "why".to_owned();
        on(&profile(), &IssuerError::NoMetadata { text, cause })
    }

    #[test]
    fn each_cause_has_a_way_out_of_its_own() {
        let causes = [
            (Cause::Name, "getent hosts"),
            (Cause::NoConnection, "firewall refuse"),
            (Cause::ConnectTimeout, "let this node out"),
            (Cause::Authority, "set ca"),
            (Cause::Expired, "renew"),
            (Cause::NotYetValid, "clock behind"),
            (Cause::OtherName, "for another host"),
            (Cause::Tls, "openssl s_client"),
            (Cause::Broken, "cuts connections"),
            (Cause::Slow, "slow"),
            (Cause::Status(429), "asked less"),
            (Cause::Status(502), "status page"),
            (Cause::Status(301), "curl -sI"),
            (Cause::Status(403), "keeps this node out"),
            (Cause::Status(404), "no issuer at"),
            (Cause::NotJson, "web page"),
            (Cause::OtherIssuer, "calls itself"),
            (Cause::Other, "later"),
        ];
        let mut seen = std::collections::BTreeSet::new();
        for (cause, part) in causes {
            let way = way(cause);
            assert!(way.contains(part), "{cause:?}: {way}");
            assert!(seen.insert(way), "{cause:?} has the advice of another");
        }
    }

    #[test]
    fn an_issuer_that_the_site_does_not_list_is_no_file_of_the_administrators() {
        let own = IssuerProfile { listed: false, ..profile() };
        for cause in [Cause::Authority, Cause::OtherIssuer] {
            let error = IssuerError::NoMetadata { text: String::new(), cause };
            let way = on(&own, &error);
            assert!(!way.starts_with("Administrators"), "{way}");
        }
    }

    #[test]
    fn what_is_no_matter_of_the_way_there_has_the_advice_of_its_kind() {
        let text = String::new();
        let error = IssuerError::AddressNotPublic { text };
        assert_eq!(on(&profile(), &error), Kind::AddressNotPublic.advice());
    }
}
