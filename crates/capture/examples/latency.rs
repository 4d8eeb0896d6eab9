//! Measures the capture of an X server started here: from an application's draw call to the frame event, for a glyph's
//! tile, a window and the whole screen; and what idling costs.
//!
//! `cargo run --release -p telepane-capture --example latency -- [xvfb|xorg] [WIDTHxHEIGHT]`
//!
//! The application draws on a connection and thread of its own, every 20 ms, so both sides are as cold as in life.

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};
    use telepane_capture::virtual_desktop::{Options, Server, Session, process, start};
    use telepane_capture::x11::{X11, connect::connect};
    use telepane_capture::{Event, Source};
    use telepane_model::{Rect, Size, Stamp, Surf};
    use x11rb::connection::Connection;
    use x11rb::protocol::xproto::{
        ChangeGCAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, Rectangle, WindowClass,
    };
    use x11rb::wrapper::ConnectionExt as _;

    const ROUNDS: u32 = 200;

    #[expect(clippy::disallowed_methods, reason = "this measures real time")]
    fn now() -> Instant {
        Instant::now()
    }

    #[expect(clippy::disallowed_methods, reason = "an application that draws every 20 ms")]
    fn pause(ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }

    pub fn main() {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let server = match arguments.first().map(String::as_str) {
            Some("xorg") => Server::Xorg,
            _ => Server::Xvfb,
        };
        let size = arguments
            .get(1)
            .and_then(|a| a.split_once('x'))
            .and_then(|(w, h)| Some(Size::<Surf>::new(w.parse().ok()?, h.parse().ok()?)))
            .unwrap_or(Size::new(1920, 1080));
        let options = Options { heads: vec![size], server, session: Session::None, environment: Vec::new() };
        let desktop = match start(&options) {
            Ok(desktop) => desktop,
            Err(e) => return eprintln!("{e}"),
        };
        let (name, cookie) = (desktop.display().to_owned(), desktop.xauthority());
        println!("{} {name} {size}", desktop.server_name());
        let mut source = X11::connect(Some(&name), Some(&cookie)).expect("our own display");
        let begin = now();
        let stamp = move || Stamp::from_micros(1_000_000 + begin.elapsed().as_micros() as u64);
        for (what, rect, echo) in [
            ("64x64", Rect::new(200, 200, 64, 64), false),
            ("64x64 as echo", Rect::new(200, 200, 64, 64), true),
            ("640x480", Rect::new(200, 200, 640, 480), false),
            ("whole screen", size.rect(), false),
        ] {
            let (send, drawn) = mpsc::channel();
            let (name, cookie) = (name.clone(), cookie.clone());
            let painter = std::thread::spawn(move || {
                let (conn, screen, _) = connect(Some(&name), Some(&cookie)).expect("our own display");
                let root = conn.setup().roots[screen].root;
                let (window, gc) = (conn.generate_id().expect("id"), conn.generate_id().expect("id"));
                let aux = CreateWindowAux::new().override_redirect(1).background_pixel(0);
                let (w, h) = (size.w as u16, size.h as u16);
                conn.create_window(0, window, root, 0, 0, w, h, 0, WindowClass::INPUT_OUTPUT, 0, &aux)
                    .and_then(|_| conn.map_window(window))
                    .and_then(|_| conn.create_gc(gc, window, &CreateGCAux::new()))
                    .expect("a window");
                conn.sync().expect("alive");
                pause(300);
                for round in 1..=ROUNDS {
                    pause(20);
                    let area =
                        Rectangle { x: rect.x as i16, y: rect.y as i16, width: rect.w as u16, height: rect.h as u16 };
                    // Before it is drawn, so that the frame cannot come before it.
                    let _ = send.send((round, now()));
                    conn.change_gc(gc, &ChangeGCAux::new().foreground(round))
                        .and_then(|_| conn.poly_fill_rectangle(window, gc, &[area]))
                        .and_then(|_| conn.flush())
                        .expect("alive");
                }
                pause(100);
            });
            let mut times = Vec::new();
            let mut waiting: Vec<(u32, Instant)> = Vec::new();
            while !painter.is_finished() {
                while let Some(event) = source.poll(stamp()).expect("alive") {
                    let seen = now();
                    if !matches!(event, Event::Frame(_)) {
                        continue;
                    }
                    waiting.extend(drawn.try_iter());
                    let pixels = source.pixels();
                    let [b, g, r] = pixels.get(rect.x as u32 + 1, rect.y as u32 + 1).unwrap_or_default();
                    let shown = u32::from_be_bytes([0, r, g, b]);
                    waiting.retain(|(round, at)| {
                        if *round == shown {
                            times.push(seen.saturating_duration_since(*at).as_micros());
                        }
                        *round > shown
                    });
                }
                if echo {
                    source.expect_echo(stamp());
                }
                let wake = source.wake();
                let until = wake.at.map_or(50_000, |at| (at - stamp()).as_micros().min(50_000));
                process::readable(wake.fd.unwrap_or(-1), until.div_ceil(1000) as i32);
            }
            painter.join().expect("the painter");
            times.sort_unstable();
            let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
            println!(
                "{what:14} draw to frame: p50 {} us, p95 {} us, max {} us ({} of {ROUNDS})",
                at(50),
                at(95),
                times.last().copied().unwrap_or_default(),
                times.len()
            );
        }
        let (mut polls, mut wakes, from, cpu) = (0, 0, now(), cpu_ms());
        while from.elapsed() < Duration::from_secs(20) {
            while source.poll(stamp()).expect("alive").is_some() {
                polls += 1;
            }
            let wake = source.wake();
            let until = wake.at.map_or(20_000_000, |at| (at - stamp()).as_micros());
            process::readable(wake.fd.unwrap_or(-1), until.div_ceil(1000) as i32);
            wakes += 1;
        }
        println!("idle for 20 s: {wakes} wakes, {polls} events, {:.2} ms of CPU", cpu_ms() - cpu);
    }

    fn cpu_ms() -> f64 {
        let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a valid structure to write to.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut t) };
        t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6
    }
}
