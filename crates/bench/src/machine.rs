//! What the machine is and how busy it was: a figure without it cannot be judged.

use serde_json::{Value, json};
use std::fs::read_to_string;

/// The machine, for a report's head.
pub fn describe() -> Value {
    json!({
        "processor": processor(),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "memory_mib": memory_mib(),
        "kernel": first_line("/proc/sys/kernel/osrelease"),
        "system": system(),
        "tcp_congestion_control": first_line("/proc/sys/net/ipv4/tcp_congestion_control"),
        "udp_receive_buffer_max": first_line("/proc/sys/net/core/rmem_max").parse::<u64>().ok(),
    })
}

/// The load average over one minute.
pub fn load() -> f64 {
    first_line("/proc/loadavg").split(' ').next().and_then(|v| v.parse().ok()).unwrap_or(0.0)
}

/// CPU time the whole machine has spent at work, microseconds over all cores.
pub fn busy_us() -> u64 {
    let line = first_line("/proc/stat");
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|v| v.parse().ok()).collect();
    // user, nice, system, -, -, irq, softirq, steal (proc(5)), in hundredths of a second.
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|i| ticks.get(*i)).sum::<u64>();
    busy * 10_000
}

/// The version of an installed Debian package; `-` when it is not installed or this is not Debian.
pub fn package_version(package: &str) -> String {
    let asked = std::process::Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output();
    asked
        .ok()
        .filter(|o| o.status.success())
        .map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
        .filter(|v| !v.is_empty())
        .unwrap_or_else(|| "-".into())
}

fn processor() -> String {
    let text = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split_once(": "));
    line.map_or_else(|| "unknown".into(), |(_, name)| name.trim().to_owned())
}

fn memory_mib() -> Option<u64> {
    let text = read_to_string("/proc/meminfo").ok()?;
    Some(text.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

fn system() -> String {
    let text = read_to_string("/etc/os-release").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="));
    line.unwrap_or("unknown").trim_matches('"').to_owned()
}

fn first_line(path: &str) -> String {
    read_to_string(path).unwrap_or_default().lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_been_busy() {
        assert!(busy_us() > 0);
        assert!(describe()["cores"].as_u64().is_some_and(|n| n > 0));
        assert_eq!(package_version("no-such-package-as-this"), "-");
    }
}
