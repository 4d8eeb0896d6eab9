//! A key with what it means at the viewer: the same character here, whatever the two layouts are.
//!
//! Where the host's layout gives that character at that place, the key is pressed as any other: input methods and
//! applications that look at places see what they would see of a keyboard here. Else the layout's own key and level are
//! struck, with the modifiers of that level in effect for just the press, and the key stays down as long as the viewer's.
//! What the layout lacks is typed as text, on a borrowed key, once for the press and once for each repeat.
//!
//! While Ctrl, Alt or Super is held the character names a shortcut: the key that has it here, on whatever level, is meant.
//! A letter of another script is in no shortcut; there applications look at the key's place, as they do for people here.

use telepane_model::input::{KeyCode, Meaning};
use x11rb::connection::Connection as _;
use x11rb::protocol::xkb::{ConnectionExt as _, ID};

use super::keymap::{Stroke, is_level_shift};
use super::text::Tap;
use super::{Held, X11};
use crate::Gone;
use crate::guard::{Entry, lock, repeats};

/// The modifiers and the group in effect on the display.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// Held, latched and locked together.
    pub mods: u8,
    pub base: u8,
    pub locked: u8,
    pub group: u8,
}

impl X11 {
    /// What is in effect now. The server is asked only after something changed it.
    pub(super) fn state(&mut self) -> Result<State, Gone> {
        if let Some(state) = self.state {
            return Ok(state);
        }
        let reply = self.conn.xkb_get_state(ID::USE_CORE_KBD.into())?.reply()?;
        let state = State {
            mods: u16::from(reply.mods) as u8,
            base: u16::from(reply.base_mods) as u8,
            locked: u16::from(reply.locked_mods) as u8,
            group: u8::from(reply.group),
        };
        // What was said before the answer is in it.
        self.listen()?;
        self.state = Some(state);
        Ok(state)
    }

    // spec: H-61, H-62
    pub(super) fn press(&mut self, code: KeyCode, means: Meaning) -> Result<(), Gone> {
        if self.keys.iter().any(|held| held.code == code) {
            return Ok(());
        }
        self.refresh()?;
        let place = self.key_of(code).filter(|&key| !self.pool.lends(key));
        match means.char() {
            Some(c) => self.press_char(code, place, c),
            None => match self.key_for(place, means.0) {
                Some(key) => self.strike(code, key, None),
                None => Ok(()),
            },
        }
    }

    fn press_char(&mut self, code: KeyCode, place: Option<u8>, c: char) -> Result<(), Gone> {
        let state = self.state()?;
        let free = |x11: &Self, key: u8| !x11.keys.iter().any(|held| held.key == key);
        let gives = |sym: u32| xkeysym::Keysym::from(sym).key_char() == Some(c);
        let at_its_place = |&key: &u8| self.keymap.says(key, state.mods, state.group).is_some_and(gives);
        if let Some(key) = place.filter(at_its_place).filter(|&key| free(self, key)) {
            return self.strike(code, key, None);
        }
        let chord = state.base & !self.keymap.shaping != 0;
        if let Some(stroke) = self.keymap.stroke(c, state.group) {
            // A shortcut is the same whichever level its character is on; the place's own key first.
            let own = place.filter(|&key| chord && self.keymap.has_char(key, c, state.group));
            let stroke = match own {
                Some(key) if key != stroke.key => Stroke { key, mods: state.mods & self.keymap.shaping },
                _ => stroke,
            };
            if free(self, stroke.key) {
                return self.strike(code, stroke.key, Some(stroke.mods));
            }
        } else if chord && !c.is_ascii() {
            return match place {
                Some(key) => self.strike(code, key, None),
                None => Ok(()),
            };
        }
        self.keys.push(Held { code, key: 0, repeat: false, mods: None, typed: Some(c) });
        self.type_char(c)
    }

    /// Types one character on whatever key has it or can be made to, with Ctrl, Alt and Super as they are held.
    pub(super) fn type_char(&mut self, c: char) -> Result<(), Gone> {
        let state = self.state()?;
        let Some(tap) = self.tap_for(c, state.group) else { return Ok(()) };
        let lifted: Vec<Held> = self.keys.iter().copied().filter(|held| self.shapes(held.key)).collect();
        if let Tap::Borrowed(sym) = tap {
            self.bind(&[sym])?;
        }
        self.tap(&[tap], &lifted, state.locked)
    }

    /// The key for a function, if one is to be pressed.
    fn key_for(&self, place: Option<u8>, sym: u32) -> Option<u8> {
        let first = |key: u8| self.keymap.first_sym(key);
        if let Some(key) = place.filter(|&key| first(key) == sym) {
            return Some(key);
        }
        if is_level_shift(sym) {
            // Characters bring their level with them.
            return None;
        }
        let free = |key: &u8| !self.keys.iter().any(|held| held.key == *key);
        let found = self.keymap.key_with(sym).or_else(|| self.keymap.key_with(other_side(sym)?));
        found.filter(free).or_else(|| {
            let place = place.filter(|_| found.is_none() && !is_modifier(sym))?;
            let there = first(place);
            let types =
                DEAD.contains(&there) || xkeysym::Keysym::from(there).key_char().is_some_and(|c| !c.is_control());
            (!types && !is_modifier(there)).then_some(place)
        })
    }

    /// Whether a key decides on levels, and is held for nothing else.
    fn shapes(&self, key: u8) -> bool {
        // By what is on it: the real modifiers of AltGr come from a virtual one, and the core map has none for it.
        matches!(self.keymap.first_sym(key), 0xffe1 | 0xffe2) || is_level_shift(self.keymap.first_sym(key))
    }

    /// Presses a key for good, with exactly the modifiers of a level where they are said.
    fn strike(&mut self, code: KeyCode, key: u8, mods: Option<u8>) -> Result<(), Gone> {
        if self.keys.iter().any(|held| held.key == key) {
            return Ok(());
        }
        let state = self.state()?;
        let shaping = self.keymap.shaping;
        // No character is shaped by Num Lock but the keypad's, which is never struck for one.
        let mods = mods.map(|mods| mods | state.locked & self.keymap.num);
        let mods = mods.filter(|mods| (state.mods ^ mods) & shaping != 0);
        let repeat = self.keymap.repeats(key);
        self.note(Entry::Down { key, repeat });
        if repeat {
            repeats(&self.conn, key, false)?;
        }
        match mods {
            Some(mods) => self.on_level(mods, |x11| x11.fake_key(true, key))?,
            None => self.fake_key(true, key)?,
        }
        let says = self.keymap.says(key, state.mods, state.group).map(xkeysym::Keysym::from);
        if says.and_then(xkeysym::Keysym::key_char).is_none_or(char::is_control) || mods.is_some() {
            self.state = None;
        }
        self.keys.push(Held { code, key, repeat, mods, typed: None });
        Ok(())
    }

    /// Does something with exactly these modifiers of a level in effect; Ctrl, Alt and Super stay as they are.
    pub(super) fn on_level(&mut self, mods: u8, act: impl FnOnce(&Self) -> Result<(), Gone>) -> Result<(), Gone> {
        let (state, shaping) = (self.state()?, self.keymap.shaping);
        let lifted: Vec<Held> = self.keys.iter().copied().filter(|held| self.shapes(held.key)).collect();
        self.note(Entry::Locks { mods: state.locked });
        lifted.iter().rev().try_for_each(|held| self.fake_key(false, held.key))?;
        lock(&self.conn, shaping, mods & shaping)?;
        act(self)?;
        lock(&self.conn, shaping, state.locked & shaping)?;
        lifted.iter().try_for_each(|held| self.fake_key(true, held.key))?;
        self.state = None;
        self.conn.flush()?;
        self.note(Entry::Unlocks);
        Ok(())
    }
}

/// `XK_dead_grave` to `XK_dead_greek` of `X11/keysymdef.h`.
const DEAD: std::ops::RangeInclusive<u32> = 0xfe50..=0xfe93;

/// The same modifier on the other side of the keyboard (`XK_Shift_L` to `XK_Hyper_R`, in pairs).
fn other_side(sym: u32) -> Option<u32> {
    match sym {
        0xffe1..=0xffe4 => Some(((sym - 0xffe1) ^ 1) + 0xffe1),
        0xffe7..=0xffee => Some(((sym - 0xffe7) ^ 1) + 0xffe7),
        _ => None,
    }
}

/// Keys that act on others: `XK_Shift_L` to `XK_Hyper_R`, Num and Scroll Lock, `Mode_switch`, and ISO's shifts, latches,
/// locks and groups.
fn is_modifier(sym: u32) -> bool {
    matches!(sym, 0xffe1..=0xffee | 0xff7e | 0xff7f | 0xff14 | 0xfe01..=0xfe13)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_pairs() {
        for (left, right) in [(0xffe1, 0xffe2), (0xffe3, 0xffe4), (0xffe9, 0xffea), (0xffeb, 0xffec)] {
            assert_eq!((other_side(left), other_side(right)), (Some(right), Some(left)));
        }
        assert_eq!([0xffe5, 0xffe6, 0xff0d, 0xfe03].map(other_side), [None; 4]);
        assert!([0xffe5, 0xfe03, 0xfe08, 0xff7f].into_iter().all(is_modifier));
        assert!(![0xff0d, 0xff1b, 0x61, 0xff2a].into_iter().any(is_modifier));
    }
}
