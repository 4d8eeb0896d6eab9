//! What scenarios share: links, screens, and the frame that reports a failure.

use telepane_model::{BitRate, InputEvent, KeyCode, KeyMove, Pixels, Rect, Region, Rng, Size, Span, Stamp, Surf};
use telepane_sim::{Canvas, LinkModel, World, WorldOptions, plan};

/// The host's clock when a world begins.
pub const HOST_EPOCH: u64 = 7_000_000_000;

/// A host's instant `ms` milliseconds after the beginning.
pub fn host_at(ms: u64) -> Stamp<telepane_model::HostClock> {
    Stamp::from_micros(HOST_EPOCH + ms * 1_000)
}

/// `mbps` and the round trip in milliseconds.
pub fn link(mbps: u64, rtt_ms: u64) -> LinkModel {
    LinkModel::clean(BitRate::mbps(mbps), Span::micros(rtt_ms * 500))
}

/// A world with this link both ways.
pub fn world(seed: u64, link: LinkModel, screen: Canvas) -> World {
    World::new(WorldOptions::new(seed, link, Box::new(screen)))
}

/// Runs a scenario; a failure says how to see it again.
pub fn play(name: &str, mut world: World, body: impl FnOnce(&mut World)) {
    let how = || format!("replay: cargo test -p telepane-sim --test scenarios {name} -- --nocapture");
    let body = |w: &mut World| {
        body(w);
        assert!(
            w.proofs.expected || w.proofs.failed.is_empty(),
            "every tile shows what it should: {:?}",
            w.proofs.failed
        );
    };
    plan::report(&mut world, 0, body, how);
}

/// A rectangle of one colour somewhere.
pub fn patch(p: &mut Pixels, rng: &mut Rng) -> Region<Surf> {
    let size = p.size();
    let r = Rect::new(rng.below(u64::from(size.w) - 20) as i32, rng.below(u64::from(size.h) - 20) as i32, 30, 25);
    let r = r.intersect(size.rect());
    p.fill(r, [rng.next_u64() as u8, rng.next_u64() as u8, 9]);
    r.into()
}

/// Noise in a rectangle.
pub fn fill_noise(p: &mut Pixels, r: Rect<Surf>, rng: &mut Rng) {
    for y in r.y..r.bottom() {
        for px in p.row_mut(r.x as u32, y as u32, r.w).chunks_exact_mut(4) {
            px[..3].copy_from_slice(&rng.next_u64().to_le_bytes()[..3]);
        }
    }
}

/// A picture in motion, `t` pixels on its way, with grain.
pub fn film_frame(p: &mut Pixels, t: u32, rng: &mut Rng) -> Region<Surf> {
    film_in(p, Rect::new(64, 64, 320, 192), t, rng)
}

/// The same, in `r`.
pub fn film_in(p: &mut Pixels, r: Rect<Surf>, t: u32, rng: &mut Rng) -> Region<Surf> {
    for y in r.y..r.bottom() {
        for (x, px) in p.row_mut(r.x as u32, y as u32, r.w).chunks_exact_mut(4).enumerate() {
            let (x, y) = (x as u32 + t, y as u32 + t / 2);
            let grain = (rng.next_u64() & 3) as u32;
            px[..3].copy_from_slice(&[
                (x * y / 64 + grain) as u8,
                (x + grain + y / 2) as u8,
                (y * 2 + x / 3 + grain) as u8,
            ]);
        }
    }
    r.into()
}

/// Patches, 30 a second, until `until_ms`.
pub fn busy(seed: u64, size: (u32, u32), until_ms: u64) -> Canvas {
    Canvas::new(Size::new(size.0, size.1), seed, Span::millis(33), host_at(until_ms), patch)
}

/// A key goes down at `ms` and comes up `hold` later.
pub fn press(world: &mut World, ms: u64, code: u16, hold: u64) {
    let code = KeyCode(code);
    world.input_at(ms * 1_000, InputEvent::Key { code, action: KeyMove::Down });
    world.input_at((ms + hold) * 1_000, InputEvent::Key { code, action: KeyMove::Up });
}

/// Runs until the picture is exact and the host knows it, for at most `most`; says after how long, in milliseconds.
pub fn until_exact(world: &mut World, most: Span) -> f64 {
    let start = world.now();
    while !(world.is_exact() && world.is_confirmed()) {
        assert!(world.now() - start < most.as_micros(), "exact within {most:?}");
        world.run(Span::millis(1));
    }
    (world.now() - start) as f64 / 1e3
}

/// Runs until the viewer holds the newest pixels, for at most `most`; says after how long, in milliseconds.
pub fn until_shown(world: &mut World, most: Span) -> f64 {
    let start = world.now();
    while !world.is_exact() {
        assert!(world.now() - start < most.as_micros(), "shown within {most:?}");
        world.run(Span::millis(1));
    }
    (world.now() - start) as f64 / 1e3
}
