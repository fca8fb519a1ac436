//! The state machine of an account: what each event makes of it. Pure, a table.

use serde::{Deserialize, Serialize};

/// Whether and why an account can or cannot give tokens. Texts are for people, bounded and free
/// of secrets and control characters: whoever makes them sees to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum State {
    /// Never signed in.
    New,
    /// There is a refresh token that is believed to work.
    SignedIn,
    /// The refresh token is gone or dead.
    LoginRequired {
        /// Why.
        reason: String,
    },
    /// The issuer does not accept our client; the refresh token is kept (requirement 30).
    ClientBroken {
        /// What the issuer said.
        reason: String,
    },
    /// The issuer wants something of the user first; the refresh token lives.
    ActionNeeded {
        /// What the issuer said.
        reason: String,
    },
}

/// What can happen to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A login ended with a refresh token.
    SignedIn,
    /// A refresh worked.
    Refreshed,
    /// The issuer declared the refresh token dead.
    RefreshTokenDead(String),
    /// The issuer rejected the client.
    ClientRejected(String),
    /// The issuer asked the user to act.
    ActionDemanded(String),
    /// The user signed out.
    SignedOut,
}

impl State {
    /// The state after an event.
    #[must_use]
    pub fn after(self, event: Event) -> Self {
        match (self, event) {
            (_, Event::SignedIn) => Self::SignedIn,
            // A refresh that was under way while the user signed out revives nothing.
            (Self::New, Event::Refreshed) => Self::New,
            (state @ Self::LoginRequired { .. }, Event::Refreshed) => state,
            (_, Event::Refreshed) => Self::SignedIn,
            (_, Event::SignedOut) => Self::LoginRequired { reason: "signed out".into() },
            // Nothing to lose: a failure says nothing new about an account without a token.
            (Self::New, _) => Self::New,
            (state @ Self::LoginRequired { .. }, _) => state,
            (_, Event::RefreshTokenDead(reason)) => Self::LoginRequired { reason },
            (_, Event::ClientRejected(reason)) => Self::ClientBroken { reason },
            (_, Event::ActionDemanded(reason)) => Self::ActionNeeded { reason },
        }
    }

    /// Whether a refresh may be tried. After a rejected client or a demanded action it may: the
    /// administrator or the user may have mended it.
    pub const fn may_refresh(&self) -> bool {
        !matches!(self, Self::New | Self::LoginRequired { .. })
    }

    /// Whether a login would help.
    pub const fn wants_login(&self) -> bool {
        matches!(self, Self::New | Self::LoginRequired { .. })
    }

    /// The reason, where there is one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::New | Self::SignedIn => None,
            Self::LoginRequired { reason }
            | Self::ClientBroken { reason }
            | Self::ActionNeeded { reason } => Some(reason),
        }
    }

    /// The word of `iamd_protocol::bus::state`.
    pub const fn word(&self) -> &'static str {
        use iamd_protocol::bus::state;
        match self {
            Self::New => state::NEW,
            Self::SignedIn => state::SIGNED_IN,
            Self::LoginRequired { .. } => state::LOGIN_REQUIRED,
            Self::ClientBroken { .. } => state::CLIENT_BROKEN,
            Self::ActionNeeded { .. } => state::ACTION_NEEDED,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn required() -> State {
        State::LoginRequired { reason: "r".into() }
    }

    #[test]
    fn a_sign_in_works_from_every_state() {
        let broken = State::ClientBroken { reason: "r".into() };
        for state in [State::New, State::SignedIn, required(), broken] {
            assert_eq!(state.after(Event::SignedIn), State::SignedIn);
        }
    }

    #[test]
    fn a_refresh_that_ends_after_a_logout_revives_nothing() {
        assert_eq!(required().after(Event::Refreshed), required());
        assert_eq!(State::New.after(Event::Refreshed), State::New);
    }

    #[test]
    fn a_rejected_client_keeps_the_sign_in_and_recovers_by_a_refresh() {
        let state = State::SignedIn.after(Event::ClientRejected("gone".into()));
        assert!(state.may_refresh() && !state.wants_login());
        assert_eq!(state.after(Event::Refreshed), State::SignedIn);
    }

    #[test]
    fn a_dead_refresh_token_wants_a_login() {
        let state = State::SignedIn.after(Event::RefreshTokenDead("expired".into()));
        assert_eq!(state.reason(), Some("expired"));
        assert!(state.wants_login() && !state.may_refresh());
    }

    /// What happens to an account, in any order.
    fn event() -> impl Strategy<Value = Event> {
        let why = || "[a-z]{0,8}";
        prop_oneof![
            Just(Event::SignedIn),
            Just(Event::Refreshed),
            why().prop_map(Event::RefreshTokenDead),
            why().prop_map(Event::ClientRejected),
            why().prop_map(Event::ActionDemanded),
            Just(Event::SignedOut),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_in_whatever_order_only_a_sign_in_brings_back_what_was_lost(
            events in proptest::collection::vec(event(), 0..40),
        ) {
            // What a refresh token is, told again without the states: one that was given and is not
            // dead, signed out of or never given.
            let (mut state, mut lives) = (State::New, false);
            for event in events {
                lives = match event {
                    Event::SignedIn => true,
                    Event::SignedOut | Event::RefreshTokenDead(_) => false,
                    _ => lives,
                };
                state = state.after(event);
                prop_assert_eq!(state.may_refresh(), lives, "{:?}", state);
                prop_assert_ne!(state.may_refresh(), state.wants_login());
                prop_assert_eq!(state.reason().is_none(), matches!(state, State::New | State::SignedIn));
                let kept: State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
                prop_assert_eq!(kept, state.clone());
            }
        }
    }
}
