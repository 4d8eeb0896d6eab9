//! The life of a desk's sessions: who may come in beside or instead of whom, how long a session may rest, last and be
//! away, when the desktop is locked, and what people and scripts are told of it all.
//!
//! One machine for all sessions of an agent, beside the minds, which know one viewer each. Facts come in with their time,
//! wishes go out through [`Life::poll`] until it says [`LifeWish::Idle`]. Input costs it nothing: its time is noted, and
//! what is due is worked out when the last deadline comes.

mod door;

pub use door::{Caller, Eviction, Refused};

use std::collections::{BTreeMap, VecDeque};
use telepane_model::{HostClock, Span, Stamp};
use telepane_protocol::Ending;
use telepane_trust::ClientId;

/// What the host's owner set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeOptions {
    /// A session ends after this long without input.
    pub idle_timeout: Option<Span>,
    /// That is said this long before.
    pub idle_warning: Span,
    /// A session lasts this long at most.
    pub max_length: Option<Span>,
    /// That is said this long before.
    pub length_warning: Span,
    /// A session whose viewer is away is forgotten after this long.
    pub disconnect_timeout: Span,
    /// A viewer that nothing was heard of for this long counts as away, though its connection still stands; `None`: only when
    /// the connection is over.
    pub silence: Option<Span>,
    /// Viewers at once.
    pub most: usize,
    /// Who gives way to one more.
    pub eviction: Eviction,
    /// The desktop is locked when the last viewer has gone.
    pub lock: bool,
}

impl Default for LifeOptions {
    fn default() -> Self {
        Self {
            idle_timeout: None,
            // DCV's idle-timeout-warning.
            idle_warning: Span::secs(350),
            max_length: None,
            length_warning: Span::secs(350),
            // A lid that was closed in the evening is opened in the morning.
            disconnect_timeout: Span::secs(16 * 3_600),
            silence: None,
            most: 1,
            eviction: Eviction::Oldest,
            lock: false,
        }
    }
}

/// Why a session ended, or its connection did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The connection was lost; the viewer may come back.
    Lost,
    /// Nothing is heard of the viewer, whose connection still stands; it may be heard again.
    Silent,
    /// The person closed the client.
    Left,
    /// No input came for too long.
    Idle,
    /// It may last no longer.
    TooLong,
    /// Somebody else took its place.
    TakenOver,
    /// A person on the host closed it.
    Closed,
    /// A key or a permission was taken away.
    Revoked,
    /// The viewer was away for too long.
    Away,
    /// The agent stops.
    Stopping,
}

impl Left {
    /// The word for scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Left => "left",
            Self::Idle => "idle-timeout",
            Self::TooLong => "max-length",
            Self::TakenOver => "taken-over",
            Self::Closed => "closed",
            Self::Revoked => "revoked",
            Self::Away => "disconnect-timeout",
            Self::Stopping => "stopping",
        }
    }

    /// Whether the viewer, should it come back by itself, is told that its session is over.
    const fn is_final(self) -> bool {
        matches!(self, Self::Idle | Self::TooLong | Self::TakenOver | Self::Closed | Self::Revoked)
    }
}

/// Something that people and scripts are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeEvent {
    /// When it happened.
    pub at: Stamp<HostClock>,
    /// To which session.
    pub session: u64,
    /// What.
    pub what: Happened,
    /// When the session's person last gave input, if they have.
    pub last_input: Option<Stamp<HostClock>>,
    /// Viewers that are connected now.
    pub connected: usize,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A viewer came, or came back to its session.
    Connected {
        /// It came back.
        resumed: bool,
    },
    /// A viewer's connection is over.
    Disconnected {
        /// Why.
        why: Left,
    },
    /// A session is over for good.
    Ended {
        /// Why.
        why: Left,
    },
    /// The person has given no input for [`REST`]; the event's time is that of the last input.
    LastInput,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifeWish {
    /// Tell this session's viewer what is about to end it, or that nothing is any more.
    Warn {
        /// Which.
        session: u64,
        /// Why, and how soon.
        ending: Option<(Ending, Span)>,
    },
    /// End this session aloud; answered with [`Life::on_ended`].
    End {
        /// Which.
        session: u64,
        /// Why.
        why: Left,
    },
    /// Say when this session's viewer was heard last; answered with [`Life::on_heard`].
    Listen {
        /// Which.
        session: u64,
    },
    /// Lock the desktop: nobody is connected any more.
    Lock,
    /// Tell who wants to know.
    Event(LifeEvent),
    /// Nothing more now; come back then.
    Idle {
        /// At this time at the latest, if at all.
        until: Option<Stamp<HostClock>>,
    },
}

/// After this long without input the last of it is told as an event: a pause, not a breath.
pub const REST: Span = Span::secs(60);
/// It is listened for a viewer so many times within the silence that makes it away, and so much later that is noticed at most.
const LISTENS: u64 = 4;
/// Sessions that ended and whose viewers may not know it yet.
const MOST_OVER: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct Life {
    options: LifeOptions,
    sessions: BTreeMap<u64, Session>,
    /// The last sessions that ended for good, by their names on the wire, and why; oldest first.
    over: VecDeque<([u8; 16], Left)>,
    out: VecDeque<LifeWish>,
}

#[derive(Debug)]
struct Session {
    token: [u8; 16],
    client: Option<ClientId>,
    user: String,
    began: Stamp<HostClock>,
    /// When its present connection came.
    came: Stamp<HostClock>,
    /// Since when it has none, or none that anything is heard of.
    away: Option<Stamp<HostClock>>,
    /// It is away for its silence alone. INVARIANT: only while `away` is set.
    silent: bool,
    /// When it was asked for last whether anything is heard.
    listened: Stamp<HostClock>,
    last_input: Option<Stamp<HostClock>>,
    /// Of that input the event is still to be told.
    untold: bool,
    /// What its viewer was told, and when that would be.
    warned: Option<(Ending, Stamp<HostClock>)>,
    /// Its end was wished for.
    ending: bool,
}

impl Life {
    /// Nobody is here.
    pub const fn new(options: LifeOptions) -> Self {
        Self { options, sessions: BTreeMap::new(), over: VecDeque::new(), out: VecDeque::new() }
    }

    /// A viewer has taken session `id`, which is new or resumed. [`Life::on_knock`] was asked before.
    pub fn on_came(&mut self, now: Stamp<HostClock>, id: u64, caller: &Caller<'_>) {
        let session = self.sessions.entry(id);
        let resumed = matches!(session, std::collections::btree_map::Entry::Occupied(_));
        let session = session.or_insert_with(|| Session {
            token: caller.token,
            client: caller.client,
            user: caller.user.to_owned(),
            began: now,
            came: now,
            away: None,
            silent: false,
            listened: now,
            last_input: None,
            untold: false,
            warned: None,
            ending: false,
        });
        let told = session.away.is_none() && resumed;
        (session.came, session.away, session.warned) = (now, None, None);
        (session.silent, session.listened) = (false, now);
        caller.user.clone_into(&mut session.user);
        // A viewer that changes connections without a loss in between was never away.
        if !told {
            self.tell(now, id, Happened::Connected { resumed });
        }
    }

    /// The person gave input.
    pub fn on_input(&mut self, now: Stamp<HostClock>, id: u64) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.last_input = Some(now);
            session.untold = true;
            if session.silent {
                self.on_heard(now, id, now);
            }
        }
    }

    /// The answer to a [`LifeWish::Listen`]: the last sign of life of a session's viewer was at `heard`.
    // spec: H-65
    pub fn on_heard(&mut self, now: Stamp<HostClock>, id: u64, heard: Stamp<HostClock>) {
        let (Some(silence), Some(session)) = (self.options.silence, self.sessions.get_mut(&id)) else { return };
        // A connection that came counts as a sign of life.
        let dead = now.since(heard.max(session.came)) >= silence;
        if session.away.is_none() && dead && !session.ending {
            (session.away, session.silent, session.warned) = (Some(now), true, None);
            self.told_gone(now, id, Left::Silent);
        } else if session.silent && !dead {
            // Its rest begins anew, as that of whoever comes back on a new connection.
            (session.away, session.silent, session.came) = (None, false, now);
            self.tell(now, id, Happened::Connected { resumed: true });
        }
    }

    /// A viewer's connection is lost; its session waits for it.
    pub fn on_lost(&mut self, now: Stamp<HostClock>, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        // Who fell silent was told to be gone.
        session.silent = false;
        if session.away.is_some() {
            return;
        }
        (session.away, session.warned) = (Some(now), None);
        self.told_gone(now, id, Left::Lost);
    }

    /// A session is over.
    pub fn on_ended(&mut self, now: Stamp<HostClock>, id: u64, why: Left) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if why.is_final() {
            if self.over.len() >= MOST_OVER {
                self.over.pop_front();
            }
            self.over.push_back((session.token, why));
        }
        if session.away.replace(now).is_none() {
            self.told_gone(now, id, why);
        }
        self.tell(now, id, Happened::Ended { why });
        self.sessions.remove(&id);
    }

    /// What is wanted next. Ends in [`LifeWish::Idle`].
    pub fn poll(&mut self, now: Stamp<HostClock>) -> LifeWish {
        if let Some(wish) = self.out.pop_front() {
            return wish;
        }
        let until = self.look(now);
        self.out.pop_front().unwrap_or(LifeWish::Idle { until })
    }

    /// Viewers that are connected.
    pub fn connected(&self) -> usize {
        self.sessions.values().filter(|s| s.away.is_none()).count()
    }

    /// When a session's person last gave input.
    pub fn last_input(&self, id: u64) -> Option<Stamp<HostClock>> {
        self.sessions.get(&id)?.last_input
    }

    /// Since when a session's viewer is away.
    pub fn away_since(&self, id: u64) -> Option<Stamp<HostClock>> {
        self.sessions.get(&id)?.away
    }

    /// What is about to end a session, and when, as its viewer was told.
    pub fn ending(&self, id: u64) -> Option<(Ending, Stamp<HostClock>)> {
        self.sessions.get(&id)?.warned
    }

    // spec: H-56
    fn told_gone(&mut self, now: Stamp<HostClock>, id: u64, why: Left) {
        self.tell_rest(id);
        self.tell(now, id, Happened::Disconnected { why });
        if self.options.lock && self.connected() == 0 {
            self.out.push_back(LifeWish::Lock);
        }
    }

    fn tell(&mut self, at: Stamp<HostClock>, session: u64, what: Happened) {
        let (last_input, connected) = (self.last_input(session), self.connected());
        self.out.push_back(LifeWish::Event(LifeEvent { at, session, what, last_input, connected }));
    }

    /// Tells of the last input, if that was not told.
    fn tell_rest(&mut self, id: u64) {
        let rested = |s: &mut Session| s.last_input.filter(|_| std::mem::take(&mut s.untold));
        if let Some(at) = self.sessions.get_mut(&id).and_then(rested) {
            self.tell(at, id, Happened::LastInput);
        }
    }

    /// Looks at everybody's deadlines; says when the next one comes.
    // spec: H-53, H-54, H-55
    fn look(&mut self, now: Stamp<HostClock>) -> Option<Stamp<HostClock>> {
        let mut next: Option<Stamp<HostClock>> = None;
        let mut at = |when: Stamp<HostClock>| next = Some(next.map_or(when, |n| n.min(when)));
        let mut rested = Vec::new();
        for (id, s) in self.sessions.iter_mut().filter(|(_, s)| !s.ending) {
            if let Some(rests) = s.last_input.filter(|_| s.untold && s.away.is_none()).map(|t| t + REST) {
                if rests <= now {
                    rested.push(*id);
                } else {
                    at(rests);
                }
            }
            // spec: H-65
            if let Some(silence) = self.options.silence.filter(|_| s.away.is_none() || s.silent) {
                let pause = silence.scaled(1, LISTENS);
                if s.listened + pause <= now {
                    s.listened = now;
                    self.out.push_back(LifeWish::Listen { session: *id });
                }
                at(s.listened + pause);
            }
            let ends = s.ends(&self.options);
            let Some((why, end, before)) = ends else { continue };
            if end <= now {
                s.ending = true;
                self.out.push_back(LifeWish::End { session: *id, why });
                continue;
            }
            at(end);
            let impends = ending(why).filter(|_| s.away.is_none());
            let warns = end - before;
            let warned = impends.filter(|_| warns <= now && before > Span::ZERO).map(|why| (why, end));
            if warned.is_none() && impends.is_some() && before > Span::ZERO {
                at(warns);
            }
            if warned != s.warned {
                s.warned = warned;
                let ending = warned.map(|(why, end)| (why, end - now));
                self.out.push_back(LifeWish::Warn { session: *id, ending });
            }
        }
        rested.into_iter().for_each(|id| self.tell_rest(id));
        next
    }
}

impl Session {
    /// What ends it first, when, and how long before that is said.
    fn ends(&self, options: &LifeOptions) -> Option<(Left, Stamp<HostClock>, Span)> {
        let long = options.max_length.map(|most| (Left::TooLong, self.began + most, options.length_warning));
        let rest = match self.away {
            Some(away) => Some((Left::Away, away + options.disconnect_timeout, Span::ZERO)),
            // Whoever comes back after an hour has just come.
            None => {
                let since = self.last_input.map_or(self.came, |at| at.max(self.came));
                options.idle_timeout.map(|most| (Left::Idle, since + most, options.idle_warning))
            }
        };
        [long, rest].into_iter().flatten().min_by_key(|(_, at, _)| *at)
    }
}

/// As the viewer is told of it.
const fn ending(why: Left) -> Option<Ending> {
    match why {
        Left::Idle => Some(Ending::Idle),
        Left::TooLong => Some(Ending::TooLong),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
