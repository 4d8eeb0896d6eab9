//! What other threads ask the desk loop: who is connected, close one, the figures.
//!
//! A question wakes the loop through its poller and is answered on the loop between two turns, from state that nobody
//! else touches. So a scrape or a `session list` costs the loop one short turn, and nothing is kept ready for one that
//! never comes.

use crate::metrics::Figures;
use polling::Poller;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// A question, with the way back for its answer.
#[derive(Debug)]
pub enum Ask {
    /// Who is here?
    Sessions(Sender<Vec<SessionInfo>>),
    /// End this one; the answer says whether there was such a session.
    Close {
        /// Its number.
        id: u64,
        /// Where the answer goes.
        reply: Sender<bool>,
    },
    /// Let its owner's policy be this from now on; the answer is what then holds, or none if there is no such session.
    SetPolicy {
        /// Its number.
        id: u64,
        /// What is set, by names and values.
        settings: Vec<(String, String)>,
        /// Where the answer goes.
        reply: Sender<Option<Result<BTreeMap<String, u64>, String>>>,
    },
    /// Show a sentence to the person of this session, or of every one; the answer is how many are there to read it, or
    /// none if there is no such session.
    Message {
        /// Its number; none for all.
        id: Option<u64>,
        /// The sentence.
        text: String,
        /// Where the answer goes.
        reply: Sender<Option<usize>>,
    },
    /// The figures of this moment.
    Figures(Sender<Figures>),
}

/// One viewer's session, as told to people and scripts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// Its number in this run of the agent.
    pub id: u64,
    /// What the client's machine calls itself; not proven.
    pub name: String,
    /// The id of the client's key, 64 hexadecimal digits; none when it proved the code only.
    pub client: Option<String>,
    /// `client-key` or `code`.
    pub proved_by: String,
    /// The user name it gave; not proven, empty for the owner.
    pub user: String,
    /// Where it is connected from, or was last.
    pub address: String,
    /// False while it is expected back.
    pub connected: bool,
    /// When it came in, in seconds since 1970.
    pub since: u64,
    /// What it may do, by the names of the permission file.
    pub features: Vec<String>,
    /// Width and height of what it is shown, in pixels.
    pub size: Option<[u32; 2]>,
    /// Whether it has confirmed every pixel exact.
    pub exact: bool,
    /// Since when, in seconds since 1970.
    #[serde(default)]
    pub exact_since: Option<u64>,
    /// It is sent the desktop's sound.
    #[serde(default)]
    pub hears: bool,
    /// Its microphone is on and let in.
    #[serde(default)]
    pub speaks: bool,
    /// Bytes handed to the transport for it.
    pub sent_bytes: u64,
    /// Bytes that came from it.
    pub received_bytes: u64,
    /// What it keeps to: of the owner's and its client's the stricter, by the knobs' names.
    #[serde(default)]
    pub policy: BTreeMap<String, u64>,
    /// The link's figures while it is connected.
    pub link: Option<LinkInfo>,
    /// When its person last gave input, in seconds since 1970.
    #[serde(default)]
    pub last_input: Option<u64>,
    /// Since when its client is away, in seconds since 1970.
    #[serde(default)]
    pub last_disconnection: Option<u64>,
    /// What is about to end it, and how soon, as its person was told.
    #[serde(default)]
    pub ending: Option<String>,
    /// It moves files and sees no desktop.
    #[serde(default)]
    pub files_only: bool,
}

/// What is known of a link.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkInfo {
    /// Smoothed round trip, in milliseconds.
    pub rtt_ms: f64,
    /// What the path carries, in bits per second.
    pub capacity_bps: u64,
    /// What is used of it over time, in bits per second.
    pub share_bps: u64,
    /// How long a packet waits in the path's queue now, in milliseconds.
    pub queue_ms: f64,
    /// The controller's state.
    pub state: String,
    /// The round trip's mean deviation, in milliseconds.
    #[serde(default)]
    pub rtt_variation_ms: f64,
    /// The limit a person set, in bits per second.
    #[serde(default)]
    pub limit_bps: Option<u64>,
    /// The most that may be on the way unconfirmed, in bytes.
    #[serde(default)]
    pub window_bytes: u64,
    /// UDP datagrams sent.
    #[serde(default)]
    pub sent_packets: u64,
    /// UDP datagrams received.
    #[serde(default)]
    pub received_packets: u64,
    /// The part of the viewer's datagrams that did not come, of one.
    #[serde(default)]
    pub uplink_loss: f64,
    /// The limit as it acts now, in bits per second: the lesser of the limit a person set and what the path lets through.
    #[serde(default)]
    pub active_limit_bps: u64,
    /// The pixels of the region that is coded as film now.
    #[serde(default)]
    pub film_pixels: u64,
    /// Slices that the viewer had applied and not yet shown when it reported last.
    #[serde(default)]
    pub unshown: u32,
    /// Frames of film that came to the viewer, of which it is known whether they were shown.
    #[serde(default)]
    pub film_frames: u64,
    /// Of these, frames that were not on the screen when the next one was decoded.
    #[serde(default)]
    pub film_passed_over: u64,
    /// Packets the QUIC stack deems lost.
    pub lost_packets: u64,
    /// The largest UDP payload the path takes, in bytes.
    pub mtu: u16,
}

/// Asks the desk loop; cheap to clone.
#[derive(Clone)]
pub struct Asker {
    asks: Sender<Ask>,
    wake: Arc<Poller>,
}

impl Asker {
    /// An asker, and what the loop it wakes reads from.
    pub fn new(wake: Arc<Poller>) -> (Self, Receiver<Ask>) {
        let (asks, read) = channel();
        (Self { asks, wake }, read)
    }

    /// Who is here; `None` when the loop has ended or does not answer.
    pub fn sessions(&self) -> Option<Vec<SessionInfo>> {
        self.ask(Ask::Sessions)
    }

    /// Ends session `id`.
    pub fn close(&self, id: u64) -> Option<bool> {
        self.ask(|reply| Ask::Close { id, reply })
    }

    /// Changes what session `id` must keep to; what then holds.
    pub fn set_policy(
        &self,
        id: u64,
        settings: Vec<(String, String)>,
    ) -> Option<Option<Result<BTreeMap<String, u64>, String>>> {
        self.ask(|reply| Ask::SetPolicy { id, settings, reply })
    }

    /// Shows a sentence to the person of session `id`, or of all; how many are there to read it.
    pub fn message(&self, id: Option<u64>, text: String) -> Option<Option<usize>> {
        self.ask(|reply| Ask::Message { id, text, reply })
    }

    /// The figures of this moment.
    pub fn figures(&self) -> Option<Figures> {
        self.ask(Ask::Figures)
    }

    fn ask<T>(&self, question: impl FnOnce(Sender<T>) -> Ask) -> Option<T> {
        let (reply, answer) = channel();
        self.asks.send(question(reply)).ok()?;
        self.wake.notify().ok()?;
        answer.recv_timeout(PATIENCE).ok()
    }
}

/// The loop's longest turns (a resize, a large picture coded inline) take some tenths of a second.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_by_the_loop_and_not_at_all_after_its_end() {
        let (asker, asks) = Asker::new(Arc::new(Poller::new().expect("a poller")));
        let answering = std::thread::spawn(move || match asks.recv() {
            Ok(Ask::Close { id, reply }) => reply.send(id == 7).is_ok(),
            _ => false,
        });
        assert_eq!(asker.close(7), Some(true));
        assert!(answering.join().expect("no panic"));
        assert_eq!(asker.sessions(), None, "the loop has ended");
    }
}
