//! `[store]`: where accounts are kept. SQLite inside the daemon wants nothing; etcd has to be found,
//! known to be the one that is meant, and told who this node is.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use url::{Host, Url};

use super::{files, reader::Table};

const SECOND: Duration = Duration::from_secs(1);
/// What all keys begin with, where nothing is said.
const PREFIX: &str = "iamd/";
/// The credential with the password, where nothing is said.
const CREDENTIAL: &str = "iamd.etcd-password";
/// Keys of etcd alone.
const ETCDS: [&str; 9] = [
    "endpoints",
    "prefix",
    "ca",
    "certificate",
    "key",
    "user",
    "credential",
    "timeout",
    "connect_timeout",
];

/// Which store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// SQLite inside the daemon.
    Sqlite,
    /// etcd, for several login nodes.
    Etcd(EtcdAccess),
}

/// How to reach etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdAccess {
    /// Its members.
    pub endpoints: Vec<Url>,
    /// What all keys begin with.
    pub prefix: String,
    /// The certificates of who vouches for the members; `None` where they are on this node and
    /// spoken to in clear.
    pub ca: Option<PathBuf>,
    /// What this node shows.
    pub identity: Option<EtcdIdentity>,
    /// The user of etcd that this node is, and the systemd credential that holds its password.
    pub user: Option<(String, String)>,
    /// For one call in all.
    pub timeout: Duration,
    /// For a connection to be made.
    pub connect_timeout: Duration,
}

/// A certificate for TLS, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdIdentity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The store that the table names.
pub(super) fn kind(table: &mut Table<'_, '_>) -> StoreKind {
    let is_etcd = table.checked("kind", |kind: String| match kind.as_str() {
        "sqlite" => Ok(false),
        "etcd" => Ok(true),
        _ => Err("there are \"sqlite\" and \"etcd\""),
    });
    let etcd = etcd(table, is_etcd == Some(true));
    match is_etcd {
        Some(true) => StoreKind::Etcd(etcd),
        // A kind that is none is mistake enough.
        None if table.has_one_of(["kind"]) => StoreKind::Sqlite,
        Some(false) | None => {
            for key in ETCDS {
                if table.has_one_of([key]) {
                    let what = "is for kind = \"etcd\" only; set that, or leave it out";
                    table.complain(key, what.to_owned());
                }
            }
            StoreKind::Sqlite
        }
    }
}

fn etcd(table: &mut Table<'_, '_>, is_meant: bool) -> EtcdAccess {
    let mut named = 0;
    let endpoints = table.each("endpoints", |text| {
        named += 1;
        member(text)
    });
    let prefix = table.checked("prefix", checked_prefix).unwrap_or_else(|| PREFIX.to_owned());
    let ca = table.checked("ca", |path| pem(path, is_meant, "CERTIFICATE", false));
    let certificate =
        table.checked("certificate", |path| pem(path, is_meant, "CERTIFICATE", false));
    let key = table.checked("key", |path| pem(path, is_meant, "PRIVATE KEY", true));
    let user = table.checked("user", |name: String| match name.trim().is_empty() {
        true => Err("must be the name of a user of etcd"),
        false => Ok(name),
    });
    let credential = table.checked("credential", |name: String| match plain(&name) {
        true => Ok(name),
        false => Err("must be the name of a credential, as in LoadCredential= of iamd.service"),
    });
    let timeout = table.duration("timeout", 5 * SECOND, SECOND..=10 * SECOND);
    let connect_timeout =
        table.duration("connect_timeout", 2 * SECOND, Duration::from_millis(100)..=10 * SECOND);
    if is_meant {
        table.require("endpoints");
        match &endpoints {
            Some(_) if named == 0 => {
                table.complain("endpoints", "must name a member of etcd at least".to_owned());
            }
            Some(endpoints) => whole(table, endpoints),
            None => {}
        }
    }
    EtcdAccess {
        endpoints: endpoints.unwrap_or_default(),
        prefix,
        ca,
        identity: certificate.zip(key).map(|(certificate, key)| EtcdIdentity { certificate, key }),
        user: user.map(|user| (user, credential.unwrap_or_else(|| CREDENTIAL.to_owned()))),
        timeout,
        connect_timeout,
    }
}

/// Says what of the table lacks its other half.
fn whole(table: &mut Table<'_, '_>, endpoints: &[Url]) {
    let secure = endpoints.iter().filter(|url| url.scheme() == "https").count();
    if secure != 0 && secure != endpoints.len() {
        table.complain("endpoints", "must all be https, or all http".to_owned());
        return;
    }
    match (secure > 0, table.has_one_of(["ca"])) {
        _ if endpoints.is_empty() => {}
        (true, false) => table.complain(
            "endpoints",
            "needs ca: the file with the certificates that vouch for the members".to_owned(),
        ),
        (false, true) => table.complain("ca", "is for members that are https".to_owned()),
        _ => {}
    }
    for (one, other) in [("certificate", "key"), ("key", "certificate"), ("credential", "user")] {
        if table.has_one_of([one]) && !table.has_one_of([other]) {
            table.complain(one, format!("needs {other} beside it"));
        }
    }
    if secure == 0 && !endpoints.is_empty() && table.has_one_of(["certificate"]) {
        table.complain("certificate", "is shown to members that are https only".to_owned());
    }
}

fn member(text: String) -> Result<Url, String> {
    let bad = || format!("{}: must be https://HOST:PORT", super::file::quoted(&text));
    let url: Url = text.parse().map_err(|_| bad())?;
    let whole = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let nobody = url.username().is_empty() && url.password().is_none();
    if !whole || !nobody || url.port().is_none() || url.host().is_none() {
        return Err(bad());
    }
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        "http" => Err(format!(
            "{}: must be https; http is for a member on this node",
            super::file::quoted(&text)
        )),
        _ => Err(bad()),
    }
}

fn checked_prefix(prefix: String) -> Result<String, &'static str> {
    let fits = prefix.len() <= 256 && prefix.chars().all(|c| c.is_ascii_graphic());
    match fits && prefix.ends_with('/') {
        true => Ok(prefix),
        false => Err("must end with / and be printable ASCII, as \"iamd/\""),
    }
}

/// A file of certificates or with a key; looked into where it is to be used.
fn pem(path: PathBuf, look: bool, what: &str, is_secret: bool) -> Result<PathBuf, String> {
    if !path.is_absolute() {
        return Err("must be an absolute path, from / on".to_owned());
    }
    if look {
        looked_into(&path, what, is_secret)?;
    }
    Ok(path)
}

fn looked_into(path: &Path, what: &str, is_secret: bool) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;
    let wrong = |what: String| format!("{}: {what}", path.display());
    let io = |error: std::io::Error| wrong(files::cannot(&error));
    let file = files::open(path).map_err(io)?;
    let text = zeroize::Zeroizing::new(files::content(&file, files::LONGEST).map_err(wrong)?);
    if is_secret && file.metadata().map_err(io)?.mode() & 0o077 != 0 {
        return Err(wrong("can be read by others than its owner (chmod go=)".to_owned()));
    }
    let ends = format!("{what}-----");
    match text.windows(ends.len()).any(|part| part == ends.as_bytes()) {
        true => Ok(()),
        false => Err(wrong(format!("there is no PEM of a {} in it", what.to_lowercase()))),
    }
}

/// A name of one file.
fn plain(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && !name.starts_with('.') && name.chars().all(fits)
}
