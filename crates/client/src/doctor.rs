//! `telepane doctor`: which ways lead to a host, tried as `connect` tries them, up to the handshake and no further; and whether
//! this machine's clipboard can be shared with one.

use crate::cli::Doctor;
use crate::clipboard::{self, System};
use crate::clock::Clock;
use crate::connect;
use crate::driver::{Target, exit};
use anyhow::Result;
use serde::Serialize;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use telepane_model::Selection;
use telepane_transport::{Carriers, Client, Event, HostExpectation, Options};
use telepane_trust::Fingerprint;

/// An attempt ends by itself long before.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was tried: `connect`, a carrier alone, or `clipboard`.
    tried: &'static str,
    /// Whether it came about.
    works: bool,
    /// What carried it.
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier: Option<&'static str>,
    milliseconds: u64,
    /// With whom, or why not.
    found: String,
}

/// Looks; the exit code.
pub fn run(options: &Doctor) -> Result<i32> {
    let target = match connect::target(options.connect())? {
        Ok((target, _)) => target,
        Err(code) => return Ok(code),
    };
    let ways = attempts(target.network.carriers).into_iter();
    let ways = ways.map(|(tried, carriers)| attempt(&target, tried, carriers));
    let findings: Vec<Finding> = ways.chain(std::iter::once(clipboard(target.clipboard))).collect();
    match options.json {
        true => println!("{}", serde_json::to_string(&findings)?),
        false => print!("{}", table(&findings)),
    }
    Ok(if findings.first().is_some_and(|f| f.works) { exit::FINE } else { exit::CANNOT_CONNECT })
}

/// What `connect` does comes first; then what each carrier does alone, where it may choose.
fn attempts(carriers: Carriers) -> Vec<(&'static str, Carriers)> {
    let alone = [("quic", Carriers::Quic), ("websocket", Carriers::WebSocket)];
    let choice = (carriers == Carriers::Auto).then_some(alone).into_iter().flatten();
    std::iter::once(("connect", carriers)).chain(choice).collect()
}

fn attempt(target: &Target, tried: &'static str, carriers: Carriers) -> Finding {
    let (send, events) = channel();
    let sink = Arc::new(move |event| {
        // What comes after the answer interests nobody.
        let _ = send.send(event);
    });
    let clock = Clock::new();
    let began = clock.micros();
    let network = Options { carriers, ..target.network.clone() };
    let micros = Arc::new(move || clock.micros());
    // Whoever it is: nothing is said to him.
    let client = Client::connect(target.addresses.clone(), HostExpectation::Any, micros, sink, network);
    let (carrier, found) = loop {
        match events.recv_timeout(PATIENCE) {
            Ok(Event::Connected { facts, .. }) => {
                let identity = Fingerprint(facts.host_fingerprint);
                break (Some(facts.carrier.name()), format!("{}, identity {identity}", facts.remote));
            }
            Ok(Event::ConnectFailed { why, .. }) => break (None, why.to_string()),
            Ok(_) => {}
            Err(_) => break (None, "no answer".into()),
        }
    };
    let milliseconds = (clock.micros() - began) / 1_000;
    client.shutdown();
    Finding { tried, works: carrier.is_some(), carrier, milliseconds, found }
}

/// Whether the clipboard of the system that a window would be on can be shared.
fn clipboard(on: System) -> Finding {
    let clock = Clock::new();
    let began = clock.micros();
    let opened = clipboard::open(on, Selection::Clipboard);
    let milliseconds = (clock.micros() - began) / 1_000;
    let (works, found) = match (opened, on) {
        (Ok(_), System::Wayland) => (true, "the Wayland compositor's is shared".into()),
        (Ok(_), System::Display) => (true, "this display's is shared".into()),
        (Err(error), _) => (false, error.to_string()),
    };
    Finding { tried: "clipboard", works, carrier: None, milliseconds, found }
}

/// One line each.
fn table(findings: &[Finding]) -> String {
    findings.iter().fold(String::new(), |mut out, f| {
        let mark = if f.works { "ok" } else { "BAD" };
        let over = f.carrier.filter(|c| *c != f.tried).map_or_else(String::new, |c| format!("over {c}, "));
        let _ = writeln!(out, "{mark:<4} {:<10} {:>6} ms  {over}{}", f.tried, f.milliseconds, f.found);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connect_may_not_do_is_not_tried() {
        let names = |c| attempts(c).into_iter().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(names(Carriers::Auto), ["connect", "quic", "websocket"]);
        assert_eq!(names(Carriers::WebSocket), ["connect"]);
    }

    #[test]
    fn findings_are_for_people_and_scripts() {
        let quic = Finding { tried: "quic", works: false, carrier: None, milliseconds: 2_600, found: "silence".into() };
        let race = Finding {
            tried: "connect",
            works: true,
            carrier: Some("websocket"),
            milliseconds: 262,
            found: "192.0.2.1:8443".into(),
        };
        let all = [race, quic];
        let text = "ok   connect       262 ms  over websocket, 192.0.2.1:8443\nBAD  quic         2600 ms  silence\n";
        assert_eq!(table(&all), text);
        let json = serde_json::to_value(&all).unwrap();
        assert_eq!((&json[0]["carrier"], &json[1]["works"]), (&"websocket".into(), &false.into()));
        assert!(json[1].get("carrier").is_none());
    }
}
