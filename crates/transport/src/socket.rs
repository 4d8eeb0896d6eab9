//! The UDP sockets: dual-stack where the machine has IPv6, with large buffers asked for.

use crate::event::BindError;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Buffer asked of the system for each direction, in bytes (DESIGN §3.1). It grants less where `net.core.rmem_max` is
/// smaller; what it granted is in [`crate::ConnFacts`].
const BUFFER: usize = 4 << 20;

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Every address of the machine, IPv6 and IPv4 on one socket; IPv4 alone where IPv6 is absent. Port 0 means any.
    DualStack(u16),
    /// This address and no other.
    Exact(SocketAddr),
}

/// A bound socket and the buffers it got.
#[derive(Debug)]
pub struct Bound {
    /// The socket, non-blocking.
    pub socket: UdpSocket,
    /// Receive buffer in bytes, as the system counts.
    pub recv_buffer: usize,
    /// Send buffer in bytes, as the system counts.
    pub send_buffer: usize,
}

fn open(addr: SocketAddr, dual: bool, interface: Option<&str>) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() && (dual || addr.ip().is_unspecified()) {
        socket.set_only_v6(!dual)?;
    }
    // A smaller buffer than asked for is reported, not an error.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    if let Some(interface) = interface {
        only_over(&socket, interface)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    let (recv_buffer, send_buffer) = (socket.recv_buffer_size()?, socket.send_buffer_size()?);
    Ok(Bound { socket: socket.into(), recv_buffer, send_buffer })
}

/// Since Linux 5.7 this needs no right as long as the socket is bound to no interface yet.
#[cfg(target_os = "linux")]
fn only_over(socket: &Socket, interface: &str) -> io::Result<()> {
    socket.bind_device(Some(interface.as_bytes()))
}

#[cfg(not(target_os = "linux"))]
fn only_over(_socket: &Socket, _interface: &str) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Whether an error means that the machine has no IPv6.
fn no_ipv6(e: &io::Error) -> bool {
    // EAFNOSUPPORT and EPROTONOSUPPORT have no portable kind; an absent `::` is AddrNotAvailable.
    matches!(e.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported)
        || matches!(e.raw_os_error(), Some(93 | 97 | 10_047))
}

/// A server's socket.
pub fn listen(at: Listen) -> Result<Bound, BindError> {
    let (addr, bound) = match at {
        Listen::Exact(addr) => (addr, open(addr, false, None)),
        Listen::DualStack(port) => {
            let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            match open(v6, true, None) {
                Err(e) if no_ipv6(&e) => {
                    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
                    (v4, open(v4, false, None))
                }
                other => (v6, other),
            }
        }
    };
    bound.map_err(|e| match e.kind() {
        ErrorKind::AddrInUse => BindError::PortInUse(addr.port()),
        ErrorKind::PermissionDenied => BindError::NotAllowed(addr),
        ErrorKind::AddrNotAvailable => BindError::NoSuchAddress(addr),
        _ => BindError::Io(e),
    })
}

/// A client's socket on any port; for both families, or for IPv4 alone if `v4_only` or where IPv6 is absent. With an
/// interface, nothing goes or comes over another.
pub fn for_client(v4_only: bool, interface: Option<&str>) -> io::Result<Bound> {
    if !v4_only {
        match open((Ipv6Addr::UNSPECIFIED, 0).into(), true, interface) {
            Err(e) if no_ipv6(&e) => {}
            other => return other,
        }
    }
    open((Ipv4Addr::UNSPECIFIED, 0).into(), false, interface)
}

/// An IPv4 address written as IPv6, as a dual-stack socket reports it, back as IPv4.
pub fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_says_so() {
        let first = listen(Listen::DualStack(0)).unwrap();
        let port = first.socket.local_addr().unwrap().port();
        assert!(first.recv_buffer > 0 && first.send_buffer > 0);
        let error = listen(Listen::DualStack(port)).unwrap_err();
        assert!(matches!(error, BindError::PortInUse(p) if p == port));
        assert!(error.to_string().contains("--listen"));
        let local = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 0));
        assert!(matches!(listen(Listen::Exact(local)), Err(BindError::NoSuchAddress(_))));
    }
}
