//! What the transport is put through, with what it has to keep to. Times are the network's.

use crate::world::{Line, Way, World, host, viewer};
use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use telepane_model::{BitRate, Span};
use telepane_transport::relay::LinkModel;
use telepane_transport::{HostExpectation, Marks, Options, SERVER_NAME, ServerCredentials, endpoints};

/// Between two datagrams of a stream of them.
const TICK: Duration = Duration::from_millis(2);

fn credentials() -> &'static ServerCredentials {
    static MADE: OnceLock<ServerCredentials> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let identity = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &identity).unwrap();
        ServerCredentials {
            chain_der: vec![leaf.der().to_vec(), identity.der().to_vec()],
            key_der: key.serialize_der(),
        }
    })
}

fn path(mbps: u64, rtt: u64, loss_ppm: u32) -> LinkModel {
    LinkModel {
        rate: Some(BitRate::mbps(mbps)),
        queue_time: Some(Span::millis(200)),
        delay: Span::millis(rtt / 2),
        loss_ppm,
        ..LinkModel::default()
    }
}

/// Both ends' connections, as they come about.
#[derive(Clone)]
pub struct Play {
    pub world: World,
    pub agent: Arc<endpoints::Window>,
    /// All that the agent has had: a handshake may be begun more than once.
    here: Arc<Mutex<Vec<quinn::Connection>>>,
    /// The viewer's connection, since when, and where it is from.
    there: Arc<Mutex<Option<(quinn::Connection, u64, quinn::Endpoint)>>>,
}

impl Play {
    fn start(model: LinkModel, seed: u64) -> Self {
        let world = World::new(model, model, seed);
        let options = Options { marks: Marks::OFF, ..Options::default() };
        let net = world.clone();
        let given = move |at, n: u8| {
            let (clock, mut bytes) = (net.clone(), [n; 32]);
            bytes[..8].copy_from_slice(&seed.to_be_bytes());
            endpoints::World {
                socket: net.socket(at),
                runtime: Arc::new(net.clone()),
                clock: Arc::new(move || clock.now_us()),
                seed: bytes,
            }
        };
        let agent = endpoints::agent(given(host(), 1), credentials(), &options).unwrap();
        let end = endpoints::viewer(given(viewer(1), 2), HostExpectation::Any, &options).unwrap();
        let play = Self { world: world.clone(), agent: agent.window, here: Arc::default(), there: Arc::default() };
        let (here, accepting, beside) = (play.here.clone(), agent.endpoint, world.clone());
        world.go(async move {
            while let Some(incoming) = accepting.accept().await {
                let (here, shaking) = (here.clone(), incoming.accept().unwrap());
                beside.go(async move {
                    if let Ok(connection) = shaking.await {
                        here.lock().unwrap().push(connection);
                    }
                });
            }
        });
        let (there, clock, dial) = (play.there.clone(), world.clone(), end.dial.unwrap());
        world.go(async move {
            let further = Mutex::new(10);
            let fresh = || {
                let mut number = further.lock().unwrap();
                *number += 1;
                endpoints::viewer(given(viewer(*number), *number as u8), HostExpectation::Any, &options)
                    .map(|e| e.endpoint)
            };
            let (first, sleep) = (&end.endpoint, |time| clock.sleep(time));
            if let Ok((endpoint, connection)) = endpoints::connect(first, fresh, &dial, host(), sleep, || {}).await {
                *there.lock().unwrap() = Some((connection, clock.now_us(), endpoint));
            }
        });
        play
    }

    /// The same, once both ends are connected: the agent's end and the viewer's.
    pub fn connected(model: LinkModel, seed: u64) -> (Self, quinn::Connection, quinn::Connection) {
        let play = Self::start(model, seed);
        for _ in 0..100 {
            play.world.run(Duration::from_millis(100));
            let there = play.there.lock().unwrap().clone();
            let here = there.as_ref().and_then(|(there, ..)| play.other_end(there));
            if let (Some(here), Some((there, ..))) = (here, there) {
                return (play, here, there);
            }
        }
        panic!("no connection in ten seconds");
    }

    /// Where the viewer's connection is from.
    fn viewer(&self) -> quinn::Endpoint {
        self.there.lock().unwrap().as_ref().expect("connected").2.clone()
    }

    /// The agent's end of the viewer's connection: both have the same secrets.
    fn other_end(&self, there: &quinn::Connection) -> Option<quinn::Connection> {
        let secret = |connection: &quinn::Connection| {
            let mut bytes = [0; 32];
            connection.export_keying_material(&mut bytes, b"the same", b"").unwrap();
            bytes
        };
        let wanted = secret(there);
        self.here.lock().unwrap().iter().find(|here| secret(here) == wanted).cloned()
    }

    /// As a session does: the window is held open, and what is sent is paced above it.
    fn paced(&self) {
        let (world, window) = (self.world.clone(), self.agent.clone());
        self.world.go(async move {
            loop {
                window.set(1 << 20);
                world.sleep(Duration::from_millis(200)).await;
            }
        });
    }

    /// `from` sends datagrams of `bytes` each tick, numbered, as long as it may; what arrives at `to` is collected with its time.
    fn stream(&self, from: &quinn::Connection, to: &quinn::Connection, bytes: usize) -> Arc<Mutex<Vec<(u64, u64)>>> {
        let (world, from, to) = (self.world.clone(), from.clone(), to.clone());
        let sending = world.clone();
        self.world.go(async move {
            for n in 0..u64::MAX {
                let mut datagram = n.to_be_bytes().to_vec();
                datagram.resize(bytes.min(from.max_datagram_size().unwrap_or_default()), 0);
                if from.send_datagram(datagram.into()).is_err() {
                    return;
                }
                sending.sleep(TICK).await;
            }
        });
        let got = Arc::<Mutex<Vec<(u64, u64)>>>::default();
        let collected = got.clone();
        self.world.go(async move {
            while let Ok(datagram) = to.read_datagram().await {
                let n = u64::from_be_bytes(datagram[..8].try_into().unwrap());
                collected.lock().unwrap().push((world.now_us(), n));
            }
        });
        got
    }

    /// Bytes of a stream that the agent writes as fast as it may, as they arrive.
    fn bulk(&self, from: &quinn::Connection, to: &quinn::Connection) -> Arc<Mutex<Vec<(u64, usize)>>> {
        to.set_max_concurrent_uni_streams(1u32.into());
        let (world, from, to) = (self.world.clone(), from.clone(), to.clone());
        self.world.go(async move {
            let Ok(mut stream) = from.open_uni().await else { return };
            while stream.write_chunk(Bytes::from_static(&[7; 16 * 1024])).await.is_ok() {}
        });
        let got = Arc::<Mutex<Vec<(u64, usize)>>>::default();
        let collected = got.clone();
        self.world.go(async move {
            let Ok(mut stream) = to.accept_uni().await else { return };
            while let Ok(Some(chunk)) = stream.read_chunk(usize::MAX, true).await {
                collected.lock().unwrap().push((world.now_us(), chunk.bytes.len()));
            }
        });
        got
    }
}

/// Mbit/s of what arrived between two times.
fn rate(got: &[(u64, usize)], from: u64, to: u64) -> f64 {
    let bytes: usize = got.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, n)| n).sum();
    bytes as f64 * 8.0 / (to - from) as f64
}

const SECOND: u64 = 1_000_000;

#[test]
fn the_same_seed_gives_the_same_packets() {
    let run = |seed| -> Vec<Line> {
        let (play, here, there) = Play::connected(path(20, 40, 30_000), seed);
        let _down = play.stream(&here, &there, 1_100);
        let _up = play.stream(&there, &here, 60);
        play.world.run(Duration::from_secs(5));
        play.world.set(Way::Down, path(2, 40, 30_000));
        play.viewer().rebind_abstract(play.world.socket(viewer(2))).unwrap();
        play.world.run(Duration::from_secs(5));
        play.world.journal()
    };
    let (first, again, other) = (run(7), run(7), run(8));
    let differ = first.iter().zip(&again).position(|(a, b)| a != b);
    if let Some(at) = differ {
        panic!("line {at}: {:?} is {:?} the second time", first[at], again[at]);
    }
    assert_eq!(first.len(), again.len());
    assert!(first.len() > 10_000, "{} lines", first.len());
    assert_ne!(first, other, "another seed, another story");
    println!("{} lines, the same twice", first.len());
}

/// When the handshake is done, and then what follows it: three questions of the viewer on the control stream, each answered, as in
/// a proof of the access code and the attaching (in microseconds from the start).
fn enter(model: LinkModel, seed: u64) -> (u64, u64) {
    let play = Play::start(model, seed);
    let done = Arc::<Mutex<Option<u64>>>::default();
    let (mut shaken, mut asks, mut answers) = (u64::MAX, false, 0);
    for _ in 0..4_000 {
        play.world.run(Duration::from_millis(5));
        if let Some((there, at, _)) = play.there.lock().unwrap().clone().filter(|_| !asks) {
            (shaken, asks) = (at, true);
            let (world, done) = (play.world.clone(), done.clone());
            play.world.go(async move {
                let (mut to, mut from) = there.open_bi().await.unwrap();
                for _ in 0..3 {
                    to.write_all(&[1; 120]).await.unwrap();
                    from.read_exact(&mut [0; 400]).await.unwrap();
                }
                *done.lock().unwrap() = Some(world.now_us());
            });
        }
        let fresh: Vec<_> = play.here.lock().unwrap().iter().skip(answers).cloned().collect();
        for here in fresh {
            answers += 1;
            play.world.go(async move {
                let Ok((mut to, mut from)) = here.accept_bi().await else { return };
                while from.read_exact(&mut [0; 120]).await.is_ok() && to.write_all(&[2; 400]).await.is_ok() {}
            });
        }
        if let Some(at) = *done.lock().unwrap() {
            return (shaken, at);
        }
    }
    (shaken, u64::MAX)
}

// spec: L-11
#[test]
fn handshakes_under_loss_come_about() {
    for (loss, seeds, most) in
        [(0, 40, (125_000, 310_000)), (50_000, 100, (1_300_000, 2_000_000)), (200_000, 400, (3_000_000, 10_000_000))]
    {
        let (mut shaken, mut within): (Vec<u64>, Vec<u64>) =
            (0..seeds).map(|seed| enter(path(20, 60, loss), seed)).unzip();
        shaken.sort_unstable();
        within.sort_unstable();
        let of = |took: &[u64], permille: usize| took[(took.len() - 1) * permille / 1_000] / 1_000;
        let told = |took: &[u64]| [500, 950, 990, 1_000].map(|permille| of(took, permille));
        println!(
            "loss {} % each way: p50, p95, p99 and longest of {seeds}: handshake {:?} ms, three answers {:?} ms",
            loss / 10_000,
            told(&shaken),
            told(&within)
        );
        let longest = (shaken.last().copied().unwrap_or(u64::MAX), within.last().copied().unwrap_or(u64::MAX));
        assert!(longest.0 <= most.0 && longest.1 <= most.1, "loss {loss}: {longest:?}");
    }
}

/// QUIC's own control, which holds while a shell says nothing: it follows a tenth of the capacity and does not starve.
#[test]
fn a_drop_of_capacity_is_followed() {
    let (play, here, there) = Play::connected(path(20, 40, 0), 3);
    let got = play.bulk(&here, &there);
    play.world.run(Duration::from_secs(10));
    let dropped = play.world.now_us();
    play.world.set(Way::Down, path(2, 40, 0));
    play.world.run(Duration::from_secs(20));
    let got = got.lock().unwrap();
    let (before, after) = (rate(&got, 5 * SECOND, dropped), rate(&got, dropped + 5 * SECOND, dropped + 20 * SECOND));
    let late: Vec<u64> = got.iter().map(|(at, _)| *at).filter(|at| *at > dropped).collect();
    let gap = late.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(u64::MAX);
    println!("20 to 2 Mbit/s: {before:.1} Mbit/s before, {after:.2} after, longest gap {} ms", gap / 1000);
    assert!(before > 17.0 && after > 1.6 && gap < 3 * SECOND);
    assert!(play.agent.marked() == 0, "nothing marks here");
}

/// Random loss looks like a path that swallows large packets: QUIC may fall back to the least size, never below, and what is said to fit always
/// goes through; a path that really swallows them is found out.
#[test]
fn loss_is_no_black_hole_and_a_black_hole_is_found() {
    let least = 1_100;
    for (loss, name) in [(0, "no loss"), (50_000, "5 %"), (150_000, "15 %")] {
        let mut verdicts = 0;
        for seed in 0..5 {
            let (play, here, there) = Play::connected(path(20, 40, loss), seed);
            play.paced();
            let got = play.stream(&here, &there, 1_400);
            let _up = play.stream(&there, &here, 60);
            let mut silent = 0;
            for _ in 0..60 {
                let before = got.lock().unwrap().len();
                play.world.run(Duration::from_secs(1));
                silent += usize::from(got.lock().unwrap().len() == before);
                let max = here.max_datagram_size().unwrap();
                assert!(max >= least, "{name}: {max} bytes fit");
            }
            assert_eq!(silent, 0, "{name}, seed {seed}: seconds without a datagram");
            verdicts += here.stats().path.black_holes_detected;
        }
        println!("{name}: {verdicts} verdicts of a black hole in five minutes");
        assert!(loss > 0 || verdicts == 0, "no loss, no verdict");
    }
    let (play, here, there) = Play::connected(path(20, 40, 0), 1);
    play.paced();
    let got = play.stream(&here, &there, 1_400);
    let _up = play.stream(&there, &here, 60);
    play.world.run(Duration::from_secs(5));
    let wide = here.max_datagram_size().unwrap();
    play.world.set(Way::Down, LinkModel { mtu: Some(1_300), ..path(20, 40, 0) });
    let at = play.world.now_us();
    play.world.run(Duration::from_secs(5));
    let narrow = here.max_datagram_size().unwrap();
    let again = got.lock().unwrap().iter().map(|(t, _)| *t).find(|t| *t > at + SECOND / 10);
    println!("a black hole at 1300: {wide} to {narrow} bytes, going on after {:?} ms", again.map(|t| (t - at) / 1000));
    assert!(wide > 1_350 && narrow < 1_272 && here.stats().path.black_holes_detected == 1);
    assert!(again.is_some_and(|t| t < at + 3 * SECOND));
}

// spec: L-9
#[test]
fn a_viewer_that_moves_is_followed_within_two_round_trips() {
    let (rtt, seed) = (40, 5);
    let (play, here, there) = Play::connected(path(20, rtt, 0), seed);
    play.paced();
    let down = play.stream(&here, &there, 1_000);
    let up = play.stream(&there, &here, 60);
    play.world.run(Duration::from_secs(3));
    let at = play.world.now_us();
    // The old address is dead both ways from now on.
    play.viewer().rebind_abstract(play.world.socket(viewer(2))).unwrap();
    play.world.run(Duration::from_secs(3));
    let journal = play.world.journal();
    let first = |way| {
        journal.iter().find(|l| l.at_us >= at && l.arrived && l.way == way && l.viewer == 2).map(|l| l.at_us - at)
    };
    let (heard, answered) = (first(Way::Up).unwrap(), first(Way::Down).unwrap());
    println!("heard from the new address after {} ms, answered there after {} ms", heard / 1000, answered / 1000);
    assert!(heard <= rtt * 1000 / 2 + 5_000 && answered <= rtt * 1000 + 5_000);
    let (up, down) = (up.lock().unwrap(), down.lock().unwrap());
    for (name, got) in [("up", &up), ("down", &down)] {
        let numbers: BTreeSet<u64> = got.iter().map(|(_, n)| *n).collect();
        assert_eq!(numbers.len(), got.len(), "{name}: a datagram came twice");
        let gap = got.iter().map(|(t, _)| *t).collect::<Vec<_>>().windows(2).map(|w| w[1] - w[0]).max().unwrap();
        println!("{name}: {} datagrams, longest gap {} ms", got.len(), gap / 1000);
        assert!(gap <= 2 * rtt * 1000, "{name}: a gap of {gap} us");
    }
    assert_eq!(here.remote_address(), viewer(2));
}
