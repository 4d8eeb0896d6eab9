//! Xorg's input driver `inputtest` (inputtestdrv(4)): a device whose events come over a socket.
//!
//! The driver ships with the server, for tests of it, and makes of a message exactly what a driver of hardware makes of
//! its own: axes, buttons, proximity and touches of a device with all their consequences in the server. Both ends run on
//! one machine, so its messages are C structures as they lie in memory: the types of [`layout`] say where each field is,
//! are never made, and the bytes are put there one by one.
//!
//! It has one client for as long as the device is on, forgets a socket that was closed only when the device is turned
//! off, and ends the connection when it does not understand a message. Nothing here waits for a server that hangs: what
//! cannot be written within [`WRITE_WITHIN`] makes the device unusable.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::{offset_of, size_of};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use layout::{Button, Header, Motion, Touch, Valuators, Version};
use socket2::{Domain, SockAddr, Socket, Type};

/// An axis of the device and its value.
pub(super) type Axis = (usize, f64);

/// What a touch does, as XI2 numbers its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touching {
    Begin = 18,
    Update = 19,
    End = 20,
}

/// A message for the driver.
#[derive(Clone, Debug)]
pub(super) enum Message<'a> {
    /// The axes are at these places, or, relatively, moved by so much.
    Motion { absolute: bool, axes: &'a [Axis] },
    /// A pen came into reach or left it. It needs axes: without any the server has no event to make of it.
    Proximity { near: bool, axes: &'a [Axis] },
    /// A button, counted from 1, moved.
    Button { number: i32, down: bool, axes: &'a [Axis] },
    /// A touch; `id` is free again after its end.
    Touch { id: u32, what: Touching, axes: &'a [Axis] },
}

/// A connection to a device that is on.
#[derive(Debug)]
pub(super) struct TestDevice {
    stream: UnixStream,
    /// Something was sent that may not have been acted on.
    unsettled: bool,
    /// An answer may still come that nobody waits for any more.
    owed: bool,
}

impl TestDevice {
    /// Connects and says hello.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A queue that is full is an error then, instead of a wait for a server that takes nobody.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)?;
        socket.set_nonblocking(false)?;
        let stream = UnixStream::from(OwnedFd::from(socket));
        stream.set_write_timeout(Some(WRITE_WITHIN))?;
        stream.set_read_timeout(Some(HELLO_WITHIN))?;
        let mut device = Self { stream, unsettled: false, owed: false };
        device.stream.write_all(&hello())?;
        let mut answer = [0; size_of::<Version>()];
        device.stream.read_exact(&mut answer)?;
        let major = field(&answer, offset_of!(Version, major)).map(u16::from_ne_bytes);
        if kind(&answer) != Some(SERVER_VERSION) || major != Some(MAJOR) {
            return Err(io::Error::new(ErrorKind::InvalidData, "the driver speaks another protocol"));
        }
        device.stream.set_read_timeout(Some(SETTLED_WITHIN))?;
        Ok(device)
    }

    /// Sends a message. After an error the device is of no use.
    pub(super) fn send(&mut self, message: &Message<'_>) -> io::Result<()> {
        self.unsettled = true;
        self.stream.write_all(&encode(message))
    }

    /// Waits until the server has acted on everything sent, but no longer than [`SETTLED_WITHIN`]: a server that is slow
    /// then is not kept from acting on what comes another way.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        // Before its first event the driver would answer only after it.
        if !std::mem::take(&mut self.unsettled) {
            return Ok(());
        }
        if std::mem::take(&mut self.owed) {
            self.forget_answers()?;
        }
        self.stream.write_all(&framed(WAIT_FOR_SYNC, size_of::<Header>()))?;
        match self.stream.read_exact(&mut [0; size_of::<Header>()]) {
            Err(e) if is_pause(&e) => self.owed = true,
            outcome => outcome?,
        }
        Ok(())
    }

    fn forget_answers(&mut self) -> io::Result<()> {
        self.stream.set_nonblocking(true)?;
        let outcome = loop {
            match self.stream.read(&mut [0; 64]) {
                Ok(0) => break Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(e) if is_pause(&e) => break Ok(()),
                Err(e) => break Err(e),
            }
        };
        self.stream.set_nonblocking(false)?;
        outcome
    }
}

/// Nothing came in time (a time-out is told as either).
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn hello() -> Vec<u8> {
    let mut out = framed(CLIENT_VERSION, size_of::<Version>());
    put(&mut out, offset_of!(Version, major), &MAJOR.to_ne_bytes());
    put(&mut out, offset_of!(Version, minor), &MINOR.to_ne_bytes());
    out
}

fn encode(message: &Message<'_>) -> Vec<u8> {
    match *message {
        Message::Motion { absolute, axes } => motion(MOTION, absolute, axes),
        Message::Proximity { near, axes } => motion(PROXIMITY, near, axes),
        Message::Button { number, down, axes } => {
            let mut out = framed(BUTTON, size_of::<Button>());
            put(&mut out, offset_of!(Button, absolute), &1i32.to_ne_bytes());
            put(&mut out, offset_of!(Button, number), &number.to_ne_bytes());
            put(&mut out, offset_of!(Button, down), &u32::from(down).to_ne_bytes());
            put_axes(&mut out, offset_of!(Button, valuators), axes);
            out
        }
        Message::Touch { id, what, axes } => {
            let mut out = framed(TOUCH, size_of::<Touch>());
            put(&mut out, offset_of!(Touch, id), &id.to_ne_bytes());
            put(&mut out, offset_of!(Touch, what), &(what as u32).to_ne_bytes());
            put_axes(&mut out, offset_of!(Touch, valuators), axes);
            out
        }
    }
}

/// Motion and proximity look alike.
fn motion(kind: u32, flag: bool, axes: &[Axis]) -> Vec<u8> {
    let mut out = framed(kind, size_of::<Motion>());
    put(&mut out, offset_of!(Motion, flag), &u32::from(flag).to_ne_bytes());
    put_axes(&mut out, offset_of!(Motion, valuators), axes);
    out
}

fn framed(kind: u32, size: usize) -> Vec<u8> {
    let mut out = vec![0; size];
    put(&mut out, offset_of!(Header, length), &(size as u32).to_ne_bytes());
    put(&mut out, offset_of!(Header, kind), &kind.to_ne_bytes());
    out
}

fn put_axes(out: &mut [u8], at: usize, axes: &[Axis]) {
    for &(axis, value) in axes.iter().filter(|(axis, _)| *axis < AXES) {
        if let Some(mask) = out.get_mut(at + offset_of!(Valuators, mask) + axis / 8) {
            *mask |= 1 << (axis % 8);
        }
        put(out, at + offset_of!(Valuators, values) + axis * size_of::<f64>(), &value.to_ne_bytes());
    }
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = out.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len())) {
        place.copy_from_slice(bytes);
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn kind(bytes: &[u8]) -> Option<u32> {
    field(bytes, offset_of!(Header, kind)).map(u32::from_ne_bytes)
}

/// Where the fields of the driver's messages lie. It compares each message's length with its own structure's.
#[allow(dead_code, reason = "only the places of the fields are asked for")]
mod layout {
    #[repr(C)]
    pub struct Header {
        pub length: u32,
        pub kind: u32,
    }

    #[repr(C)]
    pub struct Version {
        pub header: Header,
        pub major: u16,
        pub minor: u16,
    }

    #[repr(C)]
    pub struct Valuators {
        pub has_unaccelerated: u32,
        pub mask: [u8; super::AXES / 8],
        pub values: [f64; super::AXES],
        pub unaccelerated: [f64; super::AXES],
    }

    #[repr(C)]
    pub struct Motion {
        pub header: Header,
        pub flag: u32,
        pub valuators: Valuators,
    }

    #[repr(C)]
    pub struct Button {
        pub header: Header,
        pub absolute: i32,
        pub number: i32,
        pub down: u32,
        pub valuators: Valuators,
    }

    #[repr(C)]
    pub struct Touch {
        pub header: Header,
        pub id: u32,
        pub what: u32,
        pub valuators: Valuators,
    }
}

/// Axes that a message has room for.
const AXES: usize = 64;
/// The version spoken: the driver takes any that is not newer than its own, and 1.0 has all that is said here.
const MAJOR: u16 = 1;
const MINOR: u16 = 0;
// Kinds of messages to the driver.
const CLIENT_VERSION: u32 = 0;
const WAIT_FOR_SYNC: u32 = 1;
const MOTION: u32 = 2;
const PROXIMITY: u32 = 3;
const BUTTON: u32 = 4;
const TOUCH: u32 = 6;
/// And of its answer to the first.
const SERVER_VERSION: u32 = 0;
/// A server takes a message within microseconds; its queue holds some two hundred.
const WRITE_WITHIN: Duration = Duration::from_millis(50);
/// A server under load that has just started may be busy for so long.
const HELLO_WITHIN: Duration = Duration::from_secs(2);
const SETTLED_WITHIN: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    /// Read from the driver of xorg-server 21.1 on this architecture, by the lengths that it compares with.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn messages_are_as_long_as_the_driver_expects() {
        let axes = [(0, 1.5)];
        let lengths = [
            Message::Motion { absolute: true, axes: &axes },
            Message::Proximity { near: true, axes: &axes },
            Message::Button { number: 1, down: true, axes: &axes },
            Message::Touch { id: 3, what: Touching::Begin, axes: &axes },
        ]
        .map(|m| encode(&m).len());
        assert_eq!((lengths, hello().len()), ([1056, 1056, 1064, 1056], 12));
    }

    #[test]
    fn axes_lie_where_their_bits_say() {
        let bytes = encode(&Message::Touch { id: 7, what: Touching::End, axes: &[(0, 2.5), (9, -1.0), (64, 9.0)] });
        let at = offset_of!(Touch, valuators);
        assert_eq!(bytes[at + 4..at + 12], [1, 2, 0, 0, 0, 0, 0, 0]);
        let value = |axis: usize| field(&bytes, at + offset_of!(Valuators, values) + 8 * axis).map(f64::from_ne_bytes);
        assert_eq!([value(0), value(1), value(9)], [Some(2.5), Some(0.0), Some(-1.0)]);
        assert_eq!(kind(&bytes), Some(TOUCH));
        assert_eq!(field(&bytes, 8).map(u32::from_ne_bytes), Some(7));
        assert_eq!(field(&bytes, 12).map(u32::from_ne_bytes), Some(20));
        assert_eq!(field(&bytes, 0).map(u32::from_ne_bytes), Some(bytes.len() as u32));
    }

    #[test]
    fn a_server_that_takes_nothing_makes_nobody_wait_for_long() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        ours.set_write_timeout(Some(WRITE_WITHIN)).unwrap();
        ours.set_read_timeout(Some(SETTLED_WITHIN)).unwrap();
        let mut device = TestDevice { stream: ours, unsettled: false, owed: false };
        let motion = Message::Motion { absolute: false, axes: &[(3, 1.0)] };
        device.send(&motion).unwrap();
        // It is slow, which is no error.
        device.settle().unwrap();
        assert!(device.owed);
        let sent = (0..100_000).take_while(|_| device.send(&motion).is_ok()).count();
        assert!(sent < 100_000, "the queue is full at some time");
    }
}
