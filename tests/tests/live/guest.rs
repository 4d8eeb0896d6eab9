//! A machine of its own: Debian with systemd, emulated, and the agent in it as `packaging/telepane-host.service` has it
//! started for a user who is not logged in. It sleeps, wakes and goes down as machines do, which a container cannot.
//!
//! Only with `TELEPANE_GUEST=1`, as root: its system of about 1 GB is put together once, from the packages that this
//! machine's sources name, and it is emulated in software (`-accel tcg`), so that it is the same wherever it runs: it
//! takes a minute to be there.

use super::process::{Running, Scratch, have, until};
use super::stage::CODE;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long an emulated machine may take to come up or go down beside other work.
pub const SLOW: Duration = Duration::from_secs(400);

/// What is in it besides a minimal system.
const PACKAGES: &str = "linux-image-amd64,systemd,systemd-sysv,dbus,dbus-user-session,polkitd,libpam-systemd,udev,iproute2,\
    libxcb1,libxcb-shm0,libxcb-randr0,libstdc++6,xserver-xorg-core,xserver-xorg-video-dummy,xauth,openbox,fonts-dejavu-core";
/// What is made of it: a user whose services run without a login, a network, and all that is logged on the console.
const SETUP: &str = r#"set -e
useradd --root "$1" --create-home --uid 1000 desk
mkdir -p "$1/var/lib/systemd/linger" && touch "$1/var/lib/systemd/linger/desk"
printf '[Match]\nName=e*\n[Network]\nDHCP=yes\n' > "$1/etc/systemd/network/80-all.network"
systemctl --root="$1" enable systemd-networkd
mkdir -p "$1/etc/systemd/journald.conf.d"
printf '[Journal]\nForwardToConsole=yes\nMaxLevelConsole=info\n' > "$1/etc/systemd/journald.conf.d/console.conf"
echo '/dev/vda / ext4 defaults 0 1' > "$1/etc/fstab"
echo guest > "$1/etc/hostname"
"#;

/// Whether there can be a guest; says why not.
pub fn can(test: &str) -> bool {
    if std::env::var_os("TELEPANE_GUEST").is_none() {
        println!(
            "{test}: skipped, it takes a machine of its own: with TELEPANE_GUEST=1, as root, it is made and emulated"
        );
        return false;
    }
    have(test, &["qemu-system-x86_64", "mmdebstrap", "mke2fs", "useradd"])
}

/// A machine that is on, or was.
pub struct Guest {
    qemu: Running,
    control: BufReader<UnixStream>,
    console: PathBuf,
    /// From where its agent answers.
    pub addr: SocketAddr,
    /// Two at once would have no room on small machines.
    _alone: MutexGuard<'static, ()>,
}

impl Guest {
    /// Switches on the machine whose disk is `disk`; its agent will answer at `addr`.
    pub fn start(dir: &Scratch, disk: &Path, addr: SocketAddr) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (console, control) = (dir.join("console"), dir.join("qmp"));
        let _ = fs::remove_file(&control);
        let system = system();
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024"]);
        command.args(["-nodefaults", "-display", "none", "-device", "virtio-keyboard-pci"]);
        command.arg("-kernel").arg(system.join("vmlinuz")).arg("-initrd").arg(system.join("initrd.img"));
        command.args(["-append", "root=/dev/vda rw console=ttyS0"]);
        command.arg("-drive").arg(format!("file={},if=virtio,format=raw", disk.display()));
        command.arg("-netdev").arg(format!("user,id=net,hostfwd=udp:{}:{}-:8443", addr.ip(), addr.port()));
        command.args(["-device", "virtio-net-pci,netdev=net"]);
        command.arg("-serial").arg(format!("file:{}", console.display()));
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", control.display()));
        let qemu = Running::start("qemu", &mut command);
        let mut stream = None;
        until("the machine takes orders", SLOW, || {
            stream = UnixStream::connect(&control).ok();
            stream.is_some()
        });
        let control = BufReader::new(stream.expect("it was waited for"));
        let mut guest = Self { qemu, control, console, addr, _alone: alone };
        guest.read();
        guest.ask("qmp_capabilities", &serde_json::json!({}));
        guest
    }

    fn read(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.control.read_line(&mut line).expect("the machine answers");
        serde_json::from_str(&line).expect("it speaks QMP")
    }

    /// One order and its answer; what happens meanwhile is passed over.
    fn ask(&mut self, what: &str, how: &serde_json::Value) -> serde_json::Value {
        let order = serde_json::json!({ "execute": what, "arguments": how });
        writeln!(self.control.get_mut(), "{order}").expect("the machine takes orders");
        loop {
            let mut answer = self.read();
            assert!(answer.get("error").is_none(), "{what}: {answer}");
            if let Some(answer) = answer.get_mut("return") {
                return answer.take();
            }
        }
    }

    /// Presses a key of its keyboard, by QEMU's name for it.
    pub fn press(&mut self, key: &str) {
        let keys = serde_json::json!({ "keys": [{ "type": "qcode", "data": key }] });
        self.ask("send-key", &keys);
    }

    /// Whether it sleeps: its processors stand still and its memory is kept.
    pub fn sleeps(&mut self) -> bool {
        self.ask("query-status", &serde_json::json!({}))["status"] == "suspended"
    }

    /// Wakes it.
    pub fn wake(&mut self) {
        self.ask("system_wakeup", &serde_json::json!({}));
    }

    /// Presses its power button.
    pub fn press_power(&mut self) {
        self.ask("system_powerdown", &serde_json::json!({}));
    }

    /// What it logged so far.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).unwrap_or_default()).into_owned()
    }

    /// Waits until its console has these words.
    pub fn says(&self, words: &str) -> Duration {
        until(&format!("the machine says {words:?}"), SLOW, || self.console().contains(words))
    }

    /// Waits until it is off.
    pub fn is_off(&mut self) {
        assert_eq!(self.qemu.exit_code(SLOW), 0, "{}", self.qemu.err());
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let console = self.console();
            let lines: Vec<&str> = console.lines().rev().take(60).collect();
            eprintln!("--- the end of the machine's console:");
            lines.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// The disk of a machine with today's agent.
pub fn disk(dir: &Scratch, agent: &Path) -> PathBuf {
    let root = dir.join("root");
    shell("cp --archive \"$1\" \"$2\"", &[&system(), &root]);
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/telepane-host.service");
    let code = dir.write("guest-code", CODE);
    let config = dir.write("guest-config", "access-code-file = \"/home/desk/code\"\n");
    shell(
        r#"set -e
        home="$1/home/desk"; units="$home/.config/systemd/user"
        install -D --mode=755 "$2" "$home/.cargo/bin/telepane-host"
        install -D --mode=644 "$3" "$units/telepane-host.service"
        mkdir -p "$units/default.target.wants"
        ln -s ../telepane-host.service "$units/default.target.wants/"
        install --mode=600 "$4" "$home/code"
        install -D --mode=600 "$5" "$home/.config/telepane-host/config.toml"
        chown --recursive 1000:1000 "$home"
        mke2fs -q -t ext4 -d "$1" "$1.img" 3G
        rm --recursive "$1"
        "#,
        &[&root, agent, &unit, &code, &config],
    );
    dir.join("root.img")
}

/// The system without the agent, made when it is first needed.
fn system() -> PathBuf {
    let system = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest");
    if !system.is_dir() {
        println!("the guest's system is put together; that takes some minutes");
        let new = system.with_extension("new");
        let _ = fs::remove_dir_all(&new);
        let setup = system.with_extension("setup");
        fs::write(&setup, SETUP).expect("the directory is cargo's");
        shell(
            r#"mmdebstrap --quiet --variant=minbase --include="$3" --aptopt='APT::Install-Recommends "false"' \
                --customize-hook="sh '$2' \"\$1\"" bookworm "$1""#,
            &[&new, &setup, Path::new(PACKAGES)],
        );
        fs::rename(&new, &system).expect("the directory is cargo's");
    }
    system
}

fn shell(script: &str, args: &[&Path]) {
    let out = Command::new("sh").arg("-c").arg(script).arg("sh").args(args).output().expect("there is a shell");
    assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
}
