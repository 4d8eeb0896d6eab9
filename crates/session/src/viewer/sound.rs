//! The viewer's half of sound: the desktop's as it comes, and the microphone while the person has it on.

use super::lips::FilmFrame;
use super::{Carried, Viewer};
use crate::output::ViewerOutput;
use crate::sound::{Sender, SoundArrival, SoundFrame, SoundPath};
use telepane_model::{BitRate, Bytes, Span, Stamp, ViewerClock};
use telepane_protocol::{Control, Datagram, Fault, SoundPacket};
use telepane_rate::SendClass;

/// What is known about sound with this host.
#[derive(Debug, Default)]
pub(super) struct Sound {
    sender: Sender<ViewerClock>,
    /// The host understands it.
    pub understood: bool,
    listens: bool,
    speaks: bool,
    offers: bool,
    takes: bool,
}

impl Viewer {
    /// The person wants to hear the desktop, or not, and to be heard, or not.
    // spec: S-6, S-16
    pub fn on_sound_wish(&mut self, now: Stamp<ViewerClock>, listens: bool, speaks: bool) {
        self.advance(now);
        if (self.sound.listens, self.sound.speaks) != (listens, speaks) {
            (self.sound.listens, self.sound.speaks) = (listens, speaks);
            self.tell_sound_wish();
            self.set_sound();
        }
    }

    /// A frame of the microphone was coded.
    // spec: S-5, S-7, S-11, S-16
    pub fn on_microphone(&mut self, now: Stamp<ViewerClock>, frame: SoundFrame<ViewerClock>) {
        self.advance(now);
        if !self.is_heard() {
            return;
        }
        let path = self.sound_path();
        let Some(link) = &mut self.link else { return };
        let packet = self.sound.sender.packet(now, frame, path);
        let carried = Carried::Sound(packet.number);
        let bytes = link.send(now, &Datagram::Sound(packet), carried, SendClass::Unpaced, Bytes::default());
        self.out.push_back(ViewerOutput::Datagram(bytes));
        self.set_sound();
    }

    /// Whether the microphone is on and let in.
    pub const fn is_heard(&self) -> bool {
        self.link.is_some() && self.sound.understood && self.sound.speaks && self.sound.takes
    }

    /// Whether the desktop can be heard, and whether a microphone would be let in.
    pub const fn sound_state(&self) -> (bool, bool) {
        (self.sound.offers, self.sound.takes)
    }

    /// What is heard now was captured so long ago; to be told at least with each picture that is shown while sound is heard.
    // spec: S-17
    pub fn on_heard(&mut self, now: Stamp<ViewerClock>, age: Span) {
        self.advance(now);
        self.lips.on_heard(now, age);
    }

    /// Until when the slice whose turn has come waits for its sound, if it does.
    // spec: S-17
    pub(super) fn waits_for_sound(&mut self) -> Option<Stamp<ViewerClock>> {
        let now = self.now;
        if !self.lips.hears(now) {
            return None;
        }
        let map = self.clock_map();
        let film = self.assembler.film_alone(self.host_near).zip(map);
        let Some((film, map)) = film else {
            if self.lips.hurry() {
                self.assembler.on_let_go(now);
            }
            return None;
        };
        let frame = FilmFrame { captured: map.to_viewer(film.captured), whole: film.whole };
        let due = self.lips.due(now, frame);
        if due.is_none() && self.lips.on_applied(now, frame, (self.assembler.epoch(), film.id)) {
            self.assembler.on_let_go(now);
        }
        due
    }

    // spec: S-6
    pub(super) fn begin_sound(&mut self) {
        (self.sound.offers, self.sound.takes) = (false, false);
        if self.sound.listens || self.sound.speaks {
            self.tell_sound_wish();
        }
        self.set_sound();
    }

    pub(super) fn on_sound_state(&mut self, offers: bool, takes: bool) {
        (self.sound.offers, self.sound.takes) = (offers, takes);
        self.out.push_back(ViewerOutput::SoundState { offers, takes });
        self.set_sound();
    }

    // spec: S-6
    pub(super) fn on_sound(&mut self, packet: SoundPacket) -> Result<(), Fault> {
        if !self.sound.listens {
            // What was on the way when the person stopped listening is no fault of the host's, and is not played.
            return Ok(());
        }
        let now = self.now;
        let Some(link) = &mut self.link else { return Ok(()) };
        let arrival = SoundArrival {
            number: packet.number,
            captured: link.clock.whole(packet.captured, now),
            last: packet.last,
            frame: packet.frame,
            earlier: packet.earlier,
            offset: link.clock.offset(now).map(|(offset, _)| offset),
        };
        self.out.push_back(ViewerOutput::Sound(arrival));
        Ok(())
    }

    pub(super) fn on_sound_lost(&mut self, number: u32) {
        self.sound.sender.on_lost(self.now, number);
    }

    fn tell_sound_wish(&mut self) {
        let (listens, speaks) = (self.sound.listens, self.sound.speaks);
        if self.sound.understood {
            self.send_control(Control::SoundWish { listens, speaks });
        }
    }

    pub(super) fn set_sound(&mut self) {
        let (on, path) = (self.is_heard(), self.sound_path());
        let coding = self.sound.sender.coding(on, path);
        self.out.extend(coding.map(ViewerOutput::SoundCoding));
    }

    fn sound_path(&self) -> SoundPath {
        match &self.link {
            Some(link) => {
                SoundPath { loss_ppm: link.rate.loss_ppm(), pace: link.rate.budget(self.now).pace, limit: None }
            }
            None => SoundPath { loss_ppm: 0, pace: BitRate::mbps(1_000), limit: None },
        }
    }
}
