//! Which names and paths may travel, and which a receiving system takes. Names from the other side are never trusted: what
//! passes here can be joined to a directory without leaving it by its words alone, and shown to a person as it is.

use crate::fault::Fault;

/// The most bytes of a path.
// spec: X-4
pub const MAX_PATH: usize = 4096;
/// The most bytes of one name.
pub const MAX_NAME: usize = 255;
/// The most names of one path.
pub const MAX_DEPTH: usize = 64;

/// Whose names they must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// What travels at all.
    Wire,
    /// What Windows takes and means as it stands.
    Windows,
}

impl System {
    /// The one this was built for.
    pub const HERE: Self = if cfg!(windows) { Self::Windows } else { Self::Wire };
}

/// Names of one path, in order; none for the directory itself.
///
/// # Errors
/// [`Fault::BadPath`]: it is absolute, climbs, or a name of it may not travel.
// spec
pub fn names(path: &str, system: System) -> Result<Vec<&str>, Fault> {
    if path.is_empty() || path == "." {
        return Ok(Vec::new());
    }
    if path.len() > MAX_PATH {
        return Err(Fault::BadPath);
    }
    // A directory may be written with its slash.
    let names: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    if names.len() > MAX_DEPTH || names.iter().any(|n| !is_name(n, system)) {
        return Err(Fault::BadPath);
    }
    Ok(names)
}

/// Whether `name` may be one name of a path.
// spec
pub fn is_name(name: &str, system: System) -> bool {
    let plain = !name.is_empty() && name.len() <= MAX_NAME && name != "." && name != "..";
    plain && !name.chars().any(|c| c == '/' || c.is_control() || deceives(c)) && (system == System::Wire || opens(name))
}

/// Characters that make a name look like another: they turn the direction of writing or are not seen.
fn deceives(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Whether Windows makes a file of this name, and that one: no device, no stream, no drive, no other separator, no
/// ending that it drops.
fn opens(name: &str) -> bool {
    const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_uppercase();
    let numbered = |prefix: &str| {
        let mut rest = stem.strip_prefix(prefix).unwrap_or_default().chars();
        // The superscript digits count as digits there.
        matches!((rest.next(), rest.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
    };
    let device = DEVICES.contains(&stem.as_str()) || numbered("COM") || numbered("LPT");
    !device && !name.ends_with(['.', ' ']) && !name.contains(['\\', ':', '*', '?', '"', '<', '>', '|'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(path: &str) -> bool {
        names(path, System::Wire).is_ok()
    }

    // spec: X-4
    #[test]
    fn what_climbs_or_is_absolute_is_refused() {
        for bad in ["..", "a/..", "../a", "a/../b", "/etc/passwd", "//host/share", "a//b", "./a", "a/.", "/"] {
            assert_eq!(names(bad, System::Wire), Err(Fault::BadPath), "{bad}");
        }
        for good in ["a", "a/b", "a/b/", "..a", "a..", "...", ".hidden", "", "."] {
            assert!(wire(good), "{good}");
        }
        assert_eq!(names("a/b/", System::Wire), Ok(vec!["a", "b"]));
    }

    // spec: X-4
    #[test]
    fn what_is_too_long_or_deceives_is_refused() {
        assert!(wire(&"n".repeat(MAX_NAME)) && !wire(&"n".repeat(MAX_NAME + 1)));
        assert!(wire(&["n"; MAX_DEPTH].join("/")) && !wire(&["n"; MAX_DEPTH + 1].join("/")));
        assert!(!wire(&["n".repeat(200).as_str(); 21].join("/")), "longer than a path");
        let odd =
            ["a\0b", "a\nb", "a\x1b[31mb", "photo\u{202e}gpj.exe", "a\u{200b}", "\u{feff}a", "a\u{2066}b", "a\u{7f}"];
        for bad in odd {
            assert!(!wire(bad), "{bad:?}");
        }
        for good in ["ä", "a\u{308}", "日本語.txt", "🙂", "a b", "a\\b", "a:b", "ＡＢ", "CON"] {
            assert!(wire(good), "{good:?}");
        }
    }

    // spec: X-5
    #[test]
    fn what_windows_takes_for_something_else_is_refused_there() {
        let bad = [
            "..\\up",
            "a\\b",
            "C:",
            "C:\\x",
            "\\\\host\\share",
            "a.txt:stream",
            "a::$DATA",
            "CON",
            "con.txt",
            "Nul",
            "aux.tar.gz",
            "COM1",
            "lpt9.log",
            "COM¹",
            "com1 .txt",
            "a.",
            "a ",
            "what?",
            "a*",
            "CONOUT$",
            "a|b",
            "a<b",
        ];
        for name in bad {
            assert!(!is_name(name, System::Windows), "{name}");
        }
        for name in ["CONSOLE", "com10", "COM", "nul1", "a.con", ".a", "ä b"] {
            assert!(is_name(name, System::Windows), "{name}");
        }
    }
}
