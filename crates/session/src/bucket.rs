//! So many at once, and so many over time.

use telepane_model::{Clock, Span, Stamp};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Bucket<C: Clock> {
    most: u32,
    every: Span,
    /// All of them are there again at this time.
    full_at: Stamp<C>,
}

impl<C: Clock> Bucket<C> {
    /// `most` at once, and another one every `every`.
    pub const fn new(most: u32, every: Span) -> Self {
        Self { most, every, full_at: Stamp::ZERO }
    }

    /// Takes one, or says when there is one.
    pub fn take(&mut self, now: Stamp<C>) -> Result<(), Stamp<C>> {
        let full_at = self.full_at.max(now) + self.every;
        let room = now + self.every.scaled(u64::from(self.most), 1);
        if full_at > room {
            return Err(now + full_at.since(room));
        }
        self.full_at = full_at;
        Ok(())
    }

    /// How many are there.
    pub fn left(&self, now: Stamp<C>) -> usize {
        let mut rest = *self;
        (0..self.most).take_while(|_| rest.take(now).is_ok()).count()
    }

    /// When there is one.
    pub fn next(&self, now: Stamp<C>) -> Stamp<C> {
        let mut rest = *self;
        rest.take(now).err().unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::HostClock;

    #[test]
    fn what_is_left_can_be_taken_and_no_more() {
        let at = |ms: u64| Stamp::<HostClock>::from_micros(ms * 1_000);
        let mut b = Bucket::new(4, Span::millis(100));
        assert_eq!(b.left(at(1_000)), 4);
        (0..4).for_each(|_| assert_eq!(b.take(at(1_000)), Ok(())));
        assert_eq!((b.left(at(1_099)), b.next(at(1_050))), (0, at(1_100)));
        assert_eq!((b.left(at(1_100)), b.next(at(1_100))), (1, at(1_100)));
        assert_eq!(b.left(at(9_000)), 4);
    }
}
