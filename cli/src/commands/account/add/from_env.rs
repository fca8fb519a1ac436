//! `--from-env`: the variables that configure the INDIGO IAM scripts `get-access-token.sh`
//! (password grant) and `dc-get-access-token.sh` (device code). What concerns the client is taken
//! from one of the two only, so that an identifier never meets the other's secret.

use iamd_protocol::error::Kind;

use crate::failure::Failure;

/// The variables of one script that say which client.
struct Family {
    client_id: &'static str,
    secret: &'static str,
    scopes: &'static str,
}

/// The device code first: that is how iamd signs in.
const FAMILIES: [Family; 2] = [
    Family {
        client_id: "IAM_DEVICE_CODE_CLIENT_ID",
        secret: "IAM_DEVICE_CODE_CLIENT_SECRET",
        scopes: "IAM_DEVICE_CODE_CLIENT_SCOPES",
    },
    Family { client_id: "IAM_CLIENT_ID", secret: "IAM_CLIENT_SECRET", scopes: "IAM_CLIENT_SCOPES" },
];

/// The client of `get-access-token.sh` where `IAM_CLIENT_ID` is not set.
const DEFAULT_CLIENT: &str = "iam-client";

/// The user's own password, which the first script takes and iamd does not want.
pub(super) const PASSWORD: &str = "IAM_PASSWORD";

const AUDIENCE: &str = "IAM_CLIENT_AUDIENCE";

/// The endpoints, with the end of the path that is not the issuer's.
const ENDPOINTS: [(&str, &str); 3] = [
    ("IAM_TOKEN_ENDPOINT", "/token"),
    ("IAM_ENDPOINT", "/token"),
    ("IAM_DEVICE_CODE_ENDPOINT", "/devicecode"),
];

/// The variables that are read here and are no secret.
pub(crate) const PLAIN: [&str; 8] = [
    "IAM_DEVICE_CODE_CLIENT_ID",
    "IAM_DEVICE_CODE_CLIENT_SCOPES",
    "IAM_CLIENT_ID",
    "IAM_CLIENT_SCOPES",
    AUDIENCE,
    "IAM_TOKEN_ENDPOINT",
    "IAM_ENDPOINT",
    "IAM_DEVICE_CODE_ENDPOINT",
];

/// A value and the variable that it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) value: String,
    pub(super) variable: &'static str,
}

/// What the variables say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FromEnv {
    pub(super) client_id: Taken,
    /// The variable that has the secret, where it is set.
    pub(super) secret: Option<&'static str>,
    pub(super) issuer: Option<Taken>,
    pub(super) scopes: Option<Taken>,
    pub(super) audiences: Option<Taken>,
}

/// Reads the variables; of a secret, only whether it is set. The endpoints are not looked at when
/// the issuer is known already.
///
/// # Errors
/// [`Kind::InvalidArgument`]: no client, or endpoints that say no issuer or two.
pub(super) fn read(
    plain: impl Fn(&'static str) -> Option<String>,
    is_set: impl Fn(&'static str) -> bool,
    issuer_is_known: bool,
) -> Result<FromEnv, Failure> {
    let take = |variable: &'static str| {
        let value = plain(variable)?.trim().to_owned();
        (!value.is_empty()).then_some(Taken { value, variable })
    };
    // The script's own, where its user names none.
    let by_default = || {
        let script = &FAMILIES[1];
        let is_configured = is_set(script.secret) && take("IAM_ENDPOINT").is_some();
        let value = DEFAULT_CLIENT.to_owned();
        is_configured.then_some((script, Taken { value, variable: "get-access-token.sh" }))
    };
    let family = FAMILIES
        .iter()
        .find_map(|family| Some((family, take(family.client_id)?)))
        .or_else(by_default)
        .ok_or_else(|| {
            Failure::new(
                Kind::InvalidArgument,
                "--from-env: neither IAM_DEVICE_CODE_CLIENT_ID nor IAM_CLIENT_ID is set",
            )
            .advise("Export it, or leave --from-env out:  iamctl account add --help")
        })?;
    let (family, client_id) = family;
    let issuer = if issuer_is_known { None } else { issuer(take)? };
    Ok(FromEnv {
        client_id,
        secret: is_set(family.secret).then_some(family.secret),
        issuer,
        scopes: take(family.scopes),
        audiences: take(AUDIENCE),
    })
}

/// The issuer that the endpoints belong to: INDIGO IAM has them right below it.
fn issuer(take: impl Fn(&'static str) -> Option<Taken>) -> Result<Option<Taken>, Failure> {
    let mut found: Option<Taken> = None;
    for (variable, end) in ENDPOINTS {
        let Some(endpoint) = take(variable) else { continue };
        let issuer = endpoint.value.trim_end_matches('/').strip_suffix(end);
        let Some(issuer) = issuer.filter(|issuer| issuer.contains("://")) else {
            return Err(Failure::new(
                Kind::InvalidArgument,
                format!("--from-env: {variable} is not a URL that ends in {end}"),
            )
            .advise("Name the issuer with --issuer"));
        };
        let issuer = Taken { value: format!("{issuer}/"), variable };
        match &found {
            Some(first) if first.value != issuer.value => {
                return Err(Failure::new(
                    Kind::InvalidArgument,
                    format!(
                        "--from-env: {} and {variable} are endpoints of two issuers",
                        first.variable
                    ),
                )
                .advise("Name the issuer with --issuer"));
            }
            Some(_) => {}
            None => found = Some(issuer),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<FromEnv, Failure> {
        let get = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        read(get, |name| get(name).is_some(), false)
    }

    #[test]
    fn an_identifier_never_meets_the_secret_of_the_other_script() {
        let read = from(&[
            ("IAM_CLIENT_ID", "password"),
            ("IAM_CLIENT_SECRET", "s1"),
            ("IAM_CLIENT_SCOPES", "a"),
            ("IAM_DEVICE_CODE_CLIENT_ID", "device"),
        ])
        .unwrap();
        assert_eq!(read.client_id.value, "device");
        assert_eq!((read.secret, read.scopes), (None, None));
    }

    #[test]
    fn the_issuer_is_what_the_endpoints_are_below() {
        let client = ("IAM_CLIENT_ID", "c");
        for (variable, url) in [
            ("IAM_ENDPOINT", "https://iam.example.org/token"),
            ("IAM_TOKEN_ENDPOINT", " https://iam.example.org/token/ "),
            ("IAM_DEVICE_CODE_ENDPOINT", "https://iam.example.org/devicecode"),
        ] {
            let issuer = from(&[client, (variable, url)]).unwrap().issuer.unwrap();
            assert_eq!(
                (issuer.value.as_str(), issuer.variable),
                ("https://iam.example.org/", variable)
            );
        }
        for url in ["https://iam.example.org/", "iam.example.org/token", "/token"] {
            let failure = from(&[client, ("IAM_ENDPOINT", url)]).unwrap_err();
            assert!(failure.message.contains("IAM_ENDPOINT"), "{failure:?}");
        }
        let two = [
            client,
            ("IAM_TOKEN_ENDPOINT", "https://a.example.org/token"),
            ("IAM_ENDPOINT", "https://b.example.org/token"),
        ];
        assert!(from(&two).unwrap_err().message.contains("two issuers"));
    }

    #[test]
    fn without_a_client_there_is_nothing_to_take() {
        for variables in [&[][..], &[("IAM_CLIENT_ID", "")], &[("IAM_CLIENT_SECRET", "x")]] {
            assert!(from(variables).unwrap_err().is(Kind::InvalidArgument));
        }
    }

    #[test]
    fn the_script_has_a_client_of_its_own_for_who_names_none() {
        let secret = ("IAM_CLIENT_SECRET", "x");
        let endpoint = ("IAM_ENDPOINT", "https://iam.example.org/token");
        let read = from(&[secret, endpoint]).unwrap();
        assert_eq!(read.client_id.value, "iam-client");
        assert_eq!(read.secret, Some("IAM_CLIENT_SECRET"));
        let named = from(&[secret, endpoint, ("IAM_CLIENT_ID", "mine")]).unwrap();
        assert_eq!(named.client_id.value, "mine");
        assert!(from(&[endpoint]).is_err(), "it would have no secret");
    }

    #[test]
    fn every_plain_variable_is_one_that_the_environment_is_read_for() {
        let of_families = FAMILIES.iter().flat_map(|family| [family.client_id, family.scopes]);
        let all = of_families.chain([AUDIENCE]).chain(ENDPOINTS.map(|(name, _)| name));
        assert_eq!(all.collect::<Vec<_>>(), PLAIN);
    }
}
