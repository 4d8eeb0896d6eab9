//! Physical keys to the server's key codes.
//!
//! Where the server's table of key codes is evdev's, a key code is evdev's code plus 8. An Xorg without hardware (the dummy
//! driver) starts with the older table `xfree86`, in which the keys beside the main block lie elsewhere: evdev's
//! AltGr would be Return there. Both tables give keys the same names, so on such a server those keys are found by name
//! (xkeyboard-config's `keycodes/evdev` and `keycodes/xfree86`).

use std::collections::BTreeMap;

use x11rb::connection::Connection;
use x11rb::protocol::xkb::{ConnectionExt as _, ID, NameDetail};
use x11rb::protocol::xproto::ConnectionExt as _;

use crate::Gone;

/// An X key code is the evdev code plus this, since X reserves the first eight.
const EVDEV_OFFSET: u16 = 8;
/// The codes of the main block, the function keys and the keypad's digits: the same in both tables.
const SAME: std::ops::RangeInclusive<u16> = 1..=88;

/// What differs: evdev's code and the names of the key.
#[rustfmt::skip]
const NAMED: [(u16, [&[u8]; 2]); 37] = [
    (84, [b"LVL3", b""]), (89, [b"AB11", b""]), (90, [b"KATA", b""]), (91, [b"HIRA", b""]), (92, [b"HENK", b""]),
    (93, [b"HKTG", b""]), (94, [b"MUHE", b""]), (95, [b"JPCM", b""]), (96, [b"KPEN", b""]), (97, [b"RCTL", b""]),
    (98, [b"KPDV", b""]), (99, [b"PRSC", b""]), (100, [b"RALT", b""]), (101, [b"LNFD", b""]), (102, [b"HOME", b""]),
    (103, [b"UP", b""]), (104, [b"PGUP", b""]), (105, [b"LEFT", b""]), (106, [b"RGHT", b""]), (107, [b"END", b""]),
    (108, [b"DOWN", b""]), (109, [b"PGDN", b""]), (110, [b"INS", b""]), (111, [b"DELE", b""]), (113, [b"MUTE", b""]),
    (114, [b"VOL-", b""]), (115, [b"VOL+", b""]), (116, [b"POWR", b""]), (117, [b"KPEQ", b""]), (119, [b"PAUS", b""]),
    (122, [b"HNGL", b""]), (123, [b"HJCV", b""]), (124, [b"AE13", b""]), (125, [b"LWIN", b"LMTA"]),
    (126, [b"RWIN", b"RMTA"]), (127, [b"COMP", b"MENU"]), (128, [b"STOP", b""]),
];

/// One server's key codes.
#[derive(Debug)]
pub(crate) struct KeyCodes {
    /// The table's name, such as `evdev+aliases(qwerty)`.
    pub table: String,
    /// The server's keys by evdev's code, where the table is not evdev's.
    named: Option<BTreeMap<u16, u8>>,
}

impl KeyCodes {
    /// Reads the table's name, and the keys' names where needed.
    pub(crate) fn read(conn: &impl Connection) -> Result<Self, Gone> {
        let which = NameDetail::KEYCODES | NameDetail::KEY_NAMES | NameDetail::KEY_ALIASES;
        let names = conn.xkb_get_names(ID::USE_CORE_KBD.into(), which)?.reply()?;
        let list = names.value_list;
        let table = match list.keycodes_name.filter(|&atom| atom != x11rb::NONE) {
            Some(atom) => String::from_utf8_lossy(&conn.get_atom_name(atom)?.reply()?.name).into_owned(),
            None => String::new(),
        };
        if table.contains("evdev") {
            return Ok(Self { table, named: None });
        }
        let keys = (names.first_key..=u8::MAX).zip(list.key_names.unwrap_or_default());
        let mut by_name: BTreeMap<[u8; 4], u8> = keys.map(|(key, name)| (name.name, key)).collect();
        for alias in list.key_aliases.unwrap_or_default() {
            if let Some(&key) = by_name.get(&alias.real) {
                by_name.entry(alias.alias).or_insert(key);
            }
        }
        Ok(Self { table, named: Some(named(&by_name)) })
    }

    /// The server's key for evdev's `code`, if it has one.
    pub(crate) fn key(&self, code: u16) -> Option<u8> {
        match &self.named {
            Some(named) if NAMED.iter().any(|(evdev, _)| *evdev == code) => named.get(&code).copied(),
            Some(_) if !SAME.contains(&code) => None,
            // KEY_RESERVED, which no key has.
            _ if code == 0 => None,
            _ => u8::try_from(code.checked_add(EVDEV_OFFSET)?).ok(),
        }
    }
}

/// The keys that lie elsewhere, by evdev's code.
fn named(by_name: &BTreeMap<[u8; 4], u8>) -> BTreeMap<u16, u8> {
    let find = |name: &&[u8]| {
        let mut padded = [0; 4];
        padded.iter_mut().zip(*name).for_each(|(to, from)| *to = *from);
        by_name.get(&padded).copied().filter(|_| !name.is_empty())
    };
    NAMED.iter().filter_map(|(code, names)| Some((*code, names.iter().find_map(find)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_either_name_or_not_at_all() {
        let by_name = BTreeMap::from([(*b"RALT", 113), (*b"UP\0\0", 98), (*b"MENU", 117), ([0; 4], 200)]);
        let codes = KeyCodes { table: "xfree86".into(), named: Some(named(&by_name)) };
        assert_eq!([100, 103, 127, 30].map(|code| codes.key(code)), [Some(113), Some(98), Some(117), Some(38)]);
        assert_eq!([84, 102, 0, 200, 767].map(|code| codes.key(code)), [None; 5]);
        let evdev = KeyCodes { table: "evdev".into(), named: None };
        assert_eq!([100, 247, 0, 248, u16::MAX].map(|code| evdev.key(code)), [Some(108), Some(255), None, None, None]);
    }
}
