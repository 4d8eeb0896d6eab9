//! Sentences of `protocol-spec/host.md` and `protocol-spec/viewer.md` that the machines' own tests do not show, driven
//! from outside as a shell drives them: facts in, wishes out, and time an argument.

mod capabilities;
mod hands;
mod host;
mod life;
mod parts;
mod policy;
mod proof;
mod sound;
mod viewer;

use telepane_model::{HostClock, InputEvent, KeyCode, KeyMove, Size, Stamp, Surf, ViewerClock};

const SIZE: Size<Surf> = Size::new(128, 64);

fn host_at(ms: u64) -> Stamp<HostClock> {
    Stamp::from_micros(1_000_000 + ms * 1_000)
}

fn viewer_at(ms: u64) -> Stamp<ViewerClock> {
    Stamp::from_micros(9_000_000 + ms * 1_000)
}

fn key(code: u16, action: KeyMove) -> InputEvent {
    InputEvent::Key { code: KeyCode(code), action }
}
