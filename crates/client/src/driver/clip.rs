//! The driver's part in the clipboard: carrying between the local selections and the mind.

use super::{Driver, Phase};
use crate::clipboard::{ClipFact, ClipOrder};
use telepane_model::input::MAX_TEXT;
use telepane_model::{InputEvent, KeyCode, KeyMove};
use telepane_session::{BulkWish, ClipWish};

/// What is typed of a clipboard at most: a passphrase, a key, a page. More would take minutes and is a mistake.
const MOST_TYPED: usize = 4_096;
/// How far a paste or an upload is, is shown for what is larger: the rest is there before it is read.
pub(super) const WORTH_TELLING: u64 = 2_000_000;
const ENTER: KeyCode = KeyCode(28);
const TAB: KeyCode = KeyCode(15);
/// Control, Shift and Alt, left and right.
const MODIFIERS: [u16; 6] = [29, 97, 42, 54, 56, 100];

impl Driver {
    pub(super) fn on_clip(&mut self, fact: ClipFact) {
        let now = self.clock.now();
        match fact {
            ClipFact::Changed(offer) => self.viewer.on_clip_changed(now, offer),
            ClipFact::Wanted { asker, selection, format } => {
                self.viewer.on_clip_wanted(now, asker, selection, format);
            }
            ClipFact::Unwanted { asker } => self.viewer.on_clip_unwanted(now, asker),
            ClipFact::Data { id, data } => self.viewer.on_clip_data(now, id, data),
            ClipFact::Packed { id, size } => {
                self.viewer.on_clip_stream(now, id, size);
            }
            ClipFact::Filled { pipe, bytes, last } => self.viewer.on_bulk_data(now, pipe, bytes, last),
            ClipFact::Used { pipe, bytes } => self.viewer.on_bulk_used(now, pipe, bytes),
            ClipFact::Text(data) => self.type_text(data.as_deref()),
        }
    }

    pub(super) fn on_clip_wish(&mut self, wish: ClipWish) {
        let order = match wish {
            ClipWish::Offered(offer) => ClipOrder::Offer(offer),
            ClipWish::Fetch { id, selection, format } => ClipOrder::Fetch { id, selection, format },
            ClipWish::Paste { id, data } => ClipOrder::Paste { asker: id, data },
            ClipWish::Progress { id, come, size } => {
                tracing::debug!(come, size, "a paste is on its way");
                if size >= WORTH_TELLING {
                    self.said = Some(format!("Pasting: {} of {} MB", come.min(size) / 1_000_000, size / 1_000_000));
                }
                ClipOrder::Still { asker: id }
            }
            ClipWish::Opened { id, pipe } => ClipOrder::Unpack { asker: id, pipe },
        };
        match (&self.clipboard, order) {
            (Some(clipboard), order) => clipboard.order(order),
            (None, ClipOrder::Fetch { id, .. }) => self.viewer.on_clip_data(self.clock.now(), id, None),
            (None, _) => {}
        }
    }

    /// A pipe of the clipboard's files wants something.
    pub(super) fn on_paste_wish(&mut self, wish: BulkWish) {
        if let Some(clipboard) = &self.clipboard {
            clipboard.order(ClipOrder::Bulk(wish));
        }
    }

    /// The person wants the clipboard's text typed, where nothing can be pasted.
    pub fn paste_as_keys(&mut self) {
        match &self.clipboard {
            Some(clipboard) if self.phase == Phase::Live => clipboard.order(ClipOrder::Read),
            _ => self.said = Some("There is no clipboard here".into()),
        }
    }

    /// Types what was read. A line's end is the Enter key and a tabulator the Tab key, as on the keyboard.
    fn type_text(&mut self, data: Option<&[u8]>) {
        let text = data.and_then(|d| std::str::from_utf8(d).ok()).filter(|t| !t.is_empty());
        let said = match text {
            None => "The clipboard holds no text to type".into(),
            Some(text) if text.len() > MOST_TYPED => {
                format!("The clipboard's text is longer than {MOST_TYPED} bytes; it is not typed")
            }
            Some(text) => {
                // The chord that asked for it is still held.
                let up = |code| InputEvent::Key { code: KeyCode(code), action: KeyMove::Up };
                MODIFIERS.map(up).into_iter().for_each(|event| self.on_input(event));
                events(text).into_iter().for_each(|event| self.on_input(event));
                format!("Typed {} characters of the clipboard", text.chars().count())
            }
        };
        self.said = Some(said);
    }
}

/// Text as what a person's hands would do.
fn events(text: &str) -> Vec<InputEvent> {
    let mut events = Vec::new();
    let mut part = String::new();
    let press = |code| [KeyMove::Down, KeyMove::Up].map(|action| InputEvent::Key { code, action });
    for c in text.chars() {
        let key = match c {
            '\n' => Some(ENTER),
            '\t' => Some(TAB),
            // What nothing on a keyboard gives is left out; a line that ends in CR and LF has one end.
            c if c.is_control() => continue,
            _ => None,
        };
        if (key.is_some() || part.len() + c.len_utf8() > MAX_TEXT) && !part.is_empty() {
            events.push(InputEvent::Text(std::mem::take(&mut part)));
        }
        match key {
            Some(code) => events.extend(press(code)),
            None => part.push(c),
        }
    }
    if !part.is_empty() {
        events.push(InputEvent::Text(part));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_typed_with_enter_and_tab_and_nothing_else_that_acts() {
        let typed = |text: &str| {
            let one = |e: InputEvent| match e {
                InputEvent::Text(t) => t,
                InputEvent::Key { code: ENTER, action: KeyMove::Down } => "<enter>".into(),
                InputEvent::Key { code: TAB, action: KeyMove::Down } => "<tab>".into(),
                InputEvent::Key { action: KeyMove::Up, .. } => String::new(),
                other => panic!("{other:?}"),
            };
            events(text).into_iter().map(one).collect::<Vec<_>>().concat()
        };
        assert_eq!(typed("user\tpäss\r\nword\n"), "user<tab>päss<enter>word<enter>");
        assert_eq!(typed("a\u{3}\u{1b}[2Jb\u{7f}"), "a[2Jb");
        let long = "€".repeat(200);
        assert_eq!(typed(&long), long);
        assert!(events(&long).iter().all(|e| matches!(e, InputEvent::Text(t) if t.len() <= MAX_TEXT)));
    }
}
