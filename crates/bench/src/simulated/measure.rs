//! Figures of a world in a span of its time: whole numbers with their unit in the name, so that they are the same bytes
//! on every machine.

use std::collections::{BTreeMap, BTreeSet};
use telepane_model::Span;
use telepane_sim::{Direction, Sample, World};

/// Figures by name, in the order of their names.
pub type Figures = BTreeMap<String, i64>;

/// The nearest-rank percentile of sorted samples, 0 without samples.
pub fn percentile(sorted: &[u64], p: u64) -> u64 {
    let rank = (sorted.len() as u64 * p).div_ceil(100).max(1);
    sorted.get(rank as usize - 1).copied().unwrap_or(0)
}

/// Adds count, p50, p95, p99 and max of `samples` in microseconds.
pub fn spread(figures: &mut Figures, name: &str, mut samples: Vec<u64>) {
    samples.sort_unstable();
    figures.insert(format!("{name}_count"), samples.len() as i64);
    for p in [50, 95, 99] {
        figures.insert(format!("{name}_p{p}_us"), percentile(&samples, p) as i64);
    }
    figures.insert(format!("{name}_max_us"), samples.last().copied().unwrap_or(0) as i64);
}

/// What a world's counters stood at.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    at: u64,
    bytes: [u64; 2],
    packets: [u64; 2],
    presents: usize,
    aged: usize,
    keys: usize,
    samples: usize,
}

impl Mark {
    /// Now. The greatest queue is counted from here on.
    pub fn now(world: &mut World) -> Self {
        for way in [Direction::Down, Direction::Up] {
            world.path(way).worst_queue = 0;
        }
        Self {
            at: world.now(),
            bytes: [world.bytes(Direction::Down), world.bytes(Direction::Up)],
            packets: [world.packets(Direction::Down), world.packets(Direction::Up)],
            presents: world.presents.len(),
            aged: world.ages.len(),
            keys: world.key_times.len(),
            samples: world.samples.len(),
        }
    }

    /// When it was, in microseconds.
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// Bytes down and up since.
    pub fn bytes(&self, world: &World) -> [u64; 2] {
        [world.bytes(Direction::Down) - self.bytes[0], world.bytes(Direction::Up) - self.bytes[1]]
    }

    /// From press to picture, of every key shown since.
    pub fn keys(&self, world: &World) -> Vec<u64> {
        world.key_times[self.keys..].iter().map(|t| t.as_micros()).collect()
    }

    /// From capture to the viewer's screen, of everything shown since.
    pub fn ages(&self, world: &World) -> Vec<u64> {
        world.ages[self.aged..].iter().map(|t| t.as_micros()).collect()
    }

    /// Everything that holds for every scenario, since the mark.
    pub fn figures(&self, world: &mut World, figures: &mut Figures) {
        let span = (world.now() - self.at).max(1);
        let bytes = self.bytes(world);
        for (i, way) in ["down", "up"].into_iter().enumerate() {
            figures.insert(format!("bytes_{way}"), bytes[i] as i64);
            figures.insert(format!("kbps_{way}"), (bytes[i] * 8_000 / span) as i64);
        }
        figures.insert("packets_down".into(), (world.packets(Direction::Down) - self.packets[0]) as i64);
        figures.insert("packets_up".into(), (world.packets(Direction::Up) - self.packets[1]) as i64);
        figures.insert("queue_max_down_us".into(), world.path(Direction::Down).worst_queue as i64);
        figures.insert("queue_max_up_us".into(), world.path(Direction::Up).worst_queue as i64);
        spread(figures, "age", self.ages(world));
        let keys = self.keys(world);
        if !keys.is_empty() {
            spread(figures, "key", keys);
        }
        let shown = &world.presents[self.presents..];
        // What is shown twice of one frame is one frame: frames are told apart by when they were captured.
        let frames = world.aged_at[self.aged..].iter().zip(&world.ages[self.aged..]);
        let captured: BTreeSet<u64> = frames.map(|(at, age)| at - age.as_micros()).collect();
        figures.insert("shown_per_1000_s".into(), (captured.len() as u64 * 1_000_000_000 / span) as i64);
        let ends = std::iter::once(&self.at).chain(shown).chain(std::iter::once(&0)).copied().collect::<Vec<_>>();
        let gap = ends.windows(2).map(|w| w[1].saturating_sub(w[0])).max().unwrap_or(0);
        figures.insert("longest_gap_us".into(), gap as i64);
        if let Some(psnr) = psnr(&world.samples[self.samples..]) {
            figures.insert("luma_centi_db".into(), psnr);
        }
    }
}

/// The PSNR of all samples together in hundredths of a decibel; 9999 for exact ones.
pub fn psnr(samples: &[Sample]) -> Option<i64> {
    let squared: u64 = samples.iter().map(|s| s.squared).sum();
    let pixels: u64 = samples.iter().map(|s| s.pixels).sum();
    match (pixels, squared) {
        (0, _) => None,
        (_, 0) => Some(9_999),
        // libm's logarithm is the same on every machine; the result is cut to hundredths.
        _ => Some((libm::log10(65_025.0 * pixels as f64 / squared as f64) * 1_000.0) as i64),
    }
}

/// Runs until the viewer holds the newest pixels, for at most `most`; gives the world's time then.
pub fn run_until_exact(world: &mut World, most: Span) -> Option<u64> {
    let end = world.now() + most.as_micros();
    while world.now() < end {
        if world.exact_at.is_some() {
            return world.exact_at;
        }
        world.run(Span::millis(2));
    }
    // Where nothing had to be sent, nothing was decoded either.
    world.is_exact().then(|| world.now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank_and_noise_has_its_decibels() {
        let sorted: Vec<u64> = (1..=20).collect();
        assert_eq!([percentile(&sorted, 50), percentile(&sorted, 95), percentile(&sorted, 100)], [10, 19, 20]);
        assert_eq!(percentile(&[], 50), 0);
        // Off by one everywhere: 20 log10 255 = 48.13 dB.
        assert_eq!(psnr(&[Sample { at: 0, squared: 500, pixels: 500 }]), Some(4_813));
        assert_eq!(psnr(&[Sample { at: 0, squared: 0, pixels: 500 }]), Some(9_999));
    }
}
