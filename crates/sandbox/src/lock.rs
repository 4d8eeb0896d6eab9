//! A process locks itself: from then on it computes, and speaks over standard input, and that is all.
//!
//! In the order in which each still can be done: what is open is closed, Landlock takes the files and the network away, limits are
//! set, and seccomp takes every system call that decoding does not need. Whatever else is tried ends the process, with SIGSYS.
#![allow(unsafe_code)]

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};
use std::collections::BTreeMap;

/// Beyond what it has when it is locked, a process may take so much memory: four films of the largest size take half of it.
const MEMORY: u64 = 1 << 30;

/// Why a process is not locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A limit cannot be set, or what is open not be closed.
    #[error("the kernel refuses: {0}")]
    Kernel(#[from] std::io::Error),
    /// There is no seccomp, or not for this processor.
    #[error("no seccomp: {0}")]
    Seccomp(String),
}

/// How it is locked.
#[derive(Clone, Copy, Debug)]
pub struct Locked {
    /// By Landlock too, which kernels have since 5.13 where it is turned on.
    pub landlock: bool,
}

/// Locks this process for good. It must have one thread, and keep no descriptor above the three standard ones.
///
/// # Errors
/// When it is not locked by seccomp and all limits; it must not go on then.
pub fn lock_down() -> Result<Locked, LockError> {
    close_others()?;
    let io = std::io::Error::from;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(io)?;
    // It takes a descriptor for a moment: before there may be none.
    let landlock = by_landlock();
    let limits = [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 0),
        (Resource::Nproc, 0),
        (Resource::Memlock, 0),
        (Resource::As, memory_now() + MEMORY),
    ];
    for (resource, most) in limits {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).map_err(io)?;
    }
    by_seccomp()?;
    Ok(Locked { landlock })
}

fn close_others() -> std::io::Result<()> {
    // SAFETY: descriptors above the standard ones are closed, of which the caller keeps none.
    if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) } == 0 {
        return Ok(());
    }
    // Before 5.9. The folder's own descriptor is among them, and is gone when they are closed.
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // SAFETY: as above.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// The address space that is in use, in bytes; 1 GiB where `/proc` does not say.
fn memory_now() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kb = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kb.map_or(1 << 30, |kb| kb << 10)
}

/// No file can be opened, no TCP port be used, no process outside be spoken to or signalled, as far as the kernel knows how.
fn by_landlock() -> bool {
    let newest = ABI::V6;
    let ruled = Ruleset::default()
        .handle_access(AccessFs::from_all(newest))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(newest)))
        .and_then(|rules| rules.scope(Scope::from_all(newest)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.restrict_self());
    ruled.is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

fn by_seccomp() -> Result<(), LockError> {
    let name = |error: &dyn std::fmt::Display| LockError::Seccomp(error.to_string());
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| name(&e))?;
    let filter =
        SeccompFilter::new(allowed().map_err(|e| name(&e))?, SeccompAction::KillProcess, SeccompAction::Allow, arch);
    let program: BpfProgram = filter.and_then(BpfProgram::try_from).map_err(|e| name(&e))?;
    // It sets no_new_privs first.
    apply_filter(&program).map_err(|e| name(&e))
}

/// The system calls that decoding needs, each with what its arguments must be.
fn allowed() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let argument = |n, len, op, value| SeccompCondition::new(n, len, op, value);
    let is = |n, value: i32| argument(n, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value as u64);
    let without = |n, bits: i32| argument(n, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits as u64), 0);
    let rule = |conditions: Vec<SeccompCondition>| SeccompRule::new(conditions).map(|rule| vec![rule]);
    let mut all: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    // The socket, standard input, and no other descriptor: requests come, answers go.
    all.insert(libc::SYS_recvfrom, rule(vec![is(0, 0)?])?);
    all.insert(libc::SYS_sendto, rule(vec![is(0, 0)?])?);
    // Memory, nothing of it executable, and none of a file.
    let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    all.insert(libc::SYS_mmap, rule(vec![without(2, libc::PROT_EXEC)?, is(3, anonymous)?])?);
    all.insert(libc::SYS_mprotect, rule(vec![without(2, libc::PROT_EXEC)?])?);
    for call in [libc::SYS_munmap, libc::SYS_brk] {
        all.insert(call, Vec::new());
    }
    // What a large block of memory that grows or is given back comes to.
    all.insert(libc::SYS_mremap, Vec::new());
    let given_back = [libc::MADV_DONTNEED, libc::MADV_FREE].map(|how| SeccompRule::new(vec![is(2, how)?]));
    all.insert(libc::SYS_madvise, given_back.into_iter().collect::<Result<_, _>>()?);
    // Locks of one process, where they are waited for at all.
    all.insert(libc::SYS_futex, Vec::new());
    // openh264 counts processors when it makes a decoder, and uses one.
    all.insert(libc::SYS_sched_getaffinity, rule(vec![is(0, 0)?])?);
    // The end.
    all.insert(libc::SYS_exit_group, Vec::new());
    Ok(all)
}
