//! Where QUIC seals its packets: the last place at which what they carry can be seen.
//!
//! Everything is passed on to the session that does the work; only the key that seals looks at the packet first, and writes
//! down the tag of one that is urgent. Every packet of a connection is sealed before it is sent, on the network thread, and the
//! tag stays where it is: it is the last 16 bytes of the UDP datagram.

use super::frames;
use bytes::BytesMut;
use quinn::crypto::{
    ClientConfig, CryptoError, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, ServerConfig, Session,
    UnsupportedVersion,
};
use quinn::{ConnectError, ConnectionId, Side};
use quinn_proto::TransportError;
use quinn_proto::transport_parameters::TransportParameters;
use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What sealing a packet gives: every cipher of TLS 1.3 that QUIC uses has 16 bytes.
pub(super) const TAG: usize = 16;
/// Tags kept of packets that were sealed and not sent yet: some never are, when their connection ends. A tag that was
/// forgotten costs a packet its mark.
const MOST: usize = 256;

/// The tags of urgent packets that are on their way to the socket. One for all connections of an endpoint.
#[derive(Debug, Default)]
pub struct Urgent {
    tags: Mutex<VecDeque<[u8; TAG]>>,
    /// How many, to be seen without the lock: mostly there are none.
    count: AtomicUsize,
}

impl Urgent {
    fn note(&self, tag: [u8; TAG]) {
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        if tags.len() >= MOST {
            tags.pop_front();
        }
        tags.push_back(tag);
        self.count.store(tags.len(), Ordering::Release);
    }

    /// Whether the packet that ends with this tag is urgent.
    pub(super) fn has(&self, packet: &[u8]) -> bool {
        self.count.load(Ordering::Acquire) > 0
            && packet
                .last_chunk::<TAG>()
                .is_some_and(|tag| self.tags.lock().unwrap_or_else(PoisonError::into_inner).contains(tag))
    }

    /// The packet was sent.
    pub(super) fn forget(&self, packet: &[u8]) {
        let Some(tag) = packet.last_chunk::<TAG>() else { return };
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.retain(|t| t != tag);
        self.count.store(tags.len(), Ordering::Release);
    }

    /// A client's handshake whose packets are looked at.
    pub fn client(self: &Arc<Self>, inner: Arc<dyn ClientConfig>) -> Arc<dyn ClientConfig> {
        Arc::new(Watched { inner, urgent: self.clone() })
    }

    /// A server's handshakes whose packets are looked at.
    pub fn server(self: &Arc<Self>, inner: Arc<dyn ServerConfig>) -> Arc<dyn ServerConfig> {
        Arc::new(Watched { inner, urgent: self.clone() })
    }
}

/// A part of the cryptography and where it notes what is urgent.
struct Watched<T> {
    inner: T,
    urgent: Arc<Urgent>,
}

impl<T> Watched<T> {
    fn session(&self, inner: Box<dyn Session>) -> Box<dyn Session> {
        Box::new(Watched { inner, urgent: self.urgent.clone() })
    }

    fn key(&self, inner: Box<dyn PacketKey>) -> Box<dyn PacketKey> {
        Box::new(Watched { inner, urgent: self.urgent.clone() })
    }

    fn keys(&self, packet: KeyPair<Box<dyn PacketKey>>) -> KeyPair<Box<dyn PacketKey>> {
        KeyPair { local: self.key(packet.local), remote: packet.remote }
    }
}

impl ClientConfig for Watched<Arc<dyn ClientConfig>> {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        let inner = self.inner.clone().start_session(version, server_name, params)?;
        Ok(self.session(inner))
    }
}

impl ServerConfig for Watched<Arc<dyn ServerConfig>> {
    fn initial_keys(&self, version: u32, dst_cid: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        self.inner.initial_keys(version, dst_cid)
    }

    fn retry_tag(&self, version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.inner.retry_tag(version, orig_dst_cid, packet)
    }

    fn start_session(self: Arc<Self>, version: u32, params: &TransportParameters) -> Box<dyn Session> {
        self.session(self.inner.clone().start_session(version, params))
    }
}

impl Session for Watched<Box<dyn Session>> {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        self.inner.initial_keys(dst_cid, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.inner.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.inner.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.inner.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.inner.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.inner.is_handshaking()
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        self.inner.read_handshake(buf)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.inner.transport_parameters()
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        let Keys { header, packet } = self.inner.write_handshake(buf)?;
        Some(Keys { header, packet: self.keys(packet) })
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let keys = self.inner.next_1rtt_keys()?;
        Some(self.keys(keys))
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.inner.is_valid_retry(orig_dst_cid, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.inner.export_keying_material(output, label, context)
    }
}

impl PacketKey for Watched<Box<dyn PacketKey>> {
    fn encrypt(&self, packet: u64, buf: &mut [u8], header_len: usize) {
        let frames = buf.get(header_len..buf.len().saturating_sub(self.inner.tag_len()));
        let urgent = frames.is_some_and(frames::is_urgent);
        self.inner.encrypt(packet, buf, header_len);
        if urgent && let Some(tag) = buf.last_chunk::<TAG>() {
            self.urgent.note(*tag);
        }
    }

    fn decrypt(&self, packet: u64, header: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        self.inner.decrypt(packet, header, payload)
    }

    fn tag_len(&self) -> usize {
        self.inner.tag_len()
    }

    fn confidentiality_limit(&self) -> u64 {
        self.inner.confidentiality_limit()
    }

    fn integrity_limit(&self) -> u64 {
        self.inner.integrity_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_known_until_they_are_sent_and_bounded() {
        let urgent = Urgent::default();
        let packet = |n: u16| [&[9; 40][..], &n.to_be_bytes(), &[0; TAG - 2]].concat();
        let tag = |n: u16| *packet(n).last_chunk::<TAG>().unwrap();
        assert!(!urgent.has(&packet(1)) && !urgent.has(b"short"));
        urgent.note(tag(1));
        urgent.note(tag(2));
        assert!(urgent.has(&packet(1)) && urgent.has(&packet(2)) && !urgent.has(&packet(3)) && !urgent.has(b"short"));
        urgent.forget(&packet(1));
        assert!(!urgent.has(&packet(1)) && urgent.has(&packet(2)));
        for n in 3..1_000 {
            urgent.note(tag(n));
        }
        assert!(urgent.tags.lock().unwrap().len() <= MOST && urgent.has(&packet(999)) && !urgent.has(&packet(2)));
    }
}
