//! What the person wishes the session to keep to, and what the host says that holds.

use super::Viewer;
use telepane_model::{Knob, SessionPolicy, Stamp, ViewerClock};
use telepane_protocol::Control;
use telepane_rate::Policy;

impl Viewer {
    /// What the person wishes for from now on.
    // spec: K-40
    pub fn set_wish(&mut self, now: Stamp<ViewerClock>, wish: SessionPolicy) {
        self.advance(now);
        if self.wish != wish {
            self.wish = wish;
            self.send_control(Control::PolicyWish(wish));
        }
    }

    /// What the person wishes for.
    pub const fn wish(&self) -> &SessionPolicy {
        &self.wish
    }

    /// What holds, as the host said it last.
    pub const fn holds(&self) -> &SessionPolicy {
        &self.holds
    }

    /// A new connection knows of no wish, and nothing was told on it.
    // spec: K-40, K-41
    pub(super) fn say_wish(&mut self) {
        self.holds = SessionPolicy::NONE;
        if !self.wish.is_empty() {
            self.send_control(Control::PolicyWish(self.wish));
        }
    }

    // spec: K-41
    pub(super) fn on_policy_told(&mut self, policy: SessionPolicy) {
        self.holds = policy;
        let policy = self.rate_policy();
        if let Some(link) = &mut self.link {
            link.rate.set_policy(policy);
        }
    }

    /// What a new link's controller keeps to until something is told.
    pub(super) fn begin_policy(&mut self) -> Policy {
        self.holds = SessionPolicy::NONE;
        self.rate_policy()
    }

    /// The limit is for both directions, as PCoIP's is.
    fn rate_policy(&self) -> Policy {
        let limit = [self.policy.limit, self.holds.rate(Knob::Limit)].into_iter().flatten().min();
        Policy { limit, in_flight_max: self.in_flight_max, ..self.policy }
    }
}
