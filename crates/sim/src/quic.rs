//! What QUIC adds to the datagrams: control messages on a stream, acknowledgements, and the pings of a silent
//! connection. They are counted and do not take the paths' time: they are few, and the minds do not see them.
//!
//! The rules are those of `transport`: an acknowledgement after 16 packets or a delay, riding along where a packet
//! leaves first; a ping after 22 s of silence (`spec: L-7`).

/// One direction's account.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quic {
    /// Bytes of control messages, headers included.
    pub control_bytes: u64,
    /// Packets that carry nothing but an acknowledgement, or a ping.
    pub lone_packets: u64,
    /// And their bytes, with the bytes of acknowledgements that ride along.
    pub lone_bytes: u64,
    waiting: u32,
    due: u64,
}

impl Quic {
    /// A packet came from the other side; what acknowledges it goes this way within `delay` microseconds.
    pub fn on_arrival(&mut self, now: u64, delay: u64) {
        self.settle(now);
        if self.waiting == 0 {
            self.due = now + delay;
        }
        self.waiting += 1;
        if self.waiting >= ACK_EVERY {
            self.due = now;
            self.settle(now);
        }
    }

    /// A packet leaves this way and takes the acknowledgement along.
    pub fn on_sent(&mut self, now: u64) {
        self.settle(now);
        if self.waiting > 0 {
            self.lone_bytes += ACK_FRAME;
            self.waiting = 0;
        }
    }

    /// A control message of `bytes` leaves this way.
    pub fn on_control(&mut self, now: u64, bytes: u64) {
        self.on_sent(now);
        self.control_bytes += bytes + HEADERS * bytes.div_ceil(MTU).max(1);
    }

    /// So many pings, or their acknowledgements.
    pub fn on_pings(&mut self, count: u64) {
        self.lone_packets += count;
        self.lone_bytes += count * (HEADERS + ACK_FRAME);
    }

    fn settle(&mut self, now: u64) {
        if self.waiting > 0 && self.due <= now {
            self.on_pings(1);
            self.waiting = 0;
        }
    }
}

/// IP, UDP, QUIC's short header with two bytes of number, the tag: as the paths count them, without the frame's own.
const HEADERS: u64 = 48;
/// An ACK frame with one range.
const ACK_FRAME: u64 = 6;
/// What a stream's packet carries.
const MTU: u64 = 1_150;
/// `transport`'s threshold.
const ACK_EVERY: u32 = 16;
/// A silent connection's ping, in microseconds (`spec: L-7`).
pub const PING_AFTER: u64 = 22_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_rides_along_or_goes_alone() {
        let mut q = Quic::default();
        q.on_arrival(0, 25_000);
        q.on_sent(10_000);
        assert_eq!((q.lone_packets, q.lone_bytes), (0, ACK_FRAME));
        q.on_arrival(20_000, 25_000);
        q.on_sent(50_000);
        assert_eq!(q.lone_packets, 1, "nothing left in time to take it along");
        for i in 0..32 {
            q.on_arrival(100_000 + i, 25_000);
        }
        assert_eq!(q.lone_packets, 3, "one for every 16");
    }
}
