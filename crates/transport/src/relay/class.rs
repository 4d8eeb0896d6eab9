//! UDP with its traffic class: the relay carries the byte on, as a router does, and can say what it saw.

#[cfg(target_os = "linux")]
use crate::marks::Control;
use socket2::SockRef;
#[cfg(target_os = "linux")]
use socket2::{MaybeUninitSlice, MsgHdr, MsgHdrMut, SockAddr};
use std::io;
#[cfg(target_os = "linux")]
use std::io::{ErrorKind, IoSlice};
#[cfg(target_os = "linux")]
use std::mem::MaybeUninit;
#[cfg(target_os = "linux")]
use std::net::Ipv6Addr;
use std::net::{SocketAddr, UdpSocket};

/// Room for the control messages of one packet.
#[cfg(target_os = "linux")]
const CONTROL: usize = 128;

/// Asks the system to tell the class of what comes. Where it does not, every class is 0.
pub fn ask(socket: &UdpSocket) {
    let socket = SockRef::from(socket);
    #[cfg(target_os = "linux")]
    {
        let _ = socket.set_recv_tos_v4(true);
        let _ = socket.set_recv_tclass_v6(true);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

/// Takes one datagram: its length, from where, and its class.
#[cfg(target_os = "linux")]
pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, u8)> {
    // Long enough for either family.
    let mut from = SockAddr::from(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    let mut control = [MaybeUninit::new(0u8); CONTROL];
    let (len, told) = {
        // SAFETY: bytes may be seen as bytes that may be uninitialised, and the system call writes none that are.
        let buffer = unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) };
        let mut into = [MaybeUninitSlice::new(buffer)];
        let mut message = MsgHdrMut::new().with_addr(&mut from).with_buffers(&mut into).with_control(&mut control);
        let len = SockRef::from(socket).recvmsg(&mut message, 0)?;
        (len, message.control_len())
    };
    // SAFETY: every byte was given a value above, and the system call gives only others.
    let control = control.map(|byte| unsafe { byte.assume_init() });
    let from = from.as_socket().ok_or(ErrorKind::InvalidData)?;
    Ok((len, from, class_of(control.get(..told).unwrap_or_default())))
}

/// Takes one datagram. Other systems tell classes in ways of their own, which the relay of a bench does without.
#[cfg(not(target_os = "linux"))]
pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, u8)> {
    let (len, from) = socket.recv_from(buffer)?;
    Ok((len, from, 0))
}

/// Sends one datagram with this class.
#[cfg(target_os = "linux")]
pub fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr, class: u8) -> io::Result<()> {
    if class == 0 {
        return socket.send_to(bytes, to).map(|_| ());
    }
    let mut control = Control::default();
    control.class(to.ip(), class);
    let (to, bytes) = (SockAddr::from(to), [IoSlice::new(bytes)]);
    let message = MsgHdr::new().with_addr(&to).with_buffers(&bytes).with_control(control.bytes());
    SockRef::from(socket).sendmsg(&message, 0).map(|_| ())
}

/// Sends one datagram, without its class.
#[cfg(not(target_os = "linux"))]
pub fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr, _class: u8) -> io::Result<()> {
    socket.send_to(bytes, to).map(|_| ())
}

/// The traffic class among control messages (`cmsg(3)`): a byte over IPv4, a number over IPv6.
#[cfg(target_os = "linux")]
fn class_of(mut control: &[u8]) -> u8 {
    const WORD: usize = size_of::<usize>();
    const HEADER: usize = (WORD + 8).next_multiple_of(WORD);
    let number = |at: &[u8]| at.first_chunk::<4>().map_or(0, |b| i32::from_ne_bytes(*b));
    while let Some((header, rest)) = control.split_at_checked(HEADER) {
        let len = header.first_chunk::<WORD>().map_or(0, |b| usize::from_ne_bytes(*b));
        let level = number(header.get(WORD..).unwrap_or_default());
        let kind = number(header.get(WORD + 4..).unwrap_or_default());
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_TOS) => return rest.first().copied().unwrap_or(0),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => return number(rest).to_le_bytes()[0],
            _ => {}
        }
        let Some(next) = control.get(len.max(HEADER).next_multiple_of(WORD)..) else { break };
        control = next;
    }
    0
}
