//! Sound through the real programs and real sound servers: a sweep that is played on the host is heard at the client, one
//! that the client's microphone hears is recorded on the host, and devices vanish and return.

use super::process::{PATIENCE, Running, Scratch, have, now, pause, until};
use super::rights::{allow, permissions};
use super::screen::Screen;
use super::sharing::{METRICS, counter, metrics_of};
use super::stage::{Agent, connect, relay};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use telepane_model::Span;
use telepane_transport::relay::{LinkModel, Relay};

pub const NEEDED: [&str; 5] = ["pulseaudio", "pactl", "paplay", "parec", "Xvfb"];
/// Recordings are compared at this rate: the sweep ends below a third of it.
pub const RATE: usize = 12_000;
/// How much of the sound is compared at once, 25 ms: while a jitter buffer settles it plays up to 0.5 % faster (S-13), which within
/// this shifts the sweep's highest tone by less than half of its period. In an eighth of a second it goes round twice, and
/// what is heard as it was is like nothing that was said.
const WINDOW: usize = RATE / 40;
/// From that on stretches are compared whose delay is at most this.
const MOST_LATER: usize = RATE / 2;

/// A sound server, spoken to with its own tools.
pub struct Server(PathBuf);

impl Server {
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PULSE_SERVER", format!("unix:{}", self.0.display())).stdin(Stdio::null());
        command
    }

    pub fn pactl(&self, args: &[&str]) -> String {
        let out = self.command("pactl").args(args).output().expect("pactl runs");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    fn sinks(&self) -> Vec<String> {
        let list = self.pactl(&["list", "short", "sinks"]);
        list.lines().filter_map(|l| l.split('\t').nth(1).map(str::to_owned)).collect()
    }

    /// Plays the file, until it ends or the value is dropped.
    pub fn play(&self, sink: &str, file: &Path) -> Running {
        let mut command = self.command("paplay");
        command.args(["--raw", "--format=s16le", "--rate=48000", "--channels=2", "--latency-msec=30", "-d", sink]);
        Running::start("paplay", command.arg(file))
    }
}

/// What a source gave, with the time at which its first sample came.
pub struct Recording {
    child: Child,
    got: Arc<Mutex<(Vec<i16>, Option<Instant>)>>,
}

impl Recording {
    pub fn start(server: &Server, source: &str) -> Self {
        let mut command = server.command("parec");
        command.args(["-d", source, "--raw", "--format=s16le", "--rate=12000", "--channels=1", "--latency-msec=10"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("parec runs");
        let mut out = child.stdout.take().expect("piped");
        let got = Arc::new(Mutex::new((Vec::new(), None::<Instant>)));
        let keep = got.clone();
        std::thread::spawn(move || {
            let mut buffer = [0u8; 4_096];
            let mut odd = Vec::new();
            while let Ok(n @ 1..) = out.read(&mut buffer) {
                let at = now();
                odd.extend_from_slice(&buffer[..n]);
                let mut got = keep.lock().unwrap_or_else(PoisonError::into_inner);
                let whole = odd.len() / 2 * 2;
                got.0.extend(odd[..whole].chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])));
                odd.drain(..whole);
                // A chunk that was held up says too late a beginning: the earliest counts.
                let began = at.checked_sub(Duration::from_secs_f64(got.0.len() as f64 / RATE as f64));
                got.1 = [got.1, began].into_iter().flatten().min();
            }
        });
        Self { child, got }
    }

    pub fn samples(&self) -> usize {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).0.len()
    }

    /// The greatest of the newest tenth of a second.
    pub fn loud(&self) -> bool {
        let got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        got.0.iter().rev().take(RATE / 10).any(|s| s.unsigned_abs() > 1_000)
    }

    pub fn end(mut self) -> (Vec<i16>, Instant) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        (got.0.clone(), got.1.expect("it gave something"))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file with so many seconds of a sweep that is like itself at one delay only.
pub fn sweep(dir: &Scratch, seconds: usize) -> PathBuf {
    let one: Vec<u8> = (0..48_000u64)
        .flat_map(|n| {
            let t = n as f64 / 48_000.0;
            let v = ((std::f64::consts::TAU * (200.0 * t + 1_500.0 * t * t)).sin() * 8_000.0) as i16;
            [v.to_le_bytes(), v.to_le_bytes()].concat()
        })
        .collect();
    let path = dir.join(format!("sweep-{seconds}"));
    std::fs::write(&path, one.repeat(seconds)).expect("the directory is ours");
    path
}

/// For each stretch of `sent`: how much later it is in `heard`, in milliseconds, and how well it correlates there.
pub fn compare(sent: &(Vec<i16>, Instant), heard: &(Vec<i16>, Instant)) -> Vec<(f64, f64)> {
    // The index in `heard` of what was at the same time the first sample of `sent`.
    let apart = match sent.1.checked_duration_since(heard.1) {
        Some(later) => (later.as_secs_f64() * RATE as f64) as i64,
        None => -((heard.1 - sent.1).as_secs_f64() * RATE as f64) as i64,
    };
    let mut found = Vec::new();
    for start in (0..sent.0.len().saturating_sub(WINDOW)).step_by(RATE / 5) {
        let part = &sent.0[start..start + WINDOW];
        let own: f64 = part.iter().map(|s| f64::from(*s).powi(2)).sum();
        // Only stretches in which the sweep was played throughout.
        if part.chunks(RATE / 100).any(|c| c.iter().all(|s| s.unsigned_abs() < 500)) {
            continue;
        }
        let best = (0..MOST_LATER).filter_map(|lag| {
            let from = usize::try_from(start as i64 + apart + lag as i64).ok()?;
            let other = heard.0.get(from..from + WINDOW)?;
            let dot: f64 = part.iter().zip(other).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let power: f64 = other.iter().map(|s| f64::from(*s).powi(2)).sum();
            Some((dot / (own * power).sqrt().max(1.0), lag as f64 * 1e3 / RATE as f64))
        });
        found.extend(best.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(c, ms)| (ms, c)));
    }
    found
}

/// The median delay and the median correlation.
pub fn medians(name: &str, found: &[(f64, f64)]) -> (f64, f64) {
    let of = |pick: fn(&(f64, f64)) -> f64| {
        let mut all: Vec<f64> = found.iter().map(pick).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let (ms, correlation) = (of(|f| f.0), of(|f| f.1));
    println!("sound: {name}: {ms:.1} ms p50, correlation {correlation:.3}, {} stretches", found.len());
    (ms, correlation)
}

/// A sound server for the client, where a program finds it by itself.
pub fn client_server(dir: &Scratch) -> (Running, Server) {
    let socket = dir.join("pulse/native");
    std::fs::create_dir_all(dir.join("pulse")).expect("the directory is ours");
    let _ = std::fs::remove_file(&socket);
    let mut command = Command::new("pulseaudio");
    command.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]);
    command.args(["-L", &format!("module-native-protocol-unix socket={} auth-anonymous=1", socket.display())]);
    for name in ["speaker", "voice"] {
        command.args(["-L", &format!("module-null-sink sink_name={name} rate=48000")]);
    }
    command.env("HOME", dir.join("")).env("XDG_RUNTIME_DIR", dir.join("")).env_remove("DISPLAY");
    let run = Running::start("pulseaudio", &mut command);
    let server = Server(socket);
    until("the client's sound server answers", PATIENCE, || server.sinks().len() == 2);
    // For a client that names none: no loop from what it plays to what it hears.
    for (what, name) in [("set-default-sink", "speaker"), ("set-default-source", "voice.monitor")] {
        server.pactl(&[what, name]);
    }
    (run, server)
}

/// The server that the agent made for its desktop, and its two sinks: for applications and for the microphone.
pub fn host_server(dir: &Scratch) -> (Server, String, String) {
    let entries = std::fs::read_dir(dir.join("")).expect("the directory is ours");
    let own = entries.flatten().find(|e| e.file_name().to_string_lossy().starts_with("telepane-sound-"));
    let server = Server(own.expect("the agent has a sound server of its own").path().join("native"));
    let (mut desktop, mut voice) = (Vec::new(), Vec::new());
    until("both sinks are there", PATIENCE, || {
        (voice, desktop) = server.sinks().into_iter().partition(|s| s.contains("microphone"));
        !voice.is_empty() && !desktop.is_empty()
    });
    (server, desktop.remove(0), voice.remove(0))
}

/// The least median correlation of what was heard with what was said. With nothing of it, the best of so many delays has less.
pub const ALIKE: f64 = 0.6;

#[test]
fn a_sweep_is_heard_both_ways() {
    if have("sound", &NEEDED) {
        heard_both_ways("direct", None, at_client);
    }
}

#[test]
fn a_sweep_is_heard_both_ways_over_a_line_with_a_delay() {
    if have("sound over a line", &NEEDED) {
        let model = LinkModel { delay: Span::millis(20), ..LinkModel::default() };
        heard_both_ways("round trip 40 ms", Some(model), at_client);
    }
}

/// A client without a window, with devices by their names.
fn at_client(dir: &Scratch, host: &str, args: &[&str]) -> Running {
    let devices = ["--sound-device", "speaker", "--microphone-device", "voice.monitor"];
    connect(dir, "client", None, host, &[&devices, args].concat())
}

/// A sweep goes both ways, through a client that `connect` starts at this address, with its microphone on. It plays into the sink
/// `speaker` of a server of its own and listens to what is played into `voice`.
pub fn heard_both_ways(line: &str, model: Option<LinkModel>, connect: impl FnOnce(&Scratch, &str, &[&str]) -> Running) {
    let dir = Scratch::new();
    let agent = Agent::start(&dir, &["--virtual", "640x480", METRICS[0], METRICS[1]]);
    let metrics = metrics_of(&agent);
    let (host, sink, voice) = host_server(&dir);
    let (_pulse, here) = client_server(&dir);
    let stats = dir.join("stats.json");
    let file = stats.display().to_string();
    let way = model.map_or(0.0, |m| m.delay.as_millis_f64());
    let relay = model.map(|model| relay(&agent, model));
    let addr = relay.as_ref().map_or(agent.addr, Relay::addr).to_string();
    let mut client = connect(&dir, &addr, &["--microphone", "--stats-json", &file]);
    // Beside it: the host's own sound server hands the same on to another sink of its own.
    host.pactl(&["load-module", "module-null-sink", "sink_name=beside", "rate=48000"]);
    host.pactl(&[
        "load-module",
        "module-loopback",
        &format!("source={sink}.monitor"),
        "sink=beside",
        "latency_msec=20",
    ]);
    let sweep = sweep(&dir, 60);
    let playing = host.play(&sink, &sweep);
    // What is compared begins when all of it is on its way, however long that took.
    all_loud("the sweep is heard at the client", [(&here, "speaker.monitor"), (&host, "beside.monitor")]);
    let sent = Recording::start(&host, &format!("{sink}.monitor"));
    let beside = Recording::start(&host, "beside.monitor");
    let heard = Recording::start(&here, "speaker.monitor");
    let all = [&sent, &beside, &heard];
    until("it was heard for a while", PATIENCE, || all.iter().all(|r| r.samples() > 6 * RATE));
    drop(playing);
    let (sent, beside, heard) = (sent.end(), beside.end(), heard.end());
    let (own, _) = medians("the sound server's own loopback", &compare(&sent, &beside));
    let found = compare(&sent, &heard);
    let (ms, correlation) = medians("host sound to client device", &found);
    println!("sound: {line}: {:.1} ms more than the server's own loopback and half the round trip", ms - own - way);
    assert!(found.len() >= 10 && correlation > ALIKE, "{found:?}");

    // The other way: what the client's microphone hears is recorded on the host.
    let spoken = here.play("voice", &sweep);
    let source = format!("{voice}_source");
    all_loud("the microphone is heard on the host", [(&host, source.as_str())]);
    let said = Recording::start(&here, "voice.monitor");
    let recorded = Recording::start(&host, &source);
    until("it was heard for a while", PATIENCE, || [&said, &recorded].iter().all(|r| r.samples() > 5 * RATE));
    drop(spoken);
    let (said, recorded) = (said.end(), recorded.end());
    keep("said", &said.0);
    keep("recorded", &recorded.0);
    let found = compare(&said, &recorded);
    for name in ["frames", "restored", "made_up"] {
        println!(
            "sound: {line}: microphone: {name} {}",
            counter(&metrics, &format!("telepane_microphone_{name}_total"))
        );
    }
    let (ms, correlation) = medians("client microphone to host source", &found);
    println!("sound: {line}: the microphone {:.1} ms later than half the round trip", ms - way);
    assert!(found.len() >= 10 && correlation > ALIKE, "{found:?}");

    client.signal(super::process::Signal::Interrupt);
    client.exit_code(PATIENCE);
    let stats: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(stats).expect("written")).expect("JSON");
    println!("sound: {}", stats["sound"]);
    let number = |name: &str| stats["sound"][name].as_u64().unwrap_or_else(|| panic!("no {name}"));
    assert!(number("played") > 300 && number("worst_held_us") <= 120_000);
    assert_eq!(number("undecodable"), 0);
}

/// Waits until something is heard at each of these.
pub fn all_loud<const N: usize>(what: &str, at: [(&Server, &str); N]) {
    let ears = at.map(|(server, source)| Recording::start(server, source));
    until(what, PATIENCE, || ears.iter().all(Recording::loud));
}

/// Where `TELEPANE_KEEP` names a directory, a recording is kept there for people to listen to: 12 kHz, one channel of 16 bits.
pub fn keep(name: &str, samples: &[i16]) {
    let Some(dir) = std::env::var_os("TELEPANE_KEEP") else { return };
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    std::fs::write(Path::new(&dir).join(name).with_extension("s16"), bytes).expect("it can be written");
}

/// So long after the beginning the client knows how old film is, and the sound's buffer has settled.
const SETTLED: Duration = Duration::from_secs(5);
/// The film, on the host's screen and in the middle of the client's.
const FILM: [i16; 4] = [192, 120, 256, 240];

/// When a burst began: the first loud sample after a tenth of a second without one.
fn bursts(heard: &(Vec<i16>, Instant)) -> Vec<Instant> {
    let mut quiet = RATE;
    let mut found = Vec::new();
    for (n, sample) in heard.0.iter().enumerate() {
        if sample.unsigned_abs() > 4_000 {
            if quiet > RATE / 10 {
                found.push(heard.1 + Duration::from_secs_f64(n as f64 / RATE as f64));
            }
            quiet = 0;
        } else {
            quiet += 1;
        }
    }
    found
}

/// For each flash: by how many milliseconds the nearest burst is later.
fn behind(flashes: &[Instant], bursts: &[Instant]) -> Vec<(Instant, f64)> {
    let apart = |f: Instant, b: Instant| {
        b.checked_duration_since(f).map_or_else(|| -(f - b).as_secs_f64(), |late| late.as_secs_f64()) * 1e3
    };
    let nearest = |f: Instant| bursts.iter().map(|b| apart(f, *b)).min_by(|a, b| a.abs().total_cmp(&b.abs()));
    flashes.iter().filter_map(|f| Some((*f, nearest(*f)?))).collect()
}

// spec: S-15, S-17
#[test]
fn a_film_is_heard_when_it_is_seen() {
    if !have("sound and film", &NEEDED) {
        return;
    }
    let dir = Scratch::new();
    let mut agent = Agent::start(&dir, &["--virtual", "640x480", METRICS[0], METRICS[1]]);
    let (metrics, (name, xauthority)) = (metrics_of(&agent), agent.display());
    let (host, sink, _) = host_server(&dir);
    let (_pulse, here) = client_server(&dir);
    let there = Screen::start(640, 480);
    let stats = dir.join("stats.json");
    let file = stats.display().to_string();
    let args = ["--fullscreen", "--sound-device", "speaker", "--stats-json", &file];
    let mut client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &args);

    // A tone throughout, and a burst in every second.
    let tone: Vec<u8> = (0..48_000u32)
        .flat_map(|n| {
            let loud = if n < 4_800 { 12_000.0 } else { 300.0 };
            let v = ((std::f64::consts::TAU * 1_000.0 * f64::from(n) / 48_000.0).sin() * loud) as i16;
            [v.to_le_bytes(), v.to_le_bytes()].concat()
        })
        .collect();
    let track = dir.join("track");
    std::fs::write(&track, tone.repeat(30)).expect("the directory is ours");
    let playing = host.play(&sink, &track);
    let sent = Recording::start(&host, &format!("{sink}.monitor"));
    let heard = Recording::start(&here, "speaker.monitor");
    let running = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let on = running.clone();
    // Thirty pictures a second of something that moves, and a white one for a tenth of every second.
    let film = std::thread::spawn(move || {
        let screen = Screen::join(&name, &xauthority);
        let white = vec![255u8; picture(0).len()];
        let canvas = screen.canvas(FILM);
        let (start, mut shown, mut flashes) = (now(), 0u32, Vec::new());
        while on.load(std::sync::atomic::Ordering::Relaxed) {
            // No picture comes twice: one that does is drawn from the client's tiles, and is no film.
            let next = if shown % 30 < 3 { white.clone() } else { picture(shown) };
            screen.paint(canvas, (FILM[2] as u16, FILM[3] as u16), &next);
            if shown % 30 == 0 {
                flashes.push(now());
            }
            shown += 1;
            let due = start + Duration::from_micros(u64::from(shown) * 33_333);
            pause(due.saturating_duration_since(now()));
        }
        flashes
    });
    until("the sound is heard at the client", PATIENCE, || heard.loud());
    let began = now();
    let (mut seen, mut bright) = (Vec::new(), true);
    while began.elapsed() < SETTLED + Duration::from_secs(12) {
        let white = there.pixel(320, 240).iter().all(|c| *c > 225);
        if white && !bright {
            seen.push(now());
        }
        bright = white;
        pause(Duration::from_millis(1));
    }
    let filmed = counter(&metrics, "telepane_film_frames");
    running.store(false, std::sync::atomic::Ordering::Relaxed);
    let flashes = film.join().expect("the film ran");
    drop(playing);
    let on_host = behind(&flashes, &bursts(&sent.end()));
    // What plays the sound on the host stands still with the machine now and then, and is later from then on than what plays the
    // film: each flash is compared with itself.
    let apart_there = |seen: Instant| {
        let far = |at: Instant| seen.max(at).duration_since(seen.min(at));
        on_host.iter().min_by_key(|(at, _)| far(*at)).map_or(f64::NAN, |(_, ms)| *ms)
    };
    // Flashes are a second apart: which burst is the nearest may differ at the two ends.
    let apart = |seen: Instant, ms: f64| (ms - apart_there(seen) + 500.0).rem_euclid(1e3) - 500.0;
    let later = behind(&seen, &bursts(&heard.end()));
    let settled = later.iter().filter(|(at, _)| *at > began + SETTLED);
    let mut late: Vec<f64> = settled.map(|(at, ms)| apart(*at, *ms)).collect();
    client.signal(super::process::Signal::Terminate);
    client.exit_code(PATIENCE);
    let stats: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(stats).expect("written")).expect("JSON");
    late.sort_by(f64::total_cmp);
    let (median, n) = (late[late.len() / 2], late.len());
    let mut off: Vec<f64> = late.iter().map(|ms| ms.abs()).collect();
    off.sort_by(f64::total_cmp);
    let (sound, age) = (&stats["sound"], &stats["age"]);
    println!(
        "sound and film: heard {median:+.1} ms p50 after it is seen, {:.1} ms apart at p95, {n} flashes; the client itself says {} us",
        off[n * 95 / 100],
        sound["behind_picture_us"]
    );
    println!(
        "sound and film: sound {} us old, held {} for {} of {}; film {} us old at p50, {} at p95, the last held {}",
        sound["age_us"],
        sound["held_us"],
        sound["target_us"],
        sound["needs_us"],
        age["p50_us"],
        age["p95_us"],
        sound["film_held_us"]
    );
    assert!(filmed > 300, "it was coded as a film: {filmed}");
    // However late this machine's threads are, and sound for them, film waits for it: 45 ms, and what two recordings of it differ.
    assert!(n >= 8 && median.abs() <= 60.0, "{late:?}");
}

/// A picture of a film: shades that move, in more colours than a drawing has, with grain that is never the same.
fn picture(n: u32) -> Vec<u8> {
    let (w, h) = (FILM[2] as u32, FILM[3] as u32);
    (0..w * h)
        .flat_map(|i| {
            let (x, y) = (i % w + 3 * n, i / w + n);
            let grain = (i ^ n.wrapping_mul(40_503)).wrapping_mul(2_654_435_761) >> 30;
            let [b, g, r] = [x * y / 64, x + y / 2, y * 2 + x / 3].map(|v| ((v + grain) % 200) as u8);
            [b, g, r, 0]
        })
        .collect()
}

#[test]
fn sinks_that_vanish_are_used_again_when_they_return() {
    if !have("sound returns", &NEEDED) {
        return;
    }
    let dir = Scratch::new();
    let agent = Agent::start(&dir, &["--virtual", "640x480"]);
    let (host, sink, _) = host_server(&dir);
    let (pulse, here) = client_server(&dir);
    let args = ["--sound-device", "speaker"];
    let client = connect(&dir, "client", None, &agent.addr.to_string(), &args);
    let sweep = sweep(&dir, 60);
    let playing = host.play(&sink, &sweep);
    let heard = Recording::start(&here, "speaker.monitor");
    until("it is heard", PATIENCE, || heard.loud());
    // The client's sound server is gone, and back later.
    drop((heard, pulse));
    pause(Duration::from_secs(1));
    let back = now();
    let (_pulse, here) = client_server(&dir);
    let heard = Recording::start(&here, "speaker.monitor");
    until("it is heard again", PATIENCE, || heard.loud());
    println!("sound returns: heard {:?} after the client's sound server came back", back.elapsed());
    // The desktop's sink is taken away; the agent makes it anew, and applications find it.
    let modules = host.pactl(&["list", "short", "modules"]);
    let line = modules
        .lines()
        .find(|l| l.contains(&format!("sink_name={sink} ")) || l.contains(&format!("sink_name={sink}\t")));
    let module = line.and_then(|l| l.split('\t').next()).unwrap_or_else(|| panic!("no module in {modules}"));
    host.pactl(&["unload-module", module]);
    let gone = now();
    drop(playing);
    until("the sink is there again", PATIENCE, || host.sinks().contains(&sink));
    println!("sound returns: the desktop's sink was made anew after {:?}", gone.elapsed());
    until("it is silent", PATIENCE, || !heard.loud());
    let _playing = host.play(&sink, &sweep);
    until("it is heard again", PATIENCE, || heard.loud());
    drop(client);
}

/// Who may not hear the desktop gets none of its sound, and whose microphone may not be heard is not recorded, although both are
/// turned on and both sides make a noise.
// spec: S-6, S-7, S-16
#[test]
fn each_direction_of_sound_has_its_right() {
    if !have("rights of sound", &NEEDED) {
        return;
    }
    for (rights, hears, is_heard) in [("audio-out", true, false), ("audio-in", false, true)] {
        let dir = Scratch::new();
        allow(&permissions(&dir), &format!("display {rights}"));
        let agent = Agent::start(&dir, &["--virtual", "320x240"]);
        let (host, sink, voice) = host_server(&dir);
        let (_pulse, here) = client_server(&dir);
        let file = dir.join("stats.json").display().to_string();
        let args = ["--microphone", "--sound-device", "speaker", "--microphone-device", "voice.monitor"];
        let args = [&args[..], &["--stats-json", &file]].concat();
        let mut client = connect(&dir, "client", None, &agent.addr.to_string(), &args);
        let sweep = sweep(&dir, 60);
        let _noise = (host.play(&sink, &sweep), here.play("voice", &sweep));
        let (heard, recorded) =
            (Recording::start(&here, "speaker.monitor"), Recording::start(&host, &format!("{voice}_source")));
        // The one that may go shows that the other one could.
        until("what is allowed is heard", PATIENCE, || if hears { heard.loud() } else { recorded.loud() });
        let (from, said) = (heard.samples(), recorded.samples());
        until("both were listened to", PATIENCE, || {
            heard.samples() > from + 2 * RATE && recorded.samples() > said + 2 * RATE
        });
        let loudest = |of: Recording| of.end().0.into_iter().map(i16::unsigned_abs).max();
        let (heard, recorded) = (loudest(heard), loudest(recorded));
        client.signal(super::process::Signal::Terminate);
        client.exit_code(PATIENCE);
        let stats: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&file).expect("written")).expect("JSON");
        let packets = stats["received"]["sound"]["packets"].as_u64();
        println!(
            "sound: with {rights} alone: loudest {heard:?} heard, {recorded:?} recorded; {packets:?} packets came"
        );
        assert_eq!((heard > Some(1_000), packets > Some(0)), (hears, hears), "{rights}");
        assert_eq!(recorded > Some(1_000), is_heard, "{rights}");
    }
}
