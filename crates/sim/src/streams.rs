//! The bulk lane in a box: each chunk is a stream, its packets take their turn on the path behind and before datagrams,
//! and what is lost is sent again as QUIC does.
//!
//! Less than QUIC: a lost packet is noticed after nine eighths of a round trip and never sooner, and no two chunks share
//! a packet.

use std::collections::BTreeMap;

/// The first byte of a stream's packet on a path; no datagram begins so.
const MARK: u8 = 0xff;
/// What a packet carries of a stream.
const PACKET: usize = 1_180;
const HEAD: usize = 11;

/// One direction's streams.
#[derive(Debug, Default)]
pub struct Streams {
    next: u64,
    /// Chunks on the way: their bytes, and which packets are still missing.
    open: BTreeMap<u64, (Vec<u8>, Vec<bool>)>,
    /// Packets to be sent again: when, and which of which chunk.
    again: BTreeMap<(u64, u64, u16), usize>,
}

impl Streams {
    /// A chunk leaves: its packets.
    pub fn send(&mut self, chunk: Vec<u8>) -> Vec<Vec<u8>> {
        let id = self.next;
        self.next += 1;
        let sizes: Vec<usize> = chunk.chunks(PACKET).map(<[u8]>::len).collect();
        self.open.insert(id, (chunk, vec![false; sizes.len()]));
        sizes.into_iter().enumerate().map(|(n, size)| packet(id, n as u16, size)).collect()
    }

    /// A packet of ours was lost on the path; it goes again at `at`.
    pub fn lost(&mut self, packet: &[u8], at: u64) {
        if let Some((id, n)) = read(packet) {
            self.again.insert((at, id, n), packet.len() - HEAD);
        }
    }

    /// When the next packet goes again.
    pub fn next_at(&self) -> Option<u64> {
        self.again.first_key_value().map(|((at, ..), _)| *at)
    }

    /// The next packet that is due to go again.
    pub fn due(&mut self, now: u64) -> Option<Vec<u8>> {
        let entry = self.again.first_entry().filter(|e| e.key().0 <= now)?;
        let (_, id, n) = *entry.key();
        Some(packet(id, n, entry.remove()))
    }

    /// A packet came out of the path. `None`: it is no stream's. A chunk that is whole with it comes back.
    pub fn arrive(&mut self, packet: &[u8]) -> Option<Option<Vec<u8>>> {
        let (id, n) = read(packet)?;
        let Some((_, have)) = self.open.get_mut(&id) else { return Some(None) };
        if let Some(place) = have.get_mut(usize::from(n)) {
            *place = true;
        }
        let whole = have.iter().all(|h| *h);
        Some(if whole { self.open.remove(&id).map(|(chunk, _)| chunk) } else { None })
    }

    /// The connection is over.
    pub fn cut(&mut self) {
        self.open.clear();
        self.again.clear();
    }
}

fn packet(id: u64, n: u16, size: usize) -> Vec<u8> {
    let mut bytes = vec![MARK];
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&n.to_le_bytes());
    bytes.resize(size.max(1) + HEAD, 0);
    bytes
}

fn read(packet: &[u8]) -> Option<(u64, u16)> {
    let (head, _) = packet.split_first_chunk::<HEAD>()?;
    let [MARK, id @ .., low, high] = *head else { return None };
    Some((u64::from_le_bytes(id), u16::from_le_bytes([low, high])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_whole_when_every_packet_came() {
        let mut s = Streams::default();
        let packets = s.send(vec![7; 3_000]);
        assert_eq!(packets.len(), 3);
        assert_eq!(s.arrive(&packets[2]), Some(None));
        assert_eq!(s.arrive(&packets[0]), Some(None));
        s.lost(&packets[1], 50);
        assert_eq!((s.next_at(), s.due(49)), (Some(50), None));
        let again = s.due(50).expect("due");
        assert_eq!(s.arrive(&again), Some(Some(vec![7; 3_000])));
        assert_eq!(s.arrive(&again), Some(None), "twice");
        assert_eq!(s.arrive(&[1, 2, 3]), None);
    }
}
