//! A second way to the host that stands by while the first carries the session: which it is, when it is tried out, and when the
//! session moves to it.
//!
//! A path that dies says nothing, so silence has to be told from rest. A picture that moved and stands still makes the viewer ask.
//! An answer that is late raises a *doubt*: the host is asked again over the path in use and, at the same time, the one that stands by is
//! tried out with a packet that any QUIC server answers. Only when the first stays silent and the second has answered
//! since does the session move, so a host that is busy or gone moves nothing. What moves is the client's socket: to the host it is a
//! change of address, as after any other.
//!
//! The system's own choice of interface is better than ours in what it costs, and often in how quick it is: a session that left it goes
//! back once it has answered for ten seconds, ever later if it fails again. Whatever is the matter with the path in use meanwhile
//! keeps it from that as little as one try that was lost.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use telepane_model::{Interface, InterfaceKind, Span, Stamp, ViewerClock, Ways};

/// When a path may stand by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum StandbyMode {
    /// Where that costs nothing and goes around nothing.
    #[default]
    Auto,
    /// Over a metered interface too.
    Always,
    /// Never.
    Off,
}

impl StandbyMode {
    /// As people write them.
    pub const NAMES: [&str; 3] = ["auto", "always", "off"];
}

/// A word that names no mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMode(String);

impl fmt::Display for UnknownMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is neither auto nor always nor off", self.0)
    }
}

impl std::error::Error for UnknownMode {}

impl FromStr for StandbyMode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        match text {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "off" => Ok(Self::Off),
            other => Err(UnknownMode(other.into())),
        }
    }
}

/// Why no path stands by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoStandby {
    /// It was not wanted.
    Off,
    /// What carries the session cannot move.
    Carrier,
    /// The system does not say over which interface the host is reached, or it is this machine.
    Unknown,
    /// The host is reached through a VPN, which is never gone around.
    Tunnel(String),
    /// Nothing else leads to the host.
    Alone,
    /// This one would, but is metered.
    Metered(String),
}

impl fmt::Display for NoStandby {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Carrier => f.write_str("not over TCP"),
            Self::Unknown => f.write_str("the way to the host is not known"),
            Self::Tunnel(name) => write!(f, "{name} is a VPN, which is not gone around"),
            Self::Alone => f.write_str("no other interface leads to the host"),
            Self::Metered(name) => write!(f, "{name} is metered (--standby always takes it)"),
        }
    }
}

/// Which interface stands by while `carrying` carries, which is the system's choice where nothing was moved yet.
// spec: T-8
pub fn pick(mode: StandbyMode, ways: &Ways, carrying: Option<&str>) -> Result<String, NoStandby> {
    if mode == StandbyMode::Off {
        return Err(NoStandby::Off);
    }
    let of = |name: &str| ways.all.iter().find(|i| i.name == name);
    let chosen = ways.chosen.as_deref().and_then(of);
    // Whoever routes the host through a tunnel wants nothing of the session beside it, also where it was moved before that.
    if let Some(tunnel) = chosen.filter(|i| i.kind == InterfaceKind::Tunnel) {
        return Err(NoStandby::Tunnel(tunnel.name.clone()));
    }
    let carrying = carrying.or(ways.chosen.as_deref()).ok_or(NoStandby::Unknown)?;
    if of(carrying).is_some_and(|i| i.kind == InterfaceKind::Loopback) {
        return Err(NoStandby::Unknown);
    }
    let fit = |i: &&Interface| {
        i.name != carrying && i.reaches && !matches!(i.kind, InterfaceKind::Tunnel | InterfaceKind::Loopback)
    };
    let is_metered = |i: &Interface| i.metered.unwrap_or(i.kind == InterfaceKind::Cellular);
    // The system's own choice first, for the session may have left it; then what costs nothing, then by kind and name.
    let rank = |i: &&Interface| (ways.chosen.as_deref() != Some(&i.name), is_metered(i), i.kind, i.name.clone());
    let all = || ways.all.iter().filter(fit);
    match all().filter(|i| mode == StandbyMode::Always || !is_metered(i)).min_by_key(rank) {
        Some(best) => Ok(best.name.clone()),
        None => Err(all().min_by_key(rank).map_or(NoStandby::Alone, |i| NoStandby::Metered(i.name.clone()))),
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StandbyWish {
    /// Look what interfaces there are, and tell.
    Look,
    /// Try out the path that stands by.
    Probe,
    /// Ask the host whether it is there, over the path in use.
    Ask,
    /// Move the session to this interface.
    Switch(String),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Standby {
    /// The session was moved to this; before that it goes where the system sends it.
    carrying: Option<String>,
    /// The system's choice.
    home: Option<String>,
    spare: Option<String>,
    /// The path's round trip.
    rtt: Span,
    heard: Option<Stamp<ViewerClock>>,
    /// When the last few packets came.
    arrivals: VecDeque<Stamp<ViewerClock>>,
    unanswered: Option<Stamp<ViewerClock>>,
    /// It was asked whether what flowed stands still.
    asked_still: bool,
    /// When somebody worked or watched last.
    active: Option<Stamp<ViewerClock>>,
    doubt: Option<Doubt>,
    /// When the path that stands by was tried, answered, and how long the answer took.
    probed: Option<Stamp<ViewerClock>>,
    answered: Option<Stamp<ViewerClock>>,
    spare_rtt: Option<Span>,
    /// When the first of the answers came after which none was missed for long.
    answers_since: Option<Stamp<ViewerClock>>,
    /// The session stays where it is until then, also in silence.
    stays_until: Option<Stamp<ViewerClock>>,
    /// It does not go home before.
    home_after: Option<Stamp<ViewerClock>>,
    /// How long it stayed away at least, the last time.
    away_for: Span,
    came_home: Option<Stamp<ViewerClock>>,
    looked: Option<Stamp<ViewerClock>>,
    switches: u32,
}

/// Since when, and whether the host was asked for it.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    since: Stamp<ViewerClock>,
    asked: bool,
}

impl Standby {
    /// The session is carried by a new connection, where the system sends it.
    pub fn on_attached(&mut self, now: Stamp<ViewerClock>) {
        let switches = self.switches;
        *self = Self { switches, heard: Some(now), active: Some(now), ..Self::default() };
    }

    /// Which path stands by now, and which the system would take.
    pub fn on_ways(&mut self, home: Option<String>, spare: Option<String>) {
        if self.spare != spare {
            (self.probed, self.answered, self.spare_rtt, self.answers_since) = (None, None, None, None);
        }
        (self.home, self.spare) = (home, spare);
    }

    /// A packet of the session came.
    pub fn on_heard(&mut self, now: Stamp<ViewerClock>) {
        (self.heard, self.asked_still) = (Some(now), false);
        if self.arrivals.len() == FLOW {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(now);
        if self.is_flowing() {
            self.active = Some(now);
        }
    }

    /// Since when the host owes an answer, and the path's round trip.
    pub fn on_owed(&mut self, since: Option<Stamp<ViewerClock>>, rtt: Span) {
        (self.unanswered, self.rtt) = (since, rtt);
    }

    /// The person did something.
    pub fn on_input(&mut self, now: Stamp<ViewerClock>) {
        self.active = Some(now);
    }

    /// The path that stands by answered a packet that left this long ago.
    pub fn on_answered(&mut self, now: Stamp<ViewerClock>, took: Span) {
        if self.spare.is_some() {
            let goes_on = self.answered.is_some_and(|last| now.since(last) <= MISSED);
            self.answers_since = self.answers_since.filter(|_| goes_on).or(Some(now));
            (self.answered, self.spare_rtt) = (Some(now), Some(took));
        }
    }

    /// The move that was wished for was made: the two have changed places.
    pub fn on_switched(&mut self, now: Stamp<ViewerClock>, from: Option<String>) {
        let to = self.spare.take();
        (self.carrying, self.spare) = (to, from);
        self.stays_until = Some(now + STAY);
        if self.carrying == self.home {
            self.came_home = Some(now);
        } else {
            let failed_soon = self.came_home.is_some_and(|at| now.since(at) < SOON);
            self.away_for = if failed_soon { (self.away_for + self.away_for).min(LONGEST_AWAY) } else { AWAY };
            self.home_after = Some(now + self.away_for);
        }
        (self.probed, self.answered, self.spare_rtt, self.answers_since) = (None, None, None, None);
        (self.doubt, self.heard, self.looked) = (None, Some(now), None);
        self.arrivals.clear();
        self.switches += 1;
    }

    /// The path that stood by cannot be used; the next look may find it again.
    pub fn on_spare_lost(&mut self) {
        (self.spare, self.probed, self.answered, self.spare_rtt, self.answers_since) = (None, None, None, None, None);
    }

    /// Which interface the session was moved to, if it was; else the system's choice.
    pub fn carrying(&self) -> Option<&str> {
        self.carrying.as_deref().or(self.home.as_deref())
    }

    /// Whether the session was moved off the system's choice.
    pub fn moved_to(&self) -> Option<&str> {
        self.carrying.as_deref()
    }

    /// Which interface stands by, and how long it took to answer last.
    pub fn spare(&self) -> Option<(&str, Option<Span>)> {
        Some((self.spare.as_deref()?, self.spare_rtt))
    }

    /// How often the session was moved.
    pub const fn switches(&self) -> u32 {
        self.switches
    }

    fn is_flowing(&self) -> bool {
        match (self.arrivals.front(), self.arrivals.back()) {
            (Some(first), Some(last)) => self.arrivals.len() == FLOW && last.since(*first) <= FLOWING_WITHIN,
            _ => false,
        }
    }

    fn is_active(&self, now: Stamp<ViewerClock>) -> bool {
        self.active.is_some_and(|at| now.since(at) < ACTIVE)
    }

    fn owed(&self, now: Stamp<ViewerClock>) -> Span {
        self.unanswered.map_or(Span::ZERO, |at| now.since(at))
    }

    /// When a doubt begins, if nothing comes: the answer is late.
    fn doubt_at(&self) -> Option<Stamp<ViewerClock>> {
        Some(self.unanswered? + DOUBT.max(self.rtt.scaled(3, 2)))
    }

    /// When what flows stands still, if nothing comes: by the measure of its own pauses, so that typing does not.
    fn still_at(&self) -> Option<Stamp<ViewerClock>> {
        let heard = self.heard.filter(|_| self.is_flowing() && !self.asked_still && self.unanswered.is_none())?;
        let pauses = self.arrivals.iter().zip(self.arrivals.iter().skip(1)).map(|(a, b)| b.since(*a));
        Some(heard + STILL.max(pauses.max().unwrap_or_default().scaled(4, 1)))
    }

    /// Whether the path in use is silent, and when it will be.
    // spec: T-9
    fn silent_at(&self, doubt: &Doubt) -> Option<Stamp<ViewerClock>> {
        // What is unanswered although packets come may only be kept waiting by a busy host; for longer.
        let owed = self.unanswered?;
        let quiet = (owed + SILENT.max(self.rtt.scaled(3, 1))).max(self.heard.map_or(owed, |at| at + STILL));
        let deaf = owed + DEAF.max(self.rtt.scaled(4, 1));
        Some(quiet.min(deaf).max(doubt.since))
    }

    /// Whether the session was moved off the system's choice, which stands by.
    fn is_away(&self) -> bool {
        self.carrying.is_some() && self.home == self.spare
    }

    /// When the session goes home, if nothing else happens: home has answered for long enough, and just now.
    // spec: T-10
    fn home_at(&self, now: Stamp<ViewerClock>) -> Option<Stamp<ViewerClock>> {
        let fresh = self.answered.is_some_and(|last| now.since(last) <= FRESH);
        let since = self.answers_since.filter(|_| fresh && self.is_away())?;
        Some((since + HOMEWARD).max(self.home_after.unwrap_or(now)))
    }

    /// The next thing to do, or when there will be one.
    pub fn poll(&mut self, now: Stamp<ViewerClock>) -> Result<StandbyWish, Option<Stamp<ViewerClock>>> {
        let mut wake: Option<Stamp<ViewerClock>> = None;
        let mut at = |when: Stamp<ViewerClock>| {
            let due = when <= now;
            if !due {
                wake = Some(wake.map_or(when, |w| w.min(when)));
            }
            due
        };
        let active = self.is_active(now);
        // An idle session looks seldom; the system's changes are told by silence soon enough.
        let every = if active { LOOK } else { LOOK_IDLE };
        if at(self.looked.map_or(now, |l| l + every)) {
            self.looked = Some(now);
            return Ok(StandbyWish::Look);
        }
        if self.spare.is_none() {
            self.doubt = None;
            return Err(wake);
        }
        // What came is judged by when it came: a shell that is busy looks at it late, which is no silence.
        let over = self.doubt.is_some_and(|d| self.owed(now) < DOUBT && self.heard.is_some_and(|h| h >= d.since));
        if over {
            self.doubt = None;
        }
        // Before everything that has to do with the path in use: a doubt of that is no reason to stay on it.
        if active
            && let Some(home) = self.home_at(now)
            && at(home)
        {
            return Ok(StandbyWish::Switch(self.spare.clone().unwrap_or_default()));
        }
        if let Some(still) = self.still_at()
            && at(still)
        {
            self.asked_still = true;
            return Ok(StandbyWish::Ask);
        }
        if self.doubt.is_none()
            && let Some(begin) = self.doubt_at()
            && at(begin)
        {
            self.doubt = Some(Doubt { since: now, asked: false });
        }
        if let Some(doubt) = &mut self.doubt {
            let since = doubt.since;
            if !doubt.asked {
                doubt.asked = true;
                return Ok(StandbyWish::Ask);
            }
            let pause = if now.since(since) < EAGER { PROBE_IN_DOUBT } else { PROBE_AWAY };
            if at(self.probed.map_or(now, |p| if p < since { now } else { p + pause })) {
                self.probed = Some(now);
                return Ok(StandbyWish::Probe);
            }
            let doubt = Doubt { since, asked: true };
            if self.answered.is_some_and(|a| a >= since)
                && let Some(silent) = self.silent_at(&doubt)
                && at(self.stays_until.map_or(silent, |s| s.max(silent)))
            {
                return Ok(StandbyWish::Switch(self.spare.clone().unwrap_or_default()));
            }
            return Err(wake);
        }
        let every = if self.is_away() { PROBE_AWAY } else { PROBE };
        if active && at(self.probed.map_or(now, |p| p + every)) {
            self.probed = Some(now);
            return Ok(StandbyWish::Probe);
        }
        Err(wake)
    }
}

/// An answer that is this late, or one and a half round trips, raises a doubt.
const DOUBT: Span = Span::millis(80);
/// What flowed and stands still for so long, or four times its longest pause, is asked about: three frames at 30 a second.
const STILL: Span = Span::millis(120);
/// So many packets …
const FLOW: usize = 8;
/// … within this are a flow.
const FLOWING_WITHIN: Span = Span::millis(500);
/// Nothing came for so long, or three round trips, though an answer was owed: the path is silent. Below the 400 ms after which the picture
/// is dimmed (Y-20), above QUIC's longest delay of an acknowledgement and a radio's usual stalls.
const SILENT: Span = Span::millis(200);
/// So long, or four round trips, if other packets came meanwhile.
const DEAF: Span = Span::millis(600);
/// Between two tries in doubt, …
const PROBE_IN_DOUBT: Span = Span::millis(100);
/// … for so long; then as seldom as the next.
const EAGER: Span = Span::secs(3);
/// Between two tries where the system's choice stands by, or a doubt lasts.
const PROBE_AWAY: Span = Span::secs(2);
/// Else, while somebody works: often enough for the bindings of address translators (RFC 4787 REQ-5 asks for 2 min, many keep 30 s).
const PROBE: Span = Span::secs(20);
/// The system's choice has to answer for so long before a session goes back to it; …
const HOMEWARD: Span = Span::secs(10);
/// … a longer pause between two answers begins this anew: one try unanswered, and the next one's answer late, do not …
const MISSED: Span = Span::secs(5);
/// … and the last answer must not be older than this when it goes: a try and its answer.
const FRESH: Span = Span::secs(3);
/// How long it stays where it moved, whatever happens there.
const STAY: Span = Span::secs(1);
/// How long it stays away from home at least, …
const AWAY: Span = Span::secs(5);
/// … and at most, when home fails again …
const LONGEST_AWAY: Span = Span::secs(300);
/// … within this.
const SOON: Span = Span::secs(60);
/// Between two looks at the interfaces while somebody works …
const LOOK: Span = Span::secs(10);
/// … and while nobody does.
const LOOK_IDLE: Span = Span::secs(60);
/// DESIGN §2's *active*.
const ACTIVE: Span = Span::secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Stamp<ViewerClock> {
        Stamp::from_micros(ms * 1_000)
    }

    fn interface(name: &str, kind: InterfaceKind, metered: Option<bool>) -> Interface {
        Interface { name: name.into(), kind, metered, reaches: true }
    }

    fn ways(chosen: &str, all: &[Interface]) -> Ways {
        Ways { chosen: Some(chosen.into()), all: all.to_vec() }
    }

    // spec: T-8
    #[test]
    fn a_way_is_picked_that_costs_nothing_and_goes_around_nothing() {
        use InterfaceKind::{Cellular, Loopback, Tunnel, Wired, Wireless};
        use StandbyMode::{Always, Auto, Off};
        let [eth, wlan, lte] = [
            interface("eth0", Wired, None),
            interface("wlan0", Wireless, Some(false)),
            interface("wwan0", Cellular, None),
        ];
        let (wg, lo) = (interface("wg0", Tunnel, None), interface("lo", Loopback, None));
        let all = [eth.clone(), lte.clone(), wlan.clone(), wg.clone(), lo];
        assert_eq!(pick(Auto, &ways("eth0", &all), None), Ok("wlan0".into()));
        assert_eq!(pick(Off, &ways("eth0", &all), None), Err(NoStandby::Off));
        // Whichever way it goes, nothing goes beside the tunnel that holds the route.
        for mode in [Auto, Always] {
            assert_eq!(pick(mode, &ways("wg0", &all), None), Err(NoStandby::Tunnel("wg0".into())));
            assert_eq!(pick(mode, &ways("wg0", &all), Some("wlan0")), Err(NoStandby::Tunnel("wg0".into())));
        }
        assert_eq!(pick(Always, &ways("lo", &all), None), Err(NoStandby::Unknown));
        assert_eq!(pick(Auto, &Ways { chosen: None, all: all.to_vec() }, None), Err(NoStandby::Unknown));
        // A modem is metered until the system says otherwise; a radio is not until it does.
        let two = [eth.clone(), lte.clone(), wg];
        assert_eq!(pick(Auto, &ways("eth0", &two), None), Err(NoStandby::Metered("wwan0".into())));
        assert_eq!(pick(Always, &ways("eth0", &two), None), Ok("wwan0".into()));
        let free = [eth.clone(), Interface { metered: Some(false), ..lte.clone() }];
        assert_eq!(pick(Auto, &ways("eth0", &free), None), Ok("wwan0".into()));
        let dear = [eth.clone(), Interface { metered: Some(true), ..wlan.clone() }];
        assert_eq!(pick(Auto, &ways("eth0", &dear), None), Err(NoStandby::Metered("wlan0".into())));
        let far = [eth.clone(), Interface { reaches: false, ..wlan.clone() }];
        assert_eq!(pick(Always, &ways("eth0", &far), None), Err(NoStandby::Alone));
        // A session that was moved has the system's choice stand by, whatever else there is.
        let all = [eth, lte, wlan, interface("eth1", Wired, None)];
        assert_eq!(pick(Always, &ways("wwan0", &all), Some("wlan0")), Ok("wwan0".into()));
        assert_eq!(pick(Auto, &ways("wlan0", &all), Some("eth0")), Ok("wlan0".into()));
    }

    /// Two paths in milliseconds: what works, the round trips, and what the machine wished.
    struct Play {
        standby: Standby,
        now: u64,
        alive: [bool; 2],
        rtt: [u64; 2],
        on: usize,
        /// A frame every so often, if the film plays.
        film: Option<u64>,
        /// The shell looks at what came so much later.
        lag: u64,
        /// Of this many tries of the path that stands by, the last is lost.
        loses: u64,
        tries: u64,
        /// Something was asked then and is not answered.
        owed: Option<u64>,
        due: Vec<(u64, bool)>,
        wishes: Vec<(u64, StandbyWish)>,
    }

    const NAMES: [&str; 2] = ["eth0", "wlan0"];

    impl Play {
        fn new(rtt: [u64; 2]) -> Self {
            let mut standby = Standby::default();
            standby.on_attached(ms(0));
            standby.on_ways(Some(NAMES[0].into()), Some(NAMES[1].into()));
            Self {
                standby,
                now: 0,
                alive: [true; 2],
                rtt,
                on: 0,
                film: None,
                lag: 0,
                loses: u64::MAX,
                tries: 0,
                owed: None,
                due: Vec::new(),
                wishes: Vec::new(),
            }
        }

        fn key(&mut self) {
            self.standby.on_input(ms(self.now));
            self.ask();
        }

        fn ask(&mut self) {
            self.owed = self.owed.or(Some(self.now));
            if self.alive[self.on] {
                self.due.push((self.now + self.rtt[self.on], true));
            }
        }

        fn run(&mut self, until: u64) -> &mut Self {
            while self.now < until {
                self.now += 1;
                let (now, alive) = (ms(self.now), self.alive[self.on]);
                let came = self.now.saturating_sub(self.lag);
                if alive && self.film.is_some_and(|every| came.is_multiple_of(every)) {
                    self.standby.on_heard(ms(came));
                }
                let (due, later) = std::mem::take(&mut self.due).into_iter().partition(|(at, _)| *at <= came);
                self.due = later;
                for (at, session) in due {
                    match session {
                        true => {
                            // What was asked after this answer had left is still owed.
                            self.owed = self.owed.filter(|asked| asked + self.rtt[self.on] > at);
                            self.standby.on_heard(ms(at));
                        }
                        false => self.standby.on_answered(now, Span::millis(self.rtt[1 - self.on])),
                    }
                }
                self.standby.on_owed(self.owed.map(ms), Span::millis(self.rtt[self.on]));
                while let Ok(wish) = self.standby.poll(now) {
                    self.wishes.push((self.now, wish.clone()));
                    match wish {
                        StandbyWish::Look => {}
                        StandbyWish::Ask => self.ask(),
                        StandbyWish::Probe if self.alive[1 - self.on] => {
                            self.tries += 1;
                            if !self.tries.is_multiple_of(self.loses) {
                                self.due.push((self.now + self.rtt[1 - self.on], false));
                            }
                        }
                        StandbyWish::Probe => {}
                        StandbyWish::Switch(to) => {
                            assert_eq!(to, NAMES[1 - self.on]);
                            self.standby.on_switched(now, Some(NAMES[self.on].into()));
                            self.on = 1 - self.on;
                            self.due.clear();
                            self.owed = None;
                            self.ask();
                        }
                    }
                }
            }
            self
        }

        fn switches(&self) -> Vec<u64> {
            self.wishes.iter().filter(|(_, w)| matches!(w, StandbyWish::Switch(_))).map(|(at, _)| *at).collect()
        }
    }

    // spec: T-9
    #[test]
    fn a_key_that_nothing_answers_moves_the_session() {
        for (rtt, within) in [([1, 2], 210), ([20, 40], 210), ([100, 150], 320)] {
            let mut play = Play::new(rtt);
            play.run(5_000).key();
            play.run(6_000).alive[0] = false;
            play.run(6_050).key();
            play.run(8_000);
            let moved = play.switches();
            assert!(matches!(moved[..], [at] if at <= 6_050 + within), "{rtt:?}: {moved:?}");
            assert_eq!(play.standby.carrying(), Some("wlan0"));
        }
    }

    // spec: T-9
    #[test]
    fn a_film_that_stands_still_moves_it_too() {
        let mut play = Play::new([20, 30]);
        play.film = Some(33);
        play.run(5_000).alive[0] = false;
        play.run(6_000);
        let moved = play.switches();
        assert!(matches!(moved[..], [at] if at <= 5_360), "{moved:?}");
    }

    // spec: T-9
    #[test]
    fn nothing_moves_while_the_host_rests_or_is_gone_or_only_slow() {
        // Nobody works, nothing comes.
        let mut play = Play::new([20, 30]);
        play.run(600_000);
        assert_eq!(play.switches(), []);
        let probes = play.wishes.iter().filter(|(at, w)| *w == StandbyWish::Probe && *at > 60_000).count();
        assert_eq!(probes, 0, "an idle session tries nothing out");
        // The host is gone: neither path answers.
        let mut play = Play::new([20, 30]);
        play.film = Some(33);
        play.run(5_000).alive = [false; 2];
        play.run(5_300).key();
        play.run(60_000);
        assert_eq!(play.switches(), []);
        // A radio that stalls for 150 ms.
        let mut play = Play::new([5, 30]);
        play.film = Some(33);
        for round in 1..=50 {
            play.run(round * 1_000).alive[0] = false;
            play.key();
            play.run(round * 1_000 + 150).alive[0] = true;
            play.key();
        }
        assert_eq!(play.switches(), []);
        // A film that ends: it is asked about, and nothing is tried out.
        let mut play = Play::new([20, 30]);
        play.film = Some(33);
        play.run(5_000).film = None;
        play.run(10_000);
        assert_eq!(play.switches(), []);
        let after: Vec<_> = play.wishes.iter().filter(|(at, w)| *at > 5_000 && *w != StandbyWish::Look).collect();
        assert!(
            matches!(after[..], [(_, StandbyWish::Ask)] | [(_, StandbyWish::Ask), (_, StandbyWish::Ask)]),
            "{after:?}"
        );
        // Eight keys a second, each answered in three packets: pauses of its own are no stillness.
        let mut play = Play::new([20, 30]);
        for key in 0..80 {
            for part in [0, 25, 50] {
                play.run(2_000 + key * 125 + part);
                play.standby.on_heard(ms(play.now));
            }
            play.key();
        }
        play.run(play.now + 100);
        let asked = play.wishes.iter().filter(|(_, w)| *w == StandbyWish::Ask).count();
        assert_eq!((play.switches(), asked), (vec![], 0), "{:?}", play.wishes);
    }

    // spec: T-10
    #[test]
    fn it_goes_home_when_home_has_answered_for_a_while_and_ever_later() {
        let mut play = Play::new([20, 40]);
        let mut stays = Vec::new();
        for _ in 0..4 {
            play.film = Some(33);
            let from = play.now;
            play.run(from + 3_000).alive[0] = false;
            let before = play.switches().len();
            play.run(play.now + 2_000);
            assert_eq!(play.switches().len(), before + 1, "away");
            play.alive[0] = true;
            let back = play.now;
            while play.switches().len() == before + 1 {
                assert!(play.now < back + 400_000, "it never goes home");
                play.run(play.now + 100);
            }
            stays.push((play.now - back) / 1_000);
            assert_eq!(play.standby.carrying(), Some("eth0"));
        }
        assert!(stays.first().is_some_and(|s| (7..=12).contains(s)), "{stays:?}");
        assert!(stays.is_sorted() && stays.last() > stays.first(), "{stays:?}");
    }

    /// Away, with home alive again and somebody typing ten keys a second: when it goes home, in milliseconds from then on.
    fn goes_home_after(mut play: Play) -> u64 {
        play.run(5_000).alive[0] = false;
        play.run(5_050).key();
        play.run(8_000);
        assert_eq!(play.switches().len(), 1, "away");
        play.alive[0] = true;
        let back = play.now;
        while play.switches().len() == 1 {
            assert!(play.now < back + 60_000, "it never goes home");
            play.key();
            play.run(play.now + 100);
        }
        assert_eq!(play.standby.carrying(), Some("eth0"));
        play.switches()[1] - back
    }

    // spec: T-10
    #[test]
    fn home_is_reached_in_bounded_time_whatever_the_path_in_use_is_like() {
        // Ten seconds of answers, the first of them after the pause between two tries.
        let longest = 12_400;
        for (film, rtt) in [(None, [1, 2]), (Some(33), [20, 40]), (Some(33), [100, 300])] {
            // As long as the shell is in time, and where a busy machine keeps it from what came for longer than a doubt takes to begin.
            for lag in [0, 50, 100, 150] {
                // All tries answered, and every second, third, fourth or fifth lost. Where every second is, the last answer may be
                // too old by then, and the next counts.
                for loses in [u64::MAX, 2, 3, 4, 5] {
                    let play = Play { film, lag, loses, ..Play::new(rtt) };
                    let took = goes_home_after(play);
                    let missed = if loses == u64::MAX { 0 } else { 4_000 };
                    assert!(took <= longest + missed, "{rtt:?}, lag {lag}, one in {loses} lost: {took} ms");
                    assert!(took >= 10_000, "{rtt:?}, lag {lag}, one in {loses} lost: {took} ms");
                }
            }
        }
    }

    // spec: T-10
    #[test]
    fn a_home_that_comes_and_goes_is_not_gone_back_to() {
        let mut play = Play::new([20, 40]);
        play.film = Some(33);
        play.run(5_000).alive[0] = false;
        play.run(8_000);
        assert_eq!(play.switches().len(), 1, "away");
        // Seven seconds of ten it answers.
        for _ in 0..12 {
            play.alive[0] = true;
            play.run(play.now + 7_000).alive[0] = false;
            play.run(play.now + 6_000);
        }
        assert_eq!(play.switches().len(), 1);
    }

    #[test]
    fn without_a_second_way_only_interfaces_are_looked_at() {
        let mut play = Play::new([20, 30]);
        play.standby.on_ways(Some("eth0".into()), None);
        play.film = Some(33);
        play.run(5_000).alive[0] = false;
        play.run(30_000);
        assert!(play.wishes.iter().all(|(_, w)| *w == StandbyWish::Look), "{:?}", play.wishes);
        assert!((2..=5).contains(&play.wishes.len()), "{:?}", play.wishes);
    }

    #[test]
    fn modes_have_names() {
        for name in StandbyMode::NAMES {
            assert!(name.parse::<StandbyMode>().is_ok());
        }
        assert_eq!(
            "never".parse::<StandbyMode>().unwrap_err().to_string(),
            "\"never\" is neither auto nor always nor off"
        );
    }
}
