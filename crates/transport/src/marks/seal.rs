//! Where QUIC seals its packets: the last place at which what they carry can be seen.
//!
//! Everything is passed on to the session that does the work; only the key that seals looks at the packet first, and writes
//! down the tag of one whose mark is not the ordinary one. Every packet of a connection is sealed before it is sent, on the network
//! thread, and the tag stays where it is: it is the last 16 bytes of the UDP datagram. The key that opens looks at what is acknowledged,
//! which tells whether marked packets get through (`trial`).

use super::frames;
use super::trial::{Class, Trial};
use crate::ClockFn;
use crate::event::MarkFate;
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
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What sealing a packet gives: every cipher of TLS 1.3 that QUIC uses has 16 bytes.
pub(super) const TAG: usize = 16;
/// Tags kept of packets that were sealed and not sent yet: some never are, when their connection ends. A tag that was
/// forgotten costs a packet its mark.
const MOST: usize = 256;

/// What a packet is marked as; without a mark, it is `None`.
pub(super) type Mark = Option<Class>;

/// The packets on their way to the socket whose mark is not the ordinary one, by their tags. One for all connections of an endpoint.
#[derive(Debug, Default)]
pub struct Sealed {
    tags: Mutex<VecDeque<([u8; TAG], Mark)>>,
    /// How many, to be seen without the lock: mostly there are none.
    count: AtomicUsize,
    /// The system takes no marks on the present socket.
    pub(super) refused: AtomicBool,
}

impl Sealed {
    pub(super) fn note(&self, tag: [u8; TAG], mark: Mark) {
        let mut tags = lock(&self.tags);
        if tags.len() >= MOST {
            tags.pop_front();
        }
        tags.push_back((tag, mark));
        self.count.store(tags.len(), Ordering::Release);
    }

    /// What the packet that ends with this tag is marked as.
    pub(super) fn mark(&self, packet: &[u8]) -> Mark {
        let noted = || {
            let tag = packet.last_chunk::<TAG>()?;
            lock(&self.tags).iter().find(|(noted, _)| noted == tag).map(|(_, mark)| *mark)
        };
        let any = self.count.load(Ordering::Acquire) > 0;
        any.then(noted).flatten().unwrap_or(Some(Class::Ordinary))
    }

    /// The packet was sent.
    pub(super) fn forget(&self, packet: &[u8]) {
        let Some(tag) = packet.last_chunk::<TAG>() else { return };
        let mut tags = lock(&self.tags);
        tags.retain(|(noted, _)| noted != tag);
        self.count.store(tags.len(), Ordering::Release);
    }

    /// A client's handshake whose packets are looked at.
    pub fn client(self: &Arc<Self>, inner: Arc<dyn ClientConfig>, clock: ClockFn) -> Arc<dyn ClientConfig> {
        Arc::new(Watched { inner, sealed: self.clone(), clock })
    }

    /// A server's handshakes whose packets are looked at.
    pub fn server(self: &Arc<Self>, inner: Arc<dyn ServerConfig>, clock: ClockFn) -> Arc<dyn ServerConfig> {
        Arc::new(Watched { inner, sealed: self.clone(), clock })
    }
}

/// One connection: whether what is marked gets through.
pub struct Watch {
    sealed: Arc<Sealed>,
    trial: Mutex<Trial>,
    clock: ClockFn,
}

impl Watch {
    /// What becomes of the connection's marks.
    pub fn fate(&self) -> MarkFate {
        let trial = lock(&self.trial);
        match (trial.is_settled(Class::Ordinary), trial.is_settled(Class::Urgent)) {
            _ if self.sealed.refused.load(Ordering::Relaxed) => MarkFate::Refused,
            (true, _) => MarkFate::Dropped,
            (false, true) => MarkFate::UrgentDropped,
            (false, false) => MarkFate::On,
        }
    }

    /// The connection goes on over another path.
    pub fn on_moved(&self) {
        lock(&self.trial).on_moved((self.clock)());
    }

    /// A packet was sealed.
    fn on_sealed(&self, space: usize, number: u64, what: frames::What, tag: [u8; TAG]) {
        let class = if what.urgent { Class::Urgent } else { Class::Ordinary };
        let mark = lock(&self.trial).choose((self.clock)(), (space, number), class, what.asks);
        self.tell();
        if mark != Some(Class::Ordinary) {
            self.sealed.note(tag, mark);
        }
    }

    /// A packet was opened.
    fn on_opened(&self, space: usize, frames: &[u8]) {
        if let Some(acked) = frames::acked(frames) {
            lock(&self.trial).on_acked((self.clock)(), space, &acked);
            self.tell();
        }
    }

    fn tell(&self) {
        while let Some(class) = lock(&self.trial).news() {
            match class {
                Class::Ordinary => {
                    tracing::warn!("the network drops marked packets; they go without (see --dscp)")
                }
                Class::Urgent => {
                    tracing::warn!("the network drops packets marked as sound's; they go as the screen's (see --dscp)")
                }
            }
        }
    }
}

/// What the handshake told, and who watches the connection.
struct Shaken {
    data: Box<dyn Any>,
    watch: Arc<Watch>,
}

/// Takes apart what a connection says of its handshake: that, and who watches it, where it is watched.
pub fn shaken(data: Box<dyn Any>) -> (Box<dyn Any>, Option<Arc<Watch>>) {
    match data.downcast::<Shaken>() {
        Ok(shaken) => (shaken.data, Some(shaken.watch)),
        Err(data) => (data, None),
    }
}

/// The handshakes of an end, where to note their packets, and the time.
struct Watched<T> {
    inner: T,
    sealed: Arc<Sealed>,
    clock: ClockFn,
}

impl<T> Watched<T> {
    fn session(&self, inner: Box<dyn Session>) -> Box<dyn Session> {
        let (sealed, clock) = (self.sealed.clone(), self.clock.clone());
        Box::new(Watching { inner, watch: Arc::new(Watch { sealed, trial: Mutex::default(), clock }), given: INITIAL })
    }
}

/// One connection's session. Its keys come in the order of the number spaces.
struct Watching {
    inner: Box<dyn Session>,
    watch: Arc<Watch>,
    /// The last space of which keys were given.
    given: usize,
}

/// The number space of a connection's first packets; the others follow.
const INITIAL: usize = 0;

impl Watching {
    fn pair(&self, space: usize, keys: KeyPair<Box<dyn PacketKey>>) -> KeyPair<Box<dyn PacketKey>> {
        let key = |inner| -> Box<dyn PacketKey> { Box::new(WatchedKey { inner, watch: self.watch.clone(), space }) };
        KeyPair { local: key(keys.local), remote: key(keys.remote) }
    }
}

/// A key, and the space of the numbers it is used with.
struct WatchedKey {
    inner: Box<dyn PacketKey>,
    watch: Arc<Watch>,
    space: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Session for Watching {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        let Keys { header, packet } = self.inner.initial_keys(dst_cid, side);
        Keys { header, packet: self.pair(INITIAL, packet) }
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        let data = self.inner.handshake_data()?;
        Some(Box::new(Shaken { data, watch: self.watch.clone() }))
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
        self.given += 1;
        Some(Keys { header, packet: self.pair(self.given, packet) })
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let keys = self.inner.next_1rtt_keys()?;
        Some(self.pair(self.given, keys))
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

impl PacketKey for WatchedKey {
    fn encrypt(&self, packet: u64, buf: &mut [u8], header_len: usize) {
        let frames = buf.get(header_len..buf.len().saturating_sub(self.inner.tag_len()));
        let what = frames::look(frames.unwrap_or_default());
        self.inner.encrypt(packet, buf, header_len);
        if let Some(tag) = buf.last_chunk::<TAG>() {
            self.watch.on_sealed(self.space, packet, what, *tag);
        }
    }

    fn decrypt(&self, packet: u64, header: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        self.inner.decrypt(packet, header, payload)?;
        self.watch.on_opened(self.space, payload);
        Ok(())
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
        let sealed = Sealed::default();
        let packet = |n: u16| [&[9; 40][..], &n.to_be_bytes(), &[0; TAG - 2]].concat();
        let tag = |n: u16| *packet(n).last_chunk::<TAG>().unwrap();
        let (ordinary, urgent) = (Some(Class::Ordinary), Some(Class::Urgent));
        assert_eq!((sealed.mark(&packet(1)), sealed.mark(b"short")), (ordinary, ordinary));
        sealed.note(tag(1), urgent);
        sealed.note(tag(2), None);
        let marks = |sealed: &Sealed| [1, 2, 3].map(|n| sealed.mark(&packet(n)));
        assert_eq!(marks(&sealed), [urgent, None, ordinary]);
        assert_eq!(sealed.mark(b"short"), ordinary);
        sealed.forget(&packet(1));
        assert_eq!(marks(&sealed), [ordinary, None, ordinary]);
        for n in 3..1_000 {
            sealed.note(tag(n), urgent);
        }
        assert!(lock(&sealed.tags).len() <= MOST);
        assert_eq!((sealed.mark(&packet(999)), sealed.mark(&packet(2))), (urgent, ordinary));
    }
}
