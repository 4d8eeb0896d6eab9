//! A Wayland compositor of the test's own, as far as a clipboard sees one: a seat, `ext_data_control_v1` and `ext_idle_notify_v1`, which
//! no compositor of the tests' systems has yet. It speaks the wire by hand, from the protocols' own pages, so that it shares
//! nothing with what it is there to test; and it does what a test tells it to.

use super::process::Scratch;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use std::collections::{BTreeMap, VecDeque};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// It runs until the test ends.
pub struct Compositor {
    pub socket: PathBuf,
    world: Arc<Mutex<World>>,
    _dir: Scratch,
}

/// What it knows.
#[derive(Default)]
struct World {
    clients: Vec<Client>,
    /// The two selections: whose, its source, and the names.
    selections: [Option<(usize, u32, Vec<String>)>; 2],
    /// So many times each was set.
    set: [usize; 2],
    /// The version of the idle notifier.
    notifier: u32,
    /// The times that were asked about, and whether without regard to what keeps the screen on.
    asked: Vec<(u32, bool)>,
}

/// One connection.
struct Client {
    stream: UnixStream,
    objects: BTreeMap<u32, Object>,
    /// The next object of ours.
    next: u32,
}

/// What an object is.
#[derive(Clone)]
enum Object {
    Registry,
    Seat,
    Manager,
    Device,
    Source(Vec<String>),
    /// Of this client's source.
    Offer(usize, u32),
    Notifier,
    Notification,
}

/// What is offered to bind, by number.
const GLOBALS: [(&str, u32); 3] = [("wl_seat", 1), ("ext_data_control_manager_v1", 1), ("ext_idle_notifier_v1", 2)];
const DISPLAY: u32 = 1;
/// The first object that is not the client's.
const FIRST: u32 = 0xff00_0000;

impl Compositor {
    /// With this version of the idle notifier, or without one (0).
    pub fn start(notifier: u32) -> Self {
        let dir = Scratch::new();
        let socket = dir.join("wayland-0");
        let listener = UnixListener::bind(&socket).expect("the directory is ours");
        let world = Arc::new(Mutex::new(World { notifier, ..World::default() }));
        let shared = world.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                let ours = stream.try_clone().expect("a second hold");
                let client = {
                    let mut world = lock(&shared);
                    world.clients.push(Client { stream: ours, objects: BTreeMap::new(), next: FIRST });
                    world.clients.len() - 1
                };
                let shared = shared.clone();
                std::thread::spawn(move || serve(&shared, client, &stream));
            }
        });
        Self { socket, world, _dir: dir }
    }

    /// How often the first selection was set.
    pub fn set(&self) -> usize {
        lock(&self.world).set[0]
    }

    /// The times that were asked about.
    pub fn asked(&self) -> Vec<(u32, bool)> {
        lock(&self.world).asked.clone()
    }

    /// Everybody who asked hears that nobody is at work, or that somebody is again.
    pub fn rests(&self, on: bool) {
        lock(&self.world).tell(|object| matches!(object, Object::Notification), u16::from(!on));
    }

    /// A clipboard manager puts a copy with all the names in the place of what is selected.
    pub fn copies(&self) {
        let mut world = lock(&self.world);
        if let Some((owner, source, names)) = world.selections[0].take() {
            world.say(owner, source, 1, &[], None);
            // The manager itself is nobody here: nothing is read of it.
            world.selections[0] = Some((usize::MAX, 0, names));
        }
        world.set[0] += 1;
        world.present_to_all(0);
    }

    /// The seat goes.
    pub fn ends_seat(&self) {
        lock(&self.world).tell(|object| matches!(object, Object::Device), 2);
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads what a client says until it ends.
fn serve(world: &Mutex<World>, client: usize, stream: &UnixStream) {
    let (mut bytes, mut fds) = (Vec::new(), VecDeque::new());
    loop {
        let mut piece = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(28))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let got =
            rustix::net::recvmsg(stream, &mut [IoSliceMut::new(&mut piece)], &mut ancillary, RecvFlags::CMSG_CLOEXEC);
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(all) = message {
                fds.extend(all);
            }
        }
        let Ok(got @ rustix::net::RecvMsg { bytes: 1.., .. }) = got else { return lock(world).left(client) };
        bytes.extend_from_slice(&piece[..got.bytes]);
        while let Some(head) = bytes.get(..8) {
            let (object, word) = (word_of(&head[..4]), word_of(&head[4..]));
            let size = (word >> 16) as usize;
            if bytes.len() < size {
                break;
            }
            let message: Vec<u8> = bytes.drain(..size).skip(8).collect();
            lock(world).handle(client, object, word as u16, &message, &mut fds);
        }
    }
}

fn word_of(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes(bytes[..4].try_into().expect("four bytes"))
}

/// A message's words, taken one after the other.
struct Words<'b>(&'b [u8]);

impl Words<'_> {
    fn word(&mut self) -> u32 {
        let (word, rest) = self.0.split_at(4);
        self.0 = rest;
        word_of(word)
    }

    fn text(&mut self) -> String {
        let length = self.word() as usize;
        let (text, rest) = self.0.split_at(length.next_multiple_of(4));
        self.0 = rest;
        String::from_utf8(text[..length - 1].to_vec()).expect("a name")
    }
}

fn text(text: &str) -> Vec<u8> {
    let length = text.len() + 1;
    let mut bytes = (length as u32).to_ne_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(4 + length.next_multiple_of(4), 0);
    bytes
}

impl World {
    fn handle(&mut self, client: usize, id: u32, code: u16, message: &[u8], fds: &mut VecDeque<OwnedFd>) {
        let mut words = Words(message);
        let object = self.clients[client].objects.get(&id).cloned();
        let know = |world: &mut Self, id, object| {
            world.clients[client].objects.insert(id, object);
        };
        match (object, code) {
            (None, 0) if id == DISPLAY => {
                let callback = words.word();
                self.say(client, callback, 0, &0u32.to_ne_bytes(), None);
                self.say(client, DISPLAY, 1, &callback.to_ne_bytes(), None);
            }
            (None, 1) if id == DISPLAY => {
                let registry = words.word();
                know(self, registry, Object::Registry);
                for (number, (name, version)) in (1u32..).zip(GLOBALS) {
                    let version = if name.contains("idle") { self.notifier } else { version };
                    if version > 0 {
                        let global =
                            [number.to_ne_bytes().to_vec(), text(name), version.to_ne_bytes().to_vec()].concat();
                        self.say(client, registry, 0, &global, None);
                    }
                }
            }
            (Some(Object::Registry), 0) => {
                let (number, name) = (words.word(), words.text());
                assert_eq!(GLOBALS[number as usize - 1].0, name);
                let (_version, new) = (words.word(), words.word());
                let object = match number {
                    1 => Object::Seat,
                    2 => Object::Manager,
                    _ => Object::Notifier,
                };
                know(self, new, object);
            }
            (Some(Object::Manager), 0) => know(self, words.word(), Object::Source(Vec::new())),
            (Some(Object::Manager), 1) => {
                let device = words.word();
                know(self, device, Object::Device);
                (0..2).for_each(|which| self.present(client, device, which));
            }
            (Some(Object::Source(mut names)), 0) => {
                names.push(words.text());
                know(self, id, Object::Source(names));
            }
            (Some(Object::Device), 0 | 2) => self.select(client, words.word(), usize::from(code / 2)),
            (Some(Object::Offer(owner, source)), 0) => {
                let (name, to) = (words.text(), fds.pop_front().expect("an end of a pipe"));
                self.say(owner, source, 0, &text(&name), Some(to));
            }
            (Some(Object::Notifier), 1 | 2) => {
                let (new, time) = (words.word(), words.word());
                self.asked.push((time, code == 2));
                know(self, new, Object::Notification);
            }
            // The rest ends objects.
            (Some(object), _) => {
                self.clients[client].objects.remove(&id);
                // The numbers of the client's own objects are free again.
                if id < FIRST {
                    self.say(client, DISPLAY, 1, &id.to_ne_bytes(), None);
                }
                if let Object::Source(_) = object {
                    let its =
                        |owned: &Option<(usize, u32, _)>| matches!(owned, Some((c, s, _)) if (*c, *s) == (client, id));
                    for which in (0..2).filter(|which| its(&self.selections[*which])).collect::<Vec<_>>() {
                        self.selections[which] = None;
                        self.present_to_all(which);
                    }
                }
            }
            (None, _) => panic!("request {code} of an object that is not there"),
        }
    }

    /// A client makes its source a selection.
    fn select(&mut self, client: usize, source: u32, which: usize) {
        if let Some((owner, before, _)) = self.selections[which].take() {
            self.say(owner, before, 1, &[], None);
        }
        if let Some(Object::Source(names)) = self.clients[client].objects.get(&source) {
            self.selections[which] = Some((client, source, names.clone()));
        }
        self.set[which] += 1;
        self.present_to_all(which);
    }

    fn present_to_all(&mut self, which: usize) {
        let devices = self.all(|object| matches!(object, Object::Device));
        devices.into_iter().for_each(|(client, device)| self.present(client, device, which));
    }

    /// Tells a device what a selection is.
    fn present(&mut self, client: usize, device: u32, which: usize) {
        let mut offer = 0;
        if let Some((owner, source, names)) = self.selections[which].clone() {
            let there = &mut self.clients[client];
            offer = there.next;
            there.next += 1;
            there.objects.insert(offer, Object::Offer(owner, source));
            self.say(client, device, 0, &offer.to_ne_bytes(), None);
            names.iter().for_each(|name| self.say(client, offer, 0, &text(name), None));
        }
        self.say(client, device, if which == 0 { 1 } else { 3 }, &offer.to_ne_bytes(), None);
    }

    /// Every object of this kind, and whose it is.
    fn all(&self, kind: impl Fn(&Object) -> bool) -> Vec<(usize, u32)> {
        let of = |(n, client): (usize, &Client)| {
            client.objects.iter().filter(|(_, object)| kind(object)).map(|(id, _)| (n, *id)).collect::<Vec<_>>()
        };
        self.clients.iter().enumerate().flat_map(of).collect()
    }

    /// An event without more, to every object of this kind.
    fn tell(&mut self, kind: impl Fn(&Object) -> bool, code: u16) {
        self.all(kind).into_iter().for_each(|(client, object)| self.say(client, object, code, &[], None));
    }

    fn say(&self, client: usize, object: u32, code: u16, message: &[u8], fd: Option<OwnedFd>) {
        let size = (message.len() as u32 + 8) << 16 | u32::from(code);
        let bytes = [&object.to_ne_bytes(), &size.to_ne_bytes(), message].concat();
        let fds: Vec<_> = fd.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
        }
        // Whoever has ended hears nothing.
        let _ = rustix::net::sendmsg(
            &self.clients[client].stream,
            &[IoSlice::new(&bytes)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        );
    }

    /// A client's connection ended, and all it had.
    fn left(&mut self, client: usize) {
        self.clients[client].objects.clear();
        for which in 0..2 {
            if self.selections[which].as_ref().is_some_and(|(owner, _, _)| *owner == client) {
                self.selections[which] = None;
                self.present_to_all(which);
            }
        }
    }
}
