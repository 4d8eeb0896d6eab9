//! The UDP socket that sets marks. Everything but sending is quinn's own.
//!
//! quinn's socket writes the traffic class with every packet, ECN's two bits alone, and so overrules what the socket was set to.
//! Ours says the whole byte. QUIC hands over up to ten packets in one piece, which the kernel cuts (GSO); where their classes
//! differ they go in as many pieces. What the system refuses of ours is sent quinn's way.

use super::{Marks, Urgent};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use socket2::{MsgHdr, SockAddr, SockRef};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// Transmits that stopped in their middle, at most: one for each connection that waits for the socket.
const MOST_BEGUN: usize = 64;

/// `socket` with its packets marked; as it is, where nothing is to be marked or the platform is not known.
pub fn wrap(
    socket: UdpSocket,
    marks: Marks,
    urgent: Arc<Urgent>,
    runtime: &dyn quinn::Runtime,
) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    if marks.is_off() || !cfg!(target_os = "linux") {
        return runtime.wrap_udp_socket(socket);
    }
    let own = socket.try_clone()?;
    let inner = runtime.wrap_udp_socket(socket)?;
    Ok(Arc::new(Marked { inner, own, marks, urgent, refused: AtomicBool::new(false), begun: Mutex::default() }))
}

struct Marked {
    inner: Arc<dyn AsyncUdpSocket>,
    /// The same socket.
    own: UdpSocket,
    marks: Marks,
    urgent: Arc<Urgent>,
    /// The system takes no marks.
    refused: AtomicBool,
    /// Transmits of which the first so many bytes are sent, by the end of their first packet: quinn hands them over again.
    begun: Mutex<Vec<(Vec<u8>, usize)>>,
}

impl fmt::Debug for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marked").field("marks", &self.marks).finish_non_exhaustive()
    }
}

impl Marked {
    /// How many bytes from the front are packets of one class, and whether it is the urgent one.
    fn run(&self, contents: &[u8], segment: usize) -> (usize, bool) {
        let mut packets = contents.chunks(segment);
        let urgent = packets.next().is_some_and(|p| self.urgent.has(p));
        let alike = packets.take_while(|p| self.urgent.has(p) == urgent).map(<[u8]>::len).sum::<usize>();
        (segment.min(contents.len()) + alike, urgent)
    }

    /// Sends packets of one class.
    fn send(&self, part: &Transmit<'_>, urgent: bool) -> io::Result<()> {
        let ecn = part.ecn.map_or(0, |e| e as u8);
        match self.write(part, Some(self.marks.byte(urgent) | ecn)) {
            // Tried again by quinn's socket, which must learn that there is no room.
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.inner.try_send(part),
            Err(e) if may_be_refused(e.kind()) && self.write(part, None).is_ok() => {
                if !self.refused.swap(true, Ordering::Relaxed) {
                    tracing::debug!(error = %e, "this system takes no marks on packets; they go without");
                }
                Ok(())
            }
            // Whatever is wrong, it is not the mark.
            Err(_) => self.inner.try_send(part),
            Ok(()) => Ok(()),
        }
    }

    /// One system call; `class` is the traffic class's byte.
    fn write(&self, part: &Transmit<'_>, class: Option<u8>) -> io::Result<()> {
        let mut control = Control::default();
        control.describe(part, class);
        let (to, contents) = (SockAddr::from(part.destination), [IoSlice::new(part.contents)]);
        let message = MsgHdr::new().with_addr(&to).with_buffers(&contents).with_control(control.bytes());
        let socket = SockRef::from(&self.own);
        loop {
            match socket.sendmsg(&message, 0) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                sent => return sent.map(|_| ()),
            }
        }
    }

    /// Where to go on in a transmit that quinn hands over again.
    fn take_begun(&self, first: &[u8]) -> usize {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let found = begun.iter().position(|(packet, _)| packet == end_of(first));
        found.map_or(0, |i| begun.swap_remove(i).1)
    }

    fn begin(&self, first: &[u8], sent: usize) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.len() >= MOST_BEGUN {
            begun.remove(0);
        }
        begun.push((end_of(first).to_vec(), sent));
    }
}

/// Whether a system that takes no marks may say so with this.
fn may_be_refused(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidInput | ErrorKind::PermissionDenied | ErrorKind::Unsupported)
}

/// What tells a packet from every other.
fn end_of(packet: &[u8]) -> &[u8] {
    packet.get(packet.len().saturating_sub(super::seal::TAG)..).unwrap_or_default()
}

impl AsyncUdpSocket for Marked {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    // spec: T-4
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.refused.load(Ordering::Relaxed) || transmit.contents.is_empty() {
            return self.inner.try_send(transmit);
        }
        let all = transmit.contents;
        let segment = transmit.segment_size.unwrap_or(all.len()).clamp(1, all.len());
        let first = all.get(..segment).unwrap_or_default();
        let mut at = self.take_begun(first);
        while let Some(rest) = all.get(at..).filter(|r| !r.is_empty()) {
            let (len, urgent) = self.run(rest, segment);
            let contents = rest.get(..len).unwrap_or(rest);
            let segment_size = transmit.segment_size.filter(|s| *s < contents.len());
            if let Err(e) = self.send(&Transmit { contents, segment_size, ..transmit.clone() }, urgent) {
                if at > 0 {
                    self.begin(first, at);
                }
                return Err(e);
            }
            if urgent {
                contents.chunks(segment).for_each(|packet| self.urgent.forget(packet));
            }
            at += len;
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// The control messages that go with a packet (`cmsg(3)`), written byte by byte: header, data, and padding to a word's length.
#[derive(Default)]
pub(crate) struct Control {
    bytes: Vec<u8>,
}

impl Control {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[cfg(target_os = "linux")]
    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        const WORD: usize = size_of::<usize>();
        let header = (WORD + 8).next_multiple_of(WORD);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&(header + data.len()).to_ne_bytes());
        self.bytes.extend_from_slice(&level.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.resize(start + header, 0);
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(WORD), 0);
    }

    /// The traffic class's byte. An IPv4 address written as IPv6 is IPv4 on the wire.
    #[cfg(target_os = "linux")]
    pub(crate) fn class(&mut self, to: IpAddr, class: u8) {
        let class = i32::from(class).to_ne_bytes();
        match to.to_canonical() {
            IpAddr::V4(_) => self.push(libc::IPPROTO_IP, libc::IP_TOS, &class),
            IpAddr::V6(_) => self.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &class),
        }
    }

    /// As quinn's socket does it, but for the class.
    #[cfg(target_os = "linux")]
    fn describe(&mut self, part: &Transmit<'_>, class: Option<u8>) {
        self.bytes.reserve(96);
        if let Some(class) = class {
            self.class(part.destination.ip(), class);
        }
        if let Some(segment) = part.segment_size.and_then(|s| u16::try_from(s).ok()) {
            self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        }
        match part.src_ip {
            // in_pktinfo: no interface, our address, and one that is not looked at.
            Some(IpAddr::V4(ip)) => {
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &[&[0; 4][..], &ip.octets(), &[0; 4]].concat());
            }
            // in6_pktinfo: our address, no interface.
            Some(IpAddr::V6(ip)) => {
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &[&ip.octets()[..], &[0; 4]].concat());
            }
            None => {}
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn class(&mut self, _to: IpAddr, _class: u8) {}

    #[cfg(not(target_os = "linux"))]
    fn describe(&mut self, _part: &Transmit<'_>, _class: Option<u8>) {}
}
