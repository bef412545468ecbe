#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| matou::fuzzed::fuzz_facts(data));
