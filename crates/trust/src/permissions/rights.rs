//! What a set of features means for what a viewer does: which input passes, which way the clipboard goes, who asks.
//!
//! ```text
//! permission file + who asks --granted_to--> FeatureSet --Rights--> yes or no for each event
//! ```
//! A viewer that proved the owner's code or an enrolled key is the owner. A user name it gives besides is a claim nobody
//! proved: it can take rights away (the file's lines for that name count as well), and never adds one.

use super::{Actor, Feature, FeatureSet, Permissions};
use telepane_model::{InputEvent, KeyCode, KeyMove, Meaning};

impl Permissions {
    /// What somebody may do who has proven the owner's secret, and says that their name is `claimed` (empty: the owner).
    pub fn granted_to(&self, owner: &Actor<'_>, claimed: &str) -> FeatureSet {
        let all = self.granted(&Actor { owner: true, ..*owner });
        if claimed.is_empty() || owner.user == Some(claimed) {
            return all;
        }
        all.and(self.granted(&Actor { user: Some(claimed), os_groups: &[], owner: false }))
    }
}

/// A viewer's rights, and the keys they depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    features: FeatureSet,
    /// Which of left and right Ctrl and Alt are down, one bit each, and whether other keys are Ctrl or Alt by their meaning.
    held: u8,
}

impl Rights {
    /// These features, with no key held.
    pub const fn new(features: FeatureSet) -> Self {
        Self { features, held: 0 }
    }

    /// The features.
    pub const fn features(&self) -> FeatureSet {
        self.features
    }

    /// True when `feature` is among them.
    pub const fn has(&self, feature: Feature) -> bool {
        self.features.has(feature)
    }

    /// Whether an event passes; to be asked for each event, in order, because Delete is something else while Ctrl and Alt
    /// are held. Whoever takes rights away releases what is held: afterwards a key coming up does not pass either.
    pub fn allows(&mut self, event: &InputEvent) -> bool {
        match event {
            InputEvent::Key { code, action } => {
                self.follow(*code, *action);
                self.has(Feature::Keyboard)
                    && (self.has(Feature::KeyboardSas) || !self.is_attention(*code) || *action == KeyMove::Up)
            }
            InputEvent::Press { code, means } => {
                self.follow(*code, KeyMove::Down);
                self.follow_meaning(*code, *means);
                self.has(Feature::Keyboard)
                    && (self.has(Feature::KeyboardSas)
                        || !self.is_attention(if DELETES.contains(means) { DELETE } else { *code }))
            }
            InputEvent::Text(_) => self.has(Feature::Keyboard),
            // It sets the lock keys.
            InputEvent::Focus { .. } => {
                self.held = 0;
                self.has(Feature::Keyboard)
            }
            // It only releases.
            InputEvent::Blur => {
                self.held = 0;
                true
            }
            InputEvent::PointerTo(_)
            | InputEvent::PointerBy { .. }
            | InputEvent::Button { .. }
            | InputEvent::Wheel { .. } => self.has(Feature::Mouse),
            InputEvent::Touch { .. } => self.has(Feature::Touch),
            InputEvent::Pen(_) => self.has(Feature::Stylus),
        }
    }

    /// Everything was released.
    pub fn on_released(&mut self) {
        self.held = 0;
    }

    fn follow(&mut self, code: KeyCode, action: KeyMove) {
        let bit = match code {
            LEFT_CTRL => 1,
            RIGHT_CTRL => 2,
            LEFT_ALT => 4,
            RIGHT_ALT => 8,
            _ => return,
        };
        if action == KeyMove::Up { self.held &= !bit } else { self.held |= bit }
    }

    /// A key elsewhere that is Ctrl or Alt for its viewer counts as held until everything is released: which key lifts it
    /// need not be known for that.
    fn follow_meaning(&mut self, code: KeyCode, means: Meaning) {
        let own = [LEFT_CTRL, RIGHT_CTRL, LEFT_ALT, RIGHT_ALT].contains(&code);
        self.held |= match means.0 {
            0xffe3 | 0xffe4 if !own => 1 << 4,
            0xffe7..=0xffea if !own => 1 << 5,
            // On its own place it is down as long as the key is, whichever of the two it is.
            0xffe3 | 0xffe4 if matches!(code, LEFT_ALT | RIGHT_ALT) => 1 << 4,
            0xffe7..=0xffea if matches!(code, LEFT_CTRL | RIGHT_CTRL) => 1 << 5,
            _ => 0,
        };
    }

    const fn is_attention(&self, code: KeyCode) -> bool {
        matches!(code, DELETE | KEYPAD_DOT) && self.held & CTRLS != 0 && self.held & ALTS != 0
    }
}

/// The bits of `held`: left, right, and by meaning.
const CTRLS: u8 = 1 | 2 | 1 << 4;
const ALTS: u8 = 4 | 8 | 1 << 5;
/// `XK_Delete`, `XK_KP_Delete` and `XK_KP_Decimal`.
const DELETES: [Meaning; 3] = [Meaning(0xffff), Meaning(0xff9f), Meaning(0xffae)];
// Linux's input-event-codes.h.
const LEFT_CTRL: KeyCode = KeyCode(29);
const RIGHT_CTRL: KeyCode = KeyCode(97);
const LEFT_ALT: KeyCode = KeyCode(56);
const RIGHT_ALT: KeyCode = KeyCode(100);
const KEYPAD_DOT: KeyCode = KeyCode(83);
const DELETE: KeyCode = KeyCode(111);

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Button, Pen, Point, TouchPhase};

    fn rights(line: &str) -> Rights {
        let permissions = Permissions::parse(&format!("[permissions]\n%owner% {line}\n")).unwrap();
        Rights::new(permissions.granted_to(&OWNER, ""))
    }

    const OWNER: Actor<'static> = Actor { user: Some("jane"), os_groups: &["staff"], owner: true };

    fn key(code: KeyCode, action: KeyMove) -> InputEvent {
        InputEvent::Key { code, action }
    }

    #[test]
    fn each_kind_of_input_needs_its_feature() {
        let a = key(KeyCode(30), KeyMove::Down);
        let keyboard = [a.clone(), InputEvent::Text("é".into()), InputEvent::Focus { caps: true, num: false }];
        let mouse = [
            InputEvent::PointerTo(Point::new(1, 2)),
            InputEvent::PointerBy { dx: 1, dy: 1 },
            InputEvent::Button { button: Button::Left, down: true },
            InputEvent::Wheel { x: 0, y: 120 },
        ];
        let phases = [TouchPhase::Down, TouchPhase::Move, TouchPhase::Up, TouchPhase::Cancel];
        let fingers = phases.map(|phase| InputEvent::Touch { finger: 1, phase, at: Point::new(1, 2), pressure: 0 });
        let pen = Pen {
            at: Point::new(1, 2),
            pressure: 0,
            tilt: (0, 0),
            touching: true,
            eraser: false,
            buttons: 0,
            near: true,
        };
        let pens = [pen, pen.away()].map(InputEvent::Pen);
        for (line, keys, pointer, touch, stylus) in [
            ("allow builtin", true, true, true, true),
            ("allow display keyboard", true, false, false, false),
            ("allow display mouse", false, true, false, false),
            ("allow display touch", false, false, true, false),
            ("allow display stylus", false, false, false, true),
            ("allow display", false, false, false, false),
        ] {
            let mut r = rights(line);
            assert!(keyboard.iter().all(|e| r.allows(e) == keys), "{line}");
            assert!(mouse.iter().all(|e| r.allows(e) == pointer), "{line}");
            assert!(fingers.iter().all(|e| r.allows(e) == touch), "{line}");
            assert!(pens.iter().all(|e| r.allows(e) == stylus), "{line}");
            assert!(r.allows(&InputEvent::Blur), "{line}");
        }
    }

    #[test]
    fn ctrl_alt_delete_needs_its_own_feature_and_delete_alone_does_not() {
        let mut r = rights("allow display keyboard");
        let delete = key(DELETE, KeyMove::Down);
        assert!(r.allows(&delete));
        assert!(r.allows(&key(RIGHT_CTRL, KeyMove::Down)) && r.allows(&delete));
        assert!(r.allows(&key(LEFT_ALT, KeyMove::Down)));
        assert!(!r.allows(&delete) && !r.allows(&key(KEYPAD_DOT, KeyMove::Repeat)));
        assert!(r.allows(&key(DELETE, KeyMove::Up)), "what is released does no harm");
        assert!(r.allows(&key(RIGHT_CTRL, KeyMove::Up)) && r.allows(&delete));
        let mut with = rights("allow keyboard keyboard-sas");
        assert!([LEFT_CTRL, RIGHT_ALT, DELETE].iter().all(|c| with.allows(&key(*c, KeyMove::Down))));
        let mut let_go = rights("allow keyboard");
        assert!(let_go.allows(&key(LEFT_CTRL, KeyMove::Down)) && let_go.allows(&key(LEFT_ALT, KeyMove::Down)));
        let_go.on_released();
        assert!(let_go.allows(&delete));
    }

    #[test]
    fn ctrl_alt_delete_by_what_keys_mean_needs_the_feature_too() {
        let press = |code, means| InputEvent::Press { code: KeyCode(code), means: Meaning(means) };
        for (ctrl, alt, delete) in [
            (press(58, 0xffe3), press(41, 0xffea), press(30, 0xffff)),
            (press(56, 0xffe4), press(29, 0xffe9), press(83, 0xffae)),
            (key(LEFT_CTRL, KeyMove::Down), press(100, 0xfe03), press(14, 0xff9f)),
        ] {
            let mut r = rights("allow display keyboard");
            assert!(r.allows(&delete) && r.allows(&ctrl) && r.allows(&alt));
            assert!(!r.allows(&delete) && !r.allows(&key(DELETE, KeyMove::Down)));
            assert!(r.allows(&press(30, 0x61)), "letters pass");
            assert!(r.allows(&InputEvent::Blur) && r.allows(&delete));
        }
    }

    #[test]
    fn a_claimed_name_takes_away_and_never_adds() {
        let text = "[permissions]\n%owner% allow display keyboard\nbob allow display mouse\njane deny clipboard-copy\n";
        let p = Permissions::parse(text).unwrap();
        let names = |claimed: &str| p.granted_to(&OWNER, claimed).iter().map(Feature::name).collect::<Vec<_>>();
        assert_eq!(names(""), ["display", "keyboard"]);
        assert_eq!(names("jane"), ["display", "keyboard"]);
        assert_eq!(names("bob"), ["display"]);
        assert!(names("mallory").is_empty());
        let nobody = Permissions::parse("").unwrap();
        assert_eq!(nobody.granted_to(&OWNER, ""), FeatureSet::NONE);
    }
}
