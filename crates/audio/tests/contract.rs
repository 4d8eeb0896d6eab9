//! From a source to a sink without a device: what is heard, what silence costs, and devices that vanish and return.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use telepane_audio::synthetic::{Memory, Sweep, sweep};
use telepane_audio::{DeviceError, Failed, Fill, Heard, Now, Recorder, Sink, Speaker, Stream};
use telepane_codec::sound::Kind;
use telepane_model::{BitRate, HostClock, Span, Stamp, ViewerClock};
use telepane_session::sound::{Sender, SoundArrival, SoundCoding, SoundFrame, SoundPath};

const CODING: SoundCoding = SoundCoding { on: true, rate: BitRate::kbps(96), loss_percent: 0 };

/// Waits until it is so; a machine may be slow.
fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if is() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    panic!("never: {what}");
}

/// A source, the recorder on it, and what it hands on.
fn recorder(now: &Arc<AtomicU64>) -> (Memory, Recorder, Receiver<Heard>) {
    let (memory, now) = (Memory::default(), now.clone());
    let clock: Now = Arc::new(move || now.load(Ordering::Relaxed));
    let (send, heard) = channel();
    let give = move |frame| drop(send.send(frame));
    let recorder = Recorder::start("test", Box::new(memory.clone()), Kind::Desktop, clock, give).expect("a thread");
    (memory, recorder, heard)
}

fn arrival(sender: &mut Sender<HostClock>, heard: Heard) -> SoundArrival<HostClock> {
    let captured = Stamp::from_micros(heard.captured);
    let frame = SoundFrame { captured, bytes: heard.bytes, last: heard.last };
    let path = SoundPath { loss_ppm: 0, pace: BitRate::mbps(20), limit: None };
    let packet = sender.packet(captured, frame, path);
    SoundArrival {
        number: packet.number,
        captured,
        last: packet.last,
        frame: packet.frame,
        earlier: packet.earlier,
        offset: Some(0),
    }
}

#[test]
fn a_sweep_comes_out_as_it_went_in() {
    let now = Arc::new(AtomicU64::new(1_000_000));
    let (source, recorder, heard) = recorder(&now);
    recorder.set(CODING);
    until("the source is open", || source.is_open());
    let clock = now.clone();
    let sink = Memory::default();
    let clock: Now = Arc::new(move || clock.load(Ordering::Relaxed));
    let speaker = Speaker::<ViewerClock, HostClock>::start("test", Box::new(sink.clone()), clock).expect("a thread");
    let (mut sweep_in, mut sender, mut out) = (Sweep::default(), Sender::new(), Vec::new());
    for _ in 0..200 {
        // 10 ms at a time, as a device does.
        let mut samples = [0; 960];
        sweep_in.fill(&mut samples);
        now.fetch_add(10_000, Ordering::Relaxed);
        assert!(source.push(&samples));
        speaker.play(arrival(&mut sender, heard.recv().expect("a frame of each")));
        until("the sink is open", || sink.is_open());
        out.extend(sink.pull(960).expect("it is open").chunks(2).map(|p| p[0]));
    }
    let (best, lag) = best_lag(&out[48_000..]);
    let (figures, undecodable) = speaker.figures();
    println!("correlation {best:.4} at {:.1} ms, {figures:?}", lag as f64 / 48.0);
    assert!(best > 0.97, "{best}");
    assert_eq!((figures.concealed, figures.gaps, undecodable), (0, 0, 0));
    assert!(figures.held < Span::millis(40));
}

/// How well a stretch of the second second is the sweep, and by how many samples later.
fn best_lag(heard: &[i16]) -> (f64, usize) {
    let part = &heard[..12_000.min(heard.len())];
    let sweep: Vec<f64> = (0..96_000).map(|n| f64::from(sweep(n))).collect();
    let power: f64 = part.iter().map(|s| f64::from(*s).powi(2)).sum();
    let at = |lag: usize| {
        let (mut dot, mut own) = (0.0, 0.0);
        for (i, s) in part.iter().enumerate() {
            let w = sweep[48_000 + i - lag];
            dot += w * f64::from(*s);
            own += w * w;
        }
        dot / (own * power).sqrt().max(1.0)
    };
    (0..2_400).map(|lag| (at(lag), lag)).max_by(|a, b| a.0.total_cmp(&b.0)).expect("many")
}

// spec: S-1
#[test]
fn a_frame_says_when_it_was_taken_and_not_when_it_was_given() {
    let now = Arc::new(AtomicU64::new(1_000_000));
    let (source, recorder, heard) = recorder(&now);
    recorder.set(CODING);
    until("the source is open", || source.is_open());
    // A frame and a half of which the last sample was taken 30 ms ago, and the other half.
    source.push_late(&[900; 1_440], Span::millis(30));
    now.fetch_add(5_000, Ordering::Relaxed);
    source.push_late(&[900; 480], Span::millis(30));
    let at: Vec<u64> = heard.try_iter().map(|f| f.captured).collect();
    // 2.5 ms are what the coder looks ahead.
    assert_eq!(at, [1_000_000 - 30_000 - 15_000 - 2_500, 1_000_000 - 30_000 - 5_000 - 2_500]);
}

// spec: S-8
#[test]
fn silence_is_not_coded_and_nobody_listening_closes_the_source() {
    let now = Arc::new(AtomicU64::new(1_000_000));
    let (source, recorder, heard) = recorder(&now);
    std::thread::park_timeout(Duration::from_millis(30));
    assert!(!source.is_open(), "nobody listens");
    recorder.set(CODING);
    until("the source is open", || source.is_open());
    source.push(&[0; 9_600]);
    assert!(heard.try_recv().is_err(), "silence");
    source.push(&[500; 960]);
    assert!(!heard.recv().expect("heard").last);
    source.push(&[0; 960 * 50]);
    let after: Vec<bool> = heard.try_iter().map(|f| f.last).collect();
    assert_eq!((after.len(), after.last(), after.iter().filter(|l| **l).count()), (20, Some(&true), 1));
    recorder.set(SoundCoding::OFF);
    until("the source is closed", || !source.is_open());
}

#[test]
fn devices_that_vanish_are_opened_again_when_they_are_back() {
    let now = Arc::new(AtomicU64::new(1_000_000));
    let (source, recorder, heard) = recorder(&now);
    recorder.set(CODING);
    until("the source is open", || source.is_open());
    source.fail();
    until("it is closed", || !source.is_open());
    std::thread::park_timeout(Duration::from_millis(50));
    assert_eq!(source.opened(), 1, "it is not there");
    source.back();
    until("it is open again", || source.is_open());
    source.push(&[500; 960]);
    heard.recv().expect("it is heard again");
    assert_eq!((source.opened(), recorder.rebuilt()), (2, 1));

    let clock = now.clone();
    let clock: Now = Arc::new(move || clock.load(Ordering::Relaxed));
    let sink = Memory::default();
    let speaker = Speaker::<ViewerClock, HostClock>::start("test", Box::new(sink.clone()), clock).expect("a thread");
    let sender = Mutex::new(Sender::new());
    let play = || {
        source.push(&[500; 960]);
        let frame = heard.recv().expect("a frame");
        speaker.play(arrival(&mut sender.lock().expect("ours"), frame));
    };
    play();
    until("the sink is open", || sink.is_open());
    sink.fail();
    until("it is closed", || !sink.is_open());
    until("what is wrong is known", || speaker.trouble().is_some());
    sink.back();
    until("it is open again", || {
        play();
        sink.is_open()
    });
    assert!(speaker.rebuilt() >= 1 && speaker.trouble().is_none());
}

/// A sink whose device fails, and then takes its time to say that it cannot be opened.
struct Stubborn {
    asked: mpsc::Sender<()>,
    answer: Receiver<()>,
}

impl Sink for Stubborn {
    fn name(&self) -> String {
        "stubborn".into()
    }

    fn open(&mut self, _: Fill, mut failed: Failed) -> Result<Box<dyn Stream>, DeviceError> {
        failed("pulled out".into());
        self.asked.send(()).expect("the test waits for it");
        self.answer.recv().expect("the test answers");
        Err(DeviceError("it was pulled out".into()))
    }
}

#[test]
fn a_speaker_that_is_dropped_while_its_device_fails_ends() {
    let (asked, is_asked) = channel();
    let (refuse, answer) = channel();
    let sink = Box::new(Stubborn { asked, answer });
    let speaker = Speaker::<ViewerClock, HostClock>::start("test", sink, Arc::new(|| 1_000_000)).expect("a thread");
    let captured = Stamp::from_micros(990_000);
    speaker.play(SoundArrival {
        number: 0,
        captured,
        last: false,
        frame: vec![0; 8],
        earlier: vec![],
        offset: Some(0),
    });
    is_asked.recv().expect("the sink is opened");
    // The device's word that it failed waits before this one.
    drop(speaker);
    refuse.send(()).expect("the sink waits for it");
    assert!(is_asked.recv().is_err(), "the sink goes with its thread, and is opened no more");
}
