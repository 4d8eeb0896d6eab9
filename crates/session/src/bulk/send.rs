//! A pipe's sending end, and when the pipes of a side send.

use super::receive::WINDOW;
use super::{Bulk, BulkWish, ChunkTag};
use crate::link::Link;
use crate::output::{Alarm, Wake};
use std::collections::VecDeque;
use telepane_model::{Bytes, Clock, Span, Stamp};
use telepane_protocol::{Chunk, MAX_CHUNK};
use telepane_rate::{Scavenged, SendClass, Turn};

/// Bytes kept ready of a pipe, so that a turn never waits for a disk: 5 ms of 400 Mbit/s.
const READY: usize = 256 << 10;
/// A turn is cut into so many chunks at most, whose spacing on arrival measures the path.
const CHUNKS: u64 = 16;
/// A chunk that fits one packet of every path.
const ONE_PACKET: usize = 1_150 - Chunk::HEADER;
/// The path is measured with chunks this often at most, and this often at least.
pub(super) const PROBE_EVERY: (Span, Span) = (Span::millis(50), Span::secs(2));
/// What counts as a capacity that has risen, as the controller's own probing has it: by a fifth.
const RAISED: (u64, u64) = (6, 5);

#[derive(Debug)]
pub(super) struct Outgoing {
    /// What was given and not sent, in order.
    ready: VecDeque<u8>,
    /// Where the first of it stands.
    next: u64,
    /// The peer lets the pipe run to here.
    pub(super) upto: u64,
    /// The farthest that is known to have arrived.
    pub(super) reached: u64,
    asked: bool,
    ended: bool,
    finished: bool,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self { ready: VecDeque::new(), next: 0, upto: WINDOW, reached: 0, asked: false, ended: false, finished: false }
    }
}

impl Outgoing {
    pub(super) fn on_data(&mut self, bytes: Vec<u8>, last: bool) {
        self.ready.extend(bytes);
        self.asked = false;
        self.ended |= last;
    }

    pub(super) const fn acknowledged(&self) -> u64 {
        self.reached
    }

    fn wants(&self) -> Option<usize> {
        let left = self.upto.saturating_sub(self.next + self.ready.len() as u64);
        let room = READY.saturating_sub(self.ready.len()).min(usize::try_from(left).unwrap_or(usize::MAX));
        let low = self.ready.len() < READY / 2;
        (low && room > 0 && !self.asked && !self.ended).then_some(room)
    }

    fn can_send(&self) -> bool {
        !self.finished && (!self.ready.is_empty() || self.ended)
    }

    fn take(&mut self, pipe: u32, size: usize) -> Chunk {
        let bytes: Vec<u8> = self.ready.drain(..size.min(self.ready.len())).collect();
        let offset = self.next;
        self.next += bytes.len() as u64;
        self.finished = self.ended && self.ready.is_empty();
        Chunk { pipe, offset, last: self.finished, bytes }
    }
}

impl<C: Clock> Bulk<C> {
    /// Sends what may be sent now; each chunk goes to `send` as it stands on the wire. `waiting` says that something
    /// better waits, `tag` makes the link's name for a chunk.
    // spec: B-8
    pub fn pump<P: Clock, T: Clone>(
        &mut self,
        now: Stamp<C>,
        link: &mut Link<C, P, T>,
        waiting: bool,
        tag: impl Fn(ChunkTag) -> T,
        alarm: &mut Alarm<C>,
        mut send: impl FnMut(Vec<u8>),
    ) {
        self.ask_for_more();
        let Some(mut pipe) = self.next_pipe() else {
            if std::mem::take(&mut self.probing) {
                link.pacer.end_probe();
            }
            return;
        };
        let capacity = link.rate.capacity();
        self.probe(now, link, waiting, capacity.as_bps());
        let budget = link.rate.budget(now);
        let facts = Scavenged {
            capacity,
            rtt: link.rate.rtt().min,
            in_flight: link.rate.in_flight(),
            active: link.rate.is_active(now),
            waiting,
        };
        let mut left = match (self.probing, link.scavenger.ask(now, &budget, facts)) {
            (true, _) => u64::MAX,
            (false, Turn::Now(bytes)) => bytes.0,
            (false, Turn::At(at)) => {
                alarm.set(at, Wake::Bulk);
                return;
            }
        };
        let size = match self.probing {
            true => ONE_PACKET,
            false => ((left / CHUNKS) as usize).clamp(ONE_PACKET, MAX_CHUNK),
        };
        loop {
            if self.probing {
                let at = link.next_send_at(now, ONE_PACKET + Chunk::HEADER);
                if link.pacer.probing().is_none() {
                    self.probing = false;
                    alarm.set(now + Span::micros(1), Wake::Bulk);
                    return;
                }
                if at > now {
                    alarm.set(at, Wake::Bulk);
                    return;
                }
            }
            let Some(out) = self.outgoing.get_mut(&pipe) else { return };
            let chunk = out.take(pipe, size);
            let (upto, over) = (out.next, out.finished);
            let class = if self.probing { SendClass::Probe } else { SendClass::Bulk };
            let cost = Link::<C, P, T>::cost(chunk.bytes.len() + Chunk::HEADER);
            let bytes = link.send_chunk(now, &chunk, tag(ChunkTag { pipe, upto, cost }), class);
            self.in_flight += cost;
            send(bytes);
            self.last = pipe;
            if over {
                self.outgoing.remove(&pipe);
            }
            left = left.saturating_sub(cost.0);
            self.ask_for_more();
            match self.next_pipe().filter(|_| left > 0) {
                Some(next) => pipe = next,
                None => break,
            }
        }
        // The next turn is the scavenger's to name; it is asked when the shell comes back.
        if self.next_pipe().is_some() {
            let facts = Scavenged { in_flight: link.rate.in_flight(), ..facts };
            match link.scavenger.ask(now, &budget, facts) {
                Turn::At(at) => alarm.set(at, Wake::Bulk),
                Turn::Now(_) => alarm.set(now + Span::micros(1), Wake::Bulk),
            }
        }
    }

    /// Bulk is what measures the path while nothing else fills it.
    fn probe<P: Clock, T: Clone>(&mut self, now: Stamp<C>, link: &mut Link<C, P, T>, waiting: bool, capacity: u64) {
        if waiting || self.probing || link.pacer.probing().is_some() || self.probe_at.is_some_and(|at| now < at) {
            return;
        }
        let ready = self.outgoing.values().map(|o| o.ready.len() as u64).sum();
        let Some(probe) = link.rate.probe_with(now, Bytes(ready)) else { return };
        link.pacer.begin(now, probe);
        self.probing = true;
        let raised = capacity >= self.probe_from.saturating_mul(RAISED.0) / RAISED.1;
        let doubled = self.probe_every + self.probe_every;
        self.probe_every = if raised { PROBE_EVERY.0 } else { doubled.min(PROBE_EVERY.1) };
        self.probe_from = capacity;
        self.probe_at = Some(now + self.probe_every.max(link.rate.rtt().smoothed + PROBE_EVERY.0));
    }

    fn ask_for_more(&mut self) {
        for (pipe, out) in &mut self.outgoing {
            if let Some(room) = out.wants() {
                out.asked = true;
                self.wishes.push_back(BulkWish::Fill { pipe: *pipe, room });
            }
        }
    }

    /// Whose turn it is: the clipboard's pipes first, in each class one after the other.
    fn next_pipe(&self) -> Option<u32> {
        let can = |clip: bool| {
            move |(pipe, out): (&u32, &Outgoing)| (*pipe & 1 == u32::from(clip) && out.can_send()).then_some(*pipe)
        };
        let of = |clip: bool| {
            let after = self.outgoing.range(self.last.saturating_add(1)..).find_map(can(clip));
            after.or_else(|| self.outgoing.iter().find_map(can(clip)))
        };
        of(true).or_else(|| of(false))
    }
}
