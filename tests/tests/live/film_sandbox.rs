//! Films are decoded in a process that can do nothing else, and a session outlives that process.

use super::process::{PATIENCE, Running, Scratch, pause, until};
use super::stage::{Agent, connect};
use std::fs;
use std::time::Duration;

/// So many switches to another process are a film that is shown: there is at least one a frame.
const A_FILM: u64 = 20;

/// The process that decodes for a client.
fn decoder(client: &Running) -> Option<u32> {
    let us = client.pid().to_string();
    let ours = |pid: &u32| -> Option<bool> {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let asked = line.split(|b| *b == 0).nth(1)? == b"__film";
        Some(asked && status(*pid, "PPid")? == us && !status(*pid, "State")?.starts_with('Z'))
    };
    let all = fs::read_dir("/proc").expect("there is /proc");
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).find(|pid| ours(pid) == Some(true))
}

/// A line of `/proc/PID/status`.
fn status(pid: u32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?.trim().to_owned())
}

/// How often it waited: once for each frame, and hardly else.
fn waits(pid: u32) -> u64 {
    status(pid, "voluntary_ctxt_switches").and_then(|n| n.parse().ok()).unwrap_or_default()
}

#[test]
fn a_film_goes_on_when_the_process_that_decodes_it_is_killed() {
    let dir = Scratch::new();
    let agent = Agent::start(&dir, &["--synthetic", "film"]);
    let stats = dir.join("stats.json");
    let args = ["--seconds", "14", "--film-sandbox", "required", "--stats-json", &stats.display().to_string()];
    let mut client = connect(&dir, "client", None, &agent.addr.to_string(), &args);
    until("a process decodes", PATIENCE, || decoder(&client).is_some_and(|pid| waits(pid) > A_FILM));
    let first = decoder(&client).expect("it decodes");
    let line = |field| status(first, field).expect("it lives");
    assert_eq!((line("Seccomp"), line("NoNewPrivs"), line("Threads")), ("2".into(), "1".into(), "1".into()));
    match fs::read_dir(format!("/proc/{first}/fd")) {
        Ok(open) => {
            let mut open: Vec<String> =
                open.filter_map(|e| Some(fs::read_link(e.ok()?.path()).ok()?.display().to_string())).collect();
            open.sort();
            let [null, memory, socket] = &open[..] else { panic!("{open:?}") };
            assert!(
                null == "/dev/null" && memory.contains("telepane-film") && socket.starts_with("socket:"),
                "{open:?}"
            );
        }
        // It cannot be looked into by who is not root, like the client itself.
        Err(error) => println!("skipped: what the process has open is not to be seen ({error})"),
    }
    for round in 0..2 {
        let before = decoder(&client).expect("it decodes");
        let pid = i32::try_from(before).expect("a process");
        // SAFETY: a signal for a process that lives, and that the client started.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
        let other = || decoder(&client).filter(|pid| *pid != before);
        let took = until("another shows the film", PATIENCE, || other().is_some_and(|pid| waits(pid) > A_FILM));
        println!("film after the process was killed ({round}): {A_FILM} frames within {} ms", took.as_millis());
        assert!(client.ended().is_none(), "the client is the same");
        pause(Duration::from_millis(500));
    }
    assert_eq!(client.exit_code(PATIENCE), 0, "{}", client.err());
    let text = fs::read_to_string(&stats).expect("the statistics were written");
    let stats: serde_json::Value = serde_json::from_str(&text).expect("they are JSON");
    assert!(stats["updates_shown"].as_u64().unwrap_or_default() > 60, "{text}");
}

#[test]
fn who_wants_no_such_process_has_none() {
    let dir = Scratch::new();
    let agent = Agent::start(&dir, &["--synthetic", "film"]);
    let args = ["--seconds", "2", "--film-sandbox", "off"];
    let mut client = connect(&dir, "client", None, &agent.addr.to_string(), &args);
    until("the session stands", PATIENCE, || client.err().contains("welcome"));
    assert_eq!(decoder(&client), None);
    assert_eq!(client.exit_code(PATIENCE), 0, "{}", client.err());
    let mut wrong = connect(&dir, "client", None, "127.0.0.1", &["--film-sandbox", "perhaps"]);
    assert_eq!(wrong.exit_code(PATIENCE), 2);
    let config = dir.write("client.toml", "film-sandbox = \"perhaps\"\n").display().to_string();
    let mut wrong = connect(&dir, "client", None, "127.0.0.1", &["--config", &config]);
    assert_eq!(wrong.exit_code(PATIENCE), 2);
    assert!(wrong.err().contains("auto, required, off"), "{}", wrong.err());
}
