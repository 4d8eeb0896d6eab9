//! What the display's keyboard can say: characters to strokes, modifiers, auto-repeat, and keys to borrow.
//!
//! Read through XKB, because the core protocol's two groups of two levels hide AltGr's third level and the exact
//! modifiers a level needs. Keysyms become characters by `xkeysym`'s table (X11's appendix A and the Unicode range).

use std::collections::{BTreeMap, BTreeSet};

use x11rb::connection::Connection;
use x11rb::protocol::xkb::{ConnectionExt as _, GetMapReply, ID, KTMapEntry, KeySymMap, KeyType, MapPart};
use x11rb::protocol::xproto::{ConnectionExt as _, ModMask};
use xkeysym::Keysym;

use crate::Gone;

/// Keys borrowed for text at most. More mean fewer pauses in long Chinese or emoji text.
const MAX_SPARE: usize = 32;
/// Below this many keys without a meaning, keys with a single multimedia meaning are borrowed too.
const MIN_SPARE: usize = 12;
/// The Control modifier's bit.
const CONTROL: u8 = 1 << 2;
/// The Shift modifier's bit.
const SHIFT: u8 = 1;
/// The Lock modifier's bit.
pub(crate) const LOCK: u8 = 1 << 1;

/// Keysyms of X11/keysymdef.h.
const CAPS_LOCK: u32 = 0xffe5;
const NUM_LOCK: u32 = 0xff7f;
/// `XK_KP_Space` to `XK_KP_9`: applications tell them from the main keys, so text does not use them.
const KEYPAD: std::ops::RangeInclusive<u32> = 0xff80..=0xffbd;
/// The vendor range of multimedia keys, `XF86keysym.h`.
const MULTIMEDIA: std::ops::RangeInclusive<u32> = 0x1008_ff00..=0x1008_ffff;

/// A key to tap, and the modifiers that must be in effect, no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stroke {
    pub key: u8,
    pub mods: u8,
}

/// A key that may be borrowed, and the keysyms to put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spare {
    pub key: u8,
    pub original: Vec<u32>,
}

/// The keyboard as it was when read.
#[derive(Debug)]
pub(crate) struct Keymap {
    first: u8,
    keys: Vec<KeySymMap>,
    types: Vec<KeyType>,
    /// The characters of one group, made when first needed.
    chars: BTreeMap<u8, BTreeMap<char, Stroke>>,
    /// Keys whose modifiers last as long as they are held.
    momentary: BTreeSet<u8>,
    /// The modifiers that decide which of a key's characters it gives; Ctrl, Alt and Super are not among them.
    pub shaping: u8,
    /// Whether some key is Caps Lock.
    pub has_caps: bool,
    /// The modifier bits that Num Lock locks, 0 when there is none.
    pub num: u8,
    /// The server's auto-repeat, a bit per key.
    pub repeats: [u8; 32],
    /// Keys to borrow, those without any meaning first.
    pub spare: Vec<Spare>,
}

impl Keymap {
    /// Reads the whole keyboard.
    pub(crate) fn read(conn: &impl Connection) -> Result<Self, Gone> {
        let first = conn.setup().min_keycode;
        let count = conn.setup().max_keycode.saturating_sub(first).saturating_add(1);
        let parts = MapPart::KEY_TYPES | MapPart::KEY_SYMS;
        let none = MapPart::from(0u16);
        let keyboard = ID::USE_CORE_KBD.into();
        let map = conn.xkb_get_map(keyboard, parts, none, 0, 0, 0, 0, 0, 0, 0, 0, 0u16.into(), 0, 0, 0, 0, 0, 0)?;
        let core = conn.get_keyboard_mapping(first, count)?;
        let modifiers = conn.get_modifier_mapping()?;
        let control = conn.get_keyboard_control()?;
        let (map, core, modifiers, control) = (map.reply()?, core.reply()?, modifiers.reply()?, control.reply()?);
        let rows: Vec<Vec<u32>> =
            core.keysyms.chunks(usize::from(core.keysyms_per_keycode).max(1)).map(<[u32]>::to_vec).collect();
        let width = usize::from(modifiers.keycodes_per_modifier()).max(1);
        let modmap: Vec<&[u8]> = modifiers.keycodes.chunks(width).collect();
        Ok(Self::build(map, &rows, &modmap, control.auto_repeats))
    }

    fn build(map: GetMapReply, rows: &[Vec<u32>], modmap: &[&[u8]], repeats: [u8; 32]) -> Self {
        let mut keymap = Self {
            first: map.first_key_sym,
            keys: map.map.syms_rtrn.unwrap_or_default(),
            types: map.map.types_rtrn.unwrap_or_default(),
            chars: BTreeMap::new(),
            momentary: BTreeSet::new(),
            shaping: SHIFT | LOCK,
            has_caps: false,
            num: 0,
            repeats,
            spare: Vec::new(),
        };
        let modifier_keys: BTreeSet<u8> = modmap.iter().flat_map(|row| row.iter().copied()).collect();
        let mods_of = |key: u8| {
            let rows = modmap.iter().enumerate().filter(|(_, row)| row.contains(&key));
            rows.fold(0, |mask, (row, _)| mask | 1u8.checked_shl(row as u32).unwrap_or(0))
        };
        for (key, syms) in (keymap.first..=u8::MAX).zip(&keymap.keys) {
            let has = |wanted: fn(u32) -> bool| syms.syms.iter().any(|&sym| wanted(sym));
            keymap.has_caps |= has(|sym| sym == CAPS_LOCK);
            if has(|sym| sym == NUM_LOCK) {
                keymap.num |= mods_of(key);
            }
            if has(is_level_shift) {
                keymap.shaping |= mods_of(key);
            }
            if has(|sym| Keysym::from(sym).key_char().is_some_and(|c| !c.is_control())) {
                let kinds = syms.kt_index.iter().filter_map(|&i| keymap.types.get(usize::from(i)));
                keymap.shaping |= kinds.fold(0, |mask, kind| mask | u16::from(kind.mods_mask) as u8);
            }
            if has(is_momentary) {
                keymap.momentary.insert(key);
            }
        }
        keymap.shaping = (keymap.shaping | keymap.num) & !CONTROL;
        keymap.spare = spare(keymap.first, &keymap.keys, rows, &modifier_keys);
        keymap
    }

    /// Whether the server repeats this key while it is held.
    pub(crate) fn repeats(&self, key: u8) -> bool {
        bit(&self.repeats, key)
    }

    /// Whether this key's effect on others lasts as long as it is held (Shift, AltGr; not Caps Lock).
    pub(crate) fn is_momentary(&self, key: u8) -> bool {
        self.momentary.contains(&key)
    }

    /// Takes a key's meaning out.
    pub(crate) fn hide(&mut self, key: u8) {
        if let Some(entry) = key.checked_sub(self.first).and_then(|i| self.keys.get_mut(usize::from(i))) {
            *entry = KeySymMap::default();
        }
        self.chars.clear();
    }

    /// The first keysym on a key now, 0 for none.
    pub(crate) fn first_sym(&self, key: u8) -> u32 {
        let entry = key.checked_sub(self.first).and_then(|i| self.keys.get(usize::from(i)));
        entry.and_then(|entry| entry.syms.first()).copied().unwrap_or(0)
    }

    /// The keysym that applications take from a key while these modifiers are in effect, with Caps Lock's capitals.
    pub(crate) fn says(&self, key: u8, mods: u8, group: u8) -> Option<u32> {
        let entry = self.keys.get(usize::from(key.checked_sub(self.first)?))?;
        let group = effective_group(entry.group_info, group)?;
        let kind = self.types.get(usize::from(*entry.kt_index.get(group)?))?;
        let tells = u16::from(kind.mods_mask) as u8;
        let which = |e: &&KTMapEntry| e.active && u16::from(e.mods_mask) as u8 == mods & tells;
        let (at, level) = match kind.map.iter().position(|e| which(&e)) {
            Some(at) => (Some(at), kind.map.get(at)?.level),
            None => (None, 0),
        };
        let sym = *entry.syms.get(group * usize::from(entry.width) + usize::from(level))?;
        let kept = at.filter(|_| kind.has_preserve).and_then(|at| kind.preserve.get(at));
        let used = tells & !kept.map_or(0, |kept| u16::from(kept.mask) as u8);
        Some(if mods & LOCK != 0 && used & LOCK == 0 { capital(sym) } else { sym })
    }

    /// The key whose first keysym this is, in any group.
    pub(crate) fn key_with(&self, sym: u32) -> Option<u8> {
        let mut keys = (self.first..=u8::MAX).zip(&self.keys);
        keys.find(|(_, entry)| entry.syms.first() == Some(&sym)).map(|(key, _)| key)
    }

    /// Whether `c` is on this key on any level of the group.
    pub(crate) fn has_char(&self, key: u8, c: char, group: u8) -> bool {
        let entry = key.checked_sub(self.first).and_then(|i| self.keys.get(usize::from(i)));
        let Some((entry, group)) = entry.and_then(|e| Some((e, effective_group(e.group_info, group)?))) else {
            return false;
        };
        let width = usize::from(entry.width);
        let levels = entry.syms.iter().skip(group * width).take(width);
        levels.copied().any(|sym| Keysym::from(sym).key_char() == Some(c))
    }

    /// How to type `c` while `group` is in effect, if any key says it.
    pub(crate) fn stroke(&mut self, c: char, group: u8) -> Option<Stroke> {
        if !self.chars.contains_key(&group) {
            let chars = self.characters(group);
            self.chars.insert(group, chars);
        }
        self.chars.get(&group)?.get(&c).copied()
    }

    /// Every character of a group with its easiest stroke: fewest modifiers, then lowest key.
    fn characters(&self, group: u8) -> BTreeMap<char, Stroke> {
        let mut found: BTreeMap<char, Stroke> = BTreeMap::new();
        for (key, entry) in (self.first..=u8::MAX).zip(&self.keys) {
            let Some(group) = effective_group(entry.group_info, group) else { continue };
            let Some(kind) = entry.kt_index.get(group).and_then(|&i| self.types.get(usize::from(i))) else { continue };
            for level in 0..kind.num_levels.min(entry.width) {
                let index = group * usize::from(entry.width) + usize::from(level);
                let Some(&sym) = entry.syms.get(index) else { continue };
                if KEYPAD.contains(&sym) {
                    continue;
                }
                let Some(c) = Keysym::from(sym).key_char() else { continue };
                let Some(mods) = mods_for(kind, level) else { continue };
                let better = found.get(&c).is_none_or(|old| mods.count_ones() < old.mods.count_ones());
                if better {
                    found.insert(c, Stroke { key, mods });
                }
            }
        }
        found
    }
}

/// A bit of a 256-bit map indexed by key.
pub(crate) fn bit(map: &[u8; 32], key: u8) -> bool {
    map.get(usize::from(key >> 3)).is_some_and(|byte| byte & (1 << (key & 7)) != 0)
}

/// The group a key uses while `group` is in effect (XKB protocol, 12.1.1: wrap, clamp or redirect).
fn effective_group(info: u8, group: u8) -> Option<usize> {
    let count = info & 0x0f;
    let group = match (count, info >> 6) {
        (0, _) => return None,
        _ if group < count => group,
        (_, 1) => count - 1,
        (_, 2) => Some((info >> 4) & 3).filter(|&to| to < count).unwrap_or(0),
        _ => group % count,
    };
    Some(usize::from(group))
}

/// The fewest real modifiers that make a key of this type give `level`.
fn mods_for(kind: &KeyType, level: u8) -> Option<u8> {
    let entries = kind.map.iter().filter(|entry| entry.active);
    let best = entries
        .filter(|entry| entry.level == level)
        .map(|entry| u16::from(entry.mods_mask) as u8)
        .min_by_key(|mods| (mods & LOCK != 0, mods.count_ones()));
    // What no entry speaks of, no modifiers included, is level 0.
    let unmapped = !kind.map.iter().any(|entry| entry.active && entry.mods_mask == ModMask::from(0u16));
    if level == 0 && unmapped { Some(0) } else { best }
}

/// The capital that Caps Lock makes of a letter whose key does not say so itself.
fn capital(sym: u32) -> u32 {
    let Some(c) = Keysym::from(sym).key_char() else { return sym };
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) if upper != c => Keysym::from_char(upper).raw(),
        _ => sym,
    }
}

/// The shifts to levels 3 and 5, and `Mode_switch`.
pub(crate) fn is_level_shift(sym: u32) -> bool {
    matches!(sym, 0xfe03 | 0xfe11 | 0xff7e)
}

/// `XK_Shift_L` to `XK_Hyper_R` without the two that lock, the level 3 and 5 shifts, and `Mode_switch`.
fn is_momentary(sym: u32) -> bool {
    matches!(sym, 0xffe1..=0xffe4 | 0xffe7..=0xffee | 0xfe03 | 0xfe11 | 0xff7e)
}

/// The keys that may be borrowed, highest first: those are the least likely to exist on anybody's keyboard.
fn spare(first: u8, keys: &[KeySymMap], rows: &[Vec<u32>], modifier_keys: &BTreeSet<u8>) -> Vec<Spare> {
    let candidates = || {
        let all: Vec<_> = (first..=u8::MAX).zip(keys).zip(rows).collect();
        all.into_iter().rev().filter(|((key, _), row)| !modifier_keys.contains(key) && !row.is_empty())
    };
    let pick = |((key, _), row): ((u8, &KeySymMap), &Vec<u32>)| Spare { key, original: row.clone() };
    let empty = |syms: &KeySymMap, row: &[u32]| syms.syms.iter().chain(row).all(|&sym| sym == 0);
    let mut found: Vec<Spare> =
        candidates().filter(|((_, syms), row)| empty(syms, row)).map(pick).take(MAX_SPARE).collect();
    if found.len() < MIN_SPARE {
        let plain = |syms: &KeySymMap| {
            syms.group_info & 0x0f == 1 && syms.width == 1 && syms.syms.iter().all(|sym| MULTIMEDIA.contains(sym))
        };
        let more = candidates().filter(|((_, syms), _)| plain(syms)).map(pick);
        found.extend(more.take(MIN_SPARE - found.len()));
    }
    found
}
