//! One viewer's seat at the desktop: its mind, its coder and its connection. The seat outlives the connection.

use crate::ask::{LinkInfo, SessionInfo};
use crate::clock::Clock;
use crate::guest::Guest;
use crate::notes::Notes;
use crate::worker::{Done, Work, Worker};
use bytes::Bytes;
use std::sync::Arc;
use telepane_codec::{BaseGone, Encoder, EncoderOptions, SlotMap};
use telepane_model::{
    CursorShape, CursorState, EncodeJob, EncodedSlices, Epoch, HostClock, Pixels, Quality, Size, Stamp, Surf, Version,
};
use telepane_protocol::control::Held;
use telepane_protocol::{Capabilities, Capability, Control, MAX_CONTROL};
use telepane_session::{ClipWish, Host, HostOptions, HostOutput};
use telepane_transport::{ConnId, Handle, Lanes, SendError};
use telepane_trust::{ClientId, Feature};

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
    /// Bytes that came from here.
    pub received: u64,
    /// Bytes handed to the transport.
    sent: u64,
    /// The connection, while there is one.
    pub conn: Option<ConnId>,
    /// When the last connection was lost.
    pub left_at: Option<Stamp<HostClock>>,
    /// The mind.
    pub host: Host,
    coder: Coder,
    coding: EncoderOptions,
    /// What the viewer's slots were said to hold, for the coder that comes back, or for the first one.
    offers: Vec<(u32, Vec<u128>)>,
    /// What the viewer said its slots hold still counts: no coder's knowledge of them was lost.
    offers_count: bool,
    /// The viewer could not decode a slice: the next coder knows nothing of its slots.
    spoilt: bool,
    /// When the mind wants to be woken.
    pub wake: Option<Stamp<HostClock>>,
    window_told: Stamp<HostClock>,
}

enum Coder {
    None,
    Here(Epoch, Box<Encoder>),
    /// With the worker; what the viewer confirmed meanwhile is told when it returns.
    Away(Epoch, telepane_model::UpdateId),
}

/// What a seat wants of the desktop.
pub enum Wish {
    /// Hand this to the applications.
    Inject(telepane_model::InputEvent),
    /// Let everything go.
    ReleaseAll,
    /// Another size.
    Resize(telepane_model::Size<telepane_model::Surf>),
    /// The clipboard.
    Clip(ClipWish),
    /// The viewer left.
    Left,
}

/// Jobs up to this many pixels are coded on the thread that captured them (DESIGN §3.4).
const INLINE_PIXELS: u64 = 100_000;
/// Offers kept: so many messages name every slot there can be.
const MOST_OFFERS: usize = telepane_codec::limits::CACHE_SLOTS as usize / telepane_protocol::control::MAX_OFFER;
/// The tile cache this host has a use for; it keeps 16 bytes and some for each slot.
pub const CACHE_BYTES: u64 = 64 << 20;
/// The QUIC window is refreshed this often while something flows; the transport falls back after a second without.
const WINDOW_EVERY: telepane_model::Span = telepane_model::Span::millis(200);

/// What may be sent to a viewer that can do this.
// spec: V-5
fn coding_for(peer: &Capabilities) -> EncoderOptions {
    EncoderOptions {
        ops: peer.value(Capability::Ops),
        cache: telepane_model::Bytes(peer.value(Capability::CacheBytes).min(CACHE_BYTES)),
        slice_pixels: peer.value(Capability::SlicePixels),
        ..EncoderOptions::default()
    }
}

impl Seat {
    /// A seat nobody has taken yet.
    pub fn new(id: u64, token: [u8; 16], guest: Guest, now: Stamp<HostClock>, options: HostOptions) -> Self {
        Self {
            id,
            token,
            client: guest.client,
            guest,
            received: 0,
            sent: 0,
            conn: None,
            left_at: None,
            host: Host::new(now, options),
            coder: Coder::None,
            coding: EncoderOptions::default(),
            offers: Vec::new(),
            offers_count: true,
            spoilt: false,
            wake: None,
            window_told: Stamp::ZERO,
        }
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
        let coding = coding_for(peer);
        if self.coding != coding {
            // What was coded for other abilities is not gone on with: the next job begins a new epoch.
            self.offers_count &= matches!(self.coder, Coder::None);
            (self.coding, self.coder) = (coding, Coder::None);
        }
        self.host.on_capabilities(peer);
        // The session began when it was first taken.
        self.guest = Guest { since: self.guest.since, ..guest };
        self.conn = Some(conn);
        self.left_at = None;
        self.host.on_attached(now, max_datagram, held);
    }

    /// The connection is gone.
    pub fn detach(&mut self, now: Stamp<HostClock>) {
        self.conn = None;
        self.left_at = Some(now);
        self.host.on_link_lost(now);
    }

    /// Carries out what the mind wants until it is idle; `wish` takes what concerns the desktop.
    pub fn drain(
        &mut self,
        clock: &Clock,
        net: &Handle,
        worker: &Worker,
        newest: (&Arc<Pixels>, Version),
        notes: &mut Notes,
        wish: &mut dyn FnMut(Wish),
    ) {
        let now = clock.now();
        let sent_before = self.sent;
        self.host.on_time(now);
        loop {
            match self.host.poll_output() {
                HostOutput::Datagram(bytes) => self.send_datagram(net, bytes),
                HostOutput::Control(message) => self.send_control(net, &message),
                HostOutput::Encode(job) => self.encode(clock, job, worker, newest, notes),
                HostOutput::Confirmed { epoch, applied } => match &mut self.coder {
                    Coder::Here(e, encoder) if *e == epoch => encoder.confirm(applied),
                    Coder::Away(e, confirmed) if *e == epoch => *confirmed = applied,
                    _ => {}
                },
                HostOutput::Inject { event, .. } if self.guest.rights.allows(&event) => wish(Wish::Inject(event)),
                HostOutput::Inject { .. } => notes.counts.input_forbidden += 1,
                HostOutput::ReleaseAll => {
                    self.guest.rights.on_released();
                    wish(Wish::ReleaseAll);
                }
                HostOutput::Resize { size, .. } => wish(Wish::Resize(size)),
                HostOutput::Clip(ClipWish::Fetch { id }) if !self.guest.rights.has(Feature::ClipboardCopy) => {
                    self.host.on_clip_text(now, id, None);
                }
                HostOutput::Clip(ClipWish::Offered(true)) if !self.guest.rights.has(Feature::ClipboardPaste) => {}
                HostOutput::Clip(clip) => wish(Wish::Clip(clip)),
                HostOutput::Spoilt => (self.spoilt, self.offers_count) = (true, false),
                HostOutput::CacheOffer { first, hashes } => self.on_offer(first, hashes),
                HostOutput::Note(note) => notes.write(now, &note),
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
        self.tell_window(now, net);
    }

    /// The pointer's place, if it may be seen.
    pub fn on_cursor(&mut self, now: Stamp<HostClock>, cursor: CursorState) {
        if self.guest.rights.has(Feature::Pointer) {
            self.host.on_cursor(now, cursor);
        }
    }

    /// The pointer's shape, if it may be seen.
    pub fn on_cursor_shape(&mut self, now: Stamp<HostClock>, shape: &CursorShape) {
        if self.guest.rights.has(Feature::Pointer) {
            self.host.on_cursor_shape(now, shape.clone());
        }
    }

    /// Whether the desktop's clipboard holds text; it is offered only to who may copy it.
    pub fn on_clip_changed(&mut self, now: Stamp<HostClock>, has_text: bool) {
        self.host.on_clip_changed(now, has_text && self.guest.rights.has(Feature::ClipboardCopy));
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
                lost_packets: stack.lost,
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
            sent_bytes: self.sent,
            received_bytes: self.received,
            link,
        }
    }

    /// A job came back from the worker.
    pub fn on_done(&mut self, now: Stamp<HostClock>, done: Done) {
        let Done { mut encoder, job, result, .. } = done;
        if let Coder::Away(epoch, confirmed) = self.coder
            && epoch == job.epoch
        {
            encoder.confirm(confirmed);
            self.offers.drain(..).for_each(|(first, hashes)| encoder.offer(first, &hashes));
            self.coder = Coder::Here(epoch, encoder);
        }
        self.tell(now, &job, result);
    }

    /// The viewer says what it kept from the agent before this one.
    fn on_offer(&mut self, first: u32, hashes: Vec<u128>) {
        match &mut self.coder {
            Coder::Here(_, encoder) if self.offers_count => encoder.offer(first, &hashes),
            // No more than fill the slots; the coder is with the worker, or there is none yet.
            _ if self.offers_count && self.offers.len() < MOST_OFFERS => self.offers.push((first, hashes)),
            _ => {}
        }
    }

    /// A coder for a new epoch, which knows what the one before knew of the viewer's slots.
    fn new_coder(&mut self, before: Coder, size: Size<Surf>) -> Box<Encoder> {
        let spoilt = std::mem::take(&mut self.spoilt);
        let slots = match before {
            // spec: C-155
            Coder::Here(..) if spoilt => SlotMap::new(self.coding.cache),
            Coder::Here(_, encoder) => encoder.into_slots(),
            Coder::None => SlotMap::new(self.coding.cache),
            // It is with the worker, and takes what it knows of the slots with it.
            Coder::Away(..) => {
                self.offers_count = false;
                SlotMap::new(self.coding.cache)
            }
        };
        let mut encoder = Box::new(Encoder::with_slots(size, self.coding, slots));
        let offers = std::mem::take(&mut self.offers);
        if self.offers_count {
            offers.iter().for_each(|(first, hashes)| encoder.offer(*first, hashes));
        }
        encoder
    }

    fn encode(
        &mut self,
        clock: &Clock,
        job: EncodeJob,
        worker: &Worker,
        newest: (&Arc<Pixels>, Version),
        notes: &mut Notes,
    ) {
        let (pixels, version) = newest;
        if pixels.size() != job.size {
            // The desktop changed its size under the job; the frame that says so is on its way and makes it void.
            self.host.on_coded(clock.now(), EncodedSlices { job: job.id, ..EncodedSlices::default() });
            return;
        }
        let mut encoder = match std::mem::replace(&mut self.coder, Coder::None) {
            Coder::Here(epoch, encoder) if epoch == job.epoch => encoder,
            // A coder that is away with a void job of this epoch cannot be waited for; a new epoch follows its loss.
            Coder::Away(epoch, confirmed) if epoch == job.epoch => {
                self.coder = Coder::Away(epoch, confirmed);
                self.host.on_base_gone(clock.now(), job.id);
                return;
            }
            before => self.new_coder(before, job.size),
        };
        let wanted: u64 = job.items.iter().map(|i| i.rect.area()).sum();
        let film = job.items.iter().any(|i| i.quality == Quality::FILM);
        if wanted <= INLINE_PIXELS && !film {
            let began = clock.now();
            let result = encoder.encode(&job, pixels, version);
            self.coder = Coder::Here(job.epoch, encoder);
            // Coding took time, and the journey says how much.
            let now = clock.now();
            notes.counts.encode.observe(now.since(began));
            self.tell(now, &job, result);
            return;
        }
        self.coder = Coder::Away(job.epoch, telepane_model::UpdateId::BLANK);
        let work = Work { seat: self.id, encoder, job, pixels: pixels.clone(), version };
        if let Err(work) = worker.give(work) {
            tracing::error!("the coding thread has ended");
            let Work { mut encoder, job, pixels, version, .. } = *work;
            let result = encoder.encode(&job, &pixels, version);
            self.coder = Coder::Here(job.epoch, encoder);
            self.tell(clock.now(), &job, result);
        }
    }

    fn tell(&mut self, now: Stamp<HostClock>, job: &EncodeJob, result: Result<EncodedSlices, BaseGone>) {
        match result {
            Ok(done) => self.host.on_coded(now, done),
            Err(_) => self.host.on_base_gone(now, job.id),
        }
    }

    fn send_datagram(&mut self, net: &Handle, bytes: Vec<u8>) {
        let Some(conn) = self.conn else { return };
        let len = bytes.len() as u64;
        match net.send_datagram(conn, Bytes::from(bytes)) {
            Ok(()) => self.sent += len,
            Err(SendError::Gone) => {}
            // Counted as lost by the feedback, and sent again.
            Err(SendError::Full) => tracing::debug!("the transport's queue is full"),
            Err(SendError::TooLarge { max }) => {
                tracing::warn!(max, "the path takes smaller datagrams now");
                self.host.on_max_datagram(max);
            }
        }
    }

    fn send_control(&mut self, net: &Handle, message: &Control) {
        let (Some(conn), bytes) = (self.conn, message.encode()) else { return };
        if bytes.len() > MAX_CONTROL {
            tracing::warn!(bytes = bytes.len(), "a control message is too long and is left out");
        } else if let Err(error) = net.send_control(conn, &bytes) {
            tracing::debug!(%error, "control message not sent");
        } else {
            self.sent += bytes.len() as u64;
        }
    }

    fn tell_window(&mut self, now: Stamp<HostClock>, net: &Handle) {
        if let (Some(conn), Some(budget)) = (self.conn, self.host.budget())
            && now.since(self.window_told) >= WINDOW_EVERY
        {
            self.window_told = now;
            // Twice what the pacer lets out, and room for control messages: QUIC's window never binds.
            net.set_window(conn, budget.in_flight_cap.0 * 2 + 64 * 1024);
        }
    }
}
