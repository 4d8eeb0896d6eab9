//! The UDP socket that sets marks. Everything but sending is quinn's own.
//!
//! quinn's socket writes the traffic class with every packet, ECN's two bits alone, and so overrules what the socket was set to.
//! Ours says the whole byte. QUIC hands over up to ten packets in one piece, which the kernel cuts (GSO); where their classes
//! differ they go in as many pieces. What the system refuses of ours is sent quinn's way: a route or a filter of the machine's own may
//! refuse a mark, and the packets go without then.

use super::seal::Mark;
use super::{Marks, Sealed};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use socket2::{MsgHdr, SockAddr, SockRef};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
#[cfg(target_os = "linux")]
use std::net::IpAddr;
use std::net::{SocketAddr, UdpSocket};
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
    sealed: Arc<Sealed>,
    runtime: &dyn quinn::Runtime,
) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    if marks.is_off() || !cfg!(target_os = "linux") {
        return crate::plain::wrap(socket, runtime);
    }
    sealed.refused.store(false, Ordering::Relaxed);
    Ok(Arc::new(Marked::new(socket, marks, sealed, runtime)?))
}

struct Marked {
    inner: Arc<dyn AsyncUdpSocket>,
    /// The same socket.
    own: UdpSocket,
    marks: Marks,
    sealed: Arc<Sealed>,
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
    fn new(socket: UdpSocket, marks: Marks, sealed: Arc<Sealed>, runtime: &dyn quinn::Runtime) -> io::Result<Self> {
        let own = socket.try_clone()?;
        let inner = runtime.wrap_udp_socket(socket)?;
        Ok(Self { inner, own, marks, sealed, refused: AtomicBool::new(false), begun: Mutex::default() })
    }

    /// How many bytes from the front are packets of one mark, and which it is.
    fn run(&self, contents: &[u8], segment: usize) -> (usize, Mark) {
        let mut packets = contents.chunks(segment);
        let mark = packets.next().map_or(DEFAULT, |p| self.sealed.mark(p));
        let alike = packets.take_while(|p| self.sealed.mark(p) == mark).map(<[u8]>::len).sum::<usize>();
        (segment.min(contents.len()) + alike, mark)
    }

    /// Sends packets of one mark.
    fn send(&self, part: &Transmit<'_>, mark: Mark) -> io::Result<()> {
        let ecn = part.ecn.map_or(0, |e| e as u8);
        match self.write(part, Some(self.marks.byte(mark) | ecn)) {
            // Tried again by quinn's socket, which must learn that there is no room.
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.inner.try_send(part),
            Err(e) if may_be_refused(&e) && self.write(part, None).is_ok() => {
                self.sealed.refused.store(true, Ordering::Relaxed);
                if !self.refused.swap(true, Ordering::Relaxed) {
                    tracing::warn!(error = %e, "this system takes no marks on packets; they go without (see --dscp)");
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

/// What is not noted otherwise.
const DEFAULT: Mark = Some(super::trial::Class::Ordinary);

/// Whether a system that takes no marks may say so with this: the control message itself is refused, or a rule of the machine's own
/// (a filter of what leaves, a route by traffic class) lets no packet leave so.
fn may_be_refused(error: &io::Error) -> bool {
    use ErrorKind::{HostUnreachable, InvalidInput, NetworkUnreachable, PermissionDenied, Unsupported};
    #[cfg(target_os = "linux")]
    if matches!(error.raw_os_error(), Some(libc::ENOPROTOOPT | libc::ENOSYS)) {
        return true;
    }
    matches!(error.kind(), HostUnreachable | InvalidInput | NetworkUnreachable | PermissionDenied | Unsupported)
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
            let (len, mark) = self.run(rest, segment);
            let contents = rest.get(..len).unwrap_or(rest);
            let segment_size = transmit.segment_size.filter(|s| *s < contents.len());
            if let Err(e) = self.send(&Transmit { contents, segment_size, ..transmit.clone() }, mark) {
                if at > 0 {
                    self.begin(first, at);
                }
                return Err(e);
            }
            if mark != DEFAULT {
                contents.chunks(segment).for_each(|packet| self.sealed.forget(packet));
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
    fn describe(&mut self, _part: &Transmit<'_>, _class: Option<u8>) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::trial::Class;
    use super::*;
    use crate::relay::class;
    use quinn::TokioRuntime;
    use std::net::Ipv4Addr;
    use std::path::PathBuf;
    use std::process::Command;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    const HERE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
    const THERE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
    const LEN: usize = 1_000;
    /// Which of a transmit's packets are urgent: five pieces.
    const URGENT: [bool; 6] = [false, true, false, false, true, false];

    fn ip(args: &str) -> io::Result<()> {
        let output = Command::new("ip").args(args.split(' ')).output()?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(()) } else { Err(io::Error::other(format!("ip {args}: {said}"))) }
    }

    /// Moves the calling thread into a network of its own, and says where that is found.
    #[expect(unsafe_code, reason = "no library that is here already moves a thread")]
    fn own_network() -> io::Result<PathBuf> {
        // SAFETY: takes flags; only the calling thread moves.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(std::path::Path::new("/proc").join(std::fs::read_link("/proc/thread-self")?).join("ns/net"))
    }

    /// Packet `n` of transmit `round`.
    fn packet(round: u8, n: u8) -> Vec<u8> {
        let mut packet = vec![round; LEN];
        packet[0] = n;
        packet[LEN - super::super::seal::TAG] = n;
        packet
    }

    /// A sender whose buffer holds two packets, to a receiver who does not say his Ethernet address at first: what is sent until then
    /// stays in the buffer. Every packet arrives once, in its place and with its mark, although sending stops in the middle of a piece
    /// that the kernel cuts.
    // spec: T-4
    #[test]
    fn a_socket_that_fills_in_mid_batch_goes_on_where_it_stopped() {
        // A thread that moves does not come back.
        std::thread::spawn(fill_in_mid_batch).join().unwrap();
    }

    fn fill_in_mid_batch() {
        let (tell, told) = channel();
        let (answer, answers) = channel::<()>();
        let receiver = std::thread::spawn(move || -> io::Result<Vec<(Vec<u8>, u8)>> {
            let made = own_network();
            let _ = tell.send(made.as_ref().map(Clone::clone).map_err(ToString::to_string));
            made?;
            let gone = |_| io::Error::other("the sender is gone");
            // The cable is there.
            answers.recv().map_err(gone)?;
            std::fs::write("/proc/sys/net/ipv4/conf/tp-there/arp_ignore", "8")?;
            ip(&format!("addr add {THERE}/24 dev tp-there"))?;
            ip("link set tp-there up")?;
            let socket = UdpSocket::bind((THERE, 4_433))?;
            class::ask(&socket);
            socket.set_read_timeout(Some(Duration::from_secs(5)))?;
            let _ = tell.send(Ok(PathBuf::new()));
            // The sender has stopped.
            answers.recv().map_err(gone)?;
            std::fs::write("/proc/sys/net/ipv4/conf/tp-there/arp_ignore", "0")?;
            let mut buffer = [0; 2_000];
            (0..2 * URGENT.len() + 1)
                .map_while(|n| {
                    if n == 2 * URGENT.len() {
                        socket.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
                    }
                    let (len, _, class) = class::receive(&socket, &mut buffer).ok()?;
                    Some(Ok((buffer[..len].to_vec(), class)))
                })
                .collect()
        });
        let there = match own_network().map_err(|e| e.to_string()).and_then(|_| told.recv().expect("a receiver")) {
            Ok(there) => there,
            Err(why) => return println!("marks: skipped: no network of one's own may be made: {why}"),
        };
        if let Err(why) = ip(&format!("link add tp-here type veth peer name tp-there netns {}", there.display())) {
            return println!("marks: skipped: no cable can be laid: {why}");
        }
        ip(&format!("addr add {HERE}/24 dev tp-here")).unwrap();
        ip("link set tp-here up").unwrap();
        answer.send(()).unwrap();
        told.recv().expect("a receiver").expect("a socket");

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let socket = UdpSocket::bind((HERE, 0)).unwrap();
        // The least that the system gives.
        SockRef::from(&socket).set_send_buffer_size(1).unwrap();
        let sealed = Arc::<Sealed>::default();
        let marked = Marked::new(socket, Marks::default(), sealed.clone(), &TokioRuntime).unwrap();
        let marked = Arc::new(marked);
        let mut poller = marked.clone().create_io_poller();
        let mut stopped = Vec::new();
        for round in [1, 2] {
            let contents: Vec<u8> = (0..6).flat_map(|n| packet(round, n)).collect();
            for (packet, _) in contents.chunks(LEN).zip(URGENT).filter(|(_, urgent)| *urgent) {
                sealed.note(*packet.last_chunk().unwrap(), Some(Class::Urgent));
            }
            let transmit = Transmit {
                destination: (THERE, 4_433).into(),
                ecn: None,
                contents: &contents,
                segment_size: Some(LEN),
                src_ip: None,
            };
            while let Err(error) = marked.try_send(&transmit) {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                let begun = marked.begun.lock().unwrap();
                stopped.push(begun.first().map_or(0, |(_, sent)| *sent));
                drop(begun);
                if stopped.len() == 1 {
                    answer.send(()).unwrap();
                }
                let writable = std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx));
                runtime
                    .block_on(async { tokio::time::timeout(Duration::from_secs(5), writable).await })
                    .unwrap()
                    .unwrap();
            }
        }
        println!("marks: it stopped after these bytes of a transmit: {stopped:?}");
        assert!(stopped.iter().any(|sent| *sent > 0), "{stopped:?}");
        assert!(marked.begun.lock().unwrap().is_empty(), "nothing is left begun");
        let came = receiver.join().unwrap().unwrap();
        let sent = [1, 2].into_iter().flat_map(|round| (0..6).map(move |n| packet(round, n)));
        let expected: Vec<(Vec<u8>, u8)> =
            sent.zip(URGENT.into_iter().cycle()).map(|(p, urgent)| (p, if urgent { 0xb8 } else { 0x88 })).collect();
        let brief = |all: &[(Vec<u8>, u8)]| all.iter().map(|(p, class)| (p[1], p[0], *class)).collect::<Vec<_>>();
        assert_eq!(brief(&came), brief(&expected));
        assert!(came == expected);
    }
}
