//! How much longer a login takes with the module than without it, on the same node at the same
//! time: pairs of logins, so that a machine that is busy is busy for both.

use std::time::Duration;

use iamd_tests::{Error, Node, World};

/// As few pairs as this are enough when they agree with the bound.
const FEW: usize = 5;
/// With so many, the median of a delay that is within the bound is within it too.
const MANY: usize = 21;
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
    /// of some pairs. Tells and answers that delay.
    pub fn delay_within(
        &self,
        world: &World,
        fault: &str,
        user: &str,
        bound: Duration,
    ) -> Result<Duration, Error> {
        let mut delays = Vec::new();
        loop {
            let without = self.login("without", user)?;
            let with = self.login("with", user)?;
            delays.push(with.saturating_sub(without));
            delays.sort();
            let middle = delays[delays.len() / 2];
            let done = delays.len() >= FEW && middle <= bound;
            if done || delays.len() >= MANY {
                let (least, most) = (delays[0], delays[delays.len() - 1]);
                world.say(&format!(
                    "{fault}: {} ms longer ({} to {} ms, {} pairs)",
                    middle.as_millis(),
                    least.as_millis(),
                    most.as_millis(),
                    delays.len()
                ));
                self.put("with")?;
                return match done {
                    true => Ok(middle),
                    false => Err(Error::Wrong(format!(
                        "{fault}: logins take {middle:?} longer than without the module, more \
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
