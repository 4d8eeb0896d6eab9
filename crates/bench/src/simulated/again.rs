//! A recorded session once more, in the simulator: the screen as it was, the presses when they came, and a link as the
//! host's journal tells of it.
//!
//! Needed are the host's journal (`serve --notes`) and the screen (`serve --record`). The link's rate, round trip and loss are
//! what the controller made of them ten times a second at most, which is as much as the host ever knew. What was
//! pressed is not in a journal, only when: the screen already shows what came of it. It begins when the first viewer was there,
//! and a second one is not played.

use super::measure::percentile;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::sync::Arc;
use telepane_capture::replay::Replay;
use telepane_capture::{Event, Source};
use telepane_model::{
    BitRate, Damage, FrameFacts, FrameId, HostClock, InputEvent, KeyCode, KeyMove, Pixels, Size, Span, Stamp, Surf,
    SurfaceId,
};
use telepane_sim::world::HOST_EPOCH;
use telepane_sim::{CostTable, LinkModel, Screen, World, WorldOptions};

/// What a host's journal tells of a session.
#[derive(Debug, Default, PartialEq, Eq)]
struct Recorded {
    /// So long after the recording began the first viewer was there; all other times are counted from here.
    skipped: u64,
    /// Links from a time on, in microseconds.
    links: Vec<(u64, Link)>,
    /// When something was pressed.
    presses: Vec<u64>,
    told: Told,
    queues: Vec<u64>,
    end: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Link {
    kbps: u64,
    rtt_us: u64,
    lost_ppm: u32,
}

/// What is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    first: u64,
    slices: u64,
    bytes: u64,
    resent: u64,
    gave_up: u64,
    rebased: u64,
}

/// More lines than this are no session's.
const MOST_LINES: usize = 20_000_000;
/// A link is changed when its rate or its way differ by more than a twentieth: the controller's estimate trembles.
const TREMBLES: u64 = 20;

impl Link {
    fn model(self) -> LinkModel {
        let clean = LinkModel::clean(BitRate::kbps(self.kbps.max(50)), Span::micros(self.rtt_us / 2));
        LinkModel { loss_ppm: self.lost_ppm, ..clean }
    }

    const fn is_like(self, other: Self) -> bool {
        self.kbps.abs_diff(other.kbps) * TREMBLES <= other.kbps
            && self.rtt_us.abs_diff(other.rtt_us) * TREMBLES <= other.rtt_us
            && self.lost_ppm.abs_diff(other.lost_ppm) < 5_000
    }
}

impl Told {
    fn take(&mut self, at: u64, note: &str) {
        match note.split([' ', '{']).next().unwrap_or_default() {
            "SliceSent" => {
                if self.slices == 0 {
                    self.first = at;
                }
                self.slices += 1;
                self.bytes += figure(note, "bytes: Bytes(").unwrap_or(0);
            }
            "Resent" => self.resent += figure(note, "shards: ").unwrap_or(0),
            "GaveUp" => self.gave_up += 1,
            "Rebased" => self.rebased += 1,
            _ => {}
        }
    }
}

/// The number behind `key`, without its fraction's point: `3.100ms` are 3100.
fn figure(note: &str, key: &str) -> Option<u64> {
    let rest = &note[note.find(key)? + key.len()..];
    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').filter(|c| *c != '.').collect();
    digits.parse().ok()
}

/// Time and note of a line of the host's: `123 Note { … }` of a program, `123 host Note { … }` of the simulator.
fn line(text: &str) -> Option<(u64, &str)> {
    let (at, rest) = text.trim_start().split_once(' ')?;
    let rest = rest.trim_start();
    let note = match rest.strip_prefix("host ") {
        Some(note) => note.trim_start(),
        None if rest.starts_with("viewer ") || rest.starts_with("world ") => return None,
        None => rest,
    };
    Some((at.parse().ok()?, note))
}

fn read(text: &str) -> Result<Recorded> {
    ensure!(!text.starts_with("telepane-notes 1 viewer"), "this is the viewer's journal; the host's is needed");
    let mut all = Recorded::default();
    let began = text.lines().filter_map(line).find_map(|(_, note)| {
        let at = note.strip_prefix("Recording { began: host:")?;
        figure(at, "")
    });
    let began = began.context("the journal does not say when the recording began; give --record with --notes")?;
    let attached = text.lines().filter_map(line).find(|(at, note)| *at >= began && note.starts_with("EpochBegan "));
    let start = attached.map_or(began, |(at, _)| at);
    all.skipped = start - began;
    for (at, note) in text.lines().take(MOST_LINES).filter_map(line) {
        let Some(at) = at.checked_sub(start) else { continue };
        all.end = all.end.max(at);
        all.told.take(at, note);
        if note.starts_with("Budget ") {
            let (kbps, rtt) = (figure(note, "pace: "), figure(note, "rtt: "));
            let (Some(kbps), Some(rtt_us)) = (kbps, rtt) else { continue };
            let lost_ppm = figure(note, "lost_ppm: ").unwrap_or(0) as u32;
            all.queues.extend(figure(note, "queue: "));
            let link = Link { kbps, rtt_us, lost_ppm };
            if all.links.last().is_none_or(|(_, last)| !link.is_like(*last)) {
                all.links.push((at, link));
            }
        }
        if note.starts_with("Injected ") {
            all.presses.push(at.saturating_sub(figure(note, "age: ").unwrap_or(0)));
        }
    }
    ensure!(!all.links.is_empty(), "the journal tells nothing of the link: was a viewer there?");
    Ok(all)
}

/// A recording as a screen.
struct Tape {
    replay: Replay,
    /// The whole picture is told next.
    whole: bool,
    frame: FrameId,
}

impl Tape {
    /// The recording from `skipped` microseconds on.
    fn new(mut replay: Replay, skipped: u64) -> Result<Self> {
        let from = HOST_EPOCH.checked_sub(skipped).context("the first viewer came after more than 1.9 hours")?;
        for at in [from, HOST_EPOCH - 1] {
            while replay.poll(Stamp::from_micros(at))?.is_some() {}
        }
        Ok(Self { replay, whole: true, frame: FrameId(0) })
    }
}

impl Screen for Tape {
    fn poll(&mut self, now: Stamp<HostClock>) -> Option<FrameFacts> {
        let mut facts = None;
        while let Ok(Some(event)) = self.replay.poll(now) {
            if let Event::Frame(frame) = event {
                facts = Some(frame);
                break;
            }
        }
        let size = self.replay.pixels().size();
        let damage = match std::mem::take(&mut self.whole) {
            true => Damage::all(size),
            false => facts?.damage,
        };
        self.frame.0 += 1;
        Some(FrameFacts { id: self.frame, surface: SurfaceId(0), size, captured: now, damage })
    }

    fn pixels(&self) -> Arc<Pixels> {
        self.replay.pixels()
    }

    fn next_at(&self) -> Option<Stamp<HostClock>> {
        self.replay.wake().at
    }

    fn input(&mut self, _now: Stamp<HostClock>, _event: &InputEvent) {
        // What input did is in the recording.
    }

    fn resize(&mut self, _size: Size<Surf>) {}

    fn tell_again(&mut self) {
        self.whole = true;
    }
}

fn replayed(recorded: &Recorded, screen: Replay, cost: &CostTable) -> Result<World> {
    let first = recorded.links.first().map_or(Link::default(), |(_, link)| *link);
    let options = WorldOptions::new(1, first.model(), Box::new(Tape::new(screen, recorded.skipped)?));
    let mut world = World::new(WorldOptions { cost: *cost, judged: false, ..options });
    for at in &recorded.presses {
        // Which key is not in the journal; one that the viewer would not repeat or hold.
        world.input_at(*at, InputEvent::Key { code: KeyCode(30), action: KeyMove::Down });
        world.input_at(*at + 1_000, InputEvent::Key { code: KeyCode(30), action: KeyMove::Up });
    }
    for (at, link) in recorded.links.iter().skip(1) {
        world.run_to(*at);
        world.set_link(link.model(), link.model());
    }
    world.run_to(recorded.end);
    Ok(world)
}

/// Plays `screen` again as the journal tells, and prints what both say.
///
/// # Errors
/// When a file cannot be read, or is not what it should be.
pub fn run(notes: &Path, screen: &Path, cost: &CostTable, journals: Option<&Path>) -> Result<()> {
    let text = std::fs::read_to_string(notes).with_context(|| format!("{} cannot be read", notes.display()))?;
    let recorded = read(&text).with_context(|| notes.display().to_string())?;
    let tape = Replay::open(screen, false).with_context(|| screen.display().to_string())?;
    let world = replayed(&recorded, tape, cost)?;
    let again = read_again(&world);
    let p95 = |mut v: Vec<u64>| {
        v.sort_unstable();
        percentile(&v, 95)
    };
    println!(
        "{}: {:.1} s, {} links, {} presses\n",
        notes.display(),
        recorded.end as f64 / 1e6,
        recorded.links.len(),
        recorded.presses.len()
    );
    println!("{:<24} {:>12} {:>12}", "", "recorded", "reproduced");
    let rows = [
        ("slices", recorded.told.slices, again.told.slices),
        ("bytes of slices", recorded.told.bytes, again.told.bytes),
        ("shards sent again", recorded.told.resent, again.told.resent),
        ("given up", recorded.told.gave_up, again.told.gave_up),
        ("rebases", recorded.told.rebased, again.told.rebased),
        ("queue p95, us", p95(recorded.queues.clone()), p95(again.queues)),
    ];
    rows.iter().for_each(|(name, a, b)| println!("{name:<24} {a:>12} {b:>12}"));
    let ages = p95(world.ages.iter().map(|a| a.as_micros()).collect());
    println!("{:<24} {:>12} {ages:>12}", "age p95, us", "-");
    if let Some(dir) = journals {
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("replay.notes"), world.journal())?;
    }
    Ok(())
}

/// The simulator's own journal, read the same way.
fn read_again(world: &World) -> Recorded {
    let mut all = Recorded::default();
    for (at, note) in world.journal().lines().filter_map(line) {
        all.told.take(at, note);
        if note.starts_with("Budget ") {
            all.queues.extend(figure(note, "queue: "));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::{costs, scenario};
    use telepane_capture::replay::Recorder;
    use telepane_capture::synthetic::{Kind, Synthetic};

    #[test]
    fn a_journal_is_read_and_the_wrong_one_is_named() {
        let text = "telepane-notes 1 host\n1000000 Recording { began: host:1.000000 }\n\
            1500000 Budget { pace: 20000kbit/s, share: 18000kbit/s, queue: 3.100ms, rtt: 40.250ms, lost_ppm: 0, why: Track }\n\
            1600000 Budget { pace: 20100kbit/s, share: 18000kbit/s, queue: 0.100ms, rtt: 40.250ms, lost_ppm: 0, why: Track }\n\
            1700000 Injected { seq: InputSeq(1), age: 20.000ms }\n\
            1800000 SliceSent { id: UpdateId(1), base: UpdateId(0), bytes: Bytes(700) }\n";
        let r = read(text).unwrap();
        assert_eq!(r.links, [(500_000, Link { kbps: 20_000, rtt_us: 40_250, lost_ppm: 0 })], "a tremble is no change");
        assert_eq!((r.presses, r.queues, r.told.bytes, r.end), (vec![680_000], vec![3_100, 100], 700, 800_000));
        let wrong = read(&text.replace(" host\n", " viewer\n")).unwrap_err();
        assert!(wrong.to_string().contains("viewer's journal"), "{wrong}");
        assert!(read("telepane-notes 1 host\n").unwrap_err().to_string().contains("--record"));
    }

    /// A session of the simulator stands for a real one: its journal and its screen are the two files.
    #[test]
    fn a_recorded_session_comes_out_alike() {
        let size = Size::new(480, 320);
        let mut screen = Synthetic::new(Kind::Scroll, size, 5);
        let options = WorldOptions::new(7, scenario::link(5, 60_000), Box::new(Synthetic::new(Kind::Scroll, size, 5)));
        let cost = costs::committed().unwrap();
        let mut world = World::new(WorldOptions { cost, ..options });
        let mut recorder = Recorder::new(Vec::new(), size).unwrap();
        for us in (0..4_000_000).step_by(10_000) {
            let now = Stamp::from_micros(HOST_EPOCH + us);
            if let Some(facts) = Screen::poll(&mut screen, now) {
                recorder
                    .frame(&FrameFacts { captured: now, damage: Damage::all(size), ..facts }, &Screen::pixels(&screen))
                    .unwrap();
            }
        }
        let tape = recorder.finish(Stamp::from_micros(HOST_EPOCH + 4_000_000)).unwrap();
        world.run_to(4_000_000);
        let journal = format!("0 host Recording {{ began: host:0.000000 }}\n{}", world.journal());
        let recorded = read(&journal).unwrap();
        let replay = Replay::from_tape("test".into(), Box::new(std::io::Cursor::new(tape)), false).unwrap();
        let again = read_again(&replayed(&recorded, replay, &cost).unwrap());
        let (a, b) = (recorded.told.bytes as f64, again.told.bytes as f64);
        println!("recorded {:?}\nreproduced {:?}", recorded.told, again.told);
        assert!(a > 20_000.0 && (b / a - 1.0).abs() < 0.15, "{a} and {b} bytes");
    }
}
