//! Named locks inside one process, for stores that only one process uses.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use crate::account::ports::Lock;

type Table = Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>;

/// Locks by name, first come, first served. A name that nobody holds or waits for takes no memory.
#[derive(Debug, Clone, Default)]
pub struct NamedLocks {
    table: Table,
}

impl NamedLocks {
    /// Waits for the lock of this name.
    pub async fn lock(&self, name: &str) -> Box<dyn Lock> {
        let waiter = Waiter { table: Arc::clone(&self.table), name: name.to_owned() };
        let mutex = {
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(table.entry(name.to_owned()).or_default())
        };
        let held = mutex.lock_owned().await;
        Box::new(Held { _held: held, _waiter: waiter })
    }
}

/// Fields drop in this order: the lock is released, then the name is forgotten if nobody waits.
struct Held {
    _held: OwnedMutexGuard<()>,
    _waiter: Waiter,
}

impl Lock for Held {}

/// Also there while waiting: a waiter that gives up cleans up too.
struct Waiter {
    table: Table,
    name: String,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.get(&self.name).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            table.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn names_that_nobody_holds_take_no_memory() {
        let locks = NamedLocks::default();
        let held = locks.lock("a").await;
        let gave_up = tokio::time::timeout(Duration::from_millis(10), locks.lock("a")).await;
        assert!(gave_up.is_err());
        assert_eq!(locks.table.lock().unwrap().len(), 1);
        drop(held);
        assert_eq!(locks.table.lock().unwrap().len(), 0);
    }
}
