//! TLS 1.3: who the host is.
//!
//! The server shows two certificates: a short-lived leaf for [`SERVER_NAME`] and the long-lived host identity that signed
//! it. The client trusts exactly that identity for exactly this leaf, and pins the identity's key, so that a new leaf
//! never looks like a changed host. There are no client certificates, no resumption and no early data: a client proves
//! itself inside the control stream, bound to this handshake by the exporter.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring::default_provider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, PeerMisbehaved, SignatureScheme};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use telepane_protocol::issuer;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// The application protocol: the wire's version is part of it.
// spec: A-1, V-1
pub const ALPN: &[u8] = b"telepane/1";
/// Spoken by every version, only to tell "another version" from "not Telepane".
// spec: A-2
pub(crate) const ALPN_ANY_VERSION: &[u8] = b"telepane";
/// The name every leaf certificate is for.
// spec: A-3
pub const SERVER_NAME: &str = "telepane";
/// The exporter's label (RFC 8446 §7.5); no context, 32 bytes.
// spec: A-8
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-telepane-auth";

/// Spoken over TCP, where what lies between may want to know it.
// spec: WS-1
pub(crate) const ALPN_HTTP: &[u8] = b"http/1.1";
/// The longest piece of a TLS record over TCP, in bytes: one packet's, so that no byte waits for a later packet's.
const TCP_RECORD: usize = 1_350;

/// What TLS runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// UDP, in QUIC.
    Quic,
    /// TCP, where proxies that open TLS are met.
    Tcp,
}

/// What the client expects of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostExpectation {
    /// The identity with this fingerprint and no other.
    Pinned([u8; 32]),
    /// Any identity: something else must prove the host, and until it does nothing but a few short control messages is
    /// taken from it.
    Any,
}

/// The server's certificates and the leaf's key.
#[derive(Clone)]
pub struct ServerCredentials {
    /// The leaf, then the identity that signed it; DER.
    pub chain_der: Vec<Vec<u8>>,
    /// The leaf's private key; PKCS #8 DER.
    pub key_der: Vec<u8>,
}

impl fmt::Debug for ServerCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCredentials").field("certificates", &self.chain_der.len()).finish_non_exhaustive()
    }
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo; the error says what is wrong with the certificate.
// spec: A-6
pub fn spki_fingerprint(cert_der: &[u8]) -> Result<[u8; 32], String> {
    let der = CertificateDer::from(cert_der);
    let cert = EndEntityCert::try_from(&der).map_err(|e| format!("{e:?}"))?;
    let digest = ring::digest::digest(&ring::digest::SHA256, cert.subject_public_key_info().as_ref());
    digest.as_ref().try_into().map_err(|_| "sha-256 is 32 bytes".to_owned())
}

/// Checks the leaf against the identity at `now`.
// spec: A-5
fn verify_leaf(
    leaf: &CertificateDer<'_>,
    identity: &CertificateDer<'_>,
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), webpki::Error> {
    let anchor = anchor_from_trusted_cert(identity)?;
    let name = ServerName::try_from(SERVER_NAME).map_err(|_| webpki::Error::MalformedDnsIdentifier)?;
    let cert = EndEntityCert::try_from(leaf)?;
    cert.verify_for_usage(algorithms.all, &[anchor], &[], now, KeyUsage::server_auth(), None, None)?;
    cert.verify_is_valid_for_subject_name(&name)
}

/// Why a client refused the host's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another identity than the pinned one.
    Changed([u8; 32]),
    /// Certificates that do not hold together.
    Untrusted(String),
    /// Over TCP: certificates that are no Telepane host's.
    Stranger {
        /// Who signed the leaf, as far as it says.
        by: String,
        /// The leaf is for [`SERVER_NAME`], which no public authority signs: it was made for us on the way.
        made_for_us: bool,
    },
}

/// Where the verifier of one attempt leaves its refusal.
pub type VerdictSlot = Arc<Mutex<Option<Verdict>>>;

/// Takes the refusal out.
pub fn take_verdict(slot: &VerdictSlot) -> Option<Verdict> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Checks the host: leaf signed by the identity, identity as expected.
#[derive(Debug)]
struct HostVerifier {
    expect: HostExpectation,
    over: Over,
    algorithms: WebPkiSupportedAlgorithms,
    slot: VerdictSlot,
}

/// What certificates over TCP are when they are not a Telepane host's.
// spec: WS-11, WS-12
fn stranger(leaf: &CertificateDer<'_>) -> Verdict {
    let leaf = EndEntityCert::try_from(leaf);
    let by = leaf.as_ref().ok().and_then(|l| issuer::words(l.issuer()));
    let name = ServerName::try_from(SERVER_NAME);
    let made_for_us =
        matches!((leaf, name), (Ok(leaf), Ok(name)) if leaf.verify_is_valid_for_subject_name(&name).is_ok());
    Verdict::Stranger { by: by.unwrap_or_else(|| "an unnamed authority".to_owned()), made_for_us }
}

/// Whether this certificate calls itself a Telepane host's identity.
// spec: WS-11
fn is_identity(certificate: &CertificateDer<'_>) -> bool {
    EndEntityCert::try_from(certificate).is_ok_and(|c| issuer::is_identity(c.subject()))
}

impl HostVerifier {
    fn refuse(&self, verdict: Verdict) -> rustls::Error {
        let error = match &verdict {
            Verdict::Changed(_) => CertificateError::ApplicationVerificationFailure,
            Verdict::Untrusted(_) | Verdict::Stranger { .. } => CertificateError::UnknownIssuer,
        };
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
        error.into()
    }
}

impl ServerCertVerifier for HostVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.over == Over::Tcp && !matches!(intermediates, [one] if is_identity(one)) {
            return Err(self.refuse(stranger(end_entity)));
        }
        // spec: A-4
        let [identity] = intermediates else {
            let text = format!("{} certificates instead of two", intermediates.len().saturating_add(1));
            return Err(self.refuse(Verdict::Untrusted(text)));
        };
        verify_leaf(end_entity, identity, now, &self.algorithms)
            .map_err(|e| self.refuse(Verdict::Untrusted(format!("{e:?}"))))?;
        let seen = spki_fingerprint(identity).map_err(|e| self.refuse(Verdict::Untrusted(e)))?;
        match self.expect {
            // Fingerprints are public: no constant time needed.
            // spec: A-6
            HostExpectation::Pinned(pin) if pin != seen => Err(self.refuse(Verdict::Changed(seen))),
            HostExpectation::Pinned(_) | HostExpectation::Any => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // Nobody is believed by this version: see `onlooker_config`.
        Err(PeerMisbehaved::SelectedTls12UsingTls13VersionExtension.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

/// For one look at who speaks no TLS 1.3, where an older version shows its certificate: a handshake that never succeeds.
// spec: WS-12
pub fn onlooker_config() -> Result<(rustls::ClientConfig, VerdictSlot), String> {
    let provider = provider();
    let slot = VerdictSlot::default();
    let algorithms = provider.signature_verification_algorithms;
    let verifier = HostVerifier { expect: HostExpectation::Any, over: Over::Tcp, algorithms, slot: slot.clone() };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok((config, slot))
}

/// The client's half for one attempt, and where its refusal will be.
pub fn client_config(
    expect: HostExpectation,
    over: Over,
    protocols: &[&[u8]],
) -> Result<(rustls::ClientConfig, VerdictSlot), String> {
    let provider = provider();
    let slot = VerdictSlot::default();
    let verifier =
        HostVerifier { expect, over, algorithms: provider.signature_verification_algorithms, slot: slot.clone() };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    // A resumed handshake shows no certificate, so nothing would check the pin.
    // spec: A-7
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    if over == Over::Tcp {
        config.max_fragment_size = Some(TCP_RECORD);
    }
    Ok((config, slot))
}

/// The server's half, and the fingerprint of its identity.
pub fn server_config(
    credentials: &ServerCredentials,
    over: Over,
    protocols: &[&[u8]],
) -> Result<(rustls::ServerConfig, [u8; 32]), String> {
    let provider = provider();
    let chain: Vec<CertificateDer<'static>> = credentials.chain_der.iter().cloned().map(CertificateDer::from).collect();
    let [leaf, identity] = chain.as_slice() else {
        return Err(format!("{} certificates instead of leaf and identity", chain.len()));
    };
    let fingerprint = spki_fingerprint(identity)?;
    match verify_leaf(leaf, identity, UnixTime::now(), &provider.signature_verification_algorithms) {
        // The clients decide what is valid by their own clocks; ours may be the wrong one.
        Err(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }) => {
            tracing::warn!("the leaf certificate is not valid at this machine's time");
        }
        other => other.map_err(|e| format!("leaf and identity do not fit: {e:?}"))?,
    }
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(credentials.key_der.clone()));
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| e.to_string())?;
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    // spec: A-7
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    if over == Over::Tcp {
        config.max_fragment_size = Some(TCP_RECORD);
    }
    Ok((config, fingerprint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::client::Resumption;
    use rustls::{ClientConnection, HandshakeKind, ServerConnection};

    fn credentials() -> ServerCredentials {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let identity = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap().signed_by(&key, &identity).unwrap();
        ServerCredentials {
            chain_der: vec![leaf.der().to_vec(), identity.der().to_vec()],
            key_der: key.serialize_der(),
        }
    }

    /// Carries what either end says, until neither says anything.
    fn shake(client: &mut ClientConnection, host: &mut ServerConnection) {
        while client.wants_write() || host.wants_write() {
            let (mut up, mut down) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.write_tls(&mut up).unwrap();
            }
            let mut up = &up[..];
            while !up.is_empty() {
                host.read_tls(&mut up).unwrap();
                host.process_new_packets().unwrap();
            }
            while host.wants_write() {
                host.write_tls(&mut down).unwrap();
            }
            let mut down = &down[..];
            while !down.is_empty() {
                client.read_tls(&mut down).unwrap();
                client.process_new_packets().unwrap();
            }
        }
    }

    /// Whatever a client would like: ours, and one that keeps tickets and would speak before it is answered.
    // spec: A-7
    #[test]
    fn no_session_is_resumed_and_nothing_is_said_early() {
        let (server, _) = server_config(&credentials(), Over::Quic, &[ALPN]).unwrap();
        let server = Arc::new(server);
        let (ours, _) = client_config(HostExpectation::Any, Over::Quic, &[ALPN]).unwrap();
        let mut eager = ours.clone();
        eager.resumption = Resumption::default();
        eager.enable_early_data = true;
        for config in [ours, eager].map(Arc::new) {
            for _ in 0..3 {
                let name = ServerName::try_from(SERVER_NAME).unwrap();
                let mut client = ClientConnection::new(config.clone(), name).unwrap();
                let mut host = ServerConnection::new(server.clone()).unwrap();
                assert!(client.early_data().is_none());
                shake(&mut client, &mut host);
                assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
                assert_eq!(client.tls13_tickets_received(), 0);
                assert!(host.early_data().is_none());
            }
        }
    }
}
