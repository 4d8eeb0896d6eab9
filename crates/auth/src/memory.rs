//! What this process holds in memory (keys, codes, what was typed and copied) stays in it.

/// With this variable set to anything, a core is written and a debugger of the same user may look: for who mends a crash.
pub const ALLOW_DUMPS: &str = "TELEPANE_ALLOW_CORE_DUMPS";

/// From now on this process writes no core when it crashes, and other processes of the same user can neither read its
/// memory nor attach to it (`PR_SET_DUMPABLE`, prctl(2)). Programs it starts are not concerned. Whether it holds; on
/// systems other than Linux nothing is done.
pub fn keep_private() -> bool {
    if std::env::var_os(ALLOW_DUMPS).is_some() {
        return false;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    false
}
