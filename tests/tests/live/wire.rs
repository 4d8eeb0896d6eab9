//! A cable for TCP that can be pulled and put back: whoever is at its ends knows at once that the other is gone, where a
//! lost UDP link is noticed after minutes.

use std::io::copy;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module.
pub struct Wire {
    addr: SocketAddr,
    ends: Arc<Mutex<Ends>>,
}

#[derive(Default)]
struct Ends {
    pulled: bool,
    streams: Vec<TcpStream>,
}

impl Wire {
    /// One to `to`, whole.
    pub fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let addr = listener.local_addr().expect("it is bound");
        let ends = Arc::<Mutex<Ends>>::default();
        let held = ends.clone();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let Ok(near) = near else { return };
                let mut ends = lock(&held);
                // Dropped, it is closed: nobody answers at a wire that is pulled.
                let Some(far) = (!ends.pulled).then(|| TcpStream::connect(to).ok()).flatten() else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    pass(from, to);
                }
                ends.streams.extend([near, far]);
            }
        });
        Self { addr, ends }
    }

    /// Where to connect to.
    pub fn addr(&self) -> String {
        self.addr.to_string()
    }

    /// Ends what goes over it and lets nobody through.
    pub fn pull(&self) {
        let mut ends = lock(&self.ends);
        ends.pulled = true;
        // One that has ended by itself cannot be ended again.
        ends.streams.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    /// Lets everybody through again.
    pub fn put_back(&self) {
        lock(&self.ends).pulled = false;
    }
}

fn pass(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().expect("a second hold"), to.try_clone().expect("a second hold"));
    std::thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}

fn lock(ends: &Mutex<Ends>) -> MutexGuard<'_, Ends> {
    ends.lock().unwrap_or_else(PoisonError::into_inner)
}
