//! The access tokens in memory, by what was asked for.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::account::{AccessToken, AccountKey, UnixTime, ports::Wanted};

/// The most narrowed tokens kept of one account; the one that ends first makes room.
const MOST_PER_ACCOUNT: usize = 64;

/// So far clocks may differ and nothing comes of it.
const CLOCKS_DIFFER: Duration = Duration::from_secs(120);

/// Access tokens by account, scope set and audience.
#[derive(Default)]
pub struct TokenCache {
    tokens: Mutex<HashMap<AccountKey, HashMap<Wanted, AccessToken>>>,
}

impl TokenCache {
    /// The token for exactly this wish, if it is valid long enough.
    pub fn fresh(
        &self,
        key: &AccountKey,
        wanted: &Wanted,
        now: UnixTime,
        validity: Validity,
    ) -> Option<AccessToken> {
        let tokens = self.lock();
        let token = tokens.get(key)?.get(wanted)?;
        validity.suffices(token, now).then(|| token.clone())
    }

    /// Keeps a token.
    pub fn put(&self, key: &AccountKey, wanted: &Wanted, token: AccessToken) {
        let mut tokens = self.lock();
        let of_account = tokens.entry(key.clone()).or_default();
        of_account.retain(|_, old| old.expires_at > token.issued_at);
        while of_account.len() >= MOST_PER_ACCOUNT && !of_account.contains_key(wanted) {
            let first = of_account.iter().min_by_key(|(_, old)| old.expires_at);
            let Some(first) = first.map(|(wanted, _)| wanted.clone()) else { break };
            of_account.remove(&first);
        }
        of_account.insert(wanted.clone(), token);
    }

    /// Forgets all tokens of an account.
    pub fn forget(&self, key: &AccountKey) {
        self.lock().remove(key);
    }

    /// Forgets all tokens but those of the accounts that `stays` names.
    pub fn forget_all_but(&self, stays: impl Fn(&AccountKey) -> bool) {
        self.lock().retain(|key, _| stays(key));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AccountKey, HashMap<Wanted, AccessToken>>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a token has to be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// At least so long, or there is no token (requirement 66).
    AtLeast(Duration),
    /// Nobody asked for a certain time: so long, or a third of its life where that is less.
    Usual(Duration),
}

impl Default for Validity {
    fn default() -> Self {
        Self::AtLeast(Duration::ZERO)
    }
}

impl Validity {
    /// Whether this token will do.
    pub fn suffices(self, token: &AccessToken, now: UnixTime) -> bool {
        let least = match self {
            Self::AtLeast(least) => least,
            Self::Usual(usual) => usual.min(token.expires_at.after(token.issued_at) / 3),
        };
        // One that was issued in the future tells that this node's clock went back since: when it
        // ends is not known any more.
        token.issued_at <= now.plus(CLOCKS_DIFFER)
            && token.expires_at > now
            && token.expires_at.after(now) >= least
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::ScopeSet;

    fn key() -> AccountKey {
        AccountKey { uid: 1001, name: "wlcg".parse().unwrap() }
    }

    fn token(text: &str, expires_at: u64) -> AccessToken {
        AccessToken {
            token: text.to_owned().into(),
            issued_at: UnixTime(0),
            expires_at: UnixTime(expires_at),
            scopes: ScopeSet::default(),
        }
    }

    fn wish(scope: &str) -> Wanted {
        Wanted { scopes: Some(ScopeSet::parse([scope]).unwrap()), ..Wanted::default() }
    }

    #[test]
    fn r66_a_token_is_given_only_when_it_is_valid_long_enough() {
        let cache = TokenCache::default();
        cache.put(&key(), &Wanted::default(), token("t", 100));
        let fresh = |now, min| {
            let least = Validity::AtLeast(Duration::from_secs(min));
            cache.fresh(&key(), &Wanted::default(), UnixTime(now), least).is_some()
        };
        assert!(fresh(40, 60));
        assert!(!fresh(41, 60));
        assert!(!fresh(100, 0));
    }

    #[test]
    fn without_a_wish_a_short_lived_token_serves_for_two_thirds_of_its_life() {
        let usual = Validity::Usual(Duration::from_secs(60));
        assert!(usual.suffices(&token("t", 60), UnixTime(40)));
        assert!(!usual.suffices(&token("t", 60), UnixTime(41)));
        assert!(usual.suffices(&token("t", 3600), UnixTime(3540)));
        assert!(!usual.suffices(&token("t", 3600), UnixTime(3541)));
    }

    #[test]
    fn a_token_of_the_future_is_not_trusted_when_the_clock_went_back() {
        let issued_at = UnixTime(10_000);
        let token = AccessToken { issued_at, ..token("t", 13_600) };
        let suffices = |now| Validity::default().suffices(&token, UnixTime(now));
        assert!(suffices(10_000) && suffices(9_880) && suffices(13_599));
        assert!(!suffices(9_879) && !suffices(0));
    }

    #[test]
    fn narrowed_tokens_are_kept_apart_and_bounded() {
        let cache = TokenCache::default();
        for i in 0..200u64 {
            cache.put(&key(), &wish(&format!("s{i}")), token("t", 1000 + i));
        }
        let count = (0..200).filter(|i| {
            let wish = wish(&format!("s{i}"));
            cache.fresh(&key(), &wish, UnixTime(1), Validity::default()).is_some()
        });
        assert_eq!(count.count(), MOST_PER_ACCOUNT);
        assert!(cache.fresh(&key(), &wish("s199"), UnixTime(1), Validity::default()).is_some());
        assert!(cache.fresh(&key(), &wish("s0"), UnixTime(1), Validity::default()).is_none());
    }

    #[test]
    fn nothing_of_an_account_is_left_after_it_is_forgotten() {
        let cache = TokenCache::default();
        cache.put(&key(), &wish("a"), token("t", 100));
        cache.forget(&key());
        assert!(cache.fresh(&key(), &wish("a"), UnixTime(1), Validity::default()).is_none());
    }
}
