//! Whether contents are what their kind says, before any application sees them.
//!
//! Nothing here is drawn or run by us; but what is pasted is read by programs that were not written against a hostile
//! sender. So text and HTML are UTF-8, HTML and RTF hold nothing that acts on its own, and a PNG has a size that can be
//! unpacked.

use telepane_model::ClipFormat;

/// The most pixels of an image: 8192 by 8192, which is 256 MiB unpacked.
// spec: K-57
const MOST_PIXELS: u64 = 1 << 26;
/// What HTML that acts on its own has: elements that run, load or embed.
// spec: K-57
const ACTIVE_HTML: [&[u8]; 6] = [b"<script", b"<iframe", b"<object", b"<embed", b"<applet", b"javascript:"];
/// The same for RTF: embedded objects, and fields that name a file to load.
const ACTIVE_RTF: [&[u8]; 4] = [b"\\object", b"\\objdata", b"\\objupdate", b"includepicture"];

/// Whether `bytes` may be pasted as `format`.
// spec: K-57
pub(super) fn are_fine(format: ClipFormat, bytes: &[u8]) -> bool {
    match format {
        ClipFormat::Text => core::str::from_utf8(bytes).is_ok(),
        ClipFormat::Html => core::str::from_utf8(bytes).is_ok() && !has_any(bytes, &ACTIVE_HTML),
        ClipFormat::Rtf => bytes.starts_with(b"{\\rtf") && !has_any(bytes, &ACTIVE_RTF),
        ClipFormat::Png => is_image(bytes),
        // They travel in a pipe of their own and are checked as they come.
        ClipFormat::Files => false,
    }
}

/// Whether one of `words` (in lower case) is in `bytes`, in any case.
fn has_any(bytes: &[u8], words: &[&[u8]]) -> bool {
    let starts = words.iter().filter_map(|w| w.first().copied()).fold([false; 256], |mut set, b| {
        if let Some(place) = set.get_mut(usize::from(b)) {
            *place = true;
        }
        set
    });
    (0..bytes.len()).any(|at| {
        let rest = bytes.get(at..).unwrap_or_default();
        let begins = rest.first().is_some_and(|b| starts.get(usize::from(b.to_ascii_lowercase())) == Some(&true));
        begins && words.iter().any(|w| rest.get(..w.len()).is_some_and(|r| r.eq_ignore_ascii_case(w)))
    })
}

/// A PNG whose header says a size that may be (the header stands first, PNG §5.6).
fn is_image(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR") else { return false };
    let (Some((w, rest)), true) = (rest.split_first_chunk::<4>(), bytes.len() >= 33) else { return false };
    let Some((h, _)) = rest.split_first_chunk::<4>() else { return false };
    let (w, h) = (u32::from_be_bytes(*w), u32::from_be_bytes(*h));
    w > 0 && h > 0 && u64::from(w) * u64::from(h) <= MOST_PIXELS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(w: u32, h: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        bytes.extend([w, h].iter().flat_map(|v| v.to_be_bytes()));
        bytes.extend([8, 6, 0, 0, 0, 1, 2, 3, 4]);
        bytes
    }

    // spec: K-57
    #[test]
    fn an_image_that_lies_about_its_size_is_refused() {
        assert!(are_fine(ClipFormat::Png, &png(1920, 1080)));
        for (w, h) in [(0, 9), (9, 0), (u32::MAX, u32::MAX), (1 << 16, 1 << 16), (1 << 26, 2), (8193, 8192)] {
            assert!(!are_fine(ClipFormat::Png, &png(w, h)), "{w}x{h}");
        }
        assert!(!are_fine(ClipFormat::Png, &png(9, 9)[..30]), "cut");
        assert!(!are_fine(ClipFormat::Png, b"BM\x36\0\0\0"), "a bitmap under another name");
    }

    // spec: K-57
    #[test]
    fn markup_that_acts_on_its_own_is_refused() {
        let html = |text: &str| are_fine(ClipFormat::Html, text.as_bytes());
        assert!(html("<p style=\"color: red\">a <b>b</b> &lt;script&gt; ä</p>"));
        for bad in [
            "<script>alert(1)</script>",
            "<SCRIPT src=x>",
            "a<iFrame>",
            "<object data=x>",
            "<embed>",
            "<a href=JavaScript:x>",
        ] {
            assert!(!html(bad), "{bad}");
        }
        assert!(!are_fine(ClipFormat::Html, b"\xff\xfe<\0p\0"), "not UTF-8");
        let rtf = |text: &str| are_fine(ClipFormat::Rtf, text.as_bytes());
        assert!(rtf("{\\rtf1\\ansi {\\b bold} text}"));
        for bad in [
            "plain",
            "{\\rtf1{\\object\\objemb}}",
            "{\\rtf1{\\*\\OBJDATA 0105}}",
            "{\\rtf1{\\field{INCLUDEPICTURE \"//h/x\"}}}",
        ] {
            assert!(!rtf(bad), "{bad}");
        }
    }

    #[test]
    fn text_is_utf8() {
        assert!(are_fine(ClipFormat::Text, "ä".as_bytes()));
        assert!(!are_fine(ClipFormat::Text, b"\xe4"));
    }
}
