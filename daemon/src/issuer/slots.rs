//! Whose request goes to an issuer next. So many are under way at a time, and one user's many must
//! not keep everybody else's waiting behind the slow answers of that issuer.
//!
//! Who holds some gets another only while more than that are free: one user holds half of them at
//! most, a second half of what is left, and so on, so that there is one for somebody who holds none
//! as long as there can be. Who waits is called by how few they hold, then by how long they wait.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// The slots of one issuer.
pub(super) struct Slots(Mutex<State>);

struct State {
    free: usize,
    /// By user; who holds none is not in it.
    held: HashMap<u32, usize>,
    /// In the order in which they came. Nobody waits here who could have a slot.
    waiting: VecDeque<Waiting>,
    next_number: u64,
}

struct Waiting {
    number: u64,
    share: Option<u32>,
    call: oneshot::Sender<()>,
}

/// A slot that is held.
pub(super) struct Slot<'a> {
    slots: &'a Slots,
    share: Option<u32>,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        let (held, waiting) = (HashMap::new(), VecDeque::new());
        Self(Mutex::new(State { free: count.max(1), held, waiting, next_number: 0 }))
    }

    /// Waits for a slot out of the share of this user; `None`: the request is everybody's.
    pub(super) async fn enter(&self, share: Option<u32>) -> Slot<'_> {
        let (mut ticket, called) = {
            let mut state = self.state();
            if state.has_room(share) {
                state.take(share);
                return Slot { slots: self, share };
            }
            let (call, called) = oneshot::channel();
            let number = state.next_number;
            state.next_number += 1;
            state.waiting.push_back(Waiting { number, share, call });
            (Ticket { slots: self, number, share, is_used: false }, called)
        };
        // The other end is kept until the call: only the ticket takes itself out.
        let _ = called.await;
        ticket.is_used = true;
        Slot { slots: self, share }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn holds(&self, share: Option<u32>) -> usize {
        share.and_then(|uid| self.held.get(&uid)).copied().unwrap_or(0)
    }

    fn has_room(&self, share: Option<u32>) -> bool {
        self.free > self.holds(share)
    }

    fn take(&mut self, share: Option<u32>) {
        self.free -= 1;
        if let Some(uid) = share {
            *self.held.entry(uid).or_default() += 1;
        }
    }

    /// Gives a slot back, and on to whoever is next.
    fn give_back(&mut self, share: Option<u32>) {
        self.free += 1;
        if let Some(uid) = share
            && let Some(held) = self.held.get_mut(&uid)
        {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&uid);
            }
        }
        while let Some(waiting) = self.next() {
            self.take(waiting.share);
            // Who gave up just now gives it back, by the ticket.
            let _ = waiting.call.send(());
        }
    }

    fn next(&mut self) -> Option<Waiting> {
        let can = self.waiting.iter().enumerate().filter(|(_, who)| self.has_room(who.share));
        let (place, _) = can.min_by_key(|(place, who)| (self.holds(who.share), *place))?;
        self.waiting.remove(place)
    }
}

/// A place in the queue.
struct Ticket<'a> {
    slots: &'a Slots,
    number: u64,
    share: Option<u32>,
    is_used: bool,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.is_used {
            return;
        }
        let mut state = self.slots.state();
        match state.waiting.iter().position(|who| who.number == self.number) {
            Some(place) => drop(state.waiting.remove(place)),
            None => state.give_back(self.share),
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.slots.state().give_back(self.share);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use futures_util::FutureExt as _;

    use super::*;
    use crate::{
        account::ports::IssuerError,
        clock::Clock as _,
        issuer::limits::{Gate, Limits, Outcome},
        testing::TestClock,
    };

    const MALLORY: Option<u32> = Some(1002);

    #[test]
    fn one_user_holds_half_a_second_half_of_the_rest_and_there_is_one_for_a_third() {
        for (count, shares) in [(8, [4, 2, 1]), (2, [1, 1, 0]), (1, [1, 0, 0]), (3, [2, 1, 0])] {
            let slots = Slots::new(count);
            let mut held = Vec::new();
            for (uid, share) in (1001..).zip(shares) {
                let before = held.len();
                held.extend(std::iter::from_fn(|| slots.enter(Some(uid)).now_or_never()));
                assert_eq!(held.len() - before, share, "{uid} of {count}");
            }
        }
    }

    #[test]
    fn what_everybody_needs_is_in_no_users_share() {
        let slots = Slots::new(8);
        let many: Vec<_> = std::iter::from_fn(|| slots.enter(None).now_or_never()).collect();
        assert_eq!(many.len(), 8);
    }

    #[test]
    fn who_holds_the_fewest_is_next_and_of_those_who_waits_longest() {
        let slots = Slots::new(4);
        let first = slots.enter(Some(1)).now_or_never().unwrap();
        let second = slots.enter(Some(1)).now_or_never().unwrap();
        let other = slots.enter(Some(2)).now_or_never().unwrap();
        let last = slots.enter(Some(3)).now_or_never().unwrap();
        let mut greedy = Box::pin(slots.enter(Some(1)));
        let mut fourth = Box::pin(slots.enter(Some(4)));
        let mut fifth = Box::pin(slots.enter(Some(5)));
        assert!((&mut greedy).now_or_never().is_none());
        assert!((&mut fourth).now_or_never().is_none() && (&mut fifth).now_or_never().is_none());
        drop(other);
        assert!((&mut greedy).now_or_never().is_none() && (&mut fifth).now_or_never().is_none());
        let fourth = fourth.now_or_never().unwrap();
        drop(first);
        assert!((&mut greedy).now_or_never().is_none());
        let fifth = fifth.now_or_never().unwrap();
        // All that is free is more than who has one holds: their turn comes.
        drop((last, fourth));
        let greedy = greedy.now_or_never().unwrap();
        drop((second, fifth, greedy));
        let state = slots.state();
        assert_eq!((state.free, state.held.len(), state.waiting.len()), (4, 0, 0));
    }

    #[test]
    fn who_gives_up_waiting_before_or_after_the_call_takes_nothing_along() {
        let slots = Slots::new(1);
        let held = slots.enter(Some(1)).now_or_never().unwrap();
        let mut gone = Box::pin(slots.enter(Some(2)));
        let mut called = Box::pin(slots.enter(Some(3)));
        let mut next = Box::pin(slots.enter(Some(4)));
        assert!((&mut gone).now_or_never().is_none() && (&mut called).now_or_never().is_none());
        assert!((&mut next).now_or_never().is_none());
        drop(gone);
        drop(held);
        // Called, and ended before it heard of it.
        drop(called);
        assert!(next.now_or_never().is_some());
        let state = slots.state();
        assert_eq!((state.free, state.waiting.len()), (1, 0));
    }

    /// As a user with many accounts at an issuer that takes 30 s for each answer.
    #[tokio::test(start_paused = true)]
    async fn a_user_whose_many_requests_get_slow_answers_holds_up_no_other_user() {
        let clock = TestClock::at(0);
        let gate = Arc::new(Gate::new(Limits::default()));
        let ask = |uid: Option<u32>, seconds: u64| {
            let (gate, clock) = (Arc::clone(&gate), Arc::clone(&clock));
            tokio::spawn(async move {
                let begun = clock.monotonic();
                let pass = gate.enter("Test IAM", clock.as_ref(), None, uid).await?;
                let waited = clock.monotonic() - begun;
                clock.sleep(Duration::from_secs(seconds)).await;
                pass.settle(Outcome::Answered, None);
                Ok::<_, IssuerError>(waited)
            })
        };
        let flood: Vec<_> = (0..64).map(|_| ask(MALLORY, 30)).collect();
        tokio::task::yield_now().await;
        // One after another, ten at a time, of several users: none of them waits.
        for _ in 0..5 {
            for uid in 1101..1111 {
                assert_eq!(ask(Some(uid), 1).await.unwrap().unwrap(), Duration::ZERO);
            }
            let four: Vec<_> = [1101, 1102, 1103].map(|uid| ask(Some(uid), 1)).into();
            for asked in four {
                assert!(asked.await.unwrap().unwrap() <= Duration::from_secs(1));
            }
        }
        let (mut served, mut told) = (0, 0);
        for asked in flood {
            match asked.await.unwrap() {
                Ok(_) => served += 1,
                Err(IssuerError::Busy { text }) => {
                    assert!(text.contains("limits.issuer_requests"), "{text}");
                    told += 1;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!((served, told), (4, 60), "half of the slots, and the rest is told");
    }
}
