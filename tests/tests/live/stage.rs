//! An agent, a client and the link between them, started as a person would start them.

use super::process::{PATIENCE, Running, Scratch, Signal, now, own_address, pause, program, until};
use super::screen::{Screen, environment};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use telepane_bench::link::space::Space;
use telepane_transport::relay::{LinkModel, Relay};

/// The access code of every agent here.
pub const CODE: &str = "ABCD-EFGH-2345";

/// `telepane-host serve`.
pub struct Agent {
    /// The process.
    pub run: Running,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its identity.
    pub fingerprint: String,
}

impl Agent {
    /// Starts one that keeps its state in `dir` and waits until it is ready. `args` name the source and the rest.
    pub fn start(dir: &Scratch, args: &[&str]) -> Self {
        Self::at(dir, "127.0.0.1:0", args)
    }

    /// The same at an address.
    pub fn at(dir: &Scratch, listen: &str, args: &[&str]) -> Self {
        Self::ready(serve(dir, listen, args))
    }

    /// The same with another code.
    pub fn with_code(dir: &Scratch, code_file: &str, listen: &str, args: &[&str]) -> Self {
        Self::ready(start_agent(Command::new(program("telepane-host")), dir, Path::new(code_file), listen, args))
    }

    /// The same, logging everything it can.
    pub fn talkative(dir: &Scratch, args: &[&str]) -> Self {
        let (code, mut command) = (dir.write("code", CODE), Command::new(program("telepane-host")));
        command.env("RUST_LOG", "trace");
        Self::ready(start_agent(command, dir, &code, "127.0.0.1:0", args))
    }

    /// The same in a network namespace.
    pub fn in_namespace(space: &Space, dir: &Scratch, listen: &str, args: &[&str]) -> Self {
        let code = dir.write("code", CODE);
        Self::ready(start_agent(enter(space, "telepane-host"), dir, &code, listen, args))
    }

    fn ready(mut run: Running) -> Self {
        let ready = run.line("ready ");
        let mut words = ready.split(' ').skip(1);
        let addr = words.next().and_then(|a| a.parse().ok()).expect("an address follows `ready`");
        let fingerprint = words.next().expect("a fingerprint follows the address").to_owned();
        Self { run, addr, fingerprint }
    }

    /// The display it made for itself, and its cookie's file.
    pub fn display(&mut self) -> (String, PathBuf) {
        let line = self.run.line("display ");
        let mut words = line.splitn(3, ' ').skip(1).map(str::to_owned);
        (words.next().expect("a name"), words.next().expect("a file").into())
    }
}

impl Drop for Agent {
    /// Asked first, because what it started for itself ends with it only then.
    fn drop(&mut self) {
        if self.run.ended().is_none() {
            self.run.signal(Signal::Terminate);
            let start = now();
            while self.run.ended().is_none() && start.elapsed() < PATIENCE {
                pause(Duration::from_millis(10));
            }
        }
    }
}

/// `telepane-host serve`, ready or not.
pub fn serve(dir: &Scratch, listen: &str, args: &[&str]) -> Running {
    let code = dir.write("code", CODE);
    start_agent(Command::new(program("telepane-host")), dir, &code, listen, args)
}

/// `telepane-host serve` of an invented scene, with a code that it makes itself.
pub fn serve_with_own_code(dir: &Scratch) -> Running {
    let mut command = Command::new(program("telepane-host"));
    environment(&mut command, &dir.join("")).args(["serve", "--listen", "127.0.0.1:0", "--synthetic", "editor"]);
    Running::start("telepane-host", command.arg("--state-dir").arg(dir.join("host")))
}

/// `telepane-host serve` without a source, on an environment with these variables more.
pub fn serve_in(dir: &Scratch, variables: &[(&str, &str)], args: &[&str]) -> Running {
    let mut command = Command::new(program("telepane-host"));
    environment(&mut command, &dir.join("")).envs(variables.iter().copied());
    command.args(["serve", "--listen", "127.0.0.1:0", "--state-dir"]).arg(dir.join("host")).args(args);
    Running::start("telepane-host", &mut command)
}

fn start_agent(mut command: Command, dir: &Scratch, code: &Path, listen: &str, args: &[&str]) -> Running {
    if command.get_envs().all(|(name, _)| name != "RUST_LOG") {
        command.env("RUST_LOG", LOGGED).env("NO_COLOR", "1");
    }
    environment(&mut command, &dir.join(""));
    command.args(["serve", "--listen", listen, "--state-dir"]).arg(dir.join("host"));
    command.arg("--access-code-file").arg(code).args(args);
    Running::start("telepane-host", &mut command)
}

/// `telepane connect` to `host`, with the code and with its state in `dir`/`state`; on `screen`, or without a window.
pub fn connect(dir: &Scratch, state: &str, screen: Option<&Screen>, host: &str, args: &[&str]) -> Running {
    let code = dir.write("client-code", CODE).display().to_string();
    connect_without_code(dir, state, screen, host, &[&["--access-code-file", code.as_str()], args].concat())
}

/// The same without a code.
pub fn connect_without_code(dir: &Scratch, state: &str, screen: Option<&Screen>, host: &str, args: &[&str]) -> Running {
    start_client(Command::new(program("telepane")), dir, state, screen, host, args)
}

/// `telepane connect` with the code, on `screen`, where everything is drawn `factor` times as large.
pub fn connect_scaled(dir: &Scratch, screen: &Screen, factor: &str, host: &str, args: &[&str]) -> Running {
    connect_with(dir, screen, ("WINIT_X11_SCALE_FACTOR", factor), host, args)
}

/// `telepane connect` with the code, on `screen`, in an environment with this variable more.
pub fn connect_with(dir: &Scratch, screen: &Screen, variable: (&str, &str), host: &str, args: &[&str]) -> Running {
    let code = dir.write("client-code", CODE).display().to_string();
    let mut command = Command::new("env");
    command.arg(format!("{}={}", variable.0, variable.1)).arg(program("telepane"));
    start_client(command, dir, "client", Some(screen), host, &[&["--access-code-file", code.as_str()], args].concat())
}

/// `telepane connect` with the code, on the compositor that these variables name.
pub fn connect_on(dir: &Scratch, variables: &[(&str, PathBuf)], host: &str, args: &[&str]) -> Running {
    let code = dir.write("client-code", CODE).display().to_string();
    let mut command = Command::new(program("telepane"));
    environment(&mut command, &dir.join(""))
        .envs(variables.iter().cloned())
        .env("RUST_LOG", "info")
        .env("NO_COLOR", "1");
    command
        .args(["connect", host, "--access-code-file", code.as_str(), "--state-dir"])
        .arg(dir.join("client"))
        .args(args);
    Running::start("telepane", &mut command)
}

/// `telepane connect` with the code, on `screen`, logging everything it can.
pub fn connect_talkative(dir: &Scratch, screen: &Screen, host: &str, args: &[&str]) -> Running {
    connect_with(dir, screen, ("RUST_LOG", "trace"), host, args)
}

/// `telepane connect` with the code, on `screen` and in a network namespace.
pub fn connect_in(space: &Space, dir: &Scratch, state: &str, screen: &Screen, host: &str, args: &[&str]) -> Running {
    let code = dir.write("client-code", CODE).display().to_string();
    let args = [&["--access-code-file", code.as_str()], args].concat();
    start_client(enter(space, "telepane"), dir, state, Some(screen), host, &args)
}

/// The same without a window.
pub fn connect_headless_in(space: &Space, dir: &Scratch, state: &str, host: &str, args: &[&str]) -> Running {
    let code = dir.write("client-code", CODE).display().to_string();
    let args = [&["--access-code-file", code.as_str()], args].concat();
    start_client(enter(space, "telepane"), dir, state, None, host, &args)
}

/// One of the project's programs in a network namespace, with that namespace's interfaces in its /sys, as `ip netns exec` does it.
pub fn enter(space: &Space, name: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount -t sysfs sysfs /sys && exec \"$@\"", "sh"]).arg(program(name));
    space.enter(&mut command);
    command
}

/// What programs log: also what is heard, or is not, which is seldom said.
const LOGGED: &str = "info,telepane_audio=debug";

fn start_client(
    mut command: Command,
    dir: &Scratch,
    state: &str,
    screen: Option<&Screen>,
    host: &str,
    args: &[&str],
) -> Running {
    environment(&mut command, &dir.join("")).env("RUST_LOG", LOGGED).env("NO_COLOR", "1");
    command.args(["connect", host, "--state-dir"]).arg(dir.join(state)).args(args);
    match screen {
        Some(screen) => {
            if let Some(cookie) = &screen.xauthority {
                command.env("XAUTHORITY", cookie);
            }
            command.env("DISPLAY", &screen.name)
        }
        None => command.arg("--headless"),
    };
    Running::start("telepane", &mut command)
}

/// A whole set: a host's screen with an agent, a client's screen of the same size with a client over all of it.
/// The fields end in this order: client, agent, screens, files.
pub struct Stage {
    /// The client.
    pub client: Running,
    /// What lies between, if anything does.
    pub relay: Option<Relay>,
    /// The agent.
    pub agent: Agent,
    /// The client's screen.
    pub there: Screen,
    /// The host's screen.
    pub here: Screen,
    /// Everything they keep.
    pub dir: Scratch,
}

/// The size of a [`Stage`]'s screens.
pub const SIZE: (u16, u16) = (800, 600);

impl Stage {
    /// A direct connection; the first picture is there.
    pub fn start() -> Self {
        Self::with(&[], &[], None)
    }

    /// With more arguments for the agent and the client, and through a link that is the same both ways.
    pub fn with(agent_args: &[&str], client_args: &[&str], link: Option<LinkModel>) -> Self {
        Self::in_dir(Scratch::new(), agent_args, client_args, link)
    }

    /// The same with what lies in `dir` already.
    pub fn in_dir(dir: Scratch, agent_args: &[&str], client_args: &[&str], link: Option<LinkModel>) -> Self {
        Self::on(Screen::start(SIZE.0, SIZE.1), "127.0.0.1:0", dir, agent_args, client_args, link)
    }

    /// The same with a host's screen that is there already, and an agent that listens there.
    pub fn on(
        here: Screen,
        listen: &str,
        dir: Scratch,
        agent_args: &[&str],
        client_args: &[&str],
        link: Option<LinkModel>,
    ) -> Self {
        let there = Screen::start(SIZE.0, SIZE.1);
        here.paint_root(1);
        let agent = Agent::at(&dir, listen, &[&["--display", &here.name], agent_args].concat());
        let relay = link.map(|link| relay(&agent, link));
        let addr = relay.as_ref().map_or(agent.addr, Relay::addr).to_string();
        let client = connect(&dir, "client", Some(&there), &addr, &[&["--fullscreen"], client_args].concat());
        let stage = Self { client, relay, agent, there, here, dir };
        println!("the first picture: exact {:?} after the start of the client", stage.exact());
        // What is typed before that is for nobody.
        until("the client has the keyboard", PATIENCE, || stage.there.has_focus());
        stage
    }

    /// One whose agent has an address that stays free while there is none.
    pub fn that_may_restart() -> Self {
        let listen = own_address().to_string();
        Self::on(Screen::start(SIZE.0, SIZE.1), &listen, Scratch::new(), &[], &[], None)
    }

    /// Waits until the client shows what the host shows; returns how long it took.
    pub fn exact(&self) -> Duration {
        super::screen::exact(&self.here, &self.there, PATIENCE)
    }

    /// An application on the host's screen.
    pub fn run(&self, args: &[&str]) -> Running {
        self.here.run(args[0], &self.dir.join(""), args)
    }

    /// An xterm over the upper left of the host's screen that runs `command`, once it is there and the pointer is in it.
    pub fn terminal(&self, command: &str) -> Running {
        let windows = self.here.windows().len();
        let xterm = self.run(&["xterm", "-geometry", "80x20+10+10", "-e", "sh", "-c", command]);
        until("the xterm is there", PATIENCE, || self.here.windows().len() > windows);
        xterm
    }
}

/// A line typed at a client arrives in the xterm that [`Stage::terminal`] opened with `cat`, and is seen.
pub fn types(stage: &Stage, file: &Path, line: &str) {
    let before = std::fs::read_to_string(file).unwrap_or_default();
    stage.there.click(200, 100);
    stage.there.type_text(line);
    until("what was typed arrived", PATIENCE, || {
        std::fs::read_to_string(file).is_ok_and(|text| text == format!("{before}{line}"))
    });
    stage.exact();
}

/// A relay before an agent.
pub fn relay(agent: &Agent, link: LinkModel) -> Relay {
    let start = now();
    let clock = Arc::new(move || start.elapsed().as_micros() as u64);
    Relay::start(([127, 0, 0, 1], 0).into(), agent.addr, link, link, 7, clock).expect("a socket")
}
