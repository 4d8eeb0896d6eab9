//! Under which addresses others reach this machine, as lines to paste there.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The addresses of this machine that a client elsewhere may use, the likeliest first, at most [`MOST`]. A listener at one
/// address has that one; a machine without any has none.
pub fn addresses(listening: SocketAddr) -> Vec<SocketAddr> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    let up = all.iter().filter(|i| i.is_oper_up()).map(|i| (i.name.as_str(), i.ip()));
    choose(listening, up)
}

/// `telepane connect …`, to be pasted on the other machine.
pub fn line(address: SocketAddr) -> String {
    format!("telepane connect {address}")
}

fn choose<'a>(listening: SocketAddr, own: impl Iterator<Item = (&'a str, IpAddr)>) -> Vec<SocketAddr> {
    if !listening.ip().is_unspecified() {
        return vec![listening];
    }
    let mut found: Vec<(u8, IpAddr)> = own
        .filter(|(_, ip)| listening.is_ipv6() || ip.is_ipv4())
        .filter_map(|(name, ip)| Some((rank(name, ip)?, ip)))
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().take(MOST).map(|(_, ip)| SocketAddr::new(ip, listening.port())).collect()
}

/// How likely others reach it; lower is likelier, `None` is never.
fn rank(interface: &str, ip: IpAddr) -> Option<u8> {
    let inner = INNER.iter().any(|prefix| interface.starts_with(prefix));
    let kind = match ip {
        _ if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() => return None,
        IpAddr::V4(v4) if v4.is_link_local() => return None,
        IpAddr::V4(_) => 0,
        // fe80::/10: means nothing without the other machine's own interface.
        IpAddr::V6(v6) if is_link_local(v6) => return None,
        IpAddr::V6(_) => 1,
    };
    Some(if inner { kind + 2 } else { kind })
}

const fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

/// Interfaces of containers and virtual machines on this machine, by the names their makers give them.
const INNER: [&str; 6] = ["docker", "br-", "veth", "virbr", "lxc", "podman"];
/// Lines are for reading.
const MOST: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(listening: &str, own: &[(&str, &str)]) -> Vec<String> {
        let own = own.iter().map(|(name, ip)| (*name, ip.parse().expect("an address")));
        choose(listening.parse().expect("an address"), own).into_iter().map(line).collect()
    }

    const OWN: [(&str, &str); 6] = [
        ("lo", "127.0.0.1"),
        ("docker0", "172.17.0.1"),
        ("eth0", "fe80::1"),
        ("eth0", "2001:db8::7"),
        ("eth0", "192.0.2.7"),
        ("eth1", "169.254.3.4"),
    ];

    #[test]
    fn what_others_reach_comes_in_order_of_likelihood() {
        let lines = [
            "telepane connect 192.0.2.7:8443",
            "telepane connect [2001:db8::7]:8443",
            "telepane connect 172.17.0.1:8443",
        ];
        assert_eq!(chosen("[::]:8443", &OWN), lines);
        assert_eq!(chosen("0.0.0.0:8443", &OWN), [lines[0], lines[2]]);
    }

    #[test]
    fn one_address_is_taken_as_given() {
        assert_eq!(chosen("127.0.0.1:9", &OWN), ["telepane connect 127.0.0.1:9"]);
        assert_eq!(chosen("[::]:8443", &OWN[..1]), [""; 0]);
    }
}
