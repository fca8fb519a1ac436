//! What is remembered of issuers. One that the site lists is one for everybody. One that a user
//! named is that user's, also where another user named the same: neither shares what it answers,
//! the circuit, or the places for requests, so that no user's issuer is another's trouble. Users can
//! name ever more of them; what is remembered has an end, for each user and for all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    checkup, discovery, keys,
    limits::{Gate, Limits},
};
use crate::account::IssuerProfile;

/// Of issuers that users named, all together.
const MOST: usize = 256;
/// Of those, one user's.
const MOST_OF_ONE: usize = 32;
/// After this nobody is using it: the longest pause of a circuit is much shorter.
const UNUSED: Duration = Duration::from_secs(3600);

/// What is remembered of one issuer.
pub(super) struct Peer {
    pub(super) gate: Gate,
    pub(super) metadata: discovery::Cache,
    pub(super) keys: keys::KeyCache,
    pub(super) seen: Mutex<checkup::Seen>,
}

/// Whose a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    /// The site lists it.
    Everybodys,
    /// A user named it, or the node looks after something there that was a user's.
    Users(Option<u32>),
}

struct Held {
    used: Instant,
    peer: Arc<Peer>,
}

impl Held {
    fn is_at_work(&self) -> bool {
        Arc::strong_count(&self.peer) > 1
    }
}

/// By URL, and whose it is.
#[derive(Default)]
pub(super) struct Peers(HashMap<(String, Whose), Held>);

impl Peers {
    /// The one of this profile, new where there is none yet.
    pub(super) fn of(
        &mut self,
        profile: &IssuerProfile,
        now: Instant,
        limits: Limits,
    ) -> Arc<Peer> {
        let whose = if profile.listed { Whose::Everybodys } else { Whose::Users(profile.user) };
        let key = (profile.url.as_str().to_owned(), whose);
        if let Some(held) = self.0.get_mut(&key) {
            held.used = now;
            return Arc::clone(&held.peer);
        }
        if whose != Whose::Everybodys {
            self.make_room(whose, now);
        }
        let peer = Arc::new(Peer {
            gate: Gate::new(limits),
            metadata: Default::default(),
            keys: Default::default(),
            seen: Mutex::default(),
        });
        self.0.insert(key, Held { used: now, peer: Arc::clone(&peer) });
        peer
    }

    /// For one more of this user's. Who has the most gives one up first.
    fn make_room(&mut self, whose: Whose, now: Instant) {
        self.0.retain(|(_, of), held| {
            let is_old = now.saturating_duration_since(held.used) >= UNUSED;
            *of == Whose::Everybodys || held.is_at_work() || !is_old
        });
        let mut counts: HashMap<Whose, usize> = HashMap::new();
        for (_, of) in self.0.keys().filter(|(_, of)| *of != Whose::Everybodys) {
            *counts.entry(*of).or_default() += 1;
        }
        if counts.get(&whose).is_some_and(|mine| *mine >= MOST_OF_ONE) {
            self.drop_oldest(whose);
        } else if counts.values().sum::<usize>() >= MOST
            && let Some((most, _)) = counts.into_iter().max_by_key(|(_, count)| *count)
        {
            self.drop_oldest(most);
        }
    }

    fn drop_oldest(&mut self, whose: Whose) {
        let theirs = self.0.iter().filter(|((_, of), _)| *of == whose);
        let oldest = theirs.min_by_key(|(_, held)| (held.is_at_work(), held.used));
        let oldest = oldest.map(|(key, _)| key.clone());
        oldest.and_then(|key| self.0.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    const SECOND: Duration = Duration::from_secs(1);

    fn named(url: &str, uid: u32) -> IssuerProfile {
        IssuerProfile::unlisted(url.parse().unwrap(), Some(uid))
    }

    fn counted(peers: &Peers, uid: u32) -> usize {
        peers.0.keys().filter(|(_, of)| *of == Whose::Users(Some(uid))).count()
    }

    #[test]
    fn an_issuer_is_everybodys_where_the_site_lists_it_and_else_each_users_own() {
        let (mut peers, now) = (Peers::default(), SystemClock.monotonic());
        let mut of = |profile: &IssuerProfile| peers.of(profile, now, Limits::default());
        let url = "https://issuer.test/";
        let (alices, bobs) = (of(&named(url, 1001)), of(&named(url, 1002)));
        assert!(Arc::ptr_eq(&alices, &of(&named(url, 1001))));
        assert!(!Arc::ptr_eq(&alices, &bobs), "one user's is not another's");
        let listed = crate::testing::profile();
        assert_eq!(listed.url.as_str(), url);
        let sites = of(&listed);
        assert!(Arc::ptr_eq(&sites, &of(&listed.clone().asked_by(1001))));
        assert!(!Arc::ptr_eq(&sites, &alices) && !Arc::ptr_eq(&sites, &bobs));
    }

    #[test]
    fn what_users_name_is_forgotten_when_nobody_uses_it() {
        let (mut peers, now) = (Peers::default(), SystemClock.monotonic());
        let mut at = |second: u32, profile: &IssuerProfile| {
            peers.of(profile, now + SECOND * second, Limits::default())
        };
        at(0, &crate::testing::profile());
        at(0, &named("https://old.example/", 1001));
        let at_work = at(0, &named("https://slow.example/", 1001));
        at(0, &named("https://used.example/", 1002));
        at(3000, &named("https://used.example/", 1002));
        at(3600, &named("https://new.example/", 1003));
        assert!(Arc::ptr_eq(&at_work, &at(3600, &named("https://slow.example/", 1001))));
        assert_eq!((counted(&peers, 1001), counted(&peers, 1002)), (1, 1));
        assert_eq!(peers.0.len(), 4, "the site's stays");
    }

    #[test]
    fn who_names_ever_more_issuers_takes_nobody_elses_away_and_comes_to_an_end() {
        let (mut peers, now) = (Peers::default(), SystemClock.monotonic());
        let mut second = 0;
        let mut name = |peers: &mut Peers, url: &str, uid| {
            second += 1;
            peers.of(&named(url, uid), now + SECOND * second / 10, Limits::default())
        };
        name(&mut peers, "https://mine.example/", 1001);
        // Users are few who may name issuers; these all name as many as they can.
        for uid in 2000..2020 {
            for number in 0..2 * MOST_OF_ONE {
                name(&mut peers, &format!("https://{number}.example/"), uid);
            }
            assert!(counted(&peers, uid) <= MOST_OF_ONE);
        }
        assert_eq!(peers.0.len(), MOST);
        assert_eq!(counted(&peers, 1001), 1);
        // The newest of a user's is what stays.
        let newest = format!("https://{}.example/", 2 * MOST_OF_ONE - 1);
        assert!(peers.0.contains_key(&(newest, Whose::Users(Some(2019)))));
    }
}
