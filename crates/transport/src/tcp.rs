//! TCP sockets for the WebSocket: options that keep the queue where the pacer sees it, and what the kernel knows of the path.
#![allow(unsafe_code)]

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// Bytes that may wait in the kernel unsent before a write has to wait: the queue is the pacer's. Two packets, so that the
/// link never runs dry between an acknowledgement and the next write.
#[cfg(target_os = "linux")]
const NOT_SENT: u32 = 4 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// No waiting for company, hardly anything unsent in the kernel, and an end when nothing is acknowledged for `dead`.
// spec: WS-9
pub fn tune(stream: &TcpStream, dead: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        let socket = SockRef::from(stream);
        socket.set_tcp_notsent_lowat(NOT_SENT)?;
        socket.set_tcp_user_timeout(Some(dead))?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = dead;
    Ok(())
}

/// Sends everything from now on with this traffic class.
#[cfg(target_os = "linux")]
pub fn mark(socket: &Socket, class: u8) -> io::Result<()> {
    // A dual-stack socket has both bytes, and uses the one of the peer's family; ECN's bits stay TCP's own.
    let (v4, v6) = (socket.set_tos_v4(class.into()), socket.set_tclass_v6(class.into()));
    v4.or(v6)
}

/// A second hold on the socket, to ask the kernel about it while something else reads and writes.
pub fn watch(stream: &TcpStream) -> io::Result<Socket> {
    SockRef::from(stream).try_clone()
}

/// A listener; with `dual` for both families.
pub fn listen(addr: SocketAddr, dual: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() && (dual || addr.ip().is_unspecified()) {
        socket.set_only_v6(!dual)?;
    }
    // An agent that is started anew must not wait for its old connections to be forgotten.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What the kernel knows of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    pub rtt_us: u64,
    pub retransmitted: u64,
    /// How often in a row the time ran out for what was sent, or was to be sent, next.
    pub timeouts: u8,
    /// Bytes that were sent, repeated ones among them, and that the peer has acknowledged.
    pub bytes: (u64, u64),
    pub sent: u64,
    pub received: u64,
    pub mss: u16,
    pub cwnd: u64,
    /// Packets that came before one that had been sent earlier.
    pub out_of_order: u32,
}

/// Asks the kernel; `None` where it cannot be asked.
#[cfg(target_os = "linux")]
pub fn info(socket: &Socket) -> Option<Info> {
    use std::os::fd::AsRawFd;
    // SAFETY: `tcp_info` is numbers alone, for which zeros are a value.
    let mut raw: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the pointers are to `raw` and `len`, which live through the call; the kernel writes at most `len` bytes, and an
    // older one fewer, which leaves zeros.
    let asked = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            std::ptr::from_mut(&mut raw).cast(),
            &raw mut len,
        )
    };
    (asked == 0).then(|| Info {
        rtt_us: raw.tcpi_rtt.into(),
        retransmitted: raw.tcpi_total_retrans.into(),
        // What the machine's own rules refuse is tried as if the peer had no room.
        timeouts: raw.tcpi_retransmits.max(raw.tcpi_probes),
        bytes: (raw.tcpi_bytes_sent, raw.tcpi_bytes_acked),
        sent: raw.tcpi_segs_out.into(),
        received: raw.tcpi_segs_in.into(),
        mss: raw.tcpi_snd_mss.try_into().unwrap_or(u16::MAX),
        cwnd: u64::from(raw.tcpi_snd_cwnd) * u64::from(raw.tcpi_snd_mss),
        out_of_order: raw.tcpi_rcv_ooopack,
    })
}

/// Asks the kernel; `None` where it cannot be asked.
#[cfg(not(target_os = "linux"))]
pub fn info(_socket: &Socket) -> Option<Info> {
    None
}
