//! The bulk lane's chunks: files and large clipboard contents, each chunk on a stream of its own.
//!
//! Layout: `seq u16 | flags u8 | pipe varint | offset varint | bytes`. `seq` is the low half of the counter that datagrams
//! have too, so that feedback tells when a chunk arrived as it does for a datagram.

use crate::fault::Fault;
use crate::wire::{Put, Reader};

/// A piece of what a pipe carries.
// spec: B-2
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Chunk {
    /// Which pipe; the receiver has given it its number.
    pub pipe: u32,
    /// Where in the pipe the bytes stand.
    pub offset: u64,
    /// The pipe ends with these bytes.
    pub last: bool,
    /// The bytes. At most [`MAX_CHUNK`].
    pub bytes: Vec<u8>,
}

/// The most bytes of one chunk.
// spec: B-3
pub const MAX_CHUNK: usize = 16 << 10;
/// What a pipe carries at most, in bytes: 16 TiB.
// spec: B-4
pub const MAX_PIPE: u64 = 16 << 40;

const LAST: u8 = 1;

impl Chunk {
    /// The most bytes a chunk's header takes.
    pub const HEADER: usize = 2 + 1 + 4 + 8;

    /// Writes the chunk that is number `seq` of what its sender sends.
    // spec: B-2
    pub fn encode(&self, seq: u64) -> Vec<u8> {
        let bytes = self.bytes.get(..MAX_CHUNK).unwrap_or(&self.bytes);
        let mut out = Vec::with_capacity(Self::HEADER + bytes.len());
        out.extend_from_slice(&((seq & 0xffff) as u16).to_le_bytes());
        out.push(if self.last { LAST } else { 0 });
        out.varint(u64::from(self.pipe));
        out.varint(self.offset);
        out.extend_from_slice(bytes);
        out
    }

    /// Reads a chunk: the low half of its number, and what it says.
    // spec: B-2, B-3, B-4, F-2
    pub fn decode(bytes: &[u8]) -> Result<(u16, Self), Fault> {
        let mut r = Reader::new(bytes);
        let (seq, flags, pipe, offset) = (r.u16()?, r.u8()?, r.var()?, r.varint()?);
        let rest = r.rest();
        if rest.len() > MAX_CHUNK {
            return Err(Fault::ListTooLong);
        }
        let last = flags & LAST != 0;
        if rest.is_empty() && !last || offset > MAX_PIPE || offset + rest.len() as u64 > MAX_PIPE {
            return Err(Fault::BadChunk);
        }
        Ok((seq, Self { pipe, offset, last, bytes: rest.to_vec() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // spec: B-3, B-4
    #[test]
    fn impossible_chunks_are_refused() {
        let chunk = Chunk { pipe: 3, offset: 9, last: false, bytes: vec![1] };
        let with = |c: Chunk| Chunk::decode(&c.encode(0)).map(|_| ());
        assert_eq!(with(chunk.clone()), Ok(()));
        assert_eq!(with(Chunk { bytes: vec![], ..chunk.clone() }), Err(Fault::BadChunk));
        assert_eq!(with(Chunk { bytes: vec![], last: true, ..chunk.clone() }), Ok(()));
        assert_eq!(with(Chunk { offset: MAX_PIPE, ..chunk.clone() }), Err(Fault::BadChunk));
        assert_eq!(with(Chunk { offset: u64::MAX, ..chunk.clone() }), Err(Fault::BadChunk));
        let mut long = chunk.encode(0);
        long.resize(long.len() + MAX_CHUNK, 0);
        assert_eq!(Chunk::decode(&long).map(|_| ()), Err(Fault::ListTooLong));
        assert_eq!(Chunk::decode(&[0, 0, 0]).map(|_| ()), Err(Fault::Truncated));
    }

    proptest! {
        // spec: B-2, F-1
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60), seq in any::<u16>()) {
            if let Ok((seq, chunk)) = Chunk::decode(&bytes) {
                prop_assert_eq!(Chunk::decode(&chunk.encode(u64::from(seq))), Ok((seq, chunk)));
            }
            let chunk = Chunk { pipe: 1 << 29, offset: 1 << 40, last: false, bytes: vec![7; 1_000] };
            prop_assert!(chunk.encode(u64::from(seq)).len() <= Chunk::HEADER + 1_000);
            prop_assert_eq!(Chunk::decode(&chunk.encode(u64::from(seq))), Ok((seq, chunk)));
        }
    }
}
