//! An in-process link emulator: UDP through loss, delay, jitter, reordering, a bottleneck with a drop-tail queue, and
//! blackouts. For tests and benches; everything can be changed while packets are on the way.
//!
//! One thread polls the sockets and holds every packet until the shell's clock says it is due. Each client address gets
//! an upstream socket of its own, as behind a NAT, so [`Relay::rebind_upstream`] looks to the host like a client whose
//! address has changed. With one seed and one packet sequence the same packets are lost.
#![allow(unsafe_code)]

pub(crate) mod class;
mod link;

pub use link::{Burst, Count, Filter, Link, LinkModel, Packet, Policer};

use crate::ClockFn;
use polling::{Events, Poller};
use socket2::{Domain, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use telepane_model::Rng;

/// Client addresses at a time; a further one takes the place of the one heard longest ago.
const MOST_FLOWS: usize = 64;
/// Packets of which is kept what was seen, each way.
const MOST_SEEN: usize = 1 << 16;
/// IPv4 and UDP headers, counted against a link's rate.
const HEADERS: u64 = 28;
/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the host.
    Up,
    /// From the host to the client.
    Down,
}

/// Both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    /// From the client to the host.
    pub up: Count,
    /// From the host to the client.
    pub down: Count,
}

/// A packet that came, to one who looks at it on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Bytes of its UDP payload.
    pub len: usize,
    /// Its traffic class: the code point and, in the lowest two bits, ECN.
    pub class: u8,
}

#[derive(Debug)]
struct State {
    up: Link,
    down: Link,
    seen_up: Vec<Seen>,
    seen_down: Vec<Seen>,
    /// When each flow's first packet passed upwards since the last blackout began or ended.
    asked: BTreeMap<u64, u64>,
    /// When the first of them passed that was answered.
    answered: Option<u64>,
    rebind: bool,
    stop: bool,
}

struct Inner {
    state: Mutex<State>,
    poller: Poller,
    clock: ClockFn,
}

impl Inner {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State, u64)) {
        change(&mut self.state(), (self.clock)());
        if let Err(e) = self.poller.notify() {
            tracing::warn!("relay: {e}");
        }
    }
}

/// A link between clients and one host. Dropping it cuts the link.
pub struct Relay {
    addr: SocketAddr,
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

fn socket(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, None)?;
    // The link's queue is the model's; the system's must not add its own losses. Less than asked for is no error.
    let _ = socket.set_recv_buffer_size(4 << 20);
    let _ = socket.set_send_buffer_size(4 << 20);
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    let socket = socket.into();
    class::ask(&socket);
    Ok(socket)
}

impl Relay {
    /// Listens on `listen` and passes everything on to `upstream` and back. `seed` decides which packets are lost.
    ///
    /// # Errors
    /// When a socket or the thread cannot be had.
    pub fn start(
        listen: SocketAddr,
        upstream: SocketAddr,
        up: LinkModel,
        down: LinkModel,
        seed: u64,
        clock: ClockFn,
    ) -> io::Result<Self> {
        let listener = socket(listen)?;
        let addr = listener.local_addr()?;
        let mut seeds = Rng::new(seed);
        let state = State {
            up: Link::new(up, HEADERS, seeds.next_u64()),
            down: Link::new(down, HEADERS, seeds.next_u64()),
            seen_up: Vec::new(),
            seen_down: Vec::new(),
            asked: BTreeMap::new(),
            answered: None,
            rebind: false,
            stop: false,
        };
        let inner = Arc::new(Inner { state: Mutex::new(state), poller: Poller::new()?, clock });
        let mut runner = Runner { inner: inner.clone(), upstream, listener, flows: BTreeMap::new(), next_key: 1 };
        let thread = std::thread::Builder::new().name("telepane-relay".to_owned()).spawn(move || {
            if let Err(e) = runner.run() {
                tracing::error!("relay: {e}");
            }
        })?;
        Ok(Self { addr, inner, thread: Some(thread) })
    }

    /// Where clients send to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes one direction from now on. What has left the bottleneck flies on as it was.
    pub fn set(&self, direction: Direction, model: LinkModel) {
        self.inner.change(|s, now| match direction {
            Direction::Up => s.up.set(now, model),
            Direction::Down => s.down.set(now, model),
        });
    }

    /// Nothing passes in either direction while `on`; what already flies arrives.
    pub fn blackout(&self, on: bool) {
        self.inner.change(|s, _| {
            (s.up.black, s.down.black) = (on, on);
            s.asked.clear();
            s.answered = None;
        });
    }

    /// How long ago the first packet passed that the host answered, since the last blackout began or ended. Who says goodbye
    /// gets no answer, and what is sent to an address that a client has left finds nobody.
    pub fn answered_for(&self) -> Option<Duration> {
        let asked = self.inner.state().answered?;
        Some(Duration::from_micros((self.inner.clock)().saturating_sub(asked)))
    }

    /// Gives every client a new address towards the host.
    pub fn rebind_upstream(&self) {
        self.inner.change(|s, _| s.rebind = true);
    }

    /// The packets that came one way since this was last asked; the first 65,536 of them.
    pub fn seen(&self, direction: Direction) -> Vec<Seen> {
        let mut state = self.inner.state();
        std::mem::take(match direction {
            Direction::Up => &mut state.seen_up,
            Direction::Down => &mut state.seen_down,
        })
    }

    /// What went through so far.
    pub fn counters(&self) -> Counters {
        let state = self.inner.state();
        Counters { up: state.up.count, down: state.down.count }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.inner.change(|s, _| s.stop = true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the relay's thread panicked");
        }
    }
}

fn note(seen: &mut Vec<Seen>, packet: Seen) {
    if seen.len() < MOST_SEEN {
        seen.push(packet);
    }
}

/// A client and its socket towards the host.
struct Flow {
    client: SocketAddr,
    socket: UdpSocket,
    heard: u64,
}

/// The thread's own.
struct Runner {
    inner: Arc<Inner>,
    upstream: SocketAddr,
    listener: UdpSocket,
    /// By their key in the poller; 0 is the listener.
    flows: BTreeMap<u64, Flow>,
    next_key: u64,
}

impl Runner {
    fn run(&mut self) -> io::Result<()> {
        // SAFETY: the listener lives as long as the poller: `self` holds both, and `leave` deletes it before they go.
        unsafe { self.inner.poller.add(&self.listener, polling::Event::readable(0))? };
        let result = self.relay();
        self.leave();
        result
    }

    fn relay(&mut self) -> io::Result<()> {
        let mut events = Events::new();
        let mut buffer = vec![0; 65_536];
        loop {
            let next = {
                let mut state = self.inner.state();
                if state.stop {
                    return Ok(());
                }
                let rebind = std::mem::take(&mut state.rebind);
                drop(state);
                if rebind {
                    self.rebind()?;
                }
                self.deliver()
            };
            let wait = next.map(|due| Duration::from_micros(due.saturating_sub((self.inner.clock)())));
            events.clear();
            self.inner.poller.wait(&mut events, wait)?;
            for event in events.iter() {
                self.drain(event.key as u64, &mut buffer)?;
            }
        }
    }

    /// Sends what is due; when the next is.
    fn deliver(&mut self) -> Option<u64> {
        let mut state = self.inner.state();
        let now = (self.inner.clock)();
        while let Some(packet) = state.up.pop(now) {
            if let Some(flow) = self.flows.get(&packet.flow) {
                // As on any link, what the socket does not take is lost.
                let _ = class::send(&flow.socket, &packet.bytes, self.upstream, packet.class);
            }
        }
        while let Some(packet) = state.down.pop(now) {
            if let Some(flow) = self.flows.get(&packet.flow) {
                let _ = class::send(&self.listener, &packet.bytes, flow.client, packet.class);
            }
        }
        state.up.next().into_iter().chain(state.down.next()).min()
    }

    /// Reads one socket empty.
    fn drain(&mut self, key: u64, buffer: &mut [u8]) -> io::Result<()> {
        // A bound, so that a flood on one socket cannot keep the others waiting.
        for _ in 0..256 {
            let read = match (key, self.flows.get(&key)) {
                (0, _) => class::receive(&self.listener, buffer),
                (_, Some(flow)) => class::receive(&flow.socket, buffer),
                (_, None) => return Ok(()),
            };
            let (len, from, class) = match read {
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // An ICMP error of an earlier send.
                Err(_) => continue,
            };
            let now = (self.inner.clock)();
            let bytes = buffer.get(..len).unwrap_or_default().to_vec();
            if key == 0 {
                let flow = self.flow_of(from, now)?;
                let mut state = self.inner.state();
                note(&mut state.seen_up, Seen { len, class });
                if !state.up.black && state.answered.is_none() {
                    state.asked.entry(flow).or_insert(now);
                }
                state.up.push(now, Packet { flow, bytes, class });
            } else if from == self.upstream {
                let mut state = self.inner.state();
                note(&mut state.seen_down, Seen { len, class });
                if !state.down.black && state.answered.is_none() {
                    state.answered = state.asked.get(&key).copied();
                }
                state.down.push(now, Packet { flow: key, bytes, class });
            }
        }
        let interest = polling::Event::readable(key as usize);
        match self.flows.get(&key) {
            _ if key == 0 => self.inner.poller.modify(&self.listener, interest),
            Some(flow) => self.inner.poller.modify(&flow.socket, interest),
            None => Ok(()),
        }
    }

    /// The flow of a client, made if new.
    fn flow_of(&mut self, client: SocketAddr, now: u64) -> io::Result<u64> {
        if let Some((key, flow)) = self.flows.iter_mut().find(|(_, f)| f.client == client) {
            flow.heard = now;
            return Ok(*key);
        }
        if self.flows.len() >= MOST_FLOWS
            && let Some(oldest) = self.flows.iter().min_by_key(|(_, f)| f.heard).map(|(k, _)| *k)
            && let Some(flow) = self.flows.remove(&oldest)
        {
            self.inner.poller.delete(&flow.socket)?;
        }
        let key = self.next_key;
        self.next_key += 1;
        let socket = self.fresh(key)?;
        self.flows.insert(key, Flow { client, socket, heard: now });
        Ok(key)
    }

    /// A new socket towards the host, known to the poller as `key`.
    fn fresh(&self, key: u64) -> io::Result<UdpSocket> {
        let any = match self.upstream {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = socket(any)?;
        // SAFETY: the socket is kept in `flows`, and deleted from the poller wherever it leaves `flows`.
        unsafe { self.inner.poller.add(&socket, polling::Event::readable(key as usize))? };
        Ok(socket)
    }

    fn rebind(&mut self) -> io::Result<()> {
        let keys: Vec<u64> = self.flows.keys().copied().collect();
        for key in keys {
            let Some(flow) = self.flows.get(&key) else { continue };
            self.inner.poller.delete(&flow.socket)?;
            let socket = self.fresh(key)?;
            if let Some(flow) = self.flows.get_mut(&key) {
                flow.socket = socket;
            }
        }
        Ok(())
    }

    fn leave(&self) {
        for source in self.flows.values().map(|f| &f.socket).chain([&self.listener]) {
            let _ = self.inner.poller.delete(source);
        }
    }
}
