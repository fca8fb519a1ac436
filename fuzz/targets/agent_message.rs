//! libFuzzer on `iamd::fuzzing::agent_message`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| iamd::fuzzing::agent_message(bytes));
