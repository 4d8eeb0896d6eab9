//! Getting in: hello and authentication on one connection, until the host says welcome or no.

use telepane_auth::random;
use telepane_model::{Size, Surf};
use telepane_protocol::clip::taken;
use telepane_protocol::control::{Control, Held};
use telepane_protocol::{Capabilities, Capability, OLDEST_VERSION, VERSION, agree_version};
use telepane_transport::ConnFacts;
use telepane_trust::{
    AccessCode, ClientKey, CodeWanted, Exporter, Fingerprint, Label, Method, NeedCode, ViewerAuth, ViewerOffer,
    ViewerStep,
};

/// One connection's way in.
pub struct Entry {
    auth: Option<ViewerAuth>,
    waiting: Option<NeedCode>,
    recv_buffer: usize,
    primary: bool,
    /// What the host said it can do.
    pub host_capabilities: Capabilities,
    /// Who the host proved to be.
    pub fingerprint: Fingerprint,
}

/// What follows.
pub enum Step {
    /// Send these and wait.
    Send(Vec<Control>),
    /// A code is needed; then [`Entry::with_code`].
    Code(CodeWanted),
    /// In. `proven_by_code`: the host's identity is proven and may be pinned without asking.
    In {
        /// By the code, not only by the client's key.
        proven_by_code: bool,
    },
    /// Not let in, in words.
    Refused(String),
}

/// What a client brings.
pub struct Offer {
    /// Its key.
    pub key: ClientKey,
    /// The code, if it is at hand.
    pub code: Option<AccessCode>,
    /// The user asked for.
    pub user: String,
    /// What this machine calls itself.
    pub name: String,
    /// The host's identity is trusted already.
    pub pinned: bool,
    /// The second selection is shared too.
    pub primary: bool,
}

impl Entry {
    /// Begins on a fresh connection.
    pub fn begin(facts: &ConnFacts, offer: Offer) -> (Self, Step) {
        let fingerprint = Fingerprint(facts.host_fingerprint);
        let recv_buffer = facts.recv_buffer;
        let host_capabilities = Capabilities::default();
        let primary = offer.primary;
        let mut entry = Self { auth: None, waiting: None, recv_buffer, primary, host_capabilities, fingerprint };
        let seed = match random::seed() {
            Ok(seed) => seed,
            Err(error) => return (entry, Step::Refused(error.to_string())),
        };
        let offer = ViewerOffer {
            exporter: Exporter::new(facts.exporter),
            fingerprint,
            pinned: offer.pinned,
            client_key: Some(offer.key),
            code: offer.code,
            name: Label::from_lossy(&offer.name),
            user: Label::from_lossy(&offer.user),
            seed,
        };
        let first = entry.follow(ViewerAuth::begin(offer));
        let step = match first {
            Step::Send(mut messages) => {
                messages.insert(0, hello(entry.recv_buffer, entry.primary));
                Step::Send(messages)
            }
            other => other,
        };
        (entry, step)
    }

    /// The host said something before welcome.
    pub fn on_message(&mut self, message: Control) -> Step {
        match message {
            Control::Hello { oldest, newest, capabilities, .. } => match agree_version(oldest, newest) {
                Ok(_) => {
                    self.host_capabilities = capabilities;
                    Step::Send(Vec::new())
                }
                Err(fault) => Step::Refused(format!("{fault}; update the older side")),
            },
            Control::Auth(bytes) => match self.auth.take() {
                Some(auth) => self.follow(auth.handle_bytes(&bytes)),
                None => Step::Refused("the host broke the order of the handshake".into()),
            },
            Control::Refuse { text, .. } => Step::Refused(text),
            _ => Step::Refused("the host broke the order of the handshake".into()),
        }
    }

    /// Goes on with a code. The first one is preceded by the hello that waited for it.
    pub fn with_code(&mut self, code: AccessCode) -> Step {
        match self.waiting.take() {
            Some(waiting) => {
                let first = waiting.why == CodeWanted::FirstContact;
                match self.follow(waiting.with_code(code)) {
                    Step::Send(mut messages) if first => {
                        messages.insert(0, hello(self.recv_buffer, self.primary));
                        Step::Send(messages)
                    }
                    step => step,
                }
            }
            None => Step::Send(Vec::new()),
        }
    }

    fn follow(&mut self, step: ViewerStep) -> Step {
        match step {
            ViewerStep::Reply { auth, reply } => {
                self.auth = Some(auth);
                Step::Send(vec![Control::Auth(reply.encode())])
            }
            ViewerStep::NeedCode(need) => {
                let why = need.why;
                self.waiting = Some(need);
                Step::Code(why)
            }
            ViewerStep::Accepted { method, .. } => Step::In { proven_by_code: method == Method::Code },
            ViewerStep::Refused(refused) => Step::Refused(refused.to_string()),
        }
    }
}

/// The tile cache this client allocates at most.
pub const CACHE_BYTES: u64 = 64 << 20;
/// A slice may change this many pixels: an 8K screen.
const SLICE_PIXELS: u64 = 7680 * 4320;

fn hello(recv_buffer: usize, primary: bool) -> Control {
    let capabilities = Capabilities::default()
        .with(Capability::Ops, telepane_codec::wire::kind::CODED)
        .with(Capability::CacheBytes, CACHE_BYTES)
        .with(Capability::SlicePixels, SLICE_PIXELS)
        .with(Capability::Clipboard, taken(primary))
        .with(Capability::Fec, 1)
        .with(Capability::Reports, 2)
        .with(Capability::Sound, 1)
        .with(Capability::TextModels, 1)
        .with(Capability::Film, 1)
        .with(Capability::Life, 1)
        .with(Capability::ReceiveBuffer, recv_buffer as u64);
    Control::Hello {
        oldest: OLDEST_VERSION,
        newest: VERSION,
        capabilities,
        agent: concat!("telepane ", env!("CARGO_PKG_VERSION")).into(),
    }
}

/// The message that begins or resumes a session.
pub fn attach(session: [u8; 16], want: Option<Size<Surf>>, scale: u16, held: Vec<Held>) -> Control {
    Control::Attach { session, want, scale, held }
}
