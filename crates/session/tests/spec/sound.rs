//! Sound between the two minds: who may send, what it is charged to, and what is refused.

use crate::{host_at, viewer_at};
use telepane_model::{Bytes, HostClock, ViewerClock};
use telepane_protocol::{Capabilities, Capability, Control, Datagram, SoundPacket};
use telepane_rate::Policy;
use telepane_session::sound::{SoundArrival, SoundFrame};
use telepane_session::{Host, HostOptions, HostOutput, Incoming, Viewer, ViewerOutput};

const FRAME: [u8; 4] = [0xf4, 1, 2, 3];

/// Both minds; what one sends reaches the other at once.
struct Pair {
    host: Host,
    viewer: Viewer,
    ms: u64,
    heard: Vec<SoundArrival<HostClock>>,
    spoken: Vec<SoundArrival<ViewerClock>>,
    states: Vec<(bool, bool)>,
    refused: Vec<String>,
    codings: Vec<(bool, u64)>,
    /// Datagrams of sound either way.
    sound: usize,
}

impl Pair {
    fn new(host_understands: bool, viewer_understands: bool) -> Self {
        let can = |yes: bool| Capabilities::default().with(Capability::Sound, u64::from(yes));
        let mut host = Host::new(host_at(0), HostOptions::default());
        let mut viewer = Viewer::new(viewer_at(0), Policy::default());
        host.on_capabilities(&can(viewer_understands));
        viewer.on_capabilities(&can(host_understands));
        host.on_attached(host_at(0), 1_200, &[]);
        viewer.on_attached(viewer_at(0), host_at(0));
        let (heard, spoken, states) = (Vec::new(), Vec::new(), Vec::new());
        let (refused, codings) = (Vec::new(), Vec::new());
        let mut pair = Self { host, viewer, ms: 0, heard, spoken, states, refused, codings, sound: 0 };
        pair.pass(50);
        pair
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.ms += 1;
            self.turn();
        }
    }

    fn turn(&mut self) {
        let (h, v) = (host_at(self.ms), viewer_at(self.ms));
        self.host.on_time(h);
        loop {
            match self.host.poll_output() {
                HostOutput::Datagram(bytes) => {
                    self.sound += usize::from(Datagram::kind_name(&bytes) == "sound");
                    self.viewer.on_datagram(&Incoming { bytes, arrived: v });
                }
                HostOutput::Control(m) => self.viewer.on_control(v, m),
                HostOutput::Sound(packet) => self.spoken.push(packet),
                HostOutput::SoundCoding(c) => self.codings.push((c.on, c.rate.as_bps())),
                HostOutput::Note(note) => self.refused.push(format!("{note:?}")),
                HostOutput::Idle { .. } => break,
                _ => {}
            }
        }
        self.viewer.on_time(v);
        loop {
            match self.viewer.poll_output() {
                ViewerOutput::Datagram(bytes) => {
                    self.sound += usize::from(Datagram::kind_name(&bytes) == "sound");
                    self.host.on_datagram(&Incoming { bytes, arrived: h });
                }
                ViewerOutput::Control(m) => self.host.on_control(h, m),
                ViewerOutput::Sound(packet) => self.heard.push(packet),
                ViewerOutput::SoundState { offers, takes } => self.states.push((offers, takes)),
                ViewerOutput::Idle { .. } => break,
                _ => {}
            }
        }
    }

    /// The desktop plays for so many frames.
    fn play(&mut self, frames: usize) {
        for _ in 0..frames {
            let captured = host_at(self.ms);
            self.host.on_sound(captured, SoundFrame { captured, bytes: FRAME.to_vec(), last: false });
            self.pass(10);
        }
    }

    fn speak(&mut self, frames: usize) {
        for _ in 0..frames {
            let captured = viewer_at(self.ms);
            self.viewer.on_microphone(captured, SoundFrame { captured, bytes: FRAME.to_vec(), last: false });
            self.pass(10);
        }
    }
}

// spec: S-5, S-6, S-7
#[test]
fn the_desktop_is_heard_by_who_listens_and_may_and_understands() {
    for (host, viewer, offers, listens) in [
        (true, true, true, true),
        (false, true, true, true),
        (true, false, true, true),
        (true, true, false, true),
        (true, true, true, false),
    ] {
        let mut p = Pair::new(host, viewer);
        p.host.on_sound_rights(host_at(p.ms), offers, false);
        p.viewer.on_sound_wish(viewer_at(p.ms), listens, false);
        p.pass(20);
        p.play(10);
        let all = host && viewer && offers && listens;
        assert_eq!(p.heard.len(), if all { 10 } else { 0 }, "{host} {viewer} {offers} {listens}");
        assert_eq!(p.codings.iter().any(|(on, _)| *on), all);
        if all {
            assert_eq!(p.states, [(true, false)]);
            let numbers: Vec<u32> = p.heard.iter().map(|h| h.number).collect();
            assert_eq!(numbers, (0..10).collect::<Vec<_>>());
            assert!(p.heard.iter().all(|h| h.frame == FRAME && h.earlier.is_empty()));
            // Whoever stops listening is sent nothing more, and nothing need be taken.
            p.viewer.on_sound_wish(viewer_at(p.ms), false, false);
            p.pass(5);
            p.play(10);
            assert_eq!((p.heard.len(), p.codings.last().map(|c| c.0)), (10, Some(false)));
        } else {
            assert_eq!(p.sound, 0, "nothing even left");
        }
    }
}

// spec: S-6, S-7, S-16
#[test]
fn a_microphone_is_let_in_only_while_it_is_on_and_allowed() {
    let mut p = Pair::new(true, true);
    p.host.on_sound_rights(host_at(p.ms), true, true);
    p.pass(20);
    p.speak(5);
    assert_eq!((p.spoken.len(), p.sound), (0, 0), "off until it is turned on");
    p.viewer.on_sound_wish(viewer_at(p.ms), true, true);
    p.pass(20);
    p.speak(5);
    assert_eq!(p.spoken.len(), 5);
    // The permission goes, and with it the microphone; a viewer that sends all the same is not played.
    p.host.on_sound_rights(host_at(p.ms), true, false);
    p.pass(20);
    p.speak(5);
    assert_eq!(p.spoken.len(), 5);
    let lie = SoundPacket { number: 99, frame: FRAME.to_vec(), ..SoundPacket::default() };
    p.host.on_datagram(&Incoming { bytes: Datagram::Sound(lie).encode(500), arrived: host_at(p.ms) });
    p.pass(5);
    assert_eq!(p.spoken.len(), 5);
    assert!(p.refused.iter().any(|n| n.contains("UnaskedSound")), "{:?}", p.refused);
    // A new connection begins with neither.
    p.host.on_sound_rights(host_at(p.ms), true, true);
    p.host.on_link_lost(host_at(p.ms));
    p.host.on_attached(host_at(p.ms), 1_200, &[]);
    assert!(!p.host.takes_microphone() && !p.host.sends_sound());
}

// spec: S-6
#[test]
fn a_wish_from_the_host_and_a_state_from_the_viewer_are_refused() {
    assert!(!Control::SoundWish { listens: true, speaks: true }.from_host());
    assert!(!Control::SoundState { offers: true, takes: true }.from_viewer());
}

// spec: S-11
#[test]
fn sound_is_never_held_back_and_is_charged() {
    let mut p = Pair::new(true, true);
    p.host.on_sound_rights(host_at(p.ms), true, false);
    p.viewer.on_sound_wish(viewer_at(p.ms), true, false);
    p.pass(20);
    // A hundred frames at one instant leave at that instant.
    let now = host_at(p.ms);
    for _ in 0..100 {
        p.host.on_sound(now, SoundFrame { captured: now, bytes: vec![0xf4; 300], last: false });
    }
    let mut left = 0;
    loop {
        match p.host.poll_output() {
            HostOutput::Datagram(_) => left += 1,
            HostOutput::Idle { .. } => break,
            _ => {}
        }
    }
    assert_eq!(left, 100);
    // And what is paced after it waits for them: they are on the way as far as the budget knows.
    let in_flight = p.host.in_flight();
    assert!(in_flight >= Bytes(30_000), "{in_flight:?}");
}
