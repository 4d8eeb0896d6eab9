//! Entry points for the fuzz targets: any bytes are understood and say the same again, or are refused.

use crate::bulk::Chunk;
use crate::bundle::{Part, Unbundle};
use crate::carried::Carried;
use crate::control::Control;
use crate::datagram::Datagram;
use crate::fec;
use crate::issuer;
use crate::slice::SliceBody;
use telepane_model::Stamp;

/// Reads `bytes` as a datagram.
pub fn datagram(bytes: &[u8]) {
    if let Ok((seq, d)) = Datagram::decode(bytes) {
        assert_eq!(Datagram::decode(&d.encode(u64::from(seq))), Ok((seq, d)));
    }
}

/// Reads `bytes` as a chunk of the bulk lane.
pub fn chunk(bytes: &[u8]) {
    if let Ok((seq, chunk)) = Chunk::decode(bytes) {
        assert_eq!(Chunk::decode(&chunk.encode(u64::from(seq))), Ok((seq, chunk)));
    }
}

/// Reads `bytes` as files of a clipboard, at once and byte by byte: either way the same comes of it.
pub fn bundle(bytes: &[u8]) {
    let contents = |parts: Vec<Part>| {
        let bytes = |part| if let Part::Bytes(bytes) = part { bytes } else { Vec::new() };
        parts.into_iter().flat_map(bytes).collect::<Vec<u8>>()
    };
    let (mut whole, mut slow) = (Unbundle::default(), Unbundle::default());
    let at_once = whole.push(bytes).map(contents);
    let by_bytes = bytes.iter().try_fold(Vec::new(), |mut all, byte| {
        all.extend(slow.push(&[*byte])?);
        Ok(all)
    });
    assert_eq!(at_once, by_bytes.map(contents));
    assert_eq!(whole.is_over(), slow.is_over());
}

/// Reads `bytes` as a WebSocket's message, and as the name in a certificate.
pub fn carried(bytes: &[u8]) {
    for limit in [1024, crate::MAX_CONTROL] {
        if let Ok(message) = Carried::decode(bytes, limit)
            && message != Carried::Unknown
        {
            assert_eq!(Carried::decode(&message.encode(), limit), Ok(message));
        }
    }
    let words = issuer::words(bytes).unwrap_or_default();
    assert!(!words.chars().any(char::is_control));
    let _ = issuer::is_identity(bytes);
}

/// Reads `bytes` as a control message, and as a slice's body.
pub fn control(bytes: &[u8]) {
    if let Ok(m) = Control::decode(bytes) {
        assert_eq!(Control::decode(&m.encode()), Ok(m));
    }
    let _ = SliceBody::decode(bytes, true, true, Stamp::from_micros(1 << 40));
    let _ = SliceBody { ops: bytes.to_vec(), ..SliceBody::default() }.is_film();
}

/// Reads `bytes` as the shards of a slice (data shards, which of sixteen there are, the body's length, then the pieces in
/// turns of a length byte and so many bytes), and as a body that is cut, loses what the same bits say, and must come back.
pub fn fec(bytes: &[u8]) {
    let [data, mask @ .., len] = bytes.first_chunk::<4>().copied().unwrap_or_default();
    let (mut mask, mut rest) = (u16::from_le_bytes(mask), bytes.get(4..).unwrap_or_default());
    let mut shards = Vec::new();
    while let Some((size, more)) = rest.split_first() {
        let (piece, more) = more.split_at(usize::from(*size).min(more.len()));
        shards.push((mask & 1 == 0).then(|| piece.to_vec()));
        (mask, rest) = (mask.rotate_right(1), more);
    }
    if let Ok(Some(body)) = fec::body(&shards, usize::from(data), usize::from(len)) {
        assert_eq!(body.len(), usize::from(len));
    }
    let body = bytes.get(4..).unwrap_or_default();
    let wanted = usize::from(data % 8) + 1;
    let pieces: Vec<Vec<u8>> = body.chunks(fec::piece_len(body.len(), wanted).max(1)).map(<[u8]>::to_vec).collect();
    let parity = fec::parity(&pieces, pieces.len());
    let shards: Vec<Option<Vec<u8>>> =
        pieces.iter().chain(&parity).enumerate().map(|(i, p)| (mask >> i & 1 == 0).then(|| p.clone())).collect();
    if !pieces.is_empty() && shards.iter().flatten().count() >= pieces.len() {
        assert_eq!(fec::body(&shards, pieces.len(), body.len()), Ok(Some(body.to_vec())));
    }
}
