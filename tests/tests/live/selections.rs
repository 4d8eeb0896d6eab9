//! What the clipboard keeps to on X11 (`input`'s own tests), on a real Wayland compositor: against the tools people script
//! there, owners that do not answer, and readers that do not read.

use super::process::{PATIENCE, Running, Scratch, Signal, have, now, pause, until};
use super::screen::environment;
use super::sway::Sway;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use telepane_input::OpenError;
use telepane_input::clipboard::{ClipError, ClipEvent, Clipboard, FetchId, LIMIT};
use telepane_model::{ClipFormat, ClipFormats, ClipOffer, Selection, Stamp};

/// What these tests call, for `have`.
pub const PROGRAMS: &[&str] = &["sway", "swaymsg", "setpriv", "wl-copy", "wl-paste"];

/// A compositor with somewhere to put what is copied and pasted.
pub struct Desk {
    pub sway: Sway,
    dir: Scratch,
}

impl Desk {
    pub fn start() -> Self {
        Self::of(Sway::start(800, 600, ""))
    }

    pub fn of(sway: Sway) -> Self {
        let dir = Scratch::new();
        std::fs::set_permissions(dir.join(""), PermissionsExt::from_mode(0o700)).expect("it is ours");
        Self { sway, dir }
    }

    pub fn open(&self, selection: Selection) -> Clipboard {
        Clipboard::open_wayland(Some(&self.sway.file("wayland-1")), selection).expect("sway shares its selections")
    }

    fn start_line(&self, line: &str) -> Running {
        let mut command = Command::new("sh");
        environment(&mut command, &self.dir.join("")).envs(self.sway.variables()).args(["-c", line]);
        Running::start("wl-clipboard", &mut command)
    }

    /// An owner of these contents for as long as it lives; `args` of wl-copy.
    pub fn copy(&self, args: &str, contents: &[u8]) -> Running {
        let file = self.dir.join("copied");
        std::fs::write(&file, contents).expect("the directory is ours");
        self.start_line(&format!("exec wl-copy --foreground {args} < {}", file.display()))
    }

    /// A program that pastes, and the file that it writes; `args` of wl-paste.
    pub fn paste(&self, args: &str) -> (Running, PathBuf) {
        let file = self.dir.join("pasted");
        let _ = std::fs::remove_file(&file);
        let line = format!("exec timeout 10 wl-paste --no-newline {args} > {}", file.display());
        (self.start_line(&line), file)
    }

    /// What a paste gives.
    pub fn pasted(&self, args: &str) -> Vec<u8> {
        let (mut run, file) = self.paste(args);
        run.exit_code(PATIENCE);
        std::fs::read(&file).unwrap_or_default()
    }

    /// The names of what there is.
    pub fn names(&self, args: &str) -> String {
        String::from_utf8_lossy(&self.pasted(&format!("{args} --list-types"))).into_owned()
    }
}

/// The next event.
fn next(clipboard: &mut Clipboard) -> ClipEvent {
    let start = now();
    loop {
        if let Some(event) = clipboard.poll(Stamp::ZERO).expect("it lives") {
            return event;
        }
        assert!(start.elapsed() < PATIENCE, "no event came");
        pause(Duration::from_millis(1));
    }
}

/// Nothing happens for so long.
fn silent(clipboard: &mut Clipboard, time: Duration) {
    let start = now();
    while start.elapsed() < time {
        assert_eq!(clipboard.poll(Stamp::ZERO).expect("it lives"), None);
        pause(Duration::from_millis(1));
    }
}

const MOMENT: Duration = Duration::from_millis(150);
const TEXT: ClipFormat = ClipFormat::Text;

fn changed(formats: ClipFormats) -> ClipEvent {
    ClipEvent::Changed(ClipOffer { formats, ..ClipOffer::default() })
}

fn fetched(id: u64, data: &[u8]) -> ClipEvent {
    ClipEvent::Fetched { id: FetchId(id), data: Ok(data.to_vec()) }
}

fn failed(id: u64, why: ClipError) -> ClipEvent {
    ClipEvent::Fetched { id: FetchId(id), data: Err(why) }
}

/// A program pastes, and is given `data`; what it got.
fn answered(desk: &Desk, clipboard: &mut Clipboard, args: &str, data: &[u8]) -> Vec<u8> {
    let (mut run, file) = desk.paste(args);
    let ClipEvent::Wanted { id, .. } = next(clipboard) else { panic!("not wanted") };
    clipboard.provide(id, data).expect("it lives");
    ends(&mut run, clipboard);
    std::fs::read(&file).unwrap_or_default()
}

/// Polls until a program has ended; there is nothing to tell meanwhile.
fn ends(run: &mut Running, clipboard: &mut Clipboard) -> i32 {
    until("the program ends", PATIENCE, || {
        assert_eq!(clipboard.poll(Stamp::ZERO).expect("it lives"), None);
        run.ended().is_some()
    });
    run.exit_code(PATIENCE)
}

fn long(bytes: usize) -> Vec<u8> {
    "line äλ😀\n".bytes().cycle().take(bytes - bytes % "line äλ😀\n".len()).collect()
}

#[test]
fn what_is_copied_on_wayland_is_told_and_fetched() {
    if !have("selections", PROGRAMS) {
        return;
    }
    let desk = Desk::start();
    let mut clipboard = desk.open(Selection::Clipboard);
    silent(&mut clipboard, MOMENT);
    for (i, text) in (0..).zip([b"plain".to_vec(), "ä€λ😀\nzwei".into(), long(3 << 20)]) {
        let _owner = desk.copy("", &text);
        assert_eq!(next(&mut clipboard), changed(ClipFormats::TEXT));
        clipboard.fetch(FetchId(i), TEXT).expect("it lives");
        assert!(next(&mut clipboard) == fetched(i, &text), "text {i}");
        // One that opens later learns of it too.
        assert_eq!(next(&mut desk.open(Selection::Clipboard)), changed(ClipFormats::TEXT));
        drop(_owner);
        assert_eq!(next(&mut clipboard), changed(ClipFormats::NONE));
    }
    clipboard.fetch(FetchId(9), TEXT).expect("it lives");
    assert_eq!(next(&mut clipboard), failed(9, ClipError::Nothing));
    // What has no kind of ours is no offer, and ends the one before.
    let _text = desk.copy("", b"text");
    assert_eq!(next(&mut clipboard), changed(ClipFormats::TEXT));
    let _colour = desk.copy("--type application/x-colour", b"red");
    assert_eq!(next(&mut clipboard), changed(ClipFormats::NONE));
    clipboard.fetch(FetchId(10), TEXT).expect("it lives");
    assert_eq!(next(&mut clipboard), failed(10, ClipError::Nothing));
}

#[test]
fn what_is_offered_on_wayland_is_pasted_and_nothing_loops() {
    if !have("selections", PROGRAMS) {
        return;
    }
    let desk = Desk::start();
    let (mut clipboard, mut other) = (desk.open(Selection::Clipboard), desk.open(Selection::Clipboard));
    clipboard.offer(ClipFormats::TEXT, false).expect("it lives");
    silent(&mut clipboard, MOMENT);
    assert!(clipboard.is_ours());
    // Another of our own kind is somebody else, and hears of each new owner once.
    assert_eq!(next(&mut other), changed(ClipFormats::TEXT));
    silent(&mut other, MOMENT);
    clipboard.offer(ClipFormats::TEXT, false).expect("it lives");
    silent(&mut clipboard, MOMENT);
    assert_eq!(next(&mut other), changed(ClipFormats::TEXT));
    silent(&mut other, MOMENT);
    for text in [b"plain".to_vec(), Vec::new(), "ä€λ😀\nzwei".into(), long(3 << 20)] {
        let got = answered(&desk, &mut clipboard, "", &text);
        assert!(got == text, "{} bytes of {}", got.len(), text.len());
    }
    assert_eq!(answered(&desk, &mut clipboard, "--type STRING", "aä€".as_bytes()), [b'a', 0xe4, b'?']);
    let names = desk.names("");
    assert!(["UTF8_STRING", "text/plain;charset=utf-8", "text/plain"].iter().all(|n| names.contains(n)), "{names}");
    // Nothing of what is not offered is asked for.
    let (mut run, file) = desk.paste("--type image/png");
    ends(&mut run, &mut clipboard);
    assert_eq!(std::fs::read(&file).unwrap_or_default(), b"");
    for large in [false, true] {
        let (mut run, file) = desk.paste("");
        let ClipEvent::Wanted { id, .. } = next(&mut clipboard) else { panic!("not wanted") };
        match large {
            true => clipboard.provide(id, &vec![b'x'; LIMIT + 1]).expect("it lives"),
            false => clipboard.refuse(id).expect("it lives"),
        }
        ends(&mut run, &mut clipboard);
        assert_eq!(std::fs::read(&file).unwrap_or_default(), b"");
    }
    // A fetch of our own would go round in a circle.
    clipboard.fetch(FetchId(1), TEXT).expect("it lives");
    assert_eq!(next(&mut clipboard), failed(1, ClipError::Nothing));
    // Two that follow each other: the second takes over, and is followed.
    other.offer(ClipFormats::TEXT, false).expect("it lives");
    silent(&mut other, MOMENT);
    assert_eq!(next(&mut clipboard), changed(ClipFormats::TEXT));
    assert!(!clipboard.is_ours() && other.is_ours());
    // What is not ours any more is not taken away.
    clipboard.withdraw().expect("it lives");
    silent(&mut clipboard, MOMENT);
    assert!(desk.names("").contains("text/plain"));
    other.withdraw().expect("it lives");
    silent(&mut other, MOMENT);
    assert_eq!(next(&mut clipboard), changed(ClipFormats::NONE));
}

#[test]
fn every_kind_on_wayland_is_kept_as_it_was_both_ways() {
    if !have("selections", PROGRAMS) {
        return;
    }
    let desk = Desk::start();
    let mut clipboard = desk.open(Selection::Clipboard);
    let picture: Vec<u8> = (0..3_000_000u32).map(|i| (i ^ i >> 8) as u8).collect();
    let kinds: [(ClipFormat, &str, &[u8]); 6] = [
        (ClipFormat::Html, "text/html", "<b>fett ä€</b>".as_bytes()),
        (ClipFormat::Rtf, "text/rtf", b"{\\rtf1 {\\b fett}}"),
        (ClipFormat::Rtf, "application/rtf", b"{\\rtf1 plain}"),
        (ClipFormat::Png, "image/png", &picture),
        (ClipFormat::Files, "text/uri-list", b"file:///tmp/a%20b\r\n"),
        (ClipFormat::Files, "x-special/gnome-copied-files", b"copy\nfile:///tmp/a%20b"),
    ];
    let mut owners = Vec::new();
    for (id, (format, name, data)) in (0..).zip(kinds) {
        // A new owner comes before the old one goes.
        owners.push(desk.copy(&format!("--type {name}"), data));
        let ClipEvent::Changed(offer) = next(&mut clipboard) else { panic!("nothing is told") };
        // wl-copy calls whatever begins with `text/` plain text too.
        assert_eq!(offer.formats.without(TEXT), ClipFormats::NONE.with(format), "{name}");
        clipboard.fetch(FetchId(id), format).expect("it lives");
        assert!(next(&mut clipboard) == fetched(id, data), "{name}");
    }
    clipboard.offer(ClipFormats::ALL, false).expect("it lives");
    silent(&mut clipboard, MOMENT);
    for (format, name, data) in kinds {
        let (mut run, file) = desk.paste(&format!("--type {name}"));
        let ClipEvent::Wanted { id, format: wanted } = next(&mut clipboard) else { panic!("not wanted") };
        assert_eq!(wanted, format);
        match format {
            ClipFormat::Files => clipboard.provide_files(id, &["/tmp/a b".into()]).expect("it lives"),
            _ => clipboard.provide(id, data).expect("it lives"),
        }
        ends(&mut run, &mut clipboard);
        assert!(std::fs::read(&file).unwrap_or_default() == data, "{name}");
    }
}

#[test]
fn too_large_on_wayland_is_refused_and_the_next_still_comes() {
    if !have("selections", PROGRAMS) {
        return;
    }
    let desk = Desk::start();
    let mut clipboard = desk.open(Selection::Clipboard);
    let _large = desk.copy("--type text/plain", &vec![b'x'; LIMIT + 1]);
    assert_eq!(next(&mut clipboard), changed(ClipFormats::TEXT));
    clipboard.fetch(FetchId(1), TEXT).expect("it lives");
    assert_eq!(next(&mut clipboard), failed(1, ClipError::TooLarge));
    let _right = desk.copy("--type text/plain", &vec![b'y'; LIMIT]);
    assert_eq!(next(&mut clipboard), changed(ClipFormats::TEXT));
    clipboard.fetch(FetchId(2), TEXT).expect("it lives");
    let ClipEvent::Fetched { data: Ok(text), .. } = next(&mut clipboard) else { panic!("no text") };
    assert_eq!(text.len(), LIMIT);
}

#[test]
fn who_neither_writes_nor_reads_on_wayland_costs_a_timeout_only() {
    if !have("selections", PROGRAMS) {
        return;
    }
    let desk = Desk::start();
    let mut clipboard = desk.open(Selection::Clipboard);
    let at = |clipboard: &mut Clipboard, seconds: u64| {
        clipboard.poll(Stamp::from_micros(seconds * 1_000_000)).expect("it lives")
    };
    let owner = desk.copy("", b"slow");
    assert_eq!(next(&mut clipboard), changed(ClipFormats::TEXT));
    owner.signal(Signal::Stop);
    clipboard.fetch(FetchId(7), TEXT).expect("it lives");
    for id in 8..20 {
        clipboard.fetch(FetchId(id), TEXT).expect("it lives");
    }
    // So many wait and no more; time passes only in what is said.
    let busy: Vec<_> = std::iter::from_fn(|| at(&mut clipboard, 100)).collect();
    assert_eq!(busy, (16..20).map(|id| failed(id, ClipError::Busy)).collect::<Vec<_>>());
    assert_eq!(at(&mut clipboard, 104), None);
    let deadline = clipboard.deadline().expect("something is waited for");
    assert!(deadline > Stamp::from_micros(100_000_000));
    assert_eq!(clipboard.poll(deadline).expect("it lives"), Some(failed(7, ClipError::TimedOut)));
    // It answers all of them now, the forgotten one's pipe among them: each has its own.
    owner.signal(Signal::Continue);
    for id in 8..16 {
        assert_eq!(next(&mut clipboard), fetched(id, b"slow"));
    }

    clipboard.offer(ClipFormats::TEXT, false).expect("it lives");
    silent(&mut clipboard, MOMENT);
    assert_eq!(
        clipboard.deadline(),
        Some(Stamp::from_micros(1_000_000)),
        "it is known when no greedy program asks any more"
    );
    assert_eq!(at(&mut clipboard, 200), None);
    // Nobody provides anything.
    let (mut run, _) = desk.paste("");
    let ClipEvent::Wanted { id, .. } = next(&mut clipboard) else { panic!("not wanted") };
    assert_eq!(at(&mut clipboard, 5), None);
    clipboard.still(id);
    assert_eq!(at(&mut clipboard, 9), None);
    assert_eq!(at(&mut clipboard, 15), None);
    assert_eq!(at(&mut clipboard, 20), Some(ClipEvent::Unwanted { id }));
    clipboard.provide(id, b"too late").expect("it lives");
    ends(&mut run, &mut clipboard);
    // Nobody reads what is provided.
    let line = "wl-paste --no-newline | (read line && exec sleep 100)";
    let mut reader = desk.start_line(line);
    let ClipEvent::Wanted { id, .. } = next(&mut clipboard) else { panic!("not wanted") };
    let much: Vec<u8> = b"first line\n".iter().copied().chain(std::iter::repeat_n(b'x', 3 << 20)).collect();
    clipboard.provide(id, &much).expect("it lives");
    until("the pipe is full", PATIENCE, || at(&mut clipboard, 400).is_none() && clipboard.deadline().is_some());
    pause(MOMENT);
    assert_eq!(at(&mut clipboard, 400), None);
    assert!(clipboard.deadline().is_some(), "it waits for the reader");
    assert_eq!(at(&mut clipboard, 500), None);
    assert_eq!(clipboard.deadline(), None, "it does so no longer");
    assert_eq!(reader.ended(), None);
}

// spec: K-58
#[test]
fn a_secret_on_wayland_is_told_as_one_and_kept_from_programs_that_read_everything() {
    if !have("selections", PROGRAMS) {
        return;
    }
    let desk = Desk::start();
    let (mut clipboard, mut other) = (desk.open(Selection::Clipboard), desk.open(Selection::Clipboard));
    for mark in telepane_model::clipboard::SECRET_MARKS {
        let _owner = desk.copy(&format!("--type '{mark}'"), b"secret");
        // What nothing of ours is beside is no offer.
        silent(&mut clipboard, MOMENT);
    }
    clipboard.offer(ClipFormats::TEXT, true).expect("it lives");
    silent(&mut clipboard, MOMENT);
    let secret = ClipOffer { formats: ClipFormats::TEXT, secret: true, ..ClipOffer::default() };
    assert_eq!(next(&mut other), ClipEvent::Changed(secret));
    // It was offered this moment, and sway does not tell who is at work.
    let (mut run, file) = desk.paste("--type text/plain");
    ends(&mut run, &mut clipboard);
    assert_eq!(std::fs::read(&file).unwrap_or_default(), b"");
    let (mut run, file) = desk.paste("--type x-kde-passwordManagerHint");
    ends(&mut run, &mut clipboard);
    assert_eq!(std::fs::read(&file).expect("it was written"), b"secret", "the mark is given");
    assert_eq!(clipboard.poll(Stamp::from_micros(2_000_000)).expect("it lives"), None);
    assert_eq!(answered(&desk, &mut clipboard, "--type text/plain", b"hunter2"), b"hunter2");
    // No secret any more.
    clipboard.offer(ClipFormats::TEXT, false).expect("it lives");
    silent(&mut clipboard, MOMENT);
    assert_eq!(next(&mut other), changed(ClipFormats::TEXT));
    assert_eq!(answered(&desk, &mut clipboard, "", b"anybody's"), b"anybody's");
}

#[test]
fn the_second_selection_on_wayland_is_one_of_its_own() {
    if !have("selections", PROGRAMS) {
        return;
    }
    let desk = Desk::start();
    let (mut clipboard, mut primary) = (desk.open(Selection::Clipboard), desk.open(Selection::Primary));
    let _owner = desk.copy("--primary", b"selected");
    let offer = ClipOffer { selection: Selection::Primary, formats: ClipFormats::TEXT, secret: false };
    assert_eq!(next(&mut primary), ClipEvent::Changed(offer));
    primary.fetch(FetchId(1), TEXT).expect("it lives");
    assert_eq!(next(&mut primary), fetched(1, b"selected"));
    silent(&mut clipboard, MOMENT);
    primary.offer(ClipFormats::TEXT, false).expect("it lives");
    silent(&mut primary, MOMENT);
    assert_eq!(answered(&desk, &mut primary, "--primary", b"from afar"), b"from afar");
    assert!(primary.is_ours() && !clipboard.is_ours());
    silent(&mut clipboard, MOMENT);
}

#[test]
fn a_compositor_that_ends_or_shares_nothing_is_said_to() {
    if have("selections", PROGRAMS) {
        let desk = Desk::start();
        let (mut clipboard, socket) = (desk.open(Selection::Clipboard), desk.sway.file("wayland-1"));
        drop(desk);
        until("it is noticed", PATIENCE, || clipboard.poll(Stamp::ZERO).is_err());
        let again = Clipboard::open_wayland(Some(&socket), Selection::Clipboard);
        assert!(matches!(again, Err(OpenError::Compositor { .. })), "{again:?}");
    }
    if have("selections of a compositor that shares none", &["weston"]) {
        let runtime = Scratch::new();
        let mut command = Command::new("weston");
        environment(&mut command, &runtime.join("")).args(["--backend=headless-backend.so", "--idle-time=0"]);
        let _weston = Running::start("weston", command.arg("--socket=telepane-shares-none"));
        let socket = runtime.join("telepane-shares-none");
        until("weston listens", PATIENCE, || socket.exists());
        let opened = Clipboard::open_wayland(Some(&socket), Selection::Clipboard);
        assert!(matches!(opened, Err(OpenError::KeptByWindows)), "{opened:?}");
    }
}
