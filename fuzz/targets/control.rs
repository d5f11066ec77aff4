//! libFuzzer's way into [`gateway_fuzz::control`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway_fuzz::control::attack(bytes));
