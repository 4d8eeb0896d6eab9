//! The machine a program of ours runs on, as its system manages it: whether it goes to sleep or down, whether something on
//! it asks that the screen stays on, keeping it awake ourselves, its time zone and language, its ways into
//! networks, and that it asks the program to end.
//!
//! On Linux the system's message bus (logind) and the session's are asked, each on a thread of its own, because their calls
//! block. Where there is no bus, or nobody on it that knows, nothing is told and that is said once in the log. Other systems
//! are silent so far.

#[cfg(target_os = "linux")]
mod awake;
mod ending;
#[cfg(target_os = "linux")]
mod logind;
pub mod place;
#[cfg(target_os = "linux")]
mod saver;
pub mod ways;

#[cfg(target_os = "linux")]
pub use awake::KeepAwake;
pub use ending::on_stop;
use std::sync::Arc;

/// What we call ourselves on the buses. What we ask for ourselves is not what a desktop asks for: a client on the host's own
/// machine would else keep itself awake for ever.
#[cfg(target_os = "linux")]
const US: &str = "Telepane";

/// What a machine says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It is about to sleep; or it woke, or will not sleep after all.
    Sleeps(bool),
    /// It is about to go down; or will not.
    GoesDown(bool),
    /// Something asks that the screen stays on; or nothing does any more.
    Inhibited(bool),
}

/// Where facts go; called on threads of this crate.
pub type Tell = Arc<dyn Fn(Fact) + Send + Sync>;

/// Watches this machine until the process ends.
pub fn watch(tell: &Tell) {
    #[cfg(target_os = "linux")]
    {
        let inhibited = saver::Asked::new(tell.clone());
        logind::start(tell.clone(), inhibited.clone());
        saver::start(inhibited);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = tell;
}

/// Keeps this machine awake while that is wanted; on this system it cannot yet.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct KeepAwake;

#[cfg(not(target_os = "linux"))]
impl KeepAwake {
    /// Wants nothing so far.
    pub const fn start() -> Self {
        Self
    }

    /// Wants it, or no longer.
    pub fn set(&self, on: bool) {
        tracing::info!(on, "this system's sleep is left alone");
    }
}
