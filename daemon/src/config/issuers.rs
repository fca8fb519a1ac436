//! The issuer files: one issuer each, named like the file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use url::Url;

use super::{
    Problem, Sources, Spelling, files, identity, one_spelling,
    policy::{Place, place_of},
    read,
    reader::{self, Table},
};
use crate::account::{
    AccountName, AudienceSet, ClientAuth, ClientPolicy, FixedClient, IssuerProfile, Overrides,
    ScopeSet,
};

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Whose {
    PerSite,
    PerUser,
    Fixed,
}

/// All issuers, by name. What is wrong goes to `problems`; an issuer whose file has mistakes has no
/// profile.
pub(super) fn load(
    sources: &Sources,
    places: &mut BTreeMap<String, Place>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Option<IssuerProfile>> {
    let mut by_name: BTreeMap<String, PathBuf> = BTreeMap::new();
    // The site's come last, so that they hide shipped ones of the same name.
    for dir in [&sources.shipped_issuers, &sources.issuers] {
        by_name.extend(list(dir, problems));
    }
    let mut profiles = BTreeMap::new();
    let mut told: BTreeMap<Spelling, PathBuf> = BTreeMap::new();
    for (stem, path) in by_name {
        match read(&path) {
            // An empty file hides a shipped issuer.
            Ok(Some(text)) if text.trim().is_empty() => {}
            Ok(Some(text)) => {
                let (profile, line) = reader::read(&path, &text, problems, |file| {
                    let profile = profile(file, &stem);
                    (profile, file.line("url"))
                });
                if let Some(profile) = &profile {
                    let first = told.entry(one_spelling(&profile.url)).or_insert(path.clone());
                    if *first != path {
                        problems.push(told_twice(first, &path, line));
                    }
                }
                let place = place_of(&path, &text, ("identity", "claim"));
                places.extend(place.map(|place| (stem.clone(), place)));
                profiles.insert(stem, profile);
            }
            Ok(None) => {}
            Err(problem) => {
                problems.push(problem);
                profiles.insert(stem, None);
            }
        }
    }
    profiles
}

/// Only one of them would be followed, and what the other requires of who signs in would not hold.
fn told_twice(first: &Path, second: &Path, line: Option<usize>) -> Problem {
    let text = format!(
        "is the issuer of {} too; what the site says of an issuer stands in one file: take one of \
         them away. An empty file in the site's directory hides a shipped one of its name",
        first.display()
    );
    Problem { line, key: Some("url".to_owned()), ..Problem::of_file(second, text) }
}

fn list(dir: &Path, problems: &mut Vec<Problem>) -> Vec<(String, PathBuf)> {
    let named = |path: PathBuf| {
        let is_one = path.extension().is_some_and(|extension| extension == "toml");
        let stem = path.file_stem().filter(|_| is_one)?.to_str()?.to_owned();
        Some((stem, path))
    };
    files::within(dir, problems).into_iter().filter_map(named).collect()
}

/// The issuer that a file describes; `None` where what has to be there is missing or wrong.
pub(super) fn profile(file: &mut Table<'_, '_>, stem: &str) -> Option<IssuerProfile> {
    let name = file.checked("name", |name: String| match name == stem {
        true => stem.parse::<AccountName>().map(|_| name).map_err(|error| error.to_string()),
        false => Err(format!("must be the file's name, \"{stem}\"")),
    });
    let title = file.checked("title", printable);
    let url = file.checked("url", checked_url);
    let dialect = file.get("dialect");
    let scopes = scopes(file);
    let audiences = audiences(file);
    let audience_parameter = file.get("audience_parameter");
    let whose = file.get("client");
    let fixed = file.optional_table("fixed_client", fixed_client).flatten();
    let public_client = file.optional_table("public_client", public_client).flatten();
    let client_name = file.checked("client_name", printable);
    let initial_access_token_file = file.get("initial_access_token_file");
    let ca = file.get("ca");
    let endpoints = file.table("endpoints", endpoints);
    let identity = file.optional_table("identity", identity::rule);
    for key in ["name", "url", "scopes"] {
        file.require(key);
    }
    let profile = IssuerProfile {
        title: title.unwrap_or_else(|| stem.to_owned()),
        name: name?,
        url: url?,
        listed: true,
        dialect,
        scopes: scopes?,
        audiences,
        audience_parameter,
        client: match (fixed, whose) {
            (Some(fixed), _) => ClientPolicy::Fixed(fixed),
            (None, Some(Whose::Fixed)) => ClientPolicy::Missing,
            (None, Some(Whose::PerUser)) => ClientPolicy::PerUser,
            (None, Some(Whose::PerSite) | None) => ClientPolicy::PerSite,
        },
        public_client,
        client_name: client_name.unwrap_or_default(),
        initial_access_token_file,
        ca,
        endpoints,
        identity: match identity {
            // A rule that is wrong is not no rule.
            Some(rule) => Some(rule?),
            None => None,
        },
        user: None,
    };
    Some(IssuerProfile { scopes: profile.with_required(profile.scopes.clone()), ..profile })
}

fn scopes(file: &mut Table<'_, '_>) -> Option<ScopeSet> {
    let each = file.each("scopes", |scope: String| ScopeSet::parse([&scope]).map(|_| scope))?;
    ScopeSet::parse(each).map_err(|error| file.complain("scopes", error.to_string())).ok()
}

fn audiences(file: &mut Table<'_, '_>) -> AudienceSet {
    let each = file.each("audiences", |text: String| AudienceSet::parse([&text]).map(|_| text));
    AudienceSet::parse(each.unwrap_or_default()).unwrap_or_else(|error| {
        file.complain("audiences", error.to_string());
        AudienceSet::default()
    })
}

fn fixed_client(table: &mut Table<'_, '_>) -> Option<FixedClient> {
    let id = table.get("id");
    let secret_file: Option<PathBuf> = table.get("secret_file");
    let usual = match secret_file {
        Some(_) => ClientAuth::ClientSecretBasic,
        None => ClientAuth::None,
    };
    let auth = table.get("auth").unwrap_or(usual);
    table.require("id");
    Some(FixedClient { id: id?, secret_file, auth })
}

fn public_client(table: &mut Table<'_, '_>) -> Option<String> {
    let id = table.checked("id", |id: String| {
        let fits =
            !id.is_empty() && id.len() <= 1024 && id.bytes().all(|b| matches!(b, b' '..=b'~'));
        if fits { Ok(id) } else { Err("must be printable ASCII") }
    });
    table.require("id");
    id
}

fn endpoints(table: &mut Table<'_, '_>) -> Overrides {
    Overrides {
        configuration: table.checked("configuration", checked_url),
        token: table.checked("token", checked_url),
        device_authorization: table.checked("device_authorization", checked_url),
        registration: table.checked("registration", checked_url),
        revocation: table.checked("revocation", checked_url),
        introspection: table.checked("introspection", checked_url),
        jwks: table.checked("jwks", checked_url),
        userinfo: table.checked("userinfo", checked_url),
    }
}

fn printable(text: String) -> Result<String, &'static str> {
    let fits = |c: char| c.is_ascii_graphic() || c == ' ';
    match !text.is_empty() && text.chars().all(fits) {
        true => Ok(text),
        false => Err("must be printable ASCII"),
    }
}

/// https, or http on loopback for tests; no credentials, query or fragment.
fn checked_url(url: Url) -> Result<Url, &'static str> {
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        return Err("must begin with https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not carry a user name or password");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must have neither query nor fragment");
    }
    Ok(url)
}
