//! A second socket, on another interface, that a client keeps ready beside the one in use.
//!
//! What is sent over it while it stands by carries nothing: a packet of a QUIC version that does not exist, which every QUIC server
//! answers with the versions that do (RFC 9000 §6), without a state and without a secret. Nobody else can answer it without having seen it, and what
//! a wrong answer brings about is an attempt, with packets that are encrypted for the host. When the session moves, QUIC is given this
//! very socket, so that whatever translates addresses on the way knows it already.

use crate::connection::lock;
use crate::socket::Bound;
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// The least datagram that a server answers so, and that a QUIC path must carry.
const PROBE: usize = 1_200;
/// A version that is reserved to be unknown (RFC 9000 §15).
const NO_VERSION: u32 = 0x1a2a_3a4a;
/// Bytes of each connection id.
const ID: usize = 8;
/// Probes that may still be answered.
const MOST_PENDING: usize = 8;
/// A list of versions is shorter.
const MOST_ANSWER: usize = 512;

/// A probe on its way: both its connection ids, and when it left in microseconds of the shell's clock.
type Pending = Arc<Mutex<VecDeque<([u8; 2 * ID], u64)>>>;

/// See the module. Dropping it closes the socket.
pub(crate) struct Standby {
    interface: String,
    bound: Bound,
    to: SocketAddr,
    pending: Pending,
    reader: JoinHandle<()>,
}

impl Standby {
    /// With `bound`, which is of this interface; `on_answer` is told how many microseconds an answer took. To be called inside the runtime.
    pub(crate) fn start(
        interface: &str,
        bound: Bound,
        to: SocketAddr,
        clock: crate::ClockFn,
        on_answer: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let socket = tokio::net::UdpSocket::from_std(bound.socket.try_clone()?)?;
        let to = match bound.socket.local_addr()? {
            SocketAddr::V6(_) => match to.ip() {
                std::net::IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
                std::net::IpAddr::V6(_) => to,
            },
            SocketAddr::V4(_) => SocketAddr::new(to.ip().to_canonical(), to.port()),
        };
        let pending = Pending::default();
        let waiting = pending.clone();
        let reader = tokio::spawn(async move {
            let mut answer = [0; MOST_ANSWER];
            loop {
                // Errors tell of earlier packets; the next call waits again.
                let Ok((len, from)) = socket.recv_from(&mut answer).await else {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    continue;
                };
                let ids = answer.get(..len).and_then(answered).filter(|_| from == to);
                let sent = ids.and_then(|ids| {
                    let mut waiting = lock(&waiting);
                    let at = waiting.iter().position(|(pending, _)| *pending == ids)?;
                    waiting.remove(at)
                });
                if let Some((_, sent)) = sent {
                    on_answer(clock().saturating_sub(sent));
                }
            }
        });
        Ok(Self { interface: interface.to_owned(), bound, to, pending, reader })
    }

    pub(crate) fn interface(&self) -> &str {
        &self.interface
    }

    /// Tries the path out.
    // spec: T-7
    pub(crate) fn probe(&self, now_us: u64) -> io::Result<()> {
        let mut ids = [0; 2 * ID];
        SystemRandom::new().fill(&mut ids).map_err(|_| io::Error::other("no random bytes"))?;
        // Held while it leaves: a near host's answer may be there before this goes on.
        let mut pending = lock(&self.pending);
        self.bound.socket.send_to(&packet(&ids), self.to)?;
        if pending.len() == MOST_PENDING {
            pending.pop_front();
        }
        pending.push_back((ids, now_us));
        Ok(())
    }

    /// The socket, for the session itself.
    pub(crate) fn socket(&self) -> io::Result<UdpSocket> {
        self.reader.abort();
        self.bound.socket.try_clone()
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A long header of a version that does not exist, and padding (RFC 8999 §5.1).
fn packet(ids: &[u8; 2 * ID]) -> Vec<u8> {
    let (destination, source) = ids.split_at(ID);
    let mut out = Vec::with_capacity(PROBE);
    out.push(0xc0);
    out.extend(NO_VERSION.to_be_bytes());
    for id in [destination, source] {
        out.push(ID as u8);
        out.extend(id);
    }
    out.resize(PROBE, 0);
    out
}

/// The ids of the probe that `packet` answers, if it is a Version Negotiation packet (RFC 8999 §6): the two stand there the other
/// way around.
fn answered(packet: &[u8]) -> Option<[u8; 2 * ID]> {
    let (head, rest) = packet.split_first_chunk::<6>()?;
    let [first, v0, v1, v2, v3, len] = *head;
    let (destination, rest) = rest.split_first_chunk::<ID>()?;
    let (len_of_source, rest) = rest.split_first()?;
    let (source, versions) = rest.split_first_chunk::<ID>()?;
    let negotiates = first & 0x80 != 0 && [v0, v1, v2, v3] == [0; 4] && [len, *len_of_source] == [ID as u8; 2];
    let mut ids = [0; 2 * ID];
    ids.iter_mut().zip(source.iter().chain(destination)).for_each(|(to, from)| *to = *from);
    (negotiates && versions.len() >= 4 && versions.len() % 4 == 0).then_some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: T-7
    #[test]
    fn only_an_answer_with_both_ids_counts() {
        let ids: [u8; 16] = std::array::from_fn(|i| i as u8 + 1);
        let probe = packet(&ids);
        assert_eq!(probe.len(), PROBE);
        assert_eq!(probe.get(..14), Some(&[0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8][..]));
        let whole = [&[0x80, 0, 0, 0, 0, 8][..], &ids[8..], &[8], &ids[..8], &[0, 0, 0, 1]].concat();
        assert_eq!(answered(&whole), Some(ids));
        for cut in 0..whole.len() {
            assert_eq!(answered(&whole[..cut]), None, "{cut}");
        }
        for (at, byte) in [(0, 0x40), (4, 1), (5, 7), (14, 9)] {
            let mut wrong = whole.clone();
            wrong[at] = byte;
            assert_eq!(answered(&wrong), None, "{at}");
        }
        assert_eq!(answered(&[&whole[..], &[0]].concat()), None);
    }
}
