//! How much longer a login takes with the module than without it: logins in pairs on the same node
//! at the same time, a fixed number of them.
//!
//! Two measures. The *module's own* time inside sshd lies between a `pam_warn` line before it and
//! one behind it, to which the kernel gave the time when sshd wrote them: next to nothing else is
//! in it, and the slowest of all has to keep the bound. The *login* is what a person waits for, from
//! the client's start to its end; sshd, logind and systemd have more to do in it than we, and once
//! in a while they take 200 ms longer for reasons of their own, with the module and without it.
//!
//! So what the machine adds is measured in the same run, by what the product has no part in: how far
//! the slowest is from the middle of a stand-in that waits for another process as the module waits
//! for the daemon (`pam_exec` of `true`, before the module in both stacks). It is allowed on top of
//! the bound, and no more than so much that no further wait of the product hides in it: the shortest
//! one is the 700 ms that the daemon gives an issuer, the next is the module's deadline of 1 s. For
//! the login it is how far the slowest without the module is from the fastest; one of ten may be off
//! by a limit of its own.
//!
//! A wait of the product's is in every round of logins, a stall of the machine's is not. So the
//! module's middle and the fastest login have to keep the bound in every round that is made, and the
//! module's slowest and all logins but one of ten in one of a few.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLockWriteGuard};
use std::time::Duration;

use iamd_tests::{Error, Node, World};
use serde_json::Value;

use crate::figures::Figures;

/// Pairs of logins in a round.
const PAIRS: usize = 10;
/// The most rounds that are made.
const ROUNDS: usize = 3;
/// The most that is allowed for noise of the module's own time.
const MODULE_NOISE: Duration = Duration::from_millis(100);
/// Noise of a login: ten do not always show what an eleventh has, so it is at least the first. Of the
/// fastest, it is no more than that.
const LOGIN_NOISE: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];
/// The most by which the slowest login may miss the bound.
const OUTLIER: Duration = Duration::from_millis(500);
/// Where the two stacks lie.
const STACKS: &str = "/run/harness/stack";
/// How far the journal was read.
const CURSOR: &str = "/run/harness/cursor";
/// What `pam_warn` writes when a session is opened.
const MARK: &str = "pam_warn(sshd:session): function=[pam_sm_open_session]";

/// A node whose logins can be made with and without the module. While it lives, no test runs that
/// shares its nodes with others, so that the machine is as quiet as it gets.
pub struct Stacks<'w> {
    node: &'w Node,
    world: &'w World,
    _alone: RwLockWriteGuard<'w, ()>,
}

/// One login, by the lines of `pam_warn`.
struct Marks {
    stand_in: Duration,
    module: Duration,
}

impl<'w> Stacks<'w> {
    /// Keeps the node's session stack, and one that differs in the module's line only.
    pub fn of(world: &'w World, node: &'w Node) -> Result<Self, Error> {
        let alone = world.turn().write().unwrap_or_else(PoisonError::into_inner);
        let mark = "session optional pam_warn.so";
        let stand_in = "session optional pam_exec.so quiet type=open_session /bin/true";
        node.root_says(&format!(
            "set -e; mkdir -p /run/harness; \
             sed 's|^.*pam_iam.*|{mark}\\n{stand_in}\\n{mark}\\n&\\n{mark}|' \
                 /etc/pam.d/common-session > {STACKS}.with; \
             grep -v pam_iam {STACKS}.with > {STACKS}.without; \
             ! cmp -s {STACKS}.with {STACKS}.without"
        ))?;
        Ok(Stacks { node, world, _alone: alone })
    }

    /// Gives the module's line other arguments.
    pub fn arguments(&self, words: &str) -> Result<(), Error> {
        self.node
            .root_says(&format!("sed -i 's/pam_iam.so.*/pam_iam.so {words}/' {STACKS}.with"))?;
        self.put("with")
    }

    /// Insists that logins work and that none is delayed by more than `bound` and the noise of the
    /// machine. Tells the figures.
    pub fn delay_within(&self, fault: &str, user: &str, bound: Duration) -> Result<(), Error> {
        // The user's own systemd starts with the first session and ends after the last.
        self.put("without")?;
        let mut stays = self.node.ssh(user).open(Some("echo in; cat"))?;
        stays.wait_for("in\n")?;
        self.marks()?;
        for _ in 0..ROUNDS {
            if self.round(fault, user, bound)? {
                return self.put("with");
            }
        }
        Err(Error::Wrong(format!("{fault}: a login missed the bound in each of {ROUNDS} rounds")))
    }

    /// Whether the slowest of the logins kept the bound, too.
    ///
    /// # Errors
    /// Not even the module's middle or the fastest login did.
    fn round(&self, fault: &str, user: &str, bound: Duration) -> Result<bool, Error> {
        let (mut with, mut without, mut order) = (Vec::new(), Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            // In turns: neither is always the one that comes after the other.
            for has_module in [pair % 2 == 0, pair % 2 != 0] {
                let (stack, times) = match has_module {
                    true => ("with", &mut with),
                    false => ("without", &mut without),
                };
                times.push(self.login(stack, user)?);
                order.push(has_module);
            }
        }
        let marks = self.marks()?;
        if marks.len() != order.len() {
            let (marks, logins) = (marks.len(), order.len());
            return Err(Error::Wrong(format!("{fault}: marks of {marks} logins, not {logins}")));
        }
        let module = marks.iter().zip(order).filter(|(_, has_module)| *has_module);
        let module = module.map(|(marks, _)| marks.module).collect();
        let stand_in = marks.iter().map(|marks| marks.stand_in).collect();
        let [Some(with), Some(without), Some(module), Some(stand_in)] =
            [with, without, module, stand_in].map(Figures::of)
        else {
            return Err(Error::Wrong(format!("{fault}: nothing was measured")));
        };
        let noise = (stand_in.max() - stand_in.median()).min(MODULE_NOISE);
        let fastest = with.min().saturating_sub(without.min());
        let delay = with.above(without.median());
        let of_a_login = (without.max() - without.min()).clamp(LOGIN_NOISE[0], LOGIN_NOISE[1]);
        let told = format!(
            "{fault}: the module took {module}; noise {noise:.1?}, bound {bound:?}; logins took \
             {delay} longer, the fastest {fastest:.1?}; noise {of_a_login:.1?}"
        );
        self.world.say(&told);
        if module.median() > bound + noise || fastest > bound + LOGIN_NOISE[0] {
            return Err(Error::Wrong(told));
        }
        let logins = delay.p90() <= bound + of_a_login && delay.max() <= bound + OUTLIER;
        Ok(module.max() <= bound + noise && logins)
    }

    /// A login with one of the stacks; its shell has to work.
    fn login(&self, stack: &str, user: &str) -> Result<Duration, Error> {
        self.put(stack)?;
        let seen = self.node.ssh(user).pty().run("echo works; id -un")?.ok()?;
        if seen.line() != format!("works\r\n{user}") {
            return Err(Error::Wrong(format!("the shell said: {seen:?}")));
        }
        Ok(seen.took)
    }

    fn put(&self, stack: &str) -> Result<(), Error> {
        let line = format!("cp -p {STACKS}.{stack} /etc/pam.d/common-session");
        self.node.root_says(&line).map(|_| ())
    }

    /// What the marks say of the logins since this was last asked for, oldest first.
    fn marks(&self) -> Result<Vec<Marks>, Error> {
        let said = self.node.root_says(&format!(
            "journalctl --sync; journalctl --cursor-file={CURSOR} -o json -t sshd --no-pager \
             --output-fields=MESSAGE,_PID,_SOURCE_REALTIME_TIMESTAMP"
        ))?;
        let (mut pids, mut times) = (Vec::new(), HashMap::<String, Vec<Duration>>::new());
        for line in said.lines() {
            let entry: Value = serde_json::from_str(line).unwrap_or_default();
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let time = text("_SOURCE_REALTIME_TIMESTAMP").parse();
            if let (true, Ok(time)) = (text("MESSAGE").starts_with(MARK), time) {
                let pid = text("_PID");
                if !times.contains_key(&pid) {
                    pids.push(pid.clone());
                }
                times.entry(pid).or_default().push(Duration::from_micros(time));
            }
        }
        let marks = pids.iter().map(|pid| match times[pid][..] {
            [a, b, c] if a <= b && b <= c => Ok(Marks { stand_in: b - a, module: c - b }),
            ref other => Err(Error::Wrong(format!("not three marks of a login: {other:?}"))),
        });
        marks.collect()
    }
}
