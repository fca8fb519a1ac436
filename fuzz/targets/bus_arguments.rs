//! libFuzzer on `iamd::fuzzing::bus_arguments`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| iamd::fuzzing::bus_arguments(bytes));
