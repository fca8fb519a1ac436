//! Keeps the command's token fresh, on a thread of its own.
//!
//! It goes by the wall clock, as tokens do, and looks at it twice a minute at least: a machine that
//! slept, or a job that was stopped, renews at once when it goes on. Each time it looks whether the file
//! is there still: a directory of a session goes with the session.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use iamd_protocol::bus::{AccountInfo, TokenOptions};
use iamd_protocol::error::Kind;

use super::super::ask;
use super::place::{Place, Seen};
use crate::app::Context;
use crate::client::LIMIT;
use crate::clock::unix_now;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::{Output, text, time};

/// How long before its end a long-lived token is renewed.
const EARLY: u64 = 600;
/// The longest time between two looks at the clock, and between two tries.
const LOOK: u64 = 30;

/// What is renewed, and how.
pub(super) struct Renewal {
    /// The account, by the name it had at the start.
    pub(super) account: String,
    /// What was asked for at the start.
    pub(super) options: TokenOptions,
    /// When the present token expires.
    pub(super) expires_at: u64,
    /// Where it is.
    pub(super) place: Arc<Place>,
    /// For the connection and for what is told.
    pub(super) environment: Environment,
}

/// Ends the renewal when it is dropped.
pub(super) struct Renewing {
    _end: mpsc::Sender<()>,
}

impl Renewal {
    /// Begins.
    pub(super) fn start(self) -> Renewing {
        let (end, ended) = mpsc::channel();
        std::thread::spawn(move || self.keep(&ended));
        Renewing { _end: end }
    }

    fn keep(mut self, ended: &mpsc::Receiver<()>) {
        let output = Output::of_this_process(&self.environment);
        let mut context = Context { environment: self.environment.clone(), output, limit: LIMIT };
        let first = self.account.clone();
        // Without it, an account is not recognised when it is called something else.
        let before = context.client().and_then(|client| client.accounts()).unwrap_or_default();
        let least = u64::from(self.options.min_valid_seconds.unwrap_or(0));
        let mut schedule = Schedule::after(self.expires_at, unix_now(), least);
        let mut gone = false;
        loop {
            let wait = Duration::from_secs(schedule.wait(unix_now()));
            if ended.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let now = unix_now();
            match self.place.look() {
                Seen::There => {}
                Seen::MadeAnew => {
                    context.output.tell(&made_anew(&self.place));
                    gone = false;
                    schedule.lost(now);
                }
                Seen::Gone(error) => {
                    if !std::mem::replace(&mut gone, true) {
                        context.output.tell(&lost(&self.place, &error));
                    }
                    schedule.lost(now);
                    schedule.nowhere(now);
                    continue;
                }
            }
            if schedule.is_over(now) {
                self.place.take_away();
                schedule.taken_away();
            }
            if !schedule.is_due(now) {
                continue;
            }
            match self.renew(&context, schedule.left(now)) {
                Ok(expires_at) => schedule = Schedule::after(expires_at, unix_now(), least),
                Err(failure) => {
                    if failure.is(Kind::NoSuchAccount)
                        && let Ok(accounts) = context.client().and_then(|c| c.accounts())
                        && let Some(name) = renamed(&before, &first, &accounts)
                        && name != self.account
                    {
                        context.output.tell(&format!(
                            "iamctl: the account {} is called {name} now; going on with it",
                            self.account
                        ));
                        name.clone_into(&mut self.account);
                        continue;
                    }
                    if schedule.failed(unix_now()) {
                        context.output.tell(&said(&failure, schedule.expires_at));
                    }
                }
            }
        }
    }

    /// Puts a token in place that is valid for longer than the present one, which is so for `left`
    /// seconds; when it expires.
    fn renew(&self, context: &Context, left: u64) -> Result<u64, Failure> {
        let longer = u32::try_from(left.saturating_add(1)).unwrap_or(u32::MAX);
        let least = self.options.min_valid_seconds.unwrap_or(0).max(longer);
        let options = TokenOptions { min_valid_seconds: Some(least), ..self.options.clone() };
        // A connection of its own each time: bus and daemon may have been restarted.
        let token = ask::token(context, &self.account, &options)?;
        self.place.put(&token).map_err(|error| {
            let text = format!("the token file cannot be written: {error}");
            // Its place was good when the command began: another one helps with another start only.
            Failure::new(Kind::FileNotWritten, text).advise("")
        })?;
        Ok(token.reply.expires_at)
    }
}

/// What an account is called now that is not there by its name any more: the only one at the same
/// issuer, of the same person, whose name is new. Another one that was there before has other
/// scopes, maybe more.
fn renamed<'a>(before: &[AccountInfo], name: &str, now: &'a [AccountInfo]) -> Option<&'a str> {
    let it = before.iter().find(|account| account.name == name)?;
    let subject = it.subject.as_ref()?;
    let mut found = now.iter().filter(|account| {
        let is_new = before.iter().all(|known| known.name != account.name);
        is_new && account.issuer == it.issuer && account.subject.as_ref() == Some(subject)
    });
    let only = found.next()?;
    found.next().is_none().then_some(only.name.as_str())
}

/// Somebody took it away, and maybe does so again.
fn made_anew(place: &Place) -> String {
    format!(
        "iamctl: somebody removed the token file or its directory in {}; it is made anew at the same \
         path",
        place.base().display()
    )
}

/// The command goes on, with a path where nothing is.
fn lost(place: &Place, error: &std::io::Error) -> String {
    let base = place.base().display();
    let why = match place.base().exists() {
        true => format!(
            "it cannot be made anew in {base} ({})",
            text::without_numbers(&error.to_string())
        ),
        false => {
            format!("{base} was removed, as it is after your last logout where it is a session's")
        }
    };
    format!(
        "iamctl: the token file of the command is gone, because {why}; it is made anew when that can be; a \
         job that outlives your logins is started with:  env -u XDG_RUNTIME_DIR iamctl run"
    )
}

fn said(failure: &Failure, expires_at: Option<u64>) -> String {
    let then = match expires_at {
        Some(at) => format!("the present one expires {}", time::date(at)),
        None => "there is none at present".to_owned(),
    };
    let advice = if failure.advice.is_empty() { "" } else { "; " };
    let advice = format!("{advice}{}", failure.advice);
    format!("iamctl: the token was not renewed ({failure}); {then}; trying again{advice}")
}

/// When to ask, pure.
#[derive(Debug, PartialEq, Eq)]
struct Schedule {
    /// When the token in the file expires; none: there is no file any more.
    expires_at: Option<u64>,
    /// When to ask next.
    due_at: u64,
    failures: u32,
}

impl Schedule {
    /// After a token came that is valid until then, of which `least` seconds must be left always.
    fn after(expires_at: u64, now: u64, least: u64) -> Self {
        let life = expires_at.saturating_sub(now);
        let early = (life / 2).min(EARLY).max(least.saturating_add((life / 10).min(30)));
        // A minimum that is nearly the whole life does not make it ask all the time.
        let pause = (life / 10).clamp(1, 5);
        let wait = life.saturating_sub(early).max(pause);
        Self { expires_at: Some(expires_at), due_at: now.saturating_add(wait), failures: 0 }
    }

    /// Seconds to wait before the next look.
    fn wait(&self, now: u64) -> u64 {
        let until = self.expires_at.map_or(self.due_at, |at| at.min(self.due_at));
        until.saturating_sub(now).min(LOOK)
    }

    fn is_due(&self, now: u64) -> bool {
        now >= self.due_at
    }

    /// Whether the token in the file is worth nothing any more.
    fn is_over(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }

    fn taken_away(&mut self) {
        self.expires_at = None;
    }

    /// There is no token where one was, and there is to be one at once: any that is valid long enough.
    fn lost(&mut self, now: u64) {
        *self = Self { expires_at: None, due_at: now, failures: 0 };
    }

    /// There is no place for one: it is looked for again later.
    fn nowhere(&mut self, now: u64) {
        self.due_at = now.saturating_add(LOOK);
    }

    /// How long the token in the file is valid.
    fn left(&self, now: u64) -> u64 {
        self.expires_at.map_or(0, |at| at.saturating_sub(now))
    }

    /// It did not work: sooner again while little is left, later each time. Whether it is the
    /// first time since it worked.
    fn failed(&mut self, now: u64) -> bool {
        let patience = 1_u64 << self.failures.min(6);
        // While the token is valid there is time for several more tries.
        let most = self.expires_at.map_or(LOOK, |at| (at.saturating_sub(now) / 4).clamp(1, LOOK));
        self.due_at = now.saturating_add(patience.min(most));
        self.failures = self.failures.saturating_add(1);
        self.failures == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(life: u64, least: u64) -> u64 {
        Schedule::after(1000 + life, 1000, least).due_at - 1000
    }

    fn account(name: &str, issuer: &str, subject: &str) -> AccountInfo {
        AccountInfo {
            name: name.into(),
            issuer: issuer.into(),
            subject: Some(subject.into()),
            ..AccountInfo::default()
        }
    }

    #[test]
    fn a_renamed_account_is_recognised_and_no_other_one_is_taken_for_it() {
        let before = [account("ro", "https://a/", "me"), account("rw", "https://a/", "me")];
        let with = |more: &[AccountInfo]| [&before[1..], more].concat();
        let new = account("new", "https://a/", "me");
        assert_eq!(renamed(&before, "ro", &with(std::slice::from_ref(&new))), Some("new"));
        assert_eq!(renamed(&before, "ro", &with(&[])), None, "removed, not renamed");
        for other in [
            account("x", "https://b/", "me"),
            account("x", "https://a/", "them"),
            AccountInfo { subject: None, ..account("x", "https://a/", "") },
        ] {
            assert_eq!(renamed(&before, "ro", &with(&[other])), None);
        }
        let two = with(&[new.clone(), account("newer", "https://a/", "me")]);
        assert_eq!(renamed(&before, "ro", &two), None, "which one is not known");
        assert_eq!(renamed(&[], "ro", &with(&[new])), None);
    }

    #[test]
    fn a_token_is_renewed_well_before_it_expires() {
        for (life, wait) in [(3600, 3000), (1200, 600), (60, 30), (10, 5), (2, 1), (1, 1), (0, 1)] {
            assert_eq!(waits(life, 0), wait, "{life}");
        }
    }

    #[test]
    fn a_minimum_is_kept_by_renewing_earlier_and_never_by_asking_all_the_time() {
        assert_eq!(waits(3600, 1800), 3600 - 1800 - 30);
        assert_eq!(waits(60, 40), 60 - 40 - 6);
        assert_eq!(waits(60, 60), 5);
        assert_eq!(waits(60, u64::MAX), 5);
    }

    #[test]
    fn what_is_lost_is_put_back_at_once_with_any_token_and_without_a_place_later() {
        let mut schedule = Schedule::after(4600, 1000, 0);
        schedule.lost(1030);
        assert!(schedule.is_due(1030) && !schedule.is_over(1030));
        assert_eq!((schedule.left(1030), schedule.wait(1030)), (0, 0));
        schedule.nowhere(1030);
        assert!(!schedule.is_due(1031));
        assert_eq!(schedule.wait(1030), LOOK);
        // The next look finds a place.
        schedule.lost(1060);
        assert!(schedule.is_due(1060));
    }

    #[test]
    fn it_tries_again_while_the_token_is_valid_and_after_it_and_says_so_once() {
        let mut schedule = Schedule::after(1060, 1000, 0);
        let mut now = schedule.due_at;
        let mut tries = 0;
        assert_eq!(now, 1030);
        while !schedule.is_over(now) {
            assert_eq!(schedule.failed(now), tries == 0);
            tries += 1;
            now += schedule.wait(now);
        }
        assert!(tries >= 4, "{tries}");
        assert_eq!(now, 1060, "the end of the token is not slept through");
        schedule.taken_away();
        assert!(!schedule.is_over(now) && schedule.left(now) == 0);
        schedule.due_at = now;
        for _ in 0..20 {
            assert!(!schedule.failed(now));
            assert!(schedule.wait(now) <= LOOK);
            now += schedule.wait(now);
        }
    }
}
