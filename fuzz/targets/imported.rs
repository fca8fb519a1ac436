//! libFuzzer on `iamctl::fuzzing::imported`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| iamctl::fuzzing::imported(bytes));
