//! Ctrl-C while a login is shown: an event instead of the end of the program, so that it can be
//! said that the login goes on.

use nix::sys::signal::{SigSet, Signal, raise};

/// From now on, Ctrl-C calls `then` (on a thread of its own) instead of ending the program.
/// Threads that were started before must have blocked the signal themselves, as
/// [`ignore_in_this_thread`] does.
pub(crate) fn catch(then: impl Fn() + Send + 'static) {
    let mut set = SigSet::empty();
    set.add(Signal::SIGINT);
    if set.thread_block().is_err() {
        return;
    }
    std::thread::spawn(move || {
        while set.wait().is_ok() {
            then();
        }
    });
}

/// From now on, a signal that ends the program has `first` done before.
pub(crate) fn before_the_end(first: impl Fn() + Send + 'static) {
    let set = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    if set.thread_block().is_err() {
        return;
    }
    std::thread::spawn(move || {
        while let Ok(signal) = set.wait() {
            first();
            // Ends the program here, unless the signal is ignored.
            let _ = set.thread_unblock();
            let _ = raise(signal);
            let _ = set.thread_block();
        }
    });
}

/// Signals go to the other threads of the program.
pub(crate) fn ignore_in_this_thread() {
    let _ = SigSet::all().thread_block();
}
