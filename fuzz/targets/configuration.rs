//! libFuzzer on `iamd::fuzzing::configuration`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| iamd::fuzzing::configuration(bytes));
