//! A decoding process: started, asked, and ended when it is dropped.

use crate::channel::Channel;
use crate::child::{ARGUMENT, UNFIT, UNLOCKED, is_hooked};
use crate::wire::{Fault, Hello};
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// See the module. It ends with the thread that started it, too.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pub channel: Channel,
    /// It said that it is locked.
    pub stands: Option<Hello>,
}

impl Process {
    /// Starts one, and does not wait for it.
    pub fn start(library: Option<&Path>) -> io::Result<Self> {
        if !is_hooked() {
            return Err(io::Error::other("this program does not decode for others"));
        }
        let (channel, (socket, memory)) = Channel::new()?;
        let library = library.map(std::path::absolute).transpose()?;
        let mut command = Command::new("/proc/self/exe");
        // A group of its own: what a terminal tells the client (Ctrl+C) is the client's to deal with.
        command.arg(ARGUMENT).args(library).env_clear().current_dir("/").process_group(0);
        // Where the program itself was given its libraries.
        command.envs(std::env::var_os("LD_LIBRARY_PATH").map(|path| ("LD_LIBRARY_PATH", path)));
        let child = command.stdin(Stdio::from(socket)).stdout(Stdio::from(memory)).stderr(Stdio::null()).spawn()?;
        Ok(Self { child, channel, stands: None })
    }

    /// Waits until it stands; afterwards at once.
    pub fn stand(&mut self) -> Result<Hello, Fault> {
        if let Some(hello) = self.stands {
            return Ok(hello);
        }
        let hello = self.channel.hello()?;
        self.stands = Some(hello);
        Ok(hello)
    }

    /// Ends it, and says how it had ended before, if it had.
    pub fn end(mut self) -> String {
        let before = self.child.try_wait().ok().flatten();
        let Some(status) = before else { return "killed".into() };
        match (status.code(), status.signal()) {
            (Some(UNFIT), _) => "it could not have its memory or its library".into(),
            (Some(UNLOCKED), _) => {
                "it could not lock itself: the kernel has no seccomp, or not for this processor".into()
            }
            (_, Some(libc::SIGSYS)) => "it tried what it may not, and was killed for it".into(),
            _ => status.to_string(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended needs no killing; none is left behind as a zombie.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
