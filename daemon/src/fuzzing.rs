//! What the fuzz targets call: for every kind of bytes that come from elsewhere a function that
//! reads them as the daemon does and insists on what must hold whatever they are. `fuzz/README.md`
//! tells how they are run.

pub use crate::{
    config::fuzzing::configuration,
    edge::{
        agent_socket::fuzzing::agent_message,
        fuzzing::{bus_arguments, pam_frame},
    },
    issuer::fuzzing::{
        device, discovery, iam_client, identity, introspection, registration, token,
    },
    service::vault::fuzzing::{backup, record, sealed},
    store::fuzzing::journal,
    token_file::fuzzing::names,
};

/// A target: reads any bytes.
pub type Target = fn(&[u8]);

/// Each target by its name.
pub const TARGETS: [(&str, Target); 16] = [
    ("pam_frame", pam_frame),
    ("bus_arguments", bus_arguments),
    ("agent_message", agent_message),
    ("discovery", discovery),
    ("device", device),
    ("token", token),
    ("registration", registration),
    ("identity", identity),
    ("introspection", introspection),
    ("iam_client", iam_client),
    ("sealed", sealed),
    ("record", record),
    ("backup", backup),
    ("journal", journal),
    ("configuration", configuration),
    ("names", names),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_and_finding_and_what_small_changes_make_of_it_is_read() {
        for (name, target) in TARGETS {
            iamd_fuzz::read(name, target);
        }
    }

    #[test]
    fn every_target_has_a_program_and_seeds_and_nothing_else_has() {
        let names = TARGETS.map(|(name, _)| name);
        iamd_fuzz::are_all(names, "iamd::fuzzing::");
    }
}
