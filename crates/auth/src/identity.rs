//! The host's long-lived identity key, and the short-lived TLS certificates signed by it.
//!
//! `host_identity.pem` holds one P-256 key in PKCS #8; clients pin the SHA-256 of its SubjectPublicKeyInfo. What TLS
//! presents is a chain of two: a leaf that lives at most 13 days (WebTransport takes hashes of certificates of at most 14), with a
//! fresh key that never touches the disk, and the identity's self-signed certificate. A client checks that the leaf is signed by
//! the second certificate's key, is valid now and is named [`SERVER_NAME`], and that this key is the pinned one.

use crate::files::{self, FileError, Privacy};
use core::fmt;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData as _, date_time_ymd,
};
use std::path::{Path, PathBuf};
use std::time::Duration;
use telepane_trust::Fingerprint;
use zeroize::Zeroizing;

/// The name in the leaf, the same for every host: which host it is, the fingerprint says.
pub const SERVER_NAME: &str = "telepane";
/// The longest life of a leaf.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(13 * 24 * 3600);
/// How far a client's clock may be behind the host's before a fresh leaf is "not yet valid" there.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);
/// The file's name in the state directory.
pub const FILE: &str = "host_identity.pem";
/// A P-256 key in PEM has 241 bytes.
const MAX_FILE: usize = 4096;

/// A host's identity.
pub struct HostIdentity {
    key: KeyPair,
    certificate_der: Vec<u8>,
    fingerprint: Fingerprint,
}

/// What a TLS server needs for one leaf.
pub struct TlsCredentials {
    /// The leaf, then the identity's self-signed certificate, in DER.
    pub chain_der: Vec<Vec<u8>>,
    /// The leaf's secret key, PKCS #8 in DER.
    pub key_der: Zeroizing<Vec<u8>>,
    /// The instant after which the leaf is not valid, in seconds since 1970. Mint another well before.
    pub expires_unix_secs: u64,
}

impl fmt::Debug for TlsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsCredentials(until {})", self.expires_unix_secs)
    }
}

impl fmt::Debug for HostIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostIdentity({})", self.fingerprint.short())
    }
}

/// Why there is no identity or no certificate.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key was not taken or a certificate not made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A time that no certificate can carry.
    #[error("the clock says {0} s since 1970, which no certificate can carry; set the clock")]
    Clock(u64),
}

impl HostIdentity {
    /// The identity in `dir`, made there (with the directory) when there is none.
    pub fn load_or_create(dir: &Path) -> Result<Self, IdentityError> {
        files::private_dir(dir)?;
        let path = dir.join(FILE);
        if let Some(found) = Self::read(&path)? {
            return Ok(found);
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        files::create(&path, Zeroizing::new(key.serialize_pem()).as_bytes())?;
        // Another process may have been first; what lies there now is the identity.
        Self::read(&path)?.ok_or_else(|| FileError::content(&path, "the identity vanished while it was made").into())
    }

    /// The identity in `dir`, or `None` when there is none.
    pub fn load(dir: &Path) -> Result<Option<Self>, IdentityError> {
        Self::read(&dir.join(FILE))
    }

    /// Where the identity of `dir` lies.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }

    fn read(path: &Path) -> Result<Option<Self>, IdentityError> {
        let Some(pem) = files::read_text(path, Privacy::Secret, MAX_FILE)? else { return Ok(None) };
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(&pem, &PKCS_ECDSA_P256_SHA256).map_err(|_| {
            let why =
                "not a P-256 key in PKCS #8 PEM; restore it from a backup, or move it away and let clients pin anew";
            FileError::content(path, why)
        })?;
        let fingerprint = Fingerprint::of_spki(&key.subject_public_key_info());
        let certificate_der = authority(&fingerprint)?.self_signed(&key)?.der().to_vec();
        Ok(Some(Self { key, certificate_der, fingerprint }))
    }

    /// What clients pin.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The identity's self-signed certificate in DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// A secret for QUIC's stateless resets (RFC 9000 §10.3), the same in every run, so that a restarted agent can tell
    /// its old clients at once that their connections are gone.
    pub fn reset_secret(&self) -> [u8; 32] {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &Zeroizing::new(self.key.serialize_der()));
        let tag = ring::hmac::sign(&key, b"telepane stateless reset v1");
        let mut secret = [0; 32];
        secret.copy_from_slice(tag.as_ref());
        secret
    }

    /// A fresh leaf with a fresh key, valid from a day before `now_unix_secs` until `lifetime` after it; the whole span
    /// is kept within [`LONGEST_LIFETIME`].
    pub fn mint_leaf(&self, now_unix_secs: u64, lifetime: Duration) -> Result<TlsCredentials, IdentityError> {
        let lifetime = lifetime.min(LONGEST_LIFETIME - BACKDATED);
        // GeneralizedTime ends with the year 9999; a century of slack keeps the sums below it.
        if now_unix_secs > 250_000_000_000 {
            return Err(IdentityError::Clock(now_unix_secs));
        }
        let epoch = date_time_ymd(1970, 1, 1);
        let mut params = CertificateParams::new(vec![SERVER_NAME.to_owned()])?;
        params.not_before = epoch + Duration::from_secs(now_unix_secs).saturating_sub(BACKDATED);
        params.not_after = epoch + Duration::from_secs(now_unix_secs).saturating_add(lifetime);
        params.distinguished_name.push(DnType::CommonName, "Telepane host");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let authority = authority(&self.fingerprint)?;
        let leaf = params.signed_by(&key, &Issuer::from_params(&authority, &self.key))?;
        Ok(TlsCredentials {
            chain_der: vec![leaf.der().to_vec(), self.certificate_der.clone()],
            key_der: Zeroizing::new(key.serialize_der()),
            expires_unix_secs: now_unix_secs.saturating_add(lifetime.as_secs()),
        })
    }
}

/// The self-signed certificate's content. Its life is the key's, which does not end by a date.
fn authority(fingerprint: &Fingerprint) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    // Part of the key's hash, so that two hosts' issuers differ by name.
    params.distinguished_name.push(DnType::CommonName, format!("Telepane host identity {}", fingerprint.short()));
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 24 * 3600;

    /// What a client does: the leaf under the second certificate's key, and that key's fingerprint.
    fn verify(chain: &[Vec<u8>], at: u64) -> Result<Fingerprint, webpki::Error> {
        let [leaf, authority] = chain else { panic!("two certificates") };
        let (leaf, authority) = (CertificateDer::from(leaf.as_slice()), CertificateDer::from(authority.as_slice()));
        let anchor = webpki::anchor_from_trusted_cert(&authority)?;
        let leaf = webpki::EndEntityCert::try_from(&leaf)?;
        leaf.verify_for_usage(
            &[webpki::ring::ECDSA_P256_SHA256],
            &[anchor],
            &[],
            UnixTime::since_unix_epoch(Duration::from_secs(at)),
            webpki::KeyUsage::server_auth(),
            None,
            None,
        )?;
        leaf.verify_is_valid_for_subject_name(&ServerName::try_from(SERVER_NAME).unwrap())?;
        let identity = webpki::EndEntityCert::try_from(&authority)?;
        Ok(Fingerprint::of_spki(&identity.subject_public_key_info()))
    }

    #[test]
    fn the_identity_outlives_the_process_and_its_file_is_private() {
        let dir = Scratch::new();
        let state = dir.join("state");
        assert!(HostIdentity::load(&state).unwrap().is_none());
        let first = HostIdentity::load_or_create(&state).unwrap();
        let again = HostIdentity::load_or_create(&state).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        #[cfg(unix)]
        {
            assert_eq!(files::mode_of(&std::fs::metadata(HostIdentity::path(&state)).unwrap()), 0o600);
            assert_eq!(files::mode_of(&std::fs::metadata(&state).unwrap()), 0o700);
        }
        let other = HostIdentity::load_or_create(&dir.join("other")).unwrap();
        assert_ne!(first.fingerprint(), other.fingerprint());
    }

    #[test]
    fn leaves_change_and_the_fingerprint_stays() {
        let dir = Scratch::new();
        let identity = HostIdentity::load_or_create(dir.path()).unwrap();
        let a = identity.mint_leaf(NOW, Duration::from_secs(10 * DAY)).unwrap();
        let b =
            HostIdentity::load_or_create(dir.path()).unwrap().mint_leaf(NOW + DAY, Duration::from_secs(DAY)).unwrap();
        assert_ne!(a.chain_der[0], b.chain_der[0]);
        assert_ne!(*a.key_der, *b.key_der);
        assert_eq!(verify(&a.chain_der, NOW).unwrap(), identity.fingerprint());
        assert_eq!(verify(&b.chain_der, NOW + DAY).unwrap(), identity.fingerprint());
        // A leaf under one certificate and the other's authority still verifies: it is the key that counts.
        assert_eq!(verify(&[a.chain_der[0].clone(), b.chain_der[1].clone()], NOW).unwrap(), identity.fingerprint());
    }

    #[test]
    fn a_leaf_is_valid_for_its_time_and_never_longer_than_13_days() {
        let dir = Scratch::new();
        let identity = HostIdentity::load_or_create(dir.path()).unwrap();
        let leaf = identity.mint_leaf(NOW, Duration::MAX).unwrap();
        assert_eq!(leaf.expires_unix_secs, NOW + 12 * DAY, "and a day before now, for clocks that are behind");
        assert!(verify(&leaf.chain_der, NOW - DAY + 60).is_ok());
        assert!(verify(&leaf.chain_der, NOW + 12 * DAY - 60).is_ok());
        assert!(matches!(verify(&leaf.chain_der, NOW - DAY - 60), Err(webpki::Error::CertNotValidYet { .. })));
        assert!(matches!(verify(&leaf.chain_der, NOW + 12 * DAY + 60), Err(webpki::Error::CertExpired { .. })));
        assert!(matches!(identity.mint_leaf(u64::MAX, Duration::ZERO), Err(IdentityError::Clock(_))));
        assert!(identity.mint_leaf(0, Duration::from_secs(DAY)).is_ok());
    }

    #[test]
    fn another_hosts_leaf_or_authority_does_not_pass() {
        let dir = Scratch::new();
        let ours = HostIdentity::load_or_create(&dir.join("a")).unwrap();
        let theirs = HostIdentity::load_or_create(&dir.join("b")).unwrap();
        let leaf = theirs.mint_leaf(NOW, Duration::from_secs(DAY)).unwrap();
        assert!(verify(&[leaf.chain_der[0].clone(), ours.certificate_der().to_vec()], NOW).is_err());
        // An authority that carries our name but another key: signed by that key, it has another fingerprint.
        let forged = authority(&ours.fingerprint()).unwrap().self_signed(&theirs.key).unwrap().der().to_vec();
        if let Ok(fingerprint) = verify(&[leaf.chain_der[0].clone(), forged], NOW) {
            assert_ne!(fingerprint, ours.fingerprint());
        }
        // A leaf cannot act as an authority for another leaf.
        assert!(verify(&[leaf.chain_der[0].clone(), leaf.chain_der[0].clone()], NOW).is_err());
    }

    #[test]
    fn a_damaged_or_open_identity_stops_and_is_left_alone() {
        let dir = Scratch::new();
        HostIdentity::load_or_create(dir.path()).unwrap();
        let path = HostIdentity::path(dir.path());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
            let text = HostIdentity::load_or_create(dir.path()).unwrap_err().to_string();
            assert!(text.contains("chmod 600"), "{text}");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        }
        for damage in ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            files::replace(&path, damage.as_bytes()).unwrap();
            assert!(
                HostIdentity::load_or_create(dir.path()).is_err(),
                "{damage:?} is never replaced by a new identity"
            );
            assert_eq!(std::fs::read_to_string(&path).unwrap(), damage);
        }
    }
}
