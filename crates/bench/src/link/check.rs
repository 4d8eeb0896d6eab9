//! Holds the emulator to what it promises: pings and floods through it, beside what was set; and what it costs itself.

use super::emulator::{CLIENT, Emulator, HOST, TICK_US};
use super::profile::Profile;
use super::space::Space;
use crate::clock;
use crate::machine;
use crate::process::stop_if_interrupted;
use crate::summary::Samples;
use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What pings said.
#[derive(Clone, Debug, Default)]
pub struct Pings {
    /// Round trips in milliseconds.
    pub rtt: Samples,
    /// Pings without an answer.
    pub lost: usize,
}

/// Sends ICMP echo requests from `space` to `to`, one each `every` microseconds; the peer's kernel answers them.
///
/// # Errors
/// When no raw socket may be had.
pub fn ping(space: &Space, to: Ipv4Addr, count: u16, every: u64) -> Result<Pings> {
    let mut socket = space.inside(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).context("no raw socket")?;
        socket.connect(&SocketAddr::from((to, 0)).into())?;
        socket.set_read_timeout(Some(Duration::from_micros(200)))?;
        Ok(socket)
    })?;
    let mut sent = vec![None; usize::from(count)];
    let mut pings = Pings::default();
    let begun = clock::now();
    let end = begun + u64::from(count) * every + LAST_US;
    let mut next = 0_u16;
    let mut buffer = [0; 256];
    while clock::now() < end && pings.rtt.0.len() < sent.len() {
        let now = clock::now();
        if next < count && now >= begun + u64::from(next) * every {
            socket.send(&echo(next))?;
            if let Some(slot) = sent.get_mut(usize::from(next)) {
                *slot = Some(now);
            }
            next += 1;
        }
        // An answer: a header of 20 bytes, type 0, our identifier, the number.
        if let Ok(len) = socket.read(&mut buffer)
            && let Some([0, _, _, _, a, b, c, d]) = buffer.get(20..28.min(len))
            && [*a, *b] == IDENTIFIER
            && let Some(at) = sent.get_mut(usize::from(u16::from_be_bytes([*c, *d]))).and_then(Option::take)
        {
            pings.rtt.add_us(clock::now() - at);
        }
        stop_if_interrupted()?;
    }
    pings.lost = sent.iter().flatten().count();
    Ok(pings)
}

/// An echo request of 64 bytes, as `ping` sends them.
fn echo(number: u16) -> [u8; 64] {
    let mut packet = [0; 64];
    let [c, d] = number.to_be_bytes();
    packet[0] = 8;
    (packet[4], packet[5], packet[6], packet[7]) = (IDENTIFIER[0], IDENTIFIER[1], c, d);
    let sum: u32 = packet.chunks(2).map(|p| u32::from(u16::from_be_bytes([p[0], p[1]]))).sum();
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    [packet[2], packet[3]] = sum.to_be_bytes();
    packet
}

/// What a flood through the link brought.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// IP bytes that arrived, in bits a second, between the first and the last.
    pub bit_per_s: f64,
    /// Packets sent.
    pub sent: u64,
    /// Packets that arrived.
    pub arrived: u64,
}

/// Sends UDP packets of 1500 bytes from one namespace to the other for `seconds`: at `bit_per_s`, or as fast as it can.
///
/// # Errors
/// When a socket cannot be had.
pub fn flood(from: &Space, to: &Space, bit_per_s: Option<f64>, seconds: f64) -> Result<Flood> {
    let receiver = to.inside(|| Ok(UdpSocket::bind((to.address, 0))?))?;
    let sender = from.inside(|| Ok(UdpSocket::bind((from.address, 0))?))?;
    let address = receiver.local_addr()?;
    receiver.set_read_timeout(Some(Duration::from_millis(50)))?;
    let over = AtomicBool::new(false);
    let (sent, got) = std::thread::scope(|scope| -> Result<_> {
        let reading = scope.spawn(|| {
            let (mut packets, mut first, mut last) = (0_u64, None, 0);
            let mut buffer = [0; 2048];
            let mut after = 0;
            // Half a second of silence after the last packet was sent.
            while after < 10 {
                match receiver.recv(&mut buffer) {
                    Ok(_) => {
                        last = clock::now();
                        first.get_or_insert(last);
                        packets += 1;
                    }
                    Err(_) => after += u32::from(over.load(Ordering::Relaxed)),
                }
            }
            (packets, last - first.unwrap_or(last))
        });
        clock::sharpen();
        let begun = clock::now();
        let mut sent = 0_u64;
        let until = begun + (seconds * 1e6) as u64;
        let mut fault = None;
        while clock::now() < until {
            if let Some(rate) = bit_per_s {
                clock::sleep_until(begun + (sent as f64 * 12_000.0 * 1e6 / rate) as u64);
            }
            if sender.send_to(&[0x5a; 1472], address).is_ok() {
                sent += 1;
            }
            fault = fault.or(stop_if_interrupted().err());
            if fault.is_some() {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        let got = reading.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
        fault.map_or(Ok((sent, got)), Err)
    })?;
    let (arrived, us) = got;
    // The first packet only starts the clock.
    let bits = arrived.saturating_sub(1) as f64 * 12_000.0;
    Ok(Flood { bit_per_s: bits * 1e6 / us.max(1) as f64, sent, arrived })
}

/// `telepane-bench link --check`.
///
/// # Errors
/// When the link cannot be made.
pub fn run(profile: &Profile, seed: u64) -> Result<String> {
    // The probes' own lateness is not the link's.
    clock::hasten();
    let none = Emulator::start(&Profile { mtu: profile.mtu, ..Profile::none() }, seed, None, None)?;
    let loopback = ping(&none.client, CLIENT, 300, 2_000)?;
    let through = ping(&none.client, HOST, 300, 2_000)?;
    let (cpu, packets, begun) = (none.cpu_us(), none.counts().1.packets_in, clock::now());
    flood(&none.host, &none.client, None, FLOOD_S)?;
    let cost = (none.cpu_us() - cpu) as f64 / (none.counts().1.packets_in - packets).max(1) as f64;
    // By the emulator's own count: who floods and who receives want the same processors, and a receiver that does not get
    // one in time loses what was carried to it.
    let until = begun + (FLOOD_S * 1e6) as u64;
    let carried: Vec<u64> =
        none.ticks(begun).iter().filter(|t| t.at <= until).skip(1).map(|t| t.down.delivered).collect();
    let most = carried.iter().sum::<u64>() as f64 * 8e6 / (carried.len() as f64 * TICK_US as f64).max(1.0);
    drop(none);
    let link = Emulator::start(&Profile { changes: Vec::new(), ..profile.clone() }, seed, None, None)?;
    let pings = ping(&link.client, HOST, 300, 10_000)?;
    let rate = profile.model.rate.map(|r| r.as_bps() as f64);
    let down = flood(&link.host, &link.client, rate.map(|r| r * 1.2), 2.0)?;
    let up = flood(&link.client, &link.host, rate.map(|r| r * 1.2), 2.0)?;
    let cpu = link.cpu_us();
    let slow = flood(&link.host, &link.client, rate.map(|r| r * 0.5), 2.0)?;
    let used = (link.cpu_us() - cpu) as f64 / 2.5e6;
    let ms = |s: &Samples, p| s.percentile(p).map_or_else(|| "-".into(), |v| format!("{v:.2}"));
    let mbit = |v: f64| format!("{:.2}", v / 1e6);
    let set = rate.map_or_else(|| "none".into(), mbit);
    let loss = |f: &Flood| (f.sent - f.arrived.min(f.sent)) as f64 * 100.0 / f.sent.max(1) as f64;
    Ok(format!(
        "{profile}: {}\n\n\
         | | set | measured |\n|---|---|---|\n\
         | RTT, idle, ms (p50 / p95 / max of 300 pings) | {} | {} / {} / {} |\n\
         | rate down, Mbit/s, offered 1.2 of it | {set} | {} |\n\
         | rate up | {set} | {} |\n\
         | loss, % (pings both ways; half the rate down) | {} | {:.1}; {:.1} |\n\
         | the emulator's own round trip, nothing set, ms (p50 / p95 / p99) | 0 | {} / {} / {} |\n\
         | beside loopback in one namespace, ms (p50 / p95) | | {} / {} |\n\
         | what it carried one way, flooded, nothing set, beside the flood's own programs at a load of {:.1}, Mbit/s | | {} |\n\
         | its CPU per packet of 1500 B, us | | {cost:.1} |\n\
         | what a core of its own would carry by that, Mbit/s | | {:.0} |\n\
         | its CPU at half the rate, cores | | {used:.3} |\n",
        profile.describe(),
        profile.rtt().as_millis_f64(),
        ms(&pings.rtt, 50.0),
        ms(&pings.rtt, 95.0),
        ms(&pings.rtt, 100.0),
        mbit(down.bit_per_s),
        mbit(up.bit_per_s),
        f64::from(profile.model.loss_ppm) / 1e4,
        pings.lost as f64 * 100.0 / 300.0,
        loss(&slow),
        ms(&through.rtt, 50.0),
        ms(&through.rtt, 95.0),
        ms(&through.rtt, 99.0),
        ms(&loopback.rtt, 50.0),
        ms(&loopback.rtt, 95.0),
        machine::load(),
        mbit(most),
        PACKET_BITS / cost.max(1e-3),
    ))
}

const IDENTIFIER: [u8; 2] = *b"tp";
/// A packet of the flood with its headers, so that bits over microseconds are Mbit/s.
const PACKET_BITS: f64 = 12_000.0;
/// How long nothing but the emulator's own cost limits it.
const FLOOD_S: f64 = 1.0;
/// How long the last answer may take.
const LAST_US: u64 = 3_000_000;
