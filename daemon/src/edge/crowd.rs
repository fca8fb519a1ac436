//! Who is connected to a socket that is open to everybody: so many of one user, so many in all, and so
//! many of one user answered at a time. Whoever has used up their share is sent away, and nobody else
//! notices.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests of one user that are answered at a time. A request may wait for an issuer, so there
/// are several; and fewer than `limits.requests` has by default, so that a crowd of clients waits
/// its turn instead of being refused.
pub(super) const TURNS: usize = 32;

/// All who are connected.
#[derive(Clone)]
pub(super) struct Crowd {
    most: usize,
    socket: &'static str,
    guests: Arc<Mutex<Guests>>,
}

#[derive(Default)]
struct Guests {
    all: usize,
    of_uid: HashMap<u32, Guest>,
}

struct Guest {
    connections: usize,
    turns: Arc<Semaphore>,
    /// Whether it was told that there are too many: once, not for each.
    told: bool,
}

/// A place of one connection; dropping it gives it back.
pub(super) struct Seat {
    crowd: Crowd,
    uid: u32,
    turns: Arc<Semaphore>,
}

impl Crowd {
    /// Nobody yet; `most` at a time, at the socket of this name.
    pub(super) fn new(socket: &'static str, most: usize) -> Self {
        Self { most, socket, guests: Arc::default() }
    }

    /// A place for a connection of `uid`, who may have `share` of them; `None`: no more.
    pub(super) fn enter(&self, uid: u32, share: usize) -> Option<Seat> {
        let mut guests = self.guests();
        let full = guests.all >= self.most;
        let guest = guests.of_uid.entry(uid).or_insert_with(|| Guest {
            connections: 0,
            turns: Arc::new(Semaphore::new(TURNS)),
            told: false,
        });
        if full || guest.connections >= share {
            if !std::mem::replace(&mut guest.told, true) {
                let socket = self.socket;
                tracing::warn!(uid, full, "too many connections to the {socket} socket");
            }
            if guest.connections == 0 {
                guests.of_uid.remove(&uid);
            }
            return None;
        }
        guest.connections += 1;
        let turns = Arc::clone(&guest.turns);
        guests.all += 1;
        Some(Seat { crowd: self.clone(), uid, turns })
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Whose it is.
    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// Waits until it is this connection's turn among those of the same user.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed, so there always is one.
        self.turns.acquire().await.ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut guests = self.crowd.guests();
        guests.all -= 1;
        if let Some(guest) = guests.of_uid.get_mut(&self.uid) {
            guest.connections -= 1;
            if guest.connections == 0 {
                guests.of_uid.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_used_up_their_share_takes_nothing_from_another() {
        let crowd = Crowd::new("agent", 100);
        let held: Vec<_> = (0..8).map(|_| crowd.enter(1, 8).unwrap()).collect();
        assert!(crowd.enter(1, 8).is_none());
        let other = crowd.enter(2, 8).unwrap();
        assert_eq!(other.uid(), 2);
        drop(held);
        assert!(crowd.enter(1, 8).is_some());
        drop(other);
        assert!(crowd.guests().of_uid.is_empty() && crowd.guests().all == 0);
    }

    #[test]
    fn there_is_an_end_to_all_of_them_and_nothing_is_kept_of_who_was_sent_away() {
        let crowd = Crowd::new("agent", 2);
        let _held = [crowd.enter(1, 8).unwrap(), crowd.enter(2, 8).unwrap()];
        assert!(crowd.enter(3, 8).is_none());
        assert!(!crowd.guests().of_uid.contains_key(&3));
    }

    #[tokio::test]
    async fn those_of_one_user_who_wait_for_their_turn_do_not_delay_another() {
        let crowd = Crowd::new("agent", 100);
        let seat = crowd.enter(1, 8).unwrap();
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            turns.push(seat.turn().await);
        }
        let late = crowd.enter(1, 8).unwrap();
        assert!(futures_util::FutureExt::now_or_never(late.turn()).is_none());
        let other = crowd.enter(2, 8).unwrap();
        assert!(futures_util::FutureExt::now_or_never(other.turn()).is_some());
        turns.pop();
        assert!(late.turn().await.is_some());
    }
}
