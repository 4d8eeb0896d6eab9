//! The handshake's bytes: golden vectors, and everything that must not decode.

use super::*;
use crate::hex;
use proptest::prelude::*;

fn proof(n: u8) -> ClientProof {
    ClientProof { public: ClientPublic([n; 32]), signature: [n + 1; 64] }
}

/// One of each shape, with the bytes another implementer must produce (runs of one byte as `xx*n`).
fn golden() -> Vec<(AuthMessage, String)> {
    let r = |byte: &str, n: usize| byte.repeat(n);
    vec![
        (
            AuthMessage::ViewerStart {
                name: Label::from_lossy("büro"),
                user: Label::default(),
                key: Some(proof(0xa0)),
                pake: Some(PakeMessage([0xb0; 32])),
            },
            format!("0101030562c3bc726f00{}{}{}", r("a0", 32), r("a1", 64), r("b0", 32)),
        ),
        (
            AuthMessage::ViewerStart {
                name: Label::from_lossy("a"),
                user: Label::from_lossy("eve"),
                key: None,
                pake: Some(PakeMessage([0xb0; 32])),
            },
            format!("010102016103657665{}", r("b0", 32)),
        ),
        (AuthMessage::HostPake { pake: PakeMessage([0xc0; 32]) }, format!("0102{}", r("c0", 32))),
        (
            AuthMessage::ViewerConfirm { confirmation: Confirmation([0xd0; 32]), enrol: Some(proof(0xa0)) },
            format!("0103{}01{}{}", r("d0", 32), r("a0", 32), r("a1", 64)),
        ),
        (
            AuthMessage::ViewerConfirm { confirmation: Confirmation([0xd0; 32]), enrol: None },
            format!("0103{}00", r("d0", 32)),
        ),
        (AuthMessage::HostAccept { confirmation: None, enrolled: true }, "010402".into()),
        (
            AuthMessage::HostAccept { confirmation: Some(Confirmation([0xe0; 32])), enrolled: true },
            format!("010403{}", r("e0", 32)),
        ),
        (
            AuthMessage::HostRefuse { reason: RefuseReason::Throttled, again: true, wait_ms: 60_000 },
            "010503010000ea60".into(),
        ),
    ]
}

#[test]
fn golden_vectors() {
    for (message, expected) in golden() {
        let bytes = message.encode();
        assert_eq!(hex::encode(&bytes), expected);
        let again = AuthMessage::decode(&bytes).unwrap();
        assert_eq!(again.encode(), bytes);
        assert!(bytes.len() <= 261);
    }
}

// spec: A-15
#[test]
fn every_cut_and_every_extra_byte_is_refused() {
    for (message, _) in golden() {
        let bytes = message.encode();
        for n in 0..bytes.len() {
            assert!(AuthMessage::decode(&bytes[..n]).is_err(), "{message:?} cut at {n}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(AuthMessage::decode(&longer).unwrap_err(), DecodeError::Trailing);
    }
    assert_eq!(AuthMessage::decode(&[1; 1025]).unwrap_err(), DecodeError::Long(1025));
}

// spec: A-16
#[test]
fn other_versions_are_named_and_their_refusals_read() {
    let mut start = golden()[1].0.encode();
    start[0] = 2;
    assert_eq!(AuthMessage::decode(&start).unwrap_err(), DecodeError::Version(2));
    let mut refuse = AuthMessage::refuse(RefuseReason::VersionMismatch).encode();
    refuse[0] = 9;
    assert!(matches!(
        AuthMessage::decode(&refuse),
        Ok(AuthMessage::HostRefuse { reason: RefuseReason::VersionMismatch, again: false, wait_ms: 0 })
    ));
    assert_eq!(AuthMessage::decode(&[1, 77]).unwrap_err(), DecodeError::Kind(77));
}

// spec: A-18
#[test]
fn impossible_fields_are_refused() {
    assert_eq!(AuthMessage::decode(&[1, 1, 0, 0, 0]).unwrap_err(), DecodeError::Field, "nothing offered");
    assert_eq!(AuthMessage::decode(&[1, 4, 4]).unwrap_err(), DecodeError::Field, "unknown flag");
    assert_eq!(AuthMessage::decode(&[1, 5, 0, 0, 0, 0, 0, 0]).unwrap_err(), DecodeError::Field, "reason 0");
    assert_eq!(AuthMessage::decode(&[1, 5, 1, 2, 0, 0, 0, 0]).unwrap_err(), DecodeError::Field, "again 2");
}

// spec: A-17
#[test]
fn names_cannot_forge_a_log_line() {
    for bad in ["a\nb", "a\u{1b}[2J", "a\u{202e}b", "a\u{2028}b", "\u{85}", &"x".repeat(65)] {
        assert_eq!(Label::parse(bad), Err(DecodeError::Label), "{bad:?}");
        assert!(Label::parse(Label::from_lossy(bad).as_str()).is_ok());
    }
    assert_eq!(Label::from_lossy("a\nb").as_str(), "a?b");
    assert_eq!(Label::from_lossy(&"ü".repeat(40)).as_str().len(), 64);
    let mut bytes = vec![1, 1, 2, 3];
    bytes.extend_from_slice(b"a\nb\0");
    bytes.extend_from_slice(&[0; 32]);
    assert_eq!(AuthMessage::decode(&bytes).unwrap_err(), DecodeError::Label);
}

#[test]
fn frames_are_taken_one_by_one() {
    let one = AuthMessage::refuse(RefuseReason::WrongCode);
    let two = [one.framed(), one.framed()].concat();
    for n in 0..one.framed().len() {
        assert_eq!(take_frame(&two[..n]), Ok(None));
    }
    let (body, used) = take_frame(&two).unwrap().unwrap();
    assert_eq!((body, used * 2), (one.encode().as_slice(), two.len()));
    assert_eq!(take_frame(&[0xff, 0xff]), Err(DecodeError::Long(65535)));
    assert_eq!(take_frame(&[0, 0]), Err(DecodeError::Short));
}

proptest! {
    // spec: A-15, F-1
    #[test]
    fn what_decodes_encodes_to_the_same_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0u8..7) {
        // Half of the tries get past the header.
        if let [version, k, ..] = bytes.as_mut_slice() {
            *version = 1;
            *k = kind;
        }
        if let Ok(message) = AuthMessage::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes);
        }
    }
}
