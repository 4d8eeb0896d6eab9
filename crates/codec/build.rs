//! Refuses to build a slow H.264 encoder by accident.
//!
//! openh264's build silently falls back to C when `nasm` is missing, at a third of the speed (measured: 1080p 62.9
//! against 24.6 ms a frame). So the build fails here and names the package, unless `TELEPANE_ALLOW_C_H264=1` says that
//! the slow one is wanted. Only x86 has assembly that needs nasm.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=TELEPANE_ALLOW_C_H264");
    println!("cargo:rerun-if-env-changed=OPENH264_NO_ASM");
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let allowed = std::env::var("TELEPANE_ALLOW_C_H264").is_ok_and(|v| v == "1");
    if allowed || !matches!(arch.as_str(), "x86_64" | "x86") {
        return;
    }
    let found = Command::new("nasm").arg("-v").output().is_ok_and(|o| o.status.success());
    let why = match (found, std::env::var_os("OPENH264_NO_ASM").is_some()) {
        (true, false) => return,
        (false, _) => "the assembler `nasm` is missing: install it (Debian, Ubuntu: sudo apt-get install nasm)",
        (true, true) => "OPENH264_NO_ASM is set: unset it",
    };
    eprintln!(
        "error: {why}, then run `cargo clean -p openh264-sys2` and build again.\n\
         Without it H.264 takes three times the CPU. To accept that, set TELEPANE_ALLOW_C_H264=1."
    );
    std::process::exit(1);
}
