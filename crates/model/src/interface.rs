//! The machine's ways into networks, as its system tells of them.

use alloc::string::String;
use alloc::vec::Vec;

/// What an interface is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterfaceKind {
    /// A cable, or what behaves like one.
    Wired,
    /// A radio of the house (IEEE 802.11).
    Wireless,
    /// A modem in a telephone network.
    Cellular,
    /// A tunnel through other interfaces: a VPN.
    Tunnel,
    /// The machine itself.
    Loopback,
}

/// One interface that is up and has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name to the system, such as `wlan0`.
    pub name: String,
    /// What it is.
    pub kind: InterfaceKind,
    /// Whether what goes over it is counted and paid for; `None` where nobody knows.
    pub metered: Option<bool>,
    /// Whether the system knows a way to the host over it.
    pub reaches: bool,
}

/// The ways to one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// The interface the system itself would send by; `None` where there is no way, or an address of no interface's.
    pub chosen: Option<String>,
    /// All of them, that one among them.
    pub all: Vec<Interface>,
}
