//! What is slow now, in one sentence: a pure judgement over the last moments' figures, so that a person knows whom to
//! blame (the line, the wireless, the host, the application, this machine) and what would help.
//!
//! Each part has a time that nobody notices ([`UNNOTICED`]); the part that exceeds its own by the most is named. The path's
//! own delay is not slowness but distance, and is named only when nothing else is and it alone is felt.

use telepane_model::Span;

/// The median stages of what was shown in the last moments, and what is known of the line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Updates shown in them; with none there is nothing to judge but silence.
    pub shown: u32,
    /// Parts of frames shown before the rest came. Frames that are replaced before they are whole leave nothing else.
    pub parts: u32,
    /// From the capture to the plan: work waits for room on the line, or for the coder.
    pub wait: Span,
    /// Coding.
    pub code: Span,
    /// From coded to sent: the pacer holds it back.
    pub pace: Span,
    /// How much longer than the shortest of the last half minute even the fastest took (10th percentile; of few the median).
    pub queue: Span,
    /// How far the slowest of the network's times (95th percentile) lie above the fastest (10th).
    pub spread: Span,
    /// The shortest way of the last half minute.
    pub distance: Span,
    /// Decoding, and waiting for it.
    pub decode: Span,
    /// Presenting.
    pub show: Span,
    /// From an input that reached the desktop to the capture of what it changed, if there was one.
    pub application: Option<Span>,
    /// Packets lost of a thousand.
    pub lost_permille: u32,
    /// How long the host has not answered, if it does not.
    pub silent: Option<Span>,
}

/// Who is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// Nobody.
    Nobody,
    /// Nothing was shown lately.
    Idle,
    /// The host does not answer.
    Silent,
    /// The line carries less than is sent.
    Line,
    /// The line loses packets.
    Loss,
    /// The way there is long.
    Distance,
    /// The way takes now long, now short, as radio does.
    Wireless,
    /// The host's processor.
    Host,
    /// The program on the host.
    Application,
    /// This machine.
    Viewer,
}

impl Slow {
    /// In one word, for scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Idle => "idle",
            Self::Silent => "silent",
            Self::Line => "line",
            Self::Loss => "loss",
            Self::Distance => "distance",
            Self::Wireless => "wireless",
            Self::Host => "host",
            Self::Application => "application",
            Self::Viewer => "viewer",
        }
    }
}

/// A part that takes no longer than this is not slow: half a frame at 60 Hz, below what anybody sees.
pub const UNNOTICED: Span = Span::millis(8);
/// An application may take a frame at 30 Hz to draw before it is called slow.
const UNNOTICED_APPLICATION: Span = Span::millis(33);
/// Coding and the wait for it may take a frame at 60 Hz before the host is called slow, and delays differ by as much before
/// the way is called uneven.
const A_FRAME: Span = Span::millis(16);
/// An access point holds nothing back for so long (a long stall is a tenth of a second); what comes later stood in a queue, which
/// may have drained or grown meanwhile.
const LONGEST_STALL: Span = Span::millis(500);
/// Below 2 % repair keeps up unseen (`research/rate-control.md` §5: 1 % costs nothing visible).
const LOSS_PERMILLE: u32 = 20;
/// From 40 ms one way typing is felt to be remote (anchors.md §3.3: "heavier" from 40 ms).
const FAR: Span = Span::millis(40);

/// How long packets stand in a queue, and how late an uneven way makes them.
fn delays(m: &Moments) -> (Span, Span) {
    // A queue delays all alike. Where the delays differ as much as half of what even the fastest have, they are a radio's,
    // which holds packets back and then lets many go: a frame comes with its last packet.
    let both = m.spread + m.queue;
    if both > LONGEST_STALL && m.lost_permille < LOSS_PERMILLE {
        (both, Span::ZERO)
    } else if m.spread + m.spread < m.queue || m.spread <= A_FRAME {
        (m.queue, Span::ZERO)
    } else {
        (Span::ZERO, both)
    }
}

/// The judgement.
pub fn judge(m: &Moments) -> Slow {
    if m.silent.is_some() {
        return Slow::Silent;
    }
    if m.shown == 0 {
        return match m.parts {
            0 if m.lost_permille < LOSS_PERMILLE => Slow::Idle,
            0 => Slow::Loss,
            _ => Slow::Line,
        };
    }
    let over = |span: Span, unnoticed: Span| span.saturating_sub(unnoticed);
    // What waits for room waits for the line: only while the coder is slow itself is the waiting the coder's.
    let busy = m.code > UNNOTICED;
    let (queue, uneven) = delays(m);
    let line = over(queue + m.pace + if busy { Span::ZERO } else { m.wait }, UNNOTICED);
    let host = over(m.code + if busy { m.wait } else { Span::ZERO }, A_FRAME);
    let wireless = over(uneven, A_FRAME);
    let viewer = over(m.decode + m.show, UNNOTICED);
    let application = m.application.map_or(Span::ZERO, |a| over(a, UNNOTICED_APPLICATION));
    let parts = [
        (line, Slow::Line),
        (host, Slow::Host),
        // What is sent again comes late.
        (wireless, if m.lost_permille >= LOSS_PERMILLE { Slow::Loss } else { Slow::Wireless }),
        (application, Slow::Application),
        (viewer, Slow::Viewer),
    ];
    // Of equals the first one.
    let worst = parts.into_iter().rev().max_by_key(|(span, _)| *span).unwrap_or((Span::ZERO, Slow::Nobody));
    match worst {
        (span, slow) if span > Span::ZERO => slow,
        _ if m.lost_permille >= LOSS_PERMILLE => Slow::Loss,
        _ if m.distance >= FAR => Slow::Distance,
        _ => Slow::Nobody,
    }
}

/// The judgement as a sentence, with its figure.
pub fn sentence(m: &Moments) -> String {
    let ms = |span: Span| format!("{:.0} ms", span.as_millis_f64());
    match judge(m) {
        Slow::Nobody => "nothing is slow now".into(),
        Slow::Idle => "nothing changes now".into(),
        Slow::Silent => format!("slow now: the host has not answered for {}", ms(m.silent.unwrap_or_default())),
        Slow::Line if m.shown == 0 => "slow now: the line, of each picture only parts come in time".into(),
        Slow::Line => format!("slow now: the line, packets wait {} for room", ms(delays(m).0 + m.pace + m.wait)),
        Slow::Loss => format!("slow now: the line, it loses {:.1} % of the packets", f64::from(m.lost_permille) / 10.0),
        Slow::Distance => format!("slow now: the distance alone takes {} one way", ms(m.distance)),
        Slow::Wireless => {
            format!("slow now: the way there is uneven, as over Wi-Fi: packets come up to {} late", ms(delays(m).1))
        }
        Slow::Host => format!("slow now: the host's processor, coding takes {}", ms(m.wait + m.code)),
        Slow::Application => {
            format!("slow now: the application, it takes {} to draw", ms(m.application.unwrap_or_default()))
        }
        Slow::Viewer => format!("slow now: this machine, decoding and showing take {}", ms(m.decode + m.show)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Moments = Moments {
        shown: 30,
        parts: 0,
        wait: Span::millis(1),
        code: Span::millis(2),
        pace: Span::ZERO,
        queue: Span::millis(1),
        spread: Span::millis(2),
        distance: Span::millis(12),
        decode: Span::millis(1),
        show: Span::millis(1),
        application: Some(Span::millis(12)),
        lost_permille: 2,
        silent: None,
    };

    fn ms(n: u64) -> Span {
        Span::millis(n)
    }

    #[test]
    fn each_has_its_day() {
        let days: [(Moments, Slow, &str); 19] = [
            (CALM, Slow::Nobody, "nothing is slow"),
            (Moments { shown: 0, ..CALM }, Slow::Idle, "nothing changes"),
            (Moments { silent: Some(ms(900)), ..CALM }, Slow::Silent, "900 ms"),
            (Moments { queue: ms(45), ..CALM }, Slow::Line, "the line"),
            (Moments { shown: 0, parts: 9, ..CALM }, Slow::Line, "only parts"),
            (Moments { wait: ms(60), ..CALM }, Slow::Line, "61 ms"),
            (Moments { pace: ms(20), spread: ms(20), ..CALM }, Slow::Line, "the line"),
            (Moments { lost_permille: 35, ..CALM }, Slow::Loss, "3.5 %"),
            (Moments { distance: ms(70), ..CALM }, Slow::Distance, "70 ms"),
            (Moments { spread: ms(60), queue: ms(5), ..CALM }, Slow::Wireless, "65 ms late"),
            (Moments { spread: ms(25), queue: ms(34), ..CALM }, Slow::Wireless, "Wi-Fi"),
            (Moments { spread: ms(25), queue: ms(80), ..CALM }, Slow::Line, "the line"),
            (Moments { spread: ms(1_990), queue: ms(5), ..CALM }, Slow::Line, "1996 ms"),
            (Moments { spread: ms(1_990), queue: ms(5), lost_permille: 50, ..CALM }, Slow::Loss, "5.0 %"),
            (Moments { spread: ms(25), lost_permille: 50, ..CALM }, Slow::Loss, "5.0 %"),
            (Moments { code: ms(11), wait: ms(4), lost_permille: 50, ..CALM }, Slow::Loss, "5.0 %"),
            (Moments { code: ms(40), wait: ms(30), queue: ms(20), ..CALM }, Slow::Host, "70 ms"),
            (Moments { application: Some(ms(180)), ..CALM }, Slow::Application, "180 ms"),
            (Moments { decode: ms(9), show: ms(30), ..CALM }, Slow::Viewer, "39 ms"),
        ];
        for (moments, want, words) in days {
            assert_eq!(judge(&moments), want, "{moments:?}");
            assert!(sentence(&moments).contains(words), "{}", sentence(&moments));
        }
    }

    #[test]
    fn the_worst_is_named_and_what_nobody_notices_is_not() {
        let both = Moments { queue: ms(30), show: ms(50), ..CALM };
        assert_eq!(judge(&both), Slow::Viewer);
        assert_eq!(judge(&Moments { show: ms(25), ..both }), Slow::Line);
        // Far away and a little lossy, but with a slow part: the part.
        assert_eq!(judge(&Moments { distance: ms(150), lost_permille: 50, ..both }), Slow::Viewer);
        assert_eq!(judge(&Moments { queue: ms(7), wait: Span::ZERO, ..CALM }), Slow::Nobody);
        assert_eq!(judge(&Moments { application: None, ..CALM }), Slow::Nobody);
        assert_eq!(judge(&Moments { shown: 0, lost_permille: 500, ..CALM }), Slow::Loss);
    }
}
