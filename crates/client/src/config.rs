//! The configuration file. What the command line says wins.

use crate::cli::{Connect, Renderer};
use crate::policy;
use clap::ValueEnum;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// `config.toml`. An unknown key is an error: a setting that is misspelt must not be silently without effect.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    renderer: Option<String>,
    transport: Option<String>,
    tcp_ports: Option<Vec<u16>>,
    proxy: Option<String>,
    dscp: Option<String>,
    standby: Option<String>,
    overlay: Option<bool>,
    fullscreen: Option<bool>,
    scale: Option<u16>,
    policy: Option<toml::Table>,
    primary_selection: Option<bool>,
    sound: Option<bool>,
    sound_level: Option<u16>,
    sound_device: Option<String>,
    microphone_device: Option<String>,
    place: Option<bool>,
    free_keys_after: Option<u32>,
    openh264: Option<PathBuf>,
    film_sandbox: Option<String>,
}

/// Why the configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        why: std::io::Error,
    },
    /// A line of it cannot be understood.
    #[error("the configuration {path} is not valid; correct it and start again\n{why}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and what.
        why: String,
    },
}

/// Fills what the command line left open from the configuration file. A file that was not named need not exist.
pub fn complete(mut connect: Connect, default_file: &Path) -> Result<Connect, ConfigError> {
    let path = connect.config.clone().unwrap_or_else(|| default_file.to_owned());
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && connect.config.is_none() => return Ok(connect),
        Err(why) => return Err(ConfigError::Unreadable { path, why }),
    };
    let invalid = |why: String| ConfigError::Invalid { path: path.clone(), why };
    let file: File = toml::from_str(&text).map_err(|e| invalid(e.to_string()))?;
    if let (None, Some(name)) = (connect.renderer, file.renderer) {
        let renderer = Renderer::from_str(&name, true)
            .map_err(|_| invalid(format!("renderer: {name:?} is neither pixels nor softbuffer")))?;
        connect.renderer = Some(renderer);
    }
    if let (None, Some(name)) = (connect.way.transport, &file.transport) {
        let transport = name.parse().map_err(|e| invalid(format!("transport: {e}")))?;
        connect.way.transport = Some(transport);
    }
    if let (None, Some(text)) = (connect.way.dscp, &file.dscp) {
        connect.way.dscp = Some(text.parse().map_err(|e| invalid(format!("dscp: {e}")))?);
    }
    if let (None, Some(text)) = (connect.standby, &file.standby) {
        connect.standby = Some(text.parse().map_err(|e| invalid(format!("standby: {e}")))?);
    }
    if let (None, Some(text)) = (connect.film_sandbox, &file.film_sandbox) {
        connect.film_sandbox = Some(text.parse().map_err(|e| invalid(format!("film-sandbox: {e}")))?);
    }
    if connect.way.tcp_port.is_empty() {
        connect.way.tcp_port = file.tcp_ports.unwrap_or_default();
    }
    connect.way.proxy = connect.way.proxy.or(file.proxy);
    if let Some(table) = &file.policy {
        connect.policy_of_file = policy::of_table(table).map_err(|e| invalid(format!("[policy]: {e}")))?;
    }
    if file.sound_level.is_some_and(|l| l > 200) {
        return Err(invalid("sound-level: give 0 to 200 percent".into()));
    }
    connect.primary_selection |= file.primary_selection.unwrap_or(false);
    if file.scale.is_some_and(|s| !(50..=500).contains(&s)) {
        return Err(invalid("scale: give 50 to 500 percent".into()));
    }
    if connect.scale.is_empty() {
        connect.scale.extend(file.scale);
    }
    connect.no_sound |= file.sound == Some(false);
    connect.sound_level = connect.sound_level.or(file.sound_level);
    connect.sound_device = connect.sound_device.or(file.sound_device);
    connect.microphone_device = connect.microphone_device.or(file.microphone_device);
    if file.free_keys_after.is_some_and(|secs| secs > 86_400) {
        return Err(invalid("free-keys-after: give 0 to 86400 seconds".into()));
    }
    connect.free_keys_after = connect.free_keys_after.or(file.free_keys_after);
    connect.openh264 = connect.openh264.or(file.openh264);
    connect.no_place |= file.place == Some(false);
    connect.overlay |= file.overlay.unwrap_or(false);
    connect.fullscreen |= file.fullscreen.unwrap_or(false) && !connect.headless && connect.size.is_none();
    Ok(connect)
}
