//! The client built for Windows, run by Wine against the real agent: its window, keys, pointer and sound, with Wine's
//! user32, GDI, Winsock and WASAPI in Windows' place. `cargo xtask elsewhere --run` builds it and names it in `TELEPANE_WINE`;
//! otherwise each test says that it is skipped.
//!
//! One at a time: they share a prefix, and so a server, a desktop and a registry.

use super::process::{PATIENCE, Running, Scratch, now, pause, until};
use super::screen::{Screen, environment, exact};
use super::stage::{Agent, CODE, SIZE, Stage};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

mod keys;
mod sound;
mod window;

const CHANCE: &str = "
#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) { return RtlGenRandom(data, (ULONG)size); }
";

/// Wine takes so long at most to make a prefix, and to start.
const WINE_STARTS: Duration = Duration::from_secs(180);

/// Wine, for the test that holds this; ended with it.
pub struct Wine {
    program: PathBuf,
    prefix: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Wine {
    /// `None`, and a word of it, where no client for Windows is named, or Wine is missing.
    pub fn start(test: &str) -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        let Some(program) = std::env::var_os("TELEPANE_WINE").map(PathBuf::from) else {
            println!("{test}: skipped: TELEPANE_WINE names no client for Windows (cargo xtask elsewhere --run)");
            return None;
        };
        if !super::process::have(test, &["wine", "wineserver", "Xvfb"]) {
            return None;
        }
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let prefix = program.with_file_name("wine-prefix");
        let wine = Self { program, prefix, _alone: alone };
        wine.end();
        if !wine.prefix.join("system.reg").exists() {
            let made = wine.command(&wine.prefix.join(".."), None).args(["wineboot", "--init"]).status();
            assert!(made.expect("wine can be started").success(), "wine makes no prefix");
            wine.end();
            wine.complete();
        }
        Some(wine)
    }

    /// Gives Windows' source of chance, which Rust's library calls, to a Wine that has none yet (8.0, Debian 12).
    fn complete(&self) {
        let library = self.prefix.join("drive_c/windows/system32/bcryptprimitives.dll");
        if library.exists() {
            return;
        }
        let source = self.prefix.join("chance.c");
        std::fs::write(&source, CHANCE).expect("the prefix is ours");
        let mut compiler = Command::new("x86_64-w64-mingw32-gcc");
        let made = compiler.arg("-shared").arg("-o").arg(library).arg(source).arg("-ladvapi32").status();
        assert!(made.is_ok_and(|made| made.success()), "MinGW compiles a library");
    }

    /// Asks Wine's server to end, with all that runs on it, and waits for it.
    fn end(&self) {
        for what in ["-k", "-w"] {
            let mut server = Command::new("wineserver");
            let _ = server.env("WINEPREFIX", &self.prefix).arg(what).status();
        }
    }

    fn command(&self, home: &Path, screen: Option<&Screen>) -> Command {
        let mut command = Command::new("wine");
        // Without the questions that Wine asks at its first start, and without menu entries for this machine's desktop.
        environment(&mut command, home)
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "mscoree=;mshtml=;winemenubuilder.exe=")
            .envs(screen.map(|screen| ("DISPLAY", screen.name.clone())));
        command
    }

    /// `%LOCALAPPDATA%` of the one user that the prefix has.
    pub fn local_data(&self) -> PathBuf {
        let users = std::fs::read_dir(self.prefix.join("drive_c/users")).expect("the prefix has users").flatten();
        let data = users
            .map(|user| user.path().join("AppData/Local"))
            .find(|data| data.is_dir() && !data.to_string_lossy().contains("Public"));
        data.expect("it has a user")
    }

    /// `telepane` with these arguments.
    pub fn telepane(&self, dir: &Scratch, screen: Option<&Screen>, args: &[&str]) -> Running {
        let mut command = self.command(&dir.join(""), screen);
        command.env("RUST_LOG", "info").env("NO_COLOR", "1").arg(&self.program).args(args);
        Running::start("telepane.exe", &mut command)
    }

    /// `telepane connect` with the code and with its state in `dir`.
    pub fn connect(&self, dir: &Scratch, screen: Option<&Screen>, host: &str, args: &[&str]) -> Running {
        let (code, state) = (windows_path(&dir.write("client-code", CODE)), windows_path(&dir.join("client")));
        let fixed = ["connect", host, "--access-code-file", &code, "--state-dir", &state];
        let headless = if screen.is_none() { &["--headless"][..] } else { &[] };
        self.telepane(dir, screen, &[&fixed, headless, args].concat())
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        self.end();
    }
}

/// A path as programs under Wine see it.
pub fn windows_path(path: &Path) -> String {
    format!("Z:{}", path.display().to_string().replace('/', "\\"))
}

/// A whole set: a host's screen with an agent, and a client for Windows over all of a screen of the same size. The first picture
/// is there, and the client has the keyboard.
fn staged(test: &str, args: &[&str]) -> Option<(Wine, Stage)> {
    let wine = Wine::start(test)?;
    let dir = Scratch::new();
    let (here, there) = (Screen::start(SIZE.0, SIZE.1), Screen::start(SIZE.0, SIZE.1));
    here.paint_root(1);
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let args = [&["--fullscreen"], args].concat();
    let client = wine.connect(&dir, Some(&there), &agent.addr.to_string(), &args);
    let stage = Stage { client, relay: None, agent, there, here, dir };
    let took = exact(&stage.here, &stage.there, WINE_STARTS);
    println!("{test}: the first picture: exact {took:?} after the start of the client");
    give_keyboard(&stage.there);
    Some((wine, stage))
}

/// Gives the keyboard to the client's window: Wine leaves that to a window manager, and there is none; and it takes a window that
/// lost it for one in front again only when it is clicked.
fn give_keyboard(there: &Screen) {
    let client = || there.titles().into_iter().find(|title| title.ends_with("Telepane"));
    until("the client has a window", PATIENCE, || client().is_some());
    there.give_focus(&client().expect("just seen"));
    there.click((SIZE.0 - 20) as i16, (SIZE.1 - 20) as i16);
}

/// Waits until a program has ended, which under Wine takes its time; its exit code.
fn ends(run: &mut Running) -> i32 {
    let start = now();
    while run.ended().is_none() && start.elapsed() < WINE_STARTS {
        pause(Duration::from_millis(20));
    }
    run.exit_code(PATIENCE)
}
