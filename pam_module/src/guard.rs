//! Where a panic ends: caught, logged with its place, and nothing printed.
//!
//! The default panic hook writes to the host's stderr, which under `login` or `su` is the user's
//! terminal. A cdylib has a `std` of its own, so the hook set here is not the host's.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, Once, PoisonError};

use crate::session::{Level, Pam};

static SET_HOOK: Once = Once::new();
static PLACE: Mutex<String> = Mutex::new(String::new());

/// Runs `hook`, which cannot fail: a panic inside is logged and forgotten.
pub(crate) fn run<P: Pam>(pam: &mut P, hook: impl FnOnce(&mut P)) {
    SET_HOOK.call_once(set_hook);
    let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| hook(pam))) else { return };
    discard(payload);
    let logged = panic::catch_unwind(AssertUnwindSafe(|| {
        let place = std::mem::take(&mut *PLACE.lock().unwrap_or_else(PoisonError::into_inner));
        pam.log(Level::Error, &format!("a bug: panic at {place}; the login goes on"));
    }));
    if let Err(payload) = logged {
        discard(payload);
    }
}

/// Drops what a panic carried; where that panics in its turn, leaves the rest where it is.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(another) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(another);
    }
}

fn set_hook() {
    if cfg!(test) {
        // Tests want to see the panic of a failed assertion.
        let default = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            note_the_place(info);
            default(info);
        }));
    } else {
        panic::set_hook(Box::new(note_the_place));
    }
}

/// Keeps where the panic was, not what it said: a message may quote anything.
fn note_the_place(info: &panic::PanicHookInfo<'_>) {
    if let (Some(at), Ok(mut place)) = (info.location(), PLACE.try_lock()) {
        *place = format!("{}:{}", at.file(), at.line());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::Scripted;

    /// The place of a panic is one per process.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    fn panicking(pam: &mut Scripted, hook: impl FnOnce(&mut Scripted)) {
        let _alone = ONE_AT_A_TIME.lock().unwrap();
        run(pam, hook);
    }

    #[test]
    fn a_panic_is_logged_with_its_place_and_goes_no_further() {
        let mut pam = Scripted::alice();
        panicking(&mut pam, |_| panic!("secret words"));
        assert_eq!(pam.logged.len(), 1, "{:?}", pam.logged);
        assert!(pam.logged[0].contains("guard.rs:"), "{:?}", pam.logged);
        assert!(!pam.logged[0].contains("secret"), "{:?}", pam.logged);
    }

    #[test]
    fn a_panic_while_the_panic_is_logged_goes_no_further() {
        let mut pam = Scripted { log_panics: true, ..Scripted::alice() };
        panicking(&mut pam, |_| panic!("once"));
    }

    #[test]
    fn a_payload_whose_drop_panics_goes_no_further() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        panicking(&mut Scripted::alice(), |_| panic::panic_any(Bomb));
    }
}
