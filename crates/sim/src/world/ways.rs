//! What travels beside the datagrams: the control stream, and bulk in streams of its own.

use super::{Direction, World};
use telepane_protocol::Control;
use telepane_session::BulkWish;

impl World {
    /// Begins to send `bytes` bytes one way, in a pipe of this number.
    pub fn load(&mut self, direction: Direction, pipe: u32, bytes: u64) {
        let (h, v) = (self.host_now(), self.viewer_now());
        self.bulk[usize::from(direction == Direction::Up)].give.insert(pipe, (bytes, 0));
        match direction {
            Direction::Down => {
                self.viewer.on_bulk_expected(v, pipe);
                self.host.on_bulk_offered(h, pipe);
            }
            Direction::Up => {
                self.host.on_bulk_expected(h, pipe);
                self.viewer.on_bulk_offered(v, pipe);
            }
        }
        (self.host_wake, self.viewer_wake) = (Some(self.now), Some(self.now));
    }

    /// What the shell of the side that sends (a fill) or receives (data) does.
    pub(super) fn on_bulk(&mut self, side: Direction, wish: BulkWish) {
        let (h, v) = (self.host_now(), self.viewer_now());
        let host = side == Direction::Down;
        match wish {
            BulkWish::Fill { pipe, room } => {
                let Some((all, given)) = self.bulk[usize::from(!host)].give.get_mut(&pipe) else { return };
                let n = (room as u64).min(*all - *given);
                let bytes = (*given..*given + n).map(place).collect();
                *given += n;
                let last = given == all;
                match host {
                    true => self.host.on_bulk_data(h, pipe, bytes, last),
                    false => self.viewer.on_bulk_data(v, pipe, bytes, last),
                }
            }
            BulkWish::Data { pipe, bytes, last } => {
                let loads = &mut self.bulk[usize::from(host)];
                let came = loads.came.entry(pipe).or_default();
                assert!(bytes.iter().zip(*came..).all(|(b, at)| *b == place(at)), "bulk comes as it was sent");
                *came += bytes.len() as u64;
                if last {
                    loads.done.insert(pipe, self.now);
                }
                let n = bytes.len() as u64;
                match host {
                    true => self.host.on_bulk_used(h, pipe, n),
                    false => self.viewer.on_bulk_used(v, pipe, n),
                }
            }
        }
    }

    pub(super) fn send_chunk(&mut self, direction: Direction, chunk: Vec<u8>) {
        if !self.dead {
            let way = usize::from(direction == Direction::Up);
            for packet in self.streams[way].send(chunk) {
                self.push_stream(direction, packet);
            }
        }
    }

    fn push_stream(&mut self, direction: Direction, packet: Vec<u8>) {
        let rtt = self.down.model.delay.as_micros() + self.up.model.delay.as_micros();
        let (now, way) = (self.now, usize::from(direction == Direction::Up));
        if !self.path(direction).push(now, packet.clone()) {
            self.streams[way].lost(&packet, now + rtt * 9 / 8 + 1_000);
        }
    }

    /// Packets of streams that were lost go again.
    pub(super) fn send_again(&mut self) {
        for direction in [Direction::Down, Direction::Up] {
            while let Some(packet) = self.streams[usize::from(direction == Direction::Up)].due(self.now) {
                self.push_stream(direction, packet);
            }
        }
    }

    pub(super) fn deliver_controls(&mut self) {
        while let Some(entry) = self.controls.first_entry().filter(|e| e.key().0 <= self.now) {
            let (direction, message) = entry.remove();
            match direction {
                Direction::Down => self.viewer.on_control(self.viewer_now(), message),
                Direction::Up => self.host.on_control(self.host_now(), message),
            }
        }
    }

    /// A stream: in order, never lost, late by what the path's faults cost it.
    pub(super) fn send_control(&mut self, direction: Direction, message: Control) {
        if self.dead {
            return;
        }
        let path = self.path(direction);
        let late = if path.model.blackout { 1_000_000 } else { path.model.jitter.as_micros() };
        let at = self.now + self.path(direction).model.delay.as_micros() + late;
        let way = usize::from(direction == Direction::Up);
        self.control_free[way] = self.control_free[way].max(at);
        self.control_count += 1;
        self.quic[way].on_control(self.now, message.encode().len() as u64);
        self.controls.insert((self.control_free[way], self.control_count), (direction, message));
    }
}

/// The byte that stands at `at` of a pipe.
const fn place(at: u64) -> u8 {
    (at ^ at >> 8 ^ at >> 16) as u8
}
