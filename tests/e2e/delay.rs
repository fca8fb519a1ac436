//! How much longer a login takes with the module than without it, on the same node at the same
//! time: pairs of logins, so that a machine that is busy is busy for both.

use std::time::Duration;

use iamd_tests::{Error, Node, World};

/// As few pairs as this are enough when they agree with the bound.
const FEW: usize = 5;
/// After so many, chance does not keep the middle of a delay that is within the bound out of it.
const MANY: usize = 61;
/// Where the two stacks lie.
const STACKS: &str = "/run/harness/stack";

/// A node whose logins can be made with and without the module.
pub struct Stacks<'n>(&'n Node);

impl<'n> Stacks<'n> {
    /// Keeps the node's session stack, and one that differs in the module's line only.
    pub fn of(node: &'n Node) -> Result<Self, Error> {
        node.root_says(&format!(
            "set -e; mkdir -p /run/harness; cp -p /etc/pam.d/common-session {STACKS}.with; \
             grep -v pam_iam /etc/pam.d/common-session > {STACKS}.without; \
             ! cmp -s {STACKS}.with {STACKS}.without"
        ))?;
        Ok(Stacks(node))
    }

    /// Gives the module's line other arguments.
    pub fn arguments(&self, words: &str) -> Result<(), Error> {
        self.0.root_says(&format!("sed -i 's/pam_iam.so.*/pam_iam.so {words}/' {STACKS}.with"))?;
        self.put("with")
    }

    /// Insists that logins work and that the module delays them by at most `bound`, in the middle
    /// of some pairs. Tells that delay.
    pub fn delay_within(
        &self,
        world: &World,
        fault: &str,
        user: &str,
        bound: Duration,
    ) -> Result<(), Error> {
        let mut delays = Vec::new();
        loop {
            // In turns: neither is always the one that comes after the other.
            let (with, without) = if delays.len().is_multiple_of(2) {
                let without = self.login("without", user)?;
                (self.login("with", user)?, without)
            } else {
                (self.login("with", user)?, self.login("without", user)?)
            };
            delays.push(with.as_millis() as i64 - without.as_millis() as i64);
            delays.sort();
            let middle = delays[delays.len() / 2];
            let done = delays.len() >= FEW && middle <= bound.as_millis() as i64;
            if done || delays.len() >= MANY {
                let (least, most) = (delays[0], delays[delays.len() - 1]);
                world.say(&format!(
                    "{fault}: {middle} ms longer ({least} to {most} ms, {} pairs)",
                    delays.len()
                ));
                self.put("with")?;
                return match done {
                    true => Ok(()),
                    false => Err(Error::Wrong(format!(
                        "{fault}: logins take {middle} ms longer than without the module, more \
                         than {bound:?}: {delays:?}"
                    ))),
                };
            }
        }
    }

    /// A login with one of the stacks; its shell has to work.
    fn login(&self, stack: &str, user: &str) -> Result<Duration, Error> {
        self.put(stack)?;
        let seen = self.0.ssh(user).run("echo works; id -un")?.ok()?;
        if seen.line() != format!("works\n{user}") {
            return Err(Error::Wrong(format!("the shell said: {seen:?}")));
        }
        Ok(seen.took)
    }

    fn put(&self, stack: &str) -> Result<(), Error> {
        self.0.root_says(&format!("cp -p {STACKS}.{stack} /etc/pam.d/common-session")).map(|_| ())
    }
}
