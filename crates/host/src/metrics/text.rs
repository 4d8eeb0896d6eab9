//! Figures as Prometheus' text format, version 0.0.4: names, units and help by its conventions.

use super::{Counts, Figures, Histogram, Kinds, STAGES};
use crate::ask::{LinkInfo, SessionInfo};
use crate::sound::SoundFigures;
use std::fmt::Write as _;

/// The text of one scrape.
pub fn render(figures: &Figures) -> String {
    let mut out = String::with_capacity(8 * 1024);
    let Figures { counts, sessions, sound } = figures;
    head(&mut out, "telepane_build_info", "gauge", "The agent's version");
    let _ = writeln!(out, "telepane_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    head(&mut out, "telepane_sessions", "gauge", "Sessions, by whether their viewer is connected or expected back");
    for (state, want) in [("connected", true), ("waiting", false)] {
        let n = sessions.iter().filter(|s| s.connected == want).count();
        let _ = writeln!(out, "telepane_sessions{{state=\"{state}\"}} {n}");
    }
    per_session(&mut out, sessions);
    policies(&mut out, sessions);
    for (name, help, value) in counters(counts).into_iter().chain(of_sound(sound)) {
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
    const FULL: &str = "telepane_queue_full_total";
    head(&mut out, FULL, "counter", "What a full queue of the transport's refused, by lane");
    let full = counts.queue_full;
    for (lane, n) in [("datagrams", full.datagrams), ("control", full.control), ("chunks", full.chunks)] {
        let _ = writeln!(out, "{FULL}{{lane=\"{lane}\"}} {n}");
    }
    for (name, help, kinds, bytes) in kinds(counts) {
        head(&mut out, name, "counter", help);
        for (kind, (datagrams, size)) in &kinds.0 {
            let _ = writeln!(out, "{name}{{kind=\"{kind}\"}} {}", if bytes { size } else { datagrams });
        }
    }
    histograms(&mut out, counts);
    out
}

fn counters(c: &Counts) -> [(&'static str, &'static str, u64); 21] {
    [
        ("telepane_sent_bytes_total", "Datagram and control bytes handed to QUIC", c.sent_bytes),
        ("telepane_copied_jobs_total", "Coding jobs answered with what another viewer had coded", c.copied),
        ("telepane_received_bytes_total", "Datagram and control bytes that came from viewers", c.received_bytes),
        ("telepane_frames_captured_total", "Frames the capture source gave", c.frames_captured),
        ("telepane_coded_pixels_total", "Pixels handed to the coders", c.pixels_planned),
        ("telepane_slices_sent_total", "Slices sent for the first time", c.slices_sent),
        ("telepane_slice_bytes_total", "Bytes of slices sent for the first time", c.slice_bytes),
        ("telepane_shards_resent_total", "Shards of slices sent again", c.shards_resent),
        ("telepane_slices_given_up_total", "Times a viewer gave up waiting and asked for a rebase", c.gave_up),
        ("telepane_rebases_total", "Times the newest pixels were coded against an older state", c.rebases),
        ("telepane_refreshes_total", "Times a whole surface was sent anew", c.refreshes),
        ("telepane_became_exact_total", "Times every tile was confirmed exact after a change", c.became_exact),
        ("telepane_proof_tiles_total", "Tiles whose hash at a viewer was held against what was sent", c.proof_tiles),
        ("telepane_proof_mismatches_total", "Of these, tiles that showed something else", c.proof_mismatches),
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

fn of_sound(s: &SoundFigures) -> [(&'static str, &'static str, u64); 6] {
    let mic = &s.microphone;
    [
        ("telepane_sound_frames_total", "Frames of 10 ms of the desktop's sound that were heard and coded", s.heard),
        ("telepane_sound_rebuilt_total", "Times a sound device was opened again after it had failed", s.rebuilt),
        ("telepane_microphone_frames_total", "Frames of viewers' microphones that were played", mic.played),
        ("telepane_microphone_restored_total", "Of these, from a copy in a later packet", mic.restored),
        ("telepane_microphone_made_up_total", "Frames of microphones that were lost", mic.concealed + mic.mended),
        ("telepane_microphone_passed_total", "Frames of microphones passed over at the ceiling", mic.passed),
    ]
}

type Gauge = (&'static str, &'static str, fn(&SessionInfo) -> Option<f64>);

fn per_session(out: &mut String, sessions: &[SessionInfo]) {
    fn link(s: &SessionInfo, f: impl FnOnce(&LinkInfo) -> f64) -> Option<f64> {
        s.link.as_ref().map(f)
    }
    let gauges: [Gauge; 18] = [
        ("telepane_round_trip_seconds", "Smoothed round trip", |s| link(s, |l| l.rtt_ms / 1e3)),
        ("telepane_round_trip_variation_seconds", "Mean deviation of the round trip", |s| {
            link(s, |l| l.rtt_variation_ms / 1e3)
        }),
        ("telepane_limit_bits_per_second", "The limit a person set", |s| {
            s.link.as_ref().and_then(|l| l.limit_bps).map(|bps| bps as f64)
        }),
        ("telepane_active_limit_bits_per_second", "What may be sent over time as things are", |s| {
            link(s, |l| l.active_limit_bps as f64)
        }),
        ("telepane_window_bytes", "The most that may be on the way unconfirmed", |s| {
            link(s, |l| l.window_bytes as f64)
        }),
        ("telepane_mtu_bytes", "The largest UDP payload the path takes", |s| link(s, |l| f64::from(l.mtu))),
        ("telepane_sent_packets", "UDP datagrams sent on this connection", |s| link(s, |l| l.sent_packets as f64)),
        ("telepane_received_packets", "UDP datagrams received on this connection", |s| {
            link(s, |l| l.received_packets as f64)
        }),
        ("telepane_uplink_loss_ratio", "The part of the viewer's datagrams that did not come", |s| {
            link(s, |l| l.uplink_loss)
        }),
        ("telepane_film_pixels", "Pixels of the region that is coded as film", |s| link(s, |l| l.film_pixels as f64)),
        ("telepane_unshown_slices", "Slices that the viewer had applied and not shown when it reported last", |s| {
            link(s, |l| f64::from(l.unshown))
        }),
        ("telepane_film_frames", "Frames of film of which it is known whether the viewer showed them", |s| {
            link(s, |l| l.film_frames as f64)
        }),
        (
            "telepane_film_passed_over",
            "Of these, frames that were not on the screen when the next one was decoded",
            |s| link(s, |l| l.film_passed_over as f64),
        ),
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

/// What each session keeps to, one sample for each knob that is set.
fn policies(out: &mut String, sessions: &[SessionInfo]) {
    const NAME: &str = "telepane_policy";
    head(out, NAME, "gauge", "What the session keeps to, by knob: rates in bits per second, qualities from 0 to 100");
    for s in sessions {
        for (knob, value) in &s.policy {
            let (client, knob) = (escaped(&s.name), escaped(knob));
            let _ = writeln!(out, "{NAME}{{session=\"{}\",client=\"{client}\",knob=\"{knob}\"}} {value}", s.id);
        }
    }
}

type KindCounter<'a> = (&'static str, &'static str, &'a Kinds, bool);

fn kinds(c: &Counts) -> [KindCounter<'_>; 4] {
    [
        ("telepane_sent_datagrams_total", "Datagrams handed to QUIC, by what they carry", &c.sent_kinds, false),
        ("telepane_sent_datagram_bytes_total", "Their bytes", &c.sent_kinds, true),
        ("telepane_received_datagrams_total", "Datagrams of viewers, by what they carry", &c.received_kinds, false),
        ("telepane_received_datagram_bytes_total", "Their bytes", &c.received_kinds, true),
    ]
}

fn histograms(out: &mut String, counts: &Counts) {
    head(out, "telepane_encode_seconds", "histogram", "Time to code one job");
    histogram(out, "telepane_encode_seconds", "", &counts.encode);
    const STAGE: &str = "telepane_stage_seconds";
    head(out, STAGE, "histogram", "How long an update spent in each of its stages on the host");
    for (stage, spent) in STAGES.iter().zip(&counts.stages) {
        histogram(out, STAGE, &format!("stage=\"{stage}\""), spent);
    }
}

/// The samples of one histogram; `label` is `name="value"` or empty.
fn histogram(out: &mut String, name: &str, label: &str, histogram: &Histogram) {
    let comma = if label.is_empty() { "" } else { "," };
    let braces = if label.is_empty() { String::new() } else { format!("{{{label}}}") };
    let mut count = 0;
    for (bound, n) in histogram.cumulative() {
        count = n;
        let bound = bound.map_or_else(|| "+Inf".to_owned(), |us| (us as f64 / 1e6).to_string());
        let _ = writeln!(out, "{name}_bucket{{{label}{comma}le=\"{bound}\"}} {n}");
    }
    let _ = writeln!(out, "{name}_sum{braces} {}\n{name}_count{braces} {count}", histogram.sum_us() as f64 / 1e6);
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
        (figures.counts.proof_tiles, figures.counts.proof_mismatches) = (510, 1);
        figures.counts.faults.insert("BadPixels", 2);
        figures.counts.queue_full.chunks = 5;
        figures.counts.encode.observe(Span::millis(3));
        figures.counts.sent_kinds.count(&[0x41, 0, 0, 7]);
        figures.counts.on_stages(&telepane_session::Stages { wait: vec![Span::millis(1)], ..Default::default() });
        let link = LinkInfo { rtt_ms: 40.0, capacity_bps: 20_000_000, ..LinkInfo::default() };
        figures.sessions = vec![
            SessionInfo {
                id: 1,
                name: "a \"quoted\\name\"\n".into(),
                connected: true,
                exact: true,
                policy: [("max-fps".to_owned(), 24)].into(),
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
            "telepane_policy{session=\"1\",client=\"a \\\"quoted\\\\name\\\"\\n\",knob=\"max-fps\"} 24",
            "telepane_slices_sent_total 3",
            "telepane_proof_tiles_total 510",
            "telepane_proof_mismatches_total 1",
            "telepane_faults_total{fault=\"BadPixels\"} 2",
            "telepane_queue_full_total{lane=\"datagrams\"} 0",
            "telepane_queue_full_total{lane=\"chunks\"} 5",
            "telepane_encode_seconds_bucket{le=\"0.002\"} 0",
            "telepane_encode_seconds_bucket{le=\"0.005\"} 1",
            "telepane_encode_seconds_bucket{le=\"+Inf\"} 1",
            "telepane_encode_seconds_sum 0.003",
            "telepane_encode_seconds_count 1",
            "telepane_sent_datagrams_total{kind=\"picture\"} 1",
            "telepane_sent_datagram_bytes_total{kind=\"picture\"} 4",
            "telepane_stage_seconds_bucket{stage=\"capture_to_plan\",le=\"0.001\"} 1",
            "telepane_stage_seconds_count{stage=\"coded_to_sent\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
        }
        assert!(!text.contains("session=\"2\""), "no figures of a link that is not there");
    }
}
