//! The client's own Ed25519 key: enrolled at the first success with a code, it asks nothing from then on.
//!
//! A proof is a signature over `"telepane client key v1" || exporter || host fingerprint`. The exporter makes it worthless on
//! every other TLS connection, the fingerprint on every other host. Verification is strict (RFC 8032 without the
//! malleable corner cases), and one answer covers "no such key" and "bad signature", so the list of enrolled clients
//! cannot be asked.

use crate::fingerprint::Fingerprint;
use crate::hex;
pub use crate::hex::HexError;
use crate::seed::{Exporter, Seed};
use core::fmt;
use core::str::FromStr;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_core::RngCore;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// What every signed text begins with.
// spec: A-20
const CONTEXT: &[u8; 22] = b"telepane client key v1";

/// A client's secret key.
pub struct ClientKey(SigningKey);

impl ClientKey {
    /// A fresh key.
    pub fn generate(seed: &Seed) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        seed.stream(b"telepane client key v1").fill_bytes(secret.as_mut_slice());
        Self(SigningKey::from_bytes(&secret))
    }

    /// The key stored as these 32 bytes (the seed of RFC 8032 §5.1.5).
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The 32 bytes to store.
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> ClientPublic {
        ClientPublic(self.0.verifying_key().to_bytes())
    }

    /// Proof of possession for this TLS connection to this host.
    pub fn prove(&self, exporter: &Exporter, host: &Fingerprint) -> ClientProof {
        ClientProof { public: self.public(), signature: self.0.sign(&signed_text(exporter, host)).to_bytes() }
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientKey({})", self.public().id())
    }
}

/// A client's public key as it came or is stored; whether it is a point of the curve is seen when it verifies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientPublic(pub [u8; 32]);

impl ClientPublic {
    /// The name of this key.
    pub fn id(&self) -> ClientId {
        ClientId(Sha256::digest(self.0).into())
    }

    /// The key as 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.0)
    }
}

impl fmt::Debug for ClientPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientPublic({})", self.id())
    }
}

impl FromStr for ClientPublic {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        hex::decode(text).map(Self)
    }
}

/// A client's name everywhere: the SHA-256 of its public key. `Display` shows the first 16 digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub [u8; 32]);

impl ClientId {
    /// All 64 digits.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.0)
    }

    /// True when the digits begin with `prefix` (either case, separators skipped, at least 4 digits).
    pub fn has_prefix(&self, prefix: &str) -> bool {
        let wanted: String =
            prefix.chars().filter(|c| !matches!(c, ':' | '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
        wanted.len() >= 4 && self.to_hex().starts_with(&wanted)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.get(..8).unwrap_or_default()))
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({self})")
    }
}

/// A public key and a signature by it, as they come over the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientProof {
    /// The key that is claimed.
    pub public: ClientPublic,
    /// The signature.
    pub signature: [u8; 64],
}

impl ClientProof {
    /// True when whoever sent this holds the secret half of `public` and meant this connection to this host.
    // spec
    pub fn verify(&self, exporter: &Exporter, host: &Fingerprint) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.public.0) else {
            return false;
        };
        key.verify_strict(&signed_text(exporter, host), &Signature::from_bytes(&self.signature)).is_ok()
    }
}

impl fmt::Debug for ClientProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientProof({})", self.public.id())
    }
}

fn signed_text(exporter: &Exporter, host: &Fingerprint) -> Vec<u8> {
    [CONTEXT.as_slice(), exporter.as_bytes(), host.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Fingerprint = Fingerprint([5; 32]);

    fn key(n: u8) -> ClientKey {
        ClientKey::generate(&Seed::new([n; 32]))
    }

    // spec: A-20
    #[test]
    fn a_proof_holds_for_its_connection_and_host_only() {
        let (here, elsewhere) = (Exporter::new([1; 32]), Exporter::new([2; 32]));
        let proof = key(1).prove(&here, &HOST);
        assert!(proof.verify(&here, &HOST));
        assert!(!proof.verify(&elsewhere, &HOST), "replayed on another connection");
        assert!(!proof.verify(&here, &Fingerprint([6; 32])), "relayed to another host");
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let exporter = Exporter::new([1; 32]);
        let proof = key(1).prove(&exporter, &HOST);
        for bit in 0..512 {
            let mut bad = proof.clone();
            bad.signature[bit / 8] ^= 1 << (bit % 8);
            assert!(!bad.verify(&exporter, &HOST), "signature bit {bit}");
        }
        for bit in 0..256 {
            let mut bad = proof.clone();
            bad.public.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!bad.verify(&exporter, &HOST), "key bit {bit}");
        }
    }

    // spec: A-21
    #[test]
    fn weak_keys_sign_nothing() {
        // The identity point and an all-zero signature satisfy the lax equation for every message.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let proof = ClientProof { public: ClientPublic(identity), signature };
        assert!(!proof.verify(&Exporter::new([1; 32]), &HOST));
    }

    #[test]
    fn keys_are_stored_and_named() {
        let key = key(4);
        let again = ClientKey::from_secret(&key.secret());
        assert_eq!(key.public(), again.public());
        let public = key.public();
        assert_eq!(public.to_hex().parse(), Ok(public));
        let id = public.id();
        assert_eq!(id.to_string().len(), 16);
        assert!(id.has_prefix(&id.to_string().to_uppercase()));
        assert!(!id.has_prefix("") && !id.has_prefix(&id.to_string()[..3]), "too short to mean one client");
        assert!(!format!("{key:?}").contains(&crate::hex::encode(key.secret().as_slice())[..8]));
    }

    #[test]
    fn rfc_8032_test_1_public_key() {
        let secret = crate::hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        assert_eq!(
            ClientKey::from_secret(&secret).public().to_hex(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
    }
}
