//! Who may come in beside or instead of whom, by DCV's client-eviction-policy and max-concurrent-clients.

use super::{Left, Life};
use telepane_model::{HostClock, Stamp};
use telepane_trust::ClientId;

/// Who gives way when one more viewer comes than may be there at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Eviction {
    /// The one that came first, whoever it is.
    #[default]
    Oldest,
    /// The one of the same user that came first; nobody of another user.
    SameUserOldest,
    /// Nobody: the new one is refused.
    RejectNew,
}

impl Eviction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Oldest, Self::SameUserOldest, Self::RejectNew];

    /// The name in configuration files; the last two are DCV's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Oldest => "oldest-connection",
            Self::SameUserOldest => "same-user-oldest-connection",
            Self::RejectNew => "reject-new-connection",
        }
    }
}

/// A viewer that was let in and wants a session.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The session's name on the wire: the one that it resumes, or a fresh one.
    pub token: [u8; 16],
    /// The proven key, if one was.
    pub client: Option<ClientId>,
    /// Who they say they are; empty for the owner.
    pub user: &'a str,
}

/// Why a viewer gets no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As many are there as may be, and nobody gives way.
    Full,
    /// It wants back to a session that is over for good.
    Over(Left),
}

impl Life {
    /// Whether a viewer may have session `resumes`, or a new one if that is none, and who gives way to it. Those are ended
    /// next, each with [`Life::on_ended`].
    ///
    /// A client that proves the same key takes its own earlier place first, whatever the policy: its old connection may be
    /// one that only the host does not know to be dead.
    ///
    /// # Errors
    /// When it may not.
    // spec: H-50, H-51, H-52
    pub fn on_knock(&self, caller: &Caller<'_>, resumes: Option<u64>) -> Result<Vec<u64>, Refused> {
        if let Some((_, why)) = self.over.iter().rev().find(|(token, _)| *token == caller.token) {
            return Err(Refused::Over(*why));
        }
        let others = || self.sessions.iter().filter(|(id, _)| Some(**id) != resumes);
        let mut here: Vec<(bool, Stamp<HostClock>, u64)> = others()
            .filter(|(_, s)| s.away.is_none())
            .filter_map(|(id, s)| {
                let own = caller.client.is_some() && s.client == caller.client;
                let gives_way = own
                    || match self.options.eviction {
                        Eviction::Oldest => true,
                        Eviction::SameUserOldest => s.user == caller.user,
                        Eviction::RejectNew => false,
                    };
                gives_way.then_some((!own, s.came, *id))
            })
            .collect();
        here.sort_unstable();
        let present = others().filter(|(_, s)| s.away.is_none()).count();
        let too_many = (present + 1).saturating_sub(self.options.most);
        if here.len() < too_many {
            return Err(Refused::Full);
        }
        let mut evicted: Vec<u64> = here.into_iter().take(too_many).map(|(_, _, id)| id).collect();
        // Who is away has no right to come back into a full room.
        let mut away: Vec<(Stamp<HostClock>, u64)> = others().filter_map(|(id, s)| Some((s.away?, *id))).collect();
        away.sort_unstable();
        let kept = present - evicted.len() + 1 + away.len();
        evicted.extend(away.into_iter().take(kept.saturating_sub(self.options.most)).map(|(_, id)| id));
        Ok(evicted)
    }
}
