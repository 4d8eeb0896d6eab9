//! The clipboard's rules, the same on both sides: offers travel at once, contents only when someone pastes.

use crate::output::ClipWish;
use std::collections::BTreeMap;
use telepane_protocol::control::MAX_CLIP_CHUNK;
use telepane_protocol::{Control, Fault};

/// The most text that is pasted.
pub const MAX_CLIP: usize = 8 << 20;
/// Pastes under way at once.
const MOST_REQUESTS: usize = 8;
/// Plain text, in an offer's formats.
const TEXT: u32 = 1;

/// One side's clipboard state.
#[derive(Debug, Default)]
pub struct Clip {
    /// The peer's offer.
    theirs: Option<u32>,
    /// One's own offer's number.
    serial: u32,
    /// What was asked of the peer: by the wire's number, the asker's number and what came.
    asked: BTreeMap<u32, (u32, Vec<u8>)>,
    next_id: u32,
}

impl Clip {
    /// The local clipboard has (or no longer has) text to paste.
    pub fn on_local_change(&mut self, has_text: bool) -> Control {
        self.serial = self.serial.wrapping_add(1);
        Control::ClipOffer { serial: self.serial, formats: if has_text { TEXT } else { 0 } }
    }

    /// An application here pastes what the peer offered; `asker` is the shell's number for it.
    pub fn on_wanted(&mut self, asker: u32) -> Result<Control, ClipWish> {
        match self.theirs {
            Some(serial) if self.asked.len() < MOST_REQUESTS => {
                self.next_id = self.next_id.wrapping_add(1);
                self.asked.insert(self.next_id, (asker, Vec::new()));
                Ok(Control::ClipRequest { serial, id: self.next_id })
            }
            _ => Err(ClipWish::Paste { id: asker, text: None }),
        }
    }

    /// The answer to a [`ClipWish::Fetch`].
    pub fn on_local_text(&self, id: u32, text: Option<&str>) -> Vec<Control> {
        let Some(text) = text.filter(|t| t.len() <= MAX_CLIP) else { return vec![Control::ClipRefuse { id }] };
        let mut chunks: Vec<Control> = text
            .as_bytes()
            .chunks(MAX_CLIP_CHUNK)
            .map(|bytes| Control::ClipChunk { id, last: false, bytes: bytes.to_vec() })
            .collect();
        match chunks.last_mut() {
            Some(Control::ClipChunk { last, .. }) => *last = true,
            _ => chunks.push(Control::ClipChunk { id, last: true, bytes: Vec::new() }),
        }
        chunks
    }

    /// A clipboard message from the peer; anything else is [`Fault::Unexpected`].
    // spec: K-17, K-18
    pub fn on_control(&mut self, message: Control) -> Result<Option<ClipWish>, Fault> {
        Ok(match message {
            Control::ClipOffer { serial, formats } => {
                let text = formats & TEXT != 0;
                self.theirs = text.then_some(serial);
                Some(ClipWish::Offered(text))
            }
            Control::ClipRequest { serial, id } if serial == self.serial => Some(ClipWish::Fetch { id }),
            // The offer changed meanwhile: the asker gets what is there now, as on one machine.
            Control::ClipRequest { id, .. } => Some(ClipWish::Fetch { id }),
            Control::ClipChunk { id, last, bytes } => {
                let (_, text) = self.asked.get_mut(&id).ok_or(Fault::UnaskedClipboard)?;
                text.extend_from_slice(&bytes);
                if text.len() > MAX_CLIP {
                    return Ok(self.finish(id, |_| None));
                }
                if last { self.finish(id, |bytes| String::from_utf8(bytes).ok()) } else { None }
            }
            Control::ClipRefuse { id } => self.finish(id, |_| None),
            _ => return Err(Fault::Unexpected),
        })
    }

    /// The link is gone: what was asked for will not come, and the offer stands no longer.
    pub fn on_link_lost(&mut self) -> Vec<ClipWish> {
        self.theirs = None;
        std::mem::take(&mut self.asked).into_values().map(|(id, _)| ClipWish::Paste { id, text: None }).collect()
    }

    fn finish(&mut self, id: u32, text: impl FnOnce(Vec<u8>) -> Option<String>) -> Option<ClipWish> {
        self.asked.remove(&id).map(|(asker, bytes)| ClipWish::Paste { id: asker, text: text(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: K-13, K-17
    #[test]
    fn a_paste_travels_there_and_back() {
        let (mut host, mut viewer) = (Clip::default(), Clip::default());
        let text = "ä".repeat(40_000);
        let offer = host.on_local_change(true);
        assert_eq!(viewer.on_control(offer), Ok(Some(ClipWish::Offered(true))));
        let request = viewer.on_wanted(77).expect("there is an offer");
        let Ok(Some(ClipWish::Fetch { id })) = host.on_control(request) else { panic!("no fetch") };
        let mut got = None;
        for chunk in host.on_local_text(id, Some(&text)) {
            assert!(chunk.encode().len() <= telepane_protocol::MAX_CONTROL);
            got = viewer.on_control(chunk).expect("asked for");
        }
        assert_eq!(got, Some(ClipWish::Paste { id: 77, text: Some(text) }));
    }

    // spec: K-17
    #[test]
    fn unasked_data_is_a_fault_and_a_missing_offer_an_empty_paste() {
        let mut c = Clip::default();
        let chunk = Control::ClipChunk { id: 1, last: true, bytes: vec![] };
        assert_eq!(c.on_control(chunk), Err(Fault::UnaskedClipboard));
        assert_eq!(c.on_wanted(5), Err(ClipWish::Paste { id: 5, text: None }));
    }

    // spec: K-18
    #[test]
    fn endless_data_is_cut_off() {
        let mut c = Clip::default();
        c.on_control(Control::ClipOffer { serial: 1, formats: 1 }).expect("an offer");
        c.on_wanted(9).expect("asked");
        let chunk = Control::ClipChunk { id: 1, last: false, bytes: vec![0; MAX_CLIP_CHUNK] };
        let end = (0..1_000).find_map(|_| c.on_control(chunk.clone()).expect("asked for"));
        assert_eq!(end, Some(ClipWish::Paste { id: 9, text: None }));
    }
}
