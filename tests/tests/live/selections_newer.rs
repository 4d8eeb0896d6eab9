//! The clipboard over the newer of Wayland's two protocols for it, and where a compositor tells whether a person is at work.

use super::compositor::Compositor;
use super::process::{PATIENCE, now, pause};
use std::time::Duration;
use telepane_input::clipboard::{ClipError, ClipEvent, Clipboard, FetchId};
use telepane_model::{ClipFormat, ClipFormats, ClipOffer, Selection, Stamp};

/// Two programs at one compositor.
struct Two {
    compositor: Compositor,
    ours: Clipboard,
    theirs: Clipboard,
    /// The time they are told, in seconds.
    at: u64,
}

impl Two {
    fn start(notifier: u32, selection: Selection) -> Self {
        let compositor = Compositor::start(notifier);
        let open = || Clipboard::open_wayland(Some(&compositor.socket), selection).expect("it shares its selections");
        let (ours, theirs) = (open(), open());
        Self { compositor, ours, theirs, at: 0 }
    }

    /// What both tell until one does, ours first.
    fn next(&mut self) -> (Option<ClipEvent>, Option<ClipEvent>) {
        let start = now();
        loop {
            let at = Stamp::from_micros(self.at * 1_000_000);
            let told = (self.ours.poll(at).expect("it lives"), self.theirs.poll(at).expect("it lives"));
            if told != (None, None) {
                return told;
            }
            assert!(start.elapsed() < PATIENCE, "neither tells anything");
            pause(Duration::from_millis(1));
        }
    }

    /// Neither tells anything for a moment.
    fn silent(&mut self) {
        let start = now();
        while start.elapsed() < Duration::from_millis(100) {
            let at = Stamp::from_micros(self.at * 1_000_000);
            assert_eq!((self.ours.poll(at).expect("it lives"), self.theirs.poll(at).expect("it lives")), (None, None));
            pause(Duration::from_millis(1));
        }
    }

    /// Ours offers, and they hear of it.
    fn offer(&mut self, formats: ClipFormats, secret: bool) {
        self.ours.offer(formats, secret).expect("it lives");
        let offer = ClipOffer { selection: self.ours.selection(), formats, secret };
        assert_eq!(self.next(), (None, Some(ClipEvent::Changed(offer))));
        self.silent();
    }

    /// They paste, and are given `data` if ours is asked for it.
    fn paste(&mut self, format: ClipFormat, data: &[u8]) -> Result<Vec<u8>, ClipError> {
        self.theirs.fetch(FetchId(1), format).expect("it lives");
        loop {
            match self.next() {
                (Some(ClipEvent::Wanted { id, format: wanted }), None) => {
                    assert_eq!(wanted, format);
                    self.ours.provide(id, data).expect("it lives");
                }
                (None, Some(ClipEvent::Fetched { id: FetchId(1), data })) => return data,
                other => panic!("{other:?}"),
            }
        }
    }
}

const NOTHING: Result<Vec<u8>, ClipError> = Ok(Vec::new());

#[test]
fn the_newer_protocol_carries_every_kind_of_both_selections() {
    for selection in Selection::ALL {
        let mut two = Two::start(2, selection);
        two.silent();
        two.offer(ClipFormats::ALL, false);
        let much: Vec<u8> = (0..3_000_000u32).map(|i| (i ^ i >> 8) as u8).collect();
        let kinds: [(ClipFormat, &[u8]); 4] = [
            (ClipFormat::Text, "zwölf\n".as_bytes()),
            (ClipFormat::Html, b"<b>x</b>"),
            (ClipFormat::Rtf, b"{\\rtf1}"),
            (ClipFormat::Png, &much),
        ];
        for (format, data) in kinds {
            assert!(two.paste(format, data) == Ok(data.to_vec()), "{format:?}");
        }
        // They take over: one new owner, heard of once, and no way back.
        two.theirs.offer(ClipFormats::TEXT, false).expect("it lives");
        let text = ClipOffer { selection, formats: ClipFormats::TEXT, secret: false };
        assert_eq!(two.next(), (Some(ClipEvent::Changed(text)), None));
        two.silent();
        assert!(!two.ours.is_ours() && two.theirs.is_ours());
        assert_eq!(two.compositor.set(), if selection == Selection::Clipboard { 2 } else { 0 });
        two.theirs.withdraw().expect("it lives");
        let nothing = ClipOffer { selection, ..ClipOffer::default() };
        assert_eq!(two.next(), (Some(ClipEvent::Changed(nothing)), None));
    }
}

#[test]
fn what_a_clipboard_manager_copies_is_somebody_elses_though_it_has_all_our_names() {
    let mut two = Two::start(0, Selection::Clipboard);
    two.offer(ClipFormats::TEXT, false);
    two.compositor.copies();
    let text = || Some(ClipEvent::Changed(ClipOffer { formats: ClipFormats::TEXT, ..ClipOffer::default() }));
    let (mut ours, mut theirs) = two.next();
    while ours.is_none() || theirs.is_none() {
        let (more, and) = two.next();
        (ours, theirs) = (ours.or(more), theirs.or(and));
    }
    assert_eq!((ours, theirs), (text(), text()));
    assert!(!two.ours.is_ours());
    two.silent();
}

// spec: K-58
#[test]
fn a_secret_is_given_while_the_compositor_says_that_somebody_is_at_work() {
    let text = ClipFormat::Text;
    let mut two = Two::start(2, Selection::Clipboard);
    assert_eq!(two.compositor.asked(), [(2_000, true); 2], "no film counts as a person");
    two.offer(ClipFormats::TEXT, true);
    assert_eq!(two.paste(text, b"hunter2"), Ok(b"hunter2".to_vec()));
    two.compositor.rests(true);
    two.silent();
    assert_eq!(two.paste(text, b"hunter2"), NOTHING);
    two.compositor.rests(false);
    two.silent();
    assert_eq!(two.paste(text, b"hunter2"), Ok(b"hunter2".to_vec()));

    // One that takes a film for a person is believed only when whoever reads everything has asked.
    let mut two = Two::start(1, Selection::Clipboard);
    assert_eq!(two.compositor.asked(), [(2_000, false); 2]);
    two.offer(ClipFormats::TEXT, true);
    assert_eq!(two.paste(text, b"hunter2"), NOTHING);
    two.at = 2;
    two.silent();
    assert_eq!(two.paste(text, b"hunter2"), Ok(b"hunter2".to_vec()));
    two.compositor.rests(true);
    two.silent();
    assert_eq!(two.paste(text, b"hunter2"), NOTHING);
}

#[test]
fn a_seat_that_goes_is_said_to() {
    let mut two = Two::start(2, Selection::Clipboard);
    two.compositor.ends_seat();
    let start = now();
    while two.ours.poll(Stamp::ZERO).is_ok() {
        assert!(start.elapsed() < PATIENCE);
        pause(Duration::from_millis(1));
    }
}
