//! What a key means here: its character, or its function where that is not what the key of this place mostly has.
//!
//! The host compares it with what its own layout would make of the key (`protocol-spec/host.md` H-61, H-62), so that people
//! get the text that is on their own keyboard, whichever layout the host has. A dead key goes nowhere: what it composes
//! comes as text.

use telepane_model::{KeyCode, Meaning};
use winit::event::KeyEvent;
use winit::keyboard::{Key, KeyLocation, NamedKey as N, NativeKey};

/// What becomes of a key that went down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    /// It is the key of its place.
    Place,
    /// It is told with this.
    Means(Meaning),
    /// More than one character.
    Text(String),
    /// Nothing comes of it here: a dead key, or one without a meaning on this level.
    Nothing,
}

/// What a key means.
pub(super) fn sense(code: KeyCode, event: &KeyEvent) -> Sense {
    sense_of(code, &event.logical_key, event.text.as_deref(), event.location)
}

fn sense_of(code: KeyCode, key: &Key, text: Option<&str>, location: KeyLocation) -> Sense {
    // What an input method has taken for itself is no key of the host's either.
    if let Key::Dead(_) | Key::Named(N::Process) = key {
        return Sense::Nothing;
    }
    if let Some(text) = text.filter(|t| !t.is_empty() && !t.chars().any(char::is_control)) {
        let mut chars = text.chars();
        return match (chars.next().and_then(Meaning::of), chars.next()) {
            (Some(means), None) => Sense::Means(means),
            _ => Sense::Text(text.to_owned()),
        };
    }
    // What the keypad says follows from Num Lock, which is made to agree; media and function keys are seldom moved.
    if is_keypad(code) || !(super::keys::is_typing_key(code) || is_modifier(code)) {
        return Sense::Place;
    }
    match key {
        Key::Named(named) => match keysym(*named, location) {
            Some(sym) if usual(code) != Some(*named) => Sense::Means(Meaning(sym)),
            _ => Sense::Place,
        },
        Key::Unidentified(NativeKey::Unidentified | NativeKey::Xkb(0)) if super::keys::is_typing_key(code) => {
            Sense::Nothing
        }
        // Level shifts and groups that the window library has no name for.
        Key::Unidentified(NativeKey::Xkb(sym)) if (1..=Meaning::MAX).contains(sym) => Sense::Means(Meaning(*sym)),
        _ => Sense::Place,
    }
}

const fn is_keypad(code: KeyCode) -> bool {
    matches!(code.0, 55 | 69 | 71..=83 | 96 | 98 | 117 | 121 | 179 | 180)
}

/// Control, Shift, Alt, Caps Lock and Super.
pub(super) const fn is_modifier(code: KeyCode) -> bool {
    matches!(code.0, 29 | 42 | 54 | 56 | 58 | 97 | 100 | 125 | 126)
}

/// The function of the key of this place on every ordinary keyboard. Caps Lock and the right Alt are moved so often that
/// their function is always told.
const fn usual(code: KeyCode) -> Option<N> {
    Some(match code.0 {
        1 => N::Escape,
        14 => N::Backspace,
        15 => N::Tab,
        28 => N::Enter,
        29 | 97 => N::Control,
        42 | 54 => N::Shift,
        56 => N::Alt,
        57 => N::Space,
        111 => N::Delete,
        125 | 126 => N::Super,
        _ => return None,
    })
}

/// The keysym of a named key (`X11/keysymdef.h`).
fn keysym(named: N, location: KeyLocation) -> Option<u32> {
    let right = u32::from(location == KeyLocation::Right);
    Some(match named {
        N::Backspace => 0xff08,
        N::Tab => 0xff09,
        N::Enter => 0xff0d,
        N::ScrollLock => 0xff14,
        N::Escape => 0xff1b,
        N::Compose => 0xff20,
        N::KanjiMode => 0xff21,
        N::NonConvert => 0xff22,
        N::Convert => 0xff23,
        N::Romaji => 0xff24,
        N::Hiragana => 0xff25,
        N::Katakana => 0xff26,
        N::HiraganaKatakana => 0xff27,
        N::Zenkaku => 0xff28,
        N::Hankaku => 0xff29,
        N::ZenkakuHankaku => 0xff2a,
        N::KanaMode => 0xff2d,
        N::Alphanumeric => 0xff30,
        N::HangulMode => 0xff31,
        N::HanjaMode => 0xff34,
        N::Home => 0xff50,
        N::ArrowLeft => 0xff51,
        N::ArrowUp => 0xff52,
        N::ArrowRight => 0xff53,
        N::ArrowDown => 0xff54,
        N::PageUp => 0xff55,
        N::PageDown => 0xff56,
        N::End => 0xff57,
        N::Insert => 0xff63,
        N::ContextMenu => 0xff67,
        N::ModeChange => 0xff7e,
        N::NumLock => 0xff7f,
        N::Shift => 0xffe1 + right,
        N::Control => 0xffe3 + right,
        N::CapsLock => 0xffe5,
        N::Alt => 0xffe9 + right,
        N::Super => 0xffeb + right,
        N::AltGraph => 0xfe03,
        N::GroupNext => 0xfe08,
        N::GroupPrevious => 0xfe0a,
        N::GroupFirst => 0xfe0c,
        N::GroupLast => 0xfe0e,
        N::Delete => 0xffff,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, key: Key, text: Option<&str>) -> Sense {
        sense_of(KeyCode(code), &key, text, KeyLocation::Standard)
    }

    // spec: Y-32
    #[test]
    fn characters_are_meant_and_what_is_usual_is_not_told() {
        let a = |c: &str| Key::Character(c.into());
        assert_eq!(of(16, a("a"), Some("a")), Sense::Means(Meaning(0x61)));
        assert_eq!(of(16, a("я"), Some("я")), Sense::Means(Meaning(0x0100_044f)));
        assert_eq!(of(16, a("لا"), Some("لا")), Sense::Text("لا".into()));
        assert_eq!(of(13, Key::Dead(Some('´')), None), Sense::Nothing);
        assert_eq!(of(30, Key::Named(N::Process), None), Sense::Nothing);
        for nothing in [NativeKey::Xkb(0), NativeKey::Unidentified] {
            assert_eq!(of(16, Key::Unidentified(nothing.clone()), None), Sense::Nothing);
            assert_eq!(of(100, Key::Unidentified(nothing), None), Sense::Place);
        }
        assert_eq!(of(28, Key::Named(N::Enter), Some("\r")), Sense::Place);
        assert_eq!(of(57, Key::Named(N::Space), Some(" ")), Sense::Means(Meaning(0x20)));
        assert_eq!(of(42, Key::Named(N::Shift), None), Sense::Place);
        assert_eq!(of(71, Key::Named(N::Home), None), Sense::Place);
        assert_eq!(of(71, a("7"), Some("7")), Sense::Means(Meaning(0x37)));
        assert_eq!(of(59, Key::Named(N::F1), None), Sense::Place);
    }

    // spec: Y-32
    #[test]
    fn a_moved_function_is_told() {
        assert_eq!(of(100, Key::Named(N::AltGraph), None), Sense::Means(Meaning(0xfe03)));
        let right = sense_of(KeyCode(100), &Key::Named(N::Alt), None, KeyLocation::Right);
        assert_eq!(right, Sense::Means(Meaning(0xffea)));
        assert_eq!(of(58, Key::Named(N::CapsLock), None), Sense::Means(Meaning(0xffe5)));
        assert_eq!(of(58, Key::Named(N::Escape), Some("\u{1b}")), Sense::Means(Meaning(0xff1b)));
        assert_eq!(of(18, Key::Named(N::ArrowUp), None), Sense::Means(Meaning(0xff52)));
        assert_eq!(of(43, Key::Unidentified(NativeKey::Xkb(0xfe11)), None), Sense::Means(Meaning(0xfe11)));
        assert_eq!(of(41, Key::Named(N::ZenkakuHankaku), None), Sense::Means(Meaning(0xff2a)));
    }
}
