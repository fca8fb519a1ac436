//! libFuzzer on `iamd::fuzzing::iam_client`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| iamd::fuzzing::iam_client(bytes));
