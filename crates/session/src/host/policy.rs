//! What people allow this session: what the host's owner set, what the viewer wishes for, and what follows of both.

use super::Host;
use crate::output::HostOutput;
use telepane_model::{BitRate, Bytes, HostClock, Knob, Note, SessionPolicy, Stamp};
use telepane_protocol::Control;
use telepane_rate::{LadderPolicy, Policy, Rung};

/// What is set, and what was told of it.
#[derive(Debug, Default)]
pub struct Agreed {
    own: SessionPolicy,
    wish: SessionPolicy,
    both: SessionPolicy,
    /// What the viewer of this connection knows.
    told: SessionPolicy,
}

impl Agreed {
    /// With what the host's owner set.
    pub fn new(own: SessionPolicy) -> Self {
        Self { own, both: own, ..Self::default() }
    }

    /// What holds.
    pub const fn both(&self) -> &SessionPolicy {
        &self.both
    }
}

impl Host {
    /// What the host's owner allows from now on.
    pub fn set_policy(&mut self, now: Stamp<HostClock>, own: SessionPolicy) {
        self.advance(now);
        self.agreed.own = own;
        self.agree();
    }

    /// What the host's owner set.
    pub const fn own_policy(&self) -> &SessionPolicy {
        &self.agreed.own
    }

    /// What holds: of the owner's and the viewer's the stricter.
    pub const fn policy(&self) -> &SessionPolicy {
        self.agreed.both()
    }

    /// The viewer of a new connection has not said yet what it wishes for.
    pub(super) fn forget_wish(&mut self) {
        self.agreed.wish = SessionPolicy::NONE;
        self.agreed.told = SessionPolicy::NONE;
        self.agree();
    }

    // spec: H-40, K-40
    pub(super) fn on_wish(&mut self, wish: SessionPolicy) {
        self.agreed.wish = wish;
        self.agree();
    }

    /// Lets what is now agreed act, and tells the viewer if it is something new.
    // spec: H-40, H-41, K-41
    fn agree(&mut self) {
        self.agreed.both = self.agreed.own.agreed(&self.agreed.wish);
        let both = self.agreed.both;
        self.cadence.set(both.max_fps());
        self.ladder.set(self.ladder_policy());
        let policy = self.rate_policy();
        if let Some(link) = &mut self.link {
            link.rate.set_policy(policy);
        }
        if let Some(surface) = &mut self.surface {
            // Pictures that ended may go on, and the other way round.
            surface.quiet = None;
            surface.ledger.expect_pictures(self.cadence.every());
        }
        if self.link.is_some() && self.agreed.told != both {
            self.agreed.told = both;
            self.out.push_back(HostOutput::Control(Control::PolicyTold(both)));
        }
    }

    /// What the link's controller is to keep to.
    // spec: H-43
    pub(super) fn rate_policy(&self) -> Policy {
        let (base, both) = (self.options.policy, self.agreed.both);
        let limit = [base.limit, both.rate(Knob::Limit)].into_iter().flatten().min();
        Policy {
            reserved: base.reserved || both.rate(Knob::Floor).is_some(),
            limit,
            target: both.rate(Knob::Target).or(base.target),
            floor: both.rate(Knob::Floor).unwrap_or(base.floor).min(limit.unwrap_or(BitRate::bps(u64::MAX))),
            initial: limit.map_or(base.initial, |limit| limit.min(base.initial)),
            in_flight_max: self.in_flight_max(),
            ..base
        }
    }

    // spec: T-3
    fn in_flight_max(&self) -> Bytes {
        self.options.policy.in_flight_max.min(self.peer.in_flight)
    }

    /// What is left of a film's ladder.
    // spec: H-44, H-59
    pub(super) fn ladder_policy(&self) -> LadderPolicy {
        ladder_policy(self.agreed.both(), self.peer.film_scales)
    }
}

pub(super) fn ladder_policy(both: &SessionPolicy, scales: bool) -> LadderPolicy {
    LadderPolicy { max_fps: both.max_fps(), sharpness: both.sharpness(), least: both.qualities().0, scales }
}

/// What is told of a film that now has this rung and had another one before.
pub(super) fn step_from(before: Rung, rung: Rung) -> Option<HostOutput> {
    (rung != before).then_some(HostOutput::Note(Note::FilmStep { fps: rung.fps, scale: rung.scale }))
}
