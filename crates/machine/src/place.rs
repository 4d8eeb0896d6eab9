//! Where a person works: the time zone and the locale of this machine, and those of another one as far as this one has them.

use std::path::Path;
use std::process::{Command, Stdio};
use telepane_protocol::Place;

/// Where the zones are kept, on every Linux.
const ZONES: &str = "/usr/share/zoneinfo";
/// What the system's own zone is a link to one of.
const LOCALTIME: &str = "/etc/localtime";
/// The longest name that is looked at.
const MOST: usize = 64;

/// This machine's.
pub fn here() -> Place {
    let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let link = std::fs::read_link(LOCALTIME).ok();
    let link =
        link.as_deref().and_then(Path::to_str).and_then(|l| l.split_once("zoneinfo/")).map(|(_, z)| z.to_owned());
    let file = || Some(std::fs::read_to_string("/etc/timezone").ok()?.trim().to_owned());
    let zone = variable("TZ").map(|tz| tz.trim_start_matches(':').to_owned()).or(link).or_else(file);
    // As setlocale(3) looks for the language of messages.
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(variable);
    Place {
        zone: zone.filter(|z| is_zone_name(z)).unwrap_or_default(),
        locale: locale.filter(|l| is_locale_name(l) && !matches!(l.as_str(), "C" | "POSIX")).unwrap_or_default(),
    }
}

/// What programs here are to find in their environment to work at `place`, which came from another machine: only what this
/// one has, by names that lead nowhere else.
// spec: H-58
pub fn environment(place: &Place) -> Vec<(String, String)> {
    let mut all = Vec::new();
    if is_zone_name(&place.zone) && Path::new(ZONES).join(&place.zone).is_file() {
        all.push(("TZ".to_owned(), place.zone.clone()));
    }
    if let Some(locale) = installed(&place.locale) {
        // One that is set here would stand over it; an empty one counts as none (POSIX, Environment Variables).
        all.extend([("LANG".to_owned(), locale), ("LC_ALL".to_owned(), String::new())]);
    }
    all
}

/// This locale as this machine spells it, if it has it.
fn installed(locale: &str) -> Option<String> {
    if !is_locale_name(locale) {
        return None;
    }
    let mut command = Command::new("locale");
    command.arg("-a").stdin(Stdio::null()).stderr(Stdio::null());
    let list = command.output().ok()?;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    list.lines().find(|known| same_locale(known, locale)).map(str::to_owned)
}

/// `de_DE.UTF-8` and `de_DE.utf8` are one.
fn same_locale(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "");
    plain(a) == plain(b)
}

/// `Europe/Berlin`, `Etc/GMT+5`: words between slashes, none of which climbs.
fn is_zone_name(name: &str) -> bool {
    let word = |w: &str| {
        w.starts_with(|c: char| c.is_ascii_alphabetic())
            && w.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+'))
    };
    name.len() <= MOST && name.split('/').all(word)
}

fn is_locale_name(name: &str) -> bool {
    (1..=MOST).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: H-58
    #[test]
    fn a_name_from_the_wire_is_one_of_ours_or_nothing() {
        for zone in ["Europe/Berlin", "UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires"] {
            assert!(is_zone_name(zone), "{zone}");
        }
        for zone in
            ["", "/etc/passwd", "../../etc/passwd", "Europe/../../x", "Europe//Berlin", "a b", "a\0", ":UTC", "-x"]
        {
            assert!(!is_zone_name(zone), "{zone}");
            let place = Place { zone: zone.into(), locale: zone.into() };
            assert_eq!(environment(&place), [], "{zone}");
        }
        assert!(is_locale_name("de_DE.UTF-8@euro") && !is_locale_name("de_DE;rm") && !is_locale_name(""));
        assert!(same_locale("de_DE.utf8", "de_DE.UTF-8") && !same_locale("de_DE", "de_AT"));
        assert_eq!(environment(&Place { zone: "Nowhere/Atlantis".into(), locale: "xx_XX.UTF-8".into() }), []);
        // Every glibc has it.
        let plain = Place { zone: String::new(), locale: "c.utf8".into() };
        assert!(environment(&plain).first().is_none_or(|(name, value)| name == "LANG" && value.starts_with('C')));
    }

    #[test]
    fn this_machine_stands_somewhere_or_says_nothing() {
        let here = here();
        assert!(here.zone.is_empty() || is_zone_name(&here.zone));
        assert!(here.locale.is_empty() || is_locale_name(&here.locale));
    }
}
