//! Seeds for the fuzz corpora: one small valid input for each shape a decoder knows, made by our own encoders.
//!
//! `cargo run -p telepane-tests --example seeds` writes them to `fuzz/corpus/<target>/seed-<name>`. They are committed,
//! so that a fuzzer starts past the first checks, and so that old bytes are still refused or understood when the encoders
//! have moved on. Beside them stand findings, under names that say what they were; the generator leaves those alone.

use telepane_codec::picture::{Layer, PictureCoder, Step};
use telepane_codec::{Encoder, EncoderOptions};
use telepane_model::{
    Button, Bytes, CursorShape, CursorState, EncodeItem, EncodeJob, Epoch, InputEvent, InputSeq, KeyCode, KeyMove,
    Monitor, Pen, Pixels, Point, Quality, Rect, Rng, Size, Span, Stamp, Surf, SurfaceId, TouchPhase, UpdateId, Version,
};
use telepane_protocol::bundle::Head;
use telepane_protocol::control::Held;
use telepane_protocol::{
    Capabilities, Capability, Carried, Chunk, Control, Datagram, Entry, EntryKind, Feedback, FileWord, Goodbye,
    InputBatch, InputReport, Outcome, Proofs, RefuseReason, Shard, SoundPacket, SurfaceReport,
};
use telepane_sandbox::wire::{Answer, Hello, Request, Verdict};
use telepane_trust::pake::{Confirmation, PakeMessage};
use telepane_trust::{AuthMessage, ClientKey, Exporter, Fingerprint, Label, Seed, ViewerAuth, ViewerOffer, ViewerStep};

/// A seed: its target, its name, its bytes.
pub type SeedInput = (&'static str, &'static str, Vec<u8>);

/// All of them.
pub fn all() -> Vec<SeedInput> {
    let mut seeds = Vec::new();
    let mut add = |target: &'static str, named: Vec<(&'static str, Vec<u8>)>| {
        seeds.extend(named.into_iter().map(|(name, bytes)| (target, name, bytes)));
    };
    add("protocol_datagram", datagrams());
    add("protocol_control", controls());
    add("protocol_fec", groups());
    add("session_feedback", lies());
    add("protocol_chunk", chunks());
    add("protocol_bundle", bundles());
    add("protocol_carried", carried());
    add("codec_decode", slices());
    add("codec_picture", pictures());
    add("codec_roundtrip", programs());
    add("codec_text", text_ops());
    add("sandbox_answers", answers());
    add("trust_auth_message", auth_messages().into_iter().map(|(name, message)| (name, message.encode())).collect());
    add("trust_handshake_host", streams());
    add("trust_permissions", permission_files());
    seeds
}

fn bundles() -> Vec<(&'static str, Vec<u8>)> {
    let file = Head::File { path: "d/a b".into(), size: 5, modified: 1 << 50, executable: true }.encode();
    let directory = Head::Directory { path: "d".into() }.encode();
    let whole = [directory.clone(), file.clone(), b"hello".to_vec(), vec![7; 32], Head::End.encode()].concat();
    let out = Head::Directory { path: "../d".into() }.encode();
    vec![("whole", whole), ("cut", [directory, file].concat()), ("out", out)]
}

fn carried() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("datagram", Carried::Datagram(&[7; 30]).encode()),
        ("control", Carried::Control(b"hello").encode()),
        ("chunk", Carried::Chunk(&[8; 50]).encode()),
        ("close", Carried::Close { code: 0x7400, text: b"shutting-down" }.encode()),
        ("close-short", vec![3, 0, 0, 0x74]),
        ("later-lane", b"\x04rest".to_vec()),
        ("datagram-long", Carried::Datagram(&[7; 1_201]).encode()),
        // id-at-commonName, a UTF8String.
        ("name", b"\x31\x11\x30\x0f\x06\x03\x55\x04\x03\x0c\x08Telepane".to_vec()),
    ]
}

fn chunks() -> Vec<(&'static str, Vec<u8>)> {
    let chunk = Chunk { pipe: 6, offset: 1 << 33, last: false, bytes: vec![7; 40] };
    vec![
        ("middle", chunk.encode(70_000)),
        ("end", Chunk { last: true, ..chunk.clone() }.encode(1)),
        ("nothing-more", Chunk { last: true, bytes: vec![], ..chunk }.encode(2)),
    ]
}

/// Programs for `session::fuzzing::feedback`: the limit, then lies between spans of time.
/// What a process that decodes may answer, and may not: what was asked, then each answer behind its length.
fn answers() -> Vec<(&'static str, Vec<u8>)> {
    let asked = Request { number: 7, slot: 1, anew: true, sides: (640, 360), len: 900 };
    let said = |all: &[&[u8]]| -> Vec<u8> {
        let answers = all.iter().flat_map(|a| std::iter::once(a.len() as u8).chain(a.iter().copied()));
        asked.encode().into_iter().chain(answers).collect()
    };
    let answer = |number, verdict, sides| Answer { number, verdict, sides }.encode();
    let hello = Hello { landlock: true }.encode();
    let (picture, refused) = (answer(7, Verdict::Picture, (640, 360)), answer(8, Verdict::Refused, (0, 0)));
    vec![
        ("begins", said(&[&hello, &picture, &refused, &answer(9, Verdict::OtherSides, (0, 0))])),
        ("other-sides", said(&[&answer(7, Verdict::Picture, (360, 640)), &picture])),
        ("twice", said(&[&picture, &picture])),
        ("too-long", said(&[&[picture, picture].concat(), &picture[..8]])),
    ]
}

fn lies() -> Vec<(&'static str, Vec<u8>)> {
    // Each step: 20 ms pass (operation 0), then what is given.
    let told = |limit: u8, lie: &[u8]| {
        let steps = std::iter::repeat_n([&[0, 19], lie].concat(), 60);
        [vec![limit, 8], steps.flatten().collect()].concat()
    };
    vec![
        ("all-at-once", told(2, &[2])),
        ("confirms", told(1, &[6, 200])),
        ("from-the-future", told(2, &[7, 0, 0, 9])),
        ("gives-up", told(0, &[135, 1, 0, 3, 0, 0, 5])),
        ("huge-ranges", told(3, &[3, 1, 0, 0, 0, 63, 255, 255, 0, 0, 9, 2, 60, 255, 255, 0, 0, 0, 40, 1, 1, 0, 0, 0])),
        ("replayed", told(1, &[2, 4, 4, 4])),
        ("later-epoch", told(2, &[5, 7, 0, 9])),
    ]
}

/// Programs for `protocol::fuzzing::fec`: data shards, which of sixteen are missing, the body's length, the pieces.
fn groups() -> Vec<(&'static str, Vec<u8>)> {
    let body = b"any three of five pieces are enough";
    let pieces: Vec<Vec<u8>> = body.chunks(12).map(<[u8]>::to_vec).collect();
    let group = |missing: u16| {
        let mut bytes = vec![3];
        bytes.extend_from_slice(&missing.to_le_bytes());
        bytes.push(body.len() as u8);
        for piece in pieces.iter().cloned().chain(telepane_protocol::fec::parity(&pieces, 2)) {
            bytes.push(piece.len() as u8);
            bytes.extend(piece);
        }
        bytes
    };
    vec![("whole", group(0)), ("first-and-last-missing", group(0b101)), ("too-few", group(0b111))]
}

/// Text ops' payloads: alone, open, with what was there, in another lane.
fn text_ops() -> Vec<(&'static str, Vec<u8>)> {
    use telepane_codec::text::{Coded, FRESH, Lane, OLD, OPEN};
    let size = Size::new(61, 43);
    let (held, mut newest) = (Pixels::new(size), Pixels::new(size));
    newest.fill(size.rect(), [250, 250, 250]);
    (0..90).for_each(|i| newest.fill(Rect::new(i * 7 % 58, i * 5 % 41, 3, 1), [(i % 6 * 40) as u8; 3]));
    let payload = |flags: u8, rects: &[Rect<Surf>]| {
        let mut lane = Lane::default();
        let mut op = lane.begin(flags);
        rects.iter().for_each(|r| assert_eq!(lane.encode(&mut op, &newest, &held, *r, 4000), Coded::Whole));
        lane.finish(&op).to_vec()
    };
    vec![
        ("alone", payload(0, &[Rect::new(3, 4, 40, 30)])),
        ("open", payload(OPEN, &[Rect::new(0, 0, 30, 20), Rect::new(30, 20, 31, 23)])),
        ("old", payload(OPEN | OLD, &[Rect::new(11, 9, 50, 34)])),
        ("lane", payload(FRESH | 2, &[Rect::new(60, 42, 1, 1), Rect::new(0, 1, 61, 12)])),
    ]
}

fn datagrams() -> Vec<(&'static str, Vec<u8>)> {
    let sound = SoundPacket { number: 70_000, captured: 5, frame: vec![0xf4, 1, 2], ..SoundPacket::default() };
    let shard = Shard {
        surface: SurfaceId(1),
        epoch: Epoch(3),
        id: UpdateId(70_000),
        base: UpdateId(69_999),
        last: true,
        data: 1,
        payload: b"ops".to_vec(),
        ..Shard::default()
    };
    let many = Shard {
        has_size: true,
        has_journey: true,
        index: 2,
        data: 3,
        parity: 1,
        total: 2_500,
        payload: vec![7; 500],
        ..shard.clone()
    };
    let report = SurfaceReport {
        applied: UpdateId(9),
        gave_up: Some(UpdateId(12)),
        queue: Span::micros(700),
        shown: Some(UpdateId(7)),
        ..SurfaceReport::default()
    };
    let feedback = Feedback {
        newest: 1_000,
        arrived: 123_456,
        hold: Span::micros(90),
        received: 990,
        earlier: vec![(0, 200), (3, -40), (0, 1_000_000)],
        surfaces: vec![report],
        input: Some(InputReport { done: InputSeq(5), dropped: 1 }),
        close: false,
    };
    let close = Feedback { close: true, ..feedback.clone() };
    let aged = |micros, event| (Span::micros(micros), event);
    let input = InputBatch {
        sent: 77,
        floor: InputSeq(4),
        first: InputSeq(5),
        events: vec![
            aged(0, InputEvent::PointerBy { dx: -3, dy: 4 }),
            aged(7, InputEvent::PointerTo(Point::new(1919, -1))),
            aged(10, InputEvent::Button { button: Button::Left, down: true }),
            aged(20, InputEvent::Wheel { x: 0, y: -120 }),
            aged(30, InputEvent::Focus { caps: true, num: false }),
            aged(40, InputEvent::Blur),
        ],
        held: vec![KeyCode(30), KeyCode(KeyCode::MAX)],
        buttons: vec![Button::Left],
        ..InputBatch::default()
    };
    let touch = |finger, phase| InputEvent::Touch { finger, phase, at: Point::new(640, -2), pressure: 50_000 };
    let pen = Pen {
        at: Point::new(8, 9),
        pressure: 700,
        tilt: (-12, 80),
        touching: true,
        eraser: false,
        buttons: 1,
        near: true,
    };
    let hands = InputBatch {
        events: vec![
            aged(9, touch(0, TouchPhase::Down)),
            aged(8, touch(9, TouchPhase::Move)),
            aged(7, touch(0, TouchPhase::Up)),
            aged(6, touch(9, TouchPhase::Cancel)),
            aged(5, InputEvent::Pen(pen)),
            aged(0, InputEvent::Pen(pen.away())),
        ],
        fingers: vec![0, 9],
        pen: true,
        ..InputBatch::default()
    };
    let key = |code, action| InputBatch {
        events: vec![aged(5, InputEvent::Key { code: KeyCode(code), action }), aged(0, InputEvent::Text("é".into()))],
        ..InputBatch::default()
    };
    let cursor = CursorState { at: Point::new(640, -2), shape: 3, visible: true };
    [
        ("shard-alone", Datagram::Shard(shard)),
        ("shard-of-many", Datagram::Shard(many)),
        ("feedback", Datagram::Feedback(feedback)),
        ("feedback-close", Datagram::Feedback(close)),
        ("feedback-least", Datagram::Feedback(Feedback::default())),
        ("input", Datagram::Input(input)),
        ("input-key-down", Datagram::Input(key(30, KeyMove::Down))),
        ("input-key-repeat", Datagram::Input(key(28, KeyMove::Repeat))),
        ("input-touch-and-pen", Datagram::Input(hands)),
        ("cursor", Datagram::Cursor(cursor)),
        ("padding", Datagram::Padding(40)),
        ("sound", Datagram::Sound(sound.clone())),
        (
            "sound-copies",
            Datagram::Sound(SoundPacket { last: true, earlier: vec![vec![0xf4, 7], vec![0xf4]], ..sound }),
        ),
    ]
    .map(|(name, datagram)| (name, datagram.encode(65_530)))
    .into()
}

fn controls() -> Vec<(&'static str, Vec<u8>)> {
    let capabilities =
        Capabilities::default().with(Capability::Ops, 0xff).with(Capability::Surfaces, 4).with(Capability::Fec, 1);
    let held = Held { surface: SurfaceId(1), epoch: Epoch(2), applied: UpdateId(30), through: UpdateId(35) };
    let cursor = CursorShape { id: 9, w: 2, h: 2, hot_x: 1, hot_y: 0, bgra: vec![128; 16] };
    [
        ("hello", Control::Hello { oldest: 1, newest: 2, capabilities, agent: "telepane-host 0.1.0".into() }),
        ("auth", Control::Auth(vec![1, 2, 3])),
        ("suppress-output", Control::SuppressOutput(true)),
        ("sound-wish", Control::SoundWish { listens: true, speaks: false }),
        ("sound-state", Control::SoundState { offers: true, takes: true }),
        (
            "proofs",
            Control::Proofs(Proofs {
                surface: SurfaceId(0),
                epoch: Epoch(3),
                applied: UpdateId(70_000),
                tiles: vec![(5, 0x0102_0304_0506_0708), (6, u64::MAX), (510, 9)],
            }),
        ),
        ("bulk-more", Control::BulkMore { pipe: 6, upto: 1 << 24 }),
        ("file-attach", Control::File(FileWord::Attach)),
        ("file-get", Control::File(FileWord::Get { id: 1, path: "a/b".into(), held: 1, size: 2, modified: 3 })),
        ("file-info", Control::File(FileWord::Info { id: 1, offset: 1, size: 2, modified: 3, executable: true })),
        (
            "file-put",
            Control::File(FileWord::Put { id: 1, path: "\u{e4}".into(), size: 2, modified: 3, executable: false }),
        ),
        ("file-take", Control::File(FileWord::Take { id: 1, offset: 1 })),
        ("file-sum", Control::File(FileWord::Sum { id: 1, sha256: [7; 32] })),
        ("file-end", Control::File(FileWord::End { id: 1, outcome: Outcome::Full, text: "no room".into() })),
        ("file-list", Control::File(FileWord::List { id: 1, path: String::new() })),
        (
            "file-entries",
            Control::File(FileWord::Entries {
                id: 1,
                last: true,
                directory: true,
                entries: vec![Entry { name: "a".into(), kind: EntryKind::File, size: 2, modified: 3 }],
            }),
        ),
        ("file-make-dir", Control::File(FileWord::MakeDir { id: 1, path: "a/b/".into() })),
        (
            "attach",
            Control::Attach { session: [7; 16], want: Some(Size::new(1920, 1080)), scale: 150, held: vec![held, held] },
        ),
        (
            "welcome",
            Control::Welcome {
                version: 1,
                session: [9; 16],
                resumed: true,
                now: Stamp::from_micros(5_000_000_000),
                resizable: true,
                host: "studio".into(),
            },
        ),
        ("refuse", Control::Refuse { reason: RefuseReason::Busy, text: "someone else is here".into() }),
        ("resize", Control::Resize { size: Size::new(1280, 720), scale: 100 }),
        (
            "monitors-wish",
            Control::MonitorsWish(vec![
                Monitor { place: Rect::new(0, 0, 800, 600), scale: 100, primary: true, ..Monitor::default() },
                Monitor { place: Rect::new(800, 0, 640, 480), scale: 200, ..Monitor::default() },
            ]),
        ),
        (
            "monitors-told",
            Control::MonitorsTold(vec![Monitor {
                place: Rect::new(0, 0, 1280, 720),
                scale: 100,
                refresh: 60_000,
                primary: true,
                name: "DUMMY0".into(),
            }]),
        ),
        ("pointer-put", Control::PointerPut(Point::new(400, 300))),
        ("refresh", Control::Refresh { surface: SurfaceId(1), epoch: Epoch(2) }),
        ("cursor-shape", Control::CursorShape(cursor)),
        ("clip-offer", Control::ClipOffer { serial: 3, formats: 1 }),
        ("clip-request", Control::ClipRequest { serial: 3, id: 4 }),
        ("clip-chunk", Control::ClipChunk { id: 4, last: true, bytes: b"pasted".to_vec() }),
        ("clip-refuse", Control::ClipRefuse { id: 4 }),
        ("notice", Control::Notice("the disk is full".into())),
        ("bye", Control::Bye { reason: Goodbye::Left, text: String::new() }),
    ]
    .map(|(name, control)| (name, control.encode()))
    .into()
}

/// Slices of a surface of the size that `codec::fuzzing::decode` makes.
fn slices() -> Vec<(&'static str, Vec<u8>)> {
    let size = Size::new(160, 100);
    let mut filled = Pixels::new(size);
    filled.fill(Rect::new(10, 10, 90, 40), [200, 30, 5]);
    let mut text = filled.clone();
    let mut rng = Rng::new(7);
    for row in 0..12 {
        for letter in 0..20 {
            let at =
                Rect::new(8 * letter, 8 * row + 2, 1 + (rng.next_u64() % 5) as u32, 1 + (rng.next_u64() % 4) as u32);
            text.fill(at, [20, 20, 20]);
        }
    }
    let mut scrolled = Pixels::new(size);
    scrolled.paste(&text, 0, -8);
    let mut photo = Pixels::new(size);
    for (index, byte) in photo.data_mut().iter_mut().enumerate() {
        if index % 4 != 3 {
            *byte = (index / 640 + index % 97 / 3) as u8 ^ (rng.next_u64() % 4) as u8;
        }
    }
    let code = |screens: &[&Pixels], rect: Rect<Surf>, quality: Quality| -> Vec<u8> {
        let mut encoder = Encoder::new(size, EncoderOptions::default());
        let (mut base, mut first, mut bytes) = (UpdateId::BLANK, 1, Vec::new());
        for screen in screens {
            let job = EncodeJob {
                id: Default::default(),
                surface: SurfaceId(0),
                epoch: Epoch(0),
                size,
                base,
                first: UpdateId(first),
                items: vec![EncodeItem { rect, version: Version(u64::from(first)), quality }],
                max_bytes: Bytes(60_000),
                film_bytes: Bytes(60_000),
                film_scale: Default::default(),
                slice_bytes: Bytes(if screens.len() > 1 { 250 } else { 9_000 }),
                pictures: Default::default(),
                anew: false,
            };
            let Ok(answer) = encoder.encode(&job, screen, Version(u64::from(first))) else { continue };
            for slice in answer.slices {
                (base, first) = (slice.id, slice.id.0 + 1);
                // A length byte of 255 takes everything that is left, so nothing follows a long slice.
                let length = u8::try_from(slice.bytes.len()).unwrap_or(255);
                bytes.push(length);
                bytes.extend(slice.bytes);
                if length == 255 {
                    return bytes;
                }
            }
        }
        bytes
    };
    let (all, corner) = (size.rect(), Rect::new(0, 0, 64, 64));
    vec![
        ("fill", code(&[&filled], all, Quality::EXACT)),
        ("text", code(&[&text], all, Quality::EXACT)),
        ("text-then-scroll", code(&[&text, &scrolled], all, Quality::EXACT)),
        ("window-switch", code(&[&filled, &text, &filled, &text], all, Quality::EXACT)),
        ("photo", code(&[&photo], corner, Quality::EXACT)),
        ("film", code(&[&photo], corner, Quality::FILM)),
    ]
}

/// Ops on a surface of 80x70, and programs for `codec::fuzzing::picture`: a rectangle, layers and planes, then pixels.
fn pictures() -> Vec<(&'static str, Vec<u8>)> {
    let size = Size::new(80, 70);
    let mut photo = Pixels::new(size);
    for (index, byte) in photo.data_mut().iter_mut().enumerate().filter(|(index, _)| index % 4 != 3) {
        *byte = (index / 320 * 2 + index % 89 / 3) as u8;
    }
    let op = |from, to| {
        let (mut coder, mut bytes) = (PictureCoder::default(), Vec::new());
        coder.begin(Step::new(from, to));
        coder.push(&photo, &Pixels::new(size), Rect::new(0, 0, 64, 64));
        coder.push(&photo, &Pixels::new(size), Rect::new(64, 3, 16, 50));
        coder.finish(&mut bytes);
        bytes
    };
    vec![
        ("op-first", op(None, Layer::First)),
        ("op-exact", op(None, Layer::Exact)),
        ("op-refine", op(Some(Layer::Fine), Layer::Exact)),
        ("layers", [&[0, 0, 79, 69, 7][..], &photo.data()[..600]].concat()),
        ("planes", vec![3, 5, 70, 40, 0x12, 9, 200, 3, 1, 77]),
        ("clipped", vec![60, 0, 19, 60, 0x16, 255, 0, 255, 255, 0, 0, 1]),
    ]
}

/// Programs for `codec::fuzzing::roundtrip`: width, height, then five bytes a step.
fn programs() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("fills", vec![100, 80, 0, 5, 5, 40, 0, 4, 20, 9, 60, 2, 8, 0, 0, 90, 1]),
        ("moves", vec![120, 120, 2, 0, 0, 119, 3, 1, 0, 8, 100, 40, 5, 0, 16, 100, 9]),
        ("noise-then-loss", vec![90, 60, 3, 0, 0, 89, 5, 2, 4, 4, 50, 10, 0, 3, 3, 20, 15, 251, 2, 2, 80, 7]),
        ("film", vec![63, 63, 2, 0, 0, 200, 4, 3, 0, 0, 200, 6, 1, 0, 2, 200, 8]),
        (
            "windows",
            vec![
                120, 120, 2, 0, 0, 119, 3, 0, 0, 0, 119, 201, 2, 9, 9, 90, 202, 2, 0, 0, 80, 240, 1, 5, 5, 50, 203, 3,
                1, 1, 60, 231,
            ],
        ),
        ("least", vec![0, 0, 0, 0, 0, 0, 0]),
    ]
}

fn auth_messages() -> Vec<(&'static str, AuthMessage)> {
    let start = viewer_start(Some("K7QF-M2XA"), Some(ClientKey::from_secret(&[9; 32])));
    let mut named = vec![
        ("host-pake", AuthMessage::HostPake { pake: PakeMessage([3; 32]) }),
        ("viewer-confirm", AuthMessage::ViewerConfirm { confirmation: Confirmation([4; 32]), enrol: None }),
        ("host-accept", AuthMessage::HostAccept { confirmation: Some(Confirmation([5; 32])), enrolled: true }),
        (
            "host-refuse",
            AuthMessage::HostRefuse { reason: telepane_trust::RefuseReason::WrongCode, again: true, wait_ms: 1_500 },
        ),
    ];
    named.extend(start.map(|message| ("viewer-start", message)));
    named
}

/// What a viewer says first.
fn viewer_start(code: Option<&str>, client_key: Option<ClientKey>) -> Option<AuthMessage> {
    let offer = ViewerOffer {
        exporter: Exporter::new([1; 32]),
        fingerprint: Fingerprint([2; 32]),
        pinned: client_key.is_some(),
        client_key,
        code: code.and_then(|code| telepane_trust::AccessCode::parse(code).ok()),
        name: Label::from_lossy("laptop"),
        user: Label::from_lossy("anna"),
        seed: Seed::new([5; 32]),
    };
    match ViewerAuth::begin(offer) {
        ViewerStep::Reply { reply, .. } => Some(reply),
        _ => None,
    }
}

/// Streams of framed messages, as a host and a viewer get them.
fn streams() -> Vec<(&'static str, Vec<u8>)> {
    let framed = |messages: Vec<AuthMessage>| messages.iter().flat_map(AuthMessage::framed).collect::<Vec<u8>>();
    let by_code = viewer_start(Some("K7QF-M2XA"), None);
    let wrong = viewer_start(Some("ZZZZ-ZZZZ"), Some(ClientKey::from_secret(&[8; 32])));
    let confirm = AuthMessage::ViewerConfirm { confirmation: Confirmation([4; 32]), enrol: None };
    let everything = auth_messages().into_iter().map(|(_, message)| message).collect();
    vec![
        ("code-then-confirm", framed(by_code.into_iter().chain([confirm.clone()]).collect())),
        ("wrong-code-twice", framed(wrong.clone().into_iter().chain([confirm]).chain(wrong).collect())),
        ("every-message", framed(everything)),
    ]
}

fn permission_files() -> Vec<(&'static str, Vec<u8>)> {
    let full = "#import team.perm\n[groups]\nsupport = john, user:jane, group:night, osgroup:guests\nnight = eve\n\
                [aliases]\nfiles = file-upload, file-download\n[permissions]\n%owner% allow builtin\n\
                group:support allow display pointer keyboard mouse\n\"a b\" disallow files\n%any% deny files\n";
    let circle = "[groups]\na = group:b\nb = group:a\n[permissions]\ngroup:a allow display\n";
    vec![
        ("full", full.into()),
        ("circle", circle.into()),
        ("empty", Vec::new()),
        ("one", b"[permissions]\n%any% allow display".to_vec()),
    ]
}
