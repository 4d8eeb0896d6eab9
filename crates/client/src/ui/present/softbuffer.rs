//! Presenting on the CPU: the window's pixels in shared memory, and one put request per damaged rectangle.
//!
//! On X11 there is one buffer, which keeps what was drawn (age 1). On Wayland there are two, so the one handed out may
//! lack the last frames: its age says how many, and their damage is painted again. Age 0 means that nothing is kept.

use super::{Painter, PresentError};
use crate::ui::canvas::Canvas;
use softbuffer::{Context, Surface};
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use telepane_model::{Region, Size, View};
use winit::raw_window_handle::{HasWindowHandle, RawWindowHandle};
use winit::window::Window;

/// Frames whose damage is remembered; platforms hand out buffers of age 3 at most.
const HISTORY: usize = 3;

/// softbuffer on one window.
pub(crate) struct Softbuffer {
    surface: Surface<Arc<Window>, Arc<Window>>,
    size: Size<View>,
    /// Damage of the last frames, newest first.
    history: VecDeque<Region<View>>,
    /// Whether presenting only queues requests.
    x11: bool,
}

impl Softbuffer {
    pub(super) fn new(window: &Arc<Window>) -> Result<Self, PresentError> {
        let context = Context::new(Arc::clone(window))?;
        let surface = Surface::new(&context, Arc::clone(window))?;
        let handle = window.window_handle().ok().map(|h| h.as_raw());
        let x11 = matches!(handle, Some(RawWindowHandle::Xlib(_) | RawWindowHandle::Xcb(_)));
        Ok(Self { surface, size: Size::default(), history: VecDeque::new(), x11 })
    }

    pub(super) fn present(
        &mut self,
        size: Size<View>,
        damage: Region<View>,
        paint: &mut Painter<'_>,
    ) -> Result<(), PresentError> {
        let (Some(w), Some(h)) = (NonZeroU32::new(size.w), NonZeroU32::new(size.h)) else { return Ok(()) };
        if self.size != size {
            self.surface.resize(w, h)?;
            self.size = size;
            self.history.clear();
        }
        let mut buffer = self.surface.buffer_mut()?;
        let missed = usize::from(buffer.age()).checked_sub(1).filter(|n| *n <= self.history.len());
        let stale = match missed {
            Some(n) => {
                let mut stale = damage.clone();
                self.history.iter().take(n).for_each(|older| stale.add_all(older));
                stale.simplify(super::MOST_RECTS);
                stale
            }
            None => size.rect().into(),
        };
        let bytes = bytemuck::cast_slice_mut::<u32, u8>(&mut buffer);
        let mut canvas = Canvas::new(bytes, size).ok_or(PresentError::Buffer)?;
        paint(&mut canvas, stale.rects());
        let rects: Vec<softbuffer::Rect> = stale
            .rects()
            .iter()
            .filter_map(|r| {
                Some(softbuffer::Rect {
                    x: u32::try_from(r.x).ok()?,
                    y: u32::try_from(r.y).ok()?,
                    width: NonZeroU32::new(r.w)?,
                    height: NonZeroU32::new(r.h)?,
                })
            })
            .collect();
        buffer.present_with_damage(&rects)?;
        self.history.push_front(damage);
        self.history.truncate(HISTORY);
        if self.x11 {
            // Presenting only queues the put requests in libxcb. Taking the buffer sends them and waits for the server's
            // answer, so that "shown" means drawn. The next present would wait for it anyway; what is given up is
            // decoding while the server copies (2 ms for a whole 1080p picture, 0.05 for a line of text).
            let _ = self.surface.buffer_mut()?;
        }
        Ok(())
    }
}
