//! Recordings as a source: `.seq` ([`seq`]) and `.deskrec` ([`deskrec`]), at their recorded times, once or for ever.
//!
//! Files are hostile: surfaces are at most [`MOST_AREA`] pixels, a record is read only as far as the file goes, and
//! what is unpacked is bounded by the rectangles it claims to fill.

mod deskrec;
mod seq;

pub use deskrec::Recorder;

use crate::held::Held;
use crate::rects;
use crate::source::{Description, Event, Lost, ResizeRefused, Source, Wake};
use deskrec::DeskRec;
use seq::Seq;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use telepane_model::{Damage, FrameFacts, FrameId, HostClock, Pixels, Size, Span, Stamp, Surf, SurfaceId, Trust};

/// The largest surface of a recording: 7680x4320 and a little.
pub const MOST_AREA: u64 = 33_554_432;

/// Between the last frame of a loop and the first, if the recording does not say.
const LOOP_GAP: Span = Span::millis(100);

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Neither format.
    #[error("neither a .seq nor a .deskrec recording")]
    Magic,
    /// A later format.
    #[error("version {0} of .deskrec is not known here; record it again, or use a newer program")]
    Version(u32),
    /// Too large or empty.
    #[error("a surface of {0} is not possible in a recording")]
    Size(Size<Surf>),
    /// The file ends within a record.
    #[error("the file is cut off")]
    Cut,
    /// Contradictory contents.
    #[error("{0}")]
    Malformed(&'static str),
    /// The system said no.
    #[error("{0}")]
    System(String),
}

impl From<std::io::Error> for Fault {
    fn from(e: std::io::Error) -> Self {
        if e.kind() == std::io::ErrorKind::UnexpectedEof { Self::Cut } else { Self::System(e.to_string()) }
    }
}

/// One record: when, and what, still packed.
#[derive(Debug)]
pub(crate) struct Step {
    at: Span,
    kind: u32,
    body: Vec<u8>,
}

fn number32(from: &mut dyn Read) -> Result<u32, Fault> {
    let mut bytes = [0u8; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// A record's bytes. Grows as the file gives them, never to a length that is only claimed.
fn body(from: &mut dyn Read, len: u32, size: Size<Surf>) -> Result<Vec<u8>, Fault> {
    // zstd stores what it cannot compress with a few bytes for each 128 KiB.
    if u64::from(len) > size.area() * 4 + size.area() / 1024 + 65_536 {
        return Err(Fault::Malformed("a record is larger than its pixels"));
    }
    let mut bytes = Vec::new();
    from.take(len.into()).read_to_end(&mut bytes)?;
    if bytes.len() == len as usize { Ok(bytes) } else { Err(Fault::Cut) }
}

/// Rows out of zstd, as many as asked for.
pub(crate) struct Rows<'a>(zstd::stream::read::Decoder<'a, BufReader<&'a mut &'a [u8]>>);

impl<'a> Rows<'a> {
    fn new(packed: &'a mut &'a [u8]) -> Result<Self, Fault> {
        let mut decoder = zstd::stream::read::Decoder::new(packed)?;
        // 128 MiB of window at most: what the largest surface may refer back to.
        decoder.window_log_max(27)?;
        Ok(Self(decoder))
    }

    /// `count` rows of `stride` bytes, each with its number.
    fn take(&mut self, stride: usize, count: u32, mut sink: impl FnMut(u32, &[u8])) -> Result<(), Fault> {
        let mut row = vec![0u8; stride];
        for y in 0..count {
            self.0.read_exact(&mut row).map_err(|_| Fault::Malformed("a frame's pixels do not unpack"))?;
            sink(y, &row);
        }
        Ok(())
    }

    /// There are no more.
    fn end(mut self) -> Result<(), Fault> {
        match self.0.read(&mut [0u8]) {
            Ok(0) => Ok(()),
            _ => Err(Fault::Malformed("a frame has more pixels than it says")),
        }
    }
}

#[derive(Debug)]
enum Format {
    Seq(Seq),
    DeskRec(DeskRec),
}

impl Format {
    fn open(from: &mut dyn Read) -> Result<Self, Fault> {
        let mut magic = [0u8; 8];
        let (first, second) = magic.split_at_mut(4);
        from.read_exact(first).map_err(|_| Fault::Magic)?;
        if first == b"SEQ2" {
            return Seq::open(from).map(Self::Seq);
        }
        from.read_exact(second).map_err(|_| Fault::Magic)?;
        if magic != deskrec::MAGIC {
            return Err(Fault::Magic);
        }
        DeskRec::open(from).map(Self::DeskRec)
    }

    fn size(&self) -> Size<Surf> {
        match self {
            Self::Seq(f) => f.size,
            Self::DeskRec(f) => f.size,
        }
    }

    fn next(&mut self, from: &mut dyn Read) -> Result<Option<Step>, Fault> {
        match self {
            Self::Seq(f) => f.next(from),
            Self::DeskRec(f) => f.next(from),
        }
    }

    fn is_frame(&self, step: &Step) -> bool {
        match self {
            Self::Seq(_) => true,
            Self::DeskRec(_) => step.kind == u32::from(deskrec::FRAME),
        }
    }

    fn apply(
        &mut self,
        step: &Step,
        held: &mut Held,
        changed: &mut Vec<telepane_model::Rect<Surf>>,
    ) -> Result<(), Fault> {
        match self {
            Self::Seq(f) => f.apply(step, held, changed),
            Self::DeskRec(f) => f.apply(step, held, changed),
        }
    }
}

/// What a recording can be read from.
pub trait Tape: Read + Seek + Send {}
impl<T: Read + Seek + Send> Tape for T {}

/// A recording that plays.
pub struct Replay {
    name: String,
    tape: BufReader<Box<dyn Tape>>,
    format: Format,
    looping: bool,
    held: Held,
    frame: FrameId,
    /// When the present round began; set by the first poll.
    start: Option<Stamp<HostClock>>,
    next: Option<Step>,
    /// The time of the last record in this round, and the shortest pause before it.
    last: Span,
    gap: Span,
    whole: bool,
    /// Records that changed nothing are no frames; a round without any frame must not loop without end.
    played: bool,
}

impl Replay {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read or is no recording.
    pub fn open(path: &Path, looping: bool) -> Result<Self, Fault> {
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        Self::from_tape(name, Box::new(std::fs::File::open(path)?), looping)
    }

    /// Plays from anything that can be read and wound back.
    ///
    /// # Errors
    /// When it is no recording.
    pub fn from_tape(name: String, tape: Box<dyn Tape>, looping: bool) -> Result<Self, Fault> {
        let mut tape = BufReader::new(tape);
        let mut format = Format::open(&mut tape)?;
        let held = Held::new(format.size());
        let next = format.next(&mut tape)?;
        if next.is_none() {
            return Err(Fault::Malformed("it holds no frame"));
        }
        Ok(Self {
            name,
            tape,
            format,
            looping,
            held,
            frame: FrameId(0),
            start: None,
            next,
            last: Span::ZERO,
            gap: LOOP_GAP,
            whole: true,
            played: false,
        })
    }

    /// Whether everything was shown and nothing will come any more.
    pub fn is_over(&self) -> bool {
        self.next.is_none()
    }

    /// Back to the beginning, on the picture that stands: what differs is damage.
    fn rewind(&mut self, now: Stamp<HostClock>) -> Result<(), Fault> {
        self.tape.rewind()?;
        self.format = Format::open(&mut self.tape)?;
        if self.format.size() != self.held.size() {
            self.held = Held::new(self.format.size());
            self.whole = true;
        }
        self.next = self.format.next(&mut self.tape)?;
        let (last, gap) = (self.last, self.gap);
        self.start = self.start.map(|s| (s + last + gap).max(now - gap));
        self.last = Span::ZERO;
        self.played = false;
        Ok(())
    }

    /// When the next record is to be played, or the next round to begin.
    fn due(&self) -> Option<Stamp<HostClock>> {
        match &self.next {
            Some(step) => Some(self.start.map_or(Stamp::ZERO, |s| s + step.at)),
            None if self.looping && self.played => self.start.map(|s| s + self.last + self.gap),
            None => None,
        }
    }

    /// Plays what is due; whether there is a frame to tell.
    fn play(&mut self, now: Stamp<HostClock>) -> Result<Option<FrameFacts>, Fault> {
        if self.next.is_none() {
            self.rewind(now)?;
        }
        let start = *self.start.get_or_insert(now);
        let Some(step) = self.next.take_if(|s| start + s.at <= now) else {
            return Ok(None);
        };
        let before = self.held.size();
        let mut changed = Vec::new();
        self.format.apply(&step, &mut self.held, &mut changed)?;
        if step.at > self.last {
            self.gap = step.at.saturating_sub(self.last).max(Span::millis(1)).min(LOOP_GAP);
        }
        self.last = step.at;
        self.next = self.format.next(&mut self.tape)?;
        let size = self.held.size();
        self.whole |= size != before;
        self.played |= !changed.is_empty();
        // A change of size waits for the frame that fills it.
        if changed.is_empty() && !(self.whole && self.format.is_frame(&step)) {
            return Ok(None);
        }
        let damage =
            if std::mem::take(&mut self.whole) { Damage::all(size) } else { Damage::exact(rects::region(changed)) };
        self.frame = FrameId(self.frame.0 + 1);
        Ok(Some(FrameFacts { id: self.frame, surface: SurfaceId(0), size, captured: now, damage }))
    }
}

impl Source for Replay {
    fn describe(&self) -> Description {
        Description {
            name: format!("replay {}", self.name),
            backend: "replay",
            damage: Trust::Exact,
            has_cursor: false,
            can_resize: false,
            size: self.held.size(),
        }
    }

    fn poll(&mut self, now: Stamp<HostClock>) -> Result<Option<Event>, Lost> {
        // Records that show nothing new are passed over, a bounded number in one call.
        for _ in 0..256 {
            if self.due().is_none_or(|at| at > now) {
                break;
            }
            let played = self
                .play(now)
                .map_err(|fault| Lost::Recording { name: self.name.clone(), reason: fault.to_string() })?;
            if let Some(facts) = played {
                return Ok(Some(Event::Frame(facts)));
            }
        }
        Ok(None)
    }

    fn pixels(&self) -> Arc<Pixels> {
        self.held.pixels()
    }

    fn wake(&self) -> Wake {
        Wake { fd: None, at: self.due() }
    }

    fn resize(&mut self, _size: Size<Surf>) -> Result<Size<Surf>, ResizeRefused> {
        Err(ResizeRefused::Fixed("a recording"))
    }

    fn expect_echo(&mut self, _now: Stamp<HostClock>) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use telepane_model::{Rect, Rng};

    type T = Stamp<HostClock>;

    fn seq(frames: &[(u32, u32, Vec<u8>)], w: u32, h: u32) -> Vec<u8> {
        let mut out = b"SEQ2".to_vec();
        for n in [w, h, frames.len() as u32] {
            out.extend(n.to_le_bytes());
        }
        for (ms, kind, data) in frames {
            let packed = zstd::encode_all(data.as_slice(), 1).unwrap();
            for n in [*ms, *kind, packed.len() as u32] {
                out.extend(n.to_le_bytes());
            }
            out.extend(packed);
        }
        out
    }

    fn play(bytes: &[u8], looping: bool, until: Span) -> Result<Vec<(T, FrameFacts, Arc<Pixels>)>, String> {
        let tape = Box::new(Cursor::new(bytes.to_vec()));
        let mut replay = Replay::from_tape("test".into(), tape, looping).map_err(|e| e.to_string())?;
        let (mut now, mut out) = (T::from_micros(9_000), Vec::new());
        let end = now + until;
        while now <= end {
            while let Some(event) = replay.poll(now).map_err(|e| e.to_string())? {
                let Event::Frame(f) = event else { panic!("{event:?}") };
                out.push((now, f, replay.pixels()));
            }
            let Some(at) = replay.wake().at else { break };
            now = at.max(now + Span::micros(1));
        }
        Ok(out)
    }

    #[test]
    fn a_seq_is_xor_or_whole_at_its_times() {
        let (a, b) = (vec![3u8; 4 * 4 * 2], vec![5u8; 4 * 4 * 2]);
        let file = seq(&[(0, 0, a), (40, 0, b), (100, 1, vec![7u8; 32])], 4, 2);
        let got = play(&file, false, Span::secs(1)).unwrap();
        let shown: Vec<_> = got.iter().map(|(t, f, p)| (t.as_micros() - 9_000, f.id.0, p.get(3, 1))).collect();
        assert_eq!(shown, [(0, 1, Some([3; 3])), (40_000, 2, Some([6; 3])), (100_000, 3, Some([7; 3]))]);
        assert_eq!(got[0].1.damage, Damage::all(Size::new(4, 2)));
        let looped = play(&file, true, Span::secs(1)).unwrap();
        assert!(looped.len() > 15, "{}", looped.len());
        assert!(looped.iter().enumerate().all(|(i, (_, f, _))| f.id.0 == i as u64 + 1));
    }

    /// A recording of random damage, with a resize in the middle, plays back pixel for pixel.
    #[test]
    fn what_is_recorded_is_replayed() {
        let mut rng = Rng::new(4);
        let mut recorder = Recorder::new(Vec::new(), Size::new(70, 50)).unwrap();
        let mut want = Vec::new();
        for round in 0..20u64 {
            let size = if round < 12 { Size::new(70, 50) } else { Size::new(33, 90) };
            let mut pixels = want
                .last()
                .map(|(_, p): &(u64, Pixels)| p.clone())
                .filter(|p| p.size() == size)
                .unwrap_or_else(|| Pixels::new(size));
            let region = (0..3)
                .map(|_| {
                    let r = Rect::new(rng.below(40) as i32, rng.below(40) as i32, 9, 1 + rng.below(9) as u32);
                    let r = r.intersect(size.rect());
                    pixels.fill(r, [round as u8 + 1, rng.below(9) as u8, 0]);
                    r
                })
                .collect();
            let facts = FrameFacts {
                id: FrameId(round + 1),
                surface: SurfaceId(0),
                size,
                captured: T::from_micros(500 + round * 7_000),
                damage: Damage::exact(region),
            };
            recorder.frame(&facts, &pixels).unwrap();
            want.push((round * 7_000, pixels));
        }
        let file = recorder.finish(T::from_micros(500_000)).unwrap();
        let got = play(&file, false, Span::secs(2)).unwrap();
        assert_eq!(got.len(), want.len());
        for ((at, facts, pixels), (time, original)) in got.iter().zip(&want) {
            assert_eq!(at.as_micros() - 9_000, *time);
            assert!(**pixels == *original, "{:?}", facts.id);
        }
        assert!(play(&file, true, Span::secs(2)).unwrap().len() > 50);
        // A file that was cut off ends with its last whole record.
        let cut = play(&file[..file.len() * 2 / 3], false, Span::secs(2)).unwrap();
        assert!(cut.len() > 5 && cut.len() < 20, "{}", cut.len());
    }

    /// Damaged files are errors or other pictures, never a panic, never endless, never a huge allocation.
    #[test]
    fn hostile_files_are_survived() {
        let mut rng = Rng::new(8);
        let mut recorder = Recorder::new(Vec::new(), Size::new(20, 20)).unwrap();
        let facts = |n: u64| FrameFacts {
            id: FrameId(n),
            surface: SurfaceId(0),
            size: Size::new(20, 20),
            captured: T::from_micros(n * 1000),
            damage: Damage::all(Size::new(20, 20)),
        };
        let mut pixels = Pixels::new(Size::new(20, 20));
        for n in 1..4 {
            pixels.fill(Rect::new(0, 0, 5, 5), [n as u8, 1, 1]);
            recorder.frame(&facts(n), &pixels).unwrap();
        }
        let rec = recorder.finish(T::from_micros(9_000)).unwrap();
        let seq = seq(&[(0, 0, vec![1; 1600]), (5, 0, vec![2; 1600])], 20, 20);
        let mut refused = 0;
        for good in [rec, seq] {
            for round in 0..800 {
                let mut bad = good.clone();
                for _ in 0..1 + rng.below(3) {
                    let at = rng.below(bad.len() as u64) as usize;
                    bad[at] = [0, 0xff, 1, rng.below(256) as u8][rng.below(4) as usize];
                }
                if round % 5 == 0 {
                    bad.truncate(rng.below(bad.len() as u64) as usize);
                }
                refused += u32::from(play(&bad, round % 2 == 0, Span::millis(50)).is_err());
            }
        }
        assert!(refused > 200, "{refused}");
    }
}
