//! Saved plans: everything that happens to a world from outside, as numbers that can be kept, read and replayed.
//!
//! A seed reproduces a failure today; a plan survives changes of the generator. [`random`] makes small ones, [`play`]
//! carries one out, judged by the oracle, and [`check`] prints what is needed to see a failure again. `SIM_SEED=n` plays
//! one seed, `SIM_PLAN=file` one file; `SIM_SAVE=file` says where a plan is to be kept.

use crate::link::LinkModel;
use crate::screen::{Canvas, Screen};
use crate::world::{World, WorldOptions};
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use telepane_model::{
    BitRate, Bytes, InputEvent, KeyCode, KeyMove, Pixels, Rect, Region, Rng, Size, Span, Stamp, Surf,
};

/// What happens to a world. Times are milliseconds since its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Why the plan is kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Seeds the links and the screen.
    pub seed: u64,
    /// The desktop's first size.
    pub size: (u32, u32),
    /// What is on the screen.
    pub screen: Drawing,
    /// The screen changes by itself until then.
    pub draws_until: u64,
    /// The links; the first one from the start.
    pub links: Vec<LinkAt>,
    /// Key presses.
    #[serde(default)]
    pub keys: Vec<KeyAt>,
    /// The person wants another size.
    #[serde(default)]
    pub resizes: Vec<ResizeAt>,
    /// Nothing passes for so long.
    #[serde(default)]
    pub blackouts: Vec<During>,
    /// The viewer's machine sleeps for so long.
    #[serde(default)]
    pub sleeps: Vec<During>,
    /// The agent is killed and started again.
    #[serde(default)]
    pub restarts: Vec<u64>,
}

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drawing {
    /// Nothing but what keys do.
    Still,
    /// Rectangles of one colour, 30 a second.
    Patches,
    /// Rectangles of noise, 30 a second.
    Noise,
    /// The screen moves up 16 lines, 30 times a second.
    Scroll,
    /// A picture that changes everywhere, 30 times a second.
    Motion,
}

/// A link from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAt {
    /// From when.
    pub at: u64,
    /// Host to viewer.
    pub down: Way,
    /// Viewer to host.
    pub up: Way,
}

/// One direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// Kilobits a second.
    pub kbps: u64,
    /// The bottleneck's queue in bytes.
    pub queue: u64,
    /// One way, in microseconds.
    pub delay_us: u64,
    /// Up to so much more.
    pub jitter_us: u64,
    /// Lost, in millionths.
    pub loss_ppm: u32,
    /// Doubled, in millionths.
    pub duplicate_ppm: u32,
}

/// A key press.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAt {
    /// When.
    pub at: u64,
    /// Which.
    pub code: u16,
    /// For how long.
    pub hold: u64,
}

/// Another size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResizeAt {
    /// When.
    pub at: u64,
    /// How wide.
    pub w: u32,
    /// How high.
    pub h: u32,
}

/// A while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct During {
    /// From when.
    pub at: u64,
    /// For how long.
    pub lasts: u64,
}

/// After the last thing that happens a world is given this long to become exact.
const SETTLES: u64 = 30_000;
/// The host's clock at the world's beginning, which a canvas counts in.
const HOST_EPOCH: u64 = 7_000_000_000;

impl Way {
    const fn model(self) -> LinkModel {
        LinkModel {
            rate: Some(BitRate::kbps(self.kbps)),
            queue: Bytes(self.queue),
            delay: Span::micros(self.delay_us),
            jitter: Span::micros(self.jitter_us),
            loss_ppm: self.loss_ppm,
            duplicate_ppm: self.duplicate_ppm,
            blackout: false,
        }
    }
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// The file cannot be read, or is no plan.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Keeps a plan.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")
    }

    /// When the last thing happens.
    fn ends(&self) -> u64 {
        let during = self.blackouts.iter().chain(&self.sleeps).map(|d| d.at + d.lasts);
        let keys = self.keys.iter().map(|k| k.at + k.hold);
        let rest = self.links.iter().map(|l| l.at).chain(self.resizes.iter().map(|r| r.at));
        let all = during.chain(keys).chain(rest).chain(self.restarts.iter().copied());
        all.chain([self.draws_until]).max().unwrap_or(0)
    }

    fn drawing(&self) -> Box<dyn Screen> {
        let (size, until) =
            (Size::new(self.size.0, self.size.1), Stamp::from_micros(HOST_EPOCH + self.draws_until * 1_000));
        let beat = Span::micros(33_333);
        let step = match self.screen {
            Drawing::Still => return Box::new(Canvas::still(size, self.seed)),
            Drawing::Patches => patches,
            Drawing::Noise => noise,
            Drawing::Scroll => scroll,
            Drawing::Motion => motion,
        };
        Box::new(Canvas::new(size, self.seed, beat, until, step))
    }
}

fn any_rect(size: Size<Surf>, rng: &mut Rng) -> Rect<Surf> {
    let (w, h) = (1 + rng.below(60) as u32, 1 + rng.below(40) as u32);
    Rect::new(rng.below(u64::from(size.w)) as i32, rng.below(u64::from(size.h)) as i32, w, h).intersect(size.rect())
}

fn patches(p: &mut Pixels, rng: &mut Rng) -> Region<Surf> {
    let r = any_rect(p.size(), rng);
    p.fill(r, [rng.next_u64() as u8, rng.next_u64() as u8, 9]);
    r.into()
}

fn noise(p: &mut Pixels, rng: &mut Rng) -> Region<Surf> {
    let r = any_rect(p.size(), rng);
    for y in r.y..r.bottom() {
        for px in p.row_mut(r.x as u32, y as u32, r.w).chunks_exact_mut(4) {
            let v = rng.next_u64().to_le_bytes();
            px[..3].copy_from_slice(&v[..3]);
        }
    }
    r.into()
}

fn scroll(p: &mut Pixels, rng: &mut Rng) -> Region<Surf> {
    let size = p.size();
    let step = size.h.min(16);
    let kept = p.crop(Rect::new(0, step as i32, size.w, size.h - step));
    p.paste(&kept, 0, 0);
    p.fill(Rect::new(0, (size.h - step) as i32, size.w, step), [250, 250, 250]);
    for _ in 0..12 {
        let x = rng.below(u64::from(size.w)) as i32;
        let y = (size.h - step) as i32 + rng.below(u64::from(step)) as i32;
        p.fill(Rect::new(x, y, 1 + rng.below(9) as u32, 2).intersect(size.rect()), [20, 20, 30]);
    }
    size.rect().into()
}

fn motion(p: &mut Pixels, rng: &mut Rng) -> Region<Surf> {
    let size = p.size();
    let phase = rng.below(1 << 16) as u32;
    for y in 0..size.h {
        for (x, px) in p.row_mut(0, y, size.w).chunks_exact_mut(4).enumerate() {
            let x = x as u32;
            px[..3].copy_from_slice(&[(x * 3 + phase) as u8, (y * 5 + phase / 7) as u8, ((x * y) / 16 + phase) as u8]);
        }
    }
    size.rect().into()
}

/// A small plan that `seed` makes.
pub fn random(seed: u64) -> Plan {
    let mut rng = Rng::new(seed ^ 0x706c_616e);
    let mut pick = |from: u64, to: u64| from + rng.below(to - from + 1);
    let lasts = pick(500, 3_000);
    let size = (pick(17, 420) as u32, pick(9, 300) as u32);
    let screen = match pick(0, 5) {
        0 => Drawing::Still,
        1 | 2 => Drawing::Patches,
        3 => Drawing::Noise,
        4 => Drawing::Scroll,
        _ => Drawing::Motion,
    };
    let way = |pick: &mut dyn FnMut(u64, u64) -> u64| Way {
        kbps: [1_000, 3_000, 10_000, 50_000][pick(0, 3) as usize],
        queue: pick(20_000, 250_000),
        delay_us: [200, 5_000, 20_000, 60_000, 150_000][pick(0, 4) as usize],
        jitter_us: [0, 0, 1_000, 15_000][pick(0, 3) as usize],
        loss_ppm: [0, 0, 1_000, 10_000, 50_000, 200_000][pick(0, 5) as usize],
        duplicate_ppm: [0, 0, 0, 30_000][pick(0, 3) as usize],
    };
    let mut links = vec![LinkAt { at: 0, down: way(&mut pick), up: way(&mut pick) }];
    if pick(0, 3) == 0 {
        links.push(LinkAt { at: pick(200, lasts), down: way(&mut pick), up: way(&mut pick) });
    }
    let mut at = pick(50, 400);
    let mut keys = Vec::new();
    for _ in 0..pick(0, 12) {
        let hold = pick(5, 120);
        keys.push(KeyAt { at, code: pick(16, 50) as u16, hold });
        at += hold + pick(1, 250);
    }
    let resizes = (0..[0, 0, 0, 1, 2][pick(0, 4) as usize]).map(|_| pick(0, lasts)).collect::<Vec<_>>();
    let resizes =
        resizes.into_iter().map(|at| ResizeAt { at, w: pick(17, 420) as u32, h: pick(9, 300) as u32 }).collect();
    let blackouts = match pick(0, 2) {
        0 => vec![During { at: pick(0, lasts), lasts: [50, 400, 1_900, 4_500][pick(0, 3) as usize] }],
        _ => Vec::new(),
    };
    let after = |d: &[During]| d.last().map_or(0, |d| d.at + d.lasts + 10);
    let sleeps = match pick(0, 7) {
        0 => vec![During {
            at: after(&blackouts) + pick(0, lasts),
            lasts: [1_000, 20_000, 200_000][pick(0, 2) as usize],
        }],
        _ => Vec::new(),
    };
    let restarts =
        if pick(0, 9) == 0 { vec![after(&sleeps).max(after(&blackouts)) + pick(0, lasts)] } else { Vec::new() };
    Plan {
        about: String::new(),
        seed,
        size,
        screen,
        draws_until: lasts,
        links,
        keys,
        resizes,
        blackouts,
        sleeps,
        restarts,
    }
}

enum Happening {
    Link(LinkAt),
    Size(ResizeAt),
    Blackout(bool),
    Sleep(bool),
    Restart,
}

impl World {
    /// The world in which a plan takes place, before anything of it has happened.
    ///
    /// # Panics
    /// When the plan names no link.
    pub fn from_plan(plan: &Plan) -> Self {
        let first = plan.links.first().expect("a plan begins with a link");
        let options = WorldOptions::new(plan.seed, first.down.model(), plan.drawing());
        Self::new(WorldOptions { up: first.up.model(), ..options })
    }
}

/// Carries a plan out in its world, and judges what came of it.
///
/// # Panics
/// When the oracle objects, or the viewer does not hold the host's newest pixels in the end.
pub fn play(plan: &Plan, world: &mut World) {
    let mut happens: Vec<(u64, Happening)> = Vec::new();
    happens.extend(plan.links.iter().skip(1).map(|l| (l.at, Happening::Link(*l))));
    happens.extend(plan.resizes.iter().map(|r| (r.at, Happening::Size(*r))));
    for d in &plan.blackouts {
        happens.extend([(d.at, Happening::Blackout(true)), (d.at + d.lasts, Happening::Blackout(false))]);
    }
    for d in &plan.sleeps {
        happens.extend([(d.at, Happening::Sleep(true)), (d.at + d.lasts, Happening::Sleep(false))]);
    }
    happens.extend(plan.restarts.iter().map(|at| (*at, Happening::Restart)));
    happens.sort_by_key(|(at, _)| *at);
    let asleep = |at: u64| plan.sleeps.iter().any(|d| at >= d.at && at < d.at + d.lasts);
    // Nobody types on a machine that sleeps; what was held when it fell asleep comes up when it wakes.
    for k in plan.keys.iter().filter(|k| !asleep(k.at)) {
        let code = KeyCode(k.code);
        world.input_at(k.at * 1_000, InputEvent::Key { code, action: KeyMove::Down });
        world.input_at((k.at + k.hold) * 1_000, InputEvent::Key { code, action: KeyMove::Up });
    }
    for (at, what) in happens {
        world.run_to(at * 1_000);
        match what {
            Happening::Link(l) => world.set_link(l.down.model(), l.up.model()),
            Happening::Size(r) => world.ask_size(Size::new(r.w, r.h)),
            Happening::Blackout(on) => world.blackout(on),
            Happening::Sleep(on) => world.sleep(on),
            Happening::Restart => world.restart_host(),
        }
    }
    let ends = plan.ends();
    world.run_to(ends * 1_000);
    for _ in 0..SETTLES / 100 {
        if world.is_exact() && world.is_confirmed() {
            break;
        }
        world.run(Span::millis(100));
    }
    assert!(world.is_exact(), "{} s after the last change the picture is exact", SETTLES / 1_000);
    assert!(world.is_confirmed(), "and the host knows it");
    assert_eq!(world.faults, Vec::<&str>::new(), "two honest sides find no fault");
    let wrong = &world.proofs.failed;
    assert!(wrong.is_empty(), "every tile shows what it should: {wrong:?}");
    // Whatever is still held, is held on both sides.
    world.run(Span::secs(3));
    let lost = if plan.restarts.is_empty() { world.dropped_input() } else { u32::MAX };
    world.oracle.check_keys(Span::secs(2), lost);
}

/// Plays a plan; a failure says how to see it again.
///
/// # Panics
/// As [`play`] does.
pub fn check(plan: &Plan) -> World {
    let mut world = World::from_plan(plan);
    report(
        &mut world,
        plan.seed,
        |world| play(plan, world),
        || {
            let path = std::env::var_os("SIM_SAVE")
                .map_or_else(|| std::env::temp_dir().join(format!("telepane-plan-{}.json", plan.seed)), PathBuf::from);
            let saved = plan.save(&path).map_or_else(|e| format!("not saved ({e})"), |()| path.display().to_string());
            let replay = "cargo test -p telepane-sim --test scenarios plans::one -- --nocapture";
            format!("plan: {saved}\nreplay: SIM_PLAN={} {replay}", path.display())
        },
    );
    world
}

/// Runs `body`; when it panics, says the seed, the last of the journal, and `how` to see it again.
///
/// # Panics
/// When `body` does.
pub fn report(world: &mut World, seed: u64, body: impl FnOnce(&mut World), how: impl FnOnce() -> String) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(world))) {
        eprintln!("\n---- the last of the journal\n{}", world.last_lines(50));
        eprintln!("---- at {} us, seed {seed}\n{}\n", world.now(), how());
        resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_its_file() {
        for seed in 0..50 {
            let plan = random(seed);
            let text = serde_json::to_string(&plan).expect("numbers");
            assert_eq!(serde_json::from_str::<Plan>(&text).expect("a plan"), plan);
        }
    }
}
