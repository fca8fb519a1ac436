//! What the process does for itself, beside what the unit does: it is not dumpable and leaves no
//! core, so that no secret reaches a disk or a debugger of the same user.

use nix::sys::{prctl, resource};

/// Applies it. A failure is told and is no reason not to run: the unit holds too.
pub(super) fn apply() {
    if let Err(error) = prctl::set_dumpable(false) {
        tracing::warn!(%error, "the process stays dumpable");
    }
    if let Err(error) = resource::setrlimit(resource::Resource::RLIMIT_CORE, 0, 0) {
        tracing::warn!(%error, "core files stay possible");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn r53_the_process_is_not_dumpable_and_leaves_no_core() {
        super::apply();
        assert!(!nix::sys::prctl::get_dumpable().unwrap());
        let limits = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_CORE);
        assert_eq!(limits.unwrap(), (0, 0));
    }
}
