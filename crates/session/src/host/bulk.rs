//! The host's side of bulk: pipes, chunks and messages about files.

use super::{Carried, Host};
use crate::bulk::BulkWish;
use crate::output::{Alarm, HostOutput, Incoming};
use telepane_model::{HostClock, Note, Stamp};
use telepane_protocol::{Chunk, Control, Fault, FileWord};

impl Host {
    /// A chunk came on the bulk lane.
    pub fn on_chunk(&mut self, incoming: &Incoming<HostClock>) {
        self.now = self.now.max(incoming.arrived);
        if let Err(fault) = self.read_chunk(&incoming.bytes, incoming.arrived) {
            self.out.push_back(HostOutput::Note(Note::Rejected { fault: fault.name() }));
        }
    }

    // spec: B-7
    fn read_chunk(&mut self, bytes: &[u8], at: Stamp<HostClock>) -> Result<(), Fault> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let (low, chunk) = Chunk::decode(bytes)?;
        let fresh = link.arrivals.on_datagram(low, at, crate::arrivals::Answer::Within(crate::arrivals::DELAY));
        link.on_heard(at);
        if fresh.is_none() {
            return Ok(());
        }
        self.bulk.on_chunk(chunk)
    }

    /// Says something about files.
    pub fn on_file_word(&mut self, now: Stamp<HostClock>, word: FileWord) {
        self.advance(now);
        self.send_control(Control::File(word));
    }

    /// Data may come in this pipe; before the message that tells the viewer.
    pub fn on_bulk_expected(&mut self, now: Stamp<HostClock>, pipe: u32) {
        self.advance(now);
        self.bulk.expect(pipe);
    }

    /// The viewer has opened this pipe.
    pub fn on_bulk_offered(&mut self, now: Stamp<HostClock>, pipe: u32) {
        self.advance(now);
        self.bulk.offer(pipe);
    }

    /// The answer to [`crate::BulkWish::Fill`].
    pub fn on_bulk_data(&mut self, now: Stamp<HostClock>, pipe: u32, bytes: Vec<u8>, last: bool) {
        self.advance(now);
        self.bulk.on_data(pipe, bytes, last);
    }

    /// So many bytes of [`crate::BulkWish::Data`] were put away.
    pub fn on_bulk_used(&mut self, now: Stamp<HostClock>, pipe: u32, bytes: u64) {
        self.advance(now);
        self.bulk.on_used(pipe, bytes);
    }

    /// Nothing more goes or comes in this pipe.
    pub fn on_bulk_dropped(&mut self, now: Stamp<HostClock>, pipe: u32) {
        self.advance(now);
        self.bulk.drop_pipe(pipe);
    }

    pub(super) fn send_bulk(&mut self, alarm: &mut Alarm<HostClock>) {
        let waiting = self.surface.as_mut().is_some_and(|s| s.job.is_some() || !s.outbox.is_idle());
        loop {
            if let Some(link) = &mut self.link {
                let out = &mut self.out;
                self.bulk.pump(self.now, link, waiting, Carried::Chunk, alarm, |b| out.push_back(HostOutput::Chunk(b)));
            }
            if !self.take_bulk_wishes() {
                break;
            }
        }
        while let Some(word) = self.bulk.word() {
            self.send_control(word);
        }
        self.send_clip(alarm);
    }

    /// Answers what the clipboard's pipes want and hands on the rest; whether something was answered, so that it can go.
    fn take_bulk_wishes(&mut self) -> bool {
        let mut filled = false;
        while let Some(wish) = self.bulk.wish() {
            let fill = matches!(wish, BulkWish::Fill { .. });
            match self.clip.on_bulk(self.now, &mut self.bulk, wish) {
                Ok(Some(wish)) => self.out.push_back(HostOutput::Bulk(wish)),
                Ok(None) => filled |= fill,
                Err(fault) => self.out.push_back(HostOutput::Note(Note::Rejected { fault: fault.name() })),
            }
        }
        filled
    }
}
