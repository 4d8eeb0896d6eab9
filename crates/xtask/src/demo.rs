//! `cargo xtask demo`: a virtual desktop with real applications, an agent on it, and a client that shows it.
//!
//! With a display the client is a window and the demo lasts until it is closed. Without one the client keeps the
//! picture to itself: the demo ends with a PNG of what it showed and the measured journey of a key press. Everything
//! it makes stands in `target/demo`, nothing in the home folder, and what it starts it stops, also on Ctrl+C.

use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::build::build;
use crate::packages::{self, Purpose, on_path};
use crate::proc::{self, Job, Line, Seen};
use crate::test::{Needs, announce};
use crate::{clock, journey, tree};

/// Options of `demo`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// End after this many seconds; a window otherwise stays until it is closed
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Leave the agent running afterwards, until Ctrl+C, and say how to connect to it
    #[arg(long)]
    pub keep: bool,
    /// Write a picture even where there is a display
    #[arg(long)]
    pub headless: bool,
    /// Install nothing
    #[arg(long)]
    pub no_install: bool,
}

/// Runs the demo.
///
/// # Errors
/// When something does not build, start or connect: with the tail of what it said.
pub fn run(args: &Args) -> Result<()> {
    let root = tree::root()?;
    announce(&root, "demo", PURPOSES, args.no_install, NEEDS);
    if !args.no_install {
        packages::install(&root, PURPOSES)?;
    }
    build(&root, "build", &["build", "-p", "telepane-host", "-p", "telepane-client"], "demo-build")?;

    let programs = Programs { host: tree::binary(&root, "telepane-host"), client: tree::binary(&root, "telepane") };
    let place = Place::fresh(&tree::target_dir(&root).join("demo"), programs)?;
    let mut host = Host::start(&place)?;
    println!("agent    {} on the virtual desktop {}", host.address, host.display);
    let _applications = applications(&root, &place, &host)?;

    let windowed = !args.headless
        && ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if windowed {
        window(&place, &host, args.seconds)?;
    } else {
        picture(&place, &host, args.seconds.unwrap_or(HEADLESS_SECONDS))?;
    }
    if args.keep {
        println!("the agent goes on; connect with\n  {}\nand end it with Ctrl+C", place.command_line(&host.address));
        while !host.job.ended() {
            proc::interrupted()?;
            host.job.next(Duration::from_millis(200))?;
        }
        bail!("the agent ended\n{}", host.job.story());
    }
    Ok(())
}

/// What was built.
struct Programs {
    host: PathBuf,
    client: PathBuf,
}

/// The demo's own folder and what stands in it.
struct Place {
    folder: PathBuf,
    code: PathBuf,
    programs: Programs,
}

impl Place {
    /// Emptied and made, readable by its owner alone: it holds keys and a code.
    fn fresh(folder: &Path, programs: Programs) -> Result<Place> {
        if folder.is_dir() {
            std::fs::remove_dir_all(folder).with_context(|| format!("{} cannot be emptied", folder.display()))?;
        }
        for part in ["", "host", "client"] {
            let path = folder.join(part);
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .with_context(|| format!("{} cannot be made", path.display()))?;
        }
        let code = folder.join("access-code");
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&code)?;
        writeln!(file, "{}", fresh_code()?)?;
        Ok(Place { folder: folder.to_path_buf(), code, programs })
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// A client whose keys and pins stay in this folder.
    fn client(&self, address: &str) -> Command {
        let mut command = Command::new(&self.programs.client);
        command.args(["connect", address, "--access-code-file"]).arg(&self.code);
        command.arg("--state-dir").arg(self.folder.join("client"));
        command
    }

    fn command_line(&self, address: &str) -> String {
        format!(
            "{} connect {address} --access-code-file {} --state-dir {}",
            self.programs.client.display(),
            self.code.display(),
            self.folder.join("client").display()
        )
    }
}

/// The agent under way.
struct Host {
    job: Job,
    address: String,
    display: String,
    authority: Option<String>,
}

impl Host {
    fn start(place: &Place) -> Result<Host> {
        let mut command = Command::new(&place.programs.host);
        command.args(["serve", "--virtual", "1920x1080", "--listen", "127.0.0.1:0", "--state-dir"]);
        command.arg(place.folder.join("host")).arg("--access-code-file").arg(&place.code);
        let mut job = Job::start(&mut command, &place.log("host"))?;
        let (mut address, mut display) = (None, None);
        let deadline = clock::now() + READY;
        while clock::now() < deadline {
            proc::interrupted()?;
            match job.next(Duration::from_millis(100))? {
                Seen::Line(Line::Out(line)) => {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    match words.as_slice() {
                        ["ready", at, ..] => address = Some((*at).to_owned()),
                        ["display", name, rest @ ..] => {
                            display = Some(((*name).to_owned(), rest.first().map(|path| (*path).to_owned())))
                        }
                        _ => (),
                    }
                }
                Seen::End => bail!("the agent did not start\n{}", job.story()),
                _ => (),
            }
            if let (Some(address), Some((display, authority))) = (&address, &display) {
                return Ok(Host {
                    address: address.clone(),
                    display: display.clone(),
                    authority: authority.clone(),
                    job,
                });
            }
        }
        bail!("the agent was not ready after {} s\n{}", READY.as_secs(), job.story())
    }

    /// A program on the agent's desktop.
    fn on_desktop(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DISPLAY", &self.display).env_remove("WAYLAND_DISPLAY");
        if let Some(authority) = &self.authority {
            command.env("XAUTHORITY", authority);
        }
        command
    }
}

/// Opens what a person would have open: a terminal with text in it and an editor.
fn applications(root: &Path, place: &Place, host: &Host) -> Result<Vec<Job>> {
    let mut open = Vec::new();
    let mut start = |name: &str, command: &mut Command| -> Result<()> {
        if on_path(name) {
            open.push(Job::start(command.current_dir(root), &place.log(name))?);
        }
        Ok(())
    };
    // A session may have brought its window manager; a second one sees that and leaves.
    if !has_window_manager(host)? {
        start("openbox", &mut host.on_desktop("openbox"))?;
        has_window_manager(host)?;
    }
    start("xsetroot", host.on_desktop("xsetroot").args(["-solid", "#33506b"]))?;
    let shown = "ls --color=always; echo; sed -n '1,24p' Cargo.toml; exec sh";
    start(
        "xterm",
        host.on_desktop("xterm")
            .args([
                "-title",
                "a terminal on the host",
                "-geometry",
                "84x44+60+60",
                "-fa",
                "DejaVu Sans Mono",
                "-fs",
                "11",
            ])
            .args(["-e", "sh", "-c", shown]),
    )?;
    start("mousepad", host.on_desktop("mousepad").args(["--disable-server"]).arg(root.join("README.md")))?;
    Ok(open)
}

/// Waits up to three seconds for a window manager.
fn has_window_manager(host: &Host) -> Result<bool> {
    if !on_path("xdotool") {
        return Ok(false);
    }
    let deadline = clock::now() + Duration::from_secs(3);
    loop {
        proc::interrupted()?;
        let asked = host.on_desktop("xdotool").arg("get_desktop").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if asked.is_ok_and(|status| status.success()) {
            return Ok(true);
        }
        if clock::now() > deadline {
            return Ok(false);
        }
        clock::pause(Duration::from_millis(100));
    }
}

fn window(place: &Place, host: &Host, seconds: Option<u64>) -> Result<()> {
    println!("client   a window; close it, or press Ctrl+C here, to end");
    let mut client = Job::start(&mut place.client(&host.address), &place.log("client"))?;
    let limit = seconds.map_or(Duration::from_secs(24 * 3600), Duration::from_secs);
    match client.wait(limit)? {
        None => client.stop(),
        Some(status) if status.success() => (),
        Some(_) => bail!("the client ended with an error\n{}", client.story()),
    }
    Ok(())
}

fn picture(place: &Place, host: &Host, seconds: u64) -> Result<()> {
    let (png, json) = (place.folder.join("desktop.png"), place.folder.join("stats.json"));
    println!("client   without a window, as there is no display; it types a sentence and ends after {seconds} s");
    let mut command = place.client(&host.address);
    command.args(["--headless", "--seconds", &seconds.to_string(), "--type", TYPED]);
    command.arg("--screenshot").arg(&png).arg("--stats-json").arg(&json);
    let mut client = Job::start(&mut command, &place.log("client"))?;
    match client.wait(Duration::from_secs(seconds) + GRACE)? {
        Some(status) if status.success() => (),
        Some(_) => bail!("the client ended with an error\n{}", client.story()),
        None => bail!("the client did not end\n{}", client.story()),
    }
    if !png.is_file() {
        bail!("the client left no picture\n{}", client.story());
    }
    println!("\nthe measured journey of a key press, stage by stage, agent and client on this machine");
    match std::fs::read(&json).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        Some(stats) => print!("{}", journey::table(&stats)),
        None => println!("the client left no statistics in {}", json.display()),
    }
    println!("\nwhat the client showed: {}", png.display());
    Ok(())
}

/// Twelve letters and digits that nobody mistakes for one another, in groups of four: 59 bits.
fn fresh_code() -> Result<String> {
    let mut chance = std::fs::File::open("/dev/urandom").context("no randomness here")?;
    let mut code = String::new();
    while code.len() < "xxxx-xxxx-xxxx".len() {
        let mut byte = [0];
        chance.read_exact(&mut byte).context("no randomness here")?;
        // The 32nd of 32 is drawn again, so that all 31 are equally likely.
        if let Some(letter) = ALPHABET.get(usize::from(byte[0] % 32)) {
            code.push(char::from(*letter));
            if matches!(code.len(), 4 | 9) {
                code.push('-');
            }
        }
    }
    Ok(code)
}

/// What the demo installs.
const PURPOSES: &[Purpose] = &[Purpose::Build, Purpose::Desktop];

/// From a clean tree on a 2-core machine: `cargo xtask demo`, `du -s target`.
const NEEDS: Needs = Needs { build_megabytes: 2900, build_cpu_seconds: 700, run_seconds: 0 };

/// Enough for the picture to become exact and for the sentence to be typed.
const HEADLESS_SECONDS: u64 = 10;

/// Beyond its seconds: connecting and leaving on a loaded machine.
const GRACE: Duration = Duration::from_secs(20);

/// Keys that every layout has.
const TYPED: &str = "the quick brown fox jumps over the lazy dog";

/// The virtual desktop's server starts within a second or two; a loaded machine takes longer.
const READY: Duration = Duration::from_secs(40);

const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A place whose two programs are shell scripts.
    fn place(name: &str, host: &str, client: &str) -> Place {
        let folder = std::env::temp_dir().join(format!("xtask-demo-{}-{name}", std::process::id()));
        let scripts = folder.with_extension("scripts");
        std::fs::create_dir_all(&scripts).unwrap();
        let script = |name: &str, text: &str| {
            let path = scripts.join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let programs = Programs { host: script("host", host), client: script("client", client) };
        Place::fresh(&folder, programs).unwrap()
    }

    fn remove(place: &Place) {
        let _ = std::fs::remove_dir_all(&place.folder);
        let _ = std::fs::remove_dir_all(place.folder.with_extension("scripts"));
    }

    const READY_HOST: &str = "echo chatter; echo ready 127.0.0.1:4242 ab:cd; echo display :77 /a/b; exec sleep 60";

    const WRITES: &str = r#"while [ $# -gt 1 ]; do case "$1" in
        --screenshot) echo png > "$2" ;;
        --stats-json) echo '{"journey":[{"stage":"all","p50_us":5}]}' > "$2" ;;
        esac; shift; done"#;

    #[test]
    fn a_code_is_long_grouped_and_fresh() {
        let (one, two) = (fresh_code().unwrap(), fresh_code().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 14);
        assert!(one.split('-').all(|group| group.len() == 4 && group.bytes().all(|byte| ALPHABET.contains(&byte))));
    }

    #[test]
    fn the_agents_two_lines_are_read_and_it_is_stopped() {
        let place = place("ready", READY_HOST, "");
        let mut host = Host::start(&place).unwrap();
        assert_eq!((host.address.as_str(), host.display.as_str()), ("127.0.0.1:4242", ":77"));
        assert_eq!(host.authority.as_deref(), Some("/a/b"));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&place.folder), mode(&place.code)), (0o700, 0o600), "it holds keys");
        host.job.stop();
        assert!(host.job.ended());
        remove(&place);
    }

    #[test]
    fn an_agent_that_dies_is_told_with_its_words() {
        let place = place("dies", "echo 'no X server is installed' >&2; exit 5", "");
        let error = format!("{:#}", Host::start(&place).err().unwrap());
        assert!(error.contains("did not start") && error.contains("no X server is installed"), "{error}");
        remove(&place);
    }

    #[test]
    fn the_headless_client_leaves_its_picture_or_says_why() {
        let good = place("picture", READY_HOST, WRITES);
        let host = Host::start(&good).unwrap();
        picture(&good, &host, 5).unwrap();
        drop(host);
        remove(&good);
        let bad = place("refused", READY_HOST, "echo 'the host is not trusted' >&2; exit 4");
        let host = Host::start(&bad).unwrap();
        let error = format!("{:#}", picture(&bad, &host, 5).unwrap_err());
        assert!(error.contains("the host is not trusted"), "{error}");
        drop(host);
        remove(&bad);
    }
}
