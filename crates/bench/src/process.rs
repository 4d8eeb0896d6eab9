//! Processes the harness starts: each in a group of its own with its output in a file, ended with its whole group when
//! it is dropped, and when the harness itself is killed. CPU time and memory are read for the whole tree.

use crate::clock;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// A started program and what it started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts a program with its output in `DIR/NAME.log`.
    ///
    /// # Errors
    /// When it cannot be started; with its name.
    pub fn start(command: &mut Command, name: &str, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let out = File::create(&log)?;
        command.stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out).process_group(0);
        // SAFETY: prctl is async-signal-safe and touches only the new process.
        unsafe { command.pre_exec(die_with_parent) };
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        Ok(Self { child, name: name.into(), log })
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails with its last words if it has ended.
    ///
    /// # Errors
    /// When it has ended.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let output = self.output();
            let last: Vec<&str> = output.lines().rev().take(8).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            bail!("{} ended with {status}; its last words:\n  {}", self.name, last.join("\n  "));
        }
        Ok(())
    }

    /// Waits for a line that `find` takes, at most `most` microseconds.
    ///
    /// # Errors
    /// When the program ends first, or the time is over.
    pub fn wait_for<T>(&mut self, most: u64, what: &str, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        let until = clock::now() + most;
        loop {
            if let Some(found) = self.output().split_inclusive('\n').filter(|l| l.ends_with('\n')).find_map(&find) {
                return Ok(found);
            }
            self.check()?;
            stop_if_interrupted()?;
            if clock::now() > until {
                bail!("{} did not say {what} within {} s; it said:\n{}", self.name, most / 1_000_000, self.output());
            }
            clock::pause(5_000);
        }
    }

    /// Asks it to end and waits; after `most` microseconds kills its group. Says whether it ended by itself.
    pub fn stop(&mut self, most: u64) -> bool {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return true;
        }
        // SAFETY: a signal to a process of ours that has not been waited for, so the id is still its own.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let until = clock::now() + most;
        while clock::now() < until {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return true;
            }
            clock::pause(5_000);
        }
        false
    }

    fn kill_group(&self, signal: i32) {
        // SAFETY: the group was made by us and bears the id of a child that has not been reaped, or whose members still
        // hold it.
        unsafe { libc::kill(-(self.child.id() as i32), signal) };
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group(libc::SIGTERM);
        if !self.stop(1_000_000) {
            self.kill_group(libc::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// CPU time of some process trees, microseconds by process, so that two readings can be subtracted.
#[derive(Clone, Debug, Default)]
pub struct CpuTime(BTreeMap<u32, u64>);

impl CpuTime {
    /// Now, of these processes and everything below them or in their groups.
    pub fn of(roots: &[u32]) -> Self {
        Self(tree(roots).into_iter().filter_map(|id| Some((id, cpu_us(id)?))).collect())
    }

    /// Microseconds spent since `before`. What a process that has ended meanwhile spent is not in it.
    pub fn since(&self, before: &Self) -> u64 {
        self.0.iter().map(|(id, us)| us - before.0.get(id).copied().unwrap_or(0).min(*us)).sum()
    }
}

/// Resident memory of these trees in KiB.
pub fn resident_kib(roots: &[u32]) -> u64 {
    let page_kib = 4;
    let resident = |id: u32| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
        text.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    tree(roots).into_iter().filter_map(resident).map(|pages| pages * page_kib).sum()
}

/// Open descriptors of these trees.
pub fn descriptors(roots: &[u32]) -> usize {
    tree(roots).iter().filter_map(|id| std::fs::read_dir(format!("/proc/{id}/fd")).ok()).map(Iterator::count).sum()
}

/// Threads of these trees.
pub fn threads(roots: &[u32]) -> usize {
    tree(roots).iter().filter_map(|id| std::fs::read_dir(format!("/proc/{id}/task")).ok()).map(Iterator::count).sum()
}

/// Keeps these trees, with all their threads, on one core.
///
/// # Errors
/// When there is no such core.
pub fn pin(roots: &[u32], core: usize) -> Result<()> {
    // SAFETY: the set is plain data, for which zero is a value; the macros' bounds are the set's own.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        set
    };
    for id in tree(roots) {
        let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        for thread in threads.filter_map(|t| t.file_name().to_str()?.parse::<i32>().ok()) {
            // SAFETY: reads the set, whose size is given. A thread that has ended meanwhile is no matter.
            let done = unsafe { libc::sched_setaffinity(thread, size_of_val(&set), &raw const set) };
            let error = std::io::Error::last_os_error();
            if done != 0 && error.raw_os_error() != Some(libc::ESRCH) {
                return Err(error).with_context(|| format!("cannot keep process {id} on core {core}"));
            }
        }
    }
    Ok(())
}

/// Sends a signal to these trees.
pub fn signal(roots: &[u32], signal: i32) {
    for id in tree(roots) {
        // SAFETY: a signal to a process of ours or one that ours started.
        unsafe { libc::kill(id as i32, signal) };
    }
}

/// These processes, their children and the members of their groups.
fn tree(roots: &[u32]) -> BTreeSet<u32> {
    let mut found: BTreeSet<u32> = roots.iter().copied().collect();
    let all: Vec<(u32, u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| {
            let id: u32 = e.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name in brackets may hold anything; state, parent and group follow the last bracket.
            let mut rest = stat.rsplit_once(')')?.1.split_whitespace().skip(1);
            Some((id, rest.next()?.parse().ok()?, rest.next()?.parse().ok()?))
        })
        .collect();
    loop {
        let before = found.len();
        for (id, parent, group) in &all {
            if found.contains(parent) || roots.contains(group) {
                found.insert(*id);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// CPU time of one process with all its threads, also those that have ended.
fn cpu_us(id: u32) -> Option<u64> {
    let mut which = 0;
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both write only to the places given; the second is called only with a clock the first named.
    let ok = unsafe {
        libc::clock_getcpuclockid(id as i32, &raw mut which) == 0 && libc::clock_gettime(which, &raw mut t) == 0
    };
    ok.then_some(t.tv_sec as u64 * 1_000_000 + t.tv_nsec as u64 / 1000)
}

fn die_with_parent() -> std::io::Result<()> {
    // SAFETY: takes a number; touches only the calling process.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM as libc::c_ulong) };
    Ok(())
}

/// Ends the work in order on Ctrl+C and SIGTERM: see [`interrupted`].
pub fn stop_on_signals() {
    extern "C" fn note(_: i32) {
        STOP.store(true, Ordering::Relaxed);
    }
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic.
        unsafe { libc::signal(signal, note as *const () as libc::sighandler_t) };
    }
}

/// Whether somebody wants the harness to end.
pub fn interrupted() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// # Errors
/// When somebody wants the harness to end.
pub fn stop_if_interrupted() -> Result<()> {
    if interrupted() { bail!("interrupted") } else { Ok(()) }
}

/// Sleeps, but not through an interruption.
///
/// # Errors
/// When somebody wants the harness to end.
pub fn rest(us: u64) -> Result<()> {
    let until = clock::now() + us;
    while clock::now() < until {
        stop_if_interrupted()?;
        clock::sleep_until(until.min(clock::now() + 200_000));
    }
    Ok(())
}

/// Where a program is: on the path or among the system's.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|dir| dir.join(program)).find(|p| p.is_file())
}

static STOP: AtomicBool = AtomicBool::new(false);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_found_measured_and_ended() {
        let dir = std::env::temp_dir();
        let script = "(while :; do :; done) & echo up; wait";
        let name = format!("telepane-bench-process-{}", std::process::id());
        let mut process = Process::start(Command::new("sh").args(["-c", script]), &name, &dir).unwrap();
        assert_eq!(process.wait_for(20_000_000, "up", |l| (l == "up\n").then_some(7)).unwrap(), 7);
        let before = CpuTime::of(&[process.id()]);
        let members = tree(&[process.id()]);
        assert_eq!(members.len(), 2);
        let until = clock::now() + 20_000_000;
        while CpuTime::of(&[process.id()]).since(&before) < 10_000 && clock::now() < until {
            clock::pause(5_000);
        }
        assert!(CpuTime::of(&[process.id()]).since(&before) >= 10_000);
        assert!(resident_kib(&[process.id()]) > 0 && descriptors(&[process.id()]) > 0);
        let group = process.id();
        drop(process);
        let until = clock::now() + 20_000_000;
        while tree(&[group]).iter().any(|id| cpu_us(*id).is_some() && *id != group) && clock::now() < until {
            clock::pause(5_000);
        }
        assert!(tree(&[group]).len() <= 1, "the loop below the shell is gone");
        std::fs::remove_file(dir.join(format!("{name}.log"))).unwrap();
    }
}
