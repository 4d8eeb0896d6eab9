#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| telepane_trust::fuzzing::handshake_host(bytes));
