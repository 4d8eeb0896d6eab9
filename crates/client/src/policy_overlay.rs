//! What the session keeps to, in the overlay and for scripts, and PCoIP's own statistics by their names.

use crate::overlay::Readings;
use serde_json::{Map, Value, json as value};
use telepane_model::{Knob, SessionPolicy, Span};

/// The widest text of a row.
const WIDE: usize = 64;

/// What holds, in as many rows as it takes; none when nothing is set.
pub fn rows(wish: &SessionPolicy, holds: &SessionPolicy) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    let text = if holds.is_empty() { String::new() } else { holds.to_string() };
    let weaker = wish.set().any(|(knob, value)| holds.value(knob) != Some(value));
    let more = weaker.then_some("stricter than wished for");
    for part in text.split(", ").filter(|p| !p.is_empty()).chain(more) {
        match rows.last_mut() {
            Some(row) if row.len() + part.len() + 2 <= WIDE => *row += &format!(", {part}"),
            _ => rows.push(part.to_owned()),
        }
    }
    rows
}

/// What was wished for and what holds, by the knobs' names.
pub fn json(wish: &SessionPolicy, holds: &SessionPolicy) -> Value {
    let all = |p: &SessionPolicy| p.set().map(|(k, v)| (k.name().to_owned(), v.into())).collect::<Map<_, _>>();
    value!({ "wish": all(wish), "holds": all(holds) })
}

/// The statistics that PCoIP's interfaces have, by their names (anchors.md §3.4): milliseconds, kbit/s and percent. What is
/// transmitted here is input and feedback; the limit is for both directions.
pub fn pcoip(r: &Readings<'_>) -> Value {
    let [down, up, frames, pixels] = r.rates;
    let kbit = |bits: f64| (bits / 100.0).round() / 10.0;
    let percent = |part: u64, of: u64| if of > 0 { part as f64 * 100.0 / of as f64 } else { 0.0 };
    let link = r.link.unwrap_or_default();
    let limit = r.holds.rate(Knob::Limit).map(|l| kbit(l.as_bps() as f64));
    let uplink = kbit(r.figures.uplink_bps as f64);
    let quality = r.holds.qualities();
    let bits_per_pixel = if pixels.now > 0.0 { down.now / pixels.now } else { 0.0 };
    value!({
        "roundTripLatency": r.rtt.map(Span::as_millis_f64),
        "roundTripVariance": r.figures.rtt_variation.as_millis_f64(),
        "roundTripMax": r.rtt_max.as_millis_f64(),
        "rxBandwidth": kbit(down.average),
        "rxBandwidthPeak": kbit(down.peak),
        "txBandwidth": kbit(up.average),
        "txBandwidthPeak": kbit(up.peak),
        "txBandwidthActiveLimit": limit.map_or(uplink, |l| l.min(uplink)),
        "txBandwidthLimit": limit,
        "rxPacketLoss": percent(r.figures.expected.saturating_sub(r.figures.received), r.figures.expected),
        "txPacketLoss": percent(link.lost, link.sent_packets),
        "rxPackets": { "image": r.figures.picture.0, "other": r.figures.cursor.0 + r.figures.feedback.0 + r.figures.other.0 },
        "imagingFramesPerSecond": frames.now,
        "imagingMegapixelsPerSecond": pixels.now / 1e6,
        "imagingBitsPerPixel": (bits_per_pixel * 1e3).round() / 1e3,
        "imagingMinimumQuality": quality.0,
        "imagingInitialQuality": quality.1,
        "imagingMaximumQuality": quality.2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Preset;

    #[test]
    fn what_holds_fits_its_rows_and_what_was_not_granted_is_said() {
        assert!(rows(&SessionPolicy::NONE, &SessionPolicy::NONE).is_empty());
        let granted = rows(&Preset::D.policy(), &Preset::D.policy());
        assert_eq!(granted.len(), 2, "{granted:?}");
        assert!(granted.iter().all(|r| r.len() <= WIDE) && granted[0].starts_with("limit 2400k"));
        let less = rows(&Preset::C.policy(), &Preset::D.policy());
        assert!(less.last().is_some_and(|r| r.contains("stricter")), "{less:?}");
    }
}
