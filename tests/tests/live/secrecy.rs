//! What people type, copy and prove themselves with stands in no log, however much is logged, and in no core.

use super::process::{PATIENCE, Scratch, have, program, until};
use super::screen::{Screen, environment, exact};
use super::stage::{Agent, CODE, SIZE, connect_talkative};
use std::net::UdpSocket;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use telepane_transport::relay::LinkModel;

#[test]
fn nothing_typed_copied_or_proven_is_in_any_log() {
    if !have("secrecy", &["Xvfb", "xterm", "xclip"]) {
        return;
    }
    let dir = Scratch::new();
    let (here, there) = (Screen::start(SIZE.0, SIZE.1), Screen::start(SIZE.0, SIZE.1));
    here.paint_root(1);
    let agent = Agent::talkative(&dir, &["--display", &here.name]);
    // A wire in between, to look at.
    let relay = super::stage::relay(&agent, LinkModel::default());
    let client = connect_talkative(&dir, &there, &relay.addr().to_string(), &["--fullscreen"]);
    exact(&here, &there, PATIENCE);

    let (file, home) = (dir.join("typed"), dir.join(""));
    let typing = format!("exec cat > {}", file.display());
    let windows = here.windows().len();
    let _xterm = here.run("xterm", &home, &["xterm", "-geometry", "80x20+10+10", "-e", "sh", "-c", &typing]);
    until("the xterm is there", PATIENCE, || here.windows().len() > windows);
    there.click(200, 100);
    there.type_text(&format!("{TYPED}\n"));
    until("it arrived", PATIENCE, || std::fs::read_to_string(&file).is_ok_and(|text| text.contains(TYPED)));

    for (from, to, text) in [(&here, &there, COPIED_THERE), (&there, &here, COPIED_HERE)] {
        let contents = dir.write("contents", text).display().to_string();
        let _owner = from.run("xclip", &home, &["xclip", "-selection", "clipboard", "-quiet", "-in", &contents]);
        until("it can be pasted on the other side", PATIENCE, || {
            let mut paste = to.run("xclip", &home, &["timeout", "5", "xclip", "-selection", "clipboard", "-out"]);
            paste.exit_code(PATIENCE);
            paste.all_out() == text
        });
    }

    let logs = [("the agent", agent.run.err() + &agent.run.out()), ("the client", client.err() + &client.out())];
    for (who, log) in &logs {
        println!("secrecy: {who} wrote {} lines", log.lines().count());
        assert!(log.contains("TRACE"), "{who} logs everything");
        for secret in [TYPED, COPIED_THERE, COPIED_HERE, CODE, "ABCDEFGH2345"] {
            // As text, as a list of bytes, in hexadecimal.
            let bytes = secret.as_bytes();
            let list = bytes.iter().take(8).map(u8::to_string).collect::<Vec<_>>().join(", ");
            let hex = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect::<String>();
            for form in [secret, &list, &hex] {
                let line = log.lines().find(|line| line.contains(form));
                assert_eq!(line, None, "{who} logs {secret}");
            }
        }
        // One key is as good as its letter.
        let key = log.lines().find(|line| line.contains("KeyCode(") || line.contains("InputEvent"));
        assert_eq!(key, None, "{who} logs keys");
    }
}

const TYPED: &str = "xylophone-Quartz-77";
const COPIED_THERE: &str = "copied on the host: sesame 4711";
const COPIED_HERE: &str = "copied on the client: barley 4712";

/// Crashes one of the programs; whether a core was written.
fn dumps(dir: &Scratch, program_name: &str, variables: &[(&str, &str)]) -> bool {
    let program = program(program_name);
    let run = match program_name {
        "telepane-host" => "exec \"$0\" serve --synthetic editor --listen 127.0.0.1:0 --no-sound --state-dir \"$1\"",
        _ => "exec \"$0\" connect \"$2\" --headless --state-dir \"$1\"",
    };
    // Nobody answers there: a client waits.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let addr = silent.local_addr().expect("it is bound").to_string();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -c unlimited && {run}")]).arg(program).arg(dir.join("state")).arg(addr);
    // A core lands in the directory the program was started in.
    environment(&mut command, &dir.join("")).envs(variables.iter().copied()).current_dir(dir.join(""));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("there is a shell");
    let name = || std::fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap_or_default();
    until("the shell has become the program", PATIENCE, || name().starts_with("telepane"));
    // What it does first of all is done when it has a socket; or its descriptors are nobody's to see, who is not root.
    let is_socket = |fd: std::fs::DirEntry| {
        let inherited = ["0", "1", "2"].iter().any(|n| fd.file_name() == *n);
        !inherited && std::fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
    };
    until("it is at work", PATIENCE, || {
        std::fs::read_dir(format!("/proc/{}/fd", child.id()))
            .map_or(true, |mut all| all.any(|fd| fd.is_ok_and(is_socket)))
    });
    let crash = Command::new("kill").args(["-ABRT", &child.id().to_string()]).status();
    assert!(crash.expect("there is kill").success(), "it lives");
    child.wait().expect("our own child can be waited for").core_dumped()
}

#[test]
fn a_crash_leaves_no_core() {
    let dir = Scratch::new();
    for name in ["telepane-host", "telepane"] {
        assert!(!dumps(&dir, name, &[]), "{name} left a core");
        // That a core would be written here at all is the machine's to say.
        println!("{name}: a core when it is allowed: {}", dumps(&dir, name, &[("TELEPANE_ALLOW_CORE_DUMPS", "1")]));
    }
}
