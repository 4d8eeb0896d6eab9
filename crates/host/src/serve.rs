//! `telepane-host serve`: puts the parts together and says when it is ready.

use crate::ask::Asker;
use crate::cli::Serve;
use crate::clock::{Clock, unix_secs};
use crate::coders::Coders;
use crate::config;
use crate::desk::{Desk, Pastes};
use crate::door::Doorkeeper;
use crate::exit::Unusable;
use crate::files::Files;
use crate::hooks::{Hooks, Orders, Out};
use crate::life::Settings;
use crate::notes::Notes;
use crate::permissions::{Owner, PermissionsFile};
use crate::sound::Sound;
use crate::worker::Worker;
use crate::{alone, control, firewall, metrics, policy, reachable, surface};
use anyhow::{Context, Result};
use polling::Poller;
use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use telepane_auth::paths::Program;
use telepane_auth::{HostIdentity, Paths, TlsCredentials};
use telepane_files::courier::Courier;
use telepane_model::{BitRate, Bytes};
use telepane_rate::Policy;
use telepane_session::HostOptions;
use telepane_session::life::Life;
use telepane_transport::{Congestion, Event as NetEvent, Listen, Options, Server, ServerCredentials, Sink};

/// UDP port (DESIGN §3.1), and TCP's beside it.
pub const PORT: u16 = 8443;
/// A leaf certificate lives for at most this long; a new one is shown long before.
const LEAF_LIFETIME: Duration = Duration::from_secs(13 * 24 * 3600);
/// Said when the identity cannot be kept.
const NO_STATE: &str = "keys cannot be kept; give a --state-dir that this user can write to and others cannot";
/// Where the last client's person works, in the state directory.
const PLACE_FILE: &str = "place";
/// How long the peers get to hear that the agent stops.
const GOODBYE: Duration = Duration::from_millis(500);

/// Serves until it is told to stop.
pub fn run(serve: Serve) -> Result<()> {
    let paths = Paths::find(Program::Host, serve.state.state_dir.as_deref())?;
    let serve = config::complete(serve, &paths.config_file())?;
    // Before anything is coded, or even made: what the person wants is used or nothing is.
    serve.openh264.as_deref().map(telepane_codec::h264::load).transpose()?;
    let clock = Clock::new();
    let permissions = PermissionsFile::open(&paths.permissions_file(), Owner::of_this_process())?;
    let identity = HostIdentity::load_or_create(&paths.state).context(NO_STATE)?;
    // Before anything of this directory is written that belongs to a running agent.
    let _alone = alone::take(&paths.state)?;
    let own_code = paths.code_file();
    let mut door = Doorkeeper::open(
        &paths.state,
        serve.access_code_file.as_deref(),
        &own_code,
        identity.fingerprint(),
        permissions,
    )?;
    door.files = serve.files.is_some();
    let mut notes = Notes::open(serve.notes.as_deref()).map_err(|why| Unusable {
        what: format!("cannot write the notes to {}", serve.notes.as_deref().unwrap_or(Path::new("")).display()),
        why,
    })?;
    if let Some(path) = &serve.record {
        notes
            .record(path)
            .map_err(|why| Unusable { what: format!("cannot record the screen to {}", path.display()), why })?;
    }
    let poller = Arc::new(Poller::new()?);
    let stop = Arc::new(AtomicBool::new(false));
    watch_signals(&stop, &poller)?;

    let (asker, asks) = Asker::new(poller.clone());
    if let Some(at) = serve.metrics {
        let asker = asker.clone();
        let at = metrics::http::start(at, clock, move || asker.figures())?;
        tracing::info!(%at, "metrics at /metrics");
    }

    let (send, events) = channel::<NetEvent>();
    let wake = poller.clone();
    let sink: Sink = Arc::new(move |event| {
        // The loop has ended when nobody takes it; then nobody needs it.
        if send.send(event).is_ok() {
            let _ = wake.notify();
        }
    });
    let tls = identity.mint_leaf(unix_secs(), LEAF_LIFETIME)?;
    let listen = serve.listen.map_or(Listen::DualStack(PORT), Listen::Exact);
    let congestion = serve.quic_congestion.map_or(Congestion::Session, Into::into);
    let settings = Settings::of(&serve.session_of_file, &serve.session)?;
    settings.find_programs()?;
    let options = Options {
        asks: settings.asks(),
        carriers: serve.transport.unwrap_or_default(),
        tcp_ports: serve.tcp_port.clone(),
        reset_secret: Some(identity.reset_secret()),
        congestion,
        marks: serve.dscp.unwrap_or_default(),
        ..Options::default()
    };
    let server = Arc::new(Server::bind(listen, &credentials(&tls), Arc::new(move || clock.micros()), sink, options)?);

    let files = serve.files.as_deref().map(|dir| give_out(dir, &poller)).transpose()?;
    let desktop = surface::open(&serve, &settings, paths.state.join(PLACE_FILE))?;
    door.hands = desktop.hands();
    let hooks = hooks(&settings, &desktop)?;
    let life_options = settings.options(serve.shared);
    let description = desktop.source.describe();
    tracing::info!(source = description.name, size = %description.size, "showing");
    let wake = poller.clone();
    let worker = Worker::start("telepane-code", clock, move || {
        let _ = wake.notify();
    })?;
    let wake = poller.clone();
    let filmer = Worker::start("telepane-film", clock, move || {
        let _ = wake.notify();
    })?;
    let session = policy::of_line(serve.preset, &serve.policy, serve.limit, serve.floor)?.or(&serve.policy_of_file);
    if !session.is_empty() {
        tracing::info!(policy = %session, "every session keeps to this");
    }
    let wake = poller.clone();
    let sound = Sound::start(desktop.sound.clone(), clock, move || {
        let _ = wake.notify();
    });
    let policy = Policy {
        in_flight_max: Bytes(2 << 20),
        initial: serve.limit.map_or(Policy::default().initial, |l| l.min(BitRate::mbps(10))),
        ..Policy::default()
    };
    let _control = control::listen(&paths.state, asker).map_or_else(
        |error| {
            tracing::warn!(%error, "`telepane-host session` cannot reach this agent");
            None
        },
        Some,
    );
    announce(&server, &identity, &door, &desktop)?;
    let pastes = pastes(&paths.state, &poller);
    let desk = Desk {
        clock,
        desktop,
        door,
        net: server.handle(),
        events,
        asks,
        poller: poller.clone(),
        coders: Coders::new(worker, filmer),
        files,
        pastes,
        notes,
        life: Life::new(life_options.clone()),
        life_options,
        hooks,
        machine: Some(machine(&poller)),
        options: HostOptions {
            policy,
            session,
            film: true,
            sound_limit: serve.sound_limit,
            follows_transport: congestion != Congestion::Session,
        },
        sound,
        stop,
        host_name: host_name(),
        renew: renewal(server.clone(), identity, tls.expires_unix_secs),
    };
    let result = desk.run();
    // The loop held the other reference.
    if let Some(server) = Arc::into_inner(server) {
        server.shutdown(GOODBYE);
    }
    result
}

/// What packs and unpacks files of the clipboard; none where there is no thread to be had.
fn pastes(state: &Path, poller: &Arc<Poller>) -> Option<Pastes> {
    let wake = poller.clone();
    let (send, done) = channel();
    let started = Courier::start(&state.join("pasted"), move |answer| {
        if send.send(answer).is_ok() {
            let _ = wake.notify();
        }
    });
    let orders = started.inspect_err(|error| tracing::warn!(%error, "files on the clipboard are not shared")).ok()?;
    Some(Pastes { orders, done })
}

/// What tells others of sessions, and locks the desktop.
fn hooks(settings: &Settings, desktop: &surface::Desktop) -> Result<Hooks> {
    let open = |path: &Path| {
        Out::open(path).map_err(|why| Unusable { what: format!("cannot write events to {}", path.display()), why })
    };
    let variable = |name: &str, value: String| (name.to_owned(), value);
    let display = desktop.display.as_ref().map(|(name, cookie)| {
        let cookie = cookie.as_ref().map(|file| variable("XAUTHORITY", file.display().to_string()));
        [name.clone().map(|name| variable("DISPLAY", name)), cookie].into_iter().flatten().collect()
    });
    Ok(Hooks::start(Orders {
        out: settings.events.as_deref().map(open).transpose()?,
        event: settings.event_command.clone(),
        lock: settings.lock_command.clone(),
        environment: display.unwrap_or_default(),
    })?)
}

/// What the machine says of itself, from now on.
fn machine(poller: &Arc<Poller>) -> Receiver<telepane_machine::Fact> {
    let (send, facts) = channel();
    let wake = poller.clone();
    let tell: telepane_machine::Tell = Arc::new(move |fact| {
        // The loop has ended when nobody takes it.
        if send.send(fact).is_ok() {
            let _ = wake.notify();
        }
    });
    telepane_machine::watch(&tell);
    facts
}

/// The directory that clients may read from and write to.
fn give_out(dir: &Path, poller: &Arc<Poller>) -> Result<Files> {
    let wake = poller.clone();
    let started = Files::start(dir, move || {
        let _ = wake.notify();
    });
    Ok(started.map_err(|why| Unusable { what: format!("cannot give out files from {}", dir.display()), why })?)
}

fn credentials(tls: &TlsCredentials) -> ServerCredentials {
    ServerCredentials { chain_der: tls.chain_der.clone(), key_der: tls.key_der.to_vec() }
}

/// Mints and shows a new leaf when half of the present one's life is over.
fn renewal(server: Arc<Server>, identity: HostIdentity, mut expires: u64) -> Box<dyn FnMut()> {
    Box::new(move || {
        let now = unix_secs();
        if expires.saturating_sub(now) > LEAF_LIFETIME.as_secs() / 2 {
            return;
        }
        let renewed = identity.mint_leaf(now, LEAF_LIFETIME).map_err(|e| e.to_string()).and_then(|tls| {
            server.set_credentials(&credentials(&tls)).map_err(|e| e.to_string())?;
            Ok(tls.expires_unix_secs)
        });
        match renewed {
            Ok(at) => expires = at,
            Err(error) => tracing::warn!(error, "the certificate could not be renewed; trying again in an hour"),
        }
    })
}

/// The lines that scripts read, on standard output.
fn announce(server: &Server, identity: &HostIdentity, door: &Doorkeeper, desktop: &surface::Desktop) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready {} {}", server.local_addr(), identity.fingerprint())?;
    if let Some(running) = &desktop.running {
        writeln!(out, "display {} {}", running.display(), running.xauthority().display())?;
    }
    if let Some(code) = door.own_code() {
        writeln!(out, "code {code}")?;
        if !out.is_terminal() {
            tracing::info!("on the other machine: telepane connect THIS-MACHINE, and type the code");
        }
    }
    out.flush()?;
    if out.is_terminal() {
        // Asking a firewall takes its time, and clients do not wait for it.
        let listening = server.local_addr();
        let print = move || for_people(&mut std::io::stdout(), listening);
        std::thread::Builder::new().name("telepane-look".into()).spawn(print)?;
    }
    Ok(())
}

/// What to paste on the other machine, and what may stand in the way.
fn for_people(out: &mut impl Write, listening: SocketAddr) -> std::io::Result<()> {
    let reachable = reachable::addresses(listening);
    let firewall = firewall::look(listening.port());
    writeln!(out, "\non the other machine:")?;
    for address in &reachable {
        writeln!(out, "  {}", reachable::line(*address))?;
    }
    if reachable.is_empty() {
        let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listening.port());
        writeln!(out, "  {}   (this machine only: it has no other address)", reachable::line(local))?;
    }
    if reachable.iter().all(|a| a.ip().is_loopback()) {
        return Ok(());
    }
    writeln!(out, "firewall: {firewall}")
}

fn watch_signals(stop: &Arc<AtomicBool>, poller: &Arc<Poller>) -> Result<()> {
    let (stop, poller) = (stop.clone(), poller.clone());
    telepane_machine::on_stop(move || {
        if stop.swap(true, Ordering::Relaxed) {
            // Asked twice: the loop hangs, and the person wants out.
            std::process::exit(130);
        }
        let _ = poller.notify();
    })?;
    Ok(())
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "telepane".into(), |n| n.trim().to_owned())
}
