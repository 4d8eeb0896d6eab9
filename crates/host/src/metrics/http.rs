//! As much HTTP/1.1 as a scraper needs: `GET /metrics`, one request per connection, one connection at a time.
//!
//! Whoever connects has two seconds and eight kilobytes for a request; a second one waits in the listen queue meanwhile.
//! There is no authentication, so an address that others reach is said aloud at the start. On an address that only this
//! machine reaches, a request must mean this machine: a page in a browser that gives a name of its own to 127.0.0.1 (DNS
//! rebinding) says that name and reads nothing.

use super::{Figures, render};
use crate::clock::Clock;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use telepane_model::{HostClock, Span, Stamp};
use thiserror::Error;

/// Why there are no metrics.
#[derive(Debug, Error)]
pub enum MetricsError {
    /// Another program has the port.
    #[error("cannot serve metrics: tcp port {0} is in use; pass another --metrics")]
    PortInUse(SocketAddr),
    /// Anything else.
    #[error("cannot serve metrics at {at}: {error}")]
    Io {
        /// Where.
        at: SocketAddr,
        /// The system's word.
        error: std::io::Error,
    },
}

/// Serves what `figures` gives, on a thread of its own that lives as long as the process. Returns the address.
pub fn start(
    at: SocketAddr,
    clock: Clock,
    figures: impl Fn() -> Option<Figures> + Send + 'static,
) -> Result<SocketAddr, MetricsError> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AddrInUse => MetricsError::PortInUse(at),
        _ => MetricsError::Io { at, error },
    };
    let listener = TcpListener::bind(at).map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    let alone = local.ip().is_loopback();
    if !alone {
        tracing::warn!(%local, "metrics are readable by everyone who reaches this address");
    }
    let serve = move || loop {
        match listener.accept() {
            // A scraper that goes away in the middle asks again.
            Ok((stream, _)) => drop(serve_one(stream, alone, clock, &figures)),
            // Out of descriptors, most likely; trying at once would spin.
            Err(_) => std::thread::park_timeout(Duration::from_secs(1)),
        }
    };
    std::thread::Builder::new().name("telepane-metrics".into()).spawn(serve).map_err(failed)?;
    Ok(local)
}

fn serve_one(
    mut stream: TcpStream,
    alone: bool,
    clock: Clock,
    figures: &impl Fn() -> Option<Figures>,
) -> std::io::Result<()> {
    let deadline = clock.now() + PATIENCE;
    stream.set_write_timeout(Some(Duration::from_micros(PATIENCE.as_micros())))?;
    let mut head = Vec::new();
    let wanted = loop {
        match examine(&head, alone) {
            Wanted::More if head.len() < MOST_HEAD => {}
            Wanted::More => break Wanted::Nonsense,
            wanted => break wanted,
        }
        let left = left(deadline, clock.now()).ok_or(ErrorKind::TimedOut)?;
        stream.set_read_timeout(Some(left))?;
        let mut some = [0; 1024];
        match stream.read(&mut some)? {
            0 => return Ok(()),
            n => head.extend_from_slice(some.get(..n).unwrap_or_default()),
        }
    };
    let (status, body, with_body) = match wanted {
        Wanted::Metrics { body } => match figures() {
            Some(figures) => ("200 OK", render(&figures), body),
            None => ("503 Service Unavailable", "the agent does not answer\n".into(), body),
        },
        Wanted::OtherHost => ("421 Misdirected Request", "ask for 127.0.0.1 or localhost\n".into(), true),
        Wanted::OtherPath => ("404 Not Found", "the metrics are at /metrics\n".into(), true),
        Wanted::OtherMethod => ("405 Method Not Allowed\r\nAllow: GET, HEAD", "only GET and HEAD\n".into(), true),
        Wanted::Nonsense | Wanted::More => ("400 Bad Request", "not a request\n".into(), true),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    if with_body {
        stream.write_all(body.as_bytes())?;
    }
    stream.flush()
}

/// The time that is left, if any is.
fn left(deadline: Stamp<HostClock>, now: Stamp<HostClock>) -> Option<Duration> {
    Some(Duration::from_micros(deadline.since(now).as_micros())).filter(|d| !d.is_zero())
}

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// It is not complete.
    More,
    /// The figures; without a body for HEAD.
    Metrics {
        body: bool,
    },
    /// It means another machine.
    OtherHost,
    OtherPath,
    OtherMethod,
    Nonsense,
}

/// `alone`: only this machine reaches us.
fn examine(head: &[u8], alone: bool) -> Wanted {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Partial) => Wanted::More,
        Err(_) => Wanted::Nonsense,
        Ok(httparse::Status::Complete(_)) => {
            let mut hosts = request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("host"));
            if alone && !hosts.all(|h| means_this_machine(h.value)) {
                return Wanted::OtherHost;
            }
            let path = request.path.and_then(|p| p.split('?').next()).unwrap_or_default();
            match (request.method, path) {
                (Some(method @ ("GET" | "HEAD")), "/metrics") => Wanted::Metrics { body: method == "GET" },
                (Some("GET" | "HEAD"), _) => Wanted::OtherPath,
                _ => Wanted::OtherMethod,
            }
        }
    }
}

/// Whether a Host header names an address, or this machine as every machine names itself.
fn means_this_machine(value: &[u8]) -> bool {
    let host = std::str::from_utf8(value).unwrap_or_default().trim();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// For a request, from the first byte to the last.
const PATIENCE: Span = Span::secs(2);
/// Bytes of a request; Prometheus sends some 300.
const MOST_HEAD: usize = 8 * 1024;
const MOST_HEADERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let get = |line: &str| examine(format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(), false);
        assert_eq!(get("GET /metrics"), Wanted::Metrics { body: true });
        assert_eq!(get("GET /metrics?name[]=a"), Wanted::Metrics { body: true });
        assert_eq!(get("HEAD /metrics"), Wanted::Metrics { body: false });
        assert_eq!(get("GET /"), Wanted::OtherPath);
        assert_eq!(get("POST /metrics"), Wanted::OtherMethod);
        assert_eq!(examine(b"GET /metr", true), Wanted::More);
        assert_eq!(examine(b"\x16\x03\x01\x02\x00\x01", true), Wanted::Nonsense);
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MOST_HEADERS + 1));
        assert_eq!(examine(many.as_bytes(), true), Wanted::Nonsense);
    }

    #[test]
    fn a_page_that_calls_this_machine_by_a_name_of_its_own_reads_nothing() {
        let from =
            |host: &str, alone| examine(format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), alone);
        for host in ["127.0.0.1:9100", "127.0.0.1", "[::1]:9100", "localhost:9100", "LocalHost"] {
            assert_eq!(from(host, true), Wanted::Metrics { body: true }, "{host}");
        }
        for host in
            ["evil.example", "evil.example:9100", "localhost.evil.example", "127.0.0.1.evil.example", "", "\u{fffd}"]
        {
            assert_eq!(from(host, true), Wanted::OtherHost, "{host}");
            assert_eq!(from(host, false), Wanted::Metrics { body: true }, "a name that the owner gave: {host}");
        }
        let two = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n";
        assert_eq!(examine(two, true), Wanted::OtherHost);
        let at = start(([127, 0, 0, 1], 0).into(), Clock::new(), || Some(Figures::default())).expect("a port");
        let text = fetch(at, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        assert!(text.starts_with("HTTP/1.1 421") && !text.contains("telepane_"), "{text}");
    }

    fn fetch(at: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(at).expect("it listens");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers and closes");
        text
    }

    #[test]
    fn a_scrape_gets_the_figures_and_the_port_is_taken_then() {
        let at = start(([127, 0, 0, 1], 0).into(), Clock::new(), || Some(Figures::default())).expect("a port");
        let text = fetch(at, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(&format!("Content-Length: {}", body.len())));
        assert!(body.contains("telepane_sessions{state=\"connected\"} 0\n"), "{body}");
        let head_only = fetch(at, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(head_only.starts_with("HTTP/1.1 200 OK") && head_only.ends_with("\r\n\r\n"));
        assert!(fetch(at, "GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 404"));
        let error = start(at, Clock::new(), || None).expect_err("taken").to_string();
        assert!(error.contains("in use") && error.contains("--metrics"), "{error}");
    }

    #[test]
    fn an_agent_that_does_not_answer_is_said() {
        let at = start(([127, 0, 0, 1], 0).into(), Clock::new(), || None).expect("a port");
        assert!(fetch(at, "GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 503"));
    }
}
