//! SPAKE2 over the access code, bound to one TLS connection and one host identity, with confirmation both ways.
//!
//! Whoever sits between the two machines, or guesses, learns from one exchange only whether one guess was right; nothing
//! can be tried offline. The group is Ed25519 (`spake2` 0.4). The shared key goes through
//! `PRK = HMAC-SHA256("telepane pake v1", key)`, and each side proves it with
//! `HMAC(HMAC(PRK, role || T), T)` where `T = SHA-256("telepane pake transcript v1" || exporter || fingerprint || X || Y)`.
//! Another connection, another host or another message gives another `T`, so a man in the middle of TLS fails even when
//! both ends typed the right code.
//!
//! The types keep the order: the host's confirmation can only be had from [`HostKeys::verify_viewer`], after the viewer's
//! held. Messages are 32 bytes, confirmations 32 bytes.

use crate::code::AccessCode;
use crate::fingerprint::Fingerprint;
use crate::seed::{Exporter, Seed, hmac, hmac_is};
use core::fmt;
use sha2::{Digest, Sha256};
use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::{Zeroize, Zeroizing};

const VIEWER_NAME: &[u8] = b"telepane viewer v1";
const HOST_NAME: &[u8] = b"telepane host v1";
/// How `spake2` marks the side that starts and the side that answers; not sent, the message type says it.
const SIDE_VIEWER: u8 = 0x41;
const SIDE_HOST: u8 = 0x42;

/// A group element as it is sent: a compressed Edwards point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PakeMessage(pub [u8; 32]);

impl fmt::Debug for PakeMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PakeMessage(..)")
    }
}

/// A key confirmation. Deliberately without `PartialEq`: it is only ever verified in constant time.
#[derive(Clone, Copy)]
pub struct Confirmation(pub [u8; 32]);

impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confirmation(..)")
    }
}

/// Why an exchange failed. The two are told apart for the log, never for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PakeError {
    /// The peer's message is not a point of the curve.
    #[error("the peer's key exchange message is not a point of the curve")]
    NotAPoint,
    /// The confirmation does not hold: another code, another connection, another host, or a changed message.
    #[error("the access code is not the host's, or somebody stands between the two machines")]
    NotConfirmed,
}

/// The viewer's half of an exchange that waits for the host's message.
pub struct ViewerPake {
    inner: Spake2<Ed25519Group>,
    mine: PakeMessage,
}

/// The host's half of an exchange that waits for the viewer's message.
pub struct HostPake {
    inner: Spake2<Ed25519Group>,
    mine: PakeMessage,
}

impl ViewerPake {
    /// Begins: the message is to be sent. `seed` is used up by this one exchange.
    // spec: A-30
    pub fn start(code: &AccessCode, seed: &Seed) -> (Self, PakeMessage) {
        let (inner, sent) = Spake2::<Ed25519Group>::start_a_with_rng(
            &password(code),
            &Identity::new(VIEWER_NAME),
            &Identity::new(HOST_NAME),
            seed.stream(b"telepane pake viewer"),
        );
        let mine = element(&sent);
        (Self { inner, mine }, mine)
    }

    /// Takes the host's message.
    pub fn finish(
        self,
        host: &PakeMessage,
        exporter: &Exporter,
        identity: &Fingerprint,
    ) -> Result<ViewerKeys, PakeError> {
        let shared = shared_key(self.inner, SIDE_HOST, host)?;
        Ok(ViewerKeys(Keys::new(&shared, exporter, identity, &self.mine, host)))
    }
}

impl HostPake {
    /// Begins: the message is to be sent. `seed` is used up by this one exchange.
    // spec: A-30
    pub fn start(code: &AccessCode, seed: &Seed) -> (Self, PakeMessage) {
        let (inner, sent) = Spake2::<Ed25519Group>::start_b_with_rng(
            &password(code),
            &Identity::new(VIEWER_NAME),
            &Identity::new(HOST_NAME),
            seed.stream(b"telepane pake host"),
        );
        let mine = element(&sent);
        (Self { inner, mine }, mine)
    }

    /// Takes the viewer's message.
    pub fn finish(
        self,
        viewer: &PakeMessage,
        exporter: &Exporter,
        identity: &Fingerprint,
    ) -> Result<HostKeys, PakeError> {
        let shared = shared_key(self.inner, SIDE_VIEWER, viewer)?;
        Ok(HostKeys(Keys::new(&shared, exporter, identity, viewer, &self.mine)))
    }
}

/// What the viewer holds after both messages: its own confirmation to send, the host's to wait for.
pub struct ViewerKeys(Keys);

impl ViewerKeys {
    /// The viewer's proof, sent first.
    pub fn confirmation(&self) -> Confirmation {
        Confirmation(hmac(&self.0.viewer, &[&self.0.transcript]))
    }

    /// Checks the host's proof; the viewer must not go on without it.
    pub fn verify_host(self, theirs: &Confirmation) -> Result<(), PakeError> {
        self.0.check(&self.0.host, theirs)
    }
}

/// What the host holds after both messages: nothing that it may send yet.
pub struct HostKeys(Keys);

impl HostKeys {
    /// Checks the viewer's proof and only then gives out the host's.
    // spec
    pub fn verify_viewer(self, theirs: &Confirmation) -> Result<Confirmation, PakeError> {
        self.0.check(&self.0.viewer, theirs)?;
        Ok(Confirmation(hmac(&self.0.host, &[&self.0.transcript])))
    }
}

struct Keys {
    viewer: [u8; 32],
    host: [u8; 32],
    transcript: [u8; 32],
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.viewer.zeroize();
        self.host.zeroize();
    }
}

impl Keys {
    // spec: A-32
    fn new(shared: &[u8], exporter: &Exporter, identity: &Fingerprint, x: &PakeMessage, y: &PakeMessage) -> Self {
        // Every part has a fixed length, so the concatenation is unambiguous.
        let transcript: [u8; 32] = Sha256::new()
            .chain_update(b"telepane pake transcript v1")
            .chain_update(exporter.as_bytes())
            .chain_update(identity.as_bytes())
            .chain_update(x.0)
            .chain_update(y.0)
            .finalize()
            .into();
        let prk = Zeroizing::new(hmac(b"telepane pake v1", &[shared]));
        Self {
            viewer: hmac(prk.as_slice(), &[b"viewer confirms", &transcript]),
            host: hmac(prk.as_slice(), &[b"host confirms", &transcript]),
            transcript,
        }
    }

    fn check(&self, key: &[u8; 32], theirs: &Confirmation) -> Result<(), PakeError> {
        if hmac_is(key, &[&self.transcript], &theirs.0) { Ok(()) } else { Err(PakeError::NotConfirmed) }
    }
}

/// The code as SPAKE2 takes it. `spake2` does not overwrite its copy, so it is given a hash and not what was typed.
// spec: A-29
fn password(code: &AccessCode) -> Password {
    let hashed: Zeroizing<[u8; 32]> = Zeroizing::new(
        Sha256::new().chain_update(b"telepane access code v1").chain_update(code.as_bytes()).finalize().into(),
    );
    Password::new(hashed.as_slice())
}

/// Drops the side byte that `spake2` puts in front of its 32-byte element.
fn element(sent: &[u8]) -> PakeMessage {
    PakeMessage(sent.get(1..).and_then(|e| e.try_into().ok()).unwrap_or([0; 32]))
}

// spec: A-31
fn shared_key(inner: Spake2<Ed25519Group>, side: u8, theirs: &PakeMessage) -> Result<Zeroizing<Vec<u8>>, PakeError> {
    let mut message = [side; 33];
    message.iter_mut().skip(1).zip(theirs.0).for_each(|(to, from)| *to = from);
    inner.finish(&message).map(Zeroizing::new).map_err(|_| PakeError::NotAPoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Fingerprint = Fingerprint([5; 32]);

    fn code(text: &str) -> AccessCode {
        AccessCode::parse(text).unwrap()
    }

    fn seed(n: u8) -> Seed {
        Seed::new([n; 32])
    }

    /// Runs an exchange in which the two sides may see different things.
    fn run(codes: [&str; 2], exporters: [u8; 2], hosts: [u8; 2]) -> Result<(), PakeError> {
        let (viewer, x) = ViewerPake::start(&code(codes[0]), &seed(1));
        let (host, y) = HostPake::start(&code(codes[1]), &seed(2));
        let viewer = viewer.finish(&y, &Exporter::new([exporters[0]; 32]), &Fingerprint([hosts[0]; 32]))?;
        let host = host.finish(&x, &Exporter::new([exporters[1]; 32]), &Fingerprint([hosts[1]; 32]))?;
        let proof = host.verify_viewer(&viewer.confirmation())?;
        viewer.verify_host(&proof)
    }

    #[test]
    fn the_same_code_on_the_same_connection_is_confirmed_both_ways() {
        assert_eq!(run(["K7QF-M2XA", "k7qf m2xa"], [1, 1], [5, 5]), Ok(()));
    }

    // spec: A-32
    #[test]
    fn another_code_connection_or_host_is_not() {
        assert_eq!(run(["K7QF-M2XA", "K7QF-M2XB"], [1, 1], [5, 5]), Err(PakeError::NotConfirmed));
        assert_eq!(run(["K7QF-M2XA", "K7QF-M2XA"], [1, 2], [5, 5]), Err(PakeError::NotConfirmed), "tls in the middle");
        assert_eq!(run(["K7QF-M2XA", "K7QF-M2XA"], [1, 1], [5, 6]), Err(PakeError::NotConfirmed), "another identity");
    }

    // spec: A-32
    #[test]
    fn swapped_roles_and_reflections_prove_nothing() {
        let exporter = Exporter::new([1; 32]);
        let (viewer, x) = ViewerPake::start(&code("K7QF-M2XA"), &seed(1));
        let (host, y) = HostPake::start(&code("K7QF-M2XA"), &seed(2));
        let viewer = viewer.finish(&y, &exporter, &HOST).unwrap();
        let own = viewer.confirmation();
        let host = host.finish(&x, &exporter, &HOST).unwrap();
        assert_eq!(viewer.verify_host(&own), Err(PakeError::NotConfirmed), "the viewer's own proof sent back");
        let proof = host.verify_viewer(&own).unwrap();
        assert_ne!(proof.0, own.0);
        // A viewer that is answered by a viewer that knows the code ends with different keys.
        let (a, xa) = ViewerPake::start(&code("K7QF-M2XA"), &seed(3));
        let (b, xb) = ViewerPake::start(&code("K7QF-M2XA"), &seed(4));
        let (a, b) = (a.finish(&xb, &exporter, &HOST).unwrap(), b.finish(&xa, &exporter, &HOST).unwrap());
        assert_ne!(a.confirmation().0, b.confirmation().0);
        assert!(a.verify_host(&b.confirmation()).is_err());
    }

    #[test]
    fn every_flipped_bit_of_a_message_or_proof_fails() {
        let exporter = Exporter::new([1; 32]);
        for bit in 0..256 {
            let flip = |mut b: [u8; 32]| {
                b[bit / 8] ^= 1 << (bit % 8);
                b
            };
            let (viewer, x) = ViewerPake::start(&code("K7QF-M2XA"), &seed(1));
            let (host, y) = HostPake::start(&code("K7QF-M2XA"), &seed(2));
            let viewer = viewer.finish(&y, &exporter, &HOST).unwrap();
            let tampered = host
                .finish(&PakeMessage(flip(x.0)), &exporter, &HOST)
                .and_then(|h| h.verify_viewer(&viewer.confirmation()));
            assert!(tampered.is_err(), "message bit {bit}");
            if bit % 16 == 0 {
                let (host, _) = HostPake::start(&code("K7QF-M2XA"), &seed(2));
                let host = host.finish(&x, &exporter, &HOST).unwrap();
                assert!(host.verify_viewer(&Confirmation(flip(viewer.confirmation().0))).is_err(), "proof bit {bit}");
            }
        }
    }

    #[test]
    fn small_order_points_do_not_open_the_door() {
        // Compressed points of order 1, 2, 4 and 8 (RFC 7748's twisted Edwards form; the list libsodium refuses).
        let points = [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        ];
        let exporter = Exporter::new([1; 32]);
        for point in points {
            let x = PakeMessage(crate::hex::decode(point).unwrap());
            let (host, y) = HostPake::start(&code("K7QF-M2XA"), &seed(2));
            let Ok(host) = host.finish(&x, &exporter, &HOST) else { continue };
            // What an attacker without the code can compute: keys from a shared element it knows.
            let guess = Keys::new(&[0; 32], &exporter, &HOST, &x, &y);
            assert!(host.verify_viewer(&Confirmation(hmac(&guess.viewer, &[&guess.transcript]))).is_err());
        }
    }

    // spec
    #[test]
    fn golden_vector() {
        let exporter = Exporter::new([0x11; 32]);
        let (viewer, x) = ViewerPake::start(&code("K7QF-M2XA-9BCD"), &seed(1));
        let (host, y) = HostPake::start(&code("K7QF-M2XA-9BCD"), &seed(2));
        let viewer = viewer.finish(&y, &exporter, &HOST).unwrap();
        let host = host.finish(&x, &exporter, &HOST).unwrap();
        let mine = viewer.confirmation();
        let theirs = host.verify_viewer(&mine).unwrap();
        let all = [x.0, y.0, mine.0, theirs.0].map(|b| crate::hex::encode(&b));
        assert_eq!(all, GOLDEN.map(String::from));
    }

    /// X, Y, the viewer's proof, the host's proof; computed a second time by an independent implementation in Python.
    const GOLDEN: [&str; 4] = [
        "805fc68447cff9804d4d077a22788e5dc1b7a2807a301c1c7175575b2cf5d336",
        "eee8dc26388a2592a4cf66562e7be0092b73d4f5518559784c9878c9455ff64c",
        "bc36ee49afff923f6b8181ac38b7234e2d545ac52c27bca6e33711da6f69b0ca",
        "42cd90af83352b1b7f118db41993f6e683d97bc2be919ef78f328d89c74ae366",
    ];
}
