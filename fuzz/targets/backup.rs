//! libFuzzer on `iamd::fuzzing::backup`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| iamd::fuzzing::backup(bytes));
