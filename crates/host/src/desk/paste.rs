//! The desk's part in files on the clipboard: they are packed and unpacked on a thread of their own, and carried between it,
//! the seats' pipes and the display's selection.

use super::{Desk, State};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use telepane_files::courier::{Done, Order};
use telepane_input::clipboard::files::paths;
use telepane_model::Selection;
use telepane_session::{BulkWish, clip_pipe};

/// The thread's near end.
pub struct Pastes {
    /// What it is to do.
    pub orders: Sender<Order>,
    /// What came of it.
    pub done: Receiver<Done>,
}

/// What was unpacked last, of the offer that stands: who pastes again has it at once.
pub(super) type Unpacked = (Selection, Vec<PathBuf>);

/// The thread's number for a seat's pipe: the ways have numbers of their own.
const fn key(seat: u64, pipe: u32, out: bool) -> u64 {
    seat << 33 | (out as u64) << 32 | pipe as u64
}

const fn seat_and_pipe(key: u64) -> (u64, u32) {
    (key >> 33, key as u32)
}

impl Desk {
    fn order(&self, order: Order) {
        // A thread that ended has said so.
        if let Some(pastes) = &self.pastes {
            let _ = pastes.orders.send(order);
        }
    }

    /// Somebody on the desktop copied files, and the viewer pastes them: `list` is what the file manager says.
    pub(super) fn pack(&self, state: &mut State, seat: u64, request: u32, list: Option<Vec<u8>>) {
        let files = list.map(|list| paths(&list)).filter(|files| !files.is_empty() && self.pastes.is_some());
        match (files, state.seats.get_mut(&seat)) {
            (Some(files), _) => self.order(Order::Pack(key(seat, clip_pipe(request), true), files)),
            (None, Some(seat)) => seat.host.on_clip_data(self.clock.now(), request, None),
            (None, None) => {}
        }
    }

    /// Another viewer's files, which lie here by now, are pasted.
    pub(super) fn pack_again(&self, seat: u64, request: u32, paths: &[PathBuf]) {
        self.order(Order::Pack(key(seat, clip_pipe(request), true), paths.to_vec()));
    }

    /// The viewer's files will come in this pipe.
    pub(super) fn unpack(&self, state: &mut State, seat: u64, asker: u32, pipe: u32) {
        state.unpacking.insert(key(seat, pipe, false), (asker, true));
        self.order(Order::Unpack(key(seat, pipe, false)));
    }

    /// They do not come.
    pub(super) fn forget_paste(&self, state: &mut State, asker: u32) {
        let keys = state.unpacking.iter().filter(|(_, (a, _))| *a == asker).map(|(key, _)| *key);
        for key in keys.collect::<Vec<_>>() {
            state.unpacking.remove(&key);
            self.order(Order::Forget(key));
        }
    }

    /// A pipe of the clipboard wants something of the shell.
    pub(super) fn on_paste_wish(&mut self, state: &mut State, seat: u64, wish: BulkWish) {
        match wish {
            BulkWish::Fill { pipe, room } => self.order(Order::Fill(key(seat, pipe, true), room)),
            BulkWish::Data { pipe, bytes, last } => {
                if let Some((asker, _)) = state.unpacking.get(&key(seat, pipe, false)).copied() {
                    if !self.between_comes(state, asker, None) {
                        self.still(asker);
                    }
                    self.order(Order::Put(key(seat, pipe, false), bytes, last));
                }
            }
        }
    }

    /// What the thread has packed and unpacked.
    pub(super) fn take_pastes(&mut self, state: &mut State) {
        while let Some(done) = self.pastes.as_ref().and_then(|p| p.done.try_recv().ok()) {
            let now = self.clock.now();
            let (Done::Packed(key, _) | Done::Filled(key, _) | Done::Used(key, _) | Done::Unpacked(key, _)) = &done;
            let (key, (id, pipe)) = (*key, seat_and_pipe(*key));
            let request = pipe >> 1;
            let Some(seat) = state.seats.get_mut(&id) else { continue };
            match done {
                Done::Packed(_, Some(size)) => {
                    if seat.host.on_clip_stream(now, request, size).is_none() {
                        self.order(Order::Forget(key));
                    }
                }
                Done::Packed(_, None) | Done::Filled(_, None) => seat.host.on_clip_data(now, request, None),
                Done::Filled(_, Some((bytes, last))) => seat.host.on_bulk_data(now, pipe, bytes, last),
                Done::Used(_, bytes) => seat.host.on_bulk_used(now, pipe, bytes),
                Done::Unpacked(_, files) => {
                    let Some((asker, stands)) = state.unpacking.remove(&key) else { continue };
                    if files.is_none() {
                        seat.host.on_clip_unwanted(now, asker);
                    }
                    self.give_files(state, asker, files, stands);
                }
            }
        }
    }
}
