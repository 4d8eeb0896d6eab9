//! Which keys a hook below the whole system keeps from it, and their place among those that come the ordinary way.
//!
//! A hook on Windows hears every key before the system does, and what it keeps never reaches a window: it is told the window
//! beside the ordinary queue, which it may overtake. So the hook notes what it lets pass, too. When a key comes the ordinary
//! way ([`Taken::before`]), what was taken before it goes first; when the queue is empty ([`Taken::settled`]), everything that
//! passed before what was taken has come or never will, because the hook is asked of one key after the other and what passes
//! is in the queue before it is asked of the next.
//!
//! Taken are the keys that the system itself answers: Super; Tab, Escape, F4 and Space with Alt; Escape with Control. Never
//! Control+Alt+Delete, which no hook hears of. What goes down taken comes up taken, and what passed comes up for the system.

use std::collections::{BTreeSet, VecDeque};
use telepane_model::KeyCode;

/// A key as the hook hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// The key's place, if it has one.
    pub(super) code: Option<KeyCode>,
    /// What the system takes it for: a virtual key of Windows.
    pub(super) means: u16,
    pub(super) down: bool,
    /// An Alt key is held.
    pub(super) alt: bool,
    /// A Control key is held.
    pub(super) control: bool,
}

/// A key of which the system knows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TakenKey {
    pub(super) code: KeyCode,
    pub(super) down: bool,
    /// It was down already.
    pub(super) repeat: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Taken {
    order: VecDeque<Noted>,
    /// Down, and the system does not know.
    down: BTreeSet<KeyCode>,
    /// Keys that could be taken and are down for the system.
    passed: BTreeSet<KeyCode>,
    /// So many keys went down in turn that came to the window and not to the hook.
    unheard: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noted {
    Passed { code: KeyCode, down: bool },
    Taken(TakenKey),
}

impl Taken {
    /// The hook hears of a key; whether it keeps it from the system.
    pub(super) fn on_heard(&mut self, key: Heard) -> bool {
        let Some(code) = key.code.or_else(|| place_of(key.means)) else { return false };
        let held = self.down.contains(&code);
        let take = held || key.down && !self.passed.contains(&code) && is_the_systems(key) && self.has_room();
        if take {
            let repeat = if key.down { !self.down.insert(code) } else { !self.down.remove(&code) };
            // A window that hangs need not hear of each repeat, but of each release.
            if !repeat || self.has_room() {
                self.order.push_back(Noted::Taken(TakenKey { code, down: key.down, repeat }));
            }
            return true;
        }
        if key.down && place_of(key.means).is_some() {
            self.passed.insert(code);
        } else if !key.down {
            self.passed.remove(&code);
        }
        if self.has_room() {
            self.order.push_back(Noted::Passed { code, down: key.down });
        }
        false
    }

    /// A key came the ordinary way: what was taken before it.
    pub(super) fn before(&mut self, code: KeyCode, down: bool) -> Vec<TakenKey> {
        let Some(n) = self.order.iter().position(|noted| *noted == Noted::Passed { code, down }) else {
            self.unheard = self.unheard.saturating_add(u8::from(down));
            return Vec::new();
        };
        self.unheard = 0;
        taken_of(self.order.drain(..=n))
    }

    /// Every key that was on its way has come: what was taken until now.
    pub(super) fn settled(&mut self) -> Vec<TakenKey> {
        let last = self.order.iter().rposition(|noted| matches!(noted, Noted::Taken(_)));
        last.map_or_else(Vec::new, |n| taken_of(self.order.drain(..=n)))
    }

    /// The hook hears nothing from now on: what was taken, and what was down of it comes up.
    pub(super) fn end(&mut self) -> Vec<TakenKey> {
        let mut all = self.settled();
        let up = std::mem::take(&mut self.down);
        all.extend(up.into_iter().map(|code| TakenKey { code, down: false, repeat: false }));
        self.order.clear();
        self.passed.clear();
        all
    }

    /// Whether keys come that the hook does not hear of: Windows drops one that answered too late once, and does not say so.
    pub(super) const fn is_deaf(&self) -> bool {
        self.unheard >= DEAF
    }

    /// What never came, because an input method has it for example, makes room.
    fn has_room(&mut self) -> bool {
        while self.order.len() >= MOST && matches!(self.order.front(), Some(Noted::Passed { .. })) {
            self.order.pop_front();
        }
        self.order.len() < MOST
    }
}

fn taken_of(noted: impl Iterator<Item = Noted>) -> Vec<TakenKey> {
    let taken = |noted| match noted {
        Noted::Taken(key) => Some(key),
        Noted::Passed { .. } => None,
    };
    noted.filter_map(taken).collect()
}

/// Whether the system would answer a key that goes down.
const fn is_the_systems(key: Heard) -> bool {
    match key.means {
        SUPER_LEFT | SUPER_RIGHT => true,
        TAB | F4 => key.alt,
        // With both it is AltGr, which types.
        SPACE => key.alt && !key.control,
        ESCAPE => key.alt || key.control,
        _ => false,
    }
}

/// The place of a key that can be taken, for one that a program made up without a place.
const fn place_of(means: u16) -> Option<KeyCode> {
    Some(KeyCode(match means {
        TAB => 15,
        ESCAPE => 1,
        SPACE => 57,
        SUPER_LEFT => 125,
        SUPER_RIGHT => 126,
        F4 => 62,
        _ => return None,
    }))
}

// Windows' virtual keys (winuser.h).
const TAB: u16 = 0x09;
const ESCAPE: u16 = 0x1b;
const SPACE: u16 = 0x20;
const SUPER_LEFT: u16 = 0x5b;
const SUPER_RIGHT: u16 = 0x5c;
const F4: u16 = 0x73;

/// Keys that are noted at most: what auto-repeat gives a window that hangs for a minute.
const MOST: usize = 2_048;
/// An input method or another program may give a window keys that no hook hears of, but not so many in turn.
const DEAF: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const A: u16 = 0x41;
    const ALT: u16 = 0xa4;
    const CONTROL: u16 = 0xa2;

    const fn code_of(means: u16) -> KeyCode {
        match means {
            A => KeyCode(30),
            ALT => KeyCode(56),
            CONTROL => KeyCode(29),
            _ => match place_of(means) {
                Some(code) => code,
                None => KeyCode(100),
            },
        }
    }

    /// A keyboard whose modifiers the system knows.
    #[derive(Default)]
    struct Hands {
        held: BTreeSet<u16>,
    }

    impl Hands {
        fn moves(&mut self, taken: &mut Taken, means: u16, down: bool) -> bool {
            // Windows says of Alt's own move what is so before it comes up and after it went down.
            if down && means != SUPER_LEFT {
                self.held.insert(means);
            }
            let key = Heard {
                code: Some(code_of(means)),
                means,
                down,
                alt: self.held.contains(&ALT),
                control: self.held.contains(&CONTROL),
            };
            if !down {
                self.held.remove(&means);
            }
            taken.on_heard(key)
        }
    }

    /// What is taken of these moves, where a name stands for down and `-` before it for up.
    fn taken(moves: &[i32]) -> Vec<bool> {
        let (mut taken, mut hands) = (Taken::default(), Hands::default());
        let one = |m: &i32| hands.moves(&mut taken, u16::try_from(m.abs()).unwrap(), *m > 0);
        moves.iter().map(one).collect()
    }

    const fn key(means: u16) -> i32 {
        means as i32
    }

    #[test]
    fn what_the_system_answers_is_taken_and_nothing_else() {
        let [a, alt, control] = [A, ALT, CONTROL].map(key);
        let [tab, escape, space, f4, left, right] = [TAB, ESCAPE, SPACE, F4, SUPER_LEFT, SUPER_RIGHT].map(key);
        for plain in [a, tab, escape, space, f4, alt, control] {
            assert_eq!(taken(&[plain, plain, -plain]), [false; 3], "{plain:#x}");
        }
        for win in [left, right] {
            assert_eq!(taken(&[win, a, win, -win, -a]), [true, false, true, true, false]);
        }
        for key in [tab, escape, space, f4] {
            assert_eq!(taken(&[alt, key, key, -key, -alt]), [false, true, true, true, false], "Alt+{key:#x}");
            assert_eq!(taken(&[alt, key, -alt, key, -key]), [false, true, false, true, true], "Alt came up first");
            assert_eq!(taken(&[key, alt, key, -key, -alt]), [false; 5], "it was down before: the system holds it");
        }
        for (key, is) in [(escape, true), (tab, false), (space, false), (f4, false)] {
            assert_eq!(taken(&[control, key, -key, -control]), [false, is, is, false], "Control+{key:#x}");
        }
        assert_eq!(taken(&[control, alt, space, -space, tab])[2..], [false, false, true], "with AltGr");
        assert_eq!(taken(&[-left, -tab]), [false; 2], "what was down before the hook came up for the system");
    }

    #[test]
    fn a_key_that_a_program_makes_up_is_known_by_what_it_means() {
        let mut taken = Taken::default();
        let made_up = |means| Heard { code: None, means, down: true, alt: false, control: false };
        assert!(taken.on_heard(made_up(SUPER_RIGHT)));
        assert!(!taken.on_heard(made_up(0xe7)), "a character that is no key");
        assert_eq!(taken.settled(), [TakenKey { code: KeyCode(126), down: true, repeat: false }]);
    }

    #[test]
    fn what_is_down_comes_up_at_the_end() {
        let (mut taken, mut hands) = (Taken::default(), Hands::default());
        for (means, down) in [(SUPER_LEFT, true), (A, true), (SUPER_LEFT, true)] {
            hands.moves(&mut taken, means, down);
        }
        let code = KeyCode(125);
        let [down, repeat, up] =
            [(true, false), (true, true), (false, false)].map(|(down, repeat)| TakenKey { code, down, repeat });
        assert_eq!(taken.end(), [down, repeat, up]);
        assert_eq!(taken.end(), []);
        assert!(!hands.moves(&mut taken, SUPER_LEFT, false), "it has come up");
    }

    #[test]
    fn a_hook_that_hears_nothing_is_noticed() {
        let (mut taken, mut hands) = (Taken::default(), Hands::default());
        for _ in 0..100 {
            hands.moves(&mut taken, A, true);
            taken.before(code_of(A), true);
            taken.before(code_of(TAB), true);
            assert!(!taken.is_deaf(), "one is heard now and then");
        }
        let mut taken = Taken::default();
        for n in 1..=DEAF {
            assert!(!taken.is_deaf());
            taken.before(code_of(A), true);
            taken.before(code_of(A), false);
            assert_eq!(taken.is_deaf(), n == DEAF);
        }
    }

    #[test]
    fn what_never_comes_takes_no_room_and_a_window_that_hangs_loses_no_release() {
        let (mut taken, mut hands) = (Taken::default(), Hands::default());
        for _ in 0..10 * MOST {
            hands.moves(&mut taken, A, true);
        }
        assert_eq!(taken.order.len(), MOST);
        assert!(hands.moves(&mut taken, SUPER_LEFT, true));
        assert!((0..10 * MOST).all(|_| hands.moves(&mut taken, SUPER_LEFT, true)), "the system hears of none");
        assert_eq!(taken.order.len(), MOST);
        assert!(hands.moves(&mut taken, SUPER_LEFT, false));
        assert_eq!(taken.settled().last(), Some(&TakenKey { code: KeyCode(125), down: false, repeat: false }));
    }

    /// The hook runs ahead of the window by any number of keys, and the window takes what is there: posted wakes first, then the
    /// queue, as Windows has it.
    #[test]
    fn keys_come_in_the_order_of_the_hands() {
        let mut chance = 1u64;
        let mut next = |n: u64| {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (chance >> 33) % n
        };
        for _ in 0..2_000 {
            let (mut taken, mut hands, mut queue) = (Taken::default(), Hands::default(), VecDeque::new());
            let (mut said, mut came) = (Vec::new(), Vec::new());
            for _ in 0..40 {
                for _ in 0..next(4) {
                    let means = [A, ALT, CONTROL, TAB, ESCAPE, SUPER_LEFT][next(6) as usize];
                    let down = next(2) == 0;
                    said.push((code_of(means), down));
                    if !hands.moves(&mut taken, means, down) {
                        queue.push_back((code_of(means), down));
                    }
                }
                // While the window empties its queue, more comes.
                while let Some((code, down)) = queue.pop_front() {
                    came.extend(taken.before(code, down).into_iter().map(|t| (t.code, t.down)));
                    came.push((code, down));
                    if next(3) == 0 {
                        said.push((code_of(A), true));
                        hands.moves(&mut taken, A, true);
                        queue.push_back((code_of(A), true));
                    }
                }
                came.extend(taken.settled().into_iter().map(|t| (t.code, t.down)));
                assert_eq!(came, said);
            }
        }
    }
}
