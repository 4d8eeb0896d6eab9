//! Through real proxies: tinyproxy for CONNECT, microsocks for SOCKS5, with credentials and without.

use crate::websocket::{older_tls_server, tls_server};
use crate::world::{Host, Identity, Viewer, loopback, pause};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use telepane_transport::{Carrier, ConnectFailure, HostExpectation, Options, Proxy};

/// A proxy program that ends with this value, and its configuration.
struct Running {
    child: Child,
    addr: SocketAddr,
    file: Option<PathBuf>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn have(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|p| std::env::split_paths(&p).any(|d| d.join(program).is_file()));
    if !found {
        println!("proxies: skipped: no {program} (package {program})");
    }
    found
}

fn free() -> SocketAddr {
    TcpListener::bind(loopback(0)).and_then(|l| l.local_addr()).unwrap()
}

fn start(command: &mut Command, addr: SocketAddr, file: Option<PathBuf>) -> Running {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let running = Running { child, addr, file };
    for _ in 0..400 {
        if TcpStream::connect(addr).is_ok() {
            return running;
        }
        pause(25);
    }
    panic!("{command:?} does not listen");
}

fn tinyproxy(lines: &str) -> Running {
    let addr = free();
    let file = std::env::temp_dir().join(format!("telepane-tinyproxy-{}-{}", std::process::id(), addr.port()));
    let text = format!("Port {}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\n{lines}\n", addr.port());
    std::fs::write(&file, text).unwrap();
    start(Command::new("tinyproxy").args(["-d", "-c"]).arg(&file), addr, Some(file.clone()))
}

fn microsocks(arguments: &[&str]) -> Running {
    let addr = free();
    let port = addr.port().to_string();
    start(Command::new("microsocks").args(["-i", "127.0.0.1", "-p", &port]).args(arguments), addr, None)
}

/// A viewer whose TCP goes through `proxy`, to a host whose UDP is silent.
fn through(proxy: &str, to: SocketAddr, expect: HostExpectation) -> Viewer {
    let options = Options {
        proxy: Some(Proxy::parse(proxy).unwrap()),
        named: Some((to.ip().to_string(), to.port())),
        ..Options::default()
    };
    // The address is not needed: a proxy finds it. UDP, to which it would lead, is silent here.
    Viewer::with(Vec::new(), expect, options)
}

fn works(proxy: &str, host: &Host, identity: &Identity) {
    let viewer = through(proxy, host.addr(), HostExpectation::Pinned(identity.fingerprint()));
    let (_, facts) = viewer.events.connected();
    assert_eq!(facts.carrier, Carrier::WebSocket);
    let seen = host.events.connected().1;
    assert_eq!(seen.exporter, facts.exporter, "{proxy}: nobody in between");
    assert_ne!(facts.remote, host.addr(), "{proxy}: past it");
}

fn fails(proxy: &str, to: SocketAddr, says: &str) {
    let failure = through(proxy, to, HostExpectation::Any).events.failed();
    let ConnectFailure::Proxy { proxy, why } = &failure else { panic!("{failure}") };
    assert!(why.contains(says), "{failure}");
    assert!(!proxy.contains("secret"), "{failure}");
}

// spec: WS-13
#[test]
fn connect_through_tinyproxy_with_credentials_and_without() {
    if !have("tinyproxy") {
        return;
    }
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    let open = tinyproxy("");
    works(&format!("http://{}", open.addr), &host, &identity);
    let locked = tinyproxy("BasicAuth me secret");
    let at = locked.addr;
    works(&format!("http://me:secret@{at}"), &host, &identity);
    fails(&format!("http://{at}"), host.addr(), "asks for credentials");
    fails(&format!("http://me:secret1@{at}"), host.addr(), "refuses these credentials");
    let elsewhere = tinyproxy("ConnectPort 443");
    fails(&format!("http://{}", elsewhere.addr), host.addr(), "does not allow CONNECT");
    fails(&format!("http://{}", open.addr), free(), "cannot connect");
}

// spec: WS-13
#[test]
fn socks5_through_microsocks_with_credentials_and_without() {
    if !have("microsocks") {
        return;
    }
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    let open = microsocks(&[]);
    works(&format!("socks5://{}", open.addr), &host, &identity);
    let locked = microsocks(&["-u", "me", "-P", "secret"]);
    works(&format!("socks5h://me:secret@{}", locked.addr), &host, &identity);
    fails(&format!("socks5://{}", locked.addr), host.addr(), "credentials");
    fails(&format!("socks5://me:secret1@{}", locked.addr), host.addr(), "refuses these credentials");
    fails(&format!("socks5://{}", open.addr), free(), "did not connect");
}

#[test]
fn a_proxy_that_is_not_there_or_is_none() {
    let identity = Identity::new();
    let host = Host::start(&identity.leaf(), Options::default());
    fails(&format!("http://me:secret@{}", free()), host.addr(), "cannot be reached");
    // A host is no proxy: it speaks TLS.
    fails(&format!("http://{}", host.addr()), host.addr(), "");
    fails(&format!("https://{}", host.addr()), host.addr(), "does not prove who it is");
    fails(&format!("socks5://{}", host.addr()), host.addr(), "did not connect");
}

// spec: WS-12
#[test]
fn what_a_proxy_signs_itself_is_named_whatever_name_it_is_for() {
    if !have("tinyproxy") {
        return;
    }
    // Behind the proxy answers one that made a certificate for the address: only who opens TLS on the way does that.
    let gateway = Identity::called("Example Web Gateway CA");
    let opened = tls_server(&gateway.leaf_for("desk.example", 2090));
    let proxy = tinyproxy("");
    let failure = through(&format!("http://{}", proxy.addr), opened, HostExpectation::Any).events.failed();
    let expected = ConnectFailure::Inspected { by: "Example Web Gateway CA".into(), port: opened.to_string() };
    assert_eq!(failure, expected);
    // The same by one that speaks nothing newer than TLS 1.2.
    let opened = older_tls_server(&gateway.leaf_for("desk.example", 2090));
    let failure = through(&format!("http://{}", proxy.addr), opened, HostExpectation::Any).events.failed();
    let expected = ConnectFailure::Inspected { by: "Example Web Gateway CA".into(), port: opened.to_string() };
    assert_eq!(failure, expected);
}
