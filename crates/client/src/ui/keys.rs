//! Keys: winit's physical keys as evdev codes, and which keys of ours are down on the host.
//!
//! Codes are those of Linux's `input-event-codes.h`. Where the W3C name of a key has no fixed Linux code, the pairing
//! is the one of Chromium's `dom_code_data.inc`, which browsers made the de facto one.
//!
//! A key that no keyboard types with, but that gives text here (a virtual keyboard, a remapped spare key), means nothing on
//! the host: its text is sent instead ([`is_typing_key`]).
//!
//! What a key *means* is the host's business: modifiers are ordinary keys here. The window only makes sure that every
//! `Down` it reports is followed by exactly one `Up` or a `Blur`, that a key which was already held when the window
//! got the keyboard is not reported as typed, and that nothing held at a blur repeats. Between windows of ours the
//! keyboard goes without a blur: what stays held stays down, and what came up on the way is let go.

use std::collections::BTreeSet;
use telepane_model::{KeyCode, KeyMove};
use winit::keyboard::{KeyCode as K, ModifiersState, NativeKeyCode, PhysicalKey};

/// The evdev code of a physical key; `None` for the few keys that Linux has no code for.
pub fn key_code(key: PhysicalKey) -> Option<KeyCode> {
    let code = match key {
        PhysicalKey::Code(code) => evdev(code)?,
        // On X11 and Wayland alike winit has already taken the 8 off that XKB adds.
        PhysicalKey::Unidentified(NativeKeyCode::Xkb(n)) => u16::try_from(n).ok()?,
        PhysicalKey::Unidentified(_) => return None,
    };
    (1..=KeyCode::MAX).contains(&code).then_some(KeyCode(code))
}

fn evdev(code: K) -> Option<u16> {
    Some(match code {
        K::Escape => 1,
        K::Digit1 => 2,
        K::Digit2 => 3,
        K::Digit3 => 4,
        K::Digit4 => 5,
        K::Digit5 => 6,
        K::Digit6 => 7,
        K::Digit7 => 8,
        K::Digit8 => 9,
        K::Digit9 => 10,
        K::Digit0 => 11,
        K::Minus => 12,
        K::Equal => 13,
        K::Backspace => 14,
        K::Tab => 15,
        K::KeyQ => 16,
        K::KeyW => 17,
        K::KeyE => 18,
        K::KeyR => 19,
        K::KeyT => 20,
        K::KeyY => 21,
        K::KeyU => 22,
        K::KeyI => 23,
        K::KeyO => 24,
        K::KeyP => 25,
        K::BracketLeft => 26,
        K::BracketRight => 27,
        K::Enter => 28,
        K::ControlLeft => 29,
        K::KeyA => 30,
        K::KeyS => 31,
        K::KeyD => 32,
        K::KeyF => 33,
        K::KeyG => 34,
        K::KeyH => 35,
        K::KeyJ => 36,
        K::KeyK => 37,
        K::KeyL => 38,
        K::Semicolon => 39,
        K::Quote => 40,
        K::Backquote => 41,
        K::ShiftLeft => 42,
        K::Backslash => 43,
        K::KeyZ => 44,
        K::KeyX => 45,
        K::KeyC => 46,
        K::KeyV => 47,
        K::KeyB => 48,
        K::KeyN => 49,
        K::KeyM => 50,
        K::Comma => 51,
        K::Period => 52,
        K::Slash => 53,
        K::ShiftRight => 54,
        K::NumpadMultiply => 55,
        K::AltLeft => 56,
        K::Space => 57,
        K::CapsLock => 58,
        K::F1 => 59,
        K::F2 => 60,
        K::F3 => 61,
        K::F4 => 62,
        K::F5 => 63,
        K::F6 => 64,
        K::F7 => 65,
        K::F8 => 66,
        K::F9 => 67,
        K::F10 => 68,
        K::NumLock => 69,
        K::ScrollLock => 70,
        K::Numpad7 => 71,
        K::Numpad8 => 72,
        K::Numpad9 => 73,
        K::NumpadSubtract => 74,
        K::Numpad4 => 75,
        K::Numpad5 => 76,
        K::Numpad6 => 77,
        K::NumpadAdd => 78,
        K::Numpad1 => 79,
        K::Numpad2 => 80,
        K::Numpad3 => 81,
        K::Numpad0 => 82,
        K::NumpadDecimal => 83,
        K::Lang5 => 85,
        K::IntlBackslash => 86,
        K::F11 => 87,
        K::F12 => 88,
        K::IntlRo => 89,
        K::Lang3 | K::Katakana => 90,
        K::Lang4 | K::Hiragana => 91,
        K::Convert => 92,
        K::KanaMode => 93,
        K::NonConvert => 94,
        K::NumpadEnter => 96,
        K::ControlRight => 97,
        K::NumpadDivide => 98,
        K::PrintScreen => 99,
        K::AltRight => 100,
        K::Home => 102,
        K::ArrowUp => 103,
        K::PageUp => 104,
        K::ArrowLeft => 105,
        K::ArrowRight => 106,
        K::End => 107,
        K::ArrowDown => 108,
        K::PageDown => 109,
        K::Insert => 110,
        K::Delete => 111,
        K::AudioVolumeMute => 113,
        K::AudioVolumeDown => 114,
        K::AudioVolumeUp => 115,
        K::Power => 116,
        K::NumpadEqual => 117,
        K::Pause => 119,
        K::NumpadComma => 121,
        K::Lang1 => 122,
        K::Lang2 => 123,
        K::IntlYen => 124,
        K::SuperLeft | K::Meta => 125,
        K::SuperRight => 126,
        K::ContextMenu => 127,
        K::BrowserStop => 128,
        K::Again => 129,
        K::Props => 130,
        K::Undo => 131,
        K::Copy => 133,
        K::Open => 134,
        K::Paste => 135,
        K::Find => 136,
        K::Cut => 137,
        K::Help => 138,
        K::LaunchApp2 => 140,
        K::Sleep => 142,
        K::WakeUp => 143,
        K::LaunchApp1 => 144,
        K::LaunchMail => 155,
        K::BrowserFavorites => 156,
        K::BrowserBack => 158,
        K::BrowserForward => 159,
        K::Eject => 161,
        K::MediaTrackNext => 163,
        K::MediaPlayPause => 164,
        K::MediaTrackPrevious => 165,
        K::MediaStop => 166,
        K::MediaSelect => 171,
        K::BrowserHome => 172,
        K::BrowserRefresh => 173,
        K::NumpadParenLeft => 179,
        K::NumpadParenRight => 180,
        K::F13 => 183,
        K::F14 => 184,
        K::F15 => 185,
        K::F16 => 186,
        K::F17 => 187,
        K::F18 => 188,
        K::F19 => 189,
        K::F20 => 190,
        K::F21 => 191,
        K::F22 => 192,
        K::F23 => 193,
        K::F24 => 194,
        K::Suspend => 205,
        K::BrowserSearch => 217,
        K::Select => 353,
        K::NumpadClear => 355,
        K::Fn => 464,
        K::NumpadStar => 522,
        K::NumpadHash => 523,
        // Linux has no code for these.
        K::NumpadBackspace
        | K::NumpadClearEntry
        | K::NumpadMemoryAdd
        | K::NumpadMemoryClear
        | K::NumpadMemoryRecall
        | K::NumpadMemoryStore
        | K::NumpadMemorySubtract
        | K::FnLock
        | K::Hyper
        | K::Turbo
        | K::Abort
        | K::Resume
        | K::F25
        | K::F26
        | K::F27
        | K::F28
        | K::F29
        | K::F30
        | K::F31
        | K::F32
        | K::F33
        | K::F34
        | K::F35 => return None,
        // The enum is open; a key it gains later stays silent until it is listed.
        _ => return None,
    })
}

/// Whether keyboards have a character on this key, so that the host's layout says which.
pub(super) fn is_typing_key(code: KeyCode) -> bool {
    matches!(code.0, 1..=13 | 14..=28 | 30..=41 | 43..=53 | 55 | 57 | 71..=83 | 86 | 89 | 96 | 98 | 111 | 117 | 121 | 124 | 179 | 180)
}

const ENTER: KeyCode = KeyCode(28);
const O: KeyCode = KeyCode(24);
const R: KeyCode = KeyCode(19);
const G: KeyCode = KeyCode(34);
const S: KeyCode = KeyCode(31);
const M: KeyCode = KeyCode(50);
const N: KeyCode = KeyCode(49);
const V: KeyCode = KeyCode(47);
const CONTROL_LEFT: KeyCode = KeyCode(29);
const CONTROL_RIGHT: KeyCode = KeyCode(97);
const SHIFT_LEFT: KeyCode = KeyCode(42);
const SHIFT_RIGHT: KeyCode = KeyCode(54);
const ALT_LEFT: KeyCode = KeyCode(56);
const SUPER_LEFT: KeyCode = KeyCode(125);
const SUPER_RIGHT: KeyCode = KeyCode(126);
const MINUS: KeyCode = KeyCode(12);
const EQUAL: KeyCode = KeyCode(13);
const ZERO: KeyCode = KeyCode(11);
const PAD_MINUS: KeyCode = KeyCode(74);
const PAD_PLUS: KeyCode = KeyCode(78);
const ESCAPE: KeyCode = KeyCode(1);
const TAB: KeyCode = KeyCode(15);
const F4: KeyCode = KeyCode(62);
const PAGE_UP: KeyCode = KeyCode(104);
const PAGE_DOWN: KeyCode = KeyCode(109);

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stroke {
    /// Goes to the model.
    Send(KeyMove),
    /// Ctrl+Alt+Enter.
    Fullscreen,
    /// Ctrl+Alt+O.
    Overlay,
    /// Ctrl+Alt+R.
    Relative,
    /// Ctrl+Alt+G.
    Shortcuts,
    /// Ctrl+Alt+PageUp (1) or Ctrl+Alt+PageDown (-1).
    Sharpen(i8),
    /// Ctrl+Alt++ (1), Ctrl+Alt+- (-1) or Ctrl+Alt+0 (0), by the keys of a US keyboard.
    Scale(i8),
    /// Ctrl+Alt+S.
    Sound,
    /// Ctrl+Alt+M.
    Microphone,
    /// Ctrl+Alt+V.
    PasteAsKeys,
    /// Ctrl+Alt+N.
    AllWindows,
    /// Nobody hears of it.
    Swallow,
}

/// Which keys the model believes to be down, and which it must not hear of until they come up.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    down: BTreeSet<KeyCode>,
    muted: BTreeSet<KeyCode>,
    /// Down when the keyboard went to another window of ours, and not yet seen to be down there.
    unsure: BTreeSet<KeyCode>,
}

impl Keyboard {
    /// A key as the platform reports it. `synthetic`: made up by winit because the focus came or went, not by a hand.
    pub(super) fn key(&mut self, code: KeyCode, pressed: bool, repeat: bool, synthetic: bool) -> Stroke {
        if !pressed {
            self.muted.remove(&code);
            // At a blur the model hears `Blur`, which releases everything; winit's releases before it add nothing, and where
            // the keyboard goes to another window of ours they are not so.
            return if !synthetic && self.down.remove(&code) { Stroke::Send(KeyMove::Up) } else { Stroke::Swallow };
        }
        if synthetic {
            if self.unsure.remove(&code) || self.down.contains(&code) {
                return Stroke::Swallow;
            }
            // Control and Shift held while clicking into the window are meant for it. Alt and Super are what brought
            // the user here (Alt+Tab), and a letter held meanwhile was typed elsewhere.
            if matches!(code, CONTROL_LEFT | CONTROL_RIGHT | SHIFT_LEFT | SHIFT_RIGHT) && self.down.insert(code) {
                return Stroke::Send(KeyMove::Down);
            }
            self.muted.insert(code);
            return Stroke::Swallow;
        }
        if self.muted.contains(&code) {
            return Stroke::Swallow;
        }
        if self.down.contains(&code) {
            return Stroke::Send(KeyMove::Repeat);
        }
        if repeat {
            self.muted.insert(code);
            return Stroke::Swallow;
        }
        let held = |k| self.down.contains(&k);
        let chord = (held(CONTROL_LEFT) || held(CONTROL_RIGHT)) && held(ALT_LEFT);
        let own = match code {
            ENTER => Some(Stroke::Fullscreen),
            O => Some(Stroke::Overlay),
            R => Some(Stroke::Relative),
            G => Some(Stroke::Shortcuts),
            PAGE_UP => Some(Stroke::Sharpen(1)),
            PAGE_DOWN => Some(Stroke::Sharpen(-1)),
            EQUAL | PAD_PLUS => Some(Stroke::Scale(1)),
            MINUS | PAD_MINUS => Some(Stroke::Scale(-1)),
            ZERO => Some(Stroke::Scale(0)),
            S => Some(Stroke::Sound),
            M => Some(Stroke::Microphone),
            V => Some(Stroke::PasteAsKeys),
            N => Some(Stroke::AllWindows),
            _ => None,
        };
        if let Some(own) = own.filter(|_| chord) {
            self.muted.insert(code);
            return own;
        }
        self.down.insert(code);
        Stroke::Send(KeyMove::Down)
    }

    /// Whether a key that went down is, with those that are down, what people expect their own system to answer.
    pub(super) fn is_shortcut(&self, code: KeyCode) -> bool {
        let alt = self.down.contains(&ALT_LEFT);
        matches!(code, SUPER_LEFT | SUPER_RIGHT) || alt && matches!(code, TAB | ESCAPE | F4)
    }

    /// A key that went into a question of the window: nobody hears of its release either.
    pub(super) fn mute(&mut self, code: KeyCode) {
        if !self.down.contains(&code) {
            self.muted.insert(code);
        }
    }

    /// The model is not told of a key after all: neither of its repeats, nor that it comes up.
    pub(super) fn forget(&mut self, code: KeyCode) {
        self.down.remove(&code);
        self.muted.insert(code);
    }

    /// The window lost the keyboard.
    pub(super) fn blur(&mut self) {
        self.down.clear();
        self.muted.clear();
        self.unsure.clear();
    }

    /// An input method composes, to which the keys belong: what was down comes up, but for modifiers that are still held.
    /// The platform may not say when they come up meanwhile.
    pub(super) fn composing(&mut self, modifiers: ModifiersState) -> BTreeSet<KeyCode> {
        let stays = |code: &KeyCode| match *code {
            SHIFT_LEFT | SHIFT_RIGHT => modifiers.shift_key(),
            CONTROL_LEFT | CONTROL_RIGHT => modifiers.control_key(),
            ALT_LEFT => modifiers.alt_key(),
            SUPER_LEFT | SUPER_RIGHT => modifiers.super_key(),
            _ => false,
        };
        let (down, up) = std::mem::take(&mut self.down).into_iter().partition(stays);
        self.down = down;
        up
    }

    /// Another window of ours has it now; which keys are down there is told next.
    pub(super) fn hand_over(&mut self) {
        self.unsure.clone_from(&self.down);
    }

    /// What came up while the keyboard went from one window to the other.
    pub(super) fn came_up(&mut self) -> BTreeSet<KeyCode> {
        let up = std::mem::take(&mut self.unsure);
        self.down.retain(|k| !up.contains(k));
        up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: KeyCode = KeyCode(30);

    #[test]
    fn known_codes() {
        for (key, code) in [
            (K::KeyA, 30),
            (K::Enter, 28),
            (K::NumpadEnter, 96),
            (K::AltRight, 100),
            (K::IntlBackslash, 86),
            (K::IntlRo, 89),
            (K::IntlYen, 124),
            (K::F12, 88),
            (K::F13, 183),
            (K::SuperRight, 126),
            (K::Pause, 119),
            (K::ArrowDown, 108),
        ] {
            assert_eq!(key_code(PhysicalKey::Code(key)), Some(KeyCode(code)), "{key:?}");
        }
        assert_eq!(key_code(PhysicalKey::Unidentified(NativeKeyCode::Xkb(112))), Some(KeyCode(112)));
        assert_eq!(key_code(PhysicalKey::Unidentified(NativeKeyCode::Xkb(0))), None);
        assert_eq!(key_code(PhysicalKey::Unidentified(NativeKeyCode::Xkb(768))), None);
        assert_eq!(key_code(PhysicalKey::Unidentified(NativeKeyCode::Unidentified)), None);
    }

    /// winit keeps its own table from Linux codes to keys; ours must be its inverse wherever it speaks.
    #[cfg(all(unix, not(target_os = "macos")))]
    #[test]
    fn the_table_is_the_inverse_of_winits() {
        use winit::platform::scancode::PhysicalKeyExtScancode;
        let mut named = 0;
        for code in 1..=767u32 {
            if code == 240 {
                continue; // KEY_UNKNOWN, which winit maps to no number
            }
            let key = PhysicalKey::from_scancode(code);
            named += u32::from(matches!(key, PhysicalKey::Code(_)));
            assert_eq!(key_code(key), Some(KeyCode(code as u16)), "{key:?}");
        }
        assert!(named > 120, "only {named} named keys");
    }

    #[test]
    fn down_repeat_up() {
        let mut k = Keyboard::default();
        assert_eq!(k.key(A, true, false, false), Stroke::Send(KeyMove::Down));
        assert_eq!(k.key(A, true, true, false), Stroke::Send(KeyMove::Repeat));
        assert_eq!(k.key(A, false, false, false), Stroke::Send(KeyMove::Up));
        assert_eq!(k.key(A, false, false, false), Stroke::Swallow);
    }

    #[test]
    fn a_key_held_at_focus_is_not_typed() {
        let mut k = Keyboard::default();
        assert_eq!(k.key(A, true, false, true), Stroke::Swallow);
        // winit does not flag the first real event of such a key as a repeat.
        assert_eq!(k.key(A, true, false, false), Stroke::Swallow);
        assert_eq!(k.key(A, false, false, false), Stroke::Swallow);
        assert_eq!(k.key(A, true, false, false), Stroke::Send(KeyMove::Down));
        assert_eq!(k.key(CONTROL_LEFT, true, false, true), Stroke::Send(KeyMove::Down));
        assert_eq!(k.key(ALT_LEFT, true, false, true), Stroke::Swallow);
    }

    #[test]
    fn spare_and_media_keys_type_nothing_by_their_place() {
        for code in [2, 28, 30, 52, 57, 86, 96] {
            assert!(is_typing_key(KeyCode(code)), "{code}");
        }
        for code in [29, 42, 59, 85, 102, 125, 163, 240] {
            assert!(!is_typing_key(KeyCode(code)), "{code}");
        }
    }

    #[test]
    fn a_key_that_is_not_told_is_silent_until_the_next_press() {
        let mut k = Keyboard::default();
        k.key(A, true, false, false);
        k.forget(A);
        assert_eq!(k.key(A, true, true, false), Stroke::Swallow);
        assert_eq!(k.key(A, false, false, false), Stroke::Swallow);
        assert_eq!(k.key(A, true, false, false), Stroke::Send(KeyMove::Down));
    }

    #[test]
    fn what_comes_up_unseen_while_an_input_method_composes_does_not_stay_down() {
        let mut k = Keyboard::default();
        let altgr = KeyCode(100);
        for code in [SHIFT_LEFT, CONTROL_RIGHT, altgr, ENTER] {
            assert_eq!(k.key(code, true, false, false), Stroke::Send(KeyMove::Down));
        }
        assert_eq!(k.composing(ModifiersState::SHIFT | ModifiersState::CONTROL), BTreeSet::from([ENTER, altgr]));
        assert_eq!(k.composing(ModifiersState::SHIFT), BTreeSet::from([CONTROL_RIGHT]));
        assert_eq!(k.key(ENTER, false, false, false), Stroke::Swallow, "if the platform says so after all");
        assert_eq!(k.composing(ModifiersState::SHIFT), BTreeSet::new());
        assert_eq!(k.key(SHIFT_LEFT, false, false, false), Stroke::Send(KeyMove::Up));
        assert_eq!(k.key(ENTER, true, false, false), Stroke::Send(KeyMove::Down));
    }

    #[test]
    fn nothing_held_at_blur_repeats() {
        let mut k = Keyboard::default();
        k.key(A, true, false, false);
        assert_eq!(k.key(A, false, false, true), Stroke::Swallow);
        k.blur();
        assert_eq!(k.key(A, true, true, false), Stroke::Swallow);
        assert_eq!(k.key(A, false, false, false), Stroke::Swallow);
    }

    #[test]
    fn the_keyboard_goes_between_windows_of_ours_and_no_key_is_doubled_or_lost() {
        const B: KeyCode = KeyCode(48);
        let mut k = Keyboard::default();
        for code in [A, B, ALT_LEFT] {
            assert_eq!(k.key(code, true, false, false), Stroke::Send(KeyMove::Down));
        }
        // winit lifts all of them where the keyboard was, and presses again what is still held where it is.
        for code in [A, B, ALT_LEFT] {
            assert_eq!(k.key(code, false, false, true), Stroke::Swallow);
        }
        k.hand_over();
        for code in [A, ALT_LEFT] {
            assert_eq!(k.key(code, true, false, true), Stroke::Swallow);
        }
        assert_eq!(k.came_up(), BTreeSet::from([B]));
        assert_eq!(k.came_up(), BTreeSet::new());
        assert_eq!(k.key(A, true, true, false), Stroke::Send(KeyMove::Repeat), "it goes on repeating");
        assert_eq!(k.key(A, false, false, false), Stroke::Send(KeyMove::Up));
        assert_eq!(k.key(ALT_LEFT, false, false, false), Stroke::Send(KeyMove::Up));
        assert_eq!(k.key(B, false, false, false), Stroke::Swallow);
    }

    #[test]
    fn the_windows_own_chords() {
        let mut k = Keyboard::default();
        k.key(CONTROL_RIGHT, true, false, false);
        assert_eq!(k.key(O, true, false, false), Stroke::Send(KeyMove::Down));
        k.key(O, false, false, false);
        k.key(ALT_LEFT, true, false, false);
        assert_eq!(k.key(O, true, false, false), Stroke::Overlay);
        assert_eq!(k.key(O, true, true, false), Stroke::Swallow);
        assert_eq!(k.key(O, false, false, false), Stroke::Swallow);
        assert_eq!(k.key(ENTER, true, false, false), Stroke::Fullscreen);
        assert_eq!(k.key(R, true, false, false), Stroke::Relative);
        assert_eq!(k.key(G, true, false, false), Stroke::Shortcuts);
        assert_eq!(k.key(PAGE_UP, true, false, false), Stroke::Sharpen(1));
        assert_eq!(k.key(PAGE_DOWN, true, false, false), Stroke::Sharpen(-1));
        assert!(k.is_shortcut(TAB) && k.is_shortcut(SUPER_LEFT) && !k.is_shortcut(A));
        assert_eq!(k.key(ALT_LEFT, false, false, false), Stroke::Send(KeyMove::Up));
        assert!(!k.is_shortcut(TAB));
    }
}
