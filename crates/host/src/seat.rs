//! One viewer's seat at the desktop: its mind, its coder and its connection. The seat outlives the connection.

use crate::clock::Clock;
use crate::notes::Notes;
use crate::worker::{Done, Work, Worker};
use bytes::Bytes;
use std::sync::Arc;
use telepane_codec::{BaseGone, Encoder, EncoderOptions};
use telepane_model::{EncodeJob, EncodedSlices, Epoch, HostClock, Pixels, Quality, Stamp, Version};
use telepane_protocol::control::Held;
use telepane_protocol::{Control, MAX_CONTROL};
use telepane_session::{ClipWish, Host, HostOptions, HostOutput};
use telepane_transport::{ConnId, Handle, Lanes, SendError};
use telepane_trust::ClientId;

/// See the module.
pub struct Seat {
    /// Its number in this process.
    pub id: u64,
    /// Its name on the wire.
    pub token: [u8; 16],
    /// Who sits here; a resuming connection must prove the same key.
    pub client: Option<ClientId>,
    /// The connection, while there is one.
    pub conn: Option<ConnId>,
    /// When the last connection was lost.
    pub left_at: Option<Stamp<HostClock>>,
    /// The mind.
    pub host: Host,
    coder: Coder,
    /// When the mind wants to be woken.
    pub wake: Option<Stamp<HostClock>>,
    window_told: Stamp<HostClock>,
}

enum Coder {
    None,
    Here(Epoch, Encoder),
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
/// The QUIC window is refreshed this often while something flows; the transport falls back after a second without.
const WINDOW_EVERY: telepane_model::Span = telepane_model::Span::millis(200);

impl Seat {
    /// A seat nobody has taken yet.
    pub fn new(id: u64, token: [u8; 16], client: Option<ClientId>, now: Stamp<HostClock>, options: HostOptions) -> Self {
        Self {
            id,
            token,
            client,
            conn: None,
            left_at: None,
            host: Host::new(now, options),
            coder: Coder::None,
            wake: None,
            window_told: Stamp::ZERO,
        }
    }

    /// A connection takes the seat.
    pub fn attach(&mut self, now: Stamp<HostClock>, conn: ConnId, max_datagram: usize, held: &[Held]) {
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
        self.host.on_time(now);
        loop {
            match self.host.poll_output() {
                HostOutput::Datagram(bytes) => self.send_datagram(net, bytes),
                HostOutput::Control(message) => self.send_control(net, &message),
                HostOutput::Encode(job) => self.encode(clock, job, worker, newest),
                HostOutput::Confirmed { epoch, applied } => match &mut self.coder {
                    Coder::Here(e, encoder) if *e == epoch => encoder.confirm(applied),
                    Coder::Away(e, confirmed) if *e == epoch => *confirmed = applied,
                    _ => {}
                },
                HostOutput::Inject { event, .. } => wish(Wish::Inject(event)),
                HostOutput::ReleaseAll => wish(Wish::ReleaseAll),
                HostOutput::Resize { size, .. } => wish(Wish::Resize(size)),
                HostOutput::Clip(clip) => wish(Wish::Clip(clip)),
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
        self.tell_window(now, net);
    }

    /// A job came back from the worker.
    pub fn on_done(&mut self, now: Stamp<HostClock>, done: Done) {
        let Done { mut encoder, job, result, .. } = done;
        if let Coder::Away(epoch, confirmed) = self.coder
            && epoch == job.epoch
        {
            encoder.confirm(confirmed);
            self.coder = Coder::Here(epoch, encoder);
        }
        self.tell(now, &job, result);
    }

    fn encode(&mut self, clock: &Clock, job: EncodeJob, worker: &Worker, newest: (&Arc<Pixels>, Version)) {
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
            _ => Encoder::new(job.size, EncoderOptions::default()),
        };
        let wanted: u64 = job.items.iter().map(|i| i.rect.area()).sum();
        let film = job.items.iter().any(|i| i.quality == Quality::FILM);
        if wanted <= INLINE_PIXELS && !film {
            let result = encoder.encode(&job, pixels, version);
            self.coder = Coder::Here(job.epoch, encoder);
            // Coding took time, and the journey says how much.
            self.tell(clock.now(), &job, result);
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
        match net.send_datagram(conn, Bytes::from(bytes)) {
            Ok(()) | Err(SendError::Gone) => {}
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
