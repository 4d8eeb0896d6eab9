//! A UDP socket that asks nothing special of its system, for one that refuses what quinn's own asks for: to be told of ECN, of the
//! address a packet was sent to, and not to fragment (older Windows, and Wine).
//!
//! What is lost is said once. A congested link then tells of itself by delay and loss alone, which is what the rate controller reads
//! anyhow, and QUIC looks for no larger packets than every path carries.

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::future::Future;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;

/// `socket` as quinn has it, or plain where the system refuses that.
pub fn wrap(socket: UdpSocket, runtime: &dyn quinn::Runtime) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    let again = socket.try_clone()?;
    match runtime.wrap_udp_socket(socket) {
        Err(error) => {
            let plain = Plain::new(again)?;
            static SAID: AtomicBool = AtomicBool::new(false);
            if !SAID.swap(true, Ordering::Relaxed) {
                tracing::warn!(%error, "this system tells of no congestion marks (ECN): they are done without");
            }
            Ok(Arc::new(plain))
        }
        wrapped => wrapped,
    }
}

#[derive(Debug)]
struct Plain {
    io: tokio::net::UdpSocket,
}

impl Plain {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { io: tokio::net::UdpSocket::from_std(socket)? })
    }
}

impl AsyncUdpSocket for Plain {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable { socket: self, waits: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.io.try_send_to(transmit.contents, transmit.destination) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(error),
            // As quinn has it: what is not sent is lost, and QUIC mends that.
            Err(error) => {
                tracing::debug!(%error, to = %transmit.destination, "a packet was not sent");
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buf), Some(meta)) = (bufs.first_mut(), meta.first_mut()) else { return Poll::Ready(Ok(0)) };
        let mut buf = ReadBuf::new(buf);
        let addr = ready!(self.io.poll_recv_from(cx, &mut buf))?;
        let len = buf.filled().len();
        *meta = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }
}

type Wait = Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>;

/// One connection's wait for room. Each has a future of its own, because a socket that is polled remembers one waker.
struct Writable {
    socket: Arc<Plain>,
    waits: Option<Wait>,
}

impl std::fmt::Debug for Writable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writable").finish_non_exhaustive()
    }
}

impl UdpPoller for Writable {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.socket.clone();
        let waits = self.waits.get_or_insert_with(|| Box::pin(async move { socket.io.writable().await }));
        let writable = ready!(waits.as_mut().poll(cx));
        self.waits = None;
        Poll::Ready(writable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A runtime whose sockets the system refuses.
    #[derive(Debug)]
    struct Refusing;

    impl quinn::Runtime for Refusing {
        fn new_timer(&self, at: std::time::Instant) -> Pin<Box<dyn quinn::AsyncTimer>> {
            quinn::TokioRuntime.new_timer(at)
        }

        fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
            quinn::TokioRuntime.spawn(future);
        }

        fn wrap_udp_socket(&self, _: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
            Err(ErrorKind::Unsupported.into())
        }
    }

    #[test]
    fn a_socket_that_is_refused_sends_and_receives_all_the_same() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let [here, there] = [0, 1].map(|_| wrap(UdpSocket::bind("127.0.0.1:0").unwrap(), &Refusing).unwrap());
        let destination = there.local_addr().unwrap();
        let all = async {
            for n in 0..200u8 {
                let contents = vec![n; 1 + usize::from(n) * 6];
                let transmit =
                    Transmit { destination, ecn: None, contents: &contents, segment_size: None, src_ip: None };
                let mut poller = here.clone().create_io_poller();
                while here.try_send(&transmit).is_err() {
                    std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx)).await.unwrap();
                }
                let mut buffer = [0; 2_000];
                let mut meta = [RecvMeta::default()];
                let received =
                    std::future::poll_fn(|cx| there.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta));
                assert_eq!(received.await.unwrap(), 1);
                assert_eq!((&buffer[..meta[0].len], meta[0].stride), (&contents[..], contents.len()));
                assert_eq!(meta[0].addr, here.local_addr().unwrap());
            }
            assert!(here.may_fragment() && here.max_transmit_segments() == 1, "each packet by itself");
        };
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), all).await }).unwrap();
    }
}
