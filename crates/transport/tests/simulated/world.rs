//! The network and the clock: an executor, timers, sockets, and a link each way.

use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, UdpPoller};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use telepane_transport::relay::{Link, LinkModel, Packet};

/// What a datagram with a long header counts for on a link, in bytes.
pub const LONG: usize = 1_200;
/// IP's and UDP's headers, less the two bytes that tell a packet's true length here.
const HEADERS: u64 = 28 - TOLD as u64;
/// Those.
const TOLD: usize = 2;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Up,
    Down,
}

/// A datagram that entered the network or left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub at_us: u64,
    pub way: Way,
    /// It arrived; else it was sent.
    pub arrived: bool,
    /// UDP payload, as the link counts it.
    pub bytes: usize,
    /// The viewer's address, by its number.
    pub viewer: u16,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone)]
pub struct World {
    state: Arc<Mutex<State>>,
    ready: Arc<Mutex<VecDeque<u64>>>,
}

struct State {
    base: Instant,
    now_us: u64,
    serial: u64,
    tasks: BTreeMap<u64, Task>,
    timers: BTreeMap<(u64, u64), Waker>,
    links: [Link; 2],
    boxes: BTreeMap<SocketAddr, Inbox>,
    journal: Vec<Line>,
}

/// A socket's end.
#[derive(Default)]
struct Inbox {
    packets: VecDeque<(SocketAddr, Vec<u8>, u8)>,
    reader: Option<Waker>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

pub fn host() -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, 1), 8443).into()
}

/// A viewer's address: each is in a network of its own.
pub fn viewer(n: u16) -> SocketAddr {
    (Ipv4Addr::new(198, 51, 100, n as u8), 5_000).into()
}

impl World {
    pub fn new(up: LinkModel, down: LinkModel, seed: u64) -> Self {
        let links = [Link::new(up, HEADERS, seed), Link::new(down, HEADERS, seed ^ 0x5eed)];
        let state = State {
            // Only differences of instants mean anything; somewhere they have to begin.
            base: tokio::time::Instant::now().into_std(),
            now_us: 0,
            serial: 0,
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            links,
            boxes: BTreeMap::new(),
            journal: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), ready: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn now_us(&self) -> u64 {
        self.lock().now_us
    }

    pub fn journal(&self) -> Vec<Line> {
        self.lock().journal.clone()
    }

    pub fn set(&self, way: Way, model: LinkModel) {
        let mut state = self.lock();
        let now = state.now_us;
        state.links[way as usize].set(now, model);
    }

    /// A socket at this address.
    pub fn socket(&self, at: SocketAddr) -> Arc<dyn AsyncUdpSocket> {
        self.lock().boxes.insert(at, Inbox::default());
        Arc::new(Socket { world: self.clone(), at })
    }

    pub fn go(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(Box::pin(task));
    }

    /// Waits in the network's time.
    pub async fn sleep(&self, time: Duration) {
        let at = self.now_us() + time.as_micros() as u64;
        let mut timer = Timer { world: self.clone(), at_us: at, key: None };
        std::future::poll_fn(|cx| Pin::new(&mut timer).poll(cx)).await;
    }

    /// Lets `time` pass, or less if there is nothing left to come.
    pub fn run(&self, time: Duration) {
        let end = self.now_us() + time.as_micros() as u64;
        loop {
            self.settle();
            let next = {
                let state = self.lock();
                let timer = state.timers.first_key_value().map(|(k, _)| k.0);
                state.links.iter().filter_map(Link::next).chain(timer).min()
            };
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.advance(next);
        }
        self.lock().now_us = end;
    }

    /// Runs what can run now.
    fn settle(&self) {
        loop {
            let Some(id) = self.ready.lock().unwrap().pop_front() else { return };
            let Some(mut task) = self.lock().tasks.remove(&id) else { continue };
            let waker = Waker::from(Arc::new(Ready { id, ready: self.ready.clone() }));
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.lock().tasks.insert(id, task);
            }
        }
    }

    /// The clock goes to `at`: timers fire, packets arrive.
    fn advance(&self, at: u64) {
        let mut wake = Vec::new();
        {
            let mut state = self.lock();
            let state = &mut *state;
            state.now_us = state.now_us.max(at);
            let now = state.now_us;
            while let Some(due) = state.timers.first_entry().filter(|e| e.key().0 <= now) {
                wake.push(due.remove());
            }
            for way in [Way::Up, Way::Down] {
                while let Some(packet) = state.links[way as usize].pop(now) {
                    let n = packet.flow as u16;
                    let (from, to) = match way {
                        Way::Up => (viewer(n), host()),
                        Way::Down => (host(), viewer(n)),
                    };
                    let (told, rest) = packet.bytes.split_at(TOLD);
                    let len = usize::from(u16::from_be_bytes([told[0], told[1]]));
                    state.journal.push(Line { at_us: now, way, arrived: true, bytes: rest.len(), viewer: n });
                    // A socket that was closed hears nothing.
                    if let Some(inbox) = state.boxes.get_mut(&to) {
                        inbox.packets.push_back((from, rest[..len].to_vec(), packet.class));
                        wake.extend(inbox.reader.take());
                    }
                }
            }
        }
        wake.into_iter().for_each(Waker::wake);
    }
}

struct Ready {
    id: u64,
    ready: Arc<Mutex<VecDeque<u64>>>,
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock().unwrap();
        if !ready.contains(&self.id) {
            ready.push_back(self.id);
        }
    }
}

impl Runtime for World {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let at_us = self.micros(at);
        Box::pin(Timer { world: self.clone(), at_us, key: None })
    }

    fn spawn(&self, task: Task) {
        let id = {
            let mut state = self.lock();
            state.serial += 1;
            let id = state.serial;
            state.tasks.insert(id, task);
            id
        };
        self.ready.lock().unwrap().push_back(id);
    }

    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn now(&self) -> Instant {
        let state = self.lock();
        state.base + Duration::from_micros(state.now_us)
    }
}

impl World {
    /// An instant in the network's time, never early.
    fn micros(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.lock().base).as_nanos().div_ceil(1_000) as u64
    }
}

#[derive(Debug)]
struct Timer {
    world: World,
    at_us: u64,
    key: Option<(u64, u64)>,
}

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        let at_us = self.world.micros(at);
        self.at_us = at_us;
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (world, at_us, old) = (self.world.clone(), self.at_us, self.key.take());
        let mut state = world.lock();
        if let Some(old) = old {
            state.timers.remove(&old);
        }
        if at_us <= state.now_us {
            return Poll::Ready(());
        }
        state.serial += 1;
        let key = (at_us, state.serial);
        state.timers.insert(key, cx.waker().clone());
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.world.lock().timers.remove(&key);
        }
    }
}

#[derive(Debug)]
struct Socket {
    world: World,
    at: SocketAddr,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.world.lock().boxes.remove(&self.at);
    }
}

/// A simulated socket always takes a packet: the link's queue is behind it.
#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let (way, peer) = if self.at == host() { (Way::Down, transmit.destination) } else { (Way::Up, self.at) };
        let SocketAddr::V4(v4) = peer else { return Err(io::ErrorKind::Unsupported.into()) };
        let n = u16::from(v4.ip().octets()[3]);
        let mut state = self.world.lock();
        let now = state.now_us;
        let class = transmit.ecn.map_or(0, |e| e as u8);
        for packet in transmit.contents.chunks(transmit.segment_size.unwrap_or(transmit.contents.len()).max(1)) {
            let mut bytes = (packet.len() as u16).to_be_bytes().to_vec();
            bytes.extend_from_slice(packet);
            if packet.first().is_some_and(|first| first & 0x80 != 0) {
                bytes.resize((TOLD + LONG).max(bytes.len()), 0);
            }
            let line = Line { at_us: now, way, arrived: false, bytes: bytes.len() - TOLD, viewer: n };
            state.journal.push(line);
            state.links[way as usize].push(now, Packet { flow: u64::from(n), bytes, class });
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.world.lock();
        let inbox = state.boxes.entry(self.at).or_default();
        let mut got = 0;
        for (buf, meta) in bufs.iter_mut().zip(meta) {
            let Some((from, bytes, class)) = inbox.packets.pop_front() else { break };
            let Some(place) = buf.get_mut(..bytes.len()) else { continue };
            place.copy_from_slice(&bytes);
            let ecn = EcnCodepoint::from_bits(class & 3);
            *meta = RecvMeta { addr: from, len: bytes.len(), stride: bytes.len(), ecn, dst_ip: Some(self.at.ip()) };
            got += 1;
        }
        if got > 0 {
            return Poll::Ready(Ok(got));
        }
        inbox.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }

    /// The links drop what is too large, as a path with its Don't Fragment bits honoured does.
    fn may_fragment(&self) -> bool {
        false
    }
}
