//! What waits to be written on a WebSocket, and in which order it goes. Datagrams first, then control messages, then chunks:
//! QUIC's priorities, on one stream.

use crate::connection::{BULK_QUEUE, CONTROL_QUEUE};
use bytes::Bytes;
use std::collections::VecDeque;
use telepane_protocol::Carried;

/// Datagrams waiting, in bytes, as over QUIC: the queue is the pacer's.
const DATAGRAM_QUEUE: usize = 64 * 1024;
/// Datagrams that are written at once, in bytes: a slice and what rides along.
const TOGETHER: usize = 12 * 1024;
/// Chunks that are written at once, in bytes: as much as the longest alone, which nothing else can interrupt either. A turn of small
/// ones written one by one would come spread by what each write costs, and be taken for what the path carries.
const CHUNKS_TOGETHER: usize = 16 * 1024;

/// Messages in the order in which they were given, and their bytes.
#[derive(Default)]
struct Queue {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Queue {
    fn push(&mut self, message: Vec<u8>) {
        self.bytes += message.len();
        self.messages.push_back(message);
    }

    /// How long the next is.
    fn front(&self) -> Option<usize> {
        self.messages.front().map(Vec::len)
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    datagrams: Queue,
    control: Queue,
    chunks: Queue,
    ping: bool,
    close: Option<Vec<u8>>,
}

/// What is to be written next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These, then the network's turn.
    Messages(Vec<Vec<u8>>),
    /// A ping.
    Ping,
    /// The last message.
    Close(Vec<u8>),
    /// Nothing.
    Nothing,
}

impl Outbox {
    /// Takes all of these or, when they do not fit, none.
    pub fn datagrams(&mut self, datagrams: &[Bytes]) -> bool {
        let bytes: usize = datagrams.iter().map(|d| d.len() + 1).sum();
        let fits = self.datagrams.bytes + bytes <= DATAGRAM_QUEUE;
        if fits {
            datagrams.iter().for_each(|d| self.datagrams.push(Carried::Datagram(d).encode()));
        }
        fits
    }

    /// Takes a control message if it fits.
    pub fn control(&mut self, message: &[u8]) -> bool {
        let fits = self.control.bytes + message.len() < CONTROL_QUEUE;
        if fits {
            self.control.push(Carried::Control(message).encode());
        }
        fits
    }

    /// Takes a chunk if it fits.
    pub fn chunk(&mut self, chunk: &[u8]) -> bool {
        let fits = self.chunks.bytes + chunk.len() < BULK_QUEUE;
        if fits {
            self.chunks.push(Carried::Chunk(chunk).encode());
        }
        fits
    }

    /// The peer is to be heard of.
    pub fn ping(&mut self) {
        self.ping = true;
    }

    /// The end, after the control messages that wait. Chunks are called off.
    pub fn close(&mut self, code: u32, text: &[u8]) {
        self.chunks = Queue::default();
        self.close.get_or_insert_with(|| Carried::Close { code, text }.encode());
    }

    /// The end, now.
    pub fn close_now(&mut self, code: u32, text: &[u8]) {
        *self = Self::default();
        self.close(code, text);
    }

    /// What goes next.
    // spec: WS-9
    pub fn next(&mut self) -> Next {
        let mut together = Vec::new();
        let mut bytes = 0;
        while bytes < TOGETHER
            && let Some(datagram) = self.datagrams.pop()
        {
            bytes += datagram.len();
            together.push(datagram);
        }
        if !together.is_empty() {
            return Next::Messages(together);
        }
        if let Some(message) = self.control.pop() {
            return Next::Messages(vec![message]);
        }
        if let Some(message) = self.close.take() {
            return Next::Close(message);
        }
        if std::mem::take(&mut self.ping) {
            return Next::Ping;
        }
        while self.chunks.front().is_some_and(|len| together.is_empty() || bytes + len <= CHUNKS_TOGETHER)
            && let Some(chunk) = self.chunks.pop()
        {
            bytes += chunk.len();
            together.push(chunk);
        }
        if together.is_empty() { Next::Nothing } else { Next::Messages(together) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: WS-9
    #[test]
    fn datagrams_go_before_control_and_control_before_chunks() {
        let mut out = Outbox::default();
        assert!(out.chunk(b"c") && out.control(b"m") && out.datagrams(&[Bytes::from_static(b"d"), Bytes::new()]));
        out.ping();
        assert_eq!(out.next(), Next::Messages(vec![b"\x00d".to_vec(), b"\x00".to_vec()]));
        assert_eq!(out.next(), Next::Messages(vec![b"\x01m".to_vec()]));
        assert_eq!(out.next(), Next::Ping);
        assert_eq!(out.next(), Next::Messages(vec![b"\x02c".to_vec()]));
        assert_eq!(out.next(), Next::Nothing);
    }

    #[test]
    fn small_chunks_go_together_and_a_long_one_alone() {
        let mut out = Outbox::default();
        for len in [1_000, 1_000, 1_000, 16_000, 16_384, 16_384, 8_000, 8_000, 2_000] {
            assert!(out.chunk(&vec![0; len]));
        }
        let mut written = Vec::new();
        while let Next::Messages(messages) = out.next() {
            written.push(messages.iter().map(|m| m.len() - 1).collect::<Vec<_>>());
            // What is better is not kept waiting by more than one writing.
            assert!(out.datagrams(&[Bytes::from_static(b"d")]));
            assert_eq!(out.next(), Next::Messages(vec![b"\x00d".to_vec()]));
        }
        assert_eq!(written, [vec![1_000; 3], vec![16_000], vec![16_384], vec![16_384], vec![8_000; 2], vec![2_000]]);
    }

    #[test]
    fn each_queue_is_bounded_and_empties() {
        let mut out = Outbox::default();
        let slice = vec![Bytes::from(vec![0; 1_199]); 8];
        let taken = (0..100).take_while(|_| out.datagrams(&slice)).count();
        assert_eq!(taken, DATAGRAM_QUEUE / (8 * 1_200));
        let Next::Messages(first) = out.next() else { panic!("there was something") };
        assert_eq!(first.len(), TOGETHER.div_ceil(1_200));
        assert!(out.datagrams(&slice), "what was written makes room");
        assert!((0..1_000).any(|_| !out.chunk(&[0; 16_384])) && (0..100).any(|_| !out.control(&[0; 65_536])));
    }

    #[test]
    fn what_was_said_before_the_end_still_goes() {
        let mut out = Outbox::default();
        out.control(b"bye");
        out.chunk(b"c");
        out.close(0x7400, b"x");
        assert_eq!(out.next(), Next::Messages(vec![b"\x01bye".to_vec()]));
        assert_eq!(out.next(), Next::Close(b"\x03\x00\x00\x74\x00x".to_vec()));
        assert_eq!(out.next(), Next::Nothing);
        out.control(b"more");
        out.close_now(1, b"");
        assert_eq!(out.next(), Next::Close(b"\x03\x00\x00\x00\x01".to_vec()));
    }
}
