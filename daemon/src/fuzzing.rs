//! What the fuzz targets call: for every kind of bytes that come from elsewhere a function that
//! reads them as the daemon does and insists on what must hold whatever they are. `fuzz/README.md`
//! tells how they are run; here, and on every run of the tests, they read what `fuzz/seeds` and
//! `fuzz/findings` have, and what a bounded number of small changes makes of it.

pub use crate::{
    config::fuzzing::configuration,
    edge::fuzzing::{bus_arguments, pam_frame},
    issuer::fuzzing::{
        device, discovery, iam_client, identity, introspection, registration, token,
    },
    service::vault::fuzzing::{record, sealed},
    store::fuzzing::journal,
    token_file::fuzzing::names,
};

/// A target: reads any bytes.
pub type Target = fn(&[u8]);

/// Each target by its name.
pub const TARGETS: [(&str, Target); 14] = [
    ("pam_frame", pam_frame),
    ("bus_arguments", bus_arguments),
    ("discovery", discovery),
    ("device", device),
    ("token", token),
    ("registration", registration),
    ("identity", identity),
    ("introspection", introspection),
    ("iam_client", iam_client),
    ("sealed", sealed),
    ("record", record),
    ("journal", journal),
    ("configuration", configuration),
    ("names", names),
];

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    /// Changes of each seed. A fuzzer makes as many in a blink, but it learns from them.
    const CHANGES: u64 = 200;

    fn fuzz() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
    }

    fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        files.sort();
        files
    }

    /// The same numbers on every run (splitmix64): a failure comes again.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((z ^ (z >> 31)) % (bound.max(1) as u64)).unwrap()
        }

        /// One to four small changes.
        fn changed(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
            let mut bytes = seed.to_vec();
            for _ in 0..=self.below(3) {
                let at = self.below(bytes.len());
                match self.below(6) {
                    0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                    1 if !bytes.is_empty() => bytes[at] = self.below(256) as u8,
                    2 => bytes.truncate(at),
                    3 => bytes.insert(at.min(bytes.len()), self.below(256) as u8),
                    4 => {
                        let end = (at + self.below(40)).min(bytes.len());
                        bytes.drain(at.min(end)..end);
                    }
                    _ => {
                        let from = self.below(other.len());
                        let part = &other[from..(from + self.below(60)).min(other.len())];
                        bytes
                            .splice(at.min(bytes.len())..at.min(bytes.len()), part.iter().copied());
                    }
                }
            }
            bytes
        }
    }

    #[test]
    fn every_seed_and_finding_and_what_small_changes_make_of_it_is_read() {
        for (name, target) in TARGETS {
            let mut files = files(&fuzz().join("seeds").join(name));
            assert!(!files.is_empty(), "no seed for {name}");
            files.extend(self::files(&fuzz().join("findings").join(name)));
            target(b"");
            for (number, (path, seed)) in files.iter().enumerate() {
                let read = |bytes: &[u8]| {
                    let read = std::panic::AssertUnwindSafe(|| target(bytes));
                    let text = String::from_utf8_lossy(bytes).into_owned();
                    assert!(std::panic::catch_unwind(read).is_ok(), "{name}: {path:?}: {text:?}");
                };
                read(seed);
                let mut numbers = Numbers(number as u64);
                for _ in 0..CHANGES {
                    let other = &files[numbers.below(files.len())].1;
                    read(&numbers.changed(seed, other));
                }
            }
        }
    }

    #[test]
    fn every_target_has_a_program_and_seeds_and_nothing_else_has() {
        let targets: BTreeSet<String> =
            TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        let names = |of: &str| -> BTreeSet<String> {
            let entries = fs::read_dir(fuzz().join(of)).unwrap();
            let stem = |entry: fs::DirEntry| {
                entry.path().file_stem().unwrap().to_str().unwrap().to_owned()
            };
            entries.map(|entry| stem(entry.unwrap())).collect()
        };
        assert_eq!(names("targets"), targets);
        assert_eq!(names("seeds"), targets);
        assert!(names("findings").iter().all(|name| targets.contains(name) || name == "README"));
    }
}
