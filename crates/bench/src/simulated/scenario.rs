//! The rows of `DESIGN` §2 in virtual time: each a world, what happens in it, its figures, and the target beside them.

use super::measure::{Figures, Mark, run_until_exact};
use super::office;
use super::stage::{Burst, Drag, Film, Keys, Photo, Scroll, Show, Switch};
use telepane_model::{BitRate, InputEvent, KeyCode, KeyMove, Rng, Span};
use telepane_sim::{CostTable, Direction, LinkModel, Screen, World, WorldOptions};

/// A scenario.
pub struct Scenario {
    /// Its name on the command line, and its baseline's.
    pub name: &'static str,
    /// What happens.
    pub about: &'static str,
    /// Plays it.
    pub play: fn(&CostTable) -> Played,
}

/// What came of it.
pub struct Played {
    /// Figures.
    pub figures: Figures,
    /// What they are held against.
    pub targets: Vec<Target>,
    /// The seed of links and desktop.
    pub seed: u64,
    /// What happened, line by line.
    pub journal: String,
}

/// A bound of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Of this figure.
    pub figure: &'static str,
    /// At most, or at least, this.
    pub bound: Bound,
}

/// Which side is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Not more.
    AtMost(i64),
    /// Not less.
    AtLeast(i64),
}

impl Target {
    /// Whether these figures keep it. A figure that is missing does not.
    pub fn met(&self, figures: &Figures) -> bool {
        figures.get(self.figure).is_some_and(|v| match self.bound {
            Bound::AtMost(most) => *v <= most,
            Bound::AtLeast(least) => *v >= least,
        })
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(v) => write!(f, "<= {v}"),
            Self::AtLeast(v) => write!(f, ">= {v}"),
        }
    }
}

const fn most(figure: &'static str, v: i64) -> Target {
    Target { figure, bound: Bound::AtMost(v) }
}

const fn least(figure: &'static str, v: i64) -> Target {
    Target { figure, bound: Bound::AtLeast(v) }
}

/// All of them, in the order of the design's table.
pub const ALL: &[Scenario] = &[
    Scenario { name: "key-lan", about: "60 keys turn a patch; 1 Gbit/s, 0.4 ms", play: key_lan },
    Scenario { name: "key", about: "60 keys turn a patch; 20 Mbit/s, 40 ms", play: key },
    Scenario { name: "typing", about: "100 letters, 5 a second; 20 Mbit/s, 40 ms", play: typing },
    Scenario { name: "taps", about: "100 letters, 6 a second, held for 30 ms; 20 Mbit/s, 40 ms", play: taps },
    Scenario { name: "scroll", about: "a full window of text, 30 steps/s; 20 Mbit/s, 40 ms", play: scroll },
    Scenario { name: "switch", about: "two full windows in turn; 20 Mbit/s, 40 ms", play: switch },
    Scenario { name: "film", about: "720p30 over a page; 20 Mbit/s, 40 ms", play: film },
    Scenario { name: "drag", about: "a window over a photo, 60 Hz; 20 Mbit/s, 40 ms", play: drag },
    Scenario { name: "photo", about: "a photo over the whole screen; 20 Mbit/s, 40 ms", play: photo },
    Scenario { name: "squeeze", about: "film; 20, then 2, then 20 Mbit/s; 40 ms", play: squeeze },
    Scenario { name: "film-thin", about: "720p30 over a page; 600 kbit/s, 40 ms", play: film_thin },
    Scenario { name: "film-60", about: "1080p60 on the whole screen; 2 Mbit/s, 40 ms", play: film_60 },
    Scenario {
        name: "film-slow",
        about: "720p30; the viewer decodes for 65 ms a frame; 20 Mbit/s, 40 ms",
        play: film_slow,
    },
    Scenario { name: "loss", about: "film, then keys over it; 3 % loss each way, 60 ms, 20 Mbit/s", play: loss },
    Scenario { name: "thin", about: "film, then keys over it; 5 Mbit/s, 100 ms, 1 % loss", play: thin },
    Scenario { name: "burst", about: "300 kB after 10 s of rest; 20 Mbit/s, 40 ms", play: burst },
    Scenario { name: "burst-cold", about: "300 kB as the first change; 20 Mbit/s, 40 ms", play: burst_cold },
    Scenario { name: "far", about: "typing, then scrolling; 20 Mbit/s, 300 ms", play: far },
    Scenario { name: "blackout", about: "nothing passes for 2 s while film plays; 20 Mbit/s, 40 ms", play: blackout },
    Scenario { name: "idle", about: "nothing, from second 35 after a key on", play: idle },
    Scenario { name: "office", about: "five minutes of the working day; 20 Mbit/s, 40 ms", play: office::short },
];

/// A link both ways.
pub fn link(mbps: u64, rtt_us: u64) -> LinkModel {
    LinkModel::clean(BitRate::mbps(mbps), Span::micros(rtt_us / 2))
}

fn world(cost: &CostTable, seed: u64, link: LinkModel, screen: impl Screen + 'static) -> World {
    let options = WorldOptions::new(seed, link, Box::new(screen));
    World::new(WorldOptions { cost: *cost, sample_every: Some(7), ..options })
}

/// Presses `count` keys from `from` milliseconds on, `every` apart and up to as much again; gives the end.
fn press(world: &mut World, from: u64, count: u64, every: u64) -> u64 {
    press_for(world, from, count, every, 50)
}

/// The same with keys held for `held` milliseconds.
fn press_for(world: &mut World, from: u64, count: u64, every: u64, held: u64) -> u64 {
    let mut rng = Rng::new(from ^ count);
    let mut at = from * 1_000;
    for i in 0..count {
        let code = KeyCode(16 + (i % 26) as u16);
        world.input_at(at, InputEvent::Key { code, action: KeyMove::Down });
        world.input_at(at + held * 1_000, InputEvent::Key { code, action: KeyMove::Up });
        at += every * 1_000 + rng.below(every * 1_000);
    }
    at
}

fn played(mut world: World, mark: &Mark, mut figures: Figures, seed: u64, targets: Vec<Target>) -> Played {
    figures.insert("faults".into(), world.faults.len() as i64);
    figures.insert("rebases".into(), i64::from(world.rebases));
    if !figures.contains_key("bytes_down") {
        mark.figures(&mut world, &mut figures);
    }
    let mut targets = targets;
    targets.push(most("faults", 0));
    Played { figures, targets, seed, journal: world.journal().to_owned() }
}

fn keys(cost: &CostTable, seed: u64, link: LinkModel, rtt_us: i64) -> Played {
    let mut w = world(cost, seed, link, Show::still(seed, Keys::Patch));
    w.run(Span::secs(3));
    let mark = Mark::now(&mut w);
    let end = press(&mut w, 3_000, 60, 90);
    w.run_to(end + 500_000);
    let mut figures = Figures::new();
    per_key(&mut w, &mark, 60, &mut figures);
    let bounds = vec![most("key_p50_us", rtt_us + 3_000), most("key_p95_us", rtt_us + 6_000), least("key_count", 60)];
    played(w, &mark, figures, seed, bounds)
}

fn per_key(world: &mut World, mark: &Mark, keys: u64, figures: &mut Figures) {
    let [down, up] = mark.bytes(world);
    figures.insert("bytes_per_key_down".into(), (down / keys) as i64);
    figures.insert("bytes_per_key_up".into(), (up / keys) as i64);
    figures.insert("bytes_per_key".into(), ((down + up) / keys) as i64);
}

fn key_lan(cost: &CostTable) -> Played {
    keys(cost, 101, link(1_000, 400), 400)
}

fn key(cost: &CostTable) -> Played {
    keys(cost, 102, link(20, 40_000), 40_000)
}

fn typing(cost: &CostTable) -> Played {
    typed(cost, 103, 50, 134)
}

/// As `glass` types: each key is held for less than a round trip, so its release leaves before its press is acknowledged.
fn taps(cost: &CostTable) -> Played {
    typed(cost, 119, 30, 112)
}

fn typed(cost: &CostTable, seed: u64, held_ms: u64, every_ms: u64) -> Played {
    let mut w = world(cost, seed, link(20, 40_000), Show::still(seed, Keys::Letter));
    w.run(Span::secs(3));
    let mark = Mark::now(&mut w);
    let end = press_for(&mut w, 3_000, 100, every_ms, held_ms);
    w.run_to(end + 500_000);
    let mut figures = Figures::new();
    per_key(&mut w, &mark, 100, &mut figures);
    figures.insert("exact".into(), i64::from(w.is_exact()));
    // What the host sends, as the peers' figures are and as `compare` measures (decision 0007); the way up stands beside it.
    let bounds = vec![most("bytes_per_key_down", 250), least("exact", 1), most("key_p95_us", 46_000)];
    played(w, &mark, figures, seed, bounds)
}

/// Plays a part from second 2 on, marks a second later, and waits for exactness after its last step.
fn stop_and_wait(w: &mut World, until_ms: u64, last_step_us: u64, figures: &mut Figures) -> Mark {
    w.run(Span::millis(2_500));
    let mark = Mark::now(w);
    w.run_to(until_ms * 1_000);
    mark.figures(w, figures);
    let exact = run_until_exact(w, Span::secs(5));
    let after = exact.map_or(i64::MAX, |at| at.saturating_sub(last_step_us) as i64);
    figures.insert("exact_after_stop_us".into(), after);
    mark
}

/// After a film's last step, at `last_us`: how long it takes until everything is exact, and how much of that is beyond 0.3 s
/// and 1.15 times what the bytes of the refinement take at the line's rate. They are counted from the end of the film's
/// rest on, when the refinement begins, so that its last frames excuse nothing.
fn refined(w: &mut World, last_us: u64, kbps: u64, figures: &mut Figures) {
    w.run_to(last_us + 300_000);
    let rest = Mark::now(w);
    let exact = run_until_exact(w, Span::secs(30));
    let bytes = rest.bytes(w)[0];
    let took = exact.map_or(i64::MAX, |at| at.saturating_sub(last_us) as i64);
    let allowed = 300_000 + (bytes * 8 * 1_150 / kbps) as i64;
    figures.insert("exact_after_stop_us".into(), took);
    figures.insert("exact_bytes_down".into(), bytes as i64);
    figures.insert("exact_beyond_target_us".into(), took.saturating_sub(allowed));
}

fn last_step(from_ms: u64, until_ms: u64, hz: u64) -> u64 {
    let steps = ((until_ms - from_ms) * hz - 1) / 1_000;
    from_ms * 1_000 + steps * 1_000_000 / hz
}

fn scroll(cost: &CostTable) -> Played {
    let seed = 104;
    let mut w = world(cost, seed, link(20, 40_000), Show::new(Scroll::new(seed), 2_000, 6_000, 30, Keys::Patch));
    let mut figures = Figures::new();
    let mark = stop_and_wait(&mut w, 6_000, last_step(2_000, 6_000, 30), &mut figures);
    let bounds = vec![
        least("shown_per_1000_s", 29_500),
        most("age_p95_us", 50_000),
        most("kbps_down", 1_500),
        most("exact_after_stop_us", 60_000),
    ];
    played(w, &mark, figures, seed, bounds)
}

fn drag(cost: &CostTable) -> Played {
    let seed = 105;
    let mut w = world(cost, seed, link(20, 40_000), Show::new(Drag::new(seed), 2_000, 5_000, 60, Keys::Patch));
    let mut figures = Figures::new();
    let mark = stop_and_wait(&mut w, 5_000, last_step(2_000, 5_000, 60), &mut figures);
    let bounds =
        vec![least("shown_per_1000_s", 59_000), most("age_p95_us", 65_000), most("exact_after_stop_us", 150_000)];
    played(w, &mark, figures, seed, bounds)
}

fn switch(cost: &CostTable) -> Played {
    let seed = 106;
    // One switch every two seconds: to the new window, back, and to it again.
    let mut w = world(cost, seed, link(20, 40_000), Show::new(Switch::new(seed), 4_000, 8_500, 1, Keys::Patch));
    w.run_to(3_900_000);
    let mut figures = Figures::new();
    let all = Mark::now(&mut w);
    for (n, name) in ["first", "back", "again"].into_iter().enumerate() {
        let at = 4_000_000 + n as u64 * 1_000_000;
        w.run_to(at - 10_000);
        let mark = Mark::now(&mut w);
        w.run_to(at + 5_000);
        let exact = run_until_exact(&mut w, Span::millis(900));
        figures.insert(format!("{name}_exact_us"), exact.map_or(i64::MAX, |e| e.saturating_sub(at) as i64));
        w.run_to(at + 950_000);
        figures.insert(format!("{name}_bytes_down"), mark.bytes(&w)[0] as i64);
    }
    let bounds = vec![
        most("first_exact_us", 170_000),
        most("back_exact_us", 50_000),
        most("back_bytes_down", 5_000),
        most("again_exact_us", 50_000),
        most("again_bytes_down", 5_000),
    ];
    played(w, &all, figures, seed, bounds)
}

fn film(cost: &CostTable) -> Played {
    let seed = 107;
    let mut w = world(cost, seed, link(20, 40_000), Show::new(Film::hd(seed), 1_000, 6_000, 30, Keys::Patch));
    w.run(Span::millis(2_500));
    let mark = Mark::now(&mut w);
    w.run_to(6_000_000);
    let mut figures = Figures::new();
    mark.figures(&mut w, &mut figures);
    refined(&mut w, last_step(1_000, 6_000, 30), 20_000, &mut figures);
    let bounds = vec![
        least("shown_per_1000_s", 29_500),
        most("age_p95_us", 70_000),
        least("luma_centi_db", 4_000),
        most("kbps_down", 6_000),
        most("exact_beyond_target_us", 0),
    ];
    played(w, &mark, figures, seed, bounds)
}

fn photo(cost: &CostTable) -> Played {
    let seed = 108;
    let mut w = world(cost, seed, link(20, 40_000), Show::new(Photo(seed), 2_000, 2_500, 1, Keys::Patch));
    w.run_to(1_990_000);
    let mark = Mark::now(&mut w);
    let mut figures = Figures::new();
    w.run_to(2_005_000);
    let exact = run_until_exact(&mut w, Span::secs(10));
    let bytes = mark.bytes(&w)[0];
    let took = exact.map_or(i64::MAX, |at| at.saturating_sub(2_000_000) as i64);
    figures.insert("exact_us".into(), took);
    let pixels = 1920 * 1080;
    figures.insert("bytes_per_1000_px".into(), (bytes * 1_000 / pixels) as i64);
    // 0.3 s and 1.15 times the bytes at the link's rate; what is beyond that.
    let allowed = 300_000 + (bytes * 8 * 115 / 100 / 20) as i64;
    figures.insert("exact_beyond_target_us".into(), took.saturating_sub(allowed));
    let bounds = vec![
        most("bytes_per_1000_px", 750),
        most("exact_beyond_target_us", 0),
        most("exact_us", 1_100_000),
        most("queue_max_down_us", 20_000),
    ];
    played(w, &mark, figures, seed, bounds)
}

fn squeeze(cost: &CostTable) -> Played {
    let seed = 109;
    let mut w = world(cost, seed, link(20, 40_000), Show::new(Film::hd(seed), 1_000, 13_000, 30, Keys::Patch));
    w.run_to(4_000_000);
    let all = Mark::now(&mut w);
    w.set_link(link(2, 40_000), link(2, 40_000));
    w.run(Span::millis(600));
    let mut figures = Figures::new();
    let transient = *all.ages(&w).iter().max().unwrap_or(&0);
    figures.insert("transient_age_max_us".into(), transient as i64);
    let transient_queue = w.path(Direction::Down).worst_queue as i64;
    figures.insert("transient_queue_us".into(), transient_queue);
    let after = Mark::now(&mut w);
    w.run_to(9_000_000);
    after.figures(&mut w, &mut figures);
    // A freeze may also span the moment the mark was set.
    let shown: Vec<u64> = w.presents.iter().copied().filter(|at| *at >= 4_000_000).collect();
    let freeze = shown.windows(2).map(|p| p[1] - p[0]).max().unwrap_or(0);
    figures.insert("freeze_us".into(), freeze as i64);
    w.set_link(link(20, 40_000), link(20, 40_000));
    w.run_to(11_000_000);
    let again = Mark::now(&mut w);
    w.run_to(12_900_000);
    let mut back = Figures::new();
    again.figures(&mut w, &mut back);
    for name in ["kbps_down", "luma_centi_db", "age_p95_us", "shown_per_1000_s"] {
        figures.insert(format!("back_{name}"), back.get(name).copied().unwrap_or(0));
    }
    let bounds = vec![
        most("queue_max_down_us", 50_000),
        least("shown_per_1000_s", 27_000),
        most("age_p95_us", 200_000),
        most("freeze_us", 200_000),
        least("back_luma_centi_db", 4_000),
    ];
    played(w, &all, figures, seed, bounds)
}

/// A film that does not fit: what it comes to from second `settled` on, and how often it changed its mind.
fn too_much(w: &mut World, settled: u64, until: u64) -> (Figures, Mark) {
    w.run_to(settled * 1_000_000);
    let mark = Mark::now(w);
    w.run_to(until * 1_000_000);
    let mut figures = Figures::new();
    mark.figures(w, &mut figures);
    let steps: Vec<&str> = w.journal().lines().filter(|l| l.contains("FilmStep")).collect();
    figures.insert("film_steps".into(), steps.len() as i64);
    (figures, mark)
}

fn film_thin(cost: &CostTable) -> Played {
    let (seed, until) = (120, 14);
    let link = LinkModel::clean(BitRate::kbps(600), Span::millis(20));
    let mut w = world(cost, seed, link, Show::new(Film::hd(seed), 1_000, until * 1_000, 30, Keys::Patch));
    let (mut figures, mark) = too_much(&mut w, 6, until);
    refined(&mut w, last_step(1_000, until * 1_000, 30), 600, &mut figures);
    let bounds = vec![
        most("age_p95_us", 200_000),
        least("shown_per_1000_s", 18_000),
        least("luma_centi_db", 3_300),
        most("film_steps", 3),
        most("exact_beyond_target_us", 0),
    ];
    played(w, &mark, figures, seed, bounds)
}

fn film_60(cost: &CostTable) -> Played {
    let (seed, until) = (121, 10);
    let film = Show::new(Film::new(seed, super::stage::SIZE.rect(), false), 1_000, until * 1_000, 60, Keys::Patch);
    let mut w = world(cost, seed, link(2, 40_000), film);
    let (mut figures, mark) = too_much(&mut w, 5, until);
    refined(&mut w, last_step(1_000, until * 1_000, 60), 2_000, &mut figures);
    let bounds = vec![
        most("age_p95_us", 200_000),
        least("shown_per_1000_s", 25_000),
        least("luma_centi_db", 3_800),
        most("film_steps", 3),
        most("exact_beyond_target_us", 0),
    ];
    played(w, &mark, figures, seed, bounds)
}

fn film_slow(cost: &CostTable) -> Played {
    let (seed, until) = (122, 12);
    let mut slow = *cost;
    slow.decode.film_per_mpx = Span::micros(70_000);
    let film = Show::new(Film::hd(seed), 1_000, until * 1_000, 30, Keys::Patch);
    let mut w = world(&slow, seed, link(20, 40_000), film);
    let (mut figures, mark) = too_much(&mut w, 4, until);
    refined(&mut w, last_step(1_000, until * 1_000, 30), 20_000, &mut figures);
    let bounds = vec![
        most("age_p95_us", 300_000),
        least("shown_per_1000_s", 11_000),
        most("film_steps", 4),
        most("exact_beyond_target_us", 0),
    ];
    played(w, &mark, figures, seed, bounds)
}

/// Film alone, then keys over it, on a bad link.
fn bad(cost: &CostTable, seed: u64, kbps: u64, link: LinkModel, mut bounds: Vec<Target>) -> Played {
    let mut w = world(cost, seed, link, Show::new(Film::hd(seed), 1_000, 11_000, 30, Keys::Patch));
    w.run(Span::secs(3));
    let mark = Mark::now(&mut w);
    w.run_to(7_000_000);
    let mut figures = Figures::new();
    mark.figures(&mut w, &mut figures);
    let typing = Mark::now(&mut w);
    press(&mut w, 7_050, 40, 60);
    w.run_to(11_000_000);
    super::measure::spread(&mut figures, "key", typing.keys(&w));
    refined(&mut w, last_step(1_000, 11_000, 30), kbps, &mut figures);
    bounds.push(most("exact_beyond_target_us", 0));
    played(w, &mark, figures, seed, bounds)
}

fn loss(cost: &CostTable) -> Played {
    let bounds = vec![
        least("shown_per_1000_s", 29_500),
        most("age_p95_us", 105_000),
        least("luma_centi_db", 3_800),
        most("key_p95_us", 80_000),
    ];
    bad(cost, 110, 20_000, link(20, 60_000).losing(3), bounds)
}

fn thin(cost: &CostTable) -> Played {
    let bounds = vec![least("shown_per_1000_s", 29_500), most("age_p95_us", 130_000), most("key_p95_us", 115_000)];
    bad(cost, 111, 5_000, link(5, 100_000).losing(1), bounds)
}

fn one_burst(cost: &CostTable, seed: u64, at_ms: u64, warm: bool, limit: i64) -> Played {
    let mut w = world(cost, seed, link(20, 40_000), Show::new(Burst(seed), at_ms, at_ms + 1, 1, Keys::Patch));
    if warm {
        press(&mut w, 1_000, 20, 60);
    }
    w.run_to(at_ms * 1_000 - 1_000);
    let mark = Mark::now(&mut w);
    w.run(Span::millis(3));
    let exact = run_until_exact(&mut w, Span::secs(5));
    let mut figures = Figures::new();
    figures.insert("exact_us".into(), exact.map_or(i64::MAX, |at| at.saturating_sub(at_ms * 1_000) as i64));
    let bounds = vec![most("exact_us", limit), most("queue_max_down_us", 20_000)];
    played(w, &mark, figures, seed, bounds)
}

fn burst(cost: &CostTable) -> Played {
    one_burst(cost, 112, 15_000, true, 165_000)
}

fn burst_cold(cost: &CostTable) -> Played {
    one_burst(cost, 113, 1_500, false, 200_000)
}

fn far(cost: &CostTable) -> Played {
    let seed = 114;
    let mut w = world(cost, seed, link(20, 300_000), Show::new(Scroll::new(seed), 9_000, 12_000, 30, Keys::Patch));
    w.run(Span::secs(4));
    let typing = Mark::now(&mut w);
    press(&mut w, 4_000, 30, 90);
    w.run_to(9_000_000);
    let mut figures = Figures::new();
    let keys = typing.keys(&w);
    let mark = Mark::now(&mut w);
    w.run_to(12_000_000);
    mark.figures(&mut w, &mut figures);
    super::measure::spread(&mut figures, "key", keys);
    // The span has half a round trip of nothing at its beginning.
    let shown = figures.get("age_count").copied().unwrap_or(0);
    figures.insert("steps_shown".into(), shown);
    let exact = run_until_exact(&mut w, Span::secs(5));
    let stop = last_step(9_000, 12_000, 30);
    figures.insert("exact_after_stop_us".into(), exact.map_or(i64::MAX, |at| at.saturating_sub(stop) as i64));
    let bounds = vec![
        most("key_p50_us", 303_000),
        most("key_p95_us", 306_000),
        most("age_p95_us", 180_000),
        most("exact_after_stop_us", 190_000),
    ];
    played(w, &mark, figures, seed, bounds)
}

fn blackout(cost: &CostTable) -> Played {
    let seed = 115;
    let mut w = world(cost, seed, link(20, 40_000), Show::new(Film::hd(seed), 1_000, 9_000, 30, Keys::Patch));
    w.run(Span::secs(4));
    let mark = Mark::now(&mut w);
    w.blackout(true);
    w.run(Span::secs(2));
    w.blackout(false);
    w.path(Direction::Down).passed_at = None;
    w.path(Direction::Up).passed_at = None;
    w.run(Span::secs(3));
    let mut figures = Figures::new();
    let passed = [Direction::Down, Direction::Up].map(|d| w.path(d).passed_at);
    let first = passed.into_iter().flatten().min().unwrap_or(0);
    let back = w.presents.iter().find(|at| **at > 6_000_000).copied().unwrap_or(u64::MAX / 2);
    figures.insert("first_packet_after_us".into(), first.saturating_sub(6_000_000) as i64);
    figures.insert("resumed_us".into(), back.saturating_sub(first) as i64);
    let bounds = vec![most("resumed_us", 240_000)];
    played(w, &mark, figures, seed, bounds)
}

fn idle(cost: &CostTable) -> Played {
    let seed = 116;
    let mut w = world(cost, seed, link(20, 40_000), Show::still(seed, Keys::Patch));
    press(&mut w, 1_000, 5, 100);
    w.run(Span::secs(37));
    let mark = Mark::now(&mut w);
    let wakes = w.wakes;
    w.run(Span::secs(240));
    // A key ends the silence, so that its pings are counted; it is left out of the wakes.
    let woken = [w.wakes[0] - wakes[0], w.wakes[1] - wakes[1]];
    press(&mut w, 277_000, 1, 100);
    w.run(Span::millis(1));
    let mut figures = Figures::new();
    mark.figures(&mut w, &mut figures);
    for (name, way) in [("bits_per_s_down", "bytes_down"), ("bits_per_s_up", "bytes_up")] {
        let bytes = figures.get(way).copied().unwrap_or(0);
        figures.insert(name.into(), bytes * 8 / 240);
    }
    figures.insert("host_wakes".into(), woken[0] as i64);
    figures.insert("viewer_wakes".into(), woken[1] as i64);
    let bounds = vec![
        most("bits_per_s_down", 40),
        most("bits_per_s_up", 40),
        most("host_wakes", 240),
        most("viewer_wakes", 240),
    ];
    played(w, &mark, figures, seed, bounds)
}
