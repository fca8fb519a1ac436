//! The edges: translate what comes in, call [`crate::service`], translate what comes out.

pub mod bus;
pub mod pam_socket;
pub mod token_socket;
