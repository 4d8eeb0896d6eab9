//! One viewer's seat at the desktop: its mind and its connection. The seat outlives the connection.

use crate::ask::{LinkInfo, SessionInfo};
use crate::clock::{Clock, unix_secs};
use crate::coders::{Answer, Coders, Newest};
use crate::files::May;
use crate::guest::Guest;
use crate::metrics::Counts;
use crate::notes::Notes;
use bytes::Bytes;
use std::collections::BTreeMap;
use telepane_model::policy::BadSetting;
use telepane_model::{BitRate, CursorShape, CursorState, HostClock, Knob, Note, Span, Stamp, ViewerClock};
use telepane_protocol::control::Held;
use telepane_protocol::{Capabilities, Control, FileWord, MAX_CONTROL, Place};
use telepane_rate::Followed;
use telepane_session::sound::{SoundArrival, SoundCoding};
use telepane_session::{BulkWish, ClipWish, Host, HostOptions, HostOutput};
use telepane_transport::{ConnId, Handle, Lanes, SendError};
use telepane_trust::{ClientId, Feature};

/// What had come on which connection when that was asked last, and since when no more has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    conn: Option<ConnId>,
    packets: u64,
    bytes: u64,
    at: Stamp<HostClock>,
}

/// See the module.
pub struct Seat {
    /// Its number in this process.
    pub id: u64,
    /// Its name on the wire.
    pub token: [u8; 16],
    /// Who sits here; a resuming connection must prove the same key.
    pub client: Option<ClientId>,
    /// Who sits here now, or sat here last.
    pub guest: Guest,
    /// It is for files alone: beside the viewers, and gone with its connection.
    pub files_only: bool,
    /// Bytes that came from here.
    pub received: u64,
    /// Bytes handed to the transport.
    sent: u64,
    /// The connection, while there is one.
    pub conn: Option<ConnId>,
    /// When its person gave input, since that was asked last.
    pub input_at: Option<Stamp<HostClock>>,
    /// The mind.
    pub host: Host,
    /// When the mind wants to be woken.
    pub wake: Option<Stamp<HostClock>>,
    /// When its viewer last confirmed every pixel, in seconds since 1970.
    exact_since: Option<u64>,
    window_told: Stamp<HostClock>,
    heard: Heard,
    /// How it wants the desktop's sound coded.
    pub coding: SoundCoding,
}

/// What a seat wants of the desktop.
pub enum Wish {
    /// Hand this to the applications.
    Inject(telepane_model::InputEvent),
    /// Let everything go.
    ReleaseAll,
    /// Another size, and a scale in percent.
    Resize(telepane_model::Size<telepane_model::Surf>, u16),
    /// Other monitors.
    Monitors(Vec<telepane_model::Monitor>),
    /// The clipboard.
    Clip(ClipWish),
    /// Play this to the applications that record.
    Microphone(SoundArrival<ViewerClock>),
    /// A pipe.
    Bulk(BulkWish),
    /// Something about files.
    File(FileWord),
    /// Where the viewer's person works.
    Place(Place),
    /// The viewer left.
    Left,
}

impl Wish {
    /// Whether it gives the desktop another size or other monitors: only the last such wish counts.
    pub const fn shapes_desktop(&self) -> bool {
        matches!(self, Self::Resize(..) | Self::Monitors(_))
    }
}

/// Datagrams that are handed to the transport at once: a slice is at most eight, and feedback rides along.
const MOST_TOGETHER: usize = 9;
/// The QUIC window is refreshed this often while something flows; the transport falls back after a second without.
const WINDOW_EVERY: Span = Span::millis(200);
/// A window that is followed is asked for this often: several times a round trip.
const FOLLOW_EVERY: Span = Span::millis(4);

impl Seat {
    /// A seat nobody has taken yet.
    pub fn new(id: u64, token: [u8; 16], guest: Guest, now: Stamp<HostClock>, options: HostOptions) -> Self {
        Self {
            id,
            token,
            client: guest.client,
            guest,
            files_only: false,
            received: 0,
            sent: 0,
            conn: None,
            input_at: None,
            host: Host::new(now, options),
            wake: None,
            exact_since: None,
            coding: SoundCoding::OFF,
            window_told: Stamp::ZERO,
            heard: Heard { conn: None, packets: 0, bytes: 0, at: now },
        }
    }

    /// Whether somebody who names this token and has proven this key may go on here. The token alone is no proof: it was told
    /// to whoever sat here.
    pub fn is_resumed_by(&self, token: [u8; 16], client: Option<ClientId>) -> bool {
        self.token == token && self.client == client && !self.files_only
    }

    /// When the viewer gave a sign of life: packets are counted each time this is asked, so that the idle client's PINGs count,
    /// which nobody else sees.
    // spec: H-65
    pub fn heard_at(&mut self, now: Stamp<HostClock>, net: &Handle) -> Stamp<HostClock> {
        let Some(stats) = self.conn.and_then(|conn| net.stats(conn)) else { return self.heard.at };
        let had = Heard { conn: self.conn, packets: stats.recv_packets, bytes: stats.recv_bytes, at: self.heard.at };
        // Where the system counts no packets of TCP, its connection's end has to do.
        if had != self.heard || had.packets == 0 {
            self.heard = Heard { at: now, ..had };
        }
        self.heard.at
    }

    /// A connection takes the seat.
    pub fn attach(
        &mut self,
        now: Stamp<HostClock>,
        conn: ConnId,
        max_datagram: usize,
        held: &[Held],
        guest: Guest,
        peer: &Capabilities,
    ) {
        self.host.on_capabilities(peer);
        // The session began when it was first taken.
        self.guest = Guest { since: self.guest.since, ..guest };
        self.conn = Some(conn);
        self.host.on_attached(now, max_datagram, held);
    }

    /// The connection is gone.
    pub fn detach(&mut self, now: Stamp<HostClock>) {
        self.conn = None;
        self.host.on_link_lost(now);
    }

    /// Carries out what the mind wants until it is idle; `wish` takes what concerns the desktop.
    pub fn drain(
        &mut self,
        clock: &Clock,
        net: &Handle,
        coders: &mut Coders,
        newest: Newest<'_>,
        notes: &mut Notes,
        wish: &mut dyn FnMut(Wish),
    ) {
        let now = clock.now();
        let sent_before = self.sent;
        self.host.on_time(now);
        // What follows one another without anything between goes into one packet where it fits.
        let mut together = Vec::new();
        loop {
            let output = self.host.poll_output();
            if !matches!(output, HostOutput::Datagram(_)) {
                self.send_datagrams(net, &mut together, &mut notes.counts);
            }
            if let HostOutput::Inject { seq, .. } = &output
                && seq.0 != 0
            {
                self.input_at = Some(now);
            }
            match output {
                HostOutput::Datagram(bytes) => {
                    notes.counts.sent_kinds.count(&bytes);
                    together.push(Bytes::from(bytes));
                    if together.len() >= MOST_TOGETHER {
                        self.send_datagrams(net, &mut together, &mut notes.counts);
                    }
                }
                HostOutput::Control(message) => self.send_control(net, &message, &mut notes.counts),
                HostOutput::Chunk(bytes) => self.send_chunk(net, bytes, &mut notes.counts),
                HostOutput::Bulk(bulk) => wish(Wish::Bulk(bulk)),
                HostOutput::File(word) => wish(Wish::File(word)),
                HostOutput::Encode(job) => {
                    notes.counts.pixels_planned += job.items.iter().map(|i| i.rect.area()).sum::<u64>();
                    if let Some(answer) = coders.encode(clock, self.id, job, newest) {
                        self.on_answer(clock.now(), answer, notes);
                    }
                }
                HostOutput::Confirmed { epoch, applied } => {
                    coders.confirmed(self.id, epoch, applied);
                    if self.host.is_exact() {
                        coders.join(now, self.id);
                    } else if let Some(answer) = coders.board(clock, self.id, newest) {
                        self.on_answer(clock.now(), answer, notes);
                    }
                }
                HostOutput::Check { epoch, coded, proofs } => match coders.wrong(self.id, epoch, coded, &proofs) {
                    Some(wrong) => self.host.on_checked(clock.now(), epoch, proofs.len(), &wrong),
                    None => self.host.on_unchecked(clock.now(), epoch),
                },
                // Files alone: nobody's hands, and no desktop.
                HostOutput::Inject { .. }
                | HostOutput::ReleaseAll
                | HostOutput::Resize { .. }
                | HostOutput::Monitors(_)
                | HostOutput::Clip(_)
                | HostOutput::Place(_)
                    if self.files_only => {}
                HostOutput::Inject { event, .. } if self.guest.rights.allows(&event) => wish(Wish::Inject(event)),
                HostOutput::Inject { .. } => notes.counts.input_forbidden += 1,
                HostOutput::ReleaseAll => {
                    self.guest.rights.on_released();
                    wish(Wish::ReleaseAll);
                }
                HostOutput::Resize { .. } | HostOutput::Monitors(_) if !self.may_shape() => {
                    tracing::debug!(seat = self.id, "who only watches gives the desktop no other shape");
                }
                HostOutput::Resize { size, scale } => wish(Wish::Resize(size, scale)),
                HostOutput::Monitors(monitors) => wish(Wish::Monitors(monitors)),
                HostOutput::Clip(ClipWish::Fetch { id, format, .. }) if !self.may_copy(format) => {
                    self.host.on_clip_data(now, id, None);
                }
                HostOutput::Clip(ClipWish::Offered(mut offer)) => {
                    let had = !offer.formats.is_empty();
                    offer.formats = offer.formats.iter().filter(|format| self.may_paste(*format)).collect();
                    // What may not be pasted does not take the place of what was copied on the desktop.
                    if !had || !offer.formats.is_empty() {
                        wish(Wish::Clip(ClipWish::Offered(offer)));
                    }
                }
                HostOutput::Clip(clip) => wish(Wish::Clip(clip)),
                HostOutput::Place(place) => wish(Wish::Place(place)),
                HostOutput::SoundCoding(coding) => self.coding = coding,
                HostOutput::Sound(packet) => wish(Wish::Microphone(packet)),
                HostOutput::Spoilt => coders.spoilt(self.id),
                HostOutput::CacheOffer { first, hashes } => coders.offered(self.id, first, hashes),
                HostOutput::Note(note) => {
                    if matches!(note, Note::Exact { .. }) {
                        self.exact_since = Some(unix_secs());
                    }
                    notes.write(now, &note);
                }
                HostOutput::Closed(reason) => {
                    tracing::info!(?reason, "the viewer left");
                    wish(Wish::Left);
                }
                HostOutput::Idle { until, .. } => {
                    self.wake = until;
                    break;
                }
            }
        }
        notes.counts.sent_bytes += self.sent - sent_before;
        notes.counts.on_stages(&self.host.take_stages());
        self.tell_window(now, net);
    }

    /// The pointer's place, if it may be seen.
    pub fn on_cursor(&mut self, now: Stamp<HostClock>, cursor: CursorState) {
        if self.guest.rights.has(Feature::Pointer) {
            self.host.on_cursor(now, cursor);
        }
    }

    /// An application put the pointer somewhere, if that may be seen.
    pub fn on_pointer_put(&mut self, now: Stamp<HostClock>, at: telepane_model::Point<telepane_model::Desk>) {
        if self.guest.rights.has(Feature::Pointer) {
            self.host.on_pointer_put(now, at);
        }
    }

    /// The pointer's shape, if it may be seen.
    pub fn on_cursor_shape(&mut self, now: Stamp<HostClock>, shape: &CursorShape) {
        if self.guest.rights.has(Feature::Pointer) {
            self.host.on_cursor_shape(now, shape.clone());
        }
    }

    /// Whether the desktop can be heard at all and a microphone has a place to go; each only for who may.
    pub fn on_sound(&mut self, now: Stamp<HostClock>, (offers, takes): (bool, bool)) {
        let rights = &self.guest.rights;
        let (offers, takes) = (offers && rights.has(Feature::AudioOut), takes && rights.has(Feature::AudioIn));
        self.host.on_sound_rights(now, offers, takes);
    }

    /// What people and scripts are told of it.
    pub fn describe(&self, net: &Handle) -> SessionInfo {
        let guest = &self.guest;
        let link = self.conn.and_then(|conn| {
            let (stack, budget) = (net.stats(conn)?, self.host.budget()?);
            Some(LinkInfo {
                rtt_ms: self.host.rtt().map_or(stack.rtt_us as f64 / 1e3, telepane_model::Span::as_millis_f64),
                capacity_bps: budget.pace.as_bps(),
                share_bps: budget.share.as_bps(),
                queue_ms: budget.queue.as_millis_f64(),
                state: format!("{:?}", budget.why).to_lowercase(),
                rtt_variation_ms: self.host.rtt_variation().map_or(0.0, telepane_model::Span::as_millis_f64),
                limit_bps: self.host.policy().rate(Knob::Limit).map(BitRate::as_bps),
                active_limit_bps: budget.share.as_bps(),
                window_bytes: budget.in_flight_cap.0,
                lost_packets: stack.lost,
                sent_packets: stack.sent_packets,
                received_packets: stack.recv_packets,
                uplink_loss: loss(self.host.uplink()),
                film_pixels: self.host.film_region().map_or(0, |r| r.area()),
                unshown: self.host.shown_figures().unshown,
                film_frames: self.host.shown_figures().frames,
                film_passed_over: self.host.shown_figures().passed_over,
                mtu: stack.mtu,
            })
        });
        SessionInfo {
            id: self.id,
            name: guest.name.clone(),
            client: guest.client.map(|c| c.to_hex()),
            proved_by: guest.proved_by().into(),
            user: guest.user.clone(),
            address: guest.remote.to_string(),
            connected: self.conn.is_some(),
            since: guest.since,
            features: guest.rights.features().iter().map(|f| f.name().to_owned()).collect(),
            size: self.host.size().map(|s| [s.w, s.h]),
            exact: self.host.is_exact(),
            exact_since: self.exact_since.filter(|_| self.host.is_exact()),
            hears: self.host.sends_sound(),
            speaks: self.host.takes_microphone(),
            sent_bytes: self.sent,
            received_bytes: self.received,
            policy: self.policy(),
            link,
            // What the life of sessions knows is added there.
            last_input: None,
            last_disconnection: None,
            ending: None,
            files_only: self.files_only,
        }
    }

    /// The owner's policy changes; what then holds.
    pub fn set_policy(
        &mut self,
        now: Stamp<HostClock>,
        settings: &[(String, String)],
    ) -> Result<BTreeMap<String, u64>, BadSetting> {
        let own = self.host.own_policy().after(settings.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
        self.host.set_policy(now, own);
        tracing::info!(session = self.id, policy = %self.host.policy(), "another policy holds now");
        Ok(self.policy())
    }

    fn policy(&self) -> BTreeMap<String, u64> {
        self.host.policy().set().map(|(knob, value)| (knob.name().to_owned(), value)).collect()
    }

    /// A job was done, or a part of it. Coding took time, and the journey says how much.
    pub fn on_answer(&mut self, now: Stamp<HostClock>, answer: Answer, notes: &mut Notes) {
        if answer.result.as_ref().is_ok_and(|part| part.goes_on) {
            // Counted when it is done.
        } else if answer.copied {
            notes.counts.copied += 1;
        } else {
            notes.counts.encode.observe(answer.took);
        }
        match answer.result {
            Ok(done) => self.host.on_coded(now, done),
            Err(_) => self.host.on_base_gone(now, answer.job),
        }
    }

    fn send_datagrams(&mut self, net: &Handle, together: &mut Vec<Bytes>, counts: &mut Counts) {
        let datagrams = std::mem::take(together);
        let many = datagrams.len() as u64;
        let Some(conn) = self.conn.filter(|_| !datagrams.is_empty()) else { return };
        let len = datagrams.iter().map(|d| d.len() as u64).sum::<u64>();
        let sent = match <[Bytes; 1]>::try_from(datagrams) {
            Ok([alone]) => net.send_datagram(conn, alone),
            Err(several) => net.send_together(conn, several),
        };
        match sent {
            Ok(()) => self.sent += len,
            Err(SendError::Gone) => {}
            // Counted as lost by the feedback, and sent again.
            Err(SendError::Full) => counts.queue_full.datagrams += many,
            Err(SendError::TooLarge { max }) => {
                tracing::warn!(max, "the path takes smaller datagrams now");
                self.host.on_max_datagram(max);
            }
        }
    }

    fn send_control(&mut self, net: &Handle, message: &Control, counts: &mut Counts) {
        let (Some(conn), bytes) = (self.conn, message.encode()) else { return };
        if bytes.len() > MAX_CONTROL {
            tracing::warn!(bytes = bytes.len(), "a control message is too long and is left out");
        } else if let Err(error) = net.send_control(conn, &bytes) {
            counts.queue_full.control += u64::from(error == SendError::Full);
            tracing::debug!(%error, "control message not sent");
        } else {
            self.sent += bytes.len() as u64;
        }
    }

    fn send_chunk(&mut self, net: &Handle, bytes: Vec<u8>, counts: &mut Counts) {
        let (Some(conn), len) = (self.conn, bytes.len() as u64) else { return };
        match net.send_chunk(conn, bytes) {
            Ok(()) => self.sent += len,
            Err(error) => {
                counts.queue_full.chunks += u64::from(error == SendError::Full);
                tracing::debug!(%error, "chunk not sent");
            }
        }
    }

    /// Whether the desktop takes its size, its monitors and its scale from here: from who only watches it does not.
    // spec: K-75
    pub fn may_shape(&self) -> bool {
        let rights = &self.guest.rights;
        [Feature::Keyboard, Feature::Mouse, Feature::Touch, Feature::Stylus].iter().any(|hands| rights.has(*hands))
    }

    /// What may be done with the directory of files.
    pub fn may(&self) -> May {
        let rights = &self.guest.rights;
        May { download: rights.has(Feature::FileDownload), upload: rights.has(Feature::FileUpload) }
    }

    fn tell_window(&mut self, now: Stamp<HostClock>, net: &Handle) {
        if self.host.follows_transport() {
            self.follow_window(now, net);
            return;
        }
        if let (Some(conn), Some(budget)) = (self.conn, self.host.budget())
            && now.since(self.window_told) >= WINDOW_EVERY
        {
            self.window_told = now;
            // Twice what the pacer lets out, and room for control messages: QUIC's window never binds.
            net.set_window(conn, budget.in_flight_cap.0 * 2 + 64 * 1024);
        }
    }

    /// The other way round: the QUIC stack's window is what the mind may send.
    fn follow_window(&mut self, now: Stamp<HostClock>, net: &Handle) {
        if now.since(self.window_told) >= FOLLOW_EVERY
            && let Some(stats) = self.conn.and_then(|conn| net.stats(conn))
        {
            self.window_told = now;
            let followed = Followed { window: telepane_model::Bytes(stats.cwnd), rtt: Span::micros(stats.rtt_us) };
            self.host.on_window(followed);
        }
    }
}

/// The part of what was expected that did not come.
fn loss((expected, received): (u64, u64)) -> f64 {
    expected.saturating_sub(received) as f64 / expected.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_trust::{FeatureSet, Method, Rights};

    #[test]
    fn a_token_without_its_key_resumes_nothing() {
        let client = |n| Some(ClientId([n; 32]));
        let guest = Guest {
            client: client(1),
            name: "laptop".into(),
            user: String::new(),
            method: Method::ClientKey,
            remote: ([127, 0, 0, 1], 9).into(),
            since: 0,
            enrolled: true,
            rights: Rights::new(FeatureSet::BUILTIN),
        };
        let mut seat = Seat::new(1, [7; 16], guest, Stamp::ZERO, HostOptions::default());
        assert!(seat.is_resumed_by([7; 16], client(1)));
        for (token, key) in [([7; 16], client(2)), ([7; 16], None), ([8; 16], client(1)), ([0; 16], client(1))] {
            assert!(!seat.is_resumed_by(token, key), "{token:?} {key:?}");
        }
        seat.files_only = true;
        assert!(!seat.is_resumed_by([7; 16], client(1)), "a copier's connection is no session to go on with");
    }
}
