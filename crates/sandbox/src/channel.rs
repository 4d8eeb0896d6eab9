//! One end of a decoding process: asks, and believes nothing.

use crate::memory::Memory;
use crate::wire::{Answer, Fault, Hello, Request, Verdict};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use telepane_codec::h264::Picture;
use telepane_codec::streams::StreamFrame;

/// A process that is loaded and has locked itself says so within this time.
const TO_BEGIN: Duration = Duration::from_secs(5);
/// A frame is decoded in this time: the largest there is takes a fifth of a second on a slow machine.
const TO_ANSWER: Duration = Duration::from_secs(2);
/// Signals for this process cut a wait short; so many are put up with.
const INTERRUPTIONS: usize = 16;

/// The socket and the memory.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    memory: Memory,
    number: u32,
    patience: Duration,
}

/// What a process is given: its end of the socket, and the memory.
pub type Given = (OwnedFd, OwnedFd);

impl Channel {
    /// A new one, with what the process is to be given.
    pub fn new() -> io::Result<(Self, Given)> {
        Self::with_patience(TO_ANSWER)
    }

    pub(crate) fn with_patience(patience: Duration) -> io::Result<(Self, Given)> {
        let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let (memory, file) = Memory::new()?;
        Ok((Self { socket, memory, number: 0, patience }, (theirs, file)))
    }

    /// Waits until the process says that it is locked.
    pub fn hello(&mut self) -> Result<Hello, Fault> {
        let mut buffer = [0; Hello::LEN + 1];
        let len = self.receive(&mut buffer, TO_BEGIN)?;
        Hello::decode(buffer.get(..len).unwrap_or_default())
    }

    /// Has a frame decoded; a picture is then to be had from [`Channel::picture`].
    pub fn ask(&mut self, frame: &StreamFrame<'_>) -> Result<Verdict, Fault> {
        self.number = self.number.wrapping_add(1);
        let len = u32::try_from(frame.data.len()).unwrap_or(u32::MAX);
        let StreamFrame { slot, anew, sides, data } = *frame;
        let request = Request { number: self.number, slot, anew, sides, len };
        // The codec gives no such frame.
        if !request.is_bounded() || !self.memory.put_frame(data) {
            return Ok(Verdict::Refused);
        }
        match send(&self.socket, &request.encode(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(Request::LEN) => {}
            // One request is on its way at most: who has no room for it reads none.
            Err(Errno::AGAIN) => return Err(Fault::Silent),
            Ok(_) | Err(_) => return Err(Fault::Gone),
        }
        let mut buffer = [0; Answer::LEN + 1];
        let len = self.receive(&mut buffer, self.patience)?;
        Ok(Answer::decode(buffer.get(..len).unwrap_or_default(), &request)?.verdict)
    }

    /// The picture of the frame that was asked for last.
    pub fn picture(&mut self, sides: (u32, u32)) -> Option<Picture<'_>> {
        self.memory.picture(sides)
    }

    /// One packet, which was cut if it fills the buffer.
    fn receive(&self, buffer: &mut [u8], patience: Duration) -> Result<usize, Fault> {
        set_socket_timeout(&self.socket, Timeout::Recv, Some(patience)).map_err(|_| Fault::Gone)?;
        for _ in 0..INTERRUPTIONS {
            match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => return Err(Fault::Gone),
                Ok((len, _)) => return Ok(len),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(Fault::Silent),
                Err(_) => return Err(Fault::Gone),
            }
        }
        Err(Fault::Silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: StreamFrame<'static> = StreamFrame { slot: 0, anew: true, sides: (64, 48), data: &[0, 0, 1, 5] };

    /// What comes of a request when a process answers it with these packets.
    fn answered(answers: impl Fn(Request) -> Vec<Vec<u8>>) -> Result<Verdict, Fault> {
        let (mut channel, (theirs, _file)) = Channel::with_patience(Duration::from_millis(50)).expect("a socket");
        // What stands in the queue before it is asked for is found there as well.
        let coming = Request { number: 1, slot: 0, anew: true, sides: FRAME.sides, len: 4 };
        for answer in answers(coming) {
            send(&theirs, &answer, SendFlags::empty()).expect("there is room");
        }
        let verdict = channel.ask(&FRAME);
        let mut request = [0; 64];
        let (len, _) = recv(&theirs, &mut request[..], RecvFlags::DONTWAIT).expect("it was asked");
        assert_eq!(Request::decode(&request[..len]), Some(coming));
        verdict
    }

    /// What it is, what it makes of a good answer, and what it is called.
    type Lie = (&'static str, fn(Answer) -> Vec<u8>, Fault);

    fn picture(asked: Request) -> Answer {
        Answer { number: asked.number, verdict: Verdict::Picture, sides: asked.sides }
    }

    #[test]
    fn a_good_answer_is_believed() {
        assert_eq!(answered(|asked| vec![picture(asked).encode().to_vec()]), Ok(Verdict::Picture));
        let refused = |asked| Answer { verdict: Verdict::Refused, sides: (0, 0), ..picture(asked) };
        assert_eq!(answered(|asked| vec![refused(asked).encode().to_vec()]), Ok(Verdict::Refused));
    }

    #[test]
    fn a_hostile_process_is_found_out_by_name() {
        let lies: [Lie; 8] = [
            ("another picture's sides", |a| Answer { sides: (48, 64), ..a }.encode().into(), Fault::Sides),
            ("giant sides", |a| Answer { sides: (65_534, 65_534), ..a }.encode().into(), Fault::Sides),
            ("an answer of before", |a| Answer { number: a.number - 1, ..a }.encode().into(), Fault::Order),
            ("an answer to come", |a| Answer { number: a.number + 1, ..a }.encode().into(), Fault::Order),
            ("too short", |a| a.encode()[..8].into(), Fault::Length),
            ("one byte more", |a| [&a.encode()[..], &[0]].concat(), Fault::Length),
            ("without end", |_| vec![1; 100_000], Fault::Length),
            ("nothing known", |a| [&a.encode()[..4], &[9, 0, 0, 0, 0]].concat(), Fault::Verdict),
        ];
        for (what, lie, fault) in lies {
            assert_eq!(answered(|asked| vec![lie(picture(asked))]), Err(fault), "{what}");
        }
        // Nothing at all.
        assert_eq!(answered(|_| Vec::new()), Err(Fault::Silent));
    }

    #[test]
    fn a_second_answer_is_none_to_the_next_request() {
        let (mut channel, (theirs, _file)) = Channel::new().expect("a socket");
        let first = Request { number: 1, slot: 0, anew: true, sides: FRAME.sides, len: 4 };
        for _ in 0..2 {
            send(&theirs, &picture(first).encode(), SendFlags::empty()).expect("there is room");
        }
        assert_eq!(channel.ask(&FRAME), Ok(Verdict::Picture));
        assert_eq!(channel.ask(&FRAME), Err(Fault::Order));
    }

    #[test]
    fn who_is_gone_or_never_reads_is_found_out() {
        let (mut channel, given) = Channel::new().expect("a socket");
        drop(given);
        assert_eq!(channel.hello(), Err(Fault::Gone));
        assert_eq!(channel.ask(&FRAME), Err(Fault::Gone));
        let (mut channel, _given) = Channel::with_patience(Duration::from_millis(1)).expect("a socket");
        // Until the socket is full, and then too.
        for _ in 0..500 {
            assert_eq!(channel.ask(&FRAME), Err(Fault::Silent));
        }
    }

    #[test]
    fn who_does_not_begin_as_it_should_is_not_gone_on_with() {
        for (first, fault) in
            [(&b"GET / HTTP/1.1"[..], Fault::Hello), (b"TPF\x01", Fault::Hello), (b"TPF\x01\x01!", Fault::Hello)]
        {
            let (mut channel, (theirs, _file)) = Channel::new().expect("a socket");
            send(&theirs, first, SendFlags::empty()).expect("there is room");
            assert_eq!(channel.hello(), Err(fault));
        }
    }

    /// The codec's own bounds are the memory's.
    #[test]
    fn a_frame_out_of_bounds_is_not_asked_for() {
        let (mut channel, given) = Channel::new().expect("a socket");
        drop(given);
        assert_eq!(channel.ask(&StreamFrame { sides: (63, 48), ..FRAME }), Ok(Verdict::Refused));
        assert_eq!(channel.ask(&StreamFrame { slot: 4, ..FRAME }), Ok(Verdict::Refused));
    }
}
