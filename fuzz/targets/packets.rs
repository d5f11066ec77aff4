//! libFuzzer's way into [`gateway_fuzz::packets`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway_fuzz::packets::attack(bytes));
