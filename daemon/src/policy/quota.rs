//! How many requests of one uid are in flight.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Counts requests per uid.
#[derive(Clone, Default)]
pub struct Quota {
    in_flight: Arc<Mutex<HashMap<u32, u32>>>,
}

/// The uid has as many requests in flight as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyRequests;

/// One request in flight; dropping it ends it.
pub struct QuotaGuard {
    quota: Quota,
    uid: u32,
}

impl Quota {
    /// Begins a request of `uid` unless `most` are in flight.
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn enter(&self, uid: u32, most: u32) -> Result<QuotaGuard, TooManyRequests> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let count = in_flight.entry(uid).or_default();
        if *count >= most {
            return Err(TooManyRequests);
        }
        *count += 1;
        Ok(QuotaGuard { quota: self.clone(), uid })
    }
}

impl Drop for QuotaGuard {
    fn drop(&mut self) {
        let mut in_flight = self.quota.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = in_flight.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                in_flight.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_uid_at_its_limit_does_not_touch_another() {
        let quota = Quota::default();
        let held: Vec<_> = (0..3).map(|_| quota.enter(1, 3).unwrap()).collect();
        assert!(quota.enter(1, 3).is_err());
        assert!(quota.enter(2, 3).is_ok());
        drop(held);
        assert!(quota.enter(1, 3).is_ok());
        assert!(quota.in_flight.lock().unwrap().is_empty());
    }
}
