//! The congestion window: what the shell says, while it says something; the stack's Cubic otherwise.
//!
//! `rate` decides what is sent, from arrival times that QUIC does not know. This window is the net under it: generous
//! while feedback is fresh, and ordinary congestion control once the shell has been silent for a second, so that a shell
//! that hangs cannot flood a link. Cubic sees every acknowledgement and loss all the time, so it is ready to take over.
//!
//! On a dead path every window is soon full, and QUIC alone would knock at doubling intervals: seconds pass between a path's
//! return and its discovery. So while nothing is acknowledged, one packet per [`KNOCK_US`] may always go.

use crate::ClockFn;
use quinn::congestion::{Controller, ControllerFactory, CubicConfig};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a window holds without being set again, in microseconds (`research/rate-control.md` §5.10).
const FRESH_US: u64 = 1_000_000;
/// No acknowledgement for this long, with a full window, is silence; in microseconds.
const SILENT_US: u64 = 200_000;
/// In silence one packet more may go each time this has passed, in microseconds: at most 75 kbit/s of full packets.
const KNOCK_US: u64 = 160_000;
/// The idle timeout comes first: 120 s.
const MOST_KNOCKS: u64 = 120_000_000 / KNOCK_US;
/// The window is widened at most so much for quinn's pacer.
const MOST_STRETCH: u64 = 1_024;
/// Above `u32::MAX` quinn turns its pacer off; a window is kept below (quinn-proto 0.11 `pacing.rs`).
const MOST: u64 = u32::MAX as u64;

/// The window of one connection, shared between the shell and the controllers of all its paths.
pub struct Window {
    bytes: AtomicU64,
    set_at: AtomicU64,
    /// How often the path was found to mark packets.
    marked: AtomicU64,
    clock: ClockFn,
}

impl Window {
    /// Not set yet.
    pub fn new(clock: ClockFn) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicU64::new(0), set_at: AtomicU64::new(0), marked: AtomicU64::new(0), clock })
    }

    /// Allows `bytes` in flight for the next second.
    pub fn set(&self, bytes: u64) {
        self.set_at.store((self.clock)(), Ordering::Relaxed);
        self.bytes.store(bytes.clamp(1, MOST), Ordering::Release);
    }

    /// How often acknowledgements have told of packets that were marked as having met congestion (ECN).
    pub fn marked(&self) -> u64 {
        self.marked.load(Ordering::Relaxed)
    }

    /// The window, if it was set within the last second.
    fn fresh(&self) -> Option<u64> {
        let bytes = self.bytes.load(Ordering::Acquire);
        // The clock is read after the stamp, and a stamp just ahead of it counts as fresh.
        let set_at = self.set_at.load(Ordering::Relaxed);
        (bytes > 0 && (self.clock)().saturating_sub(set_at) < FRESH_US).then_some(bytes)
    }
}

/// Makes a [`SafetyNet`] for each path of one connection.
pub struct SafetyNetFactory(pub Arc<Window>);

impl ControllerFactory for SafetyNetFactory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let cubic = Arc::new(CubicConfig::default()).build(now, current_mtu);
        Box::new(SafetyNet {
            window: self.0.clone(),
            cubic,
            mtu: u64::from(current_mtu),
            in_flight: 0,
            stretch: 1,
            full_us: AtomicU64::new(0),
        })
    }
}

/// How much wider the window must be for quinn, which paces it over its smoothed round trip. One acknowledgement that was
/// stuck for half a minute of blackout makes that four seconds for the next dozen, and four seconds is what each window
/// would take, while our own pacer knows better.
fn stretch(smoothed: Duration, least: Duration) -> u64 {
    let times = smoothed.as_micros() / least.as_micros().max(1);
    u64::try_from(times).unwrap_or(MOST_STRETCH).clamp(1, MOST_STRETCH)
}

/// The controller of one path.
struct SafetyNet {
    window: Arc<Window>,
    cubic: Box<dyn Controller>,
    mtu: u64,
    /// Bytes on the way: what quinn said at the last acknowledgement, and what was sent since.
    in_flight: u64,
    /// By how much quinn's smoothed round trip exceeds the least of this path.
    stretch: u64,
    /// Since when the window is full and nothing was acknowledged, in microseconds of the shell's clock; 0 if it is not.
    full_us: AtomicU64,
}

impl SafetyNet {
    /// What may be in flight while the path answers.
    fn base(&self) -> u64 {
        // Two packets always fit, or nothing could ever be acknowledged.
        let fresh = self.window.fresh().map(|w| w.max(2 * self.mtu).saturating_mul(self.stretch).min(MOST));
        fresh.unwrap_or_else(|| self.cubic.window())
    }

    /// Packets that may have gone beyond a window of `base` bytes, full in silence.
    fn knocks(&self, base: u64) -> u64 {
        // quinn sends while what is in flight and one packet more stay below the window.
        if self.in_flight.saturating_add(self.mtu) < base {
            self.full_us.store(0, Ordering::Relaxed);
            return 0;
        }
        let now = (self.window.clock)().max(1);
        let since = match self.full_us.load(Ordering::Relaxed) {
            0 => {
                self.full_us.store(now, Ordering::Relaxed);
                now
            }
            since => since,
        };
        let silence = now.saturating_sub(since).checked_sub(SILENT_US);
        silence.map_or(0, |s| (1 + s / KNOCK_US).min(MOST_KNOCKS))
    }
}

impl Controller for SafetyNet {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        // What goes beyond the window is counted by the clock: quinn tells of bare acknowledgements here too.
        if self.in_flight < self.base() {
            self.in_flight = self.in_flight.saturating_add(bytes);
        }
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &quinn_proto::RttEstimator) {
        self.stretch = stretch(rtt.get(), rtt.min());
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.in_flight = in_flight;
        self.full_us.store(0, Ordering::Relaxed);
        self.cubic.on_end_acks(now, in_flight, app_limited, largest);
    }

    // spec: T-6
    fn on_congestion_event(&mut self, now: Instant, sent: Instant, persistent: bool, lost_bytes: u64) {
        // quinn tells of ECN's marks so, and of nothing else.
        if lost_bytes == 0 {
            self.window.marked.fetch_add(1, Ordering::Relaxed);
        }
        self.cubic.on_congestion_event(now, sent, persistent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = u64::from(new_mtu);
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        let base = self.base();
        match self.knocks(base) {
            0 => base,
            knocks => base.max(self.in_flight.saturating_add((knocks + 1).saturating_mul(self.mtu)).min(MOST)),
        }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            window: self.window.clone(),
            cubic: self.cubic.clone_box(),
            mtu: self.mtu,
            in_flight: self.in_flight,
            stretch: self.stretch,
            full_us: AtomicU64::new(0),
        })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A controller and the hand on its clock. quinn's own instants only feed Cubic; one is enough here.
    fn net() -> (Box<dyn Controller>, Arc<Window>, Arc<AtomicU64>, Instant) {
        let hand = Arc::new(AtomicU64::new(5));
        let clock = {
            let hand = hand.clone();
            Arc::new(move || hand.load(Ordering::Relaxed))
        };
        let window = Window::new(clock);
        let now = tokio::time::Instant::now().into_std();
        (Arc::new(SafetyNetFactory(window.clone())).build(now, 1200), window, hand, now)
    }

    #[test]
    fn the_shells_window_holds_for_a_second() {
        let (net, window, hand, _) = net();
        let cubic = net.window();
        assert_eq!(cubic, net.initial_window());
        window.set(777_777);
        assert_eq!(net.window(), 777_777);
        hand.store(5 + FRESH_US - 1, Ordering::Relaxed);
        assert_eq!(net.window(), 777_777);
        hand.store(5 + FRESH_US, Ordering::Relaxed);
        assert!(net.window() < 777_777);
        window.set(1);
        assert_eq!(net.window(), 2_400);
        window.set(u64::MAX);
        assert_eq!(net.window(), u64::from(u32::MAX));
        // A new path of the same connection obeys the same window.
        assert_eq!(net.clone_box().window(), u64::from(u32::MAX));
    }

    #[test]
    fn silence_lets_one_packet_through_at_a_time() {
        let (mut net, _, hand, now) = net();
        let room = |net: &dyn Controller, in_flight: u64| net.window() > in_flight + 1200;
        net.on_sent(now, 500_000, 1);
        assert!(!room(&*net, 500_000));
        let mut in_flight = 500_000;
        for knock in 1..=5u64 {
            hand.store(5 + SILENT_US + (knock - 1) * KNOCK_US, Ordering::Relaxed);
            assert!(room(&*net, in_flight), "knock {knock}");
            net.on_sent(now, 1200, 1 + knock);
            in_flight += 1200;
            // A bare acknowledgement takes nothing from the next knock.
            net.on_sent(now, 40, 1 + knock);
            assert!(!room(&*net, in_flight), "after knock {knock}");
        }
        net.on_end_acks(now, 3_600, false, Some(6));
        assert!(net.window() < 500_000 && room(&*net, 3_600));
    }

    #[test]
    fn an_acknowledgement_that_was_stuck_does_not_slow_the_next_window() {
        let ms = Duration::from_millis;
        assert_eq!(stretch(ms(21), ms(20)), 1);
        assert_eq!(stretch(ms(3_770), ms(20)), 188);
        assert_eq!(stretch(ms(3_770), Duration::ZERO), MOST_STRETCH);
        assert_eq!(stretch(Duration::ZERO, ms(20)), 1);
    }

    // spec: T-6
    #[test]
    fn marks_are_told_from_losses() {
        let (mut net, window, _, now) = net();
        net.on_congestion_event(now, now, false, 1_200);
        assert_eq!(window.marked(), 0);
        net.on_congestion_event(now, now, false, 0);
        net.on_congestion_event(now, now, false, 0);
        assert_eq!(window.marked(), 2);
    }

    #[test]
    fn an_idle_hour_opens_nothing() {
        let (mut net, _, hand, now) = net();
        let before = net.window();
        net.on_sent(now, 40, 1);
        hand.store(3_600_000_000, Ordering::Relaxed);
        assert_eq!(net.window(), before);
    }
}
