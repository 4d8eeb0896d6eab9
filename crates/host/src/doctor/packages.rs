//! What a person types to install something, by the distribution that `os-release` names.

use std::path::Path;

/// What a host may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Xorg with its dummy driver.
    Dummy,
    /// Xvfb.
    Xvfb,
    /// A sound server.
    SoundServer,
    /// pactl.
    Pactl,
    /// A window manager.
    Openbox,
    /// A terminal.
    Xterm,
}

/// Families of distributions, by how they install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Debian,
    Fedora,
    Arch,
    Suse,
    Alpine,
    Unknown,
}

/// What installs these here.
pub(super) fn install(needs: &[Need]) -> String {
    let read = |path| std::fs::read_to_string(Path::new(path)).ok();
    // The order is os-release(5)'s.
    let text = read("/etc/os-release").or_else(|| read("/usr/lib/os-release")).unwrap_or_default();
    command(family(&text), needs)
}

/// The family that a text of os-release(5) names: the distribution itself, or the nearest that it says it is like.
fn family(text: &str) -> Family {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let names = [value("ID"), value("ID_LIKE")].into_iter().flatten();
    let names = names.flat_map(|names| names.trim_matches(['"', '\'']).split_whitespace());
    let known = |name| match name {
        "debian" | "ubuntu" => Some(Family::Debian),
        "fedora" | "rhel" | "centos" => Some(Family::Fedora),
        "arch" => Some(Family::Arch),
        "suse" | "opensuse" | "sles" => Some(Family::Suse),
        "alpine" => Some(Family::Alpine),
        _ => None,
    };
    names.filter_map(known).next().unwrap_or(Family::Unknown)
}

fn command(family: Family, needs: &[Need]) -> String {
    let names = needs.iter().map(|need| name(family, *need)).collect::<Vec<_>>().join(" ");
    match family {
        Family::Debian => format!("apt install {names}"),
        Family::Fedora => format!("dnf install {names}"),
        Family::Arch => format!("pacman -S {names}"),
        Family::Suse => format!("zypper install {names}"),
        Family::Alpine => format!("apk add {names}"),
        Family::Unknown => format!("install these (names as on Debian): {names}"),
    }
}

const fn name(family: Family, need: Need) -> &'static str {
    match (need, family) {
        (Need::Dummy, Family::Fedora) => "xorg-x11-server-Xorg xorg-x11-drv-dummy",
        (Need::Dummy, Family::Suse) => "xorg-x11-server xf86-video-dummy",
        (Need::Dummy, Family::Arch | Family::Alpine) => "xorg-server xf86-video-dummy",
        (Need::Dummy, Family::Debian | Family::Unknown) => "xserver-xorg-core xserver-xorg-video-dummy",
        (Need::Xvfb, Family::Fedora | Family::Suse) => "xorg-x11-server-Xvfb",
        (Need::Xvfb, Family::Arch) => "xorg-server-xvfb",
        (Need::Xvfb, _) => "xvfb",
        (Need::SoundServer, _) => "pulseaudio",
        (Need::Pactl, Family::Arch) => "libpulse",
        (Need::Pactl, _) => "pulseaudio-utils",
        (Need::Openbox, _) => "openbox",
        (Need::Xterm, _) => "xterm",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_is_told_in_its_own_words() {
        let all = [Need::Xvfb, Need::Pactl];
        let said = |text: &str| command(family(text), &all);
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert_eq!(said(debian), "apt install xvfb pulseaudio-utils");
        assert_eq!(said("ID=fedora\n"), "dnf install xorg-x11-server-Xvfb pulseaudio-utils");
        // The nearest it is like counts, quoted or not.
        assert_eq!(said("ID_LIKE=\"ubuntu debian\"\nID=linuxmint"), "apt install xvfb pulseaudio-utils");
        assert_eq!(
            said("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\""),
            "dnf install xorg-x11-server-Xvfb pulseaudio-utils"
        );
        assert_eq!(said("ID=endeavouros\nID_LIKE='arch'"), "pacman -S xorg-server-xvfb libpulse");
        let tumbleweed = "ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"";
        assert_eq!(said(tumbleweed), "zypper install xorg-x11-server-Xvfb pulseaudio-utils");
        assert_eq!(said("ID=alpine"), "apk add xvfb pulseaudio-utils");
        for other in ["", "ID=nixos", "VARIANT_ID=debian", "ID="] {
            assert_eq!(said(other), "install these (names as on Debian): xvfb pulseaudio-utils", "{other}");
        }
    }
}
