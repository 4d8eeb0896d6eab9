//! The host's half of sound: the desktop's to a viewer that listens, the viewer's microphone to the desktop.

use super::{Carried, Host};
use crate::output::HostOutput;
use crate::sound::{Sender, SoundArrival, SoundFrame, SoundPath};
use telepane_model::{BitRate, Bytes, HostClock, Stamp};
use telepane_protocol::{Control, Datagram, Fault, SoundPacket};
use telepane_rate::SendClass;

/// What is known about sound with this viewer.
#[derive(Debug, Default)]
pub(super) struct Sound {
    sender: Sender<HostClock>,
    /// The viewer understands it.
    pub understood: bool,
    listens: bool,
    speaks: bool,
    /// There is sound here that it may hear, and a microphone would be let in.
    offers: bool,
    takes: bool,
    told: (bool, bool),
}

impl Host {
    /// Whether the desktop can be heard by this viewer, and whether its microphone is let in: as permissions and devices
    /// say.
    // spec: S-7
    pub fn on_sound_rights(&mut self, now: Stamp<HostClock>, offers: bool, takes: bool) {
        self.advance(now);
        (self.sound.offers, self.sound.takes) = (offers, takes);
        self.tell_sound_state();
        self.set_sound();
    }

    /// A frame of the desktop's sound was coded.
    // spec: S-5, S-6, S-11
    pub fn on_sound(&mut self, now: Stamp<HostClock>, frame: SoundFrame<HostClock>) {
        self.advance(now);
        if !self.sends_sound() {
            return;
        }
        let path = self.sound_path();
        let Some(link) = &mut self.link else { return };
        let packet = self.sound.sender.packet(now, frame, path);
        let carried = Carried::Sound(packet.number);
        let bytes = link.send(now, &Datagram::Sound(packet), carried, SendClass::Unpaced, Bytes::default());
        self.out.push_back(HostOutput::Datagram(bytes));
        self.set_sound();
    }

    /// Whether this viewer hears the desktop.
    pub const fn sends_sound(&self) -> bool {
        self.link.is_some() && self.sound.understood && self.sound.listens && self.sound.offers
    }

    /// Bytes that were sent and not yet confirmed, for statistics.
    pub fn in_flight(&self) -> Bytes {
        self.link.as_ref().map_or(Bytes(0), |l| l.rate.in_flight())
    }

    /// Whether this viewer's microphone is on and let in.
    pub const fn takes_microphone(&self) -> bool {
        self.link.is_some() && self.sound.speaks && self.sound.takes
    }

    /// A connection begins with neither wish; what the host gives is said.
    // spec: S-6, S-7
    pub(super) fn begin_sound(&mut self) {
        (self.sound.listens, self.sound.speaks, self.sound.told) = (false, false, (false, false));
        self.tell_sound_state();
        self.set_sound();
    }

    pub(super) fn on_sound_wish(&mut self, listens: bool, speaks: bool) {
        (self.sound.listens, self.sound.speaks) = (listens, speaks);
        self.set_sound();
    }

    // spec: S-6
    pub(super) fn on_microphone(&mut self, packet: SoundPacket) -> Result<(), Fault> {
        if !self.takes_microphone() {
            return Err(Fault::UnaskedSound);
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
        self.out.push_back(HostOutput::Sound(arrival));
        Ok(())
    }

    pub(super) fn on_sound_lost(&mut self, number: u32) {
        self.sound.sender.on_lost(self.now, number);
    }

    fn tell_sound_state(&mut self) {
        let state = (self.sound.offers, self.sound.takes);
        if self.sound.understood && self.link.is_some() && self.sound.told != state {
            self.sound.told = state;
            self.send_control(Control::SoundState { offers: state.0, takes: state.1 });
        }
    }

    pub(super) fn set_sound(&mut self) {
        let (on, path) = (self.sends_sound(), self.sound_path());
        let coding = self.sound.sender.coding(on, path);
        self.out.extend(coding.map(HostOutput::SoundCoding));
    }

    fn sound_path(&self) -> SoundPath {
        let limit = self.options.sound_limit;
        match &self.link {
            Some(link) => SoundPath { loss_ppm: link.rate.loss_ppm(), pace: link.rate.budget(self.now).pace, limit },
            None => SoundPath { loss_ppm: 0, pace: BitRate::mbps(1_000), limit },
        }
    }
}
