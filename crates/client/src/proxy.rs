//! Which proxy stands between this machine and a host: what the person says, else what the system's variables say.

use std::net::IpAddr;
use telepane_transport::{Proxy, bypassed};

/// The variables that name one, in the order in which they count; small letters first, as curl has it.
const NAMED: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const NOT_FOR: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// The proxy for `host`. `asked` is what the person says, `none` meaning none.
///
/// # Errors
/// In words, with where the text stands.
pub fn find(
    asked: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
    host: &str,
    addresses: &[IpAddr],
) -> Result<Option<Proxy>, String> {
    if let Some(asked) = asked {
        return match asked {
            "none" | "" => Ok(None),
            url => Proxy::parse(url).map(Some).map_err(|e| format!("--proxy: {e}")),
        };
    }
    let set = |name: &&&str| variable(name).filter(|v| !v.trim().is_empty());
    let Some((name, url)) = NAMED.iter().find_map(|n| Some((*n, set(&n)?))) else { return Ok(None) };
    if NOT_FOR.iter().find_map(|n| set(&n)).is_some_and(|list| bypassed(&list, host, addresses)) {
        return Ok(None);
    }
    Proxy::parse(&url).map(Some).map_err(|e| format!("${name}: {e}; or connect with --proxy none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_person_comes_before_the_system_and_some_hosts_need_none() {
        let of = |asked: Option<&str>, set: &[(&str, &str)], host: &str| {
            let variable = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            find(asked, variable, host, &["10.1.2.3".parse().unwrap()]).map(|p| p.map(|p| p.to_string()))
        };
        let gate = |text: &str| Ok(Some(text.to_owned()));
        let system = [("HTTPS_PROXY", "http://me:secret@gate:3128"), ("ALL_PROXY", "socks5://other")];
        assert_eq!(of(None, &system, "desk"), gate("http://gate:3128"));
        assert_eq!(of(None, &system[1..], "desk"), gate("socks5://other:1080"));
        assert_eq!(of(None, &[("https_proxy", "low:1"), ("HTTPS_PROXY", "high:1")], "desk"), gate("http://low:1"));
        assert_eq!(of(None, &[("https_proxy", " ")], "desk"), Ok(None));
        assert_eq!(of(Some("none"), &system, "desk"), Ok(None));
        assert_eq!(of(Some("https://mine"), &system, "desk"), gate("https://mine:443"));
        let with = |list| [system[0], ("NO_PROXY", list)];
        assert_eq!(of(None, &with("10.0.0.0/8"), "desk"), Ok(None));
        assert_eq!(of(None, &with("example.org"), "a.example.org"), Ok(None));
        assert_eq!(of(None, &with("example.org"), "desk"), gate("http://gate:3128"));
        assert_eq!(of(Some("http://gate:3128"), &with("*"), "desk"), gate("http://gate:3128"), "said is said");
        let wrong = of(None, &[("ALL_PROXY", "ftp://me:secret@gate")], "desk").unwrap_err();
        assert!(wrong.contains("$ALL_PROXY") && wrong.contains("--proxy none") && !wrong.contains("secret"), "{wrong}");
        assert!(of(Some("gate:0"), &[], "desk").unwrap_err().contains("--proxy"));
    }
}
