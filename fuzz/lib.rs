//! Only the targets in `targets` are of use, and they are built with the feature `libfuzzer`: see
//! `README.md`.
