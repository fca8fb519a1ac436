//! logind's sessions, asked for once at the start (org.freedesktop.login1(5)).

use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::future::join_all;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, fdo::PropertiesProxy, proxy};

/// So many sessions are asked for at once.
const AT_ONCE: usize = 32;

/// A session as logind knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSession {
    /// `User`.
    pub uid: u32,
    /// `Name`.
    pub user: String,
    /// `Leader`: the process that opened it, for sshd the monitor.
    pub leader: u32,
    /// `Service`: the PAM service.
    pub service: String,
    /// `Class` is `user` or one of its kinds, not a greeter, a lock screen or a service manager.
    pub is_user: bool,
    /// `RemoteHost`, where there is one.
    pub rhost: Option<String>,
    /// `TTY`, where there is one.
    pub tty: Option<String>,
}

/// Why logind did not tell.
#[derive(Debug, thiserror::Error)]
pub enum LogindError {
    /// No bus, no logind, or it refused.
    #[error("{0}")]
    Bus(#[from] zbus::Error),
}

/// Who knows the sessions of this machine. The caller bounds the time.
#[async_trait]
pub trait Logind: Send + Sync {
    /// All sessions there are now.
    async fn sessions(&self) -> Result<Vec<LoginSession>, LogindError>;
}

/// The real logind.
#[derive(Debug, Clone)]
pub enum Login1 {
    /// On the system bus, by a connection that is made when it is asked and closed after it.
    SystemBus,
    /// By a connection that is there.
    Over(Connection),
}

#[proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Manager {
    /// Session id, uid, user name, seat, object path.
    fn list_sessions(&self) -> zbus::Result<Vec<(String, u32, String, String, OwnedObjectPath)>>;
}

#[async_trait]
impl Logind for Login1 {
    async fn sessions(&self) -> Result<Vec<LoginSession>, LogindError> {
        let connection = match self {
            Self::SystemBus => Connection::system().await?,
            Self::Over(connection) => connection.clone(),
        };
        let listed = ManagerProxy::new(&connection).await?.list_sessions().await?;
        let mut sessions = Vec::with_capacity(listed.len());
        for some in listed.chunks(AT_ONCE) {
            let asked = some.iter().map(|(_, uid, user, _, path)| {
                session(&connection, *uid, user.clone(), path.clone())
            });
            // A session that ends meanwhile is not an error.
            sessions.extend(join_all(asked).await.into_iter().filter_map(Result::ok));
        }
        Ok(sessions)
    }
}

async fn session(
    connection: &Connection,
    uid: u32,
    user: String,
    path: OwnedObjectPath,
) -> zbus::Result<LoginSession> {
    let properties = PropertiesProxy::builder(connection)
        .destination("org.freedesktop.login1")
        .path(path)
        .build()
        .await?;
    let interface = "org.freedesktop.login1.Session".try_into()?;
    let properties = properties.get_all(interface).await?;
    let class = text(&properties, "Class").unwrap_or_default();
    Ok(LoginSession {
        uid,
        user,
        leader: properties.get("Leader").and_then(|v| u32::try_from(v).ok()).unwrap_or_default(),
        service: text(&properties, "Service").unwrap_or_default(),
        // `user-early`, `user-light`, `user-incomplete` since systemd 256.
        is_user: class == "user" || class.starts_with("user-"),
        rhost: text(&properties, "RemoteHost"),
        tty: text(&properties, "TTY"),
    })
}

/// A property that is a text and not empty.
fn text(properties: &HashMap<String, OwnedVariant>, name: &str) -> Option<String> {
    let text = <&str>::try_from(&**properties.get(name)?).ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}
