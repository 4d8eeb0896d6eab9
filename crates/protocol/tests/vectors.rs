//! The golden vectors of `protocol-spec/vectors/`: what each says is written as its bytes, its bytes are read as what it
//! says, and its `.txt` is what a second reader, made from the specification's tables (`walk`), sees in them.
//!
//! A vector is never edited, only added: `UPDATE_VECTORS=1` writes the files that are missing and touches no other.

mod walk;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use telepane_model::journey::HostJourney;
use telepane_model::{
    Button, ClipFormat, ClipOffer, CursorShape, CursorState, Epoch, InputEvent, InputSeq, KeyCode, KeyMove, Meaning,
    Monitor, Pen, Point, Preset, Rect, Selection, SessionPolicy, Size, Span, Stamp, SurfaceId, TouchPhase, UpdateId,
};
use telepane_protocol::control::Held;
use telepane_protocol::{
    Capabilities, Capability, Carried, Chunk, ClipWord, Control, Datagram, Ending, Entry, EntryKind, Fault, Feedback,
    FileWord, Goodbye, HostState, InputBatch, InputReport, LifeWord, Outcome, Person, Place, Proofs, RefuseReason,
    Shard, SliceBody, SoundPacket, SurfaceReport, fec,
};

fn spec() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol-spec")
}

/// Compares one file with what it must hold; writes it when it is missing and that is asked for.
fn same(file: &Path, expected: &[u8]) {
    match std::fs::read(file) {
        Ok(bytes) => assert!(bytes == expected, "{} differs; a vector is never edited", file.display()),
        Err(_) if std::env::var_os("UPDATE_VECTORS").is_some() => std::fs::write(file, expected).unwrap(),
        Err(e) => panic!("{}: {e}; UPDATE_VECTORS=1 writes a missing vector", file.display()),
    }
}

fn check(name: &str, what: &str, bytes: &[u8], fields: &str) {
    let file = spec().join("vectors").join(name);
    same(&file.with_extension("bin"), bytes);
    same(&file.with_extension("txt"), format!("{what}\n\n{fields}").as_bytes());
}

fn journey(input: bool) -> HostJourney {
    let at = |us: u64| Stamp::from_micros(5_000_000_000 + us);
    HostJourney {
        input: input.then_some((InputSeq(77), at(100))),
        captured: at(1_000),
        planned: at(1_100),
        encoded: at(1_900),
        sent: at(2_000),
    }
}

/// Name, meaning in words, the datagram's number, the datagram.
fn datagrams() -> Vec<(&'static str, &'static str, u64, Datagram)> {
    let split = |index, data: u8, parity, payload| {
        Datagram::Shard(Shard {
            surface: SurfaceId(0),
            epoch: Epoch(900),
            id: UpdateId(70_000),
            base: UpdateId(69_990),
            has_size: true,
            has_journey: true,
            last: true,
            index,
            data,
            parity,
            total: 40,
            payload,
        })
    };
    let input = InputBatch {
        sent: 0x0102_0304,
        floor: InputSeq(8),
        first: InputSeq(10),
        events: vec![
            (Span::micros(20_000), InputEvent::Key { code: KeyCode(30), action: KeyMove::Down }),
            (Span::micros(300), InputEvent::Key { code: KeyCode(30), action: KeyMove::Repeat }),
            (Span::micros(10), InputEvent::Key { code: KeyCode(31), action: KeyMove::Up }),
            (Span::micros(9), InputEvent::Text("ä€".into())),
            (Span::micros(8), InputEvent::PointerTo(Point::new(-4, 1079))),
            (Span::micros(7), InputEvent::PointerBy { dx: 3, dy: -3 }),
            (Span::micros(6), InputEvent::Button { button: Button::Back, down: true }),
            (Span::micros(5), InputEvent::Button { button: Button::Left, down: false }),
            (Span::micros(4), InputEvent::Wheel { x: 0, y: -120 }),
            (Span::micros(3), InputEvent::Focus { caps: true, num: false }),
            (Span::ZERO, InputEvent::Blur),
        ],
        held: vec![KeyCode(42), KeyCode(767)],
        buttons: vec![Button::Left, Button::Back],
        ..InputBatch::default()
    };
    let touch = |finger, phase, pressure| InputEvent::Touch {
        finger,
        phase,
        at: Point::new(100 * i32::from(finger), -2),
        pressure,
    };
    let near = Pen {
        at: Point::new(1919, 1079),
        pressure: 0,
        tilt: (-30, 5),
        touching: false,
        eraser: false,
        buttons: 0,
        near: true,
    };
    // The body of 40 bytes 0 to 39 in three pieces, and what D-32 makes of them.
    let body: Vec<u8> = (0..40).collect();
    let pieces: Vec<Vec<u8>> = body.chunks(14).map(<[u8]>::to_vec).collect();
    let spare = fec::parity(&pieces, 2);
    let sound = |last, earlier: &[&[u8]]| {
        Datagram::Sound(SoundPacket {
            number: 70_000,
            captured: 0x0102_0304,
            last,
            frame: vec![0xf4, 0xa1, 0xa2],
            earlier: earlier.iter().map(|f| f.to_vec()).collect(),
        })
    };
    vec![
        ("060-sound", "Frame 70,000: CELT, full band, 10 ms, two channels.", 14, sound(false, &[])),
        ("061-sound-last", "The same, and nothing is heard after it.", 15, sound(true, &[])),
        (
            "062-sound-copies",
            "The same with copies of frames 69,999 and 69,998.",
            16,
            sound(false, &[&[0xf4, 0xb1], &[0xf4]]),
        ),
        (
            "006-shard-parity-of-numbers",
            "The first parity shard of the slice whose body is the 40 bytes 0 to 39, in three data shards.",
            0x2_0002,
            split(3, 3, 2, spare[0].clone()),
        ),
        (
            "007-shard-second-parity-of-numbers",
            "The second parity shard of the same slice.",
            0x2_0003,
            split(4, 3, 2, spare[1].clone()),
        ),
        (
            "001-shard-whole-slice",
            "A whole slice in one datagram: slice 500 of epoch 1, coded against 499, ends a frame.",
            5,
            Datagram::Shard(Shard {
                epoch: Epoch(1),
                id: UpdateId(500),
                base: UpdateId(499),
                last: true,
                data: 1,
                payload: vec![0xa1, 0xa2, 0xa3],
                ..Shard::default()
            }),
        ),
        (
            "002-shard-first-of-three",
            "The first of three data shards of a slice of 40 bytes with size and journey; its base is ten slices back (a rebase).",
            0x1_fffe,
            split(0, 3, 0, vec![0xb0; 14]),
        ),
        (
            "003-shard-last-of-three",
            "The last of three data shards of the same slice: it is shorter than the others.",
            0x2_0000,
            split(2, 3, 0, vec![0xb2; 12]),
        ),
        (
            "004-shard-parity",
            "The parity shard of a slice of three data shards and one of parity (only to a viewer that said it understands one).",
            0x2_0001,
            split(3, 3, 1, vec![0xb3; 14]),
        ),
        (
            "005-shard-not-last",
            "A whole slice in one datagram that does not end its frame.",
            6,
            Datagram::Shard(Shard {
                epoch: Epoch(64),
                id: UpdateId(64),
                base: UpdateId(63),
                data: 1,
                payload: vec![0xa1],
                ..Shard::default()
            }),
        ),
        (
            "010-feedback-viewer",
            "A viewer's feedback: number 99,999 is the newest; 99,998 came 120 us earlier, 99,994 came 40 us after that one, out of order; the viewer gave up at slice 8 and takes nothing up to 12.",
            41,
            Datagram::Feedback(Feedback {
                newest: 99_999,
                arrived: 0xdead_beef,
                hold: Span::micros(310),
                received: 99_000,
                earlier: vec![(0, 120), (3, -40)],
                surfaces: vec![SurfaceReport {
                    surface: SurfaceId(0),
                    epoch: Epoch(2),
                    applied: UpdateId(8),
                    gave_up: Some(UpdateId(12)),
                    queue: Span::millis(3),
                    shown: None,
                }],
                input: None,
                close: false,
            }),
        ),
        (
            "011-feedback-viewer-well",
            "A viewer's feedback when nothing is missing: it holds what slice 70,000 of epoch 3 left.",
            42,
            Datagram::Feedback(Feedback {
                newest: 7,
                arrived: 1,
                received: 8,
                surfaces: vec![SurfaceReport {
                    epoch: Epoch(3),
                    applied: UpdateId(70_000),
                    ..SurfaceReport::default()
                }],
                ..Feedback::default()
            }),
        ),
        (
            "012-feedback-host",
            "A host's feedback: every input event up to 44 is done with, two were too old and not delivered.",
            43,
            Datagram::Feedback(Feedback {
                newest: 300,
                arrived: 70_000,
                hold: Span::micros(2_000),
                received: 301,
                input: Some(InputReport { done: InputSeq(44), dropped: 2 }),
                ..Feedback::default()
            }),
        ),
        (
            "013-feedback-shown",
            "A viewer's feedback to a host that takes what is shown: slice 70,000 of epoch 3 is applied, and slice 69,998 on the screen.",
            44,
            Datagram::Feedback(Feedback {
                newest: 7,
                arrived: 1,
                received: 8,
                surfaces: vec![SurfaceReport {
                    epoch: Epoch(3),
                    applied: UpdateId(70_000),
                    shown: Some(UpdateId(69_998)),
                    ..SurfaceReport::default()
                }],
                ..Feedback::default()
            }),
        ),
        (
            "014-feedback-close",
            "Vector 010 in the closer form: 1,000 numbers are missing, and the two arrivals are the same.",
            45,
            Datagram::Feedback(Feedback {
                newest: 99_999,
                arrived: 0xdead_beef,
                hold: Span::micros(310),
                received: 99_000,
                earlier: vec![(0, 120), (3, -40)],
                surfaces: vec![SurfaceReport {
                    surface: SurfaceId(0),
                    epoch: Epoch(2),
                    applied: UpdateId(8),
                    gave_up: Some(UpdateId(12)),
                    queue: Span::millis(3),
                    shown: Some(UpdateId(8)),
                }],
                close: true,
                ..Feedback::default()
            }),
        ),
        (
            "020-input",
            "Every kind of input event once; the viewer waits for nothing before 8.",
            9,
            Datagram::Input(input),
        ),
        (
            "021-input-refresh",
            "No event: the viewer says that Shift is still held.",
            10,
            Datagram::Input(InputBatch {
                sent: 60_000,
                floor: InputSeq(21),
                first: InputSeq(21),
                held: vec![KeyCode(42)],
                ..InputBatch::default()
            }),
        ),
        (
            "022-input-meaning",
            "The key beside Tab went down, which is an a at the viewer; then the right Alt, which shifts to the third level there.",
            10,
            Datagram::Input(InputBatch {
                sent: 60_000,
                floor: InputSeq(21),
                first: InputSeq(21),
                events: vec![
                    (Span::micros(2_000), InputEvent::Press { code: KeyCode(16), means: Meaning(0x61) }),
                    (Span::ZERO, InputEvent::Press { code: KeyCode(100), means: Meaning(0xfe03) }),
                ],
                held: vec![KeyCode(16), KeyCode(100)],
                ..InputBatch::default()
            }),
        ),
        (
            "023-input-touch",
            "Finger 0 touched, finger 9 moved, finger 3 left; 0 and 9 still touch.",
            10,
            Datagram::Input(InputBatch {
                sent: 60_000,
                floor: InputSeq(21),
                first: InputSeq(21),
                events: vec![
                    (Span::micros(900), touch(0, TouchPhase::Down, 40_000)),
                    (Span::micros(300), touch(9, TouchPhase::Move, 0)),
                    (Span::ZERO, touch(3, TouchPhase::Up, 0)),
                ],
                fingers: vec![0, 9],
                ..InputBatch::default()
            }),
        ),
        (
            "024-input-pen",
            "A pen came near, leaning 30 degrees to the left; then its other end draws with the upper button held. It is near still.",
            10,
            Datagram::Input(InputBatch {
                sent: 60_000,
                floor: InputSeq(24),
                first: InputSeq(24),
                events: vec![
                    (Span::micros(5_000), InputEvent::Pen(near)),
                    (
                        Span::ZERO,
                        InputEvent::Pen(Pen { pressure: 65_535, touching: true, eraser: true, buttons: 2, ..near }),
                    ),
                ],
                pen: true,
                ..InputBatch::default()
            }),
        ),
        (
            "030-cursor",
            "The pointer at (5, -6), shown, with shape 9.",
            11,
            Datagram::Cursor(CursorState { at: Point::new(5, -6), shape: 9, visible: true }),
        ),
        (
            "031-cursor-hidden",
            "The pointer at (1919, 1079), not shown.",
            12,
            Datagram::Cursor(CursorState { at: Point::new(1919, 1079), shape: 9, visible: false }),
        ),
        ("040-padding", "Five bytes of nothing.", 13, Datagram::Padding(5)),
    ]
}

/// Name, meaning in words, whether size and journey are there, the body.
fn bodies() -> Vec<(&'static str, &'static str, SliceBody)> {
    vec![
        (
            "050-body-size-journey",
            "The body of a slice whose shards have SIZE and JOURNEY: 1920 by 1080; captured at 5,000.001 s of the host's clock, 900 us after input event 77 was injected.",
            SliceBody { size: Some(Size::new(1920, 1080)), journey: Some(journey(true)), ops: vec![1, 2, 3] },
        ),
        (
            "051-body-journey-no-input",
            "The body of a slice whose shards have JOURNEY only; no input had been injected.",
            SliceBody { size: None, journey: Some(journey(false)), ops: vec![9] },
        ),
        (
            "052-body-ops",
            "The body of a slice whose shards have neither: nothing but ops.",
            SliceBody { size: None, journey: None, ops: vec![7, 8, 9] },
        ),
    ]
}

fn controls() -> Vec<(&'static str, &'static str, Control)> {
    let mut bgra = vec![0; 8 * 8 * 4];
    bgra[20..60].copy_from_slice(&core::array::from_fn::<u8, 40, _>(|i| i as u8 * 3));
    vec![
        (
            "101-hello",
            "Versions 1 to 3; a tile cache of 64 MiB, plain text on the clipboard.",
            Control::Hello {
                oldest: 1,
                newest: 3,
                capabilities: Capabilities::default()
                    .with(Capability::CacheBytes, 64 << 20)
                    .with(Capability::Clipboard, 1),
                agent: "telepane 0.1".into(),
            },
        ),
        (
            "102-auth",
            "An authentication message (here 201-host-refuse).",
            Control::Auth(vec![1, 5, 3, 1, 0, 0, 0xea, 0x60]),
        ),
        (
            "103-attach-new",
            "A new session; no wish for a size; nothing is held.",
            Control::Attach { session: [0; 16], want: None, scale: 100, held: vec![] },
        ),
        (
            "104-attach-resume",
            "The session 0707… is resumed; the viewer still holds what slice 1000 of epoch 4 left and takes none up to 1010.",
            Control::Attach {
                session: [7; 16],
                want: Some(Size::new(1280, 720)),
                scale: 150,
                held: vec![Held {
                    surface: SurfaceId(0),
                    epoch: Epoch(4),
                    applied: UpdateId(1000),
                    through: UpdateId(1010),
                }],
            },
        ),
        (
            "105-welcome",
            "Session 0909… is resumed, its desktop can be resized.",
            Control::Welcome {
                version: 1,
                session: [9; 16],
                resumed: true,
                now: Stamp::from_micros(123_456_789),
                resizable: true,
                host: "büro".into(),
            },
        ),
        (
            "106-refuse",
            "Someone else is connected.",
            Control::Refuse { reason: RefuseReason::Busy, text: "someone is here".into() },
        ),
        ("107-resize", "800 by 600 at 100 %.", Control::Resize { size: Size::new(800, 600), scale: 100 }),
        (
            "108-refresh",
            "What is held of epoch 2 of surface 0 is unusable.",
            Control::Refresh { surface: SurfaceId(0), epoch: Epoch(2) },
        ),
        (
            "109-cursor-shape",
            "Shape 3: 8 by 8 pixels, 10 of them one by one between two runs of transparent ones.",
            Control::CursorShape(CursorShape { id: 3, w: 8, h: 8, hot_x: 1, hot_y: 2, bgra }),
        ),
        (
            "110-cursor-shape-none",
            "Shape 4: no pixels, the pointer is invisible.",
            Control::CursorShape(CursorShape { id: 4, ..CursorShape::default() }),
        ),
        ("111-clip-offer", "Offer 5: plain text.", Control::ClipOffer { serial: 5, formats: 1 }),
        ("112-clip-offer-nothing", "Offer 6 takes offer 5 back.", Control::ClipOffer { serial: 6, formats: 0 }),
        ("113-clip-request", "Request 2 asks for offer 5.", Control::ClipRequest { serial: 5, id: 2 }),
        (
            "114-clip-chunk",
            "The last part of what request 2 asked for.",
            Control::ClipChunk { id: 2, last: true, bytes: b"hello".to_vec() },
        ),
        ("115-clip-refuse", "Request 2 gets nothing.", Control::ClipRefuse { id: 2 }),
        (
            "160-clip-offer-rich",
            "Offer 7: text, HTML and an image, marked secret.",
            Control::Clip(ClipWord::Offer {
                serial: 7,
                offer: ClipOffer {
                    selection: Selection::Clipboard,
                    formats: [ClipFormat::Text, ClipFormat::Html, ClipFormat::Png].into_iter().collect(),
                    secret: true,
                },
            }),
        ),
        (
            "161-clip-request-rich",
            "Request 3 asks for what the second selection has, as RTF.",
            Control::Clip(ClipWord::Request {
                serial: 8,
                id: 3,
                selection: Selection::Primary,
                format: ClipFormat::Rtf,
            }),
        ),
        (
            "162-clip-size",
            "The answer to request 3 has 70,000 bytes and comes in pipe 7.",
            Control::Clip(ClipWord::Size { id: 3, size: 70_000 }),
        ),
        ("163-clip-cancel", "Nobody waits for request 3 any more.", Control::Clip(ClipWord::Cancel { id: 3 })),
        ("116-notice", "A sentence for the person.", Control::Notice("hello".into())),
        (
            "117-bye",
            "Another client took over.",
            Control::Bye { reason: Goodbye::TakenOver, text: "another client".into() },
        ),
        (
            "118-cache-offer",
            "Slot 1024 holds a tile, slot 1025 none.",
            Control::CacheOffer { first: 1024, hashes: vec![0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10, 0] },
        ),
        (
            "180-proofs",
            "With slice 70,000 of epoch 3 applied, tiles 5, 6 and 510 show pixels of these hashes.",
            Control::Proofs(Proofs {
                surface: SurfaceId(0),
                epoch: Epoch(3),
                applied: UpdateId(70_000),
                tiles: vec![(5, 0x0102_0304_0506_0708), (6, u64::MAX), (510, 9)],
            }),
        ),
        (
            "160-monitors-wish",
            "Two monitors: the primary one of 1920 by 1080 at 100 %, and right of it, 200 pixels lower, one at 150 %.",
            Control::MonitorsWish(vec![
                Monitor {
                    place: Rect::new(0, 0, 1920, 1080),
                    scale: 100,
                    refresh: 59_951,
                    primary: true,
                    name: "DP-1".into(),
                },
                Monitor { place: Rect::new(1920, 200, 800, 600), scale: 150, ..Monitor::default() },
            ]),
        ),
        (
            "161-monitors-told",
            "One monitor.",
            Control::MonitorsTold(vec![Monitor {
                place: Rect::new(0, 0, 1280, 720),
                scale: 100,
                refresh: 60_000,
                primary: true,
                name: "DUMMY0".into(),
            }]),
        ),
        ("162-pointer-put", "The pointer was put to 400, 300.", Control::PointerPut(Point::new(400, 300))),
        ("140-policy-wish", "The person wishes for PCoIP's profile D.", Control::PolicyWish(Preset::D.policy())),
        ("141-policy-told-nothing", "Nothing is set.", Control::PolicyTold(SessionPolicy::NONE)),
        ("146-suppress-output", "Nothing of the screen is seen.", Control::SuppressOutput(true)),
        (
            "119-sound-wish",
            "The desktop's sound is wanted, and the microphone is on.",
            Control::SoundWish { listens: true, speaks: true },
        ),
        (
            "120-sound-state",
            "The desktop can be heard; no microphone is let in.",
            Control::SoundState { offers: true, takes: false },
        ),
        (
            "130-bulk-more",
            "Pipe 6, of file request 3, may run on to byte 16 MiB.",
            Control::BulkMore { pipe: 6, upto: 16 << 20 },
        ),
        ("131-file-attach", "A session of files alone.", Control::File(FileWord::Attach)),
        (
            "132-file-get",
            "Request 1 wants notes/plan.txt, of which 7 bytes are here from when it had 9.",
            Control::File(FileWord::Get { id: 1, path: "notes/plan.txt".into(), held: 7, size: 9, modified: MODIFIED }),
        ),
        (
            "133-file-info",
            "It still is the same file, and follows from byte 7 on.",
            Control::File(FileWord::Info { id: 1, offset: 7, size: 9, modified: MODIFIED, executable: false }),
        ),
        (
            "134-file-put",
            "Request 2 brings a program of 70,000 bytes.",
            Control::File(FileWord::Put {
                id: 2,
                path: "büro/run".into(),
                size: 70_000,
                modified: MODIFIED,
                executable: true,
            }),
        ),
        ("135-file-take", "From byte 40,000 on.", Control::File(FileWord::Take { id: 2, offset: 40_000 })),
        (
            "136-file-sum",
            "The whole of request 2 was sent.",
            Control::File(FileWord::Sum { id: 2, sha256: core::array::from_fn(|i| i as u8) }),
        ),
        (
            "137-file-end",
            "Request 2 failed: its contents are not what the hash says.",
            Control::File(FileWord::End { id: 2, outcome: Outcome::Corrupt, text: "damaged".into() }),
        ),
        ("138-file-list", "What the directory holds.", Control::File(FileWord::List { id: 3, path: String::new() })),
        (
            "139-file-entries",
            "A directory and a file, and that is all.",
            Control::File(FileWord::Entries {
                id: 3,
                last: true,
                directory: true,
                entries: vec![
                    Entry { name: "büro".into(), kind: EntryKind::Directory, size: 0, modified: MODIFIED },
                    Entry { name: "a".into(), kind: EntryKind::File, size: 9, modified: MODIFIED },
                ],
            }),
        ),
        (
            "140-file-make-dir",
            "A directory to be made.",
            Control::File(FileWord::MakeDir { id: 4, path: "büro/new".into() }),
        ),
        (
            "170-ending",
            "For lack of input the session ends in 350 s.",
            Control::Life(LifeWord::Ending(Some((Ending::Idle, Span::secs(350))))),
        ),
        ("171-ending-nothing", "Nothing is about to end the session.", Control::Life(LifeWord::Ending(None))),
        ("172-host-state", "The host goes to sleep.", Control::Life(LifeWord::HostState(HostState::Sleeps))),
        ("173-keep-awake", "The screen is to stay on.", Control::Life(LifeWord::KeepAwake(true))),
        (
            "174-people",
            "The viewer itself, and bob.",
            Control::Life(LifeWord::People(vec![
                Person { name: "laptop".into(), user: String::new(), you: true },
                Person { name: "büro".into(), user: "bob".into(), you: false },
            ])),
        ),
        (
            "175-place",
            "The person works in Berlin and in German.",
            Control::Life(LifeWord::Place(Place { zone: "Europe/Berlin".into(), locale: "de_DE.UTF-8".into() })),
        ),
        (
            "176-bye-idle",
            "The session ended for lack of input.",
            Control::Bye { reason: Goodbye::Idle, text: "no input for 60 min".into() },
        ),
    ]
}

/// An afternoon in November 2026.
const MODIFIED: u64 = 1_795_000_000_000_000;

// spec: S-1, S-4, D-1, D-2, D-3, D-5, D-9, D-11, D-17, D-18, D-19, D-20, D-21, D-23, D-24, D-26, D-27
#[test]
fn datagram_vectors() {
    for (name, what, seq, datagram) in datagrams() {
        let bytes = datagram.encode(seq);
        check(name, what, &bytes, &walk::datagram(&bytes));
        assert_eq!(Datagram::decode(&bytes), Ok(((seq & 0xffff) as u16, datagram)), "{name}");
    }
}

// spec: D-14, D-15, D-30
#[test]
fn body_vectors() {
    // An instant of the host's clock half an hour away restores the stamps.
    let near = Stamp::from_micros(6_800_000_000);
    for (name, what, body) in bodies() {
        let (size, journey) = (body.size.is_some(), body.journey.is_some());
        let bytes = body.encode();
        check(name, what, &bytes, &walk::body(&bytes, size, journey));
        assert_eq!(SliceBody::decode(&bytes, size, journey, near), Ok(body), "{name}");
    }
}

// spec: K-80, K-81, K-82, K-83, K-84, S-6, S-7, K-1, K-40, K-41, K-42, K-5, K-6, K-7, K-8, K-9, K-10, K-11, K-12, K-13, K-14, K-15, K-19, K-20, V-4, X-1
#[test]
fn control_vectors() {
    for (name, what, message) in controls() {
        let bytes = message.encode();
        check(name, what, &bytes, &walk::control(&bytes));
        assert_eq!(Control::decode(&bytes), Ok(message), "{name}");
    }
}

// spec: B-2
#[test]
fn chunk_vectors() {
    let chunks = [
        (
            "150-chunk",
            "Five bytes of pipe 6 at byte 70,000; number 0x1fffe of its sender.",
            0x1_fffe,
            Chunk { pipe: 6, offset: 70_000, last: false, bytes: b"bytes".to_vec() },
        ),
        (
            "151-chunk-end",
            "Pipe 7 ends at byte 9 without more bytes.",
            4,
            Chunk { pipe: 7, offset: 9, last: true, bytes: vec![] },
        ),
    ];
    for (name, what, seq, chunk) in chunks {
        let bytes = chunk.encode(seq);
        check(name, what, &bytes, &walk::chunk(&bytes));
        assert_eq!(Chunk::decode(&bytes), Ok(((seq & 0xffff) as u16, chunk)), "{name}");
    }
}

/// A binary message of the WebSocket: what each lane carries is another page's vector, whole.
// spec: WS-6, WS-8
#[test]
fn carried_vectors() {
    let other = |name: &str| std::fs::read(spec().join("vectors").join(name)).unwrap();
    let (input, hello, chunk) = (other("020-input.bin"), other("101-hello.bin"), other("150-chunk.bin"));
    let messages = [
        ("190-carried-datagram", "Lane 0 with the datagram of 020-input.", Carried::Datagram(&input)),
        ("191-carried-datagram-empty", "Lane 0 with a datagram of no bytes.", Carried::Datagram(&[])),
        ("192-carried-control", "Lane 1 with the message of 101-hello, without a length.", Carried::Control(&hello)),
        ("193-carried-chunk", "Lane 2 with the chunk of 150-chunk.", Carried::Chunk(&chunk)),
        (
            "194-carried-end",
            "Lane 3: the end with code 0x7400 (shutting down) and its text.",
            Carried::Close { code: 0x7400, text: b"shutting-down" },
        ),
        ("195-carried-end-bare", "Lane 3: the end without a text.", Carried::Close { code: 0x7406, text: b"" }),
    ];
    for (name, what, message) in messages {
        let bytes = message.encode();
        check(name, what, &bytes, &walk::carried(&bytes));
        assert_eq!(Carried::decode(&bytes, telepane_protocol::MAX_CONTROL), Ok(message), "{name}");
    }
    // Nobody writes this one yet.
    let later = [&[4][..], &hello].concat();
    check("196-carried-later-lane", "A lane without a meaning here: skipped.", &later, &walk::carried(&later));
    assert_eq!(Carried::decode(&later, telepane_protocol::MAX_CONTROL), Ok(Carried::Unknown));
}

// spec
#[test]
fn file_messages_are_read_or_refused() {
    assert!(matches!(
        Control::decode(&[27, 1, 77, 0]),
        Ok(Control::File(FileWord::End { outcome: Outcome::Other, .. }))
    ));
    for path in ["/a", "a/../b", "..", "a\0b", "a\n"] {
        let put = FileWord::Put { id: 1, path: path.into(), size: 0, modified: 0, executable: false };
        assert_eq!(Control::decode(&Control::File(put).encode()), Err(Fault::BadPath));
    }
    let entry = Entry { name: "a/b".into(), kind: EntryKind::File, size: 0, modified: 0 };
    let entries = FileWord::Entries { id: 1, last: true, directory: false, entries: vec![entry] };
    assert_eq!(Control::decode(&Control::File(entries).encode()), Err(Fault::BadPath));
    let take = FileWord::Take { id: 1 << 31, offset: 0 };
    assert_eq!(Control::decode(&Control::File(take).encode()), Err(Fault::NumberTooLarge));
    assert!(!Control::File(FileWord::Attach).from_host() && Control::File(FileWord::Attach).from_viewer());
    assert!(Control::File(FileWord::Take { id: 1, offset: 0 }).from_host());
    assert!(!Control::File(FileWord::Take { id: 1, offset: 0 }).from_viewer());
}

// spec: V-4, K-16
#[test]
fn what_has_no_meaning_yet_is_taken_and_what_is_said_twice_is_not() {
    let hello = |list: &[u8]| Control::decode(&[&[1, 1, 1][..], list, &[0]].concat());
    assert_eq!(hello(&[2, 7, 0, 7, 1]), Err(Fault::CapabilityTwice));
    assert_eq!(hello(&[0x40, 65]), Err(Fault::ListTooLong));
    let Ok(Control::Hello { capabilities, .. }) = hello(&[1, 60, 5]) else {
        panic!("an unknown capability is no fault")
    };
    assert_eq!(capabilities.value(Capability::SlicePixels), 524_288, "what is missing has its default");
    assert!(matches!(Control::decode(&[5, 77, 0]), Ok(Control::Refuse { reason: RefuseReason::Other, .. })));
    assert!(matches!(Control::decode(&[14, 77, 0]), Ok(Control::Bye { reason: Goodbye::Other, .. })));
}

#[test]
fn every_kind_has_a_vector() {
    let with: BTreeSet<u8> = datagrams().iter().map(|(_, _, seq, d)| d.encode(*seq)[0] & 15).collect();
    for kind in 0..16 {
        let known = Datagram::decode(&[kind, 0, 0]) != Err(Fault::UnknownDatagram);
        assert_eq!(known, with.contains(&kind), "datagram kind {kind}");
    }
    let with: BTreeSet<u8> = controls().iter().map(|(_, _, c)| c.encode()[0]).collect();
    for kind in 0..64 {
        let known = Control::decode(&[kind]) != Err(Fault::UnknownControl);
        assert_eq!(known, with.contains(&kind), "control kind {kind}");
    }
    // Every flag of a shard and of feedback, set and not set.
    let flags = |kind: u8| {
        let all: Vec<u8> = datagrams().iter().map(|(_, _, n, d)| d.encode(*n)[0]).filter(|b| b & 15 == kind).collect();
        (all.iter().fold(0, |a, b| a | b), all.iter().fold(0xff, |a, b| a & b))
    };
    assert_eq!(flags(1), (0xf1, 0x01));
    assert_eq!((flags(2), flags(4)), ((0x72, 0x02), (0x14, 0x04)));
    assert_eq!(flags(6), (0x36, 0x06));
}

/// The names in the first column of the tables of `faults.md`, in order.
#[test]
fn the_fault_page_and_the_code_name_the_same_faults() {
    let page = std::fs::read_to_string(spec().join("faults.md")).unwrap();
    let section = page.split("\n## ").find(|s| s.starts_with("The faults")).expect("a section \"The faults\"");
    let names: Vec<&str> =
        section.lines().filter_map(|l| l.strip_prefix("| `")?.split_once('`').map(|(name, _)| name)).collect();
    let code: Vec<&str> = Fault::ALL.iter().map(|f| f.name()).collect();
    assert_eq!(names, code);
}
