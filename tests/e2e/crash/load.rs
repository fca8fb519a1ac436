//! What users and administrators do all the time while iamd is killed. Whether it worked is not
//! asked here: much of it fails under a daemon that dies, and what must not be lost is looked at
//! after each kill.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use iamd_tests::clock;

use super::{GRACE, KILLS, Scene};

/// What was done until now.
#[derive(Default)]
pub struct Done {
    /// Tokens that an issuer was asked for.
    pub tokens: AtomicU64,
    /// Changes of accounts and of their clients.
    pub edits: AtomicU64,
    /// Logins with another client that were begun and cancelled: registrations and their ends.
    pub registrations: AtomicU64,
    /// Changes of keys.
    pub rekeys: AtomicU64,
}

/// The account whose login nobody ever answers.
pub const UNFINISHED: &str = "unfinished";
/// How long nobody asks for anything after each time: this machine has others to serve.
const BREATH: Duration = Duration::from_millis(60);

/// Starts it in threads of `scope`; it ends when `over` is set.
pub fn start<'s>(
    scope: &'s thread::Scope<'s, '_>,
    scene: &'s Scene,
    users: &'s [&'s str],
    done: &'s Done,
    over: &'s AtomicBool,
) {
    let again = move |work: &mut dyn FnMut(u64)| {
        for round in 0.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            work(round);
            clock::pause(BREATH);
        }
    };
    for user in users {
        scope.spawn(move || {
            again(&mut |round| {
                // Most of them where a kill costs nobody a sign-in: those take time.
                let account = if round % 4 == 0 { KILLS } else { GRACE };
                count(&done.tokens, scene.iamctl(user, &format!("token {account} --force-new")));
            });
        });
    }
    let (first, last) = (users[0], users[users.len() - 1]);
    scope.spawn(move || {
        let mut refused = 0;
        again(&mut |round| {
            let name = format!("account edit {GRACE} --client-name 'iamd {round}' --no-login");
            let renamed = scene.iamctl(first, &name);
            refused =
                if renamed.as_ref().is_ok_and(|said| said.code == 1) { refused + 1 } else { 0 };
            if refused == 5 {
                // The issuer replaced the token that manages the client, and a kill took the reply.
                let _ = scene.sign_in_anew(first, GRACE);
            }
            count(&done.edits, renamed);
            let audience = format!("account edit {KILLS} --aud https://se{} --no-login", round % 3);
            count(&done.edits, scene.iamctl(last, &audience));
        });
    });
    scope.spawn(move || {
        again(&mut |_| {
            let login = format!("login {UNFINISHED} --issuer {KILLS} --new-client --no-wait");
            count(&done.registrations, scene.iamctl(first, &login));
            let _ = scene.iamctl(first, &format!("login {UNFINISHED} --cancel"));
        });
    });
    scope.spawn(move || {
        again(&mut |round| {
            let retire = if round % 2 == 1 { "--retire" } else { "" };
            let line = format!("timeout 20 iamctl admin rekey {retire}");
            count(&done.rekeys, scene.node.exec(&line));
        });
    });
}

fn count(counter: &AtomicU64, said: super::Result<iamd_tests::Output>) {
    if said.is_ok_and(|said| said.code == 0) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
