//! Reading rectangles of the root window: through a shared segment, or, where that cannot be, over the socket.
//!
//! The segment is a memfd that only this process and the server hold: unlike a SysV segment no other user can attach
//! it. It is sealed against shrinking, so no other holder can turn a read into a bus error.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use telepane_model::{Rect, Size, Surf};
use x11rb::connection::Connection;
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::protocol::ErrorKind;
use x11rb::protocol::shm;
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat};
use x11rb::rust_connection::RustConnection;

/// Why a read gave nothing.
#[derive(Debug)]
pub(super) enum ReadFault {
    /// The window is not as large as thought, or not there: look at its geometry.
    Geometry,
    /// The connection ended.
    Connection(String),
}

impl From<ReplyError> for ReadFault {
    fn from(e: ReplyError) -> Self {
        match e {
            ReplyError::ConnectionError(e) => e.into(),
            // Match, Value, Drawable: what is asked for is no longer there in this form. Others (Alloc) go the same
            // way, since a fresh geometry and a fresh segment are the answer to them too.
            ReplyError::X11Error(e) => {
                if !matches!(e.error_kind, ErrorKind::Match) {
                    tracing::debug!(kind = ?e.error_kind, "reading the screen failed");
                }
                Self::Geometry
            }
        }
    }
}

impl From<ConnectionError> for ReadFault {
    fn from(e: ConnectionError) -> Self {
        Self::Connection(e.to_string())
    }
}

/// The way pixels come.
pub(super) enum Reader {
    Shared(Segment),
    Socket,
}

impl Reader {
    /// A reader for surfaces up to `size`; over the socket when the server cannot share memory.
    pub(super) fn new(conn: &RustConnection, size: Size<Surf>) -> Self {
        match Segment::new(conn, size) {
            Ok(segment) => Self::Shared(segment),
            Err(reason) => {
                tracing::warn!(reason, "no shared memory with the X server, reading over the socket");
                Self::Socket
            }
        }
    }

    /// Reads `rects` (disjoint, within the surface) and gives each with its rows and their stride. All requests go
    /// out before the first answer is waited for. A large rectangle is one request, so that it is of one moment;
    /// cutting it, to compare one part while the server copies the next, gained nothing on two cores.
    pub(super) fn read(
        &self,
        conn: &RustConnection,
        root: u32,
        rects: &[Rect<Surf>],
        mut sink: impl FnMut(Rect<Surf>, &[u8], usize),
    ) -> Result<(), ReadFault> {
        match self {
            Self::Shared(segment) => {
                let mut cookies = Vec::with_capacity(rects.len());
                let mut offset = 0usize;
                for r in rects.iter().copied() {
                    let (x, y, w, h) = narrow(r)?;
                    let bytes = r.area() as usize * 4;
                    if offset + bytes > segment.len {
                        return Err(ReadFault::Geometry);
                    }
                    let cookie = shm::get_image(
                        conn,
                        root,
                        x,
                        y,
                        w,
                        h,
                        !0,
                        ImageFormat::Z_PIXMAP.into(),
                        segment.id,
                        offset as u32,
                    )?;
                    cookies.push((r, offset..offset + bytes, cookie));
                    offset += bytes;
                }
                let mut fault = None;
                for (r, range, cookie) in cookies {
                    match cookie.reply() {
                        // The server is done with this part, and writes the others elsewhere in the segment.
                        Ok(_) => sink(r, segment.bytes(range), r.w as usize * 4),
                        Err(e) => fault = Some(e.into()),
                    }
                }
                fault.map_or(Ok(()), Err)
            }
            Self::Socket => {
                let mut cookies = Vec::with_capacity(rects.len());
                for r in rects {
                    let (x, y, w, h) = narrow(*r)?;
                    cookies.push((*r, conn.get_image(ImageFormat::Z_PIXMAP, root, x, y, w, h, !0)?));
                }
                for (r, cookie) in cookies {
                    sink(r, &cookie.reply()?.data, r.w as usize * 4);
                }
                Ok(())
            }
        }
    }

    /// Tells the server to let the segment go.
    pub(super) fn release(self, conn: &RustConnection) {
        if let Self::Shared(segment) = self {
            let _ = shm::detach(conn, segment.id).map(|c| c.ignore_error());
        }
    }
}

/// The protocol's number types.
fn narrow(r: Rect<Surf>) -> Result<(i16, i16, u16, u16), ReadFault> {
    match (r.x.try_into(), r.y.try_into(), r.w.try_into(), r.h.try_into()) {
        (Ok(x), Ok(y), Ok(w), Ok(h)) => Ok((x, y, w, h)),
        _ => Err(ReadFault::Geometry),
    }
}

/// Memory shared with the server, mapped for reading.
pub(super) struct Segment {
    id: shm::Seg,
    address: *mut libc::c_void,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone and is only read; an address means the same on every thread.
unsafe impl Send for Segment {}

impl Segment {
    fn new(conn: &RustConnection, size: Size<Surf>) -> Result<Self, String> {
        let version = shm::query_version(conn).map_err(|e| e.to_string())?.reply().map_err(|e| e.to_string())?;
        if (version.major_version, version.minor_version) < (1, 2) {
            return Err("MIT-SHM older than 1.2 cannot take a descriptor".into());
        }
        let len = size.area() as usize * 4;
        let file = memory_file(len).map_err(|e| e.to_string())?;
        // SAFETY: a fresh mapping of `len` bytes of a file that is `len` long and sealed against shrinking.
        let address =
            unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if address == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error().to_string());
        }
        let id = conn.generate_id().map_err(|e| e.to_string())?;
        let segment = Self { id, address, len };
        shm::attach_fd(conn, id, file, false).map_err(|e| e.to_string())?.check().map_err(|e| e.to_string())?;
        Ok(segment)
    }

    fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        if range.end > self.len || range.start > range.end {
            return &[];
        }
        // SAFETY: inside the mapping, which lives as long as `self`. The server writes to a range only between the
        // request for it and the answer; `Reader::read` calls this after the answer, lets go of the bytes before the
        // next request, and gives no two requests in flight the same range.
        unsafe {
            std::slice::from_raw_parts(self.address.cast::<u8>().cast_const().add(range.start), range.end - range.start)
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length and unmapped nowhere else.
        unsafe { libc::munmap(self.address, self.len) };
    }
}

/// An anonymous file of `len` bytes that cannot change its length.
fn memory_file(len: usize) -> std::io::Result<OwnedFd> {
    // SAFETY: the name is a C string; the call has no other demands.
    let fd = unsafe { libc::memfd_create(c"telepane-capture".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: a descriptor just made, owned by nobody else.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: plain system calls on a descriptor we own.
    let done = unsafe {
        libc::ftruncate(file.as_raw_fd(), len as libc::off_t) == 0
            && libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) == 0
    };
    if done { Ok(file) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segment_cannot_shrink_under_a_reader() {
        let file = memory_file(4096).unwrap();
        // SAFETY: a plain system call on a descriptor we own.
        assert_ne!(unsafe { libc::ftruncate(file.as_raw_fd(), 0) }, 0);
    }
}
