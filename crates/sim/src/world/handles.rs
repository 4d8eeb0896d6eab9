//! What a scenario does to a world, and what it asks of it.

use super::{Direction, MOST_TURNS, World};
use crate::link::{LinkModel, Path};
use std::collections::BTreeSet;
use std::sync::Arc;
use telepane_codec::TileCache;
use telepane_model::{HostClock, InputEvent, KeyCode, KeyMove, Monitor, Pixels, SessionPolicy, Size, Span, Surf};
use telepane_protocol::{Capability, Control};
use telepane_session::Host;
use telepane_session::sound::SoundFrame;

impl World {
    /// Microseconds since the world began.
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// Everything that happened, one line each.
    pub fn journal(&self) -> &str {
        &self.journal
    }

    /// A direction's path, to change its model or read its counters.
    pub const fn path(&mut self, direction: Direction) -> &mut Path {
        match direction {
            Direction::Down => &mut self.down,
            Direction::Up => &mut self.up,
        }
    }

    /// Nothing passes either way, or everything again.
    pub fn blackout(&mut self, on: bool) {
        self.down.model.blackout = on;
        self.up.model.blackout = on;
        self.mark_cut();
        self.note("world", format_args!("blackout {on}"));
    }

    /// Packets of one direction are made to vanish, or pass again.
    pub fn cut_way(&mut self, direction: Direction, on: bool) {
        self.path(direction).model.blackout = on;
        self.mark_cut();
        self.note("world", format_args!("{direction:?} cut {on}"));
    }

    pub(super) fn mark_cut(&mut self) {
        let cut = self.asleep || self.down.model.blackout || self.up.model.blackout;
        self.attach_passes &= !cut;
        self.cut_since = if cut { self.cut_since.or(Some(self.now)) } else { None };
    }

    /// Another link from now on, both ways.
    pub fn set_link(&mut self, down: LinkModel, up: LinkModel) {
        let (d, u) = (self.down.model.blackout, self.up.model.blackout);
        self.down.model = LinkModel { blackout: d, ..down };
        self.up.model = LinkModel { blackout: u, ..up };
        self.note("world", format_args!("another link"));
    }

    /// The agent is killed and started again: a new mind that knows nothing. The viewer's connection is reset.
    pub fn restart_host(&mut self) {
        self.note("world", format_args!("the agent is started again"));
        self.host = Host::new(self.host_now(), self.host_options.clone());
        self.encoder = None;
        self.offers.clear();
        self.to_code.clear();
        self.coding = None;
        self.parts.clear();
        self.filming = None;
        self.film_jobs.clear();
        self.looking = None;
        self.controls.clear();
        self.dead = true;
        self.up.cut();
        self.down.cut();
        self.screen.tell_again();
        self.viewer.on_link_lost(self.viewer_now());
        (self.host_wake, self.viewer_wake) = (Some(self.now), Some(self.now));
    }

    /// The viewer loses what its slots held, as none should.
    pub fn lose_cache(&mut self) {
        if let Some((_, decoder)) = &mut self.decoder {
            *decoder.cache_mut() = TileCache::default();
        }
    }

    /// The person wants another size of the desktop.
    pub fn ask_size(&mut self, size: Size<Surf>) {
        self.viewer.on_resize(self.viewer_now(), size, 100);
        self.viewer_wake = Some(self.now);
    }

    /// The person wants a desktop with these monitors.
    pub fn ask_monitors(&mut self, monitors: Vec<Monitor>) {
        self.viewer.on_monitors(self.viewer_now(), monitors);
        self.viewer_wake = Some(self.now);
    }

    /// Nobody sees the viewer's windows from now on, or somebody does again.
    pub fn hide(&mut self, on: bool) {
        self.viewer.on_hidden(self.viewer_now(), on);
        self.viewer_wake = Some(self.now);
        self.note("world", format_args!("hidden {on}"));
    }

    /// A control message that nobody sent reaches one side.
    pub fn inject_control(&mut self, direction: Direction, message: Control) {
        self.control_count += 1;
        self.controls.insert((self.now, self.control_count), (direction, message));
    }

    /// The viewer's machine sleeps, or wakes: asleep, it does nothing, and its clock goes on.
    pub fn sleep(&mut self, on: bool) {
        self.asleep = on;
        self.mark_cut();
        self.note("world", format_args!("sleep {on}"));
        if on {
            self.down.cut();
        } else {
            self.viewer.on_woke(self.viewer_now());
            self.viewer_wake = Some(self.now);
        }
    }

    /// The person wants to hear the desktop, which can be heard, with ends that understand sound.
    pub fn listen(&mut self) {
        let host = Self::host_capabilities()
            .with(Capability::Clipboard, telepane_protocol::clip::taken(false))
            .with(Capability::Sound, 1);
        self.viewer.on_capabilities(&host);
        self.host.on_sound_rights(self.host_now(), true, true);
        self.viewer.on_sound_wish(self.viewer_now(), true, false);
        (self.host_wake, self.viewer_wake) = (Some(self.now), Some(self.now));
    }

    /// What of sound the host lets this viewer have: its desktop's, and its microphone heard.
    pub fn allow_sound(&mut self, offers: bool, takes: bool) {
        self.host.on_sound_rights(self.host_now(), offers, takes);
        self.host_wake = Some(self.now);
    }

    /// What of sound the person has turned on: to hear, and to be heard.
    pub fn switch_sound(&mut self, listens: bool, speaks: bool) {
        self.viewer.on_sound_wish(self.viewer_now(), listens, speaks);
        self.viewer_wake = Some(self.now);
    }

    /// The viewer's microphone has heard 10 ms.
    pub fn speak(&mut self) {
        let captured = self.viewer_now();
        self.viewer.on_microphone(captured, SoundFrame { captured, bytes: vec![0xf4; 120], last: false });
        self.viewer_wake = Some(self.now);
    }

    /// Applications on the host begin to play, or end.
    pub fn play_sound(&mut self, on: bool) {
        self.sound.set_playing(self.now, on);
    }

    /// No journal from now on: hours of it do not fit into memory.
    pub fn forget_journal(&mut self) {
        (self.journal_on, self.journal) = (false, String::new());
    }

    /// An input event happens at `at` microseconds.
    pub fn input_at(&mut self, at: u64, event: InputEvent) {
        self.key_count += 1;
        self.keys.insert((at, self.key_count), event);
    }

    /// The host's desktop changes its size now.
    pub fn resize(&mut self, size: Size<Surf>) {
        self.screen.resize(size);
        self.host_wake = Some(self.now);
    }

    /// Runs for `span`.
    pub fn run(&mut self, span: Span) {
        let end = self.now + span.as_micros();
        self.run_to(end);
    }

    /// Runs to `end`, in microseconds since the world began.
    pub fn run_to(&mut self, end: u64) {
        let mut turns = 0;
        while let Some(at) = self.next_at().filter(|at| *at <= end) {
            turns = if at > self.now { 0 } else { turns + 1 };
            assert!(turns < MOST_TURNS, "time stands still at {} us, woken for {:?}", self.now, self.why);
            self.now = self.now.max(at);
            self.step();
            if self.judged {
                self.host.verify();
                self.viewer.verify();
            }
        }
        self.now = self.now.max(end);
    }

    /// Bytes that one direction has carried: datagrams, control messages, acknowledgements and pings, with the headers
    /// of IP, UDP and QUIC.
    pub const fn bytes(&self, direction: Direction) -> u64 {
        let (path, quic) = match direction {
            Direction::Down => (&self.down, &self.quic[0]),
            Direction::Up => (&self.up, &self.quic[1]),
        };
        path.offered + quic.control_bytes + quic.lone_bytes
    }

    /// Packets that one direction has carried, without control messages.
    pub const fn packets(&self, direction: Direction) -> u64 {
        match direction {
            Direction::Down => self.down.packets + self.quic[0].lone_packets,
            Direction::Up => self.up.packets + self.quic[1].lone_packets,
        }
    }

    /// Whether the viewer holds exactly the host's newest pixels.
    pub fn is_exact(&self) -> bool {
        self.decoder.as_ref().is_some_and(|(_, d)| d.pixels() == &*self.screen.pixels())
    }

    /// The viewer's picture and the host's newest, once there is one at the viewer.
    pub fn pictures(&self) -> Option<(&Pixels, Arc<Pixels>)> {
        self.decoder.as_ref().map(|(_, d)| (d.pixels(), self.screen.pixels()))
    }

    /// The person at the viewer wishes the session to keep to this.
    pub fn wish(&mut self, policy: SessionPolicy) {
        self.viewer.set_wish(self.viewer_now(), policy);
        self.viewer_wake = Some(self.now);
    }

    /// The host's owner allows this from now on.
    pub fn allow(&mut self, policy: SessionPolicy) {
        self.host.set_policy(self.host_now(), policy);
        self.host_wake = Some(self.now);
    }

    /// What holds, as the host has it and as the viewer was told.
    pub const fn policies(&self) -> (&SessionPolicy, &SessionPolicy) {
        (self.host.policy(), self.viewer.holds())
    }

    /// What the host's controller allows now.
    pub fn budget(&self) -> Option<telepane_model::Budget<HostClock>> {
        self.host.budget()
    }

    /// Whether the host knows that it does.
    pub fn is_confirmed(&self) -> bool {
        self.host.is_exact()
    }

    /// Input events that were never delivered, as the viewer tells it.
    pub fn dropped_input(&self) -> u32 {
        self.viewer.dropped_input()
    }

    /// The keys that are down on the desktop: pressed and not let go, one by one or all at once.
    pub fn held(&self) -> BTreeSet<KeyCode> {
        let mut down = BTreeSet::new();
        let mut all_up = self.released.iter().copied().peekable();
        for (n, (_, event)) in self.injected.iter().enumerate() {
            while all_up.next_if(|at| *at <= n).is_some() {
                down.clear();
            }
            match event {
                InputEvent::Key { code, action: KeyMove::Down } => {
                    down.insert(*code);
                }
                InputEvent::Key { code, action: KeyMove::Up } => {
                    down.remove(code);
                }
                InputEvent::Focus { .. } | InputEvent::Blur => down.clear(),
                _ => {}
            }
        }
        if all_up.next().is_some() {
            down.clear();
        }
        down
    }

    /// The last lines of the journal.
    pub fn last_lines(&self, n: usize) -> String {
        let lines: Vec<&str> = self.journal.lines().collect();
        lines[lines.len().saturating_sub(n)..].join("\n")
    }
}
