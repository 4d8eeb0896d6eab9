//! The same path through the kernel's own network stack: agent and client each in a network namespace, and between
//! them two TUN devices whose packets this test carries, loses and reorders. Needs root; says so where it is not.

use super::path::in_a_terminal;
use super::process::{PATIENCE, Running, Scratch, have, now, pause, until};
use super::screen::{Screen, exact};
use super::stage::{Agent, SIZE, Stage, connect_in, types};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use telepane_model::Rng;

const HOST: &str = "10.77.0.1";
const CLIENT: &str = "10.77.0.2";
const MOVED: &str = "10.77.0.3";

/// One way.
const DELAY: Duration = Duration::from_millis(10);
/// A packet that is overtaken comes this much later.
const LATE: Duration = Duration::from_millis(4);

#[test]
fn the_same_between_two_network_namespaces() {
    if !have("namespaces", &["Xvfb", "xterm", "ip", "unshare", "nsenter"]) {
        return;
    }
    let dir = Scratch::new();
    let spaces = match [(); 2].map(|()| Namespace::open()) {
        [Ok(a), Ok(b)] => [a, b],
        [Err(why), _] | [_, Err(why)] => return println!("namespaces: skipped, {why}"),
    };
    let link = Link::between(spaces.each_ref().map(|s| s.tun.try_clone().expect("a descriptor")));
    spaces[0].ip(&["addr", "add", HOST, "peer", CLIENT, "dev", "tp0"]);
    spaces[1].ip(&["addr", "add", CLIENT, "peer", HOST, "dev", "tp0"]);
    spaces[0].ip(&["route", "add", MOVED, "dev", "tp0"]);

    let (here, there) = (Screen::start(SIZE.0, SIZE.1), Screen::start(SIZE.0, SIZE.1));
    here.paint_root(1);
    let listen = format!("{HOST}:0");
    let agent = Agent::in_namespace(spaces[0].pid(), &dir, &listen, &["--display", &here.name]);
    let addr = agent.addr.to_string();
    let client = connect_in(spaces[1].pid(), &dir, "client", &there, &addr, &["--fullscreen"]);
    println!("namespaces: exact {:?} after the start of the client", exact(&here, &there, PATIENCE));
    let mut stage = Stage { client, relay: None, agent, there, here, dir };
    in_a_terminal(&stage);

    // The client's machine changes from one network to the next: for a moment it has no address and no route.
    spaces[1].ip(&["addr", "del", CLIENT, "peer", HOST, "dev", "tp0"]);
    pause(Duration::from_secs(1));
    spaces[1].ip(&["addr", "add", MOVED, "peer", HOST, "dev", "tp0"]);
    let file = stage.dir.join("moved");
    let _xterm = stage.terminal(&format!("exec cat > {}", file.display()));
    let start = now();
    types(&stage, &file, "from another address\n");
    println!("namespaces: typed and exact {:?} after the address changed", start.elapsed());
    until("the agent sees the other address", PATIENCE, || stage.agent.run.err().contains(MOVED));
    assert_eq!(stage.client.ended(), None, "the client lives");
    let (carried, lost) = link.counts();
    println!("namespaces: {carried} packets carried, {lost} lost");
    assert!(lost > 0, "the link lost nothing");
}

/// A network namespace with one TUN device. It lasts as long as the process that holds it.
struct Namespace {
    holder: Running,
    tun: File,
}

impl Namespace {
    /// A fresh one, or why there can be none here.
    fn open() -> Result<Self, String> {
        let own = std::fs::read_link("/proc/self/ns/net").map_err(|e| e.to_string())?;
        let mut holder = Running::start("namespace", Command::new("unshare").args(["--net", "sleep", "600"]));
        let path = format!("/proc/{}/ns/net", holder.pid());
        let start = now();
        while std::fs::read_link(&path).is_ok_and(|n| n == own) {
            if holder.ended().is_some() || start.elapsed() > PATIENCE {
                return Err(format!("no network namespace may be made: {}", holder.all_err().trim()));
            }
            pause(Duration::from_millis(5));
        }
        let tun = tun(path).map_err(|e| format!("no TUN device may be made: {e}"))?;
        let space = Self { holder, tun };
        space.ip(&["link", "set", "lo", "up"]);
        space.ip(&["link", "set", "tp0", "up"]);
        Ok(space)
    }

    fn pid(&self) -> u32 {
        self.holder.pid()
    }

    fn ip(&self, args: &[&str]) {
        let net = format!("--net=/proc/{}/ns/net", self.pid());
        let output = Command::new("nsenter").args([net.as_str(), "ip"]).args(args).output().expect("nsenter starts");
        assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A TUN device `tp0` in the namespace at `path`.
fn tun(path: String) -> std::io::Result<File> {
    let made = std::thread::spawn(move || {
        let space = File::open(path)?;
        // SAFETY: an open descriptor of a namespace; only this thread, which ends below, moves there.
        if unsafe { libc::setns(space.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        let mut options = File::options();
        let device = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
        /// `struct ifreq` as TUNSETIFF reads it: a name, flags, and room for the rest of the union.
        #[repr(C)]
        struct Request([u8; 16], libc::c_short, [u8; 22]);
        let mut request = Request([0; 16], (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short, [0; 22]);
        request.0[..3].copy_from_slice(b"tp0");
        // SAFETY: the request is a whole `struct ifreq` (40 bytes on Linux) that outlives the call.
        if unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(device)
    });
    made.join().expect("it does not panic")
}

/// Carries packets between two TUN devices until it is dropped.
struct Link {
    stop: Arc<AtomicBool>,
    counts: Arc<[AtomicU32; 2]>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    fn between(mut ends: [File; 2]) -> Self {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::<[AtomicU32; 2]>::default());
        let (stopped, counted) = (stop.clone(), counts.clone());
        let thread = std::thread::spawn(move || {
            let (start, mut rng, mut buffer, mut number) = (now(), Rng::new(5), vec![0; 65_536], 0_u64);
            let mut flying: BTreeMap<(Duration, u64), (usize, Vec<u8>)> = BTreeMap::new();
            while !stopped.load(Ordering::Relaxed) {
                for (from, end) in ends.iter_mut().enumerate() {
                    while let Ok(n @ 1..) = end.read(&mut buffer) {
                        let (chance, late) = (rng.next_u64() % 100, rng.next_u64() % 100);
                        if chance < 5 {
                            counted[1].fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        counted[0].fetch_add(1, Ordering::Relaxed);
                        let due = start.elapsed() + DELAY + if late < 3 { LATE } else { Duration::ZERO };
                        number += 1;
                        flying.insert((due, number), (1 - from, buffer[..n].to_vec()));
                    }
                }
                while let Some(first) = flying.first_entry().filter(|f| f.key().0 <= start.elapsed()) {
                    let (to, packet) = first.remove();
                    // As on any link, what is not taken is lost.
                    let _ = ends[to].write(&packet);
                }
                pause(Duration::from_micros(300));
            }
        });
        Self { stop, counts, thread: Some(thread) }
    }

    /// Packets carried and lost.
    fn counts(&self) -> (u32, u32) {
        (self.counts[0].load(Ordering::Relaxed), self.counts[1].load(Ordering::Relaxed))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
