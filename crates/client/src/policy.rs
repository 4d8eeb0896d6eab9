//! What the person wishes the session to keep to, from the command line and the configuration file, and by key.

use crate::cli::Connect;
use telepane_model::policy::BadSetting;
use telepane_model::{Knob, Preset, SessionPolicy};

/// The `[policy]` table of a configuration file.
///
/// # Errors
/// When an entry is not known or its value is impossible.
pub fn of_table(table: &toml::Table) -> Result<SessionPolicy, BadSetting> {
    let text = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let texts: Vec<(&str, String)> = table.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    SessionPolicy::NONE.after(texts.iter().map(|(name, text)| (*name, text.as_str())))
}

/// What the command line and, for the rest, the file's `[policy]` table say.
///
/// # Errors
/// When a setting is not known or its value is impossible.
pub fn wish(connect: &Connect) -> Result<SessionPolicy, BadSetting> {
    let preset = connect.preset.map_or(SessionPolicy::NONE, Preset::policy);
    let line = preset.after(connect.policy.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
    Ok(line.or(&connect.policy_of_file))
}

/// The same wish a step towards sharp (positive) or smooth (negative).
pub fn sharpened(wish: SessionPolicy, steps: i8) -> SessionPolicy {
    let at = i64::from(wish.sharpness()) + i64::from(steps) * STEP;
    // It is within the range.
    wish.with(Knob::Sharpness, Some(at.clamp(0, 100) as u64)).unwrap_or(wish)
}

/// Two of PCoIP's: a key moves it far enough to be seen.
const STEP: i64 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::policy::pair;

    #[test]
    fn the_line_beats_the_file_and_the_key_moves_the_slider_to_its_ends() {
        let file = of_table(&"preset = 'D'\nsharpness = 95".parse().expect("toml")).expect("valid");
        let connect = Connect {
            preset: Some(Preset::E),
            policy: vec![pair("max-fps=9").expect("a pair")],
            policy_of_file: file,
            ..Connect::default()
        };
        let all = wish(&connect).expect("valid");
        assert_eq!((all.max_fps(), all.sharpness(), all.value(Knob::Limit)), (Some(9), 95, Some(600_000)));
        assert_eq!([1, -1, -20].map(|n| sharpened(all, n).sharpness()), [100, 85, 0]);
        assert!(pair("max-fps").is_err() && "F".parse::<Preset>().is_err() && "b".parse() == Ok(Preset::B));
    }
}
