//! Builds the rooms in order, says when they are ready, reloads, and closes them again.

mod hardening;
mod logging;
mod view;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use iamd_protocol::paths;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use zbus::connection::Builder;

use crate::{
    account::{
        Guards,
        ports::{Vault, VaultError, upkeep::Upkeep},
    },
    audit,
    clock::{Clock, Random, SystemClock, SystemRandom},
    config::{Config, Sources, StoreKind},
    edge::{agent_socket, bus, pam_socket::PamSocket, token_socket::TokenSocket},
    issuer::{IssuerClient, Limits},
    login::Logins,
    policy,
    service::{
        By, Parts, Presence, Service,
        vault::{OpenVaultError, SharedStore, StoreVault},
    },
    session::{Adoptable, Drain, Login1, Sessions, StayRules},
    token::{Broker, Refresher},
    token_file::{Files, Ownership},
    users::NameService,
};

/// Where users who linger have a file of their name.
const LINGER_DIR: &str = "/var/lib/systemd/linger";
/// Where logind makes the users' runtime directories.
const RUNTIME_DIRS: &str = "/run/user";

/// Before a start is given up whose journal the store of several nodes does not take. Tries that last
/// this long never come to StartLimitBurst=.
const REPLAY_AGAIN: Duration = Duration::from_secs(7);

/// Why the daemon does not run. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store or the keys.
    #[error(transparent)]
    Vault(#[from] OpenVaultError),
    /// The store of several nodes does not take what is in the journal.
    #[error("the journal could not be replayed; it is kept: {0}")]
    Replay(VaultError),
    /// A directory or socket of ours.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl StartError {
    /// Whether trying again without a change is of no use.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Vault(OpenVaultError::Keyring(_)))
    }
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// What kept it from starting.
pub fn run(sources: Sources, config: Config) -> Result<(), StartError> {
    let log = logging::start(&config.log_filter);
    hardening::apply();
    #[cfg(feature = "fault-points")]
    tracing::warn!("this iamd has fault points: it is for tests, and dies when it is told to");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(sources, config, log));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(sources: Sources, config: Config, log: logging::Handle) -> Result<(), StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let state_dir = Path::new(paths::STATE_DIR);
    let runtime_dir = Path::new(paths::RUNTIME_DIR);
    let shared = shared_store(&config, runtime_dir);
    let is_shared = shared.is_some();
    if is_shared {
        // What the journal has waits for locks that other nodes may hold.
        let while_waiting = NotifyState::ExtendTimeoutUsec(2 * 60 * 1_000_000);
        tell(&[while_waiting, NotifyState::Status("waiting for etcd")]);
    }
    let (key, random_, clock_) = (credential(), Arc::clone(&random), Arc::clone(&clock));
    let vault = StoreVault::open_with(state_dir, key, shared, random_, clock_).await?;
    let vault = Arc::new(vault);
    let people = audit::People::keyed(vault.key_for("people in audit records"));
    let guards: Arc<dyn Guards> = vault.clone();
    let upkeep: Arc<dyn Upkeep> = vault.clone();
    let vault: Arc<dyn Vault> = vault;
    match vault.replay().await {
        Ok(0) => {}
        Ok(count) => {
            tracing::info!(count, "{count} accounts were brought up to date from the journal")
        }
        Err(error) if is_shared => {
            // Without what is in the journal the issuer would be asked with what that replaced.
            clock.sleep(REPLAY_AGAIN).await;
            return Err(StartError::Replay(error));
        }
        Err(error) => {
            tracing::error!(%error, "the journal could not be replayed; it is kept: {error}")
        }
    }
    make_directory(Path::new(paths::USERS_DIR), 0o711)?;
    if let Some(fault) =
        std::fs::read_to_string("/proc/self/mountinfo").ok().as_deref().and_then(view::fault)
    {
        tracing::error!("{fault}");
    }
    let ownership = Ownership::of_this_process();
    let files =
        Files::new(paths::USERS_DIR.into(), RUNTIME_DIRS.into(), ownership, Arc::clone(&random));
    if let Err(error) = files.sweep() {
        tracing::warn!(%error, "left-over files could not be removed: {error}");
    }
    let (sessions, events) = Sessions::new(
        runtime_dir.join("sessions"),
        stay_rules(&config),
        Arc::clone(&clock),
        Arc::clone(&random),
    );
    let restored = sessions.restore();
    tracing::info!(
        ?restored,
        "sessions taken up: {} open, {} in their grace",
        restored.open,
        restored.in_grace
    );
    let issuers = Arc::new(IssuerClient::new(Arc::clone(&clock), limits(&config)));
    let refresher = Refresher::new(Arc::clone(&vault), issuers.clone(), Arc::clone(&clock));
    let broker = Broker::new(refresher, Arc::clone(&clock));
    let logins = Logins::new(issuers.clone(), Arc::clone(&clock));
    let presence = Presence::new(Arc::clone(&sessions), Arc::new(files), Arc::clone(&clock));
    let audit = audit::Repeats::before(Arc::new(audit::Journal), Arc::clone(&clock));
    audit.permits(config.limits.tokens_per_minute);
    let service = Service::new(Parts {
        config,
        sources,
        node: node_name(),
        vault,
        guards,
        upkeep,
        issuers,
        broker,
        logins,
        presence,
        drain: Drain::load(runtime_dir.join("draining")),
        audit: audit.clone(),
        people,
        users: Arc::new(NameService::new(Arc::clone(&clock))),
        clock: Arc::clone(&clock),
        random: Arc::clone(&random),
    });
    service.resume_logins().await;
    // Before the logins that are told of it.
    let host =
        agent_socket::Host { service: Arc::clone(&service), clock: Arc::clone(&clock), random };
    let agent = agent_socket::Switch::new(paths::AGENT_SOCKET.into(), host);
    let socket = PamSocket::bind(Path::new(paths::PAM_SOCKET))?;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(socket.serve(Arc::clone(&service), Arc::clone(&clock)));
    tasks.spawn(agent.follow());
    match TokenSocket::bind(Path::new(paths::TOKEN_SOCKET)) {
        Ok(socket) => {
            tasks.spawn(socket.serve(Arc::clone(&service), Arc::clone(&clock)));
        }
        Err(error) => {
            tracing::error!(%error, "iamctl token has to go over the bus: {error}");
        }
    }
    tasks.spawn(Arc::clone(&service).follow_sessions(events));
    let grace = Arc::clone(&sessions);
    tasks.spawn(async move { grace.watch_grace().await });
    tasks.spawn(Arc::clone(&service).clear_up());
    tasks.spawn(Arc::clone(&service).follow_the_clock());
    tasks.spawn(Arc::clone(&service).follow_other_nodes());
    tasks.spawn(on_the_bus(Arc::clone(&service), Arc::clone(&clock)));
    let (here, at_start) = (Arc::clone(&service), Arc::clone(&sessions));
    tasks.spawn(async move {
        let config = here.config();
        let services = policy::services(&config);
        let which = Adoptable { services, min_uid: config.users.min_uid };
        at_start.reconcile(&Login1::SystemBus, &which).await;
        here.close_unserved().await;
        here.resume_users().await;
        here.resume_rekey().await;
    });
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        "iamd {} is ready",
        env!("CARGO_PKG_VERSION")
    );
    tasks.spawn(Arc::clone(&service).prepare_logins());
    until_stopped(&service, &sessions, &audit, &log).await?;
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing requests at issuers")]);
    // What an issuer has answered must reach the disk: a refresh that runs is waited for.
    let patience = service.config().limits.reply_time + Duration::from_secs(1);
    service.finish(patience).await;
    tasks.abort_all();
    audit.finish();
    tracing::info!("stopped");
    Ok(())
}

/// Serves reloads until a signal ends the daemon.
async fn until_stopped(
    service: &Arc<Service>,
    sessions: &Arc<Sessions>,
    audit: &audit::Repeats,
    log: &logging::Handle,
) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut reloads = service.reloads();
    let store = service.config().store.clone();
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => {
                // The protocol of Type=notify-reload.
                let now = NotifyState::monotonic_usec_now()?;
                tell(&[NotifyState::Reloading, now]);
                let status = match service.reread(By::ITSELF).await {
                    Ok(()) => "serving".to_owned(),
                    Err(error) => format!("the configuration on disk has mistakes: {error}"),
                };
                tell(&[NotifyState::Ready, NotifyState::Status(&status.replace('\n', "; "))]);
            }
            _ = reloads.changed() => {
                let config = service.config();
                sessions.set_rules(stay_rules(&config));
                audit.permits(config.limits.tokens_per_minute);
                log.set_filter(&config.log_filter);
                if config.store != store {
                    tracing::warn!("the store is the one from before: a change of [store] needs a restart of iamd");
                }
                tokio::spawn(Arc::clone(service).look_again());
                tokio::spawn(Arc::clone(service).prepare_logins());
            }
        }
    }
}

/// Takes the name on the bus as soon as there is one, and serves there.
async fn on_the_bus(service: Arc<Service>, clock: Arc<dyn Clock>) {
    let mut told = false;
    loop {
        match bus::connect(Builder::system(), &service).await {
            Ok(connection) => {
                return bus::serve(connection, service, clock).await;
            }
            Err(error) if !told => {
                told = true;
                tracing::warn!(%error, "not on the bus yet; logins and token files go on without it: {error}");
            }
            Err(_) => {}
        }
        clock.sleep(Duration::from_secs(1)).await;
    }
}

fn stay_rules(config: &Config) -> StayRules {
    let lingering = config.sessions.keep_for_lingering;
    StayRules {
        grace: config.sessions.grace,
        linger_dir: lingering.then(|| PathBuf::from(LINGER_DIR)),
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        total_timeout: config.limits.reply_time,
        longest_body: config.limits.reply_bytes,
        concurrent: config.limits.issuer_requests,
        ..Limits::default()
    }
}

/// The store that several nodes share, where the configuration names one.
fn shared_store(config: &Config, runtime_dir: &Path) -> Option<SharedStore> {
    let StoreKind::Etcd(access) = &config.store else { return None };
    Some(SharedStore {
        access: access.clone(),
        node: node_name(),
        runtime_dir: runtime_dir.to_owned(),
        credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        reply_time: config.limits.reply_time,
    })
}

/// The keyring that systemd passed, where the unit names one.
fn credential() -> Option<PathBuf> {
    let dir = std::env::var_os("CREDENTIALS_DIRECTORY")?;
    let path = Path::new(&dir).join(paths::KEYRING_CREDENTIAL);
    path.exists().then_some(path)
}

fn node_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "this node".to_owned())
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let at =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(error)),
        _ => {}
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(at)
}

/// systemd is told; without systemd there is nobody to tell.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told: {error}");
    }
}
