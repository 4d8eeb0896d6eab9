//! Why a host does not answer: what the machine and the network say of it besides QUIC.
//!
//! A connected UDP socket learns of ICMP errors that quinn's unconnected one never sees, and a TCP connection to the same
//! port tells a firewall from an absent host. Nothing but this one host and port is touched, and only after QUIC has
//! been silent for a moment.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

/// QUIC's head start before the UDP probe.
const UDP_AFTER: Duration = Duration::from_millis(200);
/// QUIC's head start before the TCP probe.
const TCP_AFTER: Duration = Duration::from_millis(1_000);
/// Between two UDP probes: the first answer may be lost, or held back by the host's ICMP limit.
const UDP_EVERY: Duration = Duration::from_millis(500);

/// What the network says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No way there.
    NoRoute,
    /// The host says that the UDP port is closed.
    Refused,
}

fn verdict(e: &io::Error) -> Option<Verdict> {
    match e.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Some(Verdict::Refused),
        ErrorKind::NetworkUnreachable
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable => Some(Verdict::NoRoute),
        _ => None,
    }
}

/// Returns when the network has said something final of `addr`; never, if it is silent.
pub async fn udp(addr: SocketAddr) -> Verdict {
    sleep(UDP_AFTER).await;
    if let Err(e) = knock(addr).await
        && let Some(verdict) = verdict(&e)
    {
        return verdict;
    }
    std::future::pending().await
}

async fn knock(addr: SocketAddr) -> io::Result<()> {
    let any: SocketAddr =
        if addr.is_ipv6() { (Ipv6Addr::UNSPECIFIED, 0).into() } else { (Ipv4Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(addr).await?;
    loop {
        // One byte is no QUIC packet: an agent ignores it.
        socket.send(&[0]).await?;
        let mut answer = [0; 16];
        if let Ok(read) = timeout(UDP_EVERY, socket.recv(&mut answer)).await {
            // Something answers, but not QUIC; the handshake will tell.
            read?;
            return Ok(());
        }
    }
}

/// What TCP to the same address and port says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Tcp {
    /// Nothing yet.
    #[default]
    Silent,
    /// The host is there and refuses.
    Refused,
    /// Something accepts.
    Open,
}

/// Tries TCP once, after QUIC's head start.
pub async fn tcp(addr: SocketAddr) -> Tcp {
    sleep(TCP_AFTER).await;
    match TcpStream::connect(addr).await {
        Ok(_) => Tcp::Open,
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => Tcp::Refused,
        Err(_) => Tcp::Silent,
    }
}
