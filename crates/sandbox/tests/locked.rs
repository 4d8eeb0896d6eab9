//! The real process, locked as it is in the client. This program starts itself again: as the process that decodes, and as
//! one that is locked in the same way and then tries what it may not. Both begin before the test harness does.
#![cfg(target_os = "linux")]

#[path = "locked/attempt.rs"]
mod attempt;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use telepane_codec::CodecFault;
use telepane_codec::h264::{H264Decoder, H264Encoder, I420};
use telepane_codec::streams::{FilmStreams as _, StreamFrame};
use telepane_sandbox::{Films, When};

/// Called before `main`, as the client's `main` does it first.
#[used]
#[unsafe(link_section = ".init_array")]
static FIRST: extern "C" fn() = first;

extern "C" fn first() {
    telepane_sandbox::run_if_asked();
    let mut arguments = std::env::args().skip(1);
    if arguments.next().is_some_and(|verb| verb == "attempt") {
        attempt::run(&arguments.next().unwrap_or_default());
    }
}

/// One test at a time: what processes there are is looked at.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A film's frames: a key frame, and those that refer to it.
fn film((w, h): (u32, u32), frames: usize) -> Vec<Vec<u8>> {
    let mut encoder = H264Encoder::new(w, h, 4_000_000, 30.0, (20, 51)).expect("an encoder");
    let mut picture = I420::default();
    picture.resize(w, h);
    let frame = |n: usize| {
        let width = w as usize;
        let samples = picture.y.iter_mut().enumerate();
        samples.for_each(|(i, y)| *y = ((i % width + n * 3) ^ (i / width)) as u8);
        let mut data = Vec::new();
        assert!(encoder.encode(&mut picture, n == 0, &mut data));
        data
    };
    (0..frames).map(frame).collect()
}

fn frame(slot: u8, n: usize, sides: (u32, u32), data: &[u8]) -> StreamFrame<'_> {
    StreamFrame { slot, anew: n == 0, sides, data }
}

/// The processes that this one has started and that live.
fn children() -> Vec<u32> {
    let us = std::process::id();
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut words = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        (words.next()? != "Z").then(|| words.next()?.parse().ok())?
    };
    let all = fs::read_dir("/proc").expect("there is /proc");
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid) == Some(us)).collect()
}

fn only_child() -> u32 {
    let [pid] = children()[..] else { panic!("one process: {:?}", children()) };
    pid
}

/// A line of `/proc/PID/status`.
fn status(pid: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field}")).trim().to_owned()
}

fn signal(pid: u32, signal: i32) {
    let pid = i32::try_from(pid).expect("a process");
    // SAFETY: a signal for a process that we started and that lives.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// Films in a process that stands.
fn standing() -> Films {
    let mut films = Films::new(When::Required, None);
    films.require().expect("this kernel has seccomp");
    films
}

#[test]
fn a_locked_process_is_killed_for_whatever_else_it_tries() {
    let _alone = alone();
    let program = std::env::current_exe().expect("a test has a file");
    let ended = |what: &str| {
        let mut command = Command::new(&program);
        command.args(["attempt", what]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("it starts")
    };
    // It is the attempt that ends it.
    assert_eq!(ended("nothing").code(), Some(attempt::ALIVE));
    assert_eq!(ended("decode").code(), Some(attempt::ALIVE));
    assert_eq!(ended("landlock").code(), Some(attempt::ALIVE), "Landlock is used where the kernel has it");
    for what in attempt::FORBIDDEN {
        let status = ended(what);
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{what}: {status}");
    }
    // More memory than it may have: it is not given it.
    assert_eq!(ended("memory").code(), Some(attempt::REFUSED));
}

#[test]
fn the_process_is_locked_and_has_nothing_but_its_own() {
    let _alone = alone();
    let _films = standing();
    let pid = only_child();
    assert_eq!((status(pid, "Seccomp"), status(pid, "NoNewPrivs")), ("2".into(), "1".into()));
    assert_eq!(status(pid, "Threads"), "1");
    let folder = format!("/proc/{pid}/fd");
    let mut open: Vec<(String, String)> = fs::read_dir(folder)
        .expect("it is ours")
        .map(|entry| entry.expect("an entry"))
        .map(|e| (e.file_name().display().to_string(), fs::read_link(e.path()).expect("a link").display().to_string()))
        .collect();
    open.sort();
    let [(zero, socket), (one, memory), (two, null)] = &open[..] else { panic!("{open:?}") };
    assert_eq!([zero, one, two], ["0", "1", "2"]);
    assert!(socket.starts_with("socket:") && memory.contains("memfd:telepane-film") && null == "/dev/null", "{open:?}");
    let variables = fs::read(format!("/proc/{pid}/environ")).expect("it is ours");
    let variables = String::from_utf8_lossy(&variables);
    assert!(variables.split('\0').all(|v| v.is_empty() || v.starts_with("LD_LIBRARY_PATH=")), "{variables}");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("it is ours");
    for name in ["Max core file size", "Max file size", "Max open files", "Max processes"] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
        assert!(line.split_ascii_whitespace().take(2).eq(["0", "0"]), "{name}: {line}");
    }
}

#[test]
fn pictures_are_those_that_are_decoded_here() {
    let _alone = alone();
    let mut films = standing();
    let sizes = [(0, (320, 192)), (3, (130, 66))];
    let streams = sizes.map(|(slot, sides)| (slot, sides, film(sides, 30), H264Decoder::new().expect("a decoder")));
    for (slot, sides, frames, mut here) in streams {
        for (n, data) in frames.iter().enumerate() {
            let there = films.decode(frame(slot, n, sides, data)).expect("a picture");
            let here = here.decode(data).expect("a picture");
            assert_eq!((there.w, there.h), (here.w, here.h));
            let widths = [here.w as usize, here.w as usize / 2, here.w as usize / 2];
            let strides = [0, 1, 1].map(|n| (there.strides[n], here.strides[n]));
            for plane in 0..3 {
                let (w, (a, b)) = (widths[plane], strides[plane]);
                let rows = there.planes[plane].chunks(a).zip(here.planes[plane].chunks(b));
                assert!(rows.into_iter().all(|(a, b)| a[..w] == b[..w]), "frame {n}, plane {plane}");
            }
        }
        // What does not decode is refused, what has other sides is named, and neither costs the process.
        let junk = films.decode(frame(slot, 1, sides, &[0, 0, 1, 0x65, 9, 9, 9])).map(drop);
        assert_eq!(junk, Err(CodecFault::FilmStream));
        let other = films.decode(frame(2, 0, (64, 64), &frames[0])).map(drop);
        assert_eq!(other, Err(CodecFault::FilmSize));
    }
    assert_eq!(children().len(), 1);
}

#[test]
fn four_films_of_the_largest_size_fit() {
    let _alone = alone();
    let sides = (3_840, 2_160);
    let frames = film(sides, 6);
    let mut films = standing();
    let before = status(only_child(), "VmSize");
    for slot in 0..4 {
        for (n, data) in frames.iter().enumerate() {
            films.decode(frame(slot, n, sides, data)).expect("a picture");
        }
    }
    let pid = only_child();
    println!("four films of 3840x2160: VmSize {before} before, at most {}", status(pid, "VmPeak"));
}

#[test]
fn one_that_is_killed_is_replaced_and_the_film_begins_anew() {
    let _alone = alone();
    let sides = (320, 192);
    let frames = film(sides, 4);
    let mut films = standing();
    films.decode(frame(0, 0, sides, &frames[0])).expect("a picture");
    let first = only_child();
    signal(first, libc::SIGKILL);
    assert_eq!(films.decode(frame(0, 1, sides, &frames[1])).map(drop), Err(CodecFault::FilmStream));
    // The next has never seen the film, which is said like any lost reference, and goes on from its next key frame.
    assert_eq!(films.decode(frame(0, 2, sides, &frames[2])).map(drop), Err(CodecFault::FilmStream));
    films.decode(frame(0, 0, sides, &frames[0])).expect("a picture");
    assert_ne!(only_child(), first);
}

#[test]
fn one_that_falls_silent_is_killed_and_replaced() {
    let _alone = alone();
    let sides = (320, 192);
    let frames = film(sides, 2);
    let mut films = standing();
    films.decode(frame(0, 0, sides, &frames[0])).expect("a picture");
    let first = only_child();
    signal(first, libc::SIGSTOP);
    assert_eq!(films.decode(frame(0, 1, sides, &frames[1])).map(drop), Err(CodecFault::FilmStream));
    films.decode(frame(0, 0, sides, &frames[0])).expect("a picture");
    assert_ne!(only_child(), first);
}

#[test]
fn processes_that_end_at_once_are_not_started_for_ever() {
    let _alone = alone();
    let sides = (320, 192);
    let frames = film(sides, 1);
    // Where it may also be done here: who ends processes must not get there by that.
    let mut films = Films::new(When::Auto, None);
    let mut seen = Vec::new();
    for _ in 0..40 {
        let _ = films.decode(frame(0, 0, sides, &frames[0])).map(drop);
        let Some(pid) = children().first().copied() else { break };
        seen.push(pid);
        signal(pid, libc::SIGKILL);
        let _ = films.decode(frame(0, 0, sides, &frames[0])).map(drop);
    }
    seen.dedup();
    assert!((2..=20).contains(&seen.len()), "{seen:?}");
    assert_eq!(films.decode(frame(0, 0, sides, &frames[0])).map(drop), Err(CodecFault::FilmStream));
    assert_eq!(children(), [0; 0]);
}

#[test]
fn without_films_there_is_no_process() {
    let _alone = alone();
    let sides = (64, 64);
    let mut off = Films::new(When::Off, None);
    off.start();
    off.decode(frame(0, 0, sides, &film(sides, 1)[0])).expect("a picture");
    drop(Films::new(When::Auto, None));
    assert_eq!(children(), [0; 0]);
    let films = standing();
    let pid = only_child();
    drop(films);
    // Killed and waited for: nothing is left of it.
    assert!(!fs::exists(format!("/proc/{pid}")).expect("there is /proc"), "a zombie");
}
