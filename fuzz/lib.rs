//! What the tests of each crate do with its fuzz targets on every run: they read what `seeds` and
//! `findings` have, and what a bounded number of small changes makes of it. The targets in `targets`
//! are built with the feature `libfuzzer`: see `README.md`.

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// Changes of each seed. A fuzzer makes as many in a blink, but it learns from them.
const CHANGES: u64 = 200;

fn place(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

/// What is in a folder that may not be there. One that cannot be read is no reason to pass.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        (path, bytes)
    };
    let mut files: Vec<_> = entries
        .map(|entry| read(entry.unwrap_or_else(|error| panic!("{dir:?}: {error}")).path()))
        .collect();
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
        usize::try_from((z ^ (z >> 31)) % (bound.max(1) as u64)).unwrap_or(0)
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
                    bytes.splice(at.min(bytes.len())..at.min(bytes.len()), part.iter().copied());
                }
            }
        }
        bytes
    }
}

/// Gives the target all that there is for it.
///
/// # Panics
/// The target did, and on what; there is no seed for it.
pub fn read(name: &str, target: fn(&[u8])) {
    let mut files = files(&place("seeds").join(name));
    assert!(!files.is_empty(), "no seed for {name}");
    files.extend(self::files(&place("findings").join(name)));
    target(b"");
    for (number, (path, seed)) in files.iter().enumerate() {
        let read = |bytes: &[u8]| {
            let read = catch_unwind(AssertUnwindSafe(|| target(bytes)));
            let text = String::from_utf8_lossy(bytes);
            assert!(read.is_ok(), "{name}: {path:?}: {text:?}");
        };
        read(seed);
        let mut numbers = Numbers(number as u64);
        for _ in 0..CHANGES {
            let other = &files[numbers.below(files.len())].1;
            read(&numbers.changed(seed, other));
        }
    }
}

/// Insists that these are all targets of a crate that have a program (which calls `of`), that each
/// program is one of some crate's, and that each, and nothing else, has seeds.
///
/// # Panics
/// It is not so.
pub fn are_all<const N: usize>(targets: [&str; N], of: &str) {
    let programs = files(&place("targets"));
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let calls = |of: &str| -> BTreeSet<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let calls = |(path, bytes): &(PathBuf, Vec<u8>)| {
            text(bytes).contains(&format!("{of}{}(", name(path))).then(|| name(path))
        };
        programs.iter().filter_map(calls).collect()
    };
    assert_eq!(calls(of), targets.map(str::to_owned).into());
    let all = &calls("iamd::fuzzing::") | &calls("iamctl::fuzzing::");
    let entries = |of: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(place(of)).into_iter().flatten();
        entries.filter_map(|entry| Some(name(&entry.ok()?.path()))).collect()
    };
    assert_eq!(entries("targets"), all);
    assert_eq!(entries("seeds"), all);
    assert!(entries("findings").iter().all(|name| all.contains(name) || name == "README"));
}
