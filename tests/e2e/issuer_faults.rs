//! An issuer that answers wrongly, late or not at all: what iamd does, and what the user sees.
//! Where a rule of the requirements is meant, its number is in the test's name.
//!
//! One node for all of these, an issuer with its fault proxy for each.

mod clocks;
mod logins;
mod lost;
mod numbers;
mod registrations;
mod replies;
mod tokens;

use std::sync::{Arc, Mutex, PoisonError};

use iamd_tests::issuer::Faults;
use iamd_tests::product::issuer_file;
use iamd_tests::{Error, Issuer, IssuerSpec, Node, Output, Product, World};
use serde_json::{Value, json};

use crate::case::Case;
use crate::people::{json, sign_in_as};

pub fn cases() -> Vec<Case> {
    [
        logins::cases(),
        numbers::cases(),
        registrations::cases(),
        lost::cases(),
        tokens::cases(),
        replies::cases(),
        clocks::cases(),
    ]
    .concat()
}

type Result<T> = std::result::Result<T, Error>;

/// The node of this module. Nobody is asked to sign in at a login: the tests do that.
struct Faulty {
    node: Node,
    configuring: Mutex<()>,
}

fn faulty(world: &World) -> Result<Faulty> {
    let product = Product::new(world.issuer()?)
        .config("[login]\nautomatic = false\n[limits]\nlogin_starts = 100\n");
    let node = world.boot(product.on(world.spec("faulty")))?;
    Ok(Faulty { node, configuring: Mutex::default() })
}

/// An issuer that only this test has, under its name, and a user.
struct Stage {
    place: Arc<Faulty>,
    issuer: Issuer,
    user: String,
    name: String,
}

/// An issuer as the RFCs have it, which lets clients poll every second.
const RFC: [(&str, &str); 2] = [("SHAPE", "rfc"), ("INTERVAL", "1")];

/// The scene of the test called `name`, with an issuer of these options.
fn stage(world: &World, name: &str, options: &[(&str, &str)]) -> Result<Stage> {
    let place = world.place(faulty)?;
    let host = format!("{name}.test");
    let spec = IssuerSpec::new(&host);
    let spec = options.iter().fold(spec, |spec, (option, value)| spec.option(option, value));
    let issuer = world.start_issuer(spec)?;
    let stage = Stage { place, issuer, user: world.user()?, name: name.into() };
    let line = format!("echo '{} {host}' >> /etc/hosts", stage.issuer.address());
    stage.node().exec(&line)?.ok()?;
    stage.list_issuer(&issuer_file(name, &stage.issuer))?;
    Ok(stage)
}

impl Stage {
    fn node(&self) -> &Node {
        &self.place.node
    }

    /// Puts the issuer's file in place and has it read.
    fn list_issuer(&self, file: &str) -> Result<()> {
        // One at a time: a reload reads the files of all.
        let turn = self.place.configuring.lock();
        let _turn = turn.unwrap_or_else(PoisonError::into_inner);
        let path = format!("/etc/iamd/issuers.d/{}.toml", self.name);
        self.node().put(&path, 0o644, "root", file.as_bytes())?;
        self.node().exec("iamctl admin reload")?.ok().map(|_| ())
    }

    /// Makes one fault for one path until it is dropped.
    fn fault(&self, path: &str, fault: Value) -> Result<Faults<'_>> {
        self.issuer.faults(&json!([{"match": {"path": path}, "fault": fault}]))
    }

    /// Makes faults for refreshes only.
    fn refresh_fault(&self, fault: Value) -> Result<Faults<'_>> {
        let refreshes = json!({"path": "/token", "grant_type": "refresh_token"});
        self.issuer.faults(&json!([{"match": refreshes, "fault": fault}]))
    }

    fn sign_in(&self) -> Result<()> {
        sign_in_as(self.node(), &self.issuer, &self.user, &self.name, &self.name)
    }

    /// `iamctl` with these words as the user.
    fn iamctl(&self, words: &str) -> Result<Output> {
        self.node().exec_as(&self.user, &format!("iamctl {words}"))
    }

    /// Logs in at this issuer and waits for the end.
    fn login(&self) -> Result<Output> {
        self.iamctl(&format!("login {0} --issuer {0}", self.name))
    }

    /// A token that the issuer has to be asked for.
    fn new_token(&self) -> Result<Output> {
        self.iamctl(&format!("token {} --force-new", self.name))
    }

    /// The account, as its owner sees it.
    fn account(&self) -> Result<Value> {
        let line = format!("iamctl account show {} --json", self.name);
        Ok(json(self.node(), &self.user, &line)?["account"].take())
    }

    fn state(&self) -> Result<String> {
        Ok(self.account()?["state"].as_str().unwrap_or_default().to_owned())
    }
}

/// What a person reads of a command that printed nothing else.
fn told(said: &Output) -> Result<String> {
    if said.stdout.is_empty() && !said.stderr.contains(&0x1b) {
        return Ok(said.errors());
    }
    Err(Error::Wrong(format!("standard output, or an escape sequence: {said:?}")))
}
