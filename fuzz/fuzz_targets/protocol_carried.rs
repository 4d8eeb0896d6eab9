#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| telepane_protocol::fuzzing::carried(bytes));
