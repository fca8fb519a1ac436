//! Errors that a test provoked, compared with their rows in `docs/errors.md`.

/// Says that a test provoked this error, and compares it with its row in `docs/errors.md`.
pub fn shows(section: &str, when: &str, error: impl Into<crate::service::ServiceError>) {
    let crate::service::ServiceError { kind, message, .. } = error.into();
    assert!(!message.contains('\n') && !message.contains("Canary"), "{message}");
    let exit = Some(kind.exit() as u8);
    iamd_errors::shows(section, when, &message, kind.short_name(), exit, kind.advice());
}

/// The same for what ends a start of iamd, with its exit code: `systemctl status iamd` shows it.
pub fn stops(section: &str, when: &str, exit: u8, text: &str) {
    iamd_errors::shows(section, when, text, "iamd does not start", Some(exit), "");
}

/// The same for what is said beside a success: nothing failed, and something is left to be known.
pub fn shows_beside(when: &str, remark: &str) {
    assert!(!remark.contains('\n') && !remark.contains("Canary"), "{remark}");
    iamd_errors::shows("Said beside a success", when, remark, "", None, "");
}

/// The same for why a user has no token file: no command fails by it.
pub fn no_file(when: &str, text: &str) {
    iamd_errors::shows("Token files", when, text, "", None, "");
}
