//! How long a login waits for the daemon and for the issuer. For the user it waits as long as the
//! code is good, or as `--timeout` says.

use std::time::Duration;

use iamd_protocol::bus::LONGEST_WAIT_MS;

use crate::args::Login;
use crate::client::LIMIT;
use crate::clock::Stopwatch;

/// With `--if-needed` the command runs while a shell starts: who does not answer must not hold that
/// up. So much time there is until there is a code to show, or nothing to do.
const UNTIL_THE_CODE: Duration = Duration::from_secs(3);

/// The bounds of one command.
pub(super) struct Patience {
    since: Stopwatch,
    until_the_code: Option<Duration>,
    /// While the user is waited for, the daemon is asked to answer after so long at the latest ...
    pub(super) asking_ms: u32,
    /// ... and may take so much longer.
    pub(super) grace: Duration,
    /// How long the daemon may be away, as when it is restarted.
    pub(super) away: Duration,
}

impl Patience {
    /// That of a command that begins now.
    pub(super) fn of(args: &Login) -> Self {
        let since = Stopwatch::start();
        let seconds = Duration::from_secs;
        if args.if_needed {
            let (grace, away) = (seconds(2), seconds(3));
            Self { since, until_the_code: Some(UNTIL_THE_CODE), asking_ms: 2000, grace, away }
        } else {
            let (grace, away) = (seconds(10), seconds(20));
            Self { since, until_the_code: None, asking_ms: LONGEST_WAIT_MS, grace, away }
        }
    }

    /// What the next call may take, as long as there is no code.
    pub(super) fn left(&self) -> Duration {
        self.left_for_the_code().unwrap_or(LIMIT)
    }

    /// How long a code is still waited for; `None`: as long as it takes.
    pub(super) fn left_for_the_code(&self) -> Option<Duration> {
        Some(self.until_the_code?.saturating_sub(self.since.elapsed()))
    }
}
