//! The golden vectors `2nn` of `protocol-spec/vectors/`: the handshake's messages, and one whole exchange with an access
//! code. Each `.txt` is what a reader made from the tables of `handshake.md` alone sees in the bytes.
//!
//! A vector is never edited, only added: `UPDATE_VECTORS=1` writes the files that are missing and touches no other.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use telepane_trust::pake::{Confirmation, HostPake, PakeMessage, ViewerPake};
use telepane_trust::{
    AccessCode, AuthMessage, ClientKey, ClientProof, ClientPublic, DecodeError, Exporter, Fingerprint, Label,
    RefuseReason, Seed,
};

/// Compares one file with what it must hold; writes it when it is missing and that is asked for.
fn same(name: &str, expected: &[u8]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol-spec/vectors").join(name);
    match std::fs::read(&file) {
        Ok(bytes) => assert!(bytes == expected, "{name} differs; a vector is never edited"),
        Err(_) if std::env::var_os("UPDATE_VECTORS").is_some() => std::fs::write(&file, expected).unwrap(),
        Err(e) => panic!("{name}: {e}; UPDATE_VECTORS=1 writes a missing vector"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads a message by the table of `handshake.md` and says what each field is.
struct Walk<'a>(&'a [u8], String);

impl Walk<'_> {
    fn field(&mut self, name: &str, n: usize) -> u8 {
        let (head, rest) = self.0.split_at(n);
        let number = head.iter().fold(0u64, |v, b| v << 8 | u64::from(*b));
        let value = if n <= 4 { number.to_string() } else { hex(head) };
        writeln!(self.1, "{name} = {value}").unwrap();
        self.0 = rest;
        head[0]
    }

    fn label(&mut self, name: &str) {
        let n = usize::from(self.0[0]);
        let text = String::from_utf8(self.0[1..=n].to_vec()).unwrap();
        writeln!(self.1, "{name} = {text:?}").unwrap();
        self.0 = &self.0[n + 1..];
    }

    fn proof(&mut self) {
        self.field("public key", 32);
        self.field("signature", 64);
    }
}

fn walk(bytes: &[u8]) -> String {
    let mut w = Walk(bytes, String::new());
    w.field("version", 1);
    match w.field("kind", 1) {
        1 => {
            let flags = w.field("flags", 1);
            w.label("name");
            w.label("user");
            if flags & 1 != 0 {
                w.proof();
            }
            if flags & 2 != 0 {
                w.field("element", 32);
            }
        }
        2 => {
            w.field("element", 32);
        }
        3 => {
            w.field("confirmation", 32);
            if w.field("flags", 1) & 1 != 0 {
                w.proof();
            }
        }
        4 => {
            if w.field("flags", 1) & 1 != 0 {
                w.field("confirmation", 32);
            }
        }
        5 => {
            w.field("reason", 1);
            w.field("again", 1);
            w.field("wait, ms", 4);
        }
        other => panic!("no kind {other}"),
    }
    assert!(w.0.is_empty(), "every byte has a meaning");
    w.1
}

fn proof(n: u8) -> ClientProof {
    ClientProof { public: ClientPublic([n; 32]), signature: [n + 1; 64] }
}

fn messages() -> Vec<(&'static str, &'static str, AuthMessage)> {
    let pake = |n: u8| PakeMessage([n; 32]);
    vec![
        (
            "201-host-refuse",
            "Throttled: another start is heard after a minute.",
            AuthMessage::HostRefuse { reason: RefuseReason::Throttled, again: true, wait_ms: 60_000 },
        ),
        (
            "202-viewer-start-both",
            "A key and a code are offered; no user is named. (Keys, elements and proofs of 202 to 208 are patterns.)",
            AuthMessage::ViewerStart {
                name: Label::from_lossy("büro"),
                user: Label::default(),
                key: Some(proof(0xa0)),
                pake: Some(pake(0xb0)),
            },
        ),
        (
            "203-viewer-start-code",
            "A code is offered, for the user eve.",
            AuthMessage::ViewerStart {
                name: Label::from_lossy("a"),
                user: Label::from_lossy("eve"),
                key: None,
                pake: Some(pake(0xb0)),
            },
        ),
        ("204-host-pake", "The host's element.", AuthMessage::HostPake { pake: pake(0xc0) }),
        (
            "205-viewer-confirm-enrol",
            "The viewer's proof of the code, and a key to enrol.",
            AuthMessage::ViewerConfirm { confirmation: Confirmation([0xd0; 32]), enrol: Some(proof(0xa0)) },
        ),
        (
            "206-viewer-confirm",
            "The viewer's proof of the code.",
            AuthMessage::ViewerConfirm { confirmation: Confirmation([0xd0; 32]), enrol: None },
        ),
        (
            "207-host-accept-key",
            "Come in, by an enrolled key.",
            AuthMessage::HostAccept { confirmation: None, enrolled: true },
        ),
        (
            "208-host-accept-code",
            "Come in, by the code; the host's proof of it; the key is enrolled.",
            AuthMessage::HostAccept { confirmation: Some(Confirmation([0xe0; 32])), enrolled: true },
        ),
    ]
}

// spec
#[test]
fn message_vectors() {
    for (name, what, message) in messages() {
        let bytes = message.encode();
        same(&format!("{name}.bin"), &bytes);
        same(&format!("{name}.txt"), format!("{what}\n\n{}", walk(&bytes)).as_bytes());
        let again = AuthMessage::decode(&bytes).unwrap();
        assert_eq!((again.encode(), format!("{again:?}")), (bytes, format!("{message:?}")), "{name}");
    }
}

#[test]
fn every_kind_has_a_vector() {
    let with: BTreeSet<u8> = messages().iter().map(|(_, _, m)| m.encode()[1]).collect();
    for kind in 0..=255 {
        let known = !matches!(AuthMessage::decode(&[1, kind]), Err(DecodeError::Kind(_)));
        assert_eq!(known, with.contains(&kind), "kind {kind}");
    }
}

/// The scalars that the two seeds give, so that another implementation can compute the rest. They were computed, with
/// everything else in the vector, by a program in Python that follows `handshake.md` and nothing else.
const SCALARS: [&str; 2] = [
    "68cf3762d3ac1c1748c58514016d2abe292d01468330a286d435af911472920e",
    "ad47ef102d3b7cb69b45477e24594138f9c115309c939c64b66f5cc92e0cbf03",
];

// spec
#[test]
fn exchange_vector() {
    let (exporter, fingerprint) = (Exporter::new([0x11; 32]), Fingerprint([5; 32]));
    let code = AccessCode::parse("k7qf m2xa-9bcd").unwrap();
    let (viewer, x) = ViewerPake::start(&code, &Seed::new([1; 32]));
    let (host, y) = HostPake::start(&code, &Seed::new([2; 32]));
    let viewer = viewer.finish(&y, &exporter, &fingerprint).unwrap();
    let mine = viewer.confirmation();
    let theirs = host.finish(&x, &exporter, &fingerprint).unwrap().verify_viewer(&mine).unwrap();
    same("210-pake.bin", &[x.0, y.0, mine.0, theirs.0].concat());
    let text = format!(
        "X, Y, the viewer's confirmation, the host's confirmation, 32 bytes each.\n\n\
         code = K7QFM2XA9BCD (typed as k7qf m2xa-9bcd)\nexporter = {}\nfingerprint = {}\n\
         x = {} (little endian)\ny = {} (little endian)\n\
         X = {}\nY = {}\nviewer's confirmation = {}\nhost's confirmation = {}\n",
        hex(exporter.as_bytes()),
        hex(fingerprint.as_bytes()),
        SCALARS[0],
        SCALARS[1],
        hex(&x.0),
        hex(&y.0),
        hex(&mine.0),
        hex(&theirs.0)
    );
    same("210-pake.txt", text.as_bytes());
    assert!(viewer.verify_host(&theirs).is_ok());
}

// spec: A-20
#[test]
fn signature_vector() {
    let key = ClientKey::from_secret(&[9; 32]);
    let (exporter, fingerprint) = (Exporter::new([0x11; 32]), Fingerprint([5; 32]));
    let proof = key.prove(&exporter, &fingerprint);
    same("211-client-proof.bin", &[proof.public.0.as_slice(), &proof.signature].concat());
    let text = format!(
        "A client's public key and its signature, 32 and 64 bytes.\n\n\
         secret = {}\nexporter = {}\nfingerprint = {}\npublic key = {}\nsignature = {}\nclient = {}\n",
        hex(&[9; 32]),
        hex(exporter.as_bytes()),
        hex(fingerprint.as_bytes()),
        hex(&proof.public.0),
        hex(&proof.signature),
        proof.public.id().to_hex()
    );
    same("211-client-proof.txt", text.as_bytes());
    assert!(proof.verify(&exporter, &fingerprint));
}
