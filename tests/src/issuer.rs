//! The test issuer (tests/issuer) in the hub: started with TLS from the run's CA, asked what it
//! saw, and approved at as a person with a browser would. In front of it, under its name and at
//! its address, stands the fault proxy, which without rules changes nothing.
//!
//! ```text
//!   node, browser ──► HOST at 10.77.0.N  proxy.mjs ──► 127.0.0.1:BACK  issuer.mjs
//!   tests ──────────► 127.0.0.1:CONTROL  /_fault/      127.0.0.1:BACK  /_test/
//! ```

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::clock;
use crate::command::{self, Output};
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::places;

/// Opens the issuer's control interface; it guards nothing but this run.
const ADMIN: &str = "the-admin-of-this-run";
const START: Duration = Duration::from_secs(30);

/// What an issuer shall be.
#[derive(Clone, Debug)]
pub struct IssuerSpec {
    host: String,
    port: u16,
    options: BTreeMap<String, String>,
    certificate: Vec<String>,
}

impl IssuerSpec {
    /// An issuer at `https://HOST/`, in the shape of INDIGO IAM.
    pub fn new(host: &str) -> IssuerSpec {
        IssuerSpec {
            host: host.into(),
            port: 443,
            options: BTreeMap::new(),
            certificate: Vec::new(),
        }
    }

    /// At another port than 443.
    pub fn port(mut self, port: u16) -> IssuerSpec {
        self.port = port;
        self
    }

    /// With an option of tests/issuer/config.mjs: `("SHAPE", "rfc")`, `("AT_TTL", "60")`.
    pub fn option(mut self, name: &str, value: &str) -> IssuerSpec {
        self.options.insert(name.into(), value.into());
        self
    }

    /// With more words to ca.mjs for its certificate: `["--days", "2"]`.
    pub fn certificate(mut self, words: &[&str]) -> IssuerSpec {
        self.certificate = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Its URL, with the slash at the end.
    pub fn url(&self) -> String {
        match self.port {
            443 => format!("https://{}/", self.host),
            port => format!("https://{}:{port}/", self.host),
        }
    }
}

/// A running issuer. Dropping it ends it.
#[derive(Debug)]
pub struct Issuer {
    spec: IssuerSpec,
    address: Ipv4Addr,
    certificate: PathBuf,
    proxy: Script,
    _issuer: Script,
    ground: Arc<Ground>,
}

/// Faults that are made until this is dropped.
#[derive(Debug)]
pub struct Faults<'i>(&'i Issuer);

/// A Node script of tests/issuer that runs until its standard input closes.
#[derive(Debug)]
pub struct Script {
    child: Child,
    _stdin: Option<ChildStdin>,
}

impl Issuer {
    /// Starts an issuer at an address of the hub's own for it; done when it listens.
    pub fn start(ground: &Arc<Ground>, spec: IssuerSpec) -> Result<Issuer> {
        let address = ground.hub.address()?;
        let names = [spec.host.as_str(), &address.to_string(), "127.0.0.1"];
        let words: Vec<&str> = spec.certificate.iter().map(String::as_str).collect();
        let (cert, key) = ground.ca.issue(&ground.run, &names, &words)?;
        let server = json!({"CERT": cert.display().to_string(), "KEY": key.display().to_string()});
        let mut options = json!({
            "HOST": "127.0.0.1", "PORT": back(address), "ISSUER": spec.url(), "ADMIN_TOKEN": ADMIN,
        });
        for (name, value) in &spec.options {
            options[name] = Value::from(value.as_str());
        }
        let trusted =
            if words.contains(&"--alone") { cert.clone() } else { ground.ca.certificate() };
        let proxy = json!({
            "HOST": address.to_string(), "PORT": spec.port, "UPSTREAM_NAME": spec.host,
            "UPSTREAM": format!("https://127.0.0.1:{}", back(address)),
            "UPSTREAM_CA": trusted.display().to_string(),
            "CONTROL_PORT": control(address),
        });
        let log = |part: &str| ground.run.dir().join(format!("{}.{part}.log", spec.host));
        let issuer =
            Script::start(ground, "issuer.mjs", &merged(&options, &server), &log("issuer"))?;
        let proxy = Script::start(ground, "proxy.mjs", &merged(&proxy, &server), &log("proxy"))?;
        Ok(Issuer {
            spec,
            address,
            certificate: cert,
            proxy,
            _issuer: issuer,
            ground: ground.clone(),
        })
    }

    /// Its certificate, PEM.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Its host name.
    pub fn host(&self) -> &str {
        &self.spec.host
    }

    /// Its URL, with the slash at the end.
    pub fn url(&self) -> String {
        self.spec.url()
    }

    /// Its address in the hub.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Stops it in the middle of whatever it does (`true`), or lets it go on: connections are
    /// still accepted by the kernel, and nothing ever answers.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        self.proxy.signal(if frozen { Signal::SIGSTOP } else { Signal::SIGCONT })
    }

    /// Makes faults, by the rules of tests/issuer/README.md, until the answer is dropped:
    /// `json!([{"match": {"path": "/token"}, "fault": {"status": {"code": 503}}}])`.
    pub fn faults(&self, rules: &Value) -> Result<Faults<'_>> {
        self.fault_control("PUT", Some(rules))?;
        Ok(Faults(self))
    }

    /// GET of a path below the issuer's URL.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.curl(&[&self.at(path)])
    }

    /// Every protocol request it saw, oldest first (tests/issuer/recorder.mjs).
    pub fn requests(&self) -> Result<Vec<Value>> {
        match self.control("GET", "requests", None)? {
            Value::Array(requests) => Ok(requests),
            other => Err(Error::Wrong(format!("not a list of requests: {other}"))),
        }
    }

    /// How often it saw `request`: `"POST /token refresh_token"`, `"POST /devicecode"`.
    pub fn count(&self, request: &str) -> Result<u64> {
        Ok(self.control("GET", "counts", None)?[request].as_u64().unwrap_or(0))
    }

    /// Forgets the requests it saw.
    pub fn reset(&self) -> Result<()> {
        self.control("POST", "reset", None).map(|_| ())
    }

    /// Changes a user behind the protocol's back: `json!({"active": false})` suspends.
    pub fn change_user(&self, user: &str, change: &Value) -> Result<()> {
        self.control("POST", &format!("users/{user}"), Some(change)).map(|_| ())
    }

    /// The interface under /_test/, whole.
    pub fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let url = format!("https://127.0.0.1:{}/_test/{path}", back(self.address));
        let token = format!("x-test-token: {ADMIN}");
        let body = body.map(Value::to_string);
        let mut words = vec!["-X", method, "-H", &token];
        if let Some(body) = &body {
            words.extend(["-H", "content-type: application/json", "--data-binary", body]);
        }
        words.push(&url);
        self.curl(&words)
    }

    /// Opens `uri`, enters `code`, signs in as `user` and allows.
    pub fn approve(&self, uri: &str, code: &str, user: &str) -> Result<()> {
        self.browse(uri, code, user, &[])?.ok().map(|_| ())
    }

    /// As [`approve`](Issuer::approve), and denies.
    pub fn deny(&self, uri: &str, code: &str, user: &str) -> Result<()> {
        self.browse(uri, code, user, &["--deny"])?.ok().map(|_| ())
    }

    /// The claims of an access token whose signature is right by this issuer's published keys.
    pub fn verify(&self, token: &str) -> Result<Value> {
        self.verify_by(&self.keys()?, token)
    }

    /// The keys it publishes.
    pub fn keys(&self) -> Result<Value> {
        let uri = self.get(".well-known/openid-configuration")?;
        let uri = uri["jwks_uri"].as_str().ok_or_else(|| Error::Wrong("no jwks_uri".into()))?;
        self.curl(&[uri])
    }

    /// As [`verify`](Issuer::verify), by keys that were fetched before.
    pub fn verify_by(&self, keys: &Value, token: &str) -> Result<Value> {
        let file = tempfile::NamedTempFile::new_in(self.ground.run.dir());
        let file = file.map_err(Error::io("a file for the keys"))?;
        std::fs::write(file.path(), keys.to_string()).map_err(Error::at(file.path()))?;
        let mut node = self.ground.run.command("node");
        node.arg(places::repository().join("tests/verify.mjs")).arg(file.path());
        let said = command::run(node, token.as_bytes(), Duration::from_secs(20))?.ok()?;
        parse(&said)
    }

    fn browse(&self, uri: &str, code: &str, user: &str, more: &[&str]) -> Result<Output> {
        let mut node = self.ground.hub.command("node");
        node.arg(places::repository().join("tests/issuer/approve.mjs"));
        node.args(["--uri", uri, "--code", code, "--user", user, "--resolve", &self.resolve()]);
        node.arg("--ca").arg(self.ground.ca.certificate()).args(more);
        command::run(node, b"", Duration::from_secs(60))
    }

    fn fault_control(&self, method: &str, rules: Option<&Value>) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}/_fault/", control(self.address));
        let rules = rules.map(Value::to_string).unwrap_or_default();
        // Not an argument: a rule can hold a large reply.
        self.curl_with(&["-X", method, "--data-binary", "@-", &url], rules.as_bytes())
    }

    fn curl(&self, words: &[&str]) -> Result<Value> {
        self.curl_with(words, b"")
    }

    fn curl_with(&self, words: &[&str], stdin: &[u8]) -> Result<Value> {
        let mut curl = self.ground.hub.command("curl");
        curl.args(["-sS", "--fail-with-body", "--max-time", "20", "--resolve", &self.resolve()]);
        curl.arg("--cacert").arg(self.ground.ca.certificate()).args(words);
        parse(&command::run(curl, stdin, Duration::from_secs(30))?.ok()?)
    }

    fn resolve(&self) -> String {
        format!("{}:{}:{}", self.spec.host, self.spec.port, self.address)
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url())
    }
}

impl Faults<'_> {
    /// The rules with their counters, `matched` and `applied`.
    pub fn counters(&self) -> Result<Value> {
        self.0.fault_control("GET", None)
    }
}

impl Drop for Faults<'_> {
    fn drop(&mut self) {
        let _ = self.0.fault_control("DELETE", None);
    }
}

impl Script {
    /// Starts `script` in the hub with one JSON argument, and waits for its READY line.
    pub fn start(
        ground: &Ground,
        script: &str,
        options: &Value,
        log: &std::path::Path,
    ) -> Result<Script> {
        let errors = std::fs::File::create(log).map_err(Error::at(log))?;
        let program = places::repository().join("tests/issuer").join(script);
        let mut command = ground.hub.command("setpriv");
        command.args(["--pdeathsig", "TERM", "--", "node"]).arg(program).arg(options.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = crate::run::spawn_kept(command)?;
        let stdin = child.stdin.take();
        let (sender, ready) = channel();
        if let Some(stdout) = child.stdout.take() {
            // Read to the end, so that it never waits for a full pipe.
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(|line| line.ok()) {
                    if line.starts_with("READY ") {
                        let _ = sender.send(());
                    }
                }
            });
        }
        let script_runs = Script { child, _stdin: stdin };
        match ready.recv_timeout(START) {
            Ok(()) => Ok(script_runs),
            Err(_) => {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                Err(Error::Wrong(format!("{script} did not start: {}", command::tail(&said))))
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).unwrap_or_default();
        kill(Pid::from_raw(pid), signal).map_err(Error::errno("signalling the issuer"))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        for signal in [Signal::SIGCONT, Signal::SIGTERM, Signal::SIGKILL] {
            let _ = self.signal(signal);
            let patience = match signal {
                Signal::SIGCONT => Duration::ZERO,
                _ => Duration::from_secs(3),
            };
            let ended = || matches!(self.child.try_wait(), Ok(Some(_)));
            if clock::until("its end", patience, ended).is_ok() {
                return;
            }
        }
    }
}

/// The port behind the proxy, on the hub's loopback.
fn back(address: Ipv4Addr) -> u16 {
    9000 + u16::from(address.octets()[3])
}

/// The port of the proxy's control, on the hub's loopback.
fn control(address: Ipv4Addr) -> u16 {
    9500 + u16::from(address.octets()[3])
}

fn merged(some: &Value, more: &Value) -> Value {
    let both = [some, more].into_iter().filter_map(Value::as_object);
    Value::Object(both.flatten().map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The claims of a JWT, unverified.
pub fn claims(token: &str) -> Result<Value> {
    use base64::Engine as _;
    let body = token.split('.').nth(1).unwrap_or_default();
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(body)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| Error::Wrong("not a JWT".into()))
}

fn parse(said: &Output) -> Result<Value> {
    if said.stdout.is_empty() {
        return Ok(json!(null));
    }
    serde_json::from_slice(&said.stdout)
        .map_err(|error| Error::Wrong(format!("`{}`: not JSON ({error})", said.command)))
}
