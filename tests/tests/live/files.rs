//! `telepane cp` and `serve --files`: there and back, beside a session, through a lost link and a killed client, and without
//! a right.

use super::process::{PATIENCE, Running, Scratch, Signal, program, until};
use super::rights::{allow, permissions};
use super::screen::environment;
use super::stage::{Agent, CODE, connect, relay};
use std::path::Path;
use std::process::Command;
use telepane_model::{BitRate, Rng, Span};
use telepane_transport::relay::LinkModel;

/// `telepane cp`, with the code.
pub fn cp(dir: &Scratch, args: &[&str]) -> Running {
    let code = dir.write("client-code", CODE);
    let mut command = Command::new(program("telepane"));
    environment(&mut command, &dir.join("")).arg("cp").arg("--trust-new").arg("--state-dir").arg(dir.join("copier"));
    command.arg("--access-code-file").arg(code).args(args);
    Running::start("telepane cp", &mut command)
}

/// An agent that gives out `dir`/given, without a display.
pub fn agent(dir: &Scratch, more: &[&str]) -> Agent {
    std::fs::create_dir_all(dir.join("given")).expect("a directory");
    let given = dir.join("given").display().to_string();
    Agent::start(dir, &[&["--synthetic", "editor", "--size", "320x200", "--files", &given], more].concat())
}

pub fn noise(path: &Path, bytes: usize) -> Vec<u8> {
    let mut rng = Rng::new(bytes as u64);
    let contents: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| rng.next_u64().to_le_bytes()).take(bytes).collect();
    std::fs::write(path, &contents).expect("a file");
    contents
}

fn parts(dir: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(dir).expect("a directory").filter_map(Result::ok);
    let parts = entries.filter(|e| e.file_name().to_string_lossy().ends_with(".telepane-part"));
    parts.filter_map(|e| e.metadata().ok().map(|m| m.len())).collect()
}

// spec: X-3, X-6
#[test]
fn files_and_directories_go_there_and_back_beside_a_session() {
    let dir = Scratch::new();
    let agent = agent(&dir, &[]);
    let mut session = connect(&dir, "client", None, &agent.addr.to_string(), &["--trust-new", "--seconds", "600"]);
    until("the session stands", PATIENCE, || session.err().contains("welcome"));
    let tree = dir.join("tree");
    std::fs::create_dir_all(tree.join("deep/er")).expect("directories");
    for i in 0..150 {
        std::fs::write(tree.join(format!("deep/n{i}")), format!("{i}")).expect("a file");
    }
    std::fs::write(tree.join("deep/er/empty"), "").expect("a file");
    noise(&tree.join("ä b:c"), 3_000_000);
    let host = |path: &str| format!("{}:{path}", agent.addr);
    let from = tree.display().to_string();
    let mut up = cp(&dir, &["-r", "--json", &from, &host("")]);
    assert_eq!(up.exit_code(PATIENCE), 0, "{}", up.all_err());
    println!("up: {}", up.all_out().lines().last().unwrap_or_default());
    let back = dir.join("back").display().to_string();
    let mut down = cp(&dir, &["-r", "--json", &host("tree"), &back]);
    assert_eq!(down.exit_code(PATIENCE), 0, "{}", down.all_err());
    println!("down: {}", down.all_out().lines().last().unwrap_or_default());
    let same = |a: &Path, b: &Path| Command::new("diff").arg("-r").arg(a).arg(b).status().expect("diff").success();
    assert!(same(&tree, &dir.join("given/tree")) && same(&tree, &dir.join("back")));
    assert!(parts(&dir.join("given")).is_empty());
    // What is wrong is said with its code.
    for (args, code, words) in [
        (vec![host("absent"), back.clone()], 5, "No such file"),
        (vec![host("tree"), back.clone()], 5, "-r"),
        (vec![host("../tree"), back.clone()], 2, "climbs"),
        (vec![from.clone(), back.clone()], 2, "HOST:PATH"),
        (vec![from.clone(), host("tree/deep/n1"), "-r".into()], 5, "n1"),
    ] {
        let mut wrong = cp(&dir, &args.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(wrong.exit_code(PATIENCE), code, "{args:?}: {}", wrong.all_err());
        assert!(wrong.all_err().contains(words), "{args:?}: {}", wrong.all_err());
    }
    assert_eq!(session.ended(), None, "nobody's place was taken: {}", session.err());
}

/// A client that is killed, then a link that goes dark: the same command goes on where it stopped, both ways.
// spec: B-9, X-8, X-9
#[test]
fn what_was_broken_off_goes_on() {
    let dir = Scratch::new();
    let agent = agent(&dir, &[]);
    let rate = Some(BitRate::mbps(16));
    let relay = relay(&agent, LinkModel { rate, delay: Span::millis(5), ..LinkModel::default() });
    let contents = noise(&dir.join("big"), 8_000_000);
    std::fs::create_dir_all(dir.join("here")).expect("a directory");
    let here = dir.join("here").display().to_string();
    let big = dir.join("big").display().to_string();
    let (up, down) = (format!("{}:big", relay.addr()), format!("{}:big", relay.addr()));
    for (args, to) in
        [([big.as_str(), up.as_str()], dir.join("given")), ([down.as_str(), here.as_str()], dir.join("here"))]
    {
        let first = cp(&dir, &args);
        until("a part is there", PATIENCE, || parts(&to).iter().any(|n| *n > 1_000_000));
        first.signal(Signal::Kill);
        drop(first);
        assert!(!to.join("big").exists());
        let second = cp(&dir, &["--json", args[0], args[1]]);
        let held = parts(&to).into_iter().max().unwrap_or(0);
        until("it goes on", PATIENCE, || parts(&to).iter().any(|n| *n > held + 500_000) || to.join("big").exists());
        relay.blackout(true);
        super::process::pause(std::time::Duration::from_millis(1_500));
        relay.blackout(false);
        let mut second = second;
        assert_eq!(second.exit_code(3 * PATIENCE), 0, "{}", second.all_err());
        let line = second.all_out().lines().next().unwrap_or_default().to_owned();
        println!("went on: {line}");
        let report: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
        assert!(report["resumed_at"].as_u64() > Some(900_000), "{line}");
        assert!(std::fs::read(to.join("big")).expect("a file") == contents);
        assert!(parts(&to).is_empty());
    }
}

// spec: X-3, X-11
#[test]
fn without_a_directory_or_a_right_nothing_is_copied() {
    let dir = Scratch::new();
    std::fs::write(dir.join("mine"), "mine").expect("a file");
    let mine = dir.join("mine").display().to_string();
    let none = Agent::start(&dir, &["--synthetic", "editor", "--size", "320x200"]);
    let mut refused = cp(&dir, &[&mine, &format!("{}:", none.addr)]);
    assert_eq!(refused.exit_code(PATIENCE), 4, "{}", refused.all_err());
    assert!(refused.all_err().contains("--files DIR"), "{}", refused.all_err());
    drop(none);
    // The agent's home is the directory.
    allow(&permissions(&dir), "display file-download");
    let agent = agent(&dir, &[]);
    dir.write("given/readable", "readable");
    let mut up = cp(&dir, &[&mine, &format!("{}:", agent.addr)]);
    assert_eq!(up.exit_code(PATIENCE), 4, "{}", up.all_err());
    assert!(!dir.join("given/mine").exists());
    let got = dir.join("got").display().to_string();
    let mut down = cp(&dir, &[&format!("{}:readable", agent.addr), &got]);
    assert_eq!(down.exit_code(PATIENCE), 0, "{}", down.all_err());
    assert_eq!(std::fs::read(got).expect("a file"), b"readable");
}
