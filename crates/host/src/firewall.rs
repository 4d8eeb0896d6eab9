//! Whether a firewall on this machine blocks the agent's UDP port, as far as this process may know.
//!
//! Only looks: at ufw's files, at what `firewall-cmd` and `nft` say, each for at most a second. Rules can be read by root
//! only, so the honest answer is often that it cannot be told, with the command that would. Nothing is changed.

use std::fmt;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// Nothing filters what comes in.
    None,
    /// This one filters and lets the port through.
    Open(&'static str),
    /// This one seems to block the port; the command that opens it.
    Blocks(&'static str, String),
    /// It cannot be told; why, and what would tell.
    CannotTell(String),
}

impl fmt::Display for Firewall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no local firewall"),
            Self::Open(name) => write!(f, "{name} lets the port through"),
            Self::Blocks(name, open) => write!(f, "{name} seems to block the port; open it with `{open}`"),
            Self::CannotTell(why) => write!(f, "cannot tell whether a local firewall blocks the port: {why}"),
        }
    }
}

/// Looks for what filters UDP to `port`.
pub fn look(port: u16) -> Firewall {
    let ufw = std::fs::read_to_string("/etc/ufw/ufw.conf").unwrap_or_default();
    if ufw_is_on(&ufw) {
        let defaults = std::fs::read_to_string("/etc/default/ufw").unwrap_or_default();
        let rules = std::fs::read_to_string("/etc/ufw/user.rules").ok();
        return of_ufw(&defaults, rules.as_deref(), port);
    }
    match ask("firewall-cmd", &[&format!("--query-port={port}/udp")]) {
        // Not installed, or not running.
        None | Some((FIREWALLD_OFF, _)) => {}
        Some(answer) => return of_firewalld(&answer, port),
    }
    match ask("nft", &["-j", "list", "ruleset"]) {
        Some((0, rules)) => of_nft(&rules, port),
        Some(_) => Firewall::CannotTell("only root may list its rules; run `sudo nft list ruleset`".into()),
        None => match std::fs::read_to_string("/proc/modules") {
            Ok(modules) if !filters(&modules) => Firewall::None,
            _ => Firewall::CannotTell("nft is not installed here, and the kernel has a packet filter".into()),
        },
    }
}

fn ufw_is_on(conf: &str) -> bool {
    conf.lines().any(|l| l.trim().eq_ignore_ascii_case("ENABLED=yes"))
}

/// `rules` is ufw's user.rules, whose comments hold the rules as they were given: `### tuple ### allow udp 8443 …`.
fn of_ufw(defaults: &str, rules: Option<&str>, port: u16) -> Firewall {
    let accepts = defaults.lines().any(|l| l.trim().replace('"', "") == "DEFAULT_INPUT_POLICY=ACCEPT");
    let Some(rules) = rules else {
        return Firewall::CannotTell(format!("ufw is on; `sudo ufw status` shows whether {port}/udp is allowed"));
    };
    let rule = rules.lines().filter_map(|l| l.trim().strip_prefix("### tuple ###")).find_map(|tuple| {
        let mut words = tuple.split_whitespace();
        let (action, protocol, ports) = (words.next()?, words.next()?, words.next()?);
        let inwards = words.last().is_some_and(|w| w.starts_with("in"));
        (inwards && matches!(protocol, "udp" | "any") && covers(ports, port)).then_some(action)
    });
    match rule {
        Some("allow" | "limit") => Firewall::Open("ufw"),
        None if accepts => Firewall::Open("ufw"),
        _ => Firewall::Blocks("ufw", format!("sudo ufw allow {port}/udp")),
    }
}

/// ufw's ports: `any`, or a list of ports and ranges with a colon.
fn covers(ports: &str, port: u16) -> bool {
    ports == "any"
        || ports.split(',').any(|part| match part.split_once(':') {
            Some((from, to)) => {
                matches!((from.parse::<u16>(), to.parse::<u16>()), (Ok(a), Ok(b)) if a <= port && port <= b)
            }
            None => part.parse() == Ok(port),
        })
}

fn of_firewalld((code, text): &(i32, String), port: u16) -> Firewall {
    match (code, text.trim()) {
        (0, "yes") => Firewall::Open("firewalld"),
        (1, "no") => Firewall::Blocks("firewalld", format!("sudo firewall-cmd --add-port={port}/udp")),
        _ => Firewall::CannotTell(format!("firewalld runs; ask it with `sudo firewall-cmd --query-port={port}/udp`")),
    }
}

/// `rules` is what `nft -j list ruleset` says. A chain that is not at the input hook counts only through its caller, so a
/// rule that accepts the port is looked for in all of them.
fn of_nft(rules: &str, port: u16) -> Firewall {
    let unknown = || Firewall::CannotTell("nftables rules are loaded; see `sudo nft list ruleset`".into());
    let Ok(rules) = serde_json::from_str::<serde_json::Value>(rules) else { return unknown() };
    let items = rules["nftables"].as_array().map(Vec::as_slice).unwrap_or_default();
    let input = items.iter().map(|i| &i["chain"]).filter(|c| c["hook"] == "input");
    let drops = input.filter(|c| c["policy"] == "drop").count() > 0;
    let all: Vec<String> =
        items.iter().map(|i| &i["rule"]["expr"]).filter(|e| !e.is_null()).map(ToString::to_string).collect();
    let refuses = all.iter().any(|e| e.contains("\"drop\"") || e.contains("\"reject\""));
    let named = |e: &&String| e.contains("\"dport\"") && e.contains(&format!("\"right\":{port}"));
    match all.iter().find(named) {
        _ if !drops && !refuses => Firewall::None,
        Some(rule) if rule.contains("\"accept\"") => Firewall::Open("nftables"),
        Some(_) => unknown(),
        None if drops => {
            Firewall::Blocks("nftables", format!("sudo nft add rule inet filter input udp dport {port} accept"))
        }
        None => unknown(),
    }
}

/// Whether a packet filter is among the kernel's modules.
fn filters(modules: &str) -> bool {
    modules
        .lines()
        .filter_map(|l| l.split_whitespace().next())
        .any(|m| matches!(m, "nf_tables" | "ip_tables" | "ip6_tables"))
}

/// How a program ended, and what it printed; `None` when it is not there or takes too long.
fn ask(program: &str, arguments: &[&str]) -> Option<(i32, String)> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let out = child.stdout.take()?;
    let (said, text) = channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        // What is not text, or endless, is no answer.
        if out.take(MOST_OUTPUT).read_to_string(&mut text).is_ok() {
            let _ = said.send(text);
        }
    });
    let text = text.recv_timeout(PATIENCE).ok();
    if text.is_none() {
        let _ = child.kill();
    }
    let status = child.wait().ok()?;
    Some((status.code()?, text?))
}

/// `NOT_RUNNING` in firewalld's errors.py.
const FIREWALLD_OFF: i32 = 252;
const PATIENCE: Duration = Duration::from_secs(1);
const MOST_OUTPUT: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ufw_is_read_by_its_own_words() {
        assert!(ufw_is_on("# x\nENABLED=yes\n") && !ufw_is_on("ENABLED=no\n"));
        let drop = "DEFAULT_INPUT_POLICY=\"DROP\"\n";
        let rule = |tuple: &str| of_ufw(drop, Some(&format!("*filter\n### tuple ### {tuple}\n-A x\n")), 8443);
        assert_eq!(rule("allow udp 8443 0.0.0.0/0 any 0.0.0.0/0 in"), Firewall::Open("ufw"));
        assert_eq!(rule("allow any 8000:9000 0.0.0.0/0 any 0.0.0.0/0 in"), Firewall::Open("ufw"));
        for closed in [
            "allow tcp 8443 0.0.0.0/0 any 0.0.0.0/0 in",
            "allow udp 53,84 ::/0 any ::/0 in",
            "deny udp 8443 ::/0 any ::/0 in",
        ] {
            assert!(matches!(rule(closed), Firewall::Blocks("ufw", _)), "{closed}");
        }
        assert_eq!(of_ufw("DEFAULT_INPUT_POLICY=\"ACCEPT\"", Some(""), 8443), Firewall::Open("ufw"));
        assert!(matches!(of_ufw(drop, None, 8443), Firewall::CannotTell(_)));
    }

    #[test]
    fn firewalld_answers_or_it_cannot_be_told() {
        assert_eq!(of_firewalld(&(0, "yes\n".into()), 1), Firewall::Open("firewalld"));
        assert!(matches!(of_firewalld(&(1, "no\n".into()), 1), Firewall::Blocks(..)));
        assert!(matches!(of_firewalld(&(253, "Authorization failed.".into()), 1), Firewall::CannotTell(_)));
    }

    #[test]
    fn nftables_is_blocked_by_policy_and_opened_by_a_rule() {
        let chain = |policy: &str| format!(r#"{{"chain":{{"family":"inet","hook":"input","policy":"{policy}"}}}}"#);
        let rule = |port: u16, verdict: &str| {
            format!(
                r#"{{"rule":{{"expr":[{{"match":{{"op":"==","left":{{"payload":{{"protocol":"udp","field":"dport"}}}},"right":{port}}}}},{{"{verdict}":null}}]}}}}"#
            )
        };
        let set = |items: &[String]| of_nft(&format!(r#"{{"nftables":[{}]}}"#, items.join(",")), 8443);
        assert_eq!(set(&[]), Firewall::None);
        assert_eq!(set(&[chain("accept")]), Firewall::None);
        assert!(matches!(set(&[chain("drop")]), Firewall::Blocks("nftables", _)));
        assert!(matches!(set(&[chain("drop"), rule(53, "accept")]), Firewall::Blocks("nftables", _)));
        assert_eq!(set(&[chain("drop"), rule(8443, "accept")]), Firewall::Open("nftables"));
        assert!(matches!(set(&[chain("accept"), rule(8443, "drop")]), Firewall::CannotTell(_)));
        assert!(matches!(of_nft("not json", 1), Firewall::CannotTell(_)));
    }

    #[test]
    fn a_kernel_without_a_filter_has_none() {
        assert!(filters("nf_tables 1 2 - Live 0x0\n") && !filters("kvm 1 2 - Live 0x0\n"));
    }

    #[test]
    fn a_program_that_is_missing_or_fails_is_told_apart() {
        assert_eq!(ask("telepane-no-such-program", &[]), None);
        assert_eq!(ask("false", &[]), Some((1, String::new())));
        assert_eq!(ask("echo", &["yes"]), Some((0, "yes\n".into())));
    }
}
