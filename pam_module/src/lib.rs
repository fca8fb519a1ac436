//! `pam_iam.so`: a straw between a login program and `iamd`.
//!
//! It runs inside sshd and login, as root, while a person waits. So it does one thing: it asks
//! the daemon once, within one deadline, which variables and which message a session gets. It
//! has no thread, fork, signal handler, HTTP or output of its own, and whatever happens the
//! session hooks answer `PAM_SUCCESS`: a login never fails because of tokens.
//!
//! ```text
//! lib      the hooks                          args      the words behind pam_iam.so
//! guard    a panic ends here                  reply     what of an answer is let through
//! session  what to do at open and at close    client    one request, one reply, one deadline
//! sys      libpam and the socket calls: the only file with unsafe code
//! ```
//!
//! What the two sides say to each other is specified in [`iamd_protocol::pam`].

// A panic is caught at the edge of the module; a build that aborts would take sshd with it.
#[cfg(not(panic = "unwind"))]
compile_error!("pam_iam must be built with panic = \"unwind\"");

mod args;
mod client;
mod deadline;
mod guard;
mod reply;
mod session;
mod sys;

use std::ffi::CStr;

use pam::constants::{PAM_SILENT, PamFlag, PamResultCode};
use pam::module::{PamHandle, PamHooks};

struct Iam;

/// The entry points that libpam looks for.
#[allow(missing_docs, reason = "the macro makes them")]
mod entry_points {
    use super::Iam;
    pam::pam_hooks!(Iam);
}

/// The hooks that are not here answer `PAM_IGNORE`.
impl PamHooks for Iam {
    fn sm_open_session(pam: &mut PamHandle, args: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        let silent = flags & PAM_SILENT != 0;
        guard::run(pam, |pam| drop(session::open(pam, &args, silent, client::ask)));
        PamResultCode::PAM_SUCCESS
    }

    fn sm_close_session(pam: &mut PamHandle, args: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        guard::run(pam, |pam| drop(session::close(pam, &args, client::ask)));
        PamResultCode::PAM_SUCCESS
    }
}
