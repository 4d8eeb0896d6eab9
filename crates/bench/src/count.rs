//! Bytes and packets on the link, counted at the loopback interface by a packet socket with a filter for one port: the
//! same for every stack, TCP or UDP, without a proxy that would add its own delay. Needs root or CAP_NET_RAW.
//!
//! Loopback does not cut packets as a network does: its MTU is 64 KiB, and segmentation offload hands whole bursts on
//! uncut. What is counted is therefore what the same payload would be on a path with an MTU of 1500: TCP is cut at 1448
//! bytes, UDP where its sender asked for it, and each piece has its IP and transport header.
//!
//! The reading thread sleeps between readings instead of waiting for packets: a wake-up per packet on a small machine
//! would disturb what is measured.

use crate::clock;
use anyhow::{Result, ensure};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// What went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets, as they would be cut for an MTU of 1500.
    pub packets: u64,
    /// Their bytes with IP and transport headers.
    pub bytes: u64,
}

/// What went both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Both {
    /// From the viewer to the host.
    pub up: Traffic,
    /// From the host to the viewer.
    pub down: Traffic,
}

impl Both {
    /// What came since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let less = |a: Traffic, b: Traffic| Traffic {
            packets: a.packets.saturating_sub(b.packets),
            bytes: a.bytes.saturating_sub(b.bytes),
        };
        Self { up: less(self.up, before.up), down: less(self.down, before.down) }
    }
}

/// A running counter.
#[derive(Debug)]
pub struct Counter {
    shared: Arc<Counts>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Counts {
    stop: AtomicBool,
    readings: AtomicU64,
    missed: AtomicU64,
    cells: [AtomicU64; 4],
}

impl Counter {
    /// Starts counting what goes to and from `port` on the loopback interface.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn start(port: u16) -> Result<Self> {
        let socket = open(port)?;
        let shared = Arc::new(Counts::default());
        let theirs = Arc::clone(&shared);
        let reader = std::thread::Builder::new().name("count".into()).spawn(move || read(&socket, port, &theirs))?;
        Ok(Self { shared, reader: Some(reader) })
    }

    /// Everything up to now. Waits for the reader's next turn.
    pub fn read(&self) -> Both {
        let before = self.shared.readings.load(Ordering::Acquire);
        // The turn under way may have passed a packet by; the one after it has not.
        while self.shared.readings.load(Ordering::Acquire) < before + 2 {
            clock::pause(1_000);
        }
        let [up_packets, up_bytes, down_packets, down_bytes] =
            [0, 1, 2, 3].map(|i| self.shared.cells.get(i).map_or(0, |c| c.load(Ordering::Relaxed)));
        Both {
            up: Traffic { packets: up_packets, bytes: up_bytes },
            down: Traffic { packets: down_packets, bytes: down_bytes },
        }
    }

    /// Packets the system dropped before they could be counted; anything but 0 makes the count a lower bound.
    pub fn missed(&self) -> u64 {
        self.shared.missed.load(Ordering::Relaxed)
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn open(port: u16) -> Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked before it is owned.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    ensure!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: just opened, owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let filter = filter(port);
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    set(&socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)?;
    // 32 MiB hold a whole turn at several hundred Mbit/s; the forced form needs the right that the socket needed.
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &(32_i32 << 20))?;
    set(&socket, libc::SOL_PACKET, PACKET_VNET_HDR, &1_i32)?;
    // Each packet of the loopback interface passes twice, going out and coming in.
    set(&socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1_i32)?;
    // SAFETY: takes a string that ends with zero.
    let index = unsafe { libc::if_nametoindex(c"lo".as_ptr()) };
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the address is valid and as long as stated.
    let bound =
        unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as u32) };
    ensure!(bound == 0, "{}", std::io::Error::last_os_error());
    Ok(socket)
}

fn set<T>(socket: &OwnedFd, level: i32, option: i32, value: &T) -> Result<()> {
    // SAFETY: the value is valid and as long as stated.
    let done = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), size_of::<T>() as u32)
    };
    ensure!(done == 0, "socket option {option}: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Classic BPF: IPv4 without options, TCP or UDP, from or to the port; the first 128 bytes are enough.
fn filter(port: u16) -> [libc::sock_filter; 11] {
    let op = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let (half, byte) = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, libc::BPF_LD | libc::BPF_B | libc::BPF_ABS);
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let port = u32::from(port);
    [
        op(half, 0, 0, 12),
        op(equal, 0, 8, 0x0800),
        op(byte, 0, 0, 23),
        op(equal, 1, 0, 6),
        op(equal, 0, 5, 17),
        op(half, 0, 0, 34),
        op(equal, 2, 0, port),
        op(half, 0, 0, 36),
        op(equal, 0, 1, port),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, 128),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ]
}

fn read(socket: &OwnedFd, port: u16, shared: &Counts) {
    while !shared.stop.load(Ordering::Relaxed) {
        let mut packet = [0_u8; 256];
        loop {
            let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
            // SAFETY: the buffer is valid and as long as stated.
            let got = unsafe { libc::recv(socket.as_raw_fd(), packet.as_mut_ptr().cast(), packet.len(), flags) };
            let Ok(got) = usize::try_from(got) else { break };
            let Some((to_host, traffic)) = packet.get(..got.min(256)).and_then(|p| measure(p, port)) else { continue };
            let first = if to_host { 0 } else { 2 };
            for (cell, value) in shared.cells.iter().skip(first).zip([traffic.packets, traffic.bytes]) {
                cell.fetch_add(value, Ordering::Relaxed);
            }
        }
        let mut missed = [0_u32; 2];
        let mut len = size_of_val(&missed) as u32;
        // SAFETY: writes at most `len` bytes to a place that has them.
        unsafe {
            let at = missed.as_mut_ptr().cast();
            libc::getsockopt(socket.as_raw_fd(), libc::SOL_PACKET, PACKET_STATISTICS, at, &raw mut len);
        }
        shared.missed.fetch_add(missed[1].into(), Ordering::Relaxed);
        shared.readings.fetch_add(1, Ordering::Release);
        clock::pause(TURN_US);
    }
}

/// A packet as the socket gives it: a virtio header that tells how a burst is to be cut, an Ethernet header, IPv4.
/// Returns whether it goes to the port, and what it counts for.
fn measure(packet: &[u8], port: u16) -> Option<(bool, Traffic)> {
    let half = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    // The virtio header is in the machine's order (virtio_net.h): flags, type, header length, segment size.
    let segment = u64::from(u16::from_ne_bytes([*packet.get(4)?, *packet.get(5)?]));
    let ip = VNET + 14;
    let total = u64::from(half(ip + 2)?);
    let is_tcp = *packet.get(ip + 9)? == 6;
    let to_host = half(ip + 22)? == port;
    let header = if is_tcp { u64::from(*packet.get(ip + 32)? >> 4) * 4 } else { 8 };
    let payload = total.checked_sub(20 + header)?;
    let cut = match (is_tcp, segment) {
        (true, _) => 1448,
        (false, 0) => payload.max(1),
        (false, segment) => segment,
    };
    let packets = payload.div_ceil(cut).max(1);
    Some((to_host, Traffic { packets, bytes: payload + packets * (20 + header) }))
}

/// How long the reader sleeps between turns.
const TURN_US: u64 = 20_000;
/// Bytes of the virtio header.
const VNET: usize = 10;
/// linux/if_packet.h.
const PACKET_STATISTICS: i32 = 6;
const PACKET_VNET_HDR: i32 = 15;
const PACKET_IGNORE_OUTGOING: i32 = 23;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn what_goes_over_loopback_is_counted_as_if_cut_for_a_network() {
        let host = UdpSocket::bind("127.0.0.1:0").unwrap();
        let counter = match Counter::start(host.local_addr().unwrap().port()) {
            Ok(counter) => counter,
            Err(error) => return eprintln!("skipped: counting packets needs CAP_NET_RAW ({error})"),
        };
        let viewer = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..10 {
            viewer.send_to(&[7; 100], host.local_addr().unwrap()).unwrap();
        }
        host.send_to(&[7; 1000], viewer.local_addr().unwrap()).unwrap();
        let expected = Both { up: Traffic { packets: 10, bytes: 1280 }, down: Traffic { packets: 1, bytes: 1028 } };
        assert_eq!(counter.read(), expected);
        assert_eq!(counter.missed(), 0);
    }

    #[test]
    fn tcp_bursts_are_cut() {
        let host = TcpListener::bind("127.0.0.1:0").unwrap();
        let Ok(counter) = Counter::start(host.local_addr().unwrap().port()) else {
            return eprintln!("skipped: counting packets needs CAP_NET_RAW");
        };
        let mut viewer = TcpStream::connect(host.local_addr().unwrap()).unwrap();
        let (mut server, _) = host.accept().unwrap();
        let before = counter.read();
        server.write_all(&[1; 200_000]).unwrap();
        viewer.read_exact(&mut [0; 200_000]).unwrap();
        let down = counter.read().since(&before).down;
        // 139 pieces of 1448 bytes, and at most a few more where a burst ended early.
        assert!((139..160).contains(&down.packets), "{down:?}");
        assert_eq!(down.bytes, 200_000 + down.packets * 52);
    }
}
