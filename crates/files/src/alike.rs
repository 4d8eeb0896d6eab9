//! Which names some file system takes for one: those that differ only in case, or in how a letter with a mark is written.
//!
//! Windows, macOS and many a network share keep them in one place, so that a second name would be written over the first, or
//! through what the first one is. A name that comes in is therefore held against its neighbours on every system: what is
//! refused here does not depend on what the disk of the day takes for equal, and what was taken here can be had everywhere.

use unicode_normalization::UnicodeNormalization;

/// Whether two names are the same to a file system that folds case and composes letters.
// spec: X-13
pub(crate) fn alike(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other);
    }
    folded(one).eq(folded(other))
}

/// Full case folding between two canonical decompositions (The Unicode Standard, D145), by the mappings of Rust's library: upper
/// case makes one of what has several lower ones (ς and σ, ſ and s), lower case of what has several upper ones (the sign for
/// kelvin and K, the capital ß).
fn folded(name: &str) -> impl Iterator<Item = char> {
    let lower = name.nfd().flat_map(char::to_lowercase);
    lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfd()
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: X-13
    #[test]
    fn what_differs_by_case_or_composition_is_one_name_and_nothing_else_is() {
        for (one, other) in [
            ("README", "readme"),
            ("Makefile", "makefile"),
            ("\u{e4}", "a\u{308}"),
            ("\u{c4}.txt", "a\u{308}.TXT"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{3a3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}", "\u{3c3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c3}"),
            ("\u{212a}ey", "key"),
            ("\u{17f}et", "SET"),
            ("\u{1e9e}", "ss"),
            ("\u{fb01}le", "FILE"),
            ("a\u{323}\u{307}", "A\u{307}\u{323}"),
            ("\u{d55c}", "\u{1112}\u{1161}\u{11ab}"),
            ("same", "same"),
        ] {
            assert!(alike(one, other) && alike(other, one), "{one:?} {other:?}");
        }
        for (one, other) in [
            ("a", "b"),
            ("a", "\u{e4}"),
            ("a", "a "),
            ("a.txt", "a.tx"),
            ("o", "0"),
            // A Cyrillic letter is no Latin one, and a wide one is not the narrow one.
            ("a", "\u{430}"),
            ("\u{ff21}", "A"),
            ("\u{e4}", "\u{e5}"),
            ("", "a"),
        ] {
            assert!(!alike(one, other) && !alike(other, one), "{one:?} {other:?}");
        }
    }

    /// Whatever the library's tables hold: every letter is alike to its own other cases and forms.
    #[test]
    fn every_letter_is_alike_to_its_own_forms() {
        for c in ('\0'..='\u{2ffff}').filter(|c| c.is_alphabetic()) {
            let one = c.to_string();
            for other in [one.to_uppercase(), one.to_lowercase(), one.nfd().collect(), one.nfc().collect()] {
                assert!(alike(&one, &other), "{c:?} {other:?}");
            }
        }
    }
}
