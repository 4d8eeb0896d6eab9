//! Entry points for the fuzzers: everything here takes bytes from a stranger and must return.
//!
//! Each one also checks a property, so that a fuzzer finds wrong answers and not only panics.

use crate::client_key::{ClientKey, ClientPublic};
use crate::code::AccessCode;
use crate::fingerprint::Fingerprint;
use crate::gate::{Admission, Gate};
use crate::handshake::{Authenticated, HostAuth, HostStep, ViewerAuth, ViewerOffer, ViewerStep};
use crate::message::{AuthMessage, Label, take_frame};
use crate::permissions::{Actor, Feature, Permissions};
use crate::seed::{Exporter, Seed};
use crate::throttle::Verdict;

/// Any bytes as a message; what decodes must encode to the same bytes.
pub fn auth_message(bytes: &[u8]) {
    if let Ok(message) = AuthMessage::decode(bytes)
        && bytes.first() == Some(&crate::message::VERSION)
    {
        assert_eq!(message.encode(), bytes, "a message has one spelling");
    }
    let _ = take_frame(bytes);
}

/// Any bytes as a permissions file; nothing in it may allow what a `deny` for everyone forbids.
pub fn permissions(text: &[u8]) {
    let Ok(text) = core::str::from_utf8(text) else { return };
    let Ok(parsed) = Permissions::parse(text) else { return };
    let actor = Actor { user: Some("eve"), os_groups: &["guests"], owner: true };
    let _ = parsed.granted(&actor);
    if let Ok(denied) = Permissions::parse(&format!("[permissions]\n%any% deny builtin\n{text}")) {
        for feature in Feature::ALL {
            assert!(!denied.allows(&actor, *feature), "deny is final");
        }
    }
}

/// Any bytes as the frames of a stranger's stream, into both machines; without the code or a key nobody comes in.
pub fn handshake_host(bytes: &[u8]) {
    let mut host = Some(HostAuth::new(Exporter::new([1; 32]), Fingerprint([2; 32]), Seed::new([3; 32])));
    let mut rest = bytes;
    while let (Some(auth), Ok(Some((body, used)))) = (host.take(), take_frame(rest)) {
        rest = rest.get(used..).unwrap_or_default();
        match auth.handle_bytes(body, &mut Closed) {
            HostStep::Reply { auth, .. } => host = Some(auth),
            HostStep::Accepted { .. } => panic!("a stranger came in"),
            HostStep::Refused { .. } => {}
        }
    }
    let offer = ViewerOffer {
        exporter: Exporter::new([1; 32]),
        fingerprint: Fingerprint([2; 32]),
        pinned: false,
        client_key: Some(ClientKey::from_secret(&[4; 32])),
        code: AccessCode::parse("K7QF-M2XA").ok(),
        name: Label::default(),
        user: Label::default(),
        seed: Seed::new([5; 32]),
    };
    let mut rest = bytes;
    let mut step = ViewerAuth::begin(offer);
    while let Ok(Some((body, used))) = take_frame(rest) {
        rest = rest.get(used..).unwrap_or_default();
        step = match step {
            ViewerStep::Reply { auth, .. } => auth.handle_bytes(body),
            ViewerStep::NeedCode(need) => match need.retry() {
                Some(step) => step,
                None => return,
            },
            ViewerStep::Accepted { .. } => panic!("a host that proved nothing was accepted"),
            ViewerStep::Refused(_) => return,
        };
    }
}

struct Closed;

impl Gate for Closed {
    fn code(&self) -> Option<AccessCode> {
        AccessCode::parse("K7QF-M2XA").ok()
    }

    fn is_enrolled(&self, _: &ClientPublic) -> bool {
        // Whoever signs with a key of their own is a stranger here.
        false
    }

    fn may_guess(&self) -> Verdict {
        Verdict::Try
    }

    fn reserve_guess(&mut self) -> Verdict {
        Verdict::Try
    }

    fn settle_guess(&mut self, _: bool) {}

    fn admit(&mut self, _: &Authenticated) -> Admission {
        Admission::AdmitAndEnrol
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn anything_goes(bytes in proptest::collection::vec(any::<u8>(), 0..600), kinds in proptest::collection::vec(1u8..6, 4)) {
            auth_message(&bytes);
            permissions(&bytes);
            handshake_host(&bytes);
            // Frames that get past the header.
            let mut stream = Vec::new();
            for (chunk, kind) in bytes.chunks(130).zip(kinds) {
                stream.extend_from_slice(&((chunk.len() + 2) as u16).to_be_bytes());
                stream.extend_from_slice(&[1, kind]);
                stream.extend_from_slice(chunk);
            }
            handshake_host(&stream);
        }

        #[test]
        fn words_of_the_language_in_any_order(words in proptest::collection::vec(
            prop_oneof!["\\[groups\\]", "\\[aliases\\]", "\\[permissions\\]", "a", "b", "=", ",", "group:a", "osgroup:guests",
                "%any%", "%owner%", "allow", "deny", "disallow", "display", "builtin", "\n", " ", "\"", "#x", "eve"], 0..60)) {
            permissions(words.join(" ").as_bytes());
        }
    }
}
