//! libFuzzer's way into [`gateway_fuzz::configuration`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway_fuzz::configuration::attack(bytes));
