//! Where things are: the repository, the target directory, the run directories.

use std::path::{Path, PathBuf};

/// Below here every run has a directory, a lock and nothing else; short, because ssh puts sockets
/// there (`sun_path` holds 108 bytes).
pub const RUNS: &str = "/run/iamd-tests";

/// The repository this was built from.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo's target directory: `CARGO_TARGET_DIR`, else `target` in the repository.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from) {
        Some(dir) if dir.is_absolute() => dir,
        Some(dir) => repository().join(dir),
        None => repository().join("target"),
    }
}

/// Where the built `iamd`, `iamctl` and `libpam_iam.so` are: `IAMD_BINARIES`, else the release
/// folder of the target directory.
pub fn binaries() -> PathBuf {
    std::env::var_os("IAMD_BINARIES").map_or_else(|| target().join("release"), PathBuf::from)
}

/// The `iamd` that can be made to die at a named step; `tests/run --only build` makes it.
pub fn fault_points() -> PathBuf {
    nodes().join("fault-points/iamd")
}

/// Root file systems, kept from run to run.
pub fn nodes() -> PathBuf {
    target().join("iamd-node")
}

/// Journals and consoles of the last run's nodes, kept for whoever looks into a failure.
pub fn logs() -> PathBuf {
    nodes().join("logs")
}
