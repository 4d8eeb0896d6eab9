//! What the linker has to be told where MinGW builds the program for Windows: GCC's own libraries go into it, so that it needs
//! no file beside it.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|v| v == value);
    if !is("CARGO_CFG_TARGET_OS", "windows") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return;
    }
    // Opus guards its stack, and calls a library when a guard was overwritten, which nothing names to the linker. Behind it stands
    // what it calls itself, because the linker reads each once.
    for library in ["-l:libssp.a", "-ladvapi32", "-lmsvcrt", "-lkernel32"] {
        println!("cargo:rustc-link-arg-bins={library}");
    }
    // openh264 is C++. Of two libraries of one name in one folder the linker takes the one that is a file beside the program,
    // so it finds the other one in a folder of ours first.
    let asked = Command::new("x86_64-w64-mingw32-g++").arg("-print-file-name=libstdc++.a").output();
    let found = asked.ok().and_then(|said| String::from_utf8(said.stdout).ok()).map(|path| PathBuf::from(path.trim()));
    let folder = std::env::var_os("OUT_DIR").map(PathBuf::from);
    if let Some((library, folder)) = found.filter(|path| path.is_absolute()).zip(folder)
        && std::fs::copy(library, folder.join("libstdc++.a")).is_ok()
    {
        println!("cargo:rustc-link-search=native={}", folder.display());
    }
}
