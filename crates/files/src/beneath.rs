//! Linux's `openat2`: a path below a directory in one step, which the system keeps below it. Other systems have no such thing.

use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Whether it can be had.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[derive(Debug, Default)]
pub(crate) struct Beneath {
    /// The system lacks it, or forbids it.
    refused: std::sync::atomic::AtomicBool,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Beneath {
    /// Opens what `names` lead to from `dir`; `None` where this cannot say, and each step has to be taken by itself.
    pub(crate) fn open(&self, dir: &OwnedFd, names: &[&str], flags: OFlags) -> Option<Result<OwnedFd, Errno>> {
        use rustix::fs::{Mode, ResolveFlags, openat2};
        use std::sync::atomic::Ordering::Relaxed;
        if self.refused.load(Relaxed) {
            return None;
        }
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match openat2(dir, names.join("/"), flags, Mode::empty(), how) {
            // An older system, or a filter that forbids it.
            Err(Errno::NOSYS | Errno::PERM) => {
                self.refused.store(true, Relaxed);
                None
            }
            // Something was renamed just then.
            Err(Errno::AGAIN) => None,
            opened => Some(opened),
        }
    }

    /// As where it is refused.
    #[cfg(test)]
    pub(crate) fn never(&self) {
        self.refused.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// It cannot.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[derive(Debug, Default)]
pub(crate) struct Beneath;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Beneath {
    /// Each step has to be taken by itself.
    #[allow(clippy::unused_self, reason = "as on Linux")]
    pub(crate) const fn open(&self, _: &OwnedFd, _: &[&str], _: OFlags) -> Option<Result<OwnedFd, Errno>> {
        None
    }

    /// It never is.
    #[cfg(test)]
    pub(crate) const fn never(&self) {}
}
