//! A source that sweeps through the tones, and a sink in memory: so that everything runs without a device.

use crate::contract::{DeviceError, Failed, Fill, Sink, Source, Stream, Take};
use std::sync::{Arc, Mutex, PoisonError};
use telepane_model::Span;

/// A sweep from 200 Hz to 4 kHz that begins anew every second: it is like itself at one delay only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sweep {
    next: u64,
}

impl Sweep {
    /// The next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        for pair in out.chunks_exact_mut(2) {
            pair.fill(sweep(self.next));
            self.next += 1;
        }
    }
}

/// Sample `n` of the sweep.
pub fn sweep(n: u64) -> i16 {
    let t = (n % 48_000) as f64 / 48_000.0;
    // The tone rises evenly, so the phase is its integral.
    let phase = std::f64::consts::TAU * (200.0 * t + 0.5 * 3_800.0 * t * t);
    (phase.sin() * 8_000.0) as i16
}

/// Both ends of a device that is driven by hand.
#[derive(Clone, Default)]
pub struct Memory {
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    fill: Option<Fill>,
    take: Option<Take>,
    failed: Option<Failed>,
    opened: u32,
    refuse: bool,
}

struct Held(Arc<Mutex<Open>>);

impl Stream for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (open.fill, open.take, open.failed) = (None, None, None);
    }
}

impl Memory {
    /// Lets the device want `samples` samples; nothing if it is not open.
    pub fn pull(&self, samples: usize) -> Option<Vec<i16>> {
        let mut open = self.lock();
        let fill = open.fill.as_mut()?;
        let mut out = vec![0; samples];
        fill(&mut out, Span::ZERO);
        Some(out)
    }

    /// Lets the device have heard this; whether anybody listens.
    pub fn push(&self, samples: &[i16]) -> bool {
        self.push_late(samples, Span::ZERO)
    }

    /// The same, of which the last was taken so long ago.
    pub fn push_late(&self, samples: &[i16], ago: Span) -> bool {
        match self.lock().take.as_mut() {
            Some(take) => {
                take(samples, ago);
                true
            }
            None => false,
        }
    }

    /// The device fails, and cannot be opened before [`Memory::back`].
    pub fn fail(&self) {
        let failed = {
            let mut open = self.lock();
            open.refuse = true;
            open.failed.take()
        };
        if let Some(mut failed) = failed {
            failed("pulled out".into());
        }
    }

    /// The device is there again.
    pub fn back(&self) {
        self.lock().refuse = false;
    }

    /// How often it was opened.
    pub fn opened(&self) -> u32 {
        self.lock().opened
    }

    /// Whether it is open now.
    pub fn is_open(&self) -> bool {
        let open = self.lock();
        open.fill.is_some() || open.take.is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, take: Option<Take>, fill: Option<Fill>, failed: Failed) -> Result<Box<dyn Stream>, DeviceError> {
        let mut open = self.lock();
        if open.refuse {
            return Err(DeviceError("it was pulled out".into()));
        }
        (open.take, open.fill, open.failed) = (take, fill, Some(failed));
        open.opened += 1;
        Ok(Box::new(Held(self.open.clone())))
    }
}

impl Sink for Memory {
    fn name(&self) -> String {
        "memory".into()
    }

    fn open(&mut self, fill: Fill, failed: Failed) -> Result<Box<dyn Stream>, DeviceError> {
        self.hold(None, Some(fill), failed)
    }
}

impl Source for Memory {
    fn name(&self) -> String {
        "memory".into()
    }

    fn open(&mut self, take: Take, failed: Failed) -> Result<Box<dyn Stream>, DeviceError> {
        self.hold(Some(take), None, failed)
    }
}
