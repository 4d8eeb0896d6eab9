//! System packages: the one table of what Telepane needs from Debian or Ubuntu, and installing what is missing.
//!
//! Sizes are installed sizes with dependencies, measured with apt on Debian 12 above a system that has only a C
//! compiler; they are told before anything is fetched, and apt's own word replaces nothing: it goes to the log.

use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::build::log_path;
use crate::progress::Progress;
use crate::{exit, proc};

/// What a group of packages is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Compiling and linking the workspace, and opening the client's window.
    Build,
    /// A virtual desktop with applications, for the demo and the tests.
    Desktop,
    /// What only the tests call: a Vulkan driver on the processor, another clipboard tool, keyboard layouts, an input method,
    /// namespaces, a sound server, a Wayland compositor.
    Tests,
    /// A compiler for Windows, and what runs its programs here; only for `elsewhere --run`, and never installed by us.
    Windows,
    /// What makes and emulates a machine of its own; only for the tests with `TELEPANE_GUEST=1`, and never installed by us.
    Guest,
    /// Other remote desktops, measured beside ours; only for `bench`, never installed by `demo` or `test`.
    Peers,
}

/// The packages of one purpose.
pub struct Group {
    /// What for.
    pub purpose: Purpose,
    /// Said to a person.
    pub why: &'static str,
    /// Installed size with dependencies, in MB.
    pub megabytes: u32,
    /// Names; `a|b` means that either will do and that the first is installed when neither is there.
    pub names: &'static [&'static str],
}

/// The table. A package is added here and nowhere else.
pub const TABLE: &[Group] = &[
    Group {
        purpose: Purpose::Build,
        why: "to build it",
        megabytes: 220,
        names: &[
            "g++",
            "cmake",
            "make",
            "nasm",
            "pkg-config|pkgconf",
            "libxcb1-dev",
            "libxcb-shm0-dev",
            "libxcb-randr0-dev",
            // Sound: cpal links ALSA's library also where a sound server is used.
            "libasound2-dev",
            // Opened at run time by the client's window.
            "libx11-6",
            "libx11-xcb1",
            "libxcursor1",
            "libxi6",
            "libxrandr2",
            "libxkbcommon-x11-0",
        ],
    },
    Group {
        purpose: Purpose::Desktop,
        why: "for a virtual desktop with applications",
        megabytes: 465,
        names: &[
            "xvfb",
            "xserver-xorg-core",
            "xserver-xorg-video-dummy",
            "xauth",
            "x11-xserver-utils",
            "openbox",
            "xterm",
            "mousepad",
            "fonts-dejavu-core",
            "xdotool",
            "xclip",
        ],
    },
    Group {
        purpose: Purpose::Tests,
        why: "for tests of the GPU renderer, clipboard, files, keyboard layouts, an input method, networks, proxies, sound, Wayland sessions and toolkits, and to count instructions",
        // valgrind alone is 80 of them, with libc6-dbg; the toolkits for python are 55, and Japanese is 54, half of that its dictionary.
        megabytes: 480,
        names: &[
            "mesa-vulkan-drivers",
            "xsel",
            "x11-xkb-utils",
            "iproute2",
            "util-linux",
            "weston",
            // A client's compositor, and what it shows.
            "sway",
            "grim",
            "wl-clipboard",
            // GNOME's compositor.
            "mutter",
            // Whether the client's desktop file is one.
            "desktop-file-utils",
            "xwayland",
            "valgrind",
            "pulseaudio",
            "pulseaudio-utils",
            // A message bus of the tests' own, for sleep, shutdown and screen savers.
            "dbus",
            // What locks a desktop behind the last who leaves.
            "i3lock",
            // What toolkits make of a desktop's scale.
            "python3-gi",
            "gir1.2-gtk-3.0",
            "python3-pyqt6",
            // A screen that can be turned.
            "xserver-xephyr",
            // Japanese, composed at the client, and a font to show it in.
            "fcitx5",
            "fcitx5-anthy",
            "fonts-droid-fallback",
            // Proxies to go through: CONNECT and SOCKS5.
            "tinyproxy-bin|tinyproxy",
            "microsocks",
            // A file system that folds case.
            "exfat-fuse",
            "exfatprogs",
        ],
    },
    Group {
        purpose: Purpose::Windows,
        why: "to build the client for Windows and run it under Wine",
        megabytes: 1111,
        names: &["gcc-mingw-w64-x86-64-posix", "g++-mingw-w64-x86-64-posix", "wine", "wine64"],
    },
    Group {
        purpose: Purpose::Guest,
        why: "to make and emulate a machine of its own, which can sleep",
        megabytes: 67,
        names: &["qemu-system-x86", "mmdebstrap", "e2fsprogs"],
    },
    Group {
        purpose: Purpose::Peers,
        why: "to measure other remote desktops",
        megabytes: 90,
        names: &["tigervnc-scraping-server", "tigervnc-viewer", "xrdp", "xorgxrdp", "freerdp2-x11|freerdp3-x11"],
    },
];

/// What of a machine's package system we can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installer {
    /// apt-get, as root.
    Apt,
    /// apt-get through sudo.
    SudoApt,
    /// None: the person installs by hand.
    None,
}

impl Installer {
    /// This machine's.
    pub fn here() -> Installer {
        if !on_path("apt-get") || !on_path("dpkg-query") {
            Installer::None
        } else if is_root() {
            Installer::Apt
        } else if on_path("sudo") {
            Installer::SudoApt
        } else {
            Installer::None
        }
    }
}

/// The groups for these purposes.
pub fn groups(purposes: &[Purpose]) -> impl Iterator<Item = &'static Group> {
    TABLE.iter().filter(move |group| purposes.contains(&group.purpose))
}

/// The packages of `purposes` that dpkg does not know as installed; all of them where there is no dpkg.
pub fn missing(purposes: &[Purpose]) -> Vec<&'static str> {
    let names: Vec<&str> = groups(purposes).flat_map(|group| group.names.iter().copied()).collect();
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Abbrev} ${Package}\n"])
        .args(names.iter().flat_map(|name| name.split('|')))
        .stderr(Stdio::null())
        .output();
    let listing = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    lacking(&names, &listing)
}

/// Installs what is missing of `purposes`. The person has already been told.
///
/// # Errors
/// Exit code 2 with the names where we cannot install; apt's own words where it fails.
pub fn install(root: &Path, purposes: &[Purpose]) -> Result<()> {
    let missing = missing(purposes);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|name| name.split('|').next().unwrap_or(name)).collect();
    let installer = Installer::here();
    if installer == Installer::None {
        return Err(exit(2, by_hand(&names)));
    }
    if installer == Installer::SudoApt {
        ask_for_sudo(&names)?;
    }
    let mut bar = Progress::uncounted("packages");
    bar.say("apt-get update");
    // Lists may be empty or old on a fresh machine. A mirror that fails here may still hold what we need.
    let updated = apt(root, installer, &["update"], "apt-update", &mut bar)?;
    bar.say(&format!("installing {} packages", names.len()));
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&names);
    let installed = apt(root, installer, &arguments, "apt-install", &mut bar)?;
    bar.end();
    if !installed.ok() {
        let first = if updated.ok() { String::new() } else { format!("apt-get update failed:\n{}\n", updated.story()) };
        bail!("{first}apt-get install failed:\n{}", installed.story());
    }
    Ok(())
}

/// Whether a program of this name is on the path.
pub fn on_path(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

/// The command a person types to install these.
pub fn by_hand(names: &[&str]) -> String {
    let why = if on_path("apt-get") { "neither root nor sudo is at hand" } else { "this machine has no apt-get" };
    format!(
        "{why}, so please install these yourself (names as on Debian): {}\nthen run this again with --no-install",
        names.join(" ")
    )
}

fn lacking(names: &[&'static str], listing: &str) -> Vec<&'static str> {
    let installed: Vec<&str> = listing
        .lines()
        .filter(|line| line.get(1..2) == Some("i"))
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    names.iter().copied().filter(|name| !name.split('|').any(|either| installed.contains(&either))).collect()
}

fn apt(root: &Path, installer: Installer, arguments: &[&str], log: &str, bar: &mut Progress) -> Result<proc::Ended> {
    // sudo drops the environment, so the variables travel as arguments of env.
    let mut command = Command::new(if installer == Installer::SudoApt { "sudo" } else { "env" });
    if installer == Installer::SudoApt {
        command.args(["--non-interactive", "env"]);
    }
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments);
    proc::run(&mut command, &log_path(root, log), Duration::from_secs(30 * 60), |_| bar.tick())
}

fn ask_for_sudo(names: &[&str]) -> Result<()> {
    let free = Command::new("sudo").args(["--non-interactive", "true"]).stderr(Stdio::null()).status();
    if free.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(exit(2, by_hand(names)));
    }
    let asked = Command::new("sudo").arg("--validate").status().context("sudo could not be started")?;
    if asked.success() { Ok(()) } else { Err(exit(2, by_hand(names))) }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_dpkg_calls_installed_counts() {
        let listing = "ii  nasm\nrc  cmake\nun  xterm\nhi  openbox\nii  pkgconf\n";
        let lacks = lacking(&["nasm", "cmake", "xterm", "openbox", "pkg-config|pkgconf", "xvfb"], listing);
        assert_eq!(lacks, ["cmake", "xterm", "xvfb"], "removed but configured is missing; held is installed");
    }

    #[test]
    fn no_package_stands_twice() {
        let mut names: Vec<&str> = TABLE.iter().flat_map(|group| group.names.iter().copied()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn peers_are_never_part_of_what_a_stranger_installs() {
        let names: Vec<&str> =
            groups(&[Purpose::Build, Purpose::Desktop, Purpose::Tests]).flat_map(|g| g.names.iter().copied()).collect();
        assert!(!names.iter().any(|name| name.contains("vnc") || name.contains("rdp")));
    }
}
