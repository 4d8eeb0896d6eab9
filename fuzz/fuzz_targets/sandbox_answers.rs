#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| telepane_sandbox::fuzzing::answers(bytes));
