//! The interfaces of this machine, what they are made of, which of them lead to a host, and which are paid for by what goes
//! over them.
//!
//! The system's own choice is found by asking it, without sending anything: a datagram socket that is told its peer is given the
//! address it would send from. What an interface is made of stands in sysfs. Whether it is metered NetworkManager knows, where it runs.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use telepane_model::{Interface, InterfaceKind, Ways};

/// The ways to `host` now. Asks other programs: not for a thread that somebody waits for.
pub fn look(host: SocketAddr) -> Ways {
    let all = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::debug!(%error, "the interfaces cannot be listed");
        Vec::new()
    });
    let from = source(host, None).ok();
    let chosen = all.iter().find(|i| Some(i.ip()) == from).map(|i| i.name.clone());
    let mut names: Vec<String> = all.into_iter().map(|i| i.name).collect();
    names.sort();
    names.dedup();
    let mut all: Vec<Interface> = names
        .into_iter()
        .map(|name| Interface {
            kind: kind(Path::new("/sys/class/net"), &name),
            reaches: source(host, Some(&name)).is_ok(),
            metered: None,
            name,
        })
        .collect();
    // Nothing hangs on it where there is only one.
    if all.iter().filter(|i| i.reaches && i.kind != InterfaceKind::Loopback).count() > 1 {
        metered(&mut all);
    }
    Ways { chosen, all }
}

/// The address that the system would send from to `host` now; none where it knows no way. Asks nobody and sends nothing.
pub fn leaves_from(host: SocketAddr) -> Option<IpAddr> {
    source(host, None).ok()
}

/// The address this machine would send from, over any interface or over this one; an error where there is no way.
fn source(host: SocketAddr, interface: Option<&str>) -> io::Result<IpAddr> {
    let host = SocketAddr::new(host.ip().to_canonical(), host.port());
    let any: IpAddr = if host.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = Socket::new(Domain::for_address(host), Type::DGRAM, Some(Protocol::UDP))?;
    if let Some(name) = interface {
        bind(&socket, name)?;
    }
    socket.bind(&SocketAddr::new(any, 0).into())?;
    socket.connect(&host.into())?;
    let own = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok(own.ip())
}

#[cfg(target_os = "linux")]
fn bind(socket: &Socket, name: &str) -> io::Result<()> {
    socket.bind_device(Some(name.as_bytes()))
}

#[cfg(not(target_os = "linux"))]
fn bind(_socket: &Socket, _name: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What an interface is made of, by what the kernel says of it under `root`.
fn kind(root: &Path, name: &str) -> InterfaceKind {
    let dir = root.join(name);
    let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap_or_default();
    // What nothing is known of is not gone around either, and does not stand by.
    let Ok(hardware) = read("type").trim().parse::<u32>() else { return InterfaceKind::Tunnel };
    let uevent = read("uevent");
    let devtype = uevent.lines().find_map(|l| l.strip_prefix("DEVTYPE=")).unwrap_or_default();
    // A tap is a tun with an Ethernet header: OpenVPN and virtual machines make both, and both lead through a program.
    if dir.join("tun_flags").exists() || matches!(devtype, "wireguard" | "ppp" | "vti" | "xfrm") {
        return InterfaceKind::Tunnel;
    }
    match hardware {
        LOOPBACK => InterfaceKind::Loopback,
        // Modems have no Ethernet either, so they are told apart first.
        _ if devtype == "wwan" => InterfaceKind::Cellular,
        ETHER if devtype == "wlan" || dir.join("wireless").exists() || dir.join("phy80211").exists() => {
            InterfaceKind::Wireless
        }
        ETHER => InterfaceKind::Wired,
        _ => InterfaceKind::Tunnel,
    }
}

/// ARPHRD_ETHER and ARPHRD_LOOPBACK (`linux/if_arp.h`); what has neither encapsulates: PPP, tunnels of IP in IP, GRE, none at all.
const ETHER: u32 = 1;
const LOOPBACK: u32 = 772;

/// Asks NetworkManager which of these are metered.
#[cfg(target_os = "linux")]
fn metered(all: &mut [Interface]) {
    if let Err(error) = network_manager(all) {
        tracing::debug!(%error, "no word from NetworkManager: nobody says which interface is metered");
    }
}

#[cfg(not(target_os = "linux"))]
fn metered(_all: &mut [Interface]) {}

#[cfg(target_os = "linux")]
fn network_manager(all: &mut [Interface]) -> zbus::Result<()> {
    use zbus::blocking::connection::Builder;
    use zbus::blocking::{Proxy, fdo::DBusProxy};
    const NAME: &str = "org.freedesktop.NetworkManager";
    // A bus that hangs must not keep the session from knowing its interfaces.
    let bus = Builder::system()?.method_timeout(std::time::Duration::from_secs(2)).build()?;
    // Where it does not run it is not to be started for this.
    if !DBusProxy::new(&bus)?.name_has_owner(NAME.try_into()?)? {
        return Ok(());
    }
    let manager = Proxy::new(&bus, NAME, "/org/freedesktop/NetworkManager", NAME)?;
    for interface in all {
        let device = manager.call::<_, _, zbus::zvariant::OwnedObjectPath>("GetDeviceByIpIface", &(&interface.name,));
        let Ok(device) = device else { continue };
        let device = Proxy::new(&bus, NAME, device, "org.freedesktop.NetworkManager.Device")?;
        // NMMetered: unknown, yes, no, guessed yes, guessed no.
        interface.metered = match device.get_property::<u32>("Metered").unwrap_or_default() {
            1 | 3 => Some(true),
            2 | 4 => Some(false),
            _ => None,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_reaches_itself_by_itself() {
        let ways = look((Ipv4Addr::LOCALHOST, 9).into());
        let chosen = ways.chosen.expect("there is a way");
        let one = ways.all.iter().find(|i| i.name == chosen).expect("it is listed");
        assert_eq!(one.kind, InterfaceKind::Loopback);
        // The same as a dual-stack socket writes it.
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        assert_eq!(look((mapped, 9).into()).chosen.as_deref(), Some(chosen.as_str()));
    }

    #[test]
    fn sysfs_tells_what_an_interface_is_made_of() {
        let root = std::env::temp_dir().join(format!("telepane-ways-{}", std::process::id()));
        let cases = [
            ("lo", "772", "", None, InterfaceKind::Loopback),
            ("eth0", "1", "", None, InterfaceKind::Wired),
            ("br0", "1", "DEVTYPE=bridge\n", None, InterfaceKind::Wired),
            ("wlan0", "1", "DEVTYPE=wlan\nINTERFACE=wlan0\n", None, InterfaceKind::Wireless),
            ("wlp2s0", "1", "", Some("phy80211"), InterfaceKind::Wireless),
            ("wwan0", "65534", "DEVTYPE=wwan\n", None, InterfaceKind::Cellular),
            ("wwp0", "1", "DEVTYPE=wwan\n", None, InterfaceKind::Cellular),
            ("wg0", "65534", "DEVTYPE=wireguard\n", None, InterfaceKind::Tunnel),
            ("tun0", "65534", "", Some("tun_flags"), InterfaceKind::Tunnel),
            ("tap0", "1", "", Some("tun_flags"), InterfaceKind::Tunnel),
            ("ppp0", "512", "DEVTYPE=ppp\n", None, InterfaceKind::Tunnel),
            ("gre1", "778", "", None, InterfaceKind::Tunnel),
            ("ipsec0", "65534", "DEVTYPE=xfrm\n", None, InterfaceKind::Tunnel),
        ];
        for (name, hardware, uevent, file, expected) in cases {
            let dir = root.join(name);
            std::fs::create_dir_all(&dir).expect("a directory");
            std::fs::write(dir.join("type"), format!("{hardware}\n")).expect("a file");
            std::fs::write(dir.join("uevent"), uevent).expect("a file");
            if let Some(file) = file {
                std::fs::write(dir.join(file), "").expect("a file");
            }
            assert_eq!(kind(&root, name), expected, "{name}");
        }
        assert_eq!(kind(&root, "unknown"), InterfaceKind::Tunnel);
        std::fs::remove_dir_all(&root).expect("ours");
    }
}
