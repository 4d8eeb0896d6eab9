//! The configuration file. What the command line says wins.

use crate::cli::{Serve, parse_rate};
use crate::{life, policy};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// `config.toml`. An unknown key is an error: a setting that is misspelt must not be silently without effect.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    listen: Option<SocketAddr>,
    transport: Option<String>,
    tcp_ports: Option<Vec<u16>>,
    dscp: Option<String>,
    shared: Option<bool>,
    metrics: Option<SocketAddr>,
    limit: Option<String>,
    floor: Option<String>,
    access_code_file: Option<PathBuf>,
    policy: Option<toml::Table>,
    sound: Option<bool>,
    sound_limit: Option<String>,
    files: Option<PathBuf>,
    session: Option<toml::Table>,
    openh264: Option<PathBuf>,
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
pub fn complete(mut serve: Serve, default_file: &Path) -> Result<Serve, ConfigError> {
    let path = serve.config.clone().unwrap_or_else(|| default_file.to_owned());
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && serve.config.is_none() => return Ok(serve),
        Err(why) => return Err(ConfigError::Unreadable { path, why }),
    };
    let invalid = |why: String| ConfigError::Invalid { path: path.clone(), why };
    let file: File = toml::from_str(&text).map_err(|e| invalid(e.to_string()))?;
    let rate = |text: Option<String>| text.map(|t| parse_rate(&t)).transpose();
    serve.limit = serve.limit.or(rate(file.limit).map_err(|e| invalid(format!("limit: {e}")))?);
    serve.floor = serve.floor.or(rate(file.floor).map_err(|e| invalid(format!("floor: {e}")))?);
    serve.sound_limit = serve.sound_limit.or(rate(file.sound_limit).map_err(|e| invalid(format!("sound-limit: {e}")))?);
    if let (None, Some(name)) = (serve.transport, &file.transport) {
        let transport = name.parse().map_err(|e| invalid(format!("transport: {e}")))?;
        serve.transport = Some(transport);
    }
    if let (None, Some(text)) = (serve.dscp, &file.dscp) {
        serve.dscp = Some(text.parse().map_err(|e| invalid(format!("dscp: {e}")))?);
    }
    if serve.tcp_port.is_empty() {
        serve.tcp_port = file.tcp_ports.unwrap_or_default();
    }
    serve.no_sound |= file.sound == Some(false);
    serve.listen = serve.listen.or(file.listen);
    serve.metrics = serve.metrics.or(file.metrics);
    serve.access_code_file = serve.access_code_file.or(file.access_code_file);
    if let Some(table) = &file.policy {
        serve.policy_of_file = policy::of_table(table).map_err(|e| invalid(format!("[policy]: {e}")))?;
    }
    serve.files = serve.files.or(file.files);
    serve.openh264 = serve.openh264.or(file.openh264);
    if let Some(table) = file.session {
        life::Settings::of(&table, &[]).map_err(|e| invalid(format!("[session]: {e}")))?;
        serve.session_of_file = table;
    }
    serve.shared |= file.shared.unwrap_or(false);
    Ok(serve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::BitRate;
    use telepane_transport::Marks;

    fn with(name: &str, text: &str) -> Result<Serve, ConfigError> {
        let path = std::env::temp_dir().join(format!("telepane-config-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).expect("a temporary file");
        let result = complete(Serve { config: Some(path.clone()), ..Serve::default() }, Path::new("/nonexistent"));
        std::fs::remove_file(path).expect("it was written");
        result
    }

    #[test]
    fn settings_are_read_and_an_unknown_key_is_named() {
        let serve =
            with("good", "limit = \"2M\"\nshared = true\nsound = false\nsound-limit = \"48k\"\n").expect("valid");
        assert_eq!((serve.no_sound, serve.sound_limit), (true, Some(BitRate::kbps(48))));
        assert_eq!((serve.limit, serve.shared), (Some(BitRate::mbps(2)), true));
        assert_eq!(with("marks", "dscp = \"off\"\n").expect("valid").dscp, Some(Marks::OFF));
        let error = with("odd", "dscp = \"EF\"\n").expect_err("one point").to_string();
        assert!(error.contains("dscp") && error.contains("AF41,EF"), "{error}");
        let table = with("policy", "[policy]\npreset = \"C\"\nmax-fps = 24\n").expect("valid").policy_of_file;
        assert_eq!(table.max_fps(), Some(24));
        let error = with("worse", "[policy]\nmax-fps = 0\n").expect_err("impossible").to_string();
        assert!(error.contains("1 to 240"), "{error}");
        let error = with("rest", "[session]\nidle-timeout = \"soon\"\n").expect_err("impossible").to_string();
        assert!(error.contains("[session]") && error.contains("90s"), "{error}");
        let serve = with("film", "openh264 = \"/opt/libopenh264.so\"\n").expect("valid");
        assert_eq!(serve.openh264, Some("/opt/libopenh264.so".into()));
        let table = with("day", "[session]\nidle-timeout = 60\n").expect("valid").session_of_file;
        assert_eq!(table.len(), 1);
        let error = with("bad", "shared = true\nlimt = \"2M\"\n").expect_err("misspelt").to_string();
        assert!(error.contains("limt") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_named_file_must_exist() {
        let named = Serve { config: Some("/nonexistent/telepane.toml".into()), ..Serve::default() };
        assert!(complete(named, Path::new("/nonexistent")).is_err());
        assert!(complete(Serve::default(), Path::new("/nonexistent/telepane.toml")).is_ok());
    }
}
