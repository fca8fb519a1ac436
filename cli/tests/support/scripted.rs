//! What the answers of the scripted daemon are made with: errors of any name, what comes by a pipe,
//! a wait.

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zbus::message::{Header, Message};
use zbus::names::ErrorName;
use zbus::{DBusError, OwnedFd};

/// An error with any name.
#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) name: String,
    pub(super) message: String,
}

impl DBusError for Scripted {
    fn create_reply(&self, header: &Header<'_>) -> zbus::Result<Message> {
        let builder = Message::error(header, self.name());
        if self.message.is_empty() { builder.build(&()) } else { builder.build(&self.message) }
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::try_from(self.name.as_str()).unwrap()
    }

    fn description(&self) -> Option<&str> {
        Some(&self.message)
    }
}

/// What comes out of a pipe.
pub(super) fn read(fd: OwnedFd) -> String {
    let mut text = String::new();
    std::fs::File::from(std::os::fd::OwnedFd::from(fd)).read_to_string(&mut text).unwrap();
    text
}

/// A wait that needs no timer of a runtime.
pub(super) async fn sleep(delay: Duration) {
    let state = Arc::new(Mutex::new((false, None::<std::task::Waker>)));
    let shared = state.clone();
    std::thread::spawn(move || {
        #[allow(clippy::disallowed_methods, reason = "a test may sleep")]
        std::thread::sleep(delay);
        let mut state = shared.lock().unwrap();
        state.0 = true;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    });
    std::future::poll_fn(|context| {
        let mut state = state.lock().unwrap();
        if state.0 {
            return std::task::Poll::Ready(());
        }
        state.1 = Some(context.waker().clone());
        std::task::Poll::Pending
    })
    .await
}
