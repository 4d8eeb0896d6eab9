//! Shell completions and manual pages, made from the command line's own description.

use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// Completions for a shell.
pub fn completions<C: CommandFactory>(shell: Shell) -> String {
    let mut command = C::command();
    let name = command.get_name().to_owned();
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes a manual page per command to `dir`.
///
/// # Errors
/// When the directory or a page cannot be written.
pub fn manual<C: CommandFactory>(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(C::command().disable_help_subcommand(true), dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    #[test]
    fn each_shell_learns_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = completions::<Cli>(shell);
            assert!(text.contains("telepane-host") && text.contains("synthetic") && text.contains("revoke"), "{shell}");
        }
    }

    #[test]
    fn a_page_is_written_for_each_command() {
        let dir = std::env::temp_dir().join(format!("telepane-man-{}", std::process::id()));
        manual::<Cli>(&dir).expect("a writable place");
        let page = std::fs::read_to_string(dir.join("telepane-host-serve.1")).expect("a page for serve");
        assert!(page.contains("\\-\\-listen"));
        assert!(dir.join("telepane-host.1").exists() && dir.join("telepane-host-session-close.1").exists());
        std::fs::remove_dir_all(dir).expect("it was written");
    }
}
