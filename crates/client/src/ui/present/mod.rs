//! The two ways into the window, behind one enum: softbuffer, which puts only the damaged rectangles and waits for
//! nothing, and `pixels`, which hands the whole picture to a GPU.
//!
//! softbuffer presents from the first frame on. Meanwhile a thread looks for a GPU, because loading the drivers takes
//! longer than a first frame may; if it finds a real one (not a CPU pretending, which costs 46 ms a frame against 0.05
//! to 2), the window changes over. A renderer that fails is replaced by softbuffer without asking.

mod pixels;
mod softbuffer;

use super::canvas::Canvas;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use telepane_model::{Rect, Region, Size, View};
use winit::window::Window;

/// Which renderer presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RendererChoice {
    /// The GPU, through the `pixels` crate.
    Pixels,
    /// The CPU, through softbuffer.
    Softbuffer,
}

/// Why nothing was presented.
#[derive(Debug, thiserror::Error)]
pub(super) enum PresentError {
    #[error("softbuffer: {0}")]
    Softbuffer(#[from] ::softbuffer::SoftBufferError),
    #[error("pixels: {0}")]
    Pixels(#[from] ::pixels::Error),
    #[error("pixels: {0}")]
    Texture(#[from] ::pixels::TextureError),
    #[error("pixels: {0}")]
    Gpu(String),
    #[error("the renderer's buffer has not the window's size")]
    Buffer,
}

/// What paints the given rectangles of the window.
pub(super) type Painter<'a> = dyn FnMut(&mut Canvas<'_>, &[Rect<View>]) + 'a;

/// More rectangles than this cost more in requests than their bounding box costs in pixels.
const MOST_RECTS: usize = 64;

/// A renderer.
pub(super) enum Presenter {
    Softbuffer(softbuffer::Softbuffer),
    Pixels(Box<pixels::Gpu>),
}

impl Presenter {
    /// A renderer for `window`. Forced `Pixels` is tried on any adapter; everything else begins with softbuffer.
    pub(super) fn new(window: &Arc<Window>, choice: Option<RendererChoice>) -> Result<Self, PresentError> {
        if choice == Some(RendererChoice::Pixels) {
            match pixels::Gpu::new(window, true) {
                Ok(gpu) => return Ok(Self::Pixels(Box::new(gpu))),
                Err(error) => tracing::warn!(%error, "the pixels renderer cannot be used; softbuffer takes its place"),
            }
        }
        Ok(Self::Softbuffer(softbuffer::Softbuffer::new(window)?))
    }

    /// A renderer on a real GPU, for changing over.
    pub(super) fn on_gpu(window: &Arc<Window>) -> Result<Self, PresentError> {
        Ok(Self::Pixels(Box::new(pixels::Gpu::new(window, false)?)))
    }

    /// Shows `damage`, which `paint` draws; `paint` may be asked for more where the renderer's buffer is older.
    pub(super) fn present(
        &mut self,
        size: Size<View>,
        mut damage: Region<View>,
        paint: &mut Painter<'_>,
    ) -> Result<(), PresentError> {
        damage.clip(size.rect());
        damage.simplify(MOST_RECTS);
        match self {
            Self::Softbuffer(s) => s.present(size, damage, paint),
            Self::Pixels(p) => p.present(size, &damage, paint),
        }
    }

    pub(super) const fn is_softbuffer(&self) -> bool {
        matches!(self, Self::Softbuffer(_))
    }

    /// What statistics call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Softbuffer(_) => "softbuffer".to_owned(),
            Self::Pixels(p) => p.name(),
        }
    }
}

/// The search for a GPU, on its own thread.
pub(super) struct Probe {
    done: mpsc::Receiver<()>,
}

impl Probe {
    /// Looks, and calls `found` if there is a real GPU.
    pub(super) fn start(found: impl FnOnce() + Send + 'static) -> Option<Self> {
        let (tell, done) = mpsc::channel();
        let body = move || {
            if let Some(adapter) = pixels::real_gpu() {
                tracing::debug!(adapter, "a GPU was found");
                found();
            }
            drop(tell);
        };
        std::thread::Builder::new().name("gpu-probe".to_owned()).spawn(body).ok()?;
        Some(Self { done })
    }

    /// Waits until the drivers are loaded or gone: a process must not run its exit handlers under them. They get a
    /// second; a driver that hangs for longer does not keep the window open.
    pub(super) fn settle(&self) {
        let _ = self.done.recv_timeout(Duration::from_secs(1));
    }
}
