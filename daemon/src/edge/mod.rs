//! The edges: translate what comes in, call [`crate::service`], translate what comes out.

pub mod agent_socket;
pub mod bus;
mod crowd;
mod door;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod pam_socket;
pub mod token_socket;
