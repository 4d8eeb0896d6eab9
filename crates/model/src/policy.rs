//! What people allow a session: PCoIP's policy surface. The host's owner sets one, the person at the viewer wishes for one,
//! and of both the stricter holds.

use crate::tile::Quality;
use crate::units::BitRate;
use alloc::string::String;
use core::fmt;

/// A thing that can be set, by its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Knob {
    /// Never send faster than this over time, in bits per second.
    Limit = 1,
    /// Take no more than this while others want the path too, in bits per second.
    Target = 2,
    /// Keep at least this much whatever the path seems to say, in bits per second.
    Floor = 3,
    /// Below this quality the frame rate is given up first, 0 to 100.
    MinQuality = 4,
    /// What is new is shown no better than this at first, 0 to 100.
    InitialQuality = 5,
    /// Nothing but text is made better than this, 0 to 100.
    MaxQuality = 6,
    /// Pictures a second at most.
    MaxFps = 7,
    /// Whether pictures are refined until every bit is right: 0 or 1.
    BuildToLossless = 8,
    /// From smooth motion (0) to sharp pictures (100) where there is not room for both.
    Sharpness = 9,
}

impl Knob {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Limit,
        Self::Target,
        Self::Floor,
        Self::MinQuality,
        Self::InitialQuality,
        Self::MaxQuality,
        Self::MaxFps,
        Self::BuildToLossless,
        Self::Sharpness,
    ];

    /// The name in configuration files, commands and statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Target => "target",
            Self::Floor => "floor",
            Self::MinQuality => "min-quality",
            Self::InitialQuality => "initial-quality",
            Self::MaxQuality => "max-quality",
            Self::MaxFps => "max-fps",
            Self::BuildToLossless => "build-to-lossless",
            Self::Sharpness => "sharpness",
        }
    }

    /// The knob of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.name() == name)
    }

    /// The knob of this number.
    pub fn numbered(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|k| *k as u64 == number)
    }

    /// The least and the greatest value. PCoIP warns of limits under 300 kbit/s; below 100 nothing works.
    pub const fn range(self) -> (u64, u64) {
        match self {
            Self::Limit | Self::Target => (100_000, 1_000_000_000_000),
            Self::Floor => (10_000, 1_000_000_000_000),
            Self::MinQuality | Self::InitialQuality | Self::MaxQuality | Self::Sharpness => (0, 100),
            Self::MaxFps => (1, 240),
            Self::BuildToLossless => (0, 1),
        }
    }

    const fn is_rate(self) -> bool {
        matches!(self, Self::Limit | Self::Target | Self::Floor)
    }

    /// A value as people write it: `20M` or `800k` for rates, `on` or `off`, else a whole number. None: not understood or
    /// out of range.
    pub fn read(self, text: &str) -> Option<u64> {
        let text = text.trim();
        let value = match self {
            Self::BuildToLossless => match text {
                "on" | "true" | "yes" => 1,
                "off" | "false" | "no" => 0,
                _ => return None,
            },
            _ if self.is_rate() => {
                let (digits, unit) = match text.as_bytes().last()?.to_ascii_lowercase() {
                    b'g' => (text.get(..text.len() - 1)?, 1e9),
                    b'm' => (text.get(..text.len() - 1)?, 1e6),
                    b'k' => (text.get(..text.len() - 1)?, 1e3),
                    _ => (text, 1.0),
                };
                let rate = digits.parse::<f64>().ok().filter(|r| r.is_finite() && *r >= 0.0)? * unit;
                rate as u64
            }
            _ => text.parse().ok()?,
        };
        let (least, greatest) = self.range();
        (least..=greatest).contains(&value).then_some(value)
    }
}

/// A setting as people write it, `NAME=VALUE`: its name and its value, not looked at further.
///
/// # Errors
/// When there is no `=`; what to write instead.
pub fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE, such as max-fps=24")?;
    Ok((name.trim().into(), value.trim().into()))
}

/// A setting that cannot be understood: which, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadSetting {
    /// No knob has this name.
    Unknown(String),
    /// The knob cannot stand there.
    Value(Knob, String),
    /// No preset has this name.
    Preset(String),
}

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(f, "there is no {name:?}; there are preset")?;
                Knob::ALL.into_iter().try_for_each(|k| write!(f, ", {}", k.name()))
            }
            Self::Preset(name) => write!(f, "there is no preset {name:?}; there are A, B, C, D, E and none"),
            Self::Value(Knob::BuildToLossless, text) => write!(f, "build-to-lossless is on or off, not {text:?}"),
            Self::Value(knob, text) if knob.is_rate() => write!(
                f,
                "{} is {text:?}; give bits per second, such as 20M or 800k, {}k at least",
                knob.name(),
                knob.range().0 / 1_000
            ),
            Self::Value(knob, text) => {
                let (least, greatest) = knob.range();
                write!(f, "{} is {text:?}; give a whole number from {least} to {greatest}", knob.name())
            }
        }
    }
}

impl core::error::Error for BadSetting {}

/// A value is outside its knob's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

/// A value for some of the knobs. What has none is left to the other side, or to the default.
///
/// INVARIANT: every value is within its knob's range.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionPolicy {
    values: [Option<u64>; Knob::ALL.len()],
}

impl SessionPolicy {
    /// Nothing is set.
    pub const NONE: Self = Self { values: [None; Knob::ALL.len()] };

    /// What is set for `knob`.
    pub fn value(&self, knob: Knob) -> Option<u64> {
        self.values.get(knob as usize - 1).copied().flatten()
    }

    /// The same with `knob` at `value`, or not set.
    ///
    /// # Errors
    /// [`OutOfRange`].
    pub fn with(mut self, knob: Knob, value: Option<u64>) -> Result<Self, OutOfRange> {
        let (least, greatest) = knob.range();
        if value.is_some_and(|v| v < least || v > greatest) {
            return Err(OutOfRange);
        }
        if let Some(place) = self.values.get_mut(knob as usize - 1) {
            *place = value;
        }
        Ok(self)
    }

    /// The same after these settings, names and values as people write them. `preset` stands before all others wherever it is
    /// written, and replaces what was set; `none` takes a setting back.
    ///
    /// # Errors
    /// [`BadSetting`], for the first that cannot be understood.
    pub fn after<'a>(self, settings: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Result<Self, BadSetting> {
        let mut all = self;
        for (_, value) in settings.clone().filter(|(name, _)| *name == "preset") {
            all = match value {
                "none" => Self::NONE,
                _ => Preset::named(value).ok_or_else(|| BadSetting::Preset(value.into()))?.policy(),
            };
        }
        for (name, text) in settings.filter(|(name, _)| *name != "preset") {
            let knob = Knob::named(name).ok_or_else(|| BadSetting::Unknown(name.into()))?;
            let bad = || BadSetting::Value(knob, text.into());
            let value = if text == "none" { None } else { Some(knob.read(text).ok_or_else(bad)?) };
            all = all.with(knob, value).map_err(|_| bad())?;
        }
        Ok(all)
    }

    /// What is set, in the order of the knobs' numbers.
    pub fn set(&self) -> impl Iterator<Item = (Knob, u64)> + '_ {
        Knob::ALL.into_iter().filter_map(|k| Some((k, self.value(k)?)))
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }

    /// What is set here, and for the rest what `other` has.
    pub fn or(&self, other: &Self) -> Self {
        let mut all = *self;
        all.values.iter_mut().zip(other.values).for_each(|(own, other)| *own = own.or(other));
        all
    }

    /// What holds between a host that set this and a viewer that wishes for `wish`: of each the stricter. A minimum of
    /// quality binds more the higher it is, everything else the lower; which of smooth and sharp is better is the
    /// person's taste, so there the viewer has the last word.
    // spec: H-40
    pub fn agreed(&self, wish: &Self) -> Self {
        let mut all = Self::NONE;
        for (i, knob) in Knob::ALL.into_iter().enumerate() {
            let (own, theirs) = (self.value(knob), wish.value(knob));
            let value = match knob {
                Knob::Sharpness => theirs.or(own),
                Knob::MinQuality => own.max(theirs),
                _ => [own, theirs].into_iter().flatten().min(),
            };
            if let Some(place) = all.values.get_mut(i) {
                *place = value;
            }
        }
        all
    }

    /// A rate that is set.
    pub fn rate(&self, knob: Knob) -> Option<BitRate> {
        self.value(knob).filter(|_| knob.is_rate()).map(BitRate::bps)
    }

    /// Pictures a second at most.
    pub fn max_fps(&self) -> Option<u32> {
        self.value(Knob::MaxFps).map(|v| v as u32)
    }

    /// From smooth (0) to sharp (100); 50 unless set.
    pub fn sharpness(&self) -> u8 {
        self.value(Knob::Sharpness).unwrap_or(50) as u8
    }

    /// The least, the initial and the greatest quality from 0 to 100. The greatest wins over the least, and both over
    /// what is shown first. Unless set: 0, 100 and 100, which is also all there is to say when nothing binds.
    pub fn qualities(&self) -> (u8, u8, u8) {
        let of = |knob, default| self.value(knob).unwrap_or(default) as u8;
        let greatest = of(Knob::MaxQuality, 100);
        let least = of(Knob::MinQuality, 0).min(greatest);
        (least, of(Knob::InitialQuality, 100).clamp(least, greatest), greatest)
    }

    /// What that means for pictures at rest. Without build-to-lossless they end where eyes see no difference.
    // spec: H-42
    pub fn pictures(&self) -> PictureBounds {
        let (least, initial, greatest) = self.qualities();
        let lossless = self.value(Knob::BuildToLossless) != Some(0);
        let film = (least, greatest);
        let last = step(greatest).min(if lossless { Quality::EXACT } else { Quality::FINE });
        // A person who wants sharp pictures rather waits for the first one.
        let least = step(least).max(if self.sharpness() >= SHARP { Quality::FIRST_VIEW } else { Quality::PREVIEW });
        let least = least.min(last);
        PictureBounds { least, first: step(initial).clamp(least, last), last, film }
    }
}

impl fmt::Debug for SessionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SessionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (i, (knob, value)) in self.set().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            match knob {
                Knob::BuildToLossless => write!(f, "{comma}{} {}", knob.name(), if value == 1 { "on" } else { "off" })?,
                _ if knob.is_rate() => write!(f, "{comma}{} {}", knob.name(), BitRate::bps(value))?,
                _ => write!(f, "{comma}{} {value}", knob.name())?,
            }
        }
        Ok(())
    }
}

/// From here on the slider stands at sharp.
const SHARP: u8 = 75;

/// The layer of a picture that a quality from 0 to 100 stands for. The steps are what PCoIP's defaults (40 least, 80 at
/// first) and presets mean by them: a preview is better than nothing, 50 is to be recognised, 80 is hardly seen to be lossy.
const fn step(quality: u8) -> Quality {
    match quality {
        0..50 => Quality::PREVIEW,
        50..80 => Quality::FIRST_VIEW,
        80..100 => Quality::FINE,
        _ => Quality::EXACT,
    }
}

/// How coarse and how good a picture's steps may be. Text and user interface are exact whatever this says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PictureBounds {
    /// Nothing coarser is shown.
    pub least: Quality,
    /// What is new is shown no better than this at first.
    pub first: Quality,
    /// Nothing is refined beyond this.
    pub last: Quality,
    /// The least and the greatest quality of film, 0 to 100: below the one its frames become fewer, above the other nothing is
    /// spent on it.
    pub film: (u8, u8),
}

impl Default for PictureBounds {
    /// As there is room for, up to exact.
    fn default() -> Self {
        Self { least: Quality::PREVIEW, first: Quality::EXACT, last: Quality::EXACT, film: (0, 100) }
    }
}

/// The five profiles that PCoIP publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// A fast network, pictures exact.
    A,
    /// A fast network, pictures as good as eyes can tell.
    B,
    /// 10 Mbit/s, 30 frames a second.
    C,
    /// 2.4 Mbit/s, 16 frames a second.
    D,
    /// 600 kbit/s, 8 frames a second.
    E,
}

impl core::str::FromStr for Preset {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::named(text).ok_or("give one of A, B, C, D and E")
    }
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::A, Self::B, Self::C, Self::D, Self::E];

    /// Its letter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::E => "E",
        }
    }

    /// The preset of this letter, large or small.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name().eq_ignore_ascii_case(name))
    }

    /// Its values, as PCoIP's planning guide has them (2023.12, "performance optimization"). Chroma is not among them: text is
    /// 4:4:4 here always, and film 4:2:0.
    pub const fn policy(self) -> SessionPolicy {
        let (limit, lossless, least, initial, fps) = match self {
            Self::A => (900_000_000, 1, 50, 90, 60),
            Self::B => (900_000_000, 0, 40, 80, 60),
            Self::C => (10_000_000, 0, 40, 80, 30),
            Self::D => (2_400_000, 0, 30, 70, 16),
            Self::E => (600_000, 0, 30, 70, 8),
        };
        SessionPolicy {
            values: [Some(limit), None, None, Some(least), Some(initial), None, Some(fps), Some(lossless), None],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn of(all: &[(Knob, u64)]) -> SessionPolicy {
        all.iter().fold(SessionPolicy::NONE, |p, (k, v)| p.with(*k, Some(*v)).expect("in range"))
    }

    // spec: H-40
    #[test]
    fn the_stricter_holds_and_taste_is_the_viewers() {
        let host = of(&[(Knob::Limit, 5_000_000), (Knob::MinQuality, 30), (Knob::Sharpness, 20), (Knob::MaxFps, 30)]);
        let wish = of(&[
            (Knob::Limit, 9_000_000),
            (Knob::MinQuality, 50),
            (Knob::Sharpness, 80),
            (Knob::BuildToLossless, 0),
            (Knob::Floor, 400_000),
        ]);
        let both = host.agreed(&wish);
        let expected = of(&[
            (Knob::Limit, 5_000_000),
            (Knob::Floor, 400_000),
            (Knob::MinQuality, 50),
            (Knob::MaxFps, 30),
            (Knob::BuildToLossless, 0),
            (Knob::Sharpness, 80),
        ]);
        assert_eq!(both, expected);
        assert_eq!(host.agreed(&SessionPolicy::NONE), host);
    }

    #[test]
    fn the_presets_are_in_range_and_what_is_said_beats_them() {
        for preset in Preset::ALL {
            let policy = preset.policy();
            assert_eq!(of(&policy.set().collect::<alloc::vec::Vec<_>>()), policy);
            assert_eq!(Preset::named(preset.name()), Some(preset));
        }
        let own = of(&[(Knob::MaxFps, 24)]).or(&Preset::C.policy());
        assert_eq!((own.max_fps(), own.rate(Knob::Limit)), (Some(24), Some(BitRate::mbps(10))));
    }

    // spec: H-42
    #[test]
    fn qualities_become_steps_of_pictures() {
        let bounds = |p: SessionPolicy| {
            let b = p.pictures();
            (b.least, b.first, b.last)
        };
        assert_eq!(bounds(SessionPolicy::NONE), (Quality::PREVIEW, Quality::EXACT, Quality::EXACT));
        assert_eq!(bounds(Preset::A.policy()), (Quality::FIRST_VIEW, Quality::FINE, Quality::EXACT));
        assert_eq!(bounds(Preset::C.policy()), (Quality::PREVIEW, Quality::FINE, Quality::FINE));
        assert_eq!(bounds(Preset::E.policy()), (Quality::PREVIEW, Quality::FIRST_VIEW, Quality::FINE));
        let low = of(&[(Knob::MinQuality, 90), (Knob::MaxQuality, 60)]);
        assert_eq!(bounds(low), (Quality::FIRST_VIEW, Quality::FIRST_VIEW, Quality::FIRST_VIEW));
        assert_eq!(of(&[(Knob::Sharpness, 100)]).pictures().least, Quality::FIRST_VIEW);
    }

    #[test]
    fn values_are_read_as_people_write_them() {
        assert_eq!(Knob::Limit.read("2.4M"), Some(2_400_000));
        assert_eq!(Knob::Floor.read("300k"), Some(300_000));
        assert_eq!(Knob::BuildToLossless.read("off"), Some(0));
        assert_eq!(Knob::MaxFps.read(" 24 "), Some(24));
        for (knob, bad) in
            [(Knob::Limit, "5"), (Knob::Limit, "M"), (Knob::MaxFps, "0"), (Knob::MinQuality, "101"), (Knob::Limit, "")]
        {
            assert_eq!(knob.read(bad), None, "{bad:?}");
        }
        let text = of(&[(Knob::Limit, 10_000_000), (Knob::BuildToLossless, 0), (Knob::MaxFps, 30)]).to_string();
        assert_eq!(text, "limit 10M, max-fps 30, build-to-lossless off");
        assert!(SessionPolicy::NONE.with(Knob::MaxFps, Some(0)).is_err());
    }
    #[test]
    fn settings_follow_a_preset_wherever_it_stands_and_are_explained_when_wrong() {
        let after = |text: &'static str| {
            let old = of(&[(Knob::Target, 1_000_000)]);
            old.after(text.split(' ').map(|s| s.split_once('=').unwrap_or((s, ""))))
        };
        assert_eq!(
            after("max-fps=24 preset=c limit=none").map(|p| (p.max_fps(), p.rate(Knob::Limit))),
            Ok((Some(24), None))
        );
        assert_eq!(after("preset=none"), Ok(SessionPolicy::NONE));
        assert_eq!(after("max-fps=9").map(|p| p.rate(Knob::Target)), Ok(Some(BitRate::mbps(1))));
        for (bad, words) in [
            ("max-pfs=9", "max-fps"),
            ("preset=F", "A, B, C"),
            ("limit=fast", "20M"),
            ("min-quality=200", "0 to 100"),
            ("build-to-lossless=2", "on or off"),
        ] {
            let error = after(bad).expect_err(bad).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
