//! What the owner allows, from the command line and the configuration file.

use telepane_model::policy::BadSetting;
use telepane_model::{BitRate, Knob, Preset, SessionPolicy};

/// The `[policy]` table of a configuration file.
///
/// # Errors
/// When an entry is not known or its value is impossible.
pub fn of_table(table: &toml::Table) -> Result<SessionPolicy, BadSetting> {
    let text = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let texts: Vec<(&str, String)> = table.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    SessionPolicy::NONE.after(texts.iter().map(|(name, text)| (*name, text.as_str())))
}

/// What the command line says: `--preset` first, then `--policy`, then `--limit` and `--floor`.
///
/// # Errors
/// When a setting is not known or its value is impossible.
pub fn of_line(
    preset: Option<Preset>,
    pairs: &[(String, String)],
    limit: Option<BitRate>,
    floor: Option<BitRate>,
) -> Result<SessionPolicy, BadSetting> {
    let mut all = preset.map_or(SessionPolicy::NONE, Preset::policy);
    all = all.after(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
    for (knob, rate) in [(Knob::Limit, limit), (Knob::Floor, floor)] {
        if let Some(rate) = rate {
            let bad = || BadSetting::Value(knob, rate.to_string());
            all = all.with(knob, Some(rate.as_bps())).map_err(|_| bad())?;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::policy::pair;

    #[test]
    fn flags_beat_pairs_beat_the_preset_and_tables_hold_numbers_and_words() {
        let pairs = [pair("max-fps=24").expect("a pair"), pair("limit = 9M").expect("a pair")];
        let all = of_line(Some(Preset::C), &pairs, Some(BitRate::mbps(3)), None).expect("valid");
        assert_eq!((all.rate(Knob::Limit), all.max_fps()), (Some(BitRate::mbps(3)), Some(24)));
        assert_eq!(all.value(Knob::InitialQuality), Some(80));
        assert!(of_line(None, &[], Some(BitRate::bps(5)), None).is_err());
        let table = "preset = 'D'\nmax-fps = 12\nbuild-to-lossless = true\nfloor = '400k'".parse().expect("toml");
        let all = of_table(&table).expect("valid");
        assert_eq!((all.max_fps(), all.value(Knob::BuildToLossless)), (Some(12), Some(1)));
        assert_eq!(all.rate(Knob::Floor), Some(BitRate::kbps(400)));
        assert!(of_table(&"max-pfs = 12".parse().expect("toml")).is_err());
    }
}
