//! Carries packets between two namespaces' TUN devices through the one link model of `telepane_transport::relay`, and
//! writes down what went through each 100 ms.
//!
//! One thread waits for packets and for the model's next event with a timer slack of a nanosecond. The model's clock is
//! virtual: a packet leaves when it is due by arithmetic, and a thread that wakes late sends what has become due at once,
//! so that a rate is kept in the mean whatever the scheduler does. Where it may, the thread runs at the lowest real-time
//! priority: a network does not wait for the programs that use it.

use super::profile::Profile;
use super::space::Space;
use crate::clock;
use crate::count::{Both, Traffic};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use telepane_model::{Rng, Span};
use telepane_transport::relay::{Count, Link, Packet};

/// Two namespaces and the link between them. Dropping it cuts the link and takes the namespaces away.
#[derive(Debug)]
pub struct Emulator {
    /// The server's end.
    pub host: Space,
    /// The viewer's end.
    pub client: Space,
    /// What the link is like.
    pub profile: Profile,
    shared: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

/// 100 ms of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way {
    /// IP bytes that entered.
    pub offered: u64,
    /// IP bytes that arrived.
    pub delivered: u64,
    /// How long a packet would have waited in the bottleneck's queue at the end, microseconds.
    pub queue_us: u64,
    /// Packets that found the queue full.
    pub dropped: u64,
    /// Packets lost on the way.
    pub lost: u64,
}

/// 100 ms of a link.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// Its end on the harness's clock, microseconds.
    pub at: u64,
    /// The bottleneck's rate, bits a second; 0 is none.
    pub rate: u64,
    /// From the host to the client.
    pub down: Way,
    /// From the client to the host.
    pub up: Way,
}

impl Tick {
    /// `[seconds, rate Mbit/s, down Mbit/s, queue ms, dropped, lost, up Mbit/s, queue ms, dropped, lost]`, with seconds
    /// since `begun`.
    pub fn json(&self, begun: u64) -> Value {
        let mbit = |bytes: u64| (bytes as f64 * 8e-2 / TICK_US as f64 * 1e5).round() / 1e3;
        let way = |w: Way| (mbit(w.offered), w.queue_us as f64 / 1e3, w.dropped, w.lost);
        let (d, u) = (way(self.down), way(self.up));
        let seconds = (self.at as f64 - begun as f64) / 1e6;
        json!([(seconds * 1e3).round() / 1e3, self.rate as f64 / 1e6, d.0, d.1, d.2, d.3, u.0, u.1, u.2, u.3])
    }

    fn csv(&self, begun: u64) -> String {
        let way =
            |w: Way| format!("{},{},{},{},{}", w.offered, w.delivered, w.queue_us as f64 / 1e3, w.dropped, w.lost);
        let seconds = (self.at as f64 - begun as f64) / 1e6;
        format!("{seconds:.1},{},{},{}\n", self.rate, way(self.down), way(self.up))
    }
}

#[derive(Debug)]
struct State {
    down: Link,
    up: Link,
    /// From when on the profile's changes count; never before [`Emulator::begin`].
    changes_from: u64,
    ticks: Vec<Tick>,
    /// Each [`MOMENT_US`], where somebody wants it so closely; queues are then the highest within it.
    moments: Option<VecDeque<Tick>>,
    cpu_us: u64,
    stop: bool,
}

impl Emulator {
    /// Makes the namespaces and connects them. `seed` decides which packets are lost; `csv` gets a line each 100 ms.
    ///
    /// # Errors
    /// As [`Space::open`].
    pub fn start(profile: &Profile, seed: u64, congestion: Option<&str>, csv: Option<&Path>) -> Result<Self> {
        let host = Space::open(HOST, CLIENT, profile.mtu, congestion)?;
        let client = Space::open(CLIENT, HOST, profile.mtu, congestion)?;
        let mut seeds = Rng::new(seed);
        let state = State {
            down: Link::new(profile.model, 0, seeds.next_u64()),
            up: Link::new(profile.up(), 0, seeds.next_u64()),
            changes_from: u64::MAX,
            ticks: Vec::new(),
            moments: None,
            cpu_us: 0,
            stop: false,
        };
        let csv = csv.map(|path| File::create(path).with_context(|| path.display().to_string())).transpose()?;
        let shared = Arc::new(Mutex::new(state));
        let carrier = Carrier {
            shared: shared.clone(),
            ends: [host.tun.try_clone()?, client.tun.try_clone()?],
            profile: profile.clone(),
            before: [Count::default(); 2],
            before_moment: [Count::default(); 2],
            highest: [0; 2],
            csv,
        };
        let thread = std::thread::Builder::new().name("link".into()).spawn(move || carrier.run())?;
        Ok(Self { host, client, profile: profile.clone(), shared, thread: Some(thread) })
    }

    /// The profile's changes count from now on.
    pub fn begin(&self) {
        lock(&self.shared).changes_from = clock::now();
    }

    /// Nothing passes while `on`.
    pub fn blackout(&self, on: bool) {
        let mut state = lock(&self.shared);
        (state.up.black, state.down.black) = (on, on);
    }

    /// What entered so far, as IP packets.
    pub fn traffic(&self) -> Both {
        let state = lock(&self.shared);
        let way = |c: &Count| Traffic { packets: c.packets_in, bytes: c.bytes_in };
        Both { up: way(&state.up.count), down: way(&state.down.count) }
    }

    /// Both directions' counters: up, down.
    pub fn counts(&self) -> (Count, Count) {
        let state = lock(&self.shared);
        (state.up.count, state.down.count)
    }

    /// Every 100 ms from `since` on.
    pub fn ticks(&self, since: u64) -> Vec<Tick> {
        lock(&self.shared).ticks.iter().filter(|t| t.at > since).copied().collect()
    }

    /// From now on every 5 ms is written down too, of the last two minutes.
    pub fn watch_closely(&self) {
        lock(&self.shared).moments.get_or_insert_default();
    }

    /// Every 5 ms from `since` on, its queues the highest within it. Empty unless [`Self::watch_closely`] was called.
    pub fn moments(&self, since: u64) -> Vec<Tick> {
        lock(&self.shared).moments.iter().flatten().filter(|t| t.at > since).copied().collect()
    }

    /// CPU time the emulator itself has used, microseconds.
    pub fn cpu_us(&self) -> u64 {
        lock(&self.shared).cpu_us
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        lock(&self.shared).stop = true;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Carrier {
    shared: Arc<Mutex<State>>,
    ends: [File; 2],
    profile: Profile,
    before: [Count; 2],
    before_moment: [Count; 2],
    /// The longest wait since the last moment, down and up, microseconds.
    highest: [u64; 2],
    csv: Option<File>,
}

impl Carrier {
    fn run(mut self) {
        clock::sharpen();
        clock::hasten();
        let mut buffer = vec![0; 65_536];
        let begun = clock::now();
        let (mut next_tick, mut next_moment) = (begun + TICK_US, begun + MOMENT_US);
        if let Some(csv) = &mut self.csv {
            let way = |w| format!("{w}_offered_B,{w}_delivered_B,{w}_queue_ms,{w}_queue_dropped,{w}_lost");
            let _ = csv.write_all(format!("s,rate_bit_per_s,{},{}\n", way("down"), way("up")).as_bytes());
        }
        let shared = self.shared.clone();
        loop {
            let mut guard = lock(&shared);
            let state = &mut *guard;
            if state.stop {
                return;
            }
            let now = clock::now();
            let after = Span::micros(now.saturating_sub(state.changes_from));
            let rate = self.profile.rate_at(after);
            if state.down.model().rate != rate {
                for link in [&mut state.down, &mut state.up] {
                    link.set(now, telepane_transport::relay::LinkModel { rate, ..*link.model() });
                }
            }
            let State { down, up, .. } = state;
            let [host, client] = &mut self.ends;
            for ((end, link), highest) in
                [(&mut *host, &mut *down), (&mut *client, &mut *up)].into_iter().zip(&mut self.highest)
            {
                // A bound, so that a flood on one side cannot keep the other waiting.
                for _ in 0..64 {
                    let Ok(len @ 1..) = end.read(&mut buffer) else { break };
                    link.push(
                        clock::now(),
                        Packet { flow: 0, bytes: buffer.get(..len).unwrap_or_default().to_vec(), class: 0 },
                    );
                    *highest = self.profile.takes(after, link.count.queued).as_micros().max(*highest);
                }
            }
            for (end, link) in [(client, down), (host, up)] {
                while let Some(packet) = link.pop(clock::now()) {
                    // As on any link, what is not taken is lost.
                    let _ = end.write(&packet.bytes);
                }
            }
            if now >= next_tick {
                next_tick += TICK_US;
                self.tick(state, now, begun, after);
            }
            if now >= next_moment {
                next_moment = now - now.saturating_sub(begun) % MOMENT_US + MOMENT_US;
                self.moment(state, now, after);
            }
            let due = [state.down.next(), state.up.next()].into_iter().flatten().min();
            // A change of the rate may come between two ticks: at most so late is it.
            let change = self
                .profile
                .next_change(after)
                .map_or(u64::MAX, |at| state.changes_from.saturating_add(at.as_micros()));
            let mut until = due.unwrap_or(u64::MAX).min(next_tick).min(now + CHANGE_US).min(change);
            if state.moments.is_some() {
                until = until.min(next_moment);
            }
            drop(guard);
            self.wait(until);
        }
    }

    fn wait(&self, until: u64) {
        let us = until.saturating_sub(clock::now());
        let mut polls =
            self.ends.each_ref().map(|e| libc::pollfd { fd: e.as_raw_fd(), events: libc::POLLIN, revents: 0 });
        let timeout = libc::timespec { tv_sec: (us / 1_000_000) as i64, tv_nsec: (us % 1_000_000) as i64 * 1000 };
        // SAFETY: two valid structures, as the count says; the timeout is valid and there is no signal mask.
        unsafe { libc::ppoll(polls.as_mut_ptr(), 2, &raw const timeout, std::ptr::null()) };
    }

    fn moment(&mut self, state: &mut State, at: u64, after: Span) {
        let Some(moments) = &mut state.moments else { return };
        let rate = state.down.model().rate.map_or(0, telepane_model::BitRate::as_bps);
        let [mut down, mut up] = [(&state.down, &self.before_moment[0]), (&state.up, &self.before_moment[1])]
            .map(|(link, before)| self.way(link, before, after));
        // What waited since before is not in what was pushed.
        down.queue_us = down.queue_us.max(self.highest[0]);
        up.queue_us = up.queue_us.max(self.highest[1]);
        if rate == 0 {
            (down.queue_us, up.queue_us) = (0, 0);
        }
        if moments.len() == MOMENTS {
            moments.pop_front();
        }
        moments.push_back(Tick { at, rate, down, up });
        self.before_moment = [state.down.count, state.up.count];
        self.highest = [0; 2];
    }

    /// What a direction did since `before`, and its queue now.
    fn way(&self, link: &Link, before: &Count, after: Span) -> Way {
        Way {
            offered: link.count.bytes_in - before.bytes_in,
            delivered: link.count.bytes_out - before.bytes_out,
            queue_us: self.profile.takes(after, link.count.queued).as_micros(),
            dropped: link.count.queue_dropped + link.count.too_large - before.queue_dropped - before.too_large,
            lost: link.count.lost + link.count.blacked_out - before.lost - before.blacked_out,
        }
    }

    fn tick(&mut self, state: &mut State, at: u64, begun: u64, after: Span) {
        let rate = state.down.model().rate.map_or(0, telepane_model::BitRate::as_bps);
        let idle = |link: &Link| link.model().rate.is_none();
        let [down, up] = [(&state.down, &self.before[0]), (&state.up, &self.before[1])]
            .map(|(link, before)| self.way(link, before, after));
        let mut tick = Tick { at, rate, down, up };
        if idle(&state.down) {
            (tick.down.queue_us, tick.up.queue_us) = (0, 0);
        }
        self.before = [state.down.count, state.up.count];
        state.cpu_us = cpu_of_this_thread();
        state.ticks.push(tick);
        if let Some(csv) = &mut self.csv {
            let _ = csv.write_all(tick.csv(begun).as_bytes());
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cpu_of_this_thread() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the result; every thread has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut t) };
    t.tv_sec as u64 * 1_000_000 + t.tv_nsec as u64 / 1000
}

/// The server's address. The namespaces are nobody else's, so the addresses cannot collide.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The viewer's.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// A line of the CSV.
pub const TICK_US: u64 = 100_000;
const CHANGE_US: u64 = 20_000;
/// How closely a link may be watched.
pub const MOMENT_US: u64 = 5_000;
/// Moments kept: two minutes.
const MOMENTS: usize = 24_000;
