//! What the desk loop waits on beside its own poller: descriptors of the capture source and the clipboards, which only Unix has.

use super::{Desk, State};
use telepane_input::clipboard::Clipboard;

/// What tells that a clipboard has something to say.
#[cfg(unix)]
pub(super) fn descriptor(of: &Clipboard) -> Option<i32> {
    Some(std::os::fd::AsRawFd::as_raw_fd(of))
}

#[cfg(unix)]
impl Desk {
    /// Waits on this one, and on the one before no longer.
    pub(super) fn watch(&self, state: &mut State, key: usize, fd: Option<i32>) -> anyhow::Result<()> {
        let Some(place) = state.watched.get_mut(key) else { return Ok(()) };
        if *place == fd {
            return Ok(());
        }
        if let Some(old) = place.take() {
            // SAFETY: only the number is used, to take it off the list; a descriptor closed meanwhile is an error
            // that changes nothing.
            let old = unsafe { std::os::fd::BorrowedFd::borrow_raw(old) };
            let _ = self.poller.delete(old);
        }
        if let Some(new) = fd {
            // SAFETY: the descriptor belongs to the source or the clipboard, which live as long as this loop; when
            // they change it, the next turn takes the old one off the list before waiting.
            unsafe {
                self.poller.add_with_mode(
                    &std::os::fd::BorrowedFd::borrow_raw(new),
                    polling::Event::readable(key),
                    polling::PollMode::Level,
                )?;
            }
            *place = Some(new);
        }
        Ok(())
    }
}

/// There is no clipboard here.
#[cfg(not(unix))]
pub(super) const fn descriptor(_: &Clipboard) -> Option<i32> {
    None
}

#[cfg(not(unix))]
impl Desk {
    /// A source without a screen says itself when it is to be asked again; there is no other here.
    pub(super) fn watch(&self, state: &mut State, key: usize, fd: Option<i32>) -> anyhow::Result<()> {
        if let Some(place) = state.watched.get_mut(key) {
            *place = fd;
        }
        anyhow::ensure!(fd.is_none(), "source {key} cannot be waited on: this system has no descriptors");
        Ok(())
    }
}
