//! What of this machine's system the agent asks for beside its standard library: who a file belongs to and who may change it,
//! who this process is, and commands that can be ended with all they began.
//!
//! The one place of the agent that differs between Unix and other systems, with the control socket (`control::socket`).

#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use elsewhere::*;
#[cfg(unix)]
pub(crate) use unix::*;
