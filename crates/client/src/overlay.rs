//! The statistics overlay and the part of `--stats-json` that says the same: every figure that PCoIP logs and DCV shows
//! (anchors.md §3.4, §2.6) as far as a viewer knows it, and what each is made of.
//!
//! A function of readings, without a clock or a window.

use crate::driver::Paths;
use crate::drops::Uploading;
use crate::policy_overlay;
use crate::slow::{self, Moments};
use crate::sound::SoundReadings;
use crate::stats::Stats;
use crate::tiles::{CODERS, Tiles, coder};
use crate::traffic::Rate;
use crate::ui::{Colour, Overlay};
use serde_json::{Value, json};
use telepane_model::{Monitor, SessionPolicy, Size, Span, Stamp, Surf, ViewerClock};
use telepane_session::Figures;
use telepane_transport::{Carrier, LinkStats};

/// What is known at one moment.
pub struct Readings<'a> {
    /// The moment.
    pub now: Stamp<ViewerClock>,
    /// The host's name for itself.
    pub host: &'a str,
    /// The desktop's size.
    pub size: Option<Size<Surf>>,
    /// The journeys.
    pub stats: &'a Stats,
    /// Received bits, sent bits, updates and pixels, per second.
    pub rates: [Rate; 4],
    /// What the line carried in trains, in bits per second.
    pub burst: Option<u64>,
    /// The smoothed round trip.
    pub rtt: Option<Span>,
    /// The longest so far.
    pub rtt_max: Span,
    /// What the session goes over, and what stands by.
    pub paths: Paths,
    /// What the QUIC stack says.
    pub link: Option<LinkStats>,
    /// What coded each tile.
    pub tiles: Option<&'a Tiles>,
    /// Input that was too old.
    pub dropped_input: u32,
    /// Loudspeaker and microphone.
    pub sound: SoundReadings,
    /// For the judgement.
    pub moments: Moments,
    /// Who is connected.
    pub people: String,
    /// The desktop's monitors, as the host told them.
    pub monitors: &'a [Monitor],
    /// Dropped files on their way.
    pub uploading: Option<Uploading>,
    /// What came, by kind.
    pub figures: Figures,
    /// What the person wishes the session to keep to.
    pub wish: SessionPolicy,
    /// What holds, as the host said.
    pub holds: SessionPolicy,
}

const BRIGHT: Colour = [0xff, 0xff, 0xff];
const PLAIN: Colour = [0xd8, 0xd0, 0xc8];
const FAINT: Colour = [0xb0, 0xa4, 0x98];
/// Somebody is slow.
const WARM: Colour = [0x60, 0xb8, 0xff];
/// All is exact.
const GOOD: Colour = [0x80, 0xe0, 0x90];

/// Two of any size and scale fit into a line.
const MOST_MONITORS_SHOWN: usize = 2;

type Line = Vec<(String, Colour)>;

/// The overlay for these readings.
pub fn draw(r: &Readings<'_>) -> Overlay {
    let size = r.size.map_or("no picture".into(), |s| s.to_string());
    let judged = slow::judge(&r.moments);
    let calm = matches!(judged, slow::Slow::Nobody | slow::Slow::Idle);
    let mut lines: Vec<Line> = vec![
        vec![(format!("{}  {size}", r.host), BRIGHT)],
        vec![(slow::sentence(&r.moments), if calm { GOOD } else { WARM })],
    ];
    let [age, key] = r.stats.ages();
    let pair =
        |p: Option<(f64, f64)>| p.map_or("-".into(), |(p50, p95)| format!("{p50:.1} ms, slowest 5 % {p95:.1} ms"));
    lines.push(row("age", format!("{}, clocks known to {:.1} ms", pair(age), r.stats.clock_error().as_millis_f64())));
    let stages: Vec<String> =
        r.stats.stages_now().iter().map(|(name, ms)| format!("{} {ms:.1}", short(name))).collect();
    lines.push(row("  of it", stages.join(", ")));
    lines.push(row("key to it", pair(key)));
    let [down, up, frames, pixels] = r.rates;
    lines.push(row("frames", format!("{:.1} /s, {:.2} Mpx/s", frames.now, pixels.now / 1e6)));
    let carried = r.burst.map_or(String::new(), |b| format!(", the line has carried {:.1}", b as f64 / 1e6));
    lines.push(row("down", format!("{:.2} Mbit/s, peak {:.2}{carried}", down.now / 1e6, down.peak / 1e6)));
    let upwards = r.figures.uplink_bps as f64 / 1e6;
    lines.push(row("up", format!("{:.2} Mbit/s, peak {:.2}, room for {upwards:.1}", up.now / 1e6, up.peak / 1e6)));
    let rtt = r.rtt.map_or("-".into(), |rtt| format!("{:.1} ms", rtt.as_millis_f64()));
    let (variation, queue) = (r.figures.rtt_variation.as_millis_f64(), r.moments.queue.as_millis_f64());
    lines.push(row("round trip", format!("{rtt} \u{b1}{variation:.1}, queue {queue:.1} ms")));
    lines.extend(r.link.and_then(carried_by).map(|text| row("carried by", text)));
    lines.extend(path(&r.paths).map(|text| row("path", text)));
    let loss = f64::from(r.moments.lost_permille) / 10.0;
    let mut repair = format!("{loss:.1} % down, {} times given up", r.figures.gave_up);
    if r.dropped_input > 0 {
        repair += &format!(", {} inputs too old", r.dropped_input);
    }
    lines.push(row("loss", repair));
    lines.extend(policy_overlay::rows(&r.wish, &r.holds).into_iter().map(|text| row("keeps to", text)));
    lines.push(row("sound", r.sound.line()));
    lines.push(row("connected", r.people.clone()));
    lines.extend(monitors(r.monitors).map(|text| row("monitors", text)));
    lines.extend(r.uploading.map(|far| row("upload", far.line())));
    let f = &r.figures;
    let classes = [
        ("picture", f.picture),
        ("pointer", f.cursor),
        ("feedback", f.feedback),
        ("sound", f.sound),
        ("other", f.other),
    ];
    let classes: Vec<String> = classes.iter().map(|(name, (_, bytes))| format!("{name} {}", volume(*bytes))).collect();
    lines.push(row("bytes", classes.join(", ")));
    if let Some(tiles) = r.tiles {
        lines.push(exactness(r.now, tiles, f.proven));
    }
    let mut legend = vec![name("coders")];
    legend.extend(CODERS.iter().map(|(name, colour)| (format!("{name} "), *colour)));
    lines.push(legend);
    let marks = r.tiles.map(|t| t.marks(r.now)).unwrap_or_default();
    Overlay { lines, marks: marks.into_iter().map(|(rect, op)| (rect, coder(op).1)).collect() }
}

/// The same for scripts. Bits are per second, times microseconds.
pub fn json(r: &Readings<'_>) -> Value {
    let [down, up, frames, pixels] = r.rates;
    let rate =
        |rate: Rate| json!({ "now": rate.now.round(), "peak": rate.peak.round(), "average": rate.average.round() });
    let kind = |(packets, bytes): (u64, u64)| json!({ "packets": packets, "bytes": bytes });
    let link = r.link.unwrap_or_default();
    let percent = |part: u64, of: u64| (of > 0).then(|| part as f64 * 100.0 / of as f64);
    let f = &r.figures;
    let (lossy, since) = r.tiles.map(Tiles::exactness).unwrap_or_default();
    json!({
        "link": {
            "carrier": link.carrier.name(),
            // What TCP held back behind something lost; an upper bound.
            "held_back": {
                "times": link.held_back.times,
                "total_us": link.held_back.total_us,
                "longest_us": link.held_back.longest_us,
            },
            "path": {
                "interface": r.paths.carrying,
                "standby": r.paths.standby.as_ref().map(|(name, _)| name),
                "standby_rtt_us": r.paths.standby.as_ref().and_then(|(_, took)| *took).map(Span::as_micros),
                "no_standby": r.paths.none,
                "switches": r.paths.switches,
            },
            // How often the path was found to mark what this end sent (ECN).
            "marked": link.marked,
            // What becomes of the marks on what this end sends (differentiated services).
            "marks": link.marks.name(),
            "rtt_us": r.rtt.map(Span::as_micros),
            "rtt_variation_us": f.rtt_variation.as_micros(),
            "rtt_max_us": r.rtt_max.as_micros(),
            "received_bits_per_second": rate(down),
            "sent_bits_per_second": rate(up),
            "carried_bits_per_second": r.burst,
            "uplink_bits_per_second": f.uplink_bps,
            "queue_us": r.moments.queue.as_micros(),
            "loss_down_percent": percent(f.expected.saturating_sub(f.received), f.expected),
            "loss_up_percent": percent(link.lost, link.sent_packets),
            "packets_received": link.recv_packets,
            "packets_sent": link.sent_packets,
            "mtu": link.mtu,
        },
        "received": {
            "picture": kind(f.picture), "cursor": kind(f.cursor), "feedback": kind(f.feedback),
            "sound": kind(f.sound), "other": kind(f.other),
        },
        "frames_per_second": { "now": frames.now, "peak": frames.peak, "average": frames.average },
        "pixels_per_second": rate(pixels),
        "gave_up": f.gave_up,
        "monitors": r.monitors.iter().map(monitor).collect::<Vec<_>>(),
        "uploading": r.uploading.map(|far| json!({
            "moved_bytes": far.moved, "bytes": far.bytes, "done": far.done, "of": far.asked,
        })),
        "policy": policy_overlay::json(&r.wish, &r.holds),
        "pcoip": policy_overlay::pcoip(r),
        "exact": {
            "lossy_tiles": lossy,
            "for_us": since.map(|since| r.now.since(since).as_micros()),
            // Tiles of which the host was told what they show.
            "proof_tiles": f.proven,
        },
    })
}

/// The monitors of a desktop that has told of them: size, place and scale.
fn monitors(all: &[Monitor]) -> Option<String> {
    let one = |m: &Monitor| {
        let (p, scale) = (m.place, if m.scale == 100 { String::new() } else { format!(" at {} %", m.scale) });
        format!("{}x{}+{}+{}{scale}", p.w, p.h, p.x, p.y)
    };
    let mut text = all.iter().take(MOST_MONITORS_SHOWN).map(one).collect::<Vec<_>>().join(", ");
    if all.len() > MOST_MONITORS_SHOWN {
        text += &format!(" and {} more", all.len() - MOST_MONITORS_SHOWN);
    }
    (!all.is_empty()).then_some(text)
}

fn monitor(m: &Monitor) -> Value {
    let p = m.place;
    json!({
        "name": m.name, "x": p.x, "y": p.y, "w": p.w, "h": p.h,
        "scale": m.scale, "millihertz": m.refresh, "primary": m.primary,
    })
}

/// What carries the session when it is not QUIC, and what that costs.
fn carried_by(link: LinkStats) -> Option<String> {
    let held = link.held_back;
    let cost = match held.times {
        0 => "nothing held back yet".into(),
        n => format!(
            "held back {n} times, at most {:.0} ms, {:.1} s in all",
            held.longest_us as f64 / 1e3,
            held.total_us as f64 / 1e6
        ),
    };
    (link.carrier == Carrier::WebSocket).then(|| format!("TCP (UDP does not get through): {cost}"))
}

/// The interface in use and the one that stands by, where anything is known of them.
fn path(paths: &Paths) -> Option<String> {
    let carrying = paths.carrying.as_ref()?;
    let moved = match paths.switches {
        0 => String::new(),
        1 => ", moved once".into(),
        n => format!(", moved {n} times"),
    };
    let standby = match (&paths.standby, &paths.none) {
        (Some((name, Some(took))), _) => format!("{name} stands by, {:.1} ms", took.as_millis_f64()),
        (Some((name, None)), _) => format!("{name} stands by"),
        (None, Some(why)) => format!("nothing stands by: {why}"),
        (None, None) => "nothing stands by".into(),
    };
    Some(format!("{carrying}{moved}; {standby}"))
}

fn exactness(now: Stamp<ViewerClock>, tiles: &Tiles, proven: u64) -> Line {
    match tiles.exactness() {
        (0, Some(since)) => {
            let seconds = now.since(since).as_micros() / 1_000_000;
            let proven = if proven > 0 { format!("; {proven} tiles' hashes told") } else { String::new() };
            vec![name("exact"), (format!("all that has come, for {seconds} s{proven}"), GOOD)]
        }
        (0, None) => vec![name("exact"), ("nothing has come yet".into(), PLAIN)],
        (n, _) => vec![name("exact"), (format!("not yet: {n} tiles were written with loss"), WARM)],
    }
}

fn row(label: &str, value: String) -> Line {
    vec![name(label), (value, PLAIN)]
}

fn name(label: &str) -> (String, Colour) {
    (format!("{label:<11}"), FAINT)
}

/// A stage's name in a word.
fn short(stage: &str) -> &str {
    match stage {
        "capture to plan" => "wait",
        "plan to coded" => "code",
        "coded to sent" => "pace",
        other => other,
    }
}

fn volume(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monitors() -> &'static [Monitor] {
        let at = |x, scale| Monitor {
            place: telepane_model::Rect::new(x, 0, 10_000, 16_000),
            scale,
            primary: x == 0,
            ..Monitor::default()
        };
        static MONITORS: std::sync::OnceLock<Vec<Monitor>> = std::sync::OnceLock::new();
        MONITORS.get_or_init(|| vec![at(0, 100), at(10_000, 150), at(12_345, 200)])
    }

    fn readings<'a>(stats: &'a Stats, tiles: Option<&'a Tiles>) -> Readings<'a> {
        Readings {
            monitors: monitors(),
            uploading: Some(Uploading { moved: 1_234_567_890, bytes: 9_876_543_210, done: 1_234, asked: 10_000 }),
            people: "laptop (you)".into(),
            now: Stamp::from_micros(9_000_000),
            host: "desk",
            size: Some(Size::new(800, 600)),
            stats,
            rates: [Rate { now: 1.5e6, peak: 3e6, average: 1e6 }; 4],
            burst: Some(20_000_000),
            rtt: Some(Span::millis(41)),
            rtt_max: Span::millis(60),
            paths: Paths {
                carrying: Some("enp0s31f6".into()),
                standby: Some(("wlp0s20f3".into(), Some(Span::millis(12)))),
                none: None,
                switches: 2,
            },
            link: Some(LinkStats { sent_packets: 200, lost: 3, mtu: 1_452, ..LinkStats::default() }),
            tiles,
            dropped_input: 2,
            sound: SoundReadings::default(),
            moments: Moments { lost_permille: 7, ..Moments::default() },
            figures: Figures {
                picture: (10, 12_345),
                expected: 1_000,
                received: 993,
                proven: 510,
                ..Figures::default()
            },
            wish: SessionPolicy::NONE,
            holds: telepane_model::Preset::D.policy(),
        }
    }

    #[test]
    fn every_figure_has_its_line_and_fits() {
        let stats = Stats::default();
        let mut tiles = Tiles::new(Size::new(800, 600));
        let at = Stamp::from_micros(8_900_000);
        let seen = telepane_codec::Seen {
            op: telepane_codec::wire::kind::EXACT,
            rect: telepane_model::Rect::new(0, 0, 800, 600),
            lossy: false,
            from: None,
        };
        tiles.on_slice(at, &[seen]);
        let overlay = draw(&readings(&stats, Some(&tiles)));
        let text: Vec<String> = overlay.lines.iter().map(|l| l.iter().map(|(t, _)| t.as_str()).collect()).collect();
        let has = |words: &str| assert!(text.iter().any(|l| l.contains(words)), "{words:?} in {text:#?}");
        for words in [
            "desk  800x600",
            "nothing changes",
            "1.50 Mbit/s, peak 3.00, the line has carried 20.0",
            "41.0 ms",
            "0.7 % down",
            "2 inputs too old",
            "picture 12 kB",
            "limit 2400k, min-quality 30",
            "all that has come, for 0 s; 510 tiles' hashes told",
            "film",
            "1.50 Mpx/s",
            "10000x16000+0+0, 10000x16000+10000+0 at 150 % and 1 more",
            "12 %, 1234.6 of 9876.5 MB, 1234 of 10000 done",
        ] {
            has(words);
        }
        assert!(text.iter().all(|l| l.chars().count() <= 78), "{text:#?}");
        assert_eq!(overlay.marks.len(), 1);
    }

    #[test]
    fn scripts_get_percentages_and_rates() {
        let stats = Stats::default();
        let value = json(&readings(&stats, None));
        assert_eq!(value["link"]["loss_down_percent"], 0.7);
        assert_eq!(value["link"]["loss_up_percent"], 1.5);
        assert_eq!(value["link"]["received_bits_per_second"]["peak"], 3_000_000.0);
        assert_eq!(value["received"]["picture"]["packets"], 10);
        assert_eq!(value["exact"]["for_us"], Value::Null);
        assert_eq!(value["exact"]["proof_tiles"], 510);
        assert_eq!(value["policy"]["holds"]["max-fps"], 16);
        assert_eq!(value["pcoip"]["txBandwidthLimit"], 2_400.0);
        assert_eq!(value["pcoip"]["rxPacketLoss"], 0.7);
        assert_eq!((&value["monitors"][1]["x"], &value["monitors"][1]["scale"]), (&10_000.into(), &150.into()));
        assert_eq!(value["uploading"]["bytes"], 9_876_543_210_u64);
    }
}
