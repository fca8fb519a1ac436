//! Ctrl-C while a login is shown: an event instead of the end of the program, so that it can be
//! said that the login goes on.

use nix::sys::signal::{SigSet, Signal};

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

/// Signals go to the other threads of the program.
pub(crate) fn ignore_in_this_thread() {
    let _ = SigSet::all().thread_block();
}
