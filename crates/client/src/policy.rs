//! What the person wishes the session to keep to, from the command line and the configuration file, and by key.

use crate::cli::Connect;
use telepane_model::policy::BadSetting;
use telepane_model::{Knob, Preset, SessionPolicy};

/// `NAME=VALUE`, as `--policy` takes it.
///
/// # Errors
/// When there is no `=`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE, such as max-fps=24")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A preset's letter.
///
/// # Errors
/// When there is no such preset.
pub fn preset(text: &str) -> Result<Preset, String> {
    Preset::named(text).ok_or_else(|| "give one of A, B, C, D and E".into())
}

/// The `[policy]` table of a configuration file.
///
/// # Errors
/// When an entry is not known or its value is impossible.
pub fn of_table(table: &toml::Table) -> Result<SessionPolicy, BadSetting> {
    let texts: Vec<(&str, String)> = table
        .iter()
        .map(|(name, value)| {
            let text = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Boolean(true) => "on".into(),
                toml::Value::Boolean(false) => "off".into(),
                other => other.to_string(),
            };
            (name.as_str(), text)
        })
        .collect();
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
        assert!(pair("max-fps").is_err() && preset("F").is_err() && preset("b") == Ok(Preset::B));
    }
}
