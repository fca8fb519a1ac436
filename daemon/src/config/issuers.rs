//! The issuer files: one issuer each, named like the file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::{Problem, Sources, identity, read};
use crate::account::{
    AccountName, AudienceParameter, AudienceSet, ClientAuth, ClientPolicy, Dialect, FixedClient,
    IssuerProfile, Overrides, ScopeSet,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Spanned<String>,
    title: Option<Spanned<String>>,
    url: Spanned<Url>,
    dialect: Option<Dialect>,
    scopes: Spanned<Vec<String>>,
    #[serde(default)]
    audiences: Option<Spanned<Vec<String>>>,
    audience_parameter: Option<AudienceParameter>,
    client: Option<Whose>,
    client_name: Option<Spanned<String>>,
    initial_access_token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    endpoints: Option<Spanned<Overrides>>,
    fixed_client: Option<Fixed>,
    public_client: Option<Spanned<Public>>,
    identity: Option<Spanned<identity::Table>>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Whose {
    PerSite,
    PerUser,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixed {
    id: String,
    secret_file: Option<PathBuf>,
    auth: Option<ClientAuth>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Public {
    id: String,
}

/// All issuers, by name. What is wrong goes to `problems`.
pub(super) fn load(
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, IssuerProfile> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    // The site's come last, so that they hide shipped ones of the same name.
    for dir in [&sources.shipped_issuers, &sources.issuers] {
        match list(dir) {
            Ok(found) => files.extend(found),
            Err(problem) => problems.push(problem),
        }
    }
    let mut profiles = BTreeMap::new();
    for (stem, path) in files {
        match read(&path) {
            // An empty file hides a shipped issuer.
            Ok(Some(text)) if text.trim().is_empty() => {}
            Ok(Some(text)) => {
                if let Some(profile) = parse(&stem, &path, &text, problems) {
                    profiles.insert(stem, profile);
                }
            }
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    profiles
}

fn list(dir: &Path) -> Result<Vec<(String, PathBuf)>, Problem> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Problem::of_file(dir, format!("cannot be read: {error}"))),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "toml")
            && let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
        {
            found.push((stem.to_owned(), path));
        }
    }
    Ok(found)
}

fn parse(
    stem: &str,
    path: &Path,
    text: &str,
    problems: &mut Vec<Problem>,
) -> Option<IssuerProfile> {
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            problems.push(Problem::from_toml(path, text, &error));
            return None;
        }
    };
    let before = problems.len();
    let mut complain = |span: std::ops::Range<usize>, what: String| {
        problems.push(Problem::at(path, text, Some(span), what));
    };
    if file.name.get_ref() != stem {
        complain(file.name.span(), format!("must be the file's name, \"{stem}\""));
    }
    if let Err(error) = stem.parse::<AccountName>() {
        complain(file.name.span(), error.to_string());
    }
    check_url(file.url.get_ref()).unwrap_or_else(|what| complain(file.url.span(), what));
    let scopes = ScopeSet::parse(file.scopes.get_ref()).unwrap_or_else(|error| {
        complain(file.scopes.span(), error.to_string());
        ScopeSet::default()
    });
    let audiences = file.audiences.map_or_else(AudienceSet::default, |list| {
        AudienceSet::parse(list.get_ref()).unwrap_or_else(|error| {
            complain(list.span(), error.to_string());
            AudienceSet::default()
        })
    });
    for text in [&file.title, &file.client_name].into_iter().flatten() {
        if text.get_ref().is_empty()
            || !text.get_ref().chars().all(|c| c.is_ascii_graphic() || c == ' ')
        {
            complain(text.span(), "must be printable ASCII".into());
        }
    }
    let endpoints = file.endpoints.map_or_else(Overrides::default, |endpoints| {
        let span = endpoints.span();
        let endpoints = endpoints.into_inner();
        for url in every(&endpoints) {
            check_url(url).unwrap_or_else(|what| complain(span.clone(), format!("{url}: {what}")));
        }
        endpoints
    });
    let client = match (file.fixed_client, file.client) {
        (Some(fixed), _) => ClientPolicy::Fixed(FixedClient {
            auth: fixed.auth.unwrap_or(match fixed.secret_file {
                Some(_) => ClientAuth::ClientSecretBasic,
                None => ClientAuth::None,
            }),
            id: fixed.id,
            secret_file: fixed.secret_file,
        }),
        (None, Some(Whose::PerUser)) => ClientPolicy::PerUser,
        (None, Some(Whose::PerSite) | None) => ClientPolicy::PerSite,
    };
    let public_client = file.public_client.map(|public| {
        let id = &public.get_ref().id;
        if id.is_empty() || id.len() > 1024 || !id.bytes().all(|b| matches!(b, b' '..=b'~')) {
            complain(public.span(), "id must be printable ASCII".into());
        }
        public.into_inner().id
    });
    let mut of_map = Vec::new();
    let identity =
        file.identity.and_then(|table| identity::rule(table, &mut complain, &mut of_map));
    problems.append(&mut of_map);
    let profile = (problems.len() == before).then(|| IssuerProfile {
        name: stem.to_owned(),
        title: file.title.map_or_else(|| stem.to_owned(), Spanned::into_inner),
        url: file.url.into_inner(),
        listed: true,
        dialect: file.dialect,
        scopes,
        audiences,
        audience_parameter: file.audience_parameter,
        client,
        public_client,
        client_name: file.client_name.map_or_else(String::new, Spanned::into_inner),
        initial_access_token_file: file.initial_access_token_file,
        ca: file.ca,
        endpoints,
        identity,
    });
    profile.map(|profile| IssuerProfile {
        scopes: profile.with_required(profile.scopes.clone()),
        ..profile
    })
}

/// https, or http on loopback for tests; no credentials, query or fragment.
fn check_url(url: &Url) -> Result<(), String> {
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        return Err("must begin with https://".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not carry a user name or password".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must have neither query nor fragment".into());
    }
    Ok(())
}

fn every(endpoints: &Overrides) -> impl Iterator<Item = &Url> {
    let Overrides {
        configuration,
        token,
        device_authorization,
        registration,
        revocation,
        introspection,
        jwks,
        userinfo,
    } = endpoints;
    [
        configuration,
        token,
        device_authorization,
        registration,
        revocation,
        introspection,
        jwks,
        userinfo,
    ]
    .into_iter()
    .flatten()
}
