//! What is copied on an X11 host is pasted at a client on Wayland, and the other way round, with the tools people script.

use super::process::{PATIENCE, Running, Scratch, have, now, pause, program, until};
use super::screen::{Screen, environment};
use super::selections::{Desk, PROGRAMS};
use super::stage::{Agent, connect_on, relay};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use telepane_input::clipboard::files::paths;
use telepane_input::clipboard::{ClipEvent, Clipboard};
use telepane_model::{ClipFormats, Rng, Selection, Stamp};
use telepane_transport::relay::{LinkModel, Relay};

/// A client on sway. The fields end in this order.
struct Set {
    client: Running,
    relay: Relay,
    _agent: Agent,
    there: Desk,
    here: Screen,
    dir: Scratch,
}

impl Set {
    fn start(args: &[&str]) -> Option<Self> {
        if !have("the clipboard on Wayland", PROGRAMS) || !have("the clipboard on Wayland", &["Xvfb", "xclip"]) {
            return None;
        }
        let dir = Scratch::new();
        let (here, there) = (Screen::start(800, 600), Desk::start());
        let agent = Agent::start(&dir, &["--display", &here.name]);
        let relay = relay(&agent, LinkModel::default());
        let client = connect_on(&dir, &there.sway.variables(), &relay.addr().to_string(), args);
        until("it is shown", PATIENCE, || client.err().contains("attached"));
        Some(Self { client, relay, _agent: agent, there, here, dir })
    }

    /// Runs xclip on the host, and gives what it wrote.
    fn xclip(&self, args: &str) -> Vec<u8> {
        let file = self.dir.join("pasted");
        let _ = std::fs::remove_file(&file);
        let line = format!("exec timeout 10 xclip {args} > {}", file.display());
        self.here.run("xclip", &self.dir.join(""), &["sh", "-c", &line]).exit_code(PATIENCE);
        std::fs::read(&file).unwrap_or_default()
    }

    /// An owner on the host for as long as it lives.
    fn own(&self, selection: &str, name: &str, contents: &[u8]) -> Running {
        let file = self.dir.join("copied");
        std::fs::write(&file, contents).expect("a file");
        let file = file.display().to_string();
        let args = ["xclip", "-selection", selection, "-t", name, "-quiet", "-in", &file];
        let owner = self.here.run("xclip", &self.dir.join(""), &args);
        until("xclip owns it", PATIENCE, || self.xclip(&format!("-selection {selection} -o -t {name}")) == contents);
        owner
    }

    /// What is pasted at the client comes to be this.
    fn comes_here(&self, name: &str, contents: &[u8]) {
        let took = until("the client's side can paste it", PATIENCE, || {
            self.there.names("").contains(name) && self.there.pasted(&format!("--type '{name}'")) == contents
        });
        println!("clipboard: {} bytes of {name} to Wayland in {took:?}", contents.len());
    }

    /// What is pasted on the host comes to be this.
    fn comes_there(&self, name: &str, contents: &[u8]) {
        let pasted = || self.xclip(&format!("-selection clipboard -o -t '{name}'"));
        let took = until("the host can paste it", PATIENCE, || pasted() == contents);
        println!("clipboard: {} bytes of {name} from Wayland in {took:?}", contents.len());
    }
}

// spec: K-50, K-53
#[test]
fn every_kind_goes_both_ways_between_x11_and_wayland() {
    let Some(set) = Set::start(&[]) else { return };
    let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\0\0\0\x02\0\x08\x06\0\0\0".to_vec();
    picture.extend((0..4_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8));
    let long = "zwölf Boxkämpfer ☕ 日本語\n".repeat(8_000);
    let kinds: [(&str, &[u8]); 5] = [
        ("UTF8_STRING", "zwölf Boxkämpfer ☕".as_bytes()),
        ("UTF8_STRING", long.as_bytes()),
        ("text/html", "<p>fett: <b>ä€</b></p>".as_bytes()),
        ("text/rtf", b"{\\rtf1\\ansi {\\b bold}}"),
        ("image/png", &picture),
    ];
    for (name, contents) in kinds {
        let _owner = set.own("clipboard", name, contents);
        set.comes_here(name, contents);
    }
    for (name, contents) in kinds {
        // Others than before: the same at once, time after time, is taken for what comes back (K-56).
        let contents = [contents, b" "].concat();
        let _owner = set.there.copy(&format!("--type '{name}'"), &contents);
        set.comes_there(name, &contents);
    }
    // What might act on its own is pasted nowhere.
    let _owner = set.own("clipboard", "text/html", b"<script>alert(1)</script>");
    until("it is offered", PATIENCE, || set.there.names("").contains("text/html"));
    assert_eq!(set.there.pasted("--type text/html"), b"");
}

/// Names with what file names can have, and a directory; what is pasted is a copy of its own.
// spec: K-60, K-61
#[test]
fn files_go_both_ways_between_x11_and_wayland() {
    let Some(set) = Set::start(&[]) else { return };
    let folder = set.dir.join("from");
    std::fs::create_dir_all(folder.join("a directory")).expect("a directory");
    std::fs::write(folder.join("a directory/größe 1%.txt"), "inside").expect("a file");
    let address = format!("file://{}\r\n", folder.join("a%20directory").display());
    let wayland = |desk: &Desk| paths(&desk.pasted("--type text/uri-list"));
    let x11 = |set: &Set| paths(&set.xclip("-selection clipboard -o -t text/uri-list"));
    for to_wayland in [true, false] {
        let _owner = match to_wayland {
            true => set.own("clipboard", "text/uri-list", address.as_bytes()),
            false => set.there.copy("--type text/uri-list", address.as_bytes()),
        };
        let mut copies = Vec::new();
        until("the other side has the files", PATIENCE, || {
            copies = if to_wayland { wayland(&set.there) } else { x11(&set) };
            copies.len() == 1 && copies[0] != folder.join("a directory")
        });
        assert_eq!(std::fs::read(copies[0].join("größe 1%.txt")).expect("a copy"), b"inside");
    }
}

/// On the wire between the two programs: what was copied stays where it is until somebody pastes it.
// spec: K-17
#[test]
fn no_byte_of_contents_leaves_wayland_or_comes_there_before_a_paste() {
    let Some(set) = Set::start(&[]) else { return };
    let mut rng = Rng::new(27);
    // Letters that nothing makes fewer bytes of than three quarters.
    let noise: String = (0..1_000_000).map(|_| char::from(b'0' + (rng.next_u64() % 64) as u8)).collect();
    for to_wayland in [true, false] {
        let counted = || set.relay.counters();
        let sent = || if to_wayland { counted().down.bytes_out } else { counted().up.bytes_out };
        // A session begins with trains that measure the line, 180 kB in all and up to a second apart.
        until("the line is at rest", PATIENCE, || {
            let before = sent();
            pause(Duration::from_secs(3));
            sent() - before < 5_000
        });
        let before = sent();
        let _owner = match to_wayland {
            true => set.own("clipboard", "UTF8_STRING", noise.as_bytes()),
            false => set.there.copy("--type text/plain", noise.as_bytes()),
        };
        until("it is offered", PATIENCE, || match to_wayland {
            true => set.there.names("").contains("UTF8_STRING"),
            false => String::from_utf8_lossy(&set.xclip("-selection clipboard -o -t TARGETS")).contains("UTF8_STRING"),
        });
        pause(Duration::from_secs(1));
        let idle = sent() - before;
        let name = if to_wayland { "UTF8_STRING" } else { "text/plain" };
        match to_wayland {
            true => set.comes_here(name, noise.as_bytes()),
            false => set.comes_there("UTF8_STRING", noise.as_bytes()),
        }
        let pasted = sent() - before - idle;
        println!("clipboard: {idle} bytes until a second after the copy, {pasted} with the paste");
        assert!(idle < 20_000, "{idle} bytes were sent before anybody pasted");
        assert!(pasted >= 750_000, "{pasted} bytes");
    }
}

/// One copy is one new owner on the other side, and none on its own.
// spec: K-18
#[test]
fn no_copy_between_x11_and_wayland_comes_back() {
    let Some(set) = Set::start(&[]) else { return };
    let mut at_host = Clipboard::open(Some(&set.here.name), None, Selection::Clipboard).expect("a display");
    let mut at_client = set.there.open(Selection::Clipboard);
    let changes = |clipboard: &mut Clipboard| {
        std::iter::from_fn(|| clipboard.poll(Stamp::ZERO).expect("it lives"))
            .filter(|event| matches!(event, ClipEvent::Changed(offer) if !offer.formats.is_empty()))
            .count()
    };
    let mut owners = Vec::new();
    let (mut there, mut here) = (0, 0);
    for turn in 0..6 {
        let text = format!("turn {turn}");
        if turn % 2 == 0 {
            owners.push(set.own("clipboard", "UTF8_STRING", text.as_bytes()));
            set.comes_here("UTF8_STRING", text.as_bytes());
        } else {
            owners.push(set.there.copy("", text.as_bytes()));
            set.comes_there("UTF8_STRING", text.as_bytes());
        }
        let start = now();
        while start.elapsed() < Duration::from_millis(1_200) {
            there += changes(&mut at_client);
            here += changes(&mut at_host);
            pause(Duration::from_millis(5));
        }
        assert_eq!((there, here), (turn + 1, turn + 1), "after turn {turn}");
    }
    assert_eq!(set.client.err().matches("ERROR").count(), 0);
}

/// Ends what waits for this.
struct Ends<'o>(&'o AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A password manager on either side: marked there, marked here, and not given to whoever reads everything at once.
// spec: K-58
#[test]
fn a_secret_stays_one_between_x11_and_wayland() {
    let Some(set) = Set::start(&[]) else { return };
    let keep = |mut manager: Clipboard, over: &AtomicBool| {
        manager.offer(ClipFormats::TEXT, true).expect("alive");
        let began = now();
        let mut given = 0;
        while !over.load(Ordering::Relaxed) {
            let at = Stamp::from_micros(began.elapsed().as_micros() as u64);
            if let Some(ClipEvent::Wanted { id, .. }) = manager.poll(at).expect("alive") {
                manager.provide(id, b"hunter2").expect("alive");
                given += 1;
            }
            pause(Duration::from_millis(2));
        }
        given
    };
    let mark = "x-kde-passwordManagerHint";
    for on_host in [true, false] {
        let manager = match on_host {
            true => Clipboard::open(Some(&set.here.name), None, Selection::Clipboard).expect("a display"),
            false => set.there.open(Selection::Clipboard),
        };
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let manager = scope.spawn(|| keep(manager, &over));
            // Also when this ends badly.
            let ends = Ends(&over);
            if on_host {
                until("the mark is here", PATIENCE, || set.there.names("").contains(mark));
                assert_eq!(set.there.pasted(&format!("--type {mark}")), b"secret");
                // The manager itself gives it to a hand only; who does not give it is the client.
                set.here.click(700, 500);
                assert_eq!(set.there.pasted("--type text/plain"), b"");
                // sway tells nobody who is at work: those that read everything have had their turn after a second.
                until("a later paste has it", PATIENCE, || {
                    set.here.click(700, 500);
                    set.there.pasted("--type text/plain") == b"hunter2"
                });
            } else {
                let ask = |name: &str| set.xclip(&format!("-selection clipboard -o -t {name}"));
                until("the mark is there", PATIENCE, || ask(mark) == b"secret");
                pause(Duration::from_millis(2_500));
                assert_eq!(ask("UTF8_STRING"), b"", "no hand is at work on the host");
                until("a hand gets it", PATIENCE, || {
                    set.here.click(700, 500);
                    ask("UTF8_STRING") == b"hunter2"
                });
            }
            drop(ends);
            assert_eq!(manager.join().expect("it ends well"), 1, "it is given once, to the paste");
        });
    }
}

// spec: K-50
#[test]
fn the_second_selection_of_wayland_is_shared_where_it_is_wanted() {
    for wanted in [true, false] {
        let args: &[&str] = if wanted { &["--primary-selection"] } else { &[] };
        let Some(set) = Set::start(args) else { return };
        for to_wayland in [true, false] {
            let _owner = match to_wayland {
                true => set.own("primary", "UTF8_STRING", b"selected there"),
                false => set.there.copy("--primary", b"selected here"),
            };
            let pasted = || match to_wayland {
                true => set.there.pasted("--primary") == b"selected there",
                false => set.xclip("-selection primary -o -t UTF8_STRING") == b"selected here",
            };
            if wanted {
                until("it can be pasted on the other side", PATIENCE, pasted);
            } else {
                pause(Duration::from_millis(700));
                assert!(!pasted());
            }
        }
    }
}

/// A compositor that tells of its clipboard only the window in front, as GNOME's does too.
#[test]
fn where_a_compositor_shares_no_clipboard_the_log_and_the_doctor_say_what_is_missing() {
    if !have("a compositor that shares no clipboard", &["weston", "Xvfb"]) {
        return;
    }
    let (dir, runtime, here) = (Scratch::new(), Scratch::new(), Screen::start(640, 480));
    let mut command = Command::new("weston");
    environment(&mut command, &runtime.join("")).args(["--backend=headless-backend.so", "--idle-time=0"]);
    let _weston = Running::start("weston", command.args(["--width=640", "--height=480", "--socket=telepane-none"]));
    until("weston listens", PATIENCE, || runtime.join("telepane-none").exists());
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let host = agent.addr.to_string();
    // An X server is at hand as Xwayland is in such a session; what is copied there is not the desktop's.
    let weston = [("XDG_RUNTIME_DIR", runtime.join("")), ("WAYLAND_DISPLAY", "telepane-none".into())];
    let variables = [&weston[..], &[("DISPLAY", here.name.clone().into())]].concat();
    let client = connect_on(&dir, &variables, &host, &[]);
    until("it is shown", PATIENCE, || client.err().contains("attached"));
    let missing = "neither ext_data_control_manager_v1 nor zwlr_data_control_manager_v1";
    let said = client.err();
    assert_eq!(
        said.lines().filter(|l| l.contains("no clipboard is shared") && l.contains(missing)).count(),
        1,
        "{said}"
    );

    let doctor = |variables: &[(&str, PathBuf)]| {
        let mut command = Command::new(program("telepane"));
        environment(&mut command, &dir.join("")).envs(variables.iter().cloned()).args(["doctor", "--json", &host]);
        let mut run = Running::start("telepane doctor", &mut command);
        assert_eq!(run.exit_code(PATIENCE), 0, "{}", run.all_err());
        let all: serde_json::Value = serde_json::from_str(run.all_out().trim()).expect("a line of JSON");
        let of = |name: &str| all.as_array().and_then(|all| all.iter().find(|f| f["tried"] == name).cloned());
        of("clipboard").map(|f| (f["works"] == true, f["found"].as_str().unwrap_or_default().to_owned()))
    };
    let found = doctor(&variables);
    assert!(found.as_ref().is_some_and(|(works, found)| !works && found.contains(missing)), "{found:?}");
    let display = [("DISPLAY", here.name.clone().into())];
    assert_eq!(doctor(&display), Some((true, "this display's is shared".into())));
    if have("a compositor that shares its clipboard", PROGRAMS) {
        let desk = Desk::start();
        assert_eq!(doctor(&desk.sway.variables()), Some((true, "the Wayland compositor's is shared".into())));
    }
}
