//! The bulk class: files and large clipboard contents, the same on both sides.
//!
//! A pipe carries bytes one way. Its receiver opens it under a number of its own choosing, and says how far it may run;
//! what nobody opened is a fault. The sender's shell is asked for bytes ([`BulkWish::Fill`]) when there is room, and the
//! receiver's is given them in order ([`BulkWish::Data`]). When chunks leave is `rate`'s word
//! ([`telepane_rate::Scavenger`]); each has a number among the datagrams', so feedback tells when it arrived. QUIC repairs
//! their loss. A lost connection ends every pipe: what goes on later goes on in a new one, from where the old one came to.

mod receive;
mod send;

use receive::Incoming;
use send::Outgoing;
use std::collections::{BTreeMap, VecDeque};
use telepane_model::{Bytes, Clock, Stamp};
use telepane_protocol::{Chunk, Control, Fault};

/// What the shell does for a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkWish {
    /// Give up to so many bytes that follow what was given before, with `on_bulk_data`.
    Fill {
        /// Which pipe.
        pipe: u32,
        /// So many at most.
        room: usize,
    },
    /// The next bytes of a pipe that was opened for receiving; say with `on_bulk_used` when they are put away.
    Data {
        /// Which pipe.
        pipe: u32,
        /// The bytes.
        bytes: Vec<u8>,
        /// They end it: the pipe is closed.
        last: bool,
    },
}

/// A pipe's place among the pipes: the even numbers are files', the odd ones the clipboard's.
pub const fn file_pipe(id: u32) -> u32 {
    id << 1
}

/// The same for the clipboard. Its pipes go before files'.
pub const fn clip_pipe(id: u32) -> u32 {
    id << 1 | 1
}

/// What a chunk on the way carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkTag {
    /// Which pipe.
    pipe: u32,
    /// The pipe's bytes up to the chunk's end.
    upto: u64,
    /// What it takes of the path.
    cost: Bytes,
}

/// One side's pipes, both ways.
#[derive(Debug)]
pub struct Bulk<C: Clock> {
    outgoing: BTreeMap<u32, Outgoing>,
    incoming: BTreeMap<u32, Incoming>,
    /// The pipe that sent last.
    last: u32,
    wishes: VecDeque<BulkWish>,
    /// Messages for the peer.
    words: VecDeque<Control>,
    /// What of the bytes on the way is bulk.
    in_flight: Bytes,
    /// A probe made of chunks is under way.
    probing: bool,
    /// When the next may begin, how long after the one before, and the capacity then.
    probe_at: Option<Stamp<C>>,
    probe_every: telepane_model::Span,
    probe_from: u64,
}

/// Pipes open at once, each way.
pub const MOST_PIPES: usize = 64;

impl<C: Clock> Default for Bulk<C> {
    fn default() -> Self {
        Self {
            outgoing: BTreeMap::new(),
            incoming: BTreeMap::new(),
            last: 0,
            wishes: VecDeque::new(),
            words: VecDeque::new(),
            in_flight: Bytes(0),
            probing: false,
            probe_at: None,
            probe_every: send::PROBE_EVERY.0,
            probe_from: 0,
        }
    }
}

impl<C: Clock> Bulk<C> {
    /// Data may come in this pipe.
    // spec: B-5
    pub fn expect(&mut self, pipe: u32) {
        if self.incoming.len() < MOST_PIPES {
            self.incoming.insert(pipe, Incoming::default());
        }
    }

    /// The peer has opened this pipe.
    pub fn offer(&mut self, pipe: u32) {
        if self.outgoing.len() < MOST_PIPES {
            self.outgoing.insert(pipe, Outgoing::default());
        }
    }

    /// What [`BulkWish::Fill`] asked for.
    pub fn on_data(&mut self, pipe: u32, bytes: Vec<u8>, last: bool) {
        if let Some(out) = self.outgoing.get_mut(&pipe) {
            out.on_data(bytes, last);
        }
    }

    /// Nothing more goes or comes in this pipe.
    pub fn drop_pipe(&mut self, pipe: u32) {
        self.incoming.remove(&pipe);
        self.outgoing.remove(&pipe);
    }

    /// The shell has put away so many bytes of this pipe.
    // spec: B-6
    pub fn on_used(&mut self, pipe: u32, bytes: u64) {
        if let Some(upto) = self.incoming.get_mut(&pipe).and_then(|i| i.on_used(bytes)) {
            self.words.push_back(Control::BulkMore { pipe, upto });
        }
    }

    /// The peer lets a pipe run on. One that is over meanwhile is no fault.
    // spec: B-6
    pub fn on_more(&mut self, pipe: u32, upto: u64) {
        if let Some(out) = self.outgoing.get_mut(&pipe) {
            out.upto = out.upto.max(upto);
        }
    }

    /// A chunk came.
    // spec: B-5, B-6
    pub fn on_chunk(&mut self, chunk: Chunk) -> Result<(), Fault> {
        let pipe = chunk.pipe;
        let incoming = self.incoming.get_mut(&pipe).ok_or(Fault::UnaskedBulk)?;
        incoming.on_chunk(chunk)?;
        let mut over = false;
        while let Some((bytes, last)) = incoming.next() {
            over |= last;
            self.wishes.push_back(BulkWish::Data { pipe, bytes, last });
        }
        if over {
            self.incoming.remove(&pipe);
        }
        Ok(())
    }

    /// How far the peer has this pipe for certain, while it is open.
    pub fn acknowledged(&self, pipe: u32) -> Option<u64> {
        self.outgoing.get(&pipe).map(Outgoing::acknowledged)
    }

    /// A chunk has arrived, or is taken for lost (then QUIC sends it again).
    pub fn on_settled(&mut self, tag: ChunkTag, arrived: bool) {
        self.in_flight = Bytes(self.in_flight.0.saturating_sub(tag.cost.0));
        if let Some(out) = self.outgoing.get_mut(&tag.pipe).filter(|_| arrived) {
            out.reached = out.reached.max(tag.upto);
        }
    }

    /// Of what is on the way, so much is bulk and stands behind everything else.
    pub const fn in_flight(&self) -> Bytes {
        self.in_flight
    }

    /// Whether a probe made of chunks is under way.
    pub const fn is_probing(&self) -> bool {
        self.probing
    }

    /// The connection is gone, and every pipe with it.
    // spec: B-9
    pub fn on_link_lost(&mut self) {
        *self = Self::default();
    }

    /// The next thing the shell is to do.
    pub fn wish(&mut self) -> Option<BulkWish> {
        self.wishes.pop_front()
    }

    /// The next message for the peer.
    pub fn word(&mut self) -> Option<Control> {
        self.words.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::receive::WINDOW;
    use super::*;
    use telepane_model::HostClock;

    fn chunk(pipe: u32, offset: u64, bytes: &[u8], last: bool) -> Chunk {
        Chunk { pipe, offset, last, bytes: bytes.to_vec() }
    }

    // spec: B-5
    #[test]
    fn chunks_are_put_in_order_and_what_nobody_opened_is_a_fault() {
        let mut b = Bulk::<HostClock>::default();
        assert_eq!(b.on_chunk(chunk(4, 0, b"x", false)), Err(Fault::UnaskedBulk));
        b.expect(4);
        assert_eq!(b.on_chunk(chunk(4, 3, b"def", true)), Ok(()));
        assert_eq!(b.wish(), None);
        assert_eq!(b.on_chunk(chunk(4, 2, b"cc", false)), Err(Fault::BadChunk), "over what came before");
        assert_eq!(b.on_chunk(chunk(4, 0, b"abc", false)), Ok(()));
        assert_eq!(b.wish(), Some(BulkWish::Data { pipe: 4, bytes: b"abc".to_vec(), last: false }));
        assert_eq!(b.wish(), Some(BulkWish::Data { pipe: 4, bytes: b"def".to_vec(), last: true }));
        assert_eq!(b.on_chunk(chunk(4, 6, b"x", false)), Err(Fault::UnaskedBulk), "it is over");
    }

    // spec: B-6
    #[test]
    fn a_sender_that_runs_past_its_leave_is_at_fault() {
        let mut b = Bulk::<HostClock>::default();
        b.expect(2);
        let body = vec![0; 16 << 10];
        let mut at = 0;
        while at < WINDOW {
            assert_eq!(b.on_chunk(chunk(2, at, &body, false)), Ok(()));
            at += body.len() as u64;
        }
        assert_eq!(b.on_chunk(chunk(2, at, &body, false)), Err(Fault::TooMuchBulk));
        assert_eq!(b.word(), None);
        b.on_used(2, WINDOW);
        assert_eq!(b.word(), Some(Control::BulkMore { pipe: 2, upto: 2 * WINDOW }));
        assert_eq!(b.on_chunk(chunk(2, at, &body, true)), Ok(()));
    }

    // spec: B-4
    #[test]
    fn nothing_follows_the_end() {
        let mut b = Bulk::<HostClock>::default();
        b.expect(2);
        assert_eq!(b.on_chunk(chunk(2, 0, b"0", false)), Ok(()));
        assert_eq!(b.on_chunk(chunk(2, 0, b"0", false)), Err(Fault::BadChunk), "handed over already");
        assert_eq!(b.on_chunk(chunk(2, 5, b"end", true)), Ok(()));
        assert_eq!(b.on_chunk(chunk(2, 8, b"more", false)), Err(Fault::BadChunk));
        assert_eq!(b.on_chunk(chunk(2, 1, b"1234", true)), Err(Fault::BadChunk), "two ends");
    }
}
