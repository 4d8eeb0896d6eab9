//! Every fuzz target: its name in `fuzz/fuzz_targets` and `fuzz/corpus`, and the function it calls.

/// A fuzz target.
pub type Target = (&'static str, fn(&[u8]));

/// The table. A test holds it against the folder `fuzz/fuzz_targets`.
pub const TARGETS: &[Target] = &[
    ("codec_decode", telepane_codec::fuzzing::decode),
    ("codec_picture", telepane_codec::fuzzing::picture),
    ("codec_roundtrip", telepane_codec::fuzzing::roundtrip),
    ("codec_text", telepane_codec::fuzzing::text),
    ("protocol_control", telepane_protocol::fuzzing::control),
    ("protocol_datagram", telepane_protocol::fuzzing::datagram),
    ("protocol_fec", telepane_protocol::fuzzing::fec),
    ("protocol_bundle", telepane_protocol::fuzzing::bundle),
    ("protocol_carried", telepane_protocol::fuzzing::carried),
    ("protocol_chunk", telepane_protocol::fuzzing::chunk),
    ("sandbox_answers", telepane_sandbox::fuzzing::answers),
    ("session_feedback", telepane_session::fuzzing::feedback),
    ("session_host", telepane_session::fuzzing::host),
    ("session_viewer", telepane_session::fuzzing::viewer),
    ("trust_auth_message", telepane_trust::fuzzing::auth_message),
    ("trust_handshake_host", telepane_trust::fuzzing::handshake_host),
    ("trust_permissions", telepane_trust::fuzzing::permissions),
];
