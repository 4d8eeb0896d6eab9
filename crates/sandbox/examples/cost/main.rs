//! What it costs to decode films in a process of their own: the same frames here and there, one after the other.
//!
//! `cargo run --release -p telepane-sandbox --example cost` prints microseconds a frame on this machine's clock, from the frame's
//! bytes to its picture, and both processes' CPU time.

#[cfg(target_os = "linux")]
mod measure;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    telepane_sandbox::run_if_asked();
    measure::all()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: there is no such process on this system");
}
