//! A real etcd of one member, on loopback, with a directory and ports of its own; ended with the test.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tempfile::TempDir;

use crate::store::etcd::{EtcdCertificate, EtcdSettings, EtcdTls};

/// A running etcd.
pub struct Etcd {
    child: Option<Child>,
    pub dir: TempDir,
    pub port: u16,
    peer_port: u16,
    tls: bool,
    options: &'static [&'static str],
}

/// Whether there is etcd here; `tests/run` says that there must be.
fn is_there() -> bool {
    let there = Command::new("etcd").arg("--version").output().is_ok();
    if !there {
        assert!(std::env::var_os("IAMD_TESTS_NEED_ETCD").is_none(), "etcd is missing");
        eprintln!("skipped: etcd is not installed");
    }
    there
}

/// A port below those that the kernel gives away by itself: nobody is handed it between this look
/// and etcd's. Other processes begin elsewhere.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = NEXT.fetch_add(1, SeqCst) + std::process::id().wrapping_mul(97) % 20_000;
        let port = u16::try_from(12_000 + next % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Etcd {
    /// One that anybody may use; `None` where etcd is not installed.
    pub fn start() -> Option<Self> {
        Self::make(false, &[])
    }

    /// The same with more options.
    pub fn start_with(options: &'static [&'static str]) -> Option<Self> {
        Self::make(false, options)
    }

    /// One that wants certificates of the authority in `dir`: files `ca.pem`, `node.pem`,
    /// `node.key`, and `other-ca.pem` of nobody.
    pub fn start_with_tls() -> Option<Self> {
        Self::make(true, &[])
    }

    fn make(tls: bool, options: &'static [&'static str]) -> Option<Self> {
        if !is_there() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        if tls {
            make_certificates(&dir);
        }
        let (port, peer_port) = (free_port(), free_port());
        let mut etcd = Self { child: None, dir, port, peer_port, tls, options };
        etcd.run();
        Some(etcd)
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs it, or runs it again with what it had.
    pub fn run(&mut self) {
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let log = File::create(self.file("log")).unwrap();
        let mut etcd = Command::new("etcd");
        etcd.args(["--name", "one", "--heartbeat-interval", "20", "--election-timeout", "200"])
            .args(["--log-level", "error", "--logger", "zap"])
            .arg("--data-dir")
            .arg(self.file("data"))
            .args(["--listen-client-urls", &self.url(), "--advertise-client-urls", &self.url()])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("one={peer}")])
            .args(self.options);
        if self.tls {
            etcd.arg("--client-cert-auth").arg("--trusted-ca-file").arg(self.file("ca.pem"));
            etcd.arg("--cert-file").arg(self.file("server.pem"));
            etcd.arg("--key-file").arg(self.file("server.key"));
        }
        etcd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(etcd.spawn().unwrap());
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = self.child.as_ref().unwrap().id();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id.cast_signed()), signal).unwrap();
    }

    pub fn settings(&self) -> EtcdSettings {
        EtcdSettings {
            endpoints: vec![self.url()],
            prefix: "iamd/".to_owned(),
            tls: None,
            user: None,
            timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            start_within: Duration::from_millis(500),
            lock_time: Duration::from_secs(30),
            node: "login1".to_owned(),
            lease_file: None,
        }
    }

    /// As a node that shows its certificate.
    pub fn settings_with_tls(&self) -> EtcdSettings {
        let client =
            EtcdCertificate { certificate: self.file("node.pem"), key: self.file("node.key") };
        let tls = Some(EtcdTls { ca: self.file("ca.pem"), client: Some(client) });
        EtcdSettings { tls, ..self.settings() }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn make_certificates(dir: &TempDir) {
    let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        write(name, issuer.pem());
        issuer
    };
    let ca = authority("ca.pem");
    authority("other-ca.pem");
    for name in ["server", "node"] {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        let key = KeyPair::generate().unwrap();
        write(&format!("{name}.pem"), params.signed_by(&key, &ca).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}
