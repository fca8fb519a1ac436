//! libFuzzer on `iamd::fuzzing::pam_frame`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| iamd::fuzzing::pam_frame(bytes));
