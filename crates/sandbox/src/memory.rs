//! The memory that both processes have: a file without a name that can neither grow nor shrink.
#![allow(unsafe_code)]

use crate::wire::{MEMORY_BYTES, planes};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, ftruncate, memfd_create};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use telepane_codec::h264::Picture;
use telepane_codec::limits;

/// A mapping of it, [`MEMORY_BYTES`] long.
#[derive(Debug)]
pub struct Memory {
    start: NonNull<u8>,
    /// The picture that was taken out last, where the other process cannot change it.
    taken: Vec<u8>,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl Send for Memory {}

impl Memory {
    /// New memory, and the descriptor to map it in another process.
    pub fn new() -> io::Result<(Self, OwnedFd)> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Never a program. Kernels before 6.3 do not know how to say so.
        let make = |more| memfd_create("telepane-film", flags | more);
        let file = make(MemfdFlags::NOEXEC_SEAL).or_else(|_| make(MemfdFlags::empty()))?;
        ftruncate(&file, MEMORY_BYTES as u64)?;
        // One that shrank would end us with SIGBUS, and one that grew would be memory that nobody agreed to.
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok((Self::map(&file)?, file))
    }

    /// Maps what [`Memory::new`] made.
    pub fn map(file: impl AsFd) -> io::Result<Self> {
        let file = file.as_fd();
        if fstat(file)?.st_size != MEMORY_BYTES as i64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (access, raw) = (libc::PROT_READ | libc::PROT_WRITE, file.as_raw_fd());
        // SAFETY: a fresh shared mapping of an open file that is as long as the mapping, wherever the kernel likes.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), MEMORY_BYTES, access, libc::MAP_SHARED, raw, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<u8>()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { start, taken: Vec::new() })
    }

    /// Puts a frame's bytes where the other process reads them; false if they are too many.
    pub fn put_frame(&mut self, frame: &[u8]) -> bool {
        let fits = frame.len() <= limits::FILM_BYTES;
        if fits {
            // SAFETY: the mapping begins with FILM_BYTES bytes for this, and `frame` is no part of it: it is borrowed
            // while `self` is borrowed mutably.
            unsafe { self.start.as_ptr().copy_from_nonoverlapping(frame.as_ptr(), frame.len()) };
        }
        fits
    }

    /// The frame's bytes, where [`Memory::put_frame`] put them; at most [`limits::FILM_BYTES`].
    pub fn frame(&self, len: usize) -> &[u8] {
        // SAFETY: within the mapping. For the process that decodes, who wrote them waits for the answer and writes nothing meanwhile.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), len.min(limits::FILM_BYTES)) }
    }

    /// Puts a picture's planes where the other process reads them, row behind row; false if it has sides that no film has.
    pub fn put_picture(&mut self, picture: &Picture<'_>) -> bool {
        let Some(places) = planes((picture.w, picture.h)) else { return false };
        let (w, half) = (picture.w as usize, picture.w as usize / 2);
        let widths = [(w, picture.strides[0]), (half, picture.strides[1]), (half, picture.strides[1])];
        for ((plane, (start, len)), (w, stride)) in picture.planes.iter().zip(places).zip(widths) {
            // SAFETY: `planes` lies within the mapping, nothing else of this process refers to it while `self` is
            // borrowed mutably, and the process that reads it waits for the answer.
            let out = unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(start), len) };
            for (out, row) in out.chunks_exact_mut(w).zip(plane.chunks(stride)) {
                let Some(row) = row.get(..w) else { return false };
                out.copy_from_slice(row);
            }
        }
        true
    }

    /// Takes out the picture of these sides that was put there: what becomes of the memory afterwards is not seen. None for sides that
    /// no film has.
    pub fn picture(&mut self, sides: (u32, u32)) -> Option<Picture<'_>> {
        let [(luma, long), (_, half), (chroma, len)] = planes(sides)?;
        let whole = chroma + len - luma;
        self.taken.resize(whole, 0);
        // SAFETY: the planes lie close together within the mapping, whose file is sealed against shrinking, and `taken` is as long.
        // Bytes are copied through pointers, and nothing refers to the memory: a process that was taken over and writes meanwhile
        // chooses which samples are found, and every byte is one.
        unsafe { self.taken.as_mut_ptr().copy_from_nonoverlapping(self.start.as_ptr().add(luma), whole) };
        let (first, rest) = self.taken.split_at_checked(long)?;
        let (second, third) = rest.split_at_checked(half)?;
        let (w, h) = sides;
        Some(Picture { w, h, planes: [first, second, third], strides: [w as usize, w as usize / 2] })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length, and nothing borrowed from it outlives it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), MEMORY_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sealed() {
        let (_, file) = Memory::new().expect("memory");
        assert!(ftruncate(&file, MEMORY_BYTES as u64 + 1).is_err(), "it does not grow");
        assert!(ftruncate(&file, 1).is_err(), "it does not shrink");
        assert!(fcntl_add_seals(&file, SealFlags::WRITE).is_err(), "its seals stand");
    }

    #[test]
    fn what_one_puts_the_other_finds() {
        let (mut one, file) = Memory::new().expect("memory");
        let mut other = Memory::map(&file).expect("the same");
        assert!(one.put_frame(&[1, 2, 3]) && !one.put_frame(&vec![0; limits::FILM_BYTES + 1]));
        assert_eq!(other.frame(3), [1, 2, 3]);
        // Four samples wide, in rows of five.
        let (luma, chroma) = ((0..14).collect::<Vec<u8>>(), vec![9, 8]);
        let picture = Picture { w: 4, h: 2, planes: [&luma[..9], &chroma, &chroma], strides: [5, 2] };
        assert!(other.put_picture(&picture));
        let found = one.picture((4, 2)).expect("sides of a film");
        assert_eq!(found.planes, [&[0, 1, 2, 3, 5, 6, 7, 8][..], &[9, 8], &[9, 8]]);
        assert!(one.picture((4_000, 2)).is_none());
        assert!(!other.put_picture(&Picture { w: 3, ..picture }));
    }

    #[test]
    fn what_is_not_as_long_is_not_mapped() {
        let file = memfd_create("short", MemfdFlags::CLOEXEC).expect("a file");
        ftruncate(&file, 4_096).expect("it is ours");
        assert!(Memory::map(&file).is_err());
    }
}
