//! iamd is killed at any moment while users and administrators are at work, again and again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use iamd_tests::{Error, Output, Session, World, clock, eventually, uid};

use super::load::{self, Done, UNFINISHED};
use super::{GRACE, KILLS, LOGIN_REQUIRED, Result, Scene, ledger, scene};
use crate::case::{Case, Outcome};
use crate::cases;
use crate::soak::Row;
use crate::watch::Watch;

pub fn cases() -> Vec<Case> {
    cases![; apart: killed_at_any_moment_under_load_nobody_loses_an_account]
}

const USERS: [&str; 3] = ["alice", "bob", "carol"];
/// In the run of all tests; the soak has more.
const KILLS_OF_A_RUN: u64 = 40;
const KILLS_OF_A_SOAK: u64 = 1000;
/// The longest that it is left alone between a check and the next kill.
const LONGEST_PEACE: Duration = Duration::from_millis(900);

/// How often a soak is told how far it is.
const TELL: u64 = 50;

/// What became of the users.
#[derive(Default)]
struct Account {
    kills: u64,
    checks: u64,
    /// Replies that died with the process, and whose users signed in again.
    replies: u64,
    /// Registrations that were on their way, at the first issuer and at the second.
    registrations: [u64; 2],
    /// Changes of clients that were on their way.
    edits: u64,
}

/// The two issuers, as they are named in `registrations`.
const ISSUERS: [&str; 2] = [KILLS, GRACE];

fn killed_at_any_moment_under_load_nobody_loses_an_account(world: &World) -> Outcome {
    let done = Done::default();
    let account = run(world, &done, |kills| kills < KILLS_OF_A_RUN)?;
    let tokens = done.tokens.load(Ordering::Relaxed);
    world.say(&format!(
        "crash: {} kills, {} checks, {tokens} tokens, {} replies, {} edits and {:?} registrations \
         died with the process, {} clients were replaced for that",
        account.kills,
        account.checks,
        account.replies,
        account.edits,
        account.registrations,
        done.replaced()
    ));
    assert!(tokens > KILLS_OF_A_RUN, "no load: {tokens} tokens");
    Ok(())
}

/// For so long, and until there were a thousand kills.
pub fn soak(world: &World, time: Duration) -> std::result::Result<Vec<Row>, libtest_mimic::Failed> {
    let (start, done) = (clock::now(), Done::default());
    let account = run(world, &done, |kills| kills < KILLS_OF_A_SOAK || start.elapsed() < time)?;
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Ok(vec![
        Row::new("kills at random moments under load", account.kills),
        Row::new("accounts that gave a token after a kill", account.checks),
        Row::new("replies on their way that a kill took, told at once", account.replies),
        Row::new(
            "registrations on their way that a kill took",
            account.registrations.iter().sum::<u64>(),
        ),
        Row::new("changes of clients on their way that a kill took", account.edits),
        Row::new("clients that were replaced for that", done.replaced()),
        Row::new("tokens asked of the issuers meanwhile", load(&done.tokens)),
        Row::new("accounts edited", load(&done.edits)),
        Row::new("clients registered and given up", load(&done.registrations)),
        Row::new("keys changed", load(&done.rekeys)),
    ])
}

fn run(
    world: &World,
    done: &Done,
    goes_on: impl Fn(u64) -> bool,
) -> std::result::Result<Account, libtest_mimic::Failed> {
    let seed = std::env::var("IAMD_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut random = Random(seed.unwrap_or_else(clock::unix_time));
    world.say(&format!("crash: the moments of the kills are those of IAMD_SEED={}", random.0));
    let scene = scene(world, "killed")?;
    let goes_on = |kills: u64| {
        if kills > 0 && kills.is_multiple_of(TELL) {
            world.say(&format!("crash: {kills} kills"));
        }
        goes_on(kills)
    };
    thread::scope(|scope| -> Result<()> {
        let sign_in = |user: &'static str| {
            let scene = &scene;
            move || [KILLS, GRACE].iter().try_for_each(|account| scene.sign_in(user, account))
        };
        let all: Vec<_> = USERS.map(|user| scope.spawn(sign_in(user))).into();
        all.into_iter().try_for_each(|one| one.join().unwrap_or_else(|_| Err(panicked())))
    })?;
    let before = [scene.clients(KILLS)?, scene.clients(GRACE)?];
    let sessions: Result<Vec<Session>> = USERS.iter().map(|user| here(&scene, user)).collect();
    let _sessions = sessions?;
    let watches: Result<Vec<Watch>> = USERS.iter().map(|user| watch(&scene, user)).collect();
    let watches = watches?;
    let (over, mut account) = (AtomicBool::new(false), Account::default());
    thread::scope(|scope| -> Outcome {
        let _over = Over(&over);
        load::start(scope, &scene, &USERS, done, &over);
        kills(&scene, &mut random, &mut account, done, goes_on)
    })?;
    done.all_is_explained()?;
    for (user, watch) in USERS.iter().zip(watches) {
        let seen = watch.end()?;
        assert_eq!(seen.problems, "0", "the token file of {user}: {seen:?}");
    }
    for unfinished in [UNFINISHED, GRACE] {
        let _ = scene.iamctl(USERS[0], &format!("login {unfinished} --cancel"));
    }
    for user in USERS {
        scene.is_swept(uid(user)?)?;
    }
    scene.is_sound()?;
    // One for each registration that a kill interrupted; and a client whose reply to a change died
    // with the process cannot be deleted by anybody here.
    let replaced = [0, done.replaced()];
    for (at, issuer) in ISSUERS.into_iter().enumerate() {
        let most = before[at] + account.registrations[at] + replaced[at];
        eventually("no client too many", Duration::from_secs(90), || {
            match scene.clients(issuer)? {
                now if now <= most => Ok(()),
                now => Err(Error::Wrong(format!(
                    "{now} clients at {issuer}, {most} at the most: {} before, {} registrations on \
                     their way, {} replaced",
                    before[at], account.registrations[at], replaced[at]
                ))),
            }
        })?;
    }
    Ok(account)
}

fn kills(
    scene: &Scene,
    random: &mut Random,
    account: &mut Account,
    done: &Done,
    goes_on: impl Fn(u64) -> bool,
) -> Outcome {
    // What a kill may have cost, until its user was told.
    let mut excused = BTreeSet::new();
    while goes_on(account.kills) {
        clock::pause(LONGEST_PEACE.mul_f64(random.below_one()));
        let trace = scene.kill()?;
        account.kills += 1;
        excused.extend(ledger::refreshes(&trace));
        for (count, issuer) in account.registrations.iter_mut().zip(ISSUERS) {
            *count += ledger::registrations(&trace, issuer) as u64;
        }
        let edits = ledger::edits(&trace);
        account.edits += edits.len() as u64;
        done.taken(edits);
        scene.is_back()?;
        for (user, name, said) in ask_all(scene)? {
            account.checks += 1;
            let was_on_its_way = excused.remove(&format!("{}/{name}", uid(user)?));
            match said.code {
                0 => {}
                // Told at the first question, and what helps.
                LOGIN_REQUIRED if name == KILLS && was_on_its_way => {
                    assert!(said.errors().contains("iamctl login"), "{said:?}");
                    account.replies += 1;
                    scene.sign_in(user, name)?;
                }
                _ => {
                    let kill = account.kills;
                    return Err(format!(
                        "{name} of {user} is lost after kill {kill}: {said:?}\n--- the steps before \
                         it:\n{trace}"
                    )
                    .into());
                }
            }
        }
        done.all_is_explained()?;
    }
    Ok(())
}

/// A new token of every account, all users at a time.
fn ask_all(scene: &Scene) -> Result<Vec<(&'static str, &'static str, Output)>> {
    let ask = |user: &'static str| {
        move || -> Result<Vec<_>> {
            let of = |name| Ok((user, name, scene.new_token(user, name)?));
            [GRACE, KILLS].into_iter().map(of).collect()
        }
    };
    thread::scope(|scope| {
        let asked = USERS.map(|user| scope.spawn(ask(user)));
        let said = asked.into_iter().map(|one| one.join().unwrap_or_else(|_| Err(panicked())));
        Ok(said.collect::<Result<Vec<_>>>()?.concat())
    })
}

fn here(scene: &Scene, user: &str) -> Result<Session> {
    let mut session = scene.node.ssh(user).open(Some("echo in; cat"))?;
    session.wait_for("in\n")?;
    Ok(session)
}

/// Of the account that no kill can cost its sign-in.
fn watch(scene: &Scene, user: &str) -> Result<Watch> {
    let uid = uid(user)?;
    let file = format!("/run/iamd/users/{uid}/bt_u{uid}-{GRACE}");
    eventually("a token file", Duration::from_secs(20), || {
        scene.node.exec(&format!("test -s {file}"))?.ok()
    })?;
    Watch::start(&scene.node, user, &file, Duration::from_millis(20))
}

/// Ends the load, also after a panic: the scope waits for it.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn panicked() -> Error {
    Error::Wrong("a thread panicked".into())
}

/// Moments that a seed gives again (SplitMix64).
struct Random(u64);

impl Random {
    fn below_one(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
