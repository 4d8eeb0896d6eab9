//! A network namespace with one TUN device: a machine's own network stack, whose packets the harness holds in its hands.
//!
//! The namespace has no process of its own: it lives as long as this holds its descriptor, so nothing is left behind
//! however the harness ends. IPv6 is off in it, so that nothing but the programs' own packets goes over the link.

use crate::process::find;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// A network of its own.
#[derive(Debug)]
pub struct Space {
    space: File,
    /// The device's packets: whole IP packets, one each read and write, without blocking.
    pub tun: File,
    /// Its address.
    pub address: Ipv4Addr,
}

impl Space {
    /// A fresh one, whose peer is reached over the TUN device.
    ///
    /// # Errors
    /// When the system does not let us (it needs root, /dev/net/tun and the program `ip`).
    pub fn open(address: Ipv4Addr, peer: Ipv4Addr, mtu: u16, congestion: Option<&str>) -> Result<Self> {
        find("ip").context("the program `ip` is not installed; on Debian and Ubuntu: apt-get install iproute2")?;
        let congestion = congestion.map(str::to_owned);
        // A thread of its own moves into the new namespace and ends there; the rest of the harness stays where it is.
        let made = std::thread::spawn(move || -> Result<(File, File)> {
            // SAFETY: takes flags; only this thread moves.
            ensure!(unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0, "{}", std::io::Error::last_os_error());
            let space = File::open("/proc/thread-self/ns/net")?;
            // Where the kernel has no IPv6 there is nothing to switch off.
            let _ = std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
            let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
            if let Some(name) = congestion {
                std::fs::write("/proc/sys/net/ipv4/tcp_congestion_control", &name)
                    .with_context(|| format!("this kernel does not offer TCP congestion control {name}"))?;
            }
            Ok((space, tun()?))
        });
        let made = made.join().map_err(|_| anyhow::anyhow!("the namespace's thread panicked"))?;
        let (space, tun) = made.context("no network namespace with a TUN device may be made")?;
        let me = Self { space, tun, address };
        me.ip(&["link", "set", "lo", "up"])?;
        let (address, peer, mtu) = (address.to_string(), peer.to_string(), mtu.to_string());
        me.ip(&["addr", "add", &address, "peer", &peer, "dev", DEVICE])?;
        me.ip(&["link", "set", DEVICE, "mtu", &mtu, "txqueuelen", "10000", "up"])?;
        Ok(me)
    }

    /// Runs `ip` in it.
    ///
    /// # Errors
    /// With what it said.
    pub fn ip(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new(find("ip").context("the program `ip` is not installed")?);
        self.enter(command.args(args));
        let output = command.output().context("ip does not start")?;
        ensure!(output.status.success(), "ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// Lays a cable to another one: an Ethernet device here and one there, each with its own network (`ADDRESS/LENGTH`).
    ///
    /// # Errors
    /// With what `ip` said.
    pub fn cable(
        &self,
        [name, network]: [&str; 2],
        other: &Self,
        [their_name, their_network]: [&str; 2],
    ) -> Result<()> {
        let there = other.path().display().to_string();
        self.ip(&["link", "add", name, "type", "veth", "peer", "name", their_name, "netns", &there])?;
        for (space, name, network) in [(self, name, network), (other, their_name, their_network)] {
            space.ip(&["addr", "add", network, "dev", name])?;
            space.ip(&["link", "set", name, "up"])?;
        }
        Ok(())
    }

    /// Makes a program start in it.
    pub fn enter(&self, command: &mut Command) {
        let space = self.space.as_raw_fd();
        // SAFETY: setns is async-signal-safe; the descriptor stays open as long as `self`, which outlives the start.
        unsafe { command.pre_exec(move || enter(space)) };
    }

    /// Calls `work` in it, on a thread of its own. A socket made there stays there and may be used anywhere.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let space = self.space.as_raw_fd();
        let done = std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                enter(space)?;
                work()
            });
            thread.join()
        });
        match done {
            Ok(done) => done,
            Err(_) => bail!("a thread in the namespace panicked"),
        }
    }

    /// The TCP congestion control new connections get here.
    pub fn congestion(&self) -> String {
        let read = || Ok(std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")?);
        self.inside(read).map_or_else(|_| "unknown".into(), |name| name.trim().to_owned())
    }

    /// A path that `nsenter --net=PATH` takes while the harness runs.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.space.as_raw_fd()))
    }
}

fn enter(space: RawFd) -> std::io::Result<()> {
    // SAFETY: takes a descriptor and flags; the calling thread moves.
    if unsafe { libc::setns(space, libc::CLONE_NEWNET) } == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// A TUN device in the calling thread's namespace.
fn tun() -> Result<File> {
    let mut options = File::options();
    let device = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun");
    let device = device.context("/dev/net/tun")?;
    /// `struct ifreq` as TUNSETIFF reads it: a name, flags, and room for the rest of the union.
    #[repr(C)]
    struct Request([u8; 16], libc::c_short, [u8; 22]);
    let mut request = Request([0; 16], (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short, [0; 22]);
    request.0.iter_mut().zip(DEVICE.bytes()).for_each(|(to, from)| *to = from);
    // SAFETY: the request is a whole `struct ifreq` (40 bytes on Linux) that outlives the call.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
    ensure!(done == 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
    Ok(device)
}

const DEVICE: &str = "tp0";
