//! The desk's part in files: sessions of files alone, and carrying between the seats' pipes and the thread that reads and
//! writes.

use super::{Desk, State};
use crate::files::Done;
use crate::guest::Guest;
use crate::seat::Seat;
use telepane_protocol::{Capabilities, Control, FileWord, Outcome, RefuseReason, VERSION};
use telepane_session::BulkWish;
use telepane_transport::{ConnId, Lanes};
use telepane_trust::Feature;

/// Sessions of files alone at once.
const MOST: usize = 8;
/// Said when no directory is given out.
const NO_FILES: &str = "this host gives out no files; start its agent with --files DIR";

impl Desk {
    /// A connection wants files and nothing else: it takes nobody's place.
    // spec: X-3
    pub(super) fn attach_files(
        &mut self,
        state: &mut State,
        (conn, max_datagram): (ConnId, usize),
        guest: Guest,
        peer: &Capabilities,
    ) {
        let now = self.clock.now();
        let rights = [Feature::FileDownload, Feature::FileUpload];
        let refusal = if self.files.is_none() {
            Some((RefuseReason::Other, NO_FILES))
        } else if !rights.iter().any(|f| guest.rights.has(*f)) {
            Some((RefuseReason::Permission, "you may neither download nor upload files here"))
        } else if state.seats.values().filter(|s| s.files_only).count() >= MOST {
            Some((RefuseReason::Busy, "too many transfers of files at once; try again later"))
        } else {
            None
        };
        let token = telepane_auth::random::bytes();
        let (None, Ok(token)) = (refusal, token) else {
            let (reason, text) = refusal.unwrap_or((RefuseReason::Other, "the agent has no randomness"));
            // A connection that is already gone needs no answer.
            let _ = self.net.send_control(conn, &Control::Refuse { reason, text: text.into() }.encode());
            self.net.close(conn, 0, "no files");
            return;
        };
        let id = state.next_seat;
        state.next_seat += 1;
        let mut seat = Seat::new(id, token, guest.clone(), now, self.options.clone());
        seat.files_only = true;
        let welcome = Control::Welcome {
            version: VERSION,
            session: token,
            resumed: false,
            now,
            resizable: false,
            host: self.host_name.clone(),
        };
        let _ = self.net.send_control(conn, &welcome.encode());
        seat.attach(now, conn, max_datagram, &[], guest, peer);
        state.seats.insert(id, seat);
        tracing::info!(seat = id, "attached for files alone");
    }

    pub(super) fn on_files_gone(&mut self, state: &mut State, seat: u64, over: bool) {
        if let Some(files) = &self.files {
            files.on_gone(seat);
        }
        if over {
            state.seats.remove(&seat);
        }
    }

    pub(super) fn on_file_word(&mut self, state: &mut State, seat: u64, word: FileWord) {
        let Some(at) = state.seats.get_mut(&seat) else { return };
        let id = word.id();
        let (outcome, text) = match &self.files {
            Some(files) if files.on_word(seat, at.may(), word) => return,
            Some(_) => (Outcome::TooLarge, "too many requests at a time".into()),
            None => (Outcome::Denied, NO_FILES.into()),
        };
        at.host.on_file_word(self.clock.now(), FileWord::End { id, outcome, text });
    }

    pub(super) fn on_bulk_wish(&mut self, state: &mut State, seat: u64, wish: BulkWish) {
        let (BulkWish::Fill { pipe, .. } | BulkWish::Data { pipe, .. }) = &wish;
        if pipe % 2 == 1 {
            return self.on_paste_wish(state, seat, wish);
        }
        if let (Some(files), Some(at)) = (&self.files, state.seats.get(&seat)) {
            files.on_bulk(seat, at.may(), wish);
        }
    }

    /// What the thread has read, put away and answered.
    pub(super) fn take_files(&mut self, state: &mut State) {
        let Some(files) = &self.files else { return };
        while let Some(done) = files.take() {
            let now = self.clock.now();
            let Some(seat) = state.seats.get_mut(&done.seat()) else { continue };
            match done {
                Done::Say(_, word) => seat.host.on_file_word(now, word),
                Done::Expect(_, pipe) => seat.host.on_bulk_expected(now, pipe),
                Done::Offer(_, pipe) => seat.host.on_bulk_offered(now, pipe),
                Done::Data(_, pipe, bytes, last) => seat.host.on_bulk_data(now, pipe, bytes, last),
                Done::Used(_, pipe, bytes) => seat.host.on_bulk_used(now, pipe, bytes),
                Done::Drop(_, pipe) => seat.host.on_bulk_dropped(now, pipe),
            }
        }
    }
}
