//! Whether anything is heard: silence is not coded and not sent.

/// Frames of silence that are still sent: reverberation ends in silence, and pauses in speech are not cut.
// spec: S-8
const LINGER: u32 = 20;

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// Code and send it.
    Sound,
    /// Code and send it, and say that nothing follows.
    Last,
    /// Nothing.
    Silence,
}

/// Tells sound from silence by each frame's peak.
#[derive(Clone, Debug)]
pub struct Gate {
    threshold: u16,
    quiet: u32,
}

impl Gate {
    /// For a desktop's sound: digital silence, or one step beside it where a server dithers.
    pub const fn digital() -> Self {
        Self { threshold: 1, quiet: LINGER }
    }

    /// For a microphone: -60 dB of full scale.
    pub const fn microphone() -> Self {
        Self { threshold: 32, quiet: LINGER }
    }

    /// A frame whose greatest sample is `peak`.
    // spec: S-8
    pub fn on_frame(&mut self, peak: u16) -> Hearing {
        if peak > self.threshold {
            self.quiet = 0;
            return Hearing::Sound;
        }
        self.quiet = self.quiet.saturating_add(1);
        match self.quiet.cmp(&LINGER) {
            std::cmp::Ordering::Less => Hearing::Sound,
            std::cmp::Ordering::Equal => Hearing::Last,
            std::cmp::Ordering::Greater => Hearing::Silence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: S-8
    #[test]
    fn silence_ends_once_and_costs_nothing() {
        let mut gate = Gate::digital();
        assert_eq!(gate.on_frame(1), Hearing::Silence, "it begins silent");
        assert_eq!(gate.on_frame(2), Hearing::Sound);
        let after: Vec<Hearing> = (0..100).map(|_| gate.on_frame(0)).collect();
        assert!(after[..19].iter().all(|h| *h == Hearing::Sound));
        assert_eq!(after[19], Hearing::Last);
        assert!(after[20..].iter().all(|h| *h == Hearing::Silence));
        assert_eq!(Gate::microphone().on_frame(20), Hearing::Silence, "a microphone's own noise");
        assert_eq!(Gate::microphone().on_frame(400), Hearing::Sound);
    }
}
