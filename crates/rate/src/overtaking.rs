//! Whether urgent packets go ahead of others on this path, as they may where networks heed marks.
//!
//! A packet in a faster queue says nothing of the queue in which others wait, and does not show by its arrival that they are
//! lost. Few networks have such queues, so it is not believed before it is seen: a packet that was sent before an urgent one
//! came after it.

/// How much later it has to come, in seconds: what is read from a socket at once has almost one time.
const LATER: f64 = 0.0005;
/// How long it is believed without being seen again, in seconds.
const BELIEVED: f64 = 60.0;

/// See the module. Times in seconds.
#[derive(Default)]
pub(crate) struct Overtaking {
    /// When the urgent packet that left last of all that arrived left and arrived.
    newest: Option<(f64, f64)>,
    seen: Option<f64>,
}

impl Overtaking {
    /// A packet arrived; they are told in the order of their arrival.
    pub(crate) fn on_arrived(&mut self, now: f64, urgent: bool, sent: f64, arrived: f64) {
        match self.newest {
            Some((left, came)) if !urgent && sent < left && arrived > came + LATER => self.seen = Some(now),
            Some((left, _)) if sent < left => {}
            _ if urgent => self.newest = Some((sent, arrived)),
            _ => {}
        }
    }

    /// Whether urgent packets overtake others here.
    // spec: T-5
    pub(crate) fn is_seen(&self, now: f64) -> bool {
        self.seen.is_some_and(|at| now - at < BELIEVED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: T-5
    #[test]
    fn it_is_believed_when_it_is_seen_and_for_a_while() {
        let mut o = Overtaking::default();
        o.on_arrived(1.0, false, 0.90, 0.95);
        o.on_arrived(1.0, true, 0.95, 1.00);
        o.on_arrived(1.1, false, 0.96, 1.01);
        assert!(!o.is_seen(1.1), "each in its turn");
        o.on_arrived(1.1, false, 0.94, 1.0003);
        assert!(!o.is_seen(1.1), "as good as together");
        o.on_arrived(1.1, true, 0.99, 1.01);
        o.on_arrived(1.2, true, 0.98, 1.05);
        assert!(!o.is_seen(1.2), "urgent ones among themselves");
        o.on_arrived(1.2, false, 0.985, 1.06);
        assert!(o.is_seen(1.2) && o.is_seen(60.0) && !o.is_seen(61.3));
    }
}
