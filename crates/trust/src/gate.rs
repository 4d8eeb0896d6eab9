//! What the handshake asks the host's shell: the code, the enrolled keys, the throttle, and who is admitted.
//!
//! [`Gate`] is asked at the moment a message is handled, so a code that was changed, a client that was revoked or an address that
//! has guessed too often takes effect in handshakes already under way. [`Door`] is the gate made of the parts a shell holds.

use crate::client_key::ClientPublic;
use crate::code::AccessCode;
use crate::handshake::Authenticated;
use crate::throttle::{PeerAddr, Throttle, Verdict};
use telepane_model::{HostClock, Stamp};

/// What happens to somebody who has proven who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Told [`crate::RefuseReason::NotAllowed`].
    Refuse,
    /// Let in; a key it wants enrolled is not.
    Admit,
    /// Let in, and the key it wants enrolled will be.
    AdmitAndEnrol,
}

/// The host's side of what only the host knows.
pub trait Gate {
    /// The code of this moment; `None` when nobody can come in by code. The peer cannot tell that from a wrong one.
    fn code(&self) -> Option<AccessCode>;
    /// True when this key is enrolled and not revoked.
    fn is_enrolled(&self, key: &ClientPublic) -> bool;
    /// Whether a guess may be begun; counts nothing.
    fn may_guess(&self) -> Verdict;
    /// Counts a guess just before it is examined; on [`Verdict::Wait`] it is not examined.
    fn reserve_guess(&mut self) -> Verdict;
    /// Says how a reserved guess came out.
    fn settle_guess(&mut self, right: bool);
    /// Decides about somebody who is authenticated.
    fn admit(&mut self, who: &Authenticated) -> Admission;
}

/// A [`Gate`] for one message from one peer, borrowing what the shell holds.
pub struct Door<'a> {
    /// All guesses at this host.
    pub throttle: &'a mut Throttle,
    /// Whoever sent the message.
    pub peer: PeerAddr,
    /// When it came.
    pub now: Stamp<HostClock>,
    /// The code, if there is one.
    pub code: Option<&'a AccessCode>,
    /// Is this key enrolled?
    pub enrolled: &'a dyn Fn(&ClientPublic) -> bool,
    /// May somebody who is authenticated come in?
    pub admit: &'a dyn Fn(&Authenticated) -> Admission,
    /// Set when the code is worn and a shell that made it by itself should make another.
    pub rotate_code: bool,
}

impl Gate for Door<'_> {
    fn code(&self) -> Option<AccessCode> {
        self.code.cloned()
    }

    fn is_enrolled(&self, key: &ClientPublic) -> bool {
        (self.enrolled)(key)
    }

    fn may_guess(&self) -> Verdict {
        self.throttle.look(self.peer, self.now)
    }

    fn reserve_guess(&mut self) -> Verdict {
        self.throttle.reserve(self.peer, self.now)
    }

    fn settle_guess(&mut self, right: bool) {
        if right {
            self.throttle.right(self.peer, self.now);
        } else if self.throttle.wrong(self.peer, self.now) == Verdict::RotateCode {
            self.rotate_code = true;
        }
    }

    fn admit(&mut self, who: &Authenticated) -> Admission {
        let admission = (self.admit)(who);
        if admission != Admission::Refuse {
            self.throttle.came_in(self.peer);
        }
        admission
    }
}
