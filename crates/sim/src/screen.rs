//! What stands on the host's desk: something with pixels that changes as time passes.

use std::sync::Arc;
use telepane_capture::synthetic::Synthetic;
use telepane_capture::{Event, Source};
use telepane_model::{
    Damage, FrameFacts, FrameId, HostClock, InputEvent, Pixels, Region, Rng, Size, Span, Stamp, Surf, SurfaceId,
};

/// A screen in virtual time.
pub trait Screen {
    /// What changed up to `now`, if anything did.
    fn poll(&mut self, now: Stamp<HostClock>) -> Option<FrameFacts>;
    /// The newest pixels.
    fn pixels(&self) -> Arc<Pixels>;
    /// When it changes next by itself.
    fn next_at(&self) -> Option<Stamp<HostClock>>;
    /// Input reaches the application.
    fn input(&mut self, now: Stamp<HostClock>, event: &InputEvent);
    /// The desktop takes another size.
    fn resize(&mut self, size: Size<Surf>);
    /// The next poll tells of the whole picture, as the first one did.
    fn tell_again(&mut self);
}

type Step = Box<dyn FnMut(&mut Pixels, &mut Rng) -> Region<Surf>>;

/// A screen on which a script draws at a steady rate, and each key press inverts a small patch.
pub struct Canvas {
    pixels: Arc<Pixels>,
    rng: Rng,
    step: Step,
    every: Span,
    next: Stamp<HostClock>,
    until: Stamp<HostClock>,
    id: u64,
    pending: Region<Surf>,
    fresh: bool,
}

impl Canvas {
    /// A canvas that calls `step` every `every` until `until`; the first frame is black with what the first step drew.
    pub fn new(
        size: Size<Surf>,
        seed: u64,
        every: Span,
        until: Stamp<HostClock>,
        step: impl FnMut(&mut Pixels, &mut Rng) -> Region<Surf> + 'static,
    ) -> Self {
        Self {
            pixels: Arc::new(Pixels::new(size)),
            rng: Rng::new(seed),
            step: Box::new(step),
            every,
            next: Stamp::ZERO,
            until,
            id: 0,
            pending: Region::new(),
            fresh: true,
        }
    }

    /// A screen on which nothing happens but what input does.
    pub fn still(size: Size<Surf>, seed: u64) -> Self {
        Self::new(size, seed, Span::secs(3_600), Stamp::ZERO, |_, _| Region::new())
    }
}

impl Screen for Canvas {
    fn poll(&mut self, now: Stamp<HostClock>) -> Option<FrameFacts> {
        if self.next == Stamp::ZERO {
            self.next = now;
        }
        while self.next <= now && self.next < self.until {
            let drawn = (self.step)(Arc::make_mut(&mut self.pixels), &mut self.rng);
            self.pending.add_all(&drawn);
            self.next += self.every;
        }
        let size = self.pixels.size();
        let damage = match std::mem::take(&mut self.fresh) {
            true => Damage::all(size),
            false if self.pending.is_empty() => return None,
            false => Damage::exact(std::mem::take(&mut self.pending)),
        };
        self.pending.clear();
        self.id += 1;
        Some(FrameFacts { id: FrameId(self.id), surface: SurfaceId(0), size, captured: now, damage })
    }

    fn pixels(&self) -> Arc<Pixels> {
        self.pixels.clone()
    }

    fn next_at(&self) -> Option<Stamp<HostClock>> {
        (self.next < self.until && self.next > Stamp::ZERO).then_some(self.next)
    }

    fn input(&mut self, _now: Stamp<HostClock>, event: &InputEvent) {
        if let InputEvent::Key { code, action: telepane_model::KeyMove::Down } = event {
            let x = i32::from(code.0 % 16) * 12;
            let r = telepane_model::Rect::new(x, 4, 10, 14).intersect(self.pixels.size().rect());
            let shade = self.rng.next_u64() as u8 | 1;
            Arc::make_mut(&mut self.pixels).fill(r, [shade, shade ^ 0xff, 7]);
            self.pending.add(r);
        }
    }

    fn resize(&mut self, size: Size<Surf>) {
        let mut bigger = Pixels::new(size);
        bigger.paste(&self.pixels, 0, 0);
        self.pixels = Arc::new(bigger);
        self.fresh = true;
    }

    fn tell_again(&mut self) {
        self.fresh = true;
    }
}

impl Screen for Synthetic {
    fn poll(&mut self, now: Stamp<HostClock>) -> Option<FrameFacts> {
        while let Ok(Some(event)) = Source::poll(self, now) {
            if let Event::Frame(facts) = event {
                return Some(facts);
            }
        }
        None
    }

    fn pixels(&self) -> Arc<Pixels> {
        Source::pixels(self)
    }

    fn next_at(&self) -> Option<Stamp<HostClock>> {
        Source::wake(self).at
    }

    fn input(&mut self, _now: Stamp<HostClock>, event: &InputEvent) {
        Self::input(self, event);
    }

    fn resize(&mut self, size: Size<Surf>) {
        // A synthetic desktop takes any size a surface may have; the session never asks for another.
        let _ = Source::resize(self, size);
    }

    fn tell_again(&mut self) {
        let _ = Source::resize(self, Source::describe(self).size);
    }
}
