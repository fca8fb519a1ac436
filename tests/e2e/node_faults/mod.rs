//! A node that fails: its disks, its descriptors, its bus, its clock, its users. What iamd does then
//! and what users see is in docs/faults.md, a row for each of these tests.
//!
//! Each has a node of its own. Where only a part of the machine can be made to fail, it is the real
//! part: file systems of their own size, limits of the kernel. Two things cannot be done to a
//! container: to set its clock, and to suspend it. The iamd of the tests' build reads by how much its
//! clock is off from a file; a suspend is that together with SIGSTOP and SIGCONT.

mod disks;
mod system;
mod time;
mod users;

use std::time::Duration;

use iamd_tests::{
    Error, Issuer, IssuerSpec, Node, Output, Product, Session, World, eventually, places,
};

use crate::case::Case;

pub fn cases() -> Vec<Case> {
    [disks::cases(), system::cases(), time::cases(), users::cases()].concat()
}

type Result<T> = std::result::Result<T, Error>;

const SOON: Duration = Duration::from_secs(20);

/// A node and an issuer whose refresh tokens are good for one use.
struct Place {
    node: Node,
    issuer: Issuer,
}

fn place(world: &World, name: &str, config: &str) -> Result<Place> {
    let spec = IssuerSpec::new(&format!("{name}.test")).option("SHAPE", "rfc");
    let spec = spec.option("INTERVAL", "1").option("ROTATE", "always").option("AT_TTL", "600");
    let issuer = world.start_issuer(spec)?;
    let config = format!("[login]\nautomatic = false\n{config}");
    let product = Product::new(&issuer).daemon(places::fault_points()).config(&config);
    let node = world.boot(product.on(world.spec(name)))?;
    Ok(Place { node, issuer })
}

impl Place {
    fn sign_in(&self, user: &str) -> Result<()> {
        crate::people::sign_in_as(&self.node, &self.issuer, user, "test", "test")
    }

    fn iamctl(&self, user: &str, words: &str) -> Result<Output> {
        self.node.exec_as(user, &format!("iamctl {words}"))
    }

    /// A token that the issuer has to be asked for.
    fn new_token(&self, user: &str) -> Result<Output> {
        self.iamctl(user, "token --force-new")
    }

    /// How often the issuer was asked to renew a token.
    fn refreshes(&self) -> Result<u64> {
        self.issuer.count("POST /token refresh_token")
    }

    /// A session that stays.
    fn session(&self, user: &str) -> Result<Session> {
        let mut session = self.node.ssh(user).open(Some("echo in; cat"))?;
        session.wait_for("in\n")?;
        Ok(session)
    }

    /// Waits for a token file, and answers what is in it.
    fn file(&self, user: &str) -> Result<String> {
        let file = iamd_tests::token_file(user)?;
        let text = eventually(&file, SOON, || {
            self.node.exec(&format!("test -s {file} && cat {file}"))?.ok()
        })?;
        Ok(text.line())
    }

    /// The process.
    fn pid(&self) -> Result<String> {
        self.node.root_says("systemctl show -P MainPID iamd")
    }

    fn kill(&self) -> Result<()> {
        self.node
            .exec("systemctl kill -s KILL iamd; systemctl reset-failed iamd; systemctl start iamd")?
            .ok()?;
        self.is_up()
    }

    fn is_up(&self) -> Result<()> {
        eventually("iamd", SOON, || self.node.exec("iamctl issuer list >/dev/null")?.ok())?;
        Ok(())
    }
}
