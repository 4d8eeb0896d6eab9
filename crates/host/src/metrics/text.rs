//! Figures as Prometheus' text format, version 0.0.4: names, units and help by its conventions.

use super::{Counts, Figures};
use crate::ask::{LinkInfo, SessionInfo};
use std::fmt::Write as _;

/// The text of one scrape.
pub fn render(figures: &Figures) -> String {
    let mut out = String::with_capacity(8 * 1024);
    let Figures { counts, sessions } = figures;
    head(&mut out, "telepane_build_info", "gauge", "The agent's version");
    let _ = writeln!(out, "telepane_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    head(&mut out, "telepane_sessions", "gauge", "Sessions, by whether their viewer is connected or expected back");
    for (state, want) in [("connected", true), ("waiting", false)] {
        let n = sessions.iter().filter(|s| s.connected == want).count();
        let _ = writeln!(out, "telepane_sessions{{state=\"{state}\"}} {n}");
    }
    per_session(&mut out, sessions);
    for (name, help, value) in counters(counts) {
        head(&mut out, name, "counter", help);
        let _ = writeln!(out, "{name} {value}");
    }
    head(
        &mut out,
        "telepane_faults_total",
        "counter",
        "What peers sent that they must not, by protocol-spec/faults.md",
    );
    for (fault, n) in &counts.faults {
        let _ = writeln!(out, "telepane_faults_total{{fault=\"{}\"}} {n}", escaped(fault));
    }
    encode(&mut out, counts);
    out
}

fn counters(c: &Counts) -> [(&'static str, &'static str, u64); 18] {
    [
        ("telepane_sent_bytes_total", "Datagram and control bytes handed to QUIC", c.sent_bytes),
        ("telepane_copied_jobs_total", "Coding jobs answered with what another viewer had coded", c.copied),
        ("telepane_received_bytes_total", "Datagram and control bytes that came from viewers", c.received_bytes),
        ("telepane_frames_captured_total", "Frames the capture source gave", c.frames_captured),
        ("telepane_slices_sent_total", "Slices sent for the first time", c.slices_sent),
        ("telepane_slice_bytes_total", "Bytes of slices sent for the first time", c.slice_bytes),
        ("telepane_shards_resent_total", "Shards of slices sent again", c.shards_resent),
        ("telepane_slices_given_up_total", "Times a viewer gave up waiting and asked for a rebase", c.gave_up),
        ("telepane_rebases_total", "Times the newest pixels were coded against an older state", c.rebases),
        ("telepane_refreshes_total", "Times a whole surface was sent anew", c.refreshes),
        ("telepane_became_exact_total", "Times every tile was confirmed exact after a change", c.became_exact),
        (
            "telepane_input_events_total",
            "Input events that came in time and in order, forbidden ones among them",
            c.input_events,
        ),
        ("telepane_input_expired_total", "Input events dropped because they were too old", c.input_expired),
        ("telepane_input_forbidden_total", "Input events dropped for lack of permission", c.input_forbidden),
        ("telepane_leases_expired_total", "Held keys let go because nobody refreshed them", c.leases_expired),
        ("telepane_logins_total", "Viewers let in", c.logins),
        ("telepane_logins_refused_total", "Connections sent away at the door", c.logins_refused),
        ("telepane_sessions_revoked_total", "Sessions ended by a revoked key or permission", c.revoked),
    ]
}

type Gauge = (&'static str, &'static str, fn(&SessionInfo) -> Option<f64>);

fn per_session(out: &mut String, sessions: &[SessionInfo]) {
    fn link(s: &SessionInfo, f: impl FnOnce(&LinkInfo) -> f64) -> Option<f64> {
        s.link.as_ref().map(f)
    }
    let gauges: [Gauge; 6] = [
        ("telepane_round_trip_seconds", "Smoothed round trip", |s| link(s, |l| l.rtt_ms / 1e3)),
        ("telepane_capacity_bits_per_second", "What the path carries", |s| link(s, |l| l.capacity_bps as f64)),
        ("telepane_share_bits_per_second", "What is used of it over time", |s| link(s, |l| l.share_bps as f64)),
        ("telepane_queue_seconds", "How long a packet waits in the path's queue", |s| link(s, |l| l.queue_ms / 1e3)),
        ("telepane_exact", "1 when the viewer has confirmed every pixel", |s| {
            s.link.as_ref().map(|_| f64::from(u8::from(s.exact)))
        }),
        ("telepane_lost_packets", "Packets QUIC deems lost on this connection", |s| link(s, |l| l.lost_packets as f64)),
    ];
    for (name, help, value) in gauges {
        head(out, name, "gauge", help);
        for session in sessions {
            if let Some(value) = value(session) {
                // To the microsecond, which is as fine as it was measured.
                let value = (value * 1e6).round() / 1e6;
                let _ =
                    writeln!(out, "{name}{{session=\"{}\",client=\"{}\"}} {value}", session.id, escaped(&session.name));
            }
        }
    }
}

fn encode(out: &mut String, counts: &Counts) {
    const NAME: &str = "telepane_encode_seconds";
    head(out, NAME, "histogram", "Time to code one job");
    let mut count = 0;
    for (bound, n) in counts.encode.cumulative() {
        count = n;
        let bound = bound.map_or_else(|| "+Inf".to_owned(), |us| (us as f64 / 1e6).to_string());
        let _ = writeln!(out, "{NAME}_bucket{{le=\"{bound}\"}} {n}");
    }
    let _ = writeln!(out, "{NAME}_sum {}\n{NAME}_count {count}", counts.encode.sum_us() as f64 / 1e6);
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A label's value: backslash, double quote and line feed are the three that must be escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use telepane_model::Span;

    fn figures() -> Figures {
        let mut figures = Figures::default();
        figures.counts.slices_sent = 3;
        figures.counts.faults.insert("BadPixels", 2);
        figures.counts.encode.observe(Span::millis(3));
        let link = LinkInfo { rtt_ms: 40.0, capacity_bps: 20_000_000, ..LinkInfo::default() };
        figures.sessions = vec![
            SessionInfo {
                id: 1,
                name: "a \"quoted\\name\"\n".into(),
                connected: true,
                exact: true,
                link: Some(link),
                ..SessionInfo::default()
            },
            SessionInfo { id: 2, ..SessionInfo::default() },
        ];
        figures
    }

    #[test]
    fn every_sample_is_announced_once_and_well_formed() {
        let text = render(&figures());
        let mut announced = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert!(announced.insert(rest.split(' ').next().unwrap_or_default().to_owned()), "twice: {line}");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                let name = series.split('{').next().unwrap_or_default();
                let family = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
                assert!(announced.contains(family) || announced.contains(name), "{line}");
                assert!(name.starts_with("telepane_") && series.matches('"').count() % 2 == 0, "{line}");
            }
        }
    }

    #[test]
    fn values_stand_where_they_belong() {
        let text = render(&figures());
        for line in [
            "telepane_sessions{state=\"connected\"} 1",
            "telepane_sessions{state=\"waiting\"} 1",
            "telepane_round_trip_seconds{session=\"1\",client=\"a \\\"quoted\\\\name\\\"\\n\"} 0.04",
            "telepane_slices_sent_total 3",
            "telepane_faults_total{fault=\"BadPixels\"} 2",
            "telepane_encode_seconds_bucket{le=\"0.002\"} 0",
            "telepane_encode_seconds_bucket{le=\"0.005\"} 1",
            "telepane_encode_seconds_bucket{le=\"+Inf\"} 1",
            "telepane_encode_seconds_sum 0.003",
            "telepane_encode_seconds_count 1",
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
        }
        assert!(!text.contains("session=\"2\""), "no figures of a link that is not there");
    }
}
