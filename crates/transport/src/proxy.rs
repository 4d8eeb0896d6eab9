//! Proxies between a client and the world: how one is named, who goes round it, and asking it for a way through.
//!
//! HTTP's CONNECT (RFC 9110 §9.3.6), in the clear or over TLS to the proxy, with basic credentials (RFC 7617), and SOCKS5
//! (RFC 1928, RFC 1929). The proxy is told the host's name as the person wrote it: it may know names that this machine does
//! not. What it answers is bounded.

use crate::event::ConnectFailure;
use crate::websocket::Io;
use data_encoding::BASE64;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_socks::tcp::Socks5Stream;

/// The longest answer to CONNECT, and the most headers in it.
const ANSWER: usize = 8 * 1024;
const HEADERS: usize = 64;

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
    Socks5,
}

/// A proxy, and what it asks to know of us.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    credentials: Option<(String, String)>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Without credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Http => "http",
            Kind::Https => "https",
            Kind::Socks5 => "socks5",
        };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl Proxy {
    /// Reads `[http|https|socks5|socks5h://][USER:PASSWORD@]HOST[:PORT]`, as `HTTPS_PROXY` has it.
    ///
    /// # Errors
    /// In words, without the credentials.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.trim().split_once("://").unwrap_or(("http", text.trim()));
        let (kind, default) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks5" | "socks5h" | "socks" => (Kind::Socks5, 1080),
            other => return Err(format!("{other}:// is no kind of proxy that is known; give http, https or socks5")),
        };
        let rest = rest.split('/').next().unwrap_or_default();
        let (credentials, place) = match rest.rsplit_once('@') {
            Some((user, place)) => {
                let (name, password) = user.split_once(':').unwrap_or((user, ""));
                (Some((decoded(name)?, decoded(password)?)), place)
            }
            None => (None, rest),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                let port = port.parse().ok().filter(|p| *p > 0);
                (host, port.ok_or("the proxy's port is not one; give 1 to 65535")?)
            }
            _ => (place, default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        // What goes into a request line must not end it.
        let odd = |t: &str| t.chars().any(|c| c.is_control() || c == ' ');
        if host.is_empty() || odd(&host) || credentials.as_ref().is_some_and(|(n, p)| odd_user(n) || odd_user(p)) {
            return Err("the proxy is not named well; give http://[USER:PASSWORD@]HOST:PORT".into());
        }
        Ok(Self { kind, host, port, credentials })
    }

    fn fails(&self, why: impl Into<String>) -> ConnectFailure {
        ConnectFailure::Proxy { proxy: self.to_string(), why: why.into() }
    }

    /// Connects to the proxy: the socket, which the caller tunes.
    pub(crate) async fn dial(&self) -> Result<TcpStream, ConnectFailure> {
        TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|e| self.fails(format!("cannot be reached: {e}; check its address, or connect with --proxy none")))
    }

    /// Asks for a way to `host`:`port`.
    // spec: WS-13
    pub(crate) async fn through(&self, tcp: TcpStream, host: &str, port: u16) -> Result<Box<dyn Io>, ConnectFailure> {
        match self.kind {
            Kind::Http => self.connect(Box::new(tcp), host, port).await,
            Kind::Https => {
                let tls = TlsConnector::from(Arc::new(self.trusting()?));
                let name = rustls::pki_types::ServerName::try_from(self.host.clone())
                    .map_err(|_| self.fails("has a name that no certificate can be for"))?;
                let tls = tls.connect(name, tcp).await.map_err(|e| {
                    self.fails(format!("does not prove who it is: {e}; add its authority to the system's certificates"))
                })?;
                self.connect(Box::new(tls), host, port).await
            }
            Kind::Socks5 => {
                let made = match &self.credentials {
                    Some((name, password)) => {
                        Socks5Stream::connect_with_password_and_socket(tcp, (host, port), name, password).await
                    }
                    None => Socks5Stream::connect_with_socket(tcp, (host, port)).await,
                };
                use tokio_socks::Error as Socks;
                let stream = made.map_err(|e| match e {
                    Socks::PasswordAuthFailure(_) | Socks::NoAcceptableAuthMethods | Socks::AuthorizationRequired => {
                        self.wants_credentials()
                    }
                    e => self.fails(format!("did not connect to {host}:{port}: {e}")),
                })?;
                Ok(Box::new(stream))
            }
        }
    }

    fn wants_credentials(&self) -> ConnectFailure {
        self.fails(match &self.credentials {
            Some(_) => "refuses these credentials; check USER:PASSWORD in --proxy or HTTPS_PROXY",
            None => "asks for credentials; give --proxy or HTTPS_PROXY as SCHEME://USER:PASSWORD@HOST:PORT",
        })
    }

    /// Who signs an HTTPS proxy: the system's authorities, as for every other program here.
    fn trusting(&self) -> Result<rustls::ClientConfig, ConnectFailure> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| ConnectFailure::Local(e.to_string()))?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }

    async fn connect(&self, mut to: Box<dyn Io>, host: &str, port: u16) -> Result<Box<dyn Io>, ConnectFailure> {
        let broke = |e: std::io::Error| self.fails(format!("broke off: {e}"));
        to.write_all(self.request(host, port).as_bytes()).await.map_err(broke)?;
        to.flush().await.map_err(broke)?;
        let mut answer = Vec::new();
        loop {
            let mut byte = [0];
            // One at a time: what follows the head is the host's. The head is short, and read once.
            if to.read(&mut byte).await.map_err(broke)? == 0 {
                return Err(self.fails("closed the connection instead of answering"));
            }
            answer.extend_from_slice(&byte);
            if answer.ends_with(b"\r\n\r\n") || answer.ends_with(b"\n\n") {
                break;
            }
            if answer.len() > ANSWER {
                return Err(self.fails("answers without end"));
            }
        }
        match status(&answer) {
            Some(200..=299) => Ok(to),
            // Tinyproxy says 401 of credentials that are wrong.
            Some(401 | 407) => Err(self.wants_credentials()),
            Some(403) => Err(self.fails(format!(
                "does not allow CONNECT to {host}:{port}; ask for it, or have the agent listen on 443 too"
            ))),
            Some(code) => Err(self.fails(format!("cannot connect to {host}:{port}: it answers {code}"))),
            None => Err(self.fails("does not answer as an HTTP proxy; check its port")),
        }
    }

    fn request(&self, host: &str, port: u16) -> String {
        let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let credentials = self.credentials.as_ref().map_or_else(String::new, |(name, password)| {
            format!("Proxy-Authorization: Basic {}\r\n", BASE64.encode(format!("{name}:{password}").as_bytes()))
        });
        format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{credentials}\r\n")
    }
}

fn odd_user(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// An answer's status.
fn status(head: &[u8]) -> Option<u16> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(head).ok()?;
    response.code
}

/// `%40` and the like, as URLs write them.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after.get(..2).and_then(|d| std::str::from_utf8(d).ok());
        let byte = digits.and_then(|d| u8::from_str_radix(d, 16).ok());
        bytes.push(byte.ok_or("a % in the proxy's credentials is followed by two hexadecimal digits")?);
        rest = after.get(2..).unwrap_or_default();
    }
    String::from_utf8(bytes).map_err(|_| "the proxy's credentials are not UTF-8".into())
}

/// Whether `NO_PROXY` says that this host is reached without a proxy: `*`, names with everything below them, addresses, and
/// networks (`10.0.0.0/8`), between commas.
pub fn bypassed(no_proxy: &str, host: &str, addresses: &[IpAddr]) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    no_proxy.split([',', ' ']).map(|e| e.trim().to_ascii_lowercase()).filter(|e| !e.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let Some((network, bits)) = entry.split_once('/')
            && let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>())
        {
            return addresses.iter().any(|a| within(*a, network, bits));
        }
        if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
            return addresses.contains(&address);
        }
        let name = entry.trim_start_matches("*.").trim_start_matches('.');
        host == name || host.strip_suffix(name).is_some_and(|before| before.ends_with('.'))
    })
}

fn within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address.to_canonical(), network.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(n)) if bits <= 32 => {
            (a.to_bits() ^ n.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(n)) if bits <= 128 => {
            (a.to_bits() ^ n.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_and_shows_no_password() {
        let proxy = Proxy::parse("http://me:p%40ss%3Aword@gate.example:3128/").unwrap();
        assert_eq!(proxy.credentials, Some(("me".into(), "p@ss:word".into())));
        assert_eq!(
            (proxy.to_string(), format!("{proxy:?}").contains("p@ss")),
            ("http://gate.example:3128".into(), false)
        );
        let of = |text: &str| Proxy::parse(text).map(|p| p.to_string());
        assert_eq!(of("gate:8080").as_deref(), Ok("http://gate:8080"));
        assert_eq!(of("socks5h://[::1]").as_deref(), Ok("socks5://[::1]:1080"));
        assert_eq!(of("https://gate").as_deref(), Ok("https://gate:443"));
        for wrong in
            ["", "http://", "ftp://gate", "http://gate:0", "http://u:%zz@gate", "http://ga te", "http://u:%0a@g"]
        {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    // spec: WS-13
    #[test]
    fn connect_names_the_host_and_carries_the_credentials() {
        let proxy = Proxy::parse("http://Aladdin:open%20sesame@gate").unwrap();
        let request = proxy.request("desk.example", 8443);
        assert!(request.starts_with("CONNECT desk.example:8443 HTTP/1.1\r\nHost: desk.example:8443\r\n"));
        // The example of RFC 7617 §2.
        assert!(request.contains("Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
        assert!(Proxy::parse("gate").unwrap().request("::1", 443).starts_with("CONNECT [::1]:443 HTTP/1.1\r\n"));
        assert_eq!(status(b"HTTP/1.0 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"SSH-2.0-OpenSSH\r\n\r\n"), None);
    }

    #[test]
    fn some_hosts_are_reached_without_it() {
        let at = |list: &str, host: &str, ip: &str| bypassed(list, host, &[ip.parse().unwrap()]);
        assert!(at("localhost, .example.org", "desk.Example.org", "192.0.2.1"));
        assert!(at("example.org", "example.org.", "192.0.2.1") && at("*.example.org", "a.example.org", "192.0.2.1"));
        assert!(!at("example.org", "notexample.org", "192.0.2.1"));
        assert!(at("10.0.0.0/8", "desk", "10.200.1.1") && !at("10.0.0.0/8", "desk", "11.0.0.1"));
        assert!(at("0.0.0.0/0", "desk", "11.0.0.1") && at("fd00::/8", "desk", "fd12::1"));
        assert!(at("192.0.2.1", "desk", "192.0.2.1") && at("*", "desk", "192.0.2.1"));
        assert!(!at("", "desk", "192.0.2.1") && !at("10.0.0.0/99", "desk", "10.0.0.1"));
    }
}
