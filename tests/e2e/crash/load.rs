//! What users and administrators do all the time while iamd is killed. Whether it worked is mostly
//! not asked here: much of it fails under a daemon that dies, and what must not be lost is looked at
//! after each kill. But an edit that is refused, by a daemon that is there, has to be in the ledger.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use iamd_tests::{Error, Output, clock};

use super::{GRACE, KILLS, Result, Scene};

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
    edited: Mutex<Edited>,
}

/// What became of clients that were changed, by their ids.
#[derive(Default)]
struct Edited {
    /// A change of it was on its way when a kill came.
    taken: BTreeSet<String>,
    /// Its user signed in with another one, as it could not be changed any more.
    replaced: BTreeSet<String>,
    /// Refusals that no kill explains.
    lost: Vec<String>,
}

impl Done {
    fn edited<T>(&self, with: impl FnOnce(&mut Edited) -> T) -> T {
        with(&mut self.edited.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A kill came while these clients were changed; see [`ledger`](super::ledger).
    pub fn taken(&self, clients: Vec<String>) {
        self.edited(|edited| edited.taken.extend(clients));
    }

    /// How many clients a kill took the management of, so that another took their place. Nobody
    /// can delete them.
    pub fn replaced(&self) -> u64 {
        self.edited(|edited| edited.replaced.len() as u64)
    }

    /// Insists that each edit that was refused was so because of a kill.
    pub fn all_is_explained(&self) -> Result<()> {
        match self.edited(|edited| std::mem::take(&mut edited.lost)) {
            lost if lost.is_empty() => Ok(()),
            lost => Err(Error::Wrong(lost.join("\n"))),
        }
    }

    /// A change of this client was refused: whether a kill had taken the reply to the one before,
    /// with the token that manages the client. What the ledger does not have is lost.
    fn is_excused(&self, client: &str, said: &Output) -> bool {
        // The ledger has a kill when the steps before it were read.
        let taken = || self.edited(|edited| edited.taken.contains(client));
        if clock::until("the kill in the ledger", LEDGER, taken).is_ok() {
            return true;
        }
        self.lost(format!(
            "an edit of the client {client} was refused, and no kill took one: {said:?}"
        ));
        false
    }

    fn lost(&self, what: String) {
        self.edited(|edited| edited.lost.push(what));
    }
}

/// The exit code of an edit that the daemon, or the issuer, refuses for good.
const REFUSED: i32 = 1;
/// The longest between a kill and its entry in the ledger.
const LEDGER: Duration = Duration::from_secs(20);

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
        again(&mut |round| {
            let client = scene.client_of(first, GRACE);
            let name = format!("account edit {GRACE} --client-name 'iamd {round}' --no-login");
            let renamed = scene.iamctl(first, &name);
            if let (Ok(said), Some(client)) = (&renamed, client)
                && said.code == REFUSED
                && done.is_excused(&client, said)
            {
                // The issuer replaced the token that manages the client.
                done.edited(|edited| edited.replaced.insert(client));
                let _ = scene.sign_in_anew(first, GRACE);
            }
            count(&done.edits, renamed);
            let audience = format!("account edit {KILLS} --aud https://se{} --no-login", round % 3);
            let changed = scene.iamctl(last, &audience);
            if let Ok(said) = &changed
                && said.code == REFUSED
            {
                // The issuer is not asked for it, so that no kill is a reason.
                done.lost(format!("an edit of {KILLS} of {last} was refused: {said:?}"));
            }
            count(&done.edits, changed);
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

fn count(counter: &AtomicU64, said: Result<Output>) {
    if said.is_ok_and(|said| said.code == 0) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
