//! How much is sent twice, and how much beside what is needed, so that a loss is mended before it is noticed
//! (`research/rate-control.md` §5.7).

/// Below this loss nothing is sent but what is needed.
pub const LOSSY_PPM: u32 = 3_000;
/// A round trip, in seconds, below which losses are mended by sending again: two fit before anybody waits.
const FAR: f64 = 0.030;
/// The part of groups that may remain broken, and is mended by sending again. The study took 1 %: with groups of eight
/// that needs two parity packets at 3 % loss where one leaves 2.8 %, and the film's age bound holds with one (simulated,
/// 60 ms: p95 71 instead of 45 ms of 105 allowed, for 6 % fewer bytes).
const REMAINS: f64 = 0.03;
/// The part of a group that parity may be.
const MOST: f64 = 0.25;

/// Parity packets for a group of `data` packets, when `loss` (0 to 1) of them are lost, `burst` in a row on average, on a
/// path with a round trip of `rtt` seconds: as few as leave less than 3 % of groups broken, at least a burst's length, at
/// most a quarter of the group.
pub fn parity(data: u8, loss: f64, burst: f64, rtt: f64) -> u8 {
    if data == 0 || loss * 1e6 <= f64::from(LOSSY_PPM) || rtt < FAR {
        return 0;
    }
    let most = (1..=data).take_while(|k| f64::from(*k) <= MOST * f64::from(data + *k)).last().unwrap_or(0);
    let least = libm::round(burst).clamp(1.0, f64::from(u8::MAX)) as u8;
    (least..=most).find(|k| breaks(data + *k, *k, loss) < REMAINS).unwrap_or(most)
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
        assert_eq!(parity(8, 0.002, 1.0, 0.06), 0, "hardly anything is lost");
        assert_eq!(parity(8, 0.03, 1.0, 0.02), 0, "sending again is quick enough");
        assert_eq!(parity(8, 0.01, 1.0, 0.06), 1);
        assert_eq!(parity(8, 0.03, 1.0, 0.06), 1);
        assert_eq!(parity(8, 0.05, 1.0, 0.06), 2);
        assert_eq!(parity(8, 0.01, 1.8, 0.06), 2, "as long as a burst");
        assert_eq!(parity(8, 0.5, 9.0, 0.06), 2, "no more than a quarter");
        assert_eq!(parity(2, 0.03, 1.0, 0.06), 0, "one for two is more than a quarter");
        assert_eq!(parity(3, 0.03, 1.0, 0.06), 1);
    }

    /// P[Bin(10, 0.03) > 2] and P[Bin(9, 0.01) > 1], from tables.
    #[test]
    fn the_binomial_tail_is_right() {
        assert!((breaks(10, 2, 0.03) - 0.002_765).abs() < 1e-5);
        assert!((breaks(9, 1, 0.01) - 0.003_436).abs() < 1e-5);
        assert!((breaks(1, 0, 1.0) - 1.0).abs() < 1e-9);
    }
}
