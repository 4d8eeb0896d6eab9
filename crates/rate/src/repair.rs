//! How much is sent twice, and how much beside what is needed, so that a loss is mended before it is noticed
//! (`research/rate-control.md` §5.7).

/// Below this loss nothing is sent but what is needed, unless there is room for more.
pub const LOSSY_PPM: u32 = 3_000;
/// A round trip, in seconds, below which losses are mended by sending again: two fit before anybody waits.
const FAR: f64 = 0.030;
/// The part of groups that may remain broken, and is mended by sending again. The study took 1 %: with groups of eight
/// that needs two parity packets at 3 % loss where one leaves 2.8 %, and the film's age bound holds with one (simulated,
/// 60 ms: p95 71 instead of 45 ms of 105 allowed, for 6 % fewer bytes).
const REMAINS: f64 = 0.03;
/// The part of a group that parity may be.
const MOST: f64 = 0.25;
/// The same two where the path carries twice what is asked of it, so that parity takes nothing from anybody. A broken group
/// of a film stands for a round trip: at 3 % and thirty pictures a second, 3 % of groups are a freeze a second.
const AMPLY: (f64, f64) = (0.003, 0.5);

/// What a path loses.
#[derive(Clone, Copy, Debug)]
pub struct Lost {
    /// The part of packets that was lost lately, 0 to 1.
    pub lately: f64,
    /// The part that is remembered longer.
    pub lasting: f64,
    /// So many in a row, on average.
    pub burst: f64,
}

impl Lost {
    /// Whether a path that loses so much was found to do so, lately or not long ago.
    pub fn is_much(self) -> bool {
        self.lately.max(self.lasting) * 1e6 > f64::from(LOSSY_PPM)
    }
}

/// Parity packets for a group of `data` packets on a path that loses as `lost` says, with a round trip of `rtt` seconds: as
/// few as leave less than 3 % of groups broken, at least a burst's length, at most a quarter of the group. On a path that
/// has `ample` room: less than 0.3 %, however few are lost, and at most half of it; a lone packet is sent twice instead.
pub fn parity(data: u8, lost: Lost, rtt: f64, ample: bool) -> u8 {
    if data == 0 || rtt < FAR {
        return 0;
    }
    if !ample || data == 1 {
        // What is lost lately decides: more parity would cost the picture quality.
        let is_needed = lost.lately * 1e6 > f64::from(LOSSY_PPM);
        return if is_needed { fewest(data, lost.lately, lost.burst, (REMAINS, MOST)) } else { 0 };
    }
    let loss = lost.lately.max(lost.lasting);
    // Where hardly anything is lost, what was lost in a row was lost of a full buffer.
    let burst = if lost.is_much() { lost.burst } else { 1.0 };
    let is_needed = breaks(data, 0, loss) >= AMPLY.0;
    if is_needed { fewest(data, loss, burst, AMPLY) } else { 0 }
}

/// As few as leave less than `remains` of groups broken, at least a burst's length, and at most a part `most` of the group.
fn fewest(data: u8, loss: f64, burst: f64, (remains, most): (f64, f64)) -> u8 {
    let most = (1..=data).take_while(|k| f64::from(*k) <= most * f64::from(data + *k)).last().unwrap_or(0);
    let least = libm::round(burst).clamp(1.0, f64::from(u8::MAX)) as u8;
    (least..=most).find(|k| breaks(data + *k, *k, loss) < remains).unwrap_or(most)
}

/// The chance that more than `spare` of `packets` are lost.
fn breaks(packets: u8, spare: u8, loss: f64) -> f64 {
    let n = f64::from(packets);
    let mut term = 1.0;
    for _ in 0..packets {
        term *= 1.0 - loss;
    }
    let mut held = term;
    for lost in 0..spare {
        let lost = f64::from(lost);
        term *= (n - lost) / (lost + 1.0) * loss / (1.0 - loss).max(1e-9);
        held += term;
    }
    (1.0 - held).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parity_follows_loss_bursts_and_distance() {
        let lost = |lately, burst| Lost { lately, lasting: lately, burst };
        let tight = |data, loss, burst, rtt| parity(data, lost(loss, burst), rtt, false);
        assert_eq!(tight(8, 0.002, 1.0, 0.06), 0, "hardly anything is lost");
        assert_eq!(tight(8, 0.03, 1.0, 0.02), 0, "sending again is quick enough");
        assert_eq!(tight(8, 0.01, 1.0, 0.06), 1);
        assert_eq!(tight(8, 0.03, 1.0, 0.06), 1);
        assert_eq!(tight(8, 0.05, 1.0, 0.06), 2);
        assert_eq!(tight(8, 0.01, 1.8, 0.06), 2, "as long as a burst");
        assert_eq!(tight(8, 0.5, 9.0, 0.06), 2, "no more than a quarter");
        assert_eq!(tight(2, 0.03, 1.0, 0.06), 0, "one for two is more than a quarter");
        assert_eq!(tight(3, 0.03, 1.0, 0.06), 1);
        let amply = |data, loss, burst| parity(data, lost(loss, burst), 0.06, true);
        assert_eq!(amply(8, 0.03, 1.0), 2, "0.28 % of groups remain");
        assert_eq!(amply(4, 0.01, 1.0), 1, "0.10 % remain");
        assert_eq!((amply(1, 0.03, 1.0), amply(2, 0.01, 1.0)), (0, 1), "a lone packet is sent twice instead");
        assert_eq!(amply(4, 0.5, 9.0), 4, "no more than half");
        assert_eq!(amply(8, 0.002, 1.0), 1, "without any 1.6 % would break");
        assert_eq!(amply(8, 0.000_3, 30.0), 0, "0.24 % break without any");
        assert_eq!(amply(8, 0.000_5, 30.0), 1, "what a full buffer lost at once tells nothing of the path");
    }

    #[test]
    fn where_there_is_room_parity_stays_while_a_loss_is_remembered() {
        let both = |data, lately, lasting| {
            let lost = Lost { lately, lasting, burst: 1.0 };
            [false, true].map(|ample| parity(data, lost, 0.06, ample))
        };
        assert_eq!(both(8, 0.001, 0.01), [0, 2]);
        assert_eq!(both(5, 0.0, 0.001), [0, 1]);
        assert_eq!(both(5, 0.0, 0.000_4), [0, 0], "0.2 % break without any");
        assert_eq!(both(8, 0.01, 0.03), [1, 2], "less than mostly, lately");
    }

    /// P[Bin(10, 0.03) > 2] and P[Bin(9, 0.01) > 1], from tables.
    #[test]
    fn the_binomial_tail_is_right() {
        assert!((breaks(10, 2, 0.03) - 0.002_765).abs() < 1e-5);
        assert!((breaks(9, 1, 0.01) - 0.003_436).abs() < 1e-5);
        assert!((breaks(1, 0, 1.0) - 1.0).abs() < 1e-9);
    }
}
