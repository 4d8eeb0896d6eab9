//! What a link is like, in a word: `lan`, `20m40`, `5m100l1`, `20m60l3`, `drop`.
//!
//! A profile is a rate with its unit, the round trip in milliseconds, and letters for what else is wrong, each way:
//! `l` loss in percent, `b` the same in bursts of five packets in the mean, `j` jitter in milliseconds, `r` reordering in
//! percent, `q` the bottleneck's queue in milliseconds, `u` jitter of the client's way up alone, `p` a policer: the rate is
//! then what passes in the mean, so many kB at once, and the line behind is ten times as fast; `@4=2m` changes the rate 4 s after the work has begun. `drop` is
//! `20m40@4=2m@9=20m`. But for `u` both directions are alike. Without `q` the queue holds [`QUEUE`], whatever the rate becomes.

use anyhow::{Context, Result, bail, ensure};
use std::fmt;
use std::str::FromStr;
use telepane_model::{BitRate, Bytes, Span};
use telepane_transport::relay::{Burst, LinkModel, Policer};

/// A link that can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// As it was asked for.
    pub name: String,
    /// Each direction at the beginning.
    pub model: LinkModel,
    /// The client's way up has at least this much jitter.
    pub jitter_up: Span,
    /// The devices' MTU.
    pub mtu: u16,
    /// Rates from these times on.
    pub changes: Vec<(Span, BitRate)>,
}

impl Profile {
    /// A link with no limits: what is left is the emulator.
    pub fn none() -> Self {
        Self { name: "none".into(), model: LinkModel::default(), jitter_up: Span::ZERO, mtu: MTU, changes: Vec::new() }
    }

    /// The round trip without queues.
    pub fn rtt(&self) -> Span {
        Span::micros(self.model.delay.as_micros() * 2)
    }

    /// The client's way up at the beginning.
    pub fn up(&self) -> LinkModel {
        LinkModel { jitter: self.model.jitter.max(self.jitter_up), ..self.model }
    }

    /// When the rate changes next after this.
    pub fn next_change(&self, after: Span) -> Option<Span> {
        self.changes.iter().map(|(at, _)| *at).find(|at| *at > after)
    }

    /// The rate `after` the changes began to count.
    pub fn rate_at(&self, after: Span) -> Option<BitRate> {
        let changed = self.changes.iter().rev().find(|(at, _)| *at <= after);
        changed.map(|(_, rate)| *rate).or(self.model.rate)
    }

    /// How long `bytes` take to leave from `after` on, through all that the rate will do meanwhile: what stands before a stall waits as
    /// long as the stall does, and not for as long as it would at the stall's rate.
    pub fn takes(&self, after: Span, bytes: u64) -> Span {
        let (mut bits, mut at) = (bytes as f64 * 8.0, after);
        loop {
            let Some(rate) = self.rate_at(at) else { return at.saturating_sub(after) };
            let rate = rate.as_bps().max(1) as f64;
            let Some(next) = self.next_change(at).filter(|next| next.saturating_sub(at).as_secs_f64() * rate < bits)
            else {
                return at.saturating_sub(after) + Span::from_secs_f64(bits / rate);
            };
            bits -= next.saturating_sub(at).as_secs_f64() * rate;
            at = next;
        }
    }

    /// In a sentence.
    pub fn describe(&self) -> String {
        let m = &self.model;
        let mut parts = vec![
            m.rate.map_or_else(|| "no rate limit".into(), rate_text),
            format!("RTT {} ms", self.rtt().as_millis_f64()),
        ];
        let percent = |ppm: u32| f64::from(ppm) / 1e4;
        if m.loss_ppm > 0 {
            parts.push(format!("{} % loss each way", percent(m.loss_ppm)));
        }
        if let Some(b) = m.burst {
            let bad = f64::from(b.enter_ppm) / f64::from(b.enter_ppm + b.leave_ppm).max(1.0);
            parts.push(format!("{:.2} % loss in bursts", bad * percent(b.loss_ppm)));
        }
        if m.jitter > Span::ZERO {
            parts.push(format!("jitter up to {} ms", m.jitter.as_millis_f64()));
        }
        if self.jitter_up > Span::ZERO {
            parts.push(format!("up to {} ms on the way up", self.jitter_up.as_millis_f64()));
        }
        if let Some(p) = m.policer {
            parts.push(format!("a policer of {} and {} kB at once", rate_text(p.rate), p.burst.0 / 1000));
        }
        if m.reorder_ppm > 0 {
            parts.push(format!("{} % held back by {} ms", percent(m.reorder_ppm), m.reorder_by.as_millis_f64()));
        }
        match m.queue_time {
            Some(most) => parts.push(format!("drop-tail queue of {} ms", most.as_millis_f64())),
            None if m.rate.is_some() => parts.push(format!("drop-tail queue of {} kB", m.queue.0 / 1000)),
            None => {}
        }
        if self.changes.len() > MANY {
            parts.push(format!("{} changes of the rate", self.changes.len()));
        }
        for (at, rate) in self.changes.iter().filter(|_| self.changes.len() <= MANY) {
            parts.push(format!("{} from second {}", rate_text(*rate), at.as_secs_f64()));
        }
        parts.push(format!("MTU {}", self.mtu));
        parts.join(", ")
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for Profile {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut profile = match text {
            "none" => return Ok(Self::none()),
            "lan" => Self::from_str("1g0.4")?,
            "drop" => Self::from_str("20m40@4=2m@9=20m")?,
            other => parse(other).with_context(|| format!("no profile `{other}`: try lan, drop, 20m40 or 5m100l1"))?,
        };
        profile.name = text.into();
        Ok(profile)
    }
}

fn parse(text: &str) -> Result<Profile> {
    let (link, changes) = text.split_once('@').map_or((text, None), |(l, c)| (l, Some(c)));
    let unit = link.find(['k', 'm', 'g']).context("it begins with a rate such as 20m")?;
    let (rate, rest) = link.split_at(unit + 1);
    let mut rest = rest;
    let rtt = number(&mut rest).context("after the rate comes the round trip in milliseconds")?;
    let mut jitter_up = Span::ZERO;
    let mut model =
        LinkModel { rate: Some(parse_rate(rate)?), queue: QUEUE, delay: ms(rtt / 2.0)?, ..LinkModel::default() };
    while let Some(letter) = rest.chars().next() {
        rest = rest.get(1..).unwrap_or_default();
        let value = number(&mut rest).with_context(|| format!("after `{letter}` comes a number"))?;
        match letter {
            'l' => model.loss_ppm = ppm(value)?,
            'b' => model.burst = Some(bursts(value)?),
            'j' => model.jitter = ms(value)?,
            'u' => jitter_up = ms(value)?,
            'p' => {
                let line = model.rate.context("a policer has a rate")?;
                ensure!((1.5..1e6).contains(&value), "a policer lets at least a packet of 1.5 kB through at once");
                model.policer = Some(Policer { rate: line, burst: Bytes((value * 1e3) as u64) });
                model.rate = Some(BitRate::bps(line.as_bps().saturating_mul(10)));
            }
            'r' => model.reorder_ppm = ppm(value)?,
            'q' => (model.queue_time, model.queue) = (Some(ms(value)?), Bytes(u64::MAX / 2)),
            other => bail!("`{other}` is none of l, b, j, u, r, q, p"),
        }
    }
    let changes = changes.map(|c| c.split('@').map(parse_change).collect::<Result<Vec<_>>>()).transpose()?;
    Ok(Profile { name: text.into(), model, jitter_up, mtu: MTU, changes: changes.unwrap_or_default() })
}

fn parse_change(text: &str) -> Result<(Span, BitRate)> {
    let (at, rate) = text.split_once('=').context("a change is written SECONDS=RATE")?;
    let at: f64 = at.parse().context("seconds")?;
    ensure!((0.0..1e6).contains(&at), "a change comes after the beginning");
    Ok((Span::from_secs_f64(at), parse_rate(rate)?))
}

/// Takes the number off the front of a text.
fn number(rest: &mut &str) -> Option<f64> {
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (digits, left) = rest.split_at(end);
    *rest = left;
    digits.parse().ok()
}

/// A rate such as `20m` or `800k`, in bits a second.
///
/// # Errors
/// When it is not one.
pub fn parse_rate(text: &str) -> Result<BitRate> {
    let lower = text.to_ascii_lowercase();
    let mut rest = lower.as_str();
    let value = number(&mut rest).with_context(|| format!("`{text}` is no rate"))?;
    let unit = match rest {
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        _ => bail!("`{text}` is no rate: give 800k, 20m or 1g bits a second"),
    };
    ensure!((1e3..=1e11).contains(&(value * unit)), "`{text}` is out of reach");
    Ok(BitRate::bps((value * unit) as u64))
}

/// Milliseconds.
///
/// # Errors
/// When that is more than a minute.
pub fn ms(value: f64) -> Result<Span> {
    ensure!((0.0..=60_000.0).contains(&value), "{value} ms is out of reach");
    Ok(Span::micros((value * 1e3).round() as u64))
}

/// Percent in parts per million.
///
/// # Errors
/// When it is none.
pub fn ppm(percent: f64) -> Result<u32> {
    ensure!((0.0..=100.0).contains(&percent), "{percent} % is not a share");
    Ok((percent * 1e4).round() as u32)
}

/// Losses of so many percent in bursts of five packets in the mean, of which all are lost.
///
/// # Errors
/// When that is more than half of all packets.
pub fn bursts(percent: f64) -> Result<Burst> {
    ensure!((0.0..=50.0).contains(&percent), "{percent} % in bursts is out of reach");
    let leave = 1e6 / 5.0;
    let share = percent / 100.0;
    Ok(Burst { enter_ppm: (leave * share / (1.0 - share)) as u32, leave_ppm: leave as u32, loss_ppm: 1_000_000 })
}

fn rate_text(rate: BitRate) -> String {
    match rate.as_bps() {
        n if n >= 1_000_000_000 => format!("{} Gbit/s", n as f64 / 1e9),
        n if n >= 1_000_000 => format!("{} Mbit/s", n as f64 / 1e6),
        n => format!("{} kbit/s", n as f64 / 1e3),
    }
}

/// What the bottleneck holds unless a profile says otherwise: 100 ms at 20 Mbit/s, and a second at 2 Mbit/s, as in a home
/// router whose buffer does not know its line; the simulator's clean links have the same.
pub const QUEUE: Bytes = Bytes(250_000);
/// Ethernet's.
pub const MTU: u16 = 1500;
/// Changes beyond which a description only counts them.
const MANY: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_say_what_they_are() {
        let p: Profile = "5m100l1".parse().unwrap();
        assert_eq!((p.model.rate, p.model.delay, p.model.loss_ppm), (Some(BitRate::mbps(5)), Span::millis(50), 10_000));
        assert_eq!((p.rtt(), p.model.queue), (Span::millis(100), QUEUE));
        let p: Profile = "800k30.5j4q50r2".parse().unwrap();
        assert_eq!((p.model.rate, p.model.delay), (Some(BitRate::kbps(800)), Span::micros(15_250)));
        assert_eq!((p.model.jitter, p.model.queue_time), (Span::millis(4), Some(Span::millis(50))));
        assert_eq!(p.model.reorder_ppm, 20_000);
        let p: Profile = "10m40p100u5".parse().unwrap();
        let policer = Policer { rate: BitRate::mbps(10), burst: Bytes(100_000) };
        assert_eq!((p.model.rate, p.model.policer), (Some(BitRate::mbps(100)), Some(policer)));
        assert_eq!((p.model.jitter, p.up().jitter), (Span::ZERO, Span::millis(5)));
        assert_eq!("lan".parse::<Profile>().unwrap().model.rate, Some(BitRate::mbps(1000)));
    }

    #[test]
    fn what_stands_before_a_stall_waits_as_long_as_the_stall_and_no_longer() {
        let mut p: Profile = "8m20".parse().unwrap();
        let ms = |p: &Profile, at: u64, bytes: u64| p.takes(Span::millis(at), bytes).as_millis_f64();
        assert!((ms(&p, 0, 10_000) - 10.0).abs() < 0.01);
        // 30 ms of next to nothing from 100 ms on.
        p.changes = vec![
            (Span::millis(100), BitRate::bps(1_000)),
            (Span::millis(130), BitRate::mbps(8)),
            (Span::secs(1), BitRate::mbps(1)),
        ];
        for (at, bytes, wanted) in
            [(0, 10_000, 10.0), (95, 10_000, 40.0), (110, 10_000, 30.0), (130, 10_000, 10.0), (110, 0, 0.0)]
        {
            let took = ms(&p, at, bytes);
            assert!((took - wanted).abs() < 0.1, "{bytes} bytes from {at} ms on: {took} ms, not {wanted}");
        }
        assert!((ms(&p, 999, 2_000) - 9.0).abs() < 0.1, "a tenth of the rate after a millisecond");
        assert_eq!(Profile::none().takes(Span::ZERO, 1 << 40), Span::ZERO);
    }

    #[test]
    fn a_schedule_is_followed() {
        let p: Profile = "drop".parse().unwrap();
        let at = |s| p.rate_at(Span::secs(s)).map(BitRate::as_bps);
        assert_eq!([0, 3, 4, 8, 9, 99].map(|s| at(s).unwrap_or(0) / 1_000_000), [20, 20, 2, 2, 20, 20]);
        assert!(p.describe().contains("2 Mbit/s from second 4"), "{}", p.describe());
        assert_eq!(p.next_change(Span::secs(4)), Some(Span::secs(9)));
        assert_eq!(p.next_change(Span::secs(9)), None);
    }

    #[test]
    fn bursts_lose_the_share_asked_for() {
        let b = bursts(2.0).unwrap();
        let bad = f64::from(b.enter_ppm) / f64::from(b.enter_ppm + b.leave_ppm);
        assert!((bad - 0.02).abs() < 1e-4, "{bad}");
    }

    #[test]
    fn what_is_no_profile_is_said() {
        for wrong in
            ["", "20", "20m", "20x40", "20m40z1", "20m40l", "20m40l101", "20m40p1", "20m40@4", "20m40@4=2", "999g1"]
        {
            assert!(wrong.parse::<Profile>().is_err(), "{wrong}");
        }
    }
}
