//! Presenting on a GPU with the `pixels` crate: a texture of the window's size, drawn one to one.
//!
//! Texture, target and surface are all `Bgra8Unorm`, so no colour is converted and the bytes arrive unchanged.
//! Vertical sync is off. Errors that wgpu would panic about are caught and make the window fall back to softbuffer.

use super::{Painter, PresentError};
use crate::ui::canvas::Canvas;
use pixels::wgpu::{self, DeviceType, PowerPreference, TextureFormat};
use pixels::{Pixels, PixelsBuilder, SurfaceTexture};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use telepane_model::{Region, Size, View};
use winit::window::Window;

/// `pixels` on one window.
pub(crate) struct Gpu {
    pixels: Pixels<'static>,
    size: Size<View>,
    fresh: bool,
    fault: Arc<OnceLock<String>>,
}

impl Gpu {
    /// On the best adapter; a CPU that pretends to be one only if `any`.
    pub(super) fn new(window: &Arc<Window>, any: bool) -> Result<Self, PresentError> {
        let inner = window.inner_size();
        let size = Size::<View>::new(inner.width.max(1), inner.height.max(1));
        let target = Arc::clone(window);
        // A surface that cannot do what is asked panics inside wgpu before an error handler can be set.
        let built = catch_unwind(AssertUnwindSafe(|| {
            PixelsBuilder::new(size.w, size.h, SurfaceTexture::new(size.w, size.h, target))
                .request_adapter_options(wgpu::RequestAdapterOptions {
                    power_preference: PowerPreference::HighPerformance,
                    force_fallback_adapter: false,
                    compatible_surface: None,
                })
                .texture_format(TextureFormat::Bgra8Unorm)
                .surface_texture_format(TextureFormat::Bgra8Unorm)
                .blend_state(wgpu::BlendState::REPLACE)
                .enable_vsync(false)
                .build()
        }));
        let pixels = built.map_err(|_| PresentError::Gpu("the driver refused the window's format".to_owned()))??;
        if !any && !is_real(&pixels.adapter().get_info()) {
            return Err(PresentError::Gpu("the adapter for this window is a CPU".to_owned()));
        }
        let fault = Arc::new(OnceLock::new());
        let told = Arc::clone(&fault);
        pixels.device().on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let _ = told.set(error.to_string());
        }));
        Ok(Self { pixels, size, fresh: true, fault })
    }

    pub(super) fn name(&self) -> String {
        let info = self.pixels.adapter().get_info();
        format!("pixels ({:?}, {})", info.backend, info.name)
    }

    pub(super) fn present(
        &mut self,
        size: Size<View>,
        damage: &Region<View>,
        paint: &mut Painter<'_>,
    ) -> Result<(), PresentError> {
        if size.w == 0 || size.h == 0 {
            return Ok(());
        }
        if self.size != size {
            self.pixels.resize_surface(size.w, size.h)?;
            self.pixels.resize_buffer(size.w, size.h)?;
            self.size = size;
            self.fresh = true;
        }
        let whole = [size.rect()];
        let rects = if std::mem::take(&mut self.fresh) { &whole[..] } else { damage.rects() };
        let mut canvas = Canvas::new(self.pixels.frame_mut(), size).ok_or(PresentError::Buffer)?;
        paint(&mut canvas, rects);
        self.pixels.render()?;
        match self.fault.get() {
            Some(fault) => Err(PresentError::Gpu(fault.clone())),
            None => Ok(()),
        }
    }
}

fn is_real(info: &wgpu::AdapterInfo) -> bool {
    matches!(info.device_type, DeviceType::DiscreteGpu | DeviceType::IntegratedGpu | DeviceType::VirtualGpu)
}

/// The name of a GPU that is not a CPU pretending, if the system has one.
pub(super) fn real_gpu() -> Option<String> {
    if has_device() { look() } else { None }
}

/// Whether the kernel shows a device that a GPU's driver would open. Without one, loading drivers could only find a
/// CPU, at 0.1 to 0.3 s of it.
fn has_device() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let nodes = std::fs::read_dir("/dev/dri").into_iter().flatten().flatten();
    let render = nodes.map(|n| n.file_name()).any(|n| n.to_string_lossy().starts_with("renderD"));
    // The proprietary driver's and that of Windows' subsystem.
    render || ["/dev/nvidiactl", "/dev/dxg"].iter().any(|p| std::path::Path::new(p).exists())
}

/// Loads the drivers and asks each: slow.
fn look() -> Option<String> {
    let looked = catch_unwind(|| {
        let backends = wgpu::Backends::from_env().unwrap_or(wgpu::Backends::PRIMARY);
        let descriptor =
            wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
        let instance = wgpu::Instance::new(descriptor);
        // Outside a browser this future is ready at once.
        let adapters = pin!(instance.enumerate_adapters(backends));
        match adapters.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(adapters) => adapters.iter().map(wgpu::Adapter::get_info).find(is_real).map(|i| i.name),
            Poll::Pending => None,
        }
    });
    looked.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever drivers a machine has, or none, looking comes back; and what it names is no CPU.
    #[test]
    fn looking_for_a_gpu_comes_back() {
        if let Some(name) = look() {
            assert!(!name.contains("llvmpipe"), "{name}");
            assert!(has_device());
        }
    }
}
