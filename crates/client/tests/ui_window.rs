//! The window on a real X server: what is on the screen is read back pixel by pixel, and keys and clicks made with
//! XTEST must arrive. Runs without the test harness because winit's loop wants a process of its own: this program
//! starts itself again as the window (`examples/ui_demo.rs`), each time under a fresh Xvfb without window manager.

#[cfg(all(unix, not(target_os = "macos")))]
#[path = "../examples/ui_demo.rs"]
mod ui_demo;

#[cfg(not(all(unix, not(target_os = "macos"))))]
fn main() {
    println!("ui_window: skipped, there is no X11 on this platform");
}

#[cfg(all(unix, not(target_os = "macos")))]
fn main() {
    const CHILD: &str = "TELEPANE_UI_WINDOW_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let code = ui_demo::run(std::env::args().skip(1), x11::watch()).unwrap_or_else(|error| {
            eprintln!("{error}");
            2
        });
        std::process::exit(code);
    }
    // The harness's arguments (a filter, `--list`) mean nothing to one fixed list; listing must still be empty.
    if std::env::args().any(|a| a == "--list") {
        return;
    }
    x11::all(CHILD);
}

#[cfg(all(unix, not(target_os = "macos")))]
mod x11 {
    use super::ui_demo;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
    use std::time::Duration;
    use telepane_client::ui::{Layout, Scaling};
    use telepane_model::{Pixels, Point, Size, Surf, View};
    use x11rb::connection::Connection;
    use x11rb::protocol::xproto::{
        AtomEnum, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ChangeWindowAttributesAux, ClientMessageEvent,
        ConfigureWindowAux, ConnectionExt as _, EventMask, ImageFormat, KEY_PRESS_EVENT, KEY_RELEASE_EVENT,
        MOTION_NOTIFY_EVENT, Window,
    };
    use x11rb::protocol::xtest::ConnectionExt as _;
    use x11rb::rust_connection::RustConnection;
    use x11rb::wrapper::ConnectionExt as _;

    /// How long anything may take on a loaded machine before the test gives up.
    const PATIENCE: Duration = Duration::from_secs(40);

    pub fn all(child: &'static str) {
        if Command::new("Xvfb").arg("-help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            println!("ui_window: skipped, Xvfb is not installed (package xvfb)");
            return;
        }
        exact(child, "softbuffer");
        println!("ui_window: fullscreen with softbuffer ... ok");
        fitted(child);
        println!("ui_window: fitted and integer scaling ... ok");
        for scaling in ["fit", "one"] {
            dragged(child, scaling);
        }
        let vulkan = std::fs::read_dir("/usr/share/vulkan/icd.d").is_ok_and(|mut d| d.next().is_some());
        if vulkan {
            exact(child, "pixels");
            println!("ui_window: fullscreen with pixels ... ok");
        } else {
            println!("ui_window: pixels skipped, there is no Vulkan driver (package mesa-vulkan-drivers)");
        }
    }

    /// The host's pixels one to one, input, veils, overlay, question, closing.
    fn exact(child: &'static str, renderer: &str) {
        let mut s = Stage::start(child, &["--fullscreen", "--renderer", renderer]);
        let mut picture = ui_demo::picture(Size::new(640, 480));
        s.wait_for_screen(&picture);
        s.expect_all(&[
            "Resized { physical: 640x480",
            &format!("Renderer(\"{renderer}"),
            "wake 42",
            "Focus {",
            "shown",
        ]);

        s.tap(30);
        s.expect_line("Press { code: KeyCode(30), means: Meaning(97) }");
        s.expect_line("Key { code: KeyCode(30), action: Up }");

        s.move_to(123, 45);
        s.expect_line("PointerTo((123,45))");
        for (x11, name) in [(1, "Left"), (2, "Middle"), (3, "Right"), (8, "Back"), (9, "Forward")] {
            s.click(x11);
            s.expect_line(&format!("Button {{ button: {name}, down: true }}"));
            s.expect_line(&format!("Button {{ button: {name}, down: false }}"));
        }
        // Each click of the wheel is one notch, not one for the press and one for the release.
        for (x11, event) in [(4, "x: 0, y: -120"), (5, "x: 0, y: 120"), (6, "x: -120, y: 0"), (7, "x: 120, y: 0")] {
            s.click(x11);
            s.expect_next(&format!("Wheel {{ {event} }}"));
        }

        // A small damage changes its part of the screen and nothing else.
        for n in 0..4 {
            s.tap(63);
            let (rect, colour) = ui_demo::change(n);
            picture.fill(rect, colour);
            s.wait_for_screen(&picture);
        }

        // Dimmed: away from the panel, exactly half of everything.
        s.tap(66);
        let mut dimmed = picture.clone();
        dimmed.data_mut().iter_mut().for_each(|b| *b /= 2);
        s.wait_for(|screen| (0..100).all(|y| screen.row(0, y, 640) == dimmed.row(0, y, 640)), "half brightness");
        assert_ne!(s.screen().row(200, 240, 240), dimmed.row(200, 240, 240), "the seconds are drawn");
        s.tap(67);
        s.wait_for_screen(&picture);

        // A question takes the keys; the window shows bullets, not letters.
        s.tap(64);
        s.wait_for(|screen| screen.row(200, 240, 240) != picture.row(200, 240, 240), "the question");
        s.lines_so_far();
        s.tap(30);
        s.tap(48);
        s.tap(14);
        s.tap(46);
        s.tap(28);
        let heard = s.until("answer \"ac\"");
        assert!(
            !heard.iter().any(|l| l.starts_with("Key") || l.starts_with("Press")),
            "keys of an answer reached the model: {heard:?}"
        );
        s.wait_for_screen(&picture);

        // The overlay's chord reaches the window, and its letter does not reach the host.
        for on in [true, false] {
            s.key(29, true);
            s.key(56, true);
            s.tap(24);
            s.key(56, false);
            s.key(29, false);
            let heard = s.until("Key { code: KeyCode(29), action: Up }");
            assert!(heard.iter().any(|l| l == "OverlayToggled"), "{heard:?}");
            assert!(!heard.iter().any(|l| l.contains("KeyCode(24)")), "{heard:?}");
            if on {
                s.wait_for(|screen| screen.row(0, 4, 60) != picture.row(0, 4, 60), "the overlay");
            }
        }
        s.wait_for_screen(&picture);

        // The clipboard is typed by a chord, and files are dropped.
        s.key(29, true);
        s.key(56, true);
        s.tap(47);
        s.key(56, false);
        s.key(29, false);
        s.expect_line("PasteAsKeys");
        // winit passes on what exists.
        let dir = std::env::temp_dir().join(format!("telepane drop {}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        s.drop_file(&format!("file://{}\r\n", dir.display().to_string().replace(' ', "%20")));
        s.expect_line(&format!("Dropped({dir:?})"));
        std::fs::remove_dir(&dir).unwrap();

        // Without the focus: held keys end in `Blur`; a click brings it back.
        s.key(30, true);
        s.expect_line("Press { code: KeyCode(30), means: Meaning(97) }");
        let root = s.root;
        s.x.set_input_focus(x11rb::protocol::xproto::InputFocus::NONE, root, x11rb::CURRENT_TIME).unwrap();
        s.x.flush().unwrap();
        s.until("Blur");
        s.key(30, false);
        s.click(1);
        s.expect(|l| l.starts_with("Focus {"), "the keyboard after a click");

        s.close();
        s.expect_line("CloseRequested");
        assert_eq!(s.exit_code(), Some(0));
    }

    /// A picture of another size than the window: where it lies and where a click lands.
    fn fitted(child: &'static str) {
        let mut s = Stage::start(child, &["--size", "640x480", "--picture", "200x200", "--scaling", "integer"]);
        let small = ui_demo::picture(Size::new(200, 200));
        let mut whole = Pixels::new(Size::new(640, 480));
        for y in 0..400 {
            for x in 0..400 {
                let colour = small.get(x / 2, y / 2).unwrap();
                whole.fill(telepane_model::Rect::new(120 + x as i32, 40 + y as i32, 1, 1), colour);
            }
        }
        s.wait_for_screen(&whole);
        s.move_to(121, 41);
        s.expect_line("PointerTo((0,0))");
        s.move_to(122, 439);
        s.expect_line("PointerTo((1,199))");
        s.move_to(0, 0);
        s.expect_line("PointerTo((0,0))");
        s.tap(1);
        assert_eq!(s.exit_code(), Some(7), "the model's exit code");

        let mut s = Stage::start(child, &["--size", "320x240", "--picture", "640x480"]);
        // Nothing under the window but black: the fitted picture must not leave its 320x240.
        let big = ui_demo::picture(Size::new(640, 480));
        s.wait_for(|screen| screen.row(0, 0, 320).iter().filter(|b| **b != 0).count() > 800, "the fitted picture");
        assert!(s.screen().row(320, 100, 320).iter().all(|b| *b == 0));
        s.tap(63);
        let (rect, colour) = ui_demo::change(0);
        assert!(big.size().rect().contains(rect));
        let middle = (rect.x as u32 + rect.w / 2, rect.y as u32 + rect.h / 2);
        s.wait_for(|screen| screen.get(middle.0 / 2, middle.1 / 2) == Some(colour), "the fitted change");
        s.move_to(100, 50);
        s.expect_line("PointerTo((201,101))");
        s.close();
        assert_eq!(s.exit_code(), Some(0));
    }

    /// What is under the window.
    const UNDER: [u8; 3] = [0, 0, 255];

    /// An edge is dragged while the picture follows behind: on the screen there is never anything but pictures and black, and of
    /// every frame that is presented each pixel is the picture's or black, whatever was there before.
    fn dragged(child: &'static str, scaling: &str) {
        let mut s =
            Stage::start(child, &["--size", "320x240", "--picture", "320x240", "--scaling", scaling, "--follow"]);
        let red = ChangeWindowAttributesAux::new().background_pixel(0x00ff_0000);
        s.x.change_window_attributes(s.root, &red).unwrap();
        s.x.clear_area(false, s.root, 0, 0, 0, 0).unwrap().check().unwrap();
        s.expect(|l| l.starts_with("frame "), "a frame");
        let window = s.x.query_tree(s.root).unwrap().reply().unwrap().children;
        let size_of = |w: &Window| s.x.get_geometry(*w).unwrap().reply().map_or((0, 0), |g| (g.width, g.height));
        let window = window.into_iter().max_by_key(size_of).expect("a window");
        // There and back, by one edge, the other and both, a little and much.
        let drag = |n: u32| {
            let (far, near) = (n % 20, 20 - n % 20);
            let (w, h) =
                [(far, far), (near, far), (20, near), (near, 20), (far * n % 21, near * n % 21)][n as usize / 20];
            (200 + w * 20, 150 + h * 15)
        };
        let (mut frames, mut beside) = (0, 0);
        // A loaded machine may see many sizes at once, and then the next drag.
        for round in 0..20 {
            for (w, h) in (0..100).map(drag) {
                s.x.configure_window(window, &ConfigureWindowAux::new().width(w).height(h)).unwrap();
                // In the same breath, before anybody could paint.
                for _ in 0..3 {
                    let image = s.x.get_image(ImageFormat::Z_PIXMAP, window, 0, 0, w as u16, h as u16, !0).unwrap();
                    let image = image.reply().expect("the window is there").data;
                    let bare = image.chunks_exact(4).filter(|px| px[..3] == UNDER).count();
                    assert_eq!(bare, 0, "{scaling}: {bare} pixels of what is under the window in {w}x{h}");
                }
            }
            // A last one tells that all were seen.
            let (w, h) = (333 + round, 222);
            s.x.configure_window(window, &ConfigureWindowAux::new().width(w).height(h)).unwrap().check().unwrap();
            let last = format!("{w}x{h} in {w}x{h} exact");
            loop {
                let line = s.line("the last size");
                let Some(frame) = line.strip_prefix("frame ") else { continue };
                assert!(frame.ends_with(" exact"), "{scaling}: {frame}");
                frames += 1;
                if frame == last {
                    break;
                }
                beside += u32::from(frame.split(' ').next() != frame.split(' ').nth(2));
            }
            if beside > 3 {
                break;
            }
        }
        println!(
            "ui_window: an edge is dragged, {scaling}: {frames} frames, {beside} of another size than the window ... ok"
        );
        assert!(beside > 3, "some frames were of a picture that had not followed yet");
        s.close();
        assert_eq!(s.exit_code(), Some(0));
    }

    /// Looks at each frame that the window presents: with `--follow`, says its size and that of the window, and what is wrong with it.
    pub fn watch() -> ui_demo::Watch {
        if !std::env::args().any(|a| a == "--follow") {
            return Box::new(|_, _| {});
        }
        let (x, screen) = x11rb::connect(None).expect("a connection to Xvfb");
        let root = x.setup().roots[screen].root;
        let scaling = if std::env::args().any(|a| a == "one") { Scaling::OneToOne } else { Scaling::Fit };
        Box::new(move |pixels, view| {
            let desk = pixels.size();
            let seen = looked_at(&x, root).and_then(|(size, image)| wrong(&image, size, pixels, view, scaling));
            println!("frame {desk} in {view} {}", seen.unwrap_or_else(|| "exact".into()));
        })
    }

    /// The window's size and contents now, taken together.
    fn looked_at(x: &RustConnection, root: Window) -> Option<(Size<View>, Vec<u8>)> {
        x.grab_server().ok()?;
        let windows = x.query_tree(root).ok()?.reply().ok()?.children;
        let of = |w: Window| Some((x.get_geometry(w).ok()?.reply().ok()?, w));
        let (g, window) =
            windows.into_iter().filter_map(of).max_by_key(|(g, _)| u32::from(g.width) * u32::from(g.height))?;
        let image = x.get_image(ImageFormat::Z_PIXMAP, window, 0, 0, g.width, g.height, !0).ok()?.reply();
        x.ungrab_server().ok()?;
        x.flush().ok()?;
        Some((Size::new(g.width.into(), g.height.into()), image.ok()?.data))
    }

    /// What is wrong with a picture of one colour in a window that was `view` large when it was painted and is `size` large now.
    fn wrong(image: &[u8], size: Size<View>, pixels: &Pixels, view: Size<View>, scaling: Scaling) -> Option<String> {
        let place = Layout::new(scaling, pixels.size(), view)?.picture();
        let colour = pixels.get(0, 0)?;
        let is = |x: i32, y: i32| {
            let at = (y as usize * size.w as usize + x as usize) * 4;
            image.get(at..at + 3)
        };
        let mut count = 0;
        let mut first = None;
        for (y, x) in (0..size.h as i32).flat_map(|y| (0..size.w as i32).map(move |x| (y, x))) {
            let wanted = if place.holds(Point::new(x, y)) { colour } else { [0; 3] };
            // The server has taken away what no longer had room since.
            let cut = size != view && is(x, y) == Some(&[0; 3]);
            if is(x, y) != Some(&wanted) && !cut {
                count += 1;
                first = first.or(Some((x, y)));
            }
        }
        let (x, y) = first?;
        Some(format!(
            "now {size}: {count} pixels, the first at {x}, {y}: {:?} instead of {colour:?} in {place:?}",
            is(x, y)
        ))
    }

    /// An X server, the window on it, and what the window says.
    struct Stage {
        server: Child,
        child: Child,
        lines: Receiver<String>,
        x: RustConnection,
        root: Window,
    }

    impl Stage {
        fn start(marker: &str, arguments: &[&str]) -> Self {
            let mut server = Command::new("Xvfb")
                .args(["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("Xvfb starts");
            let mut number = String::new();
            BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).expect("a display number");
            let display = format!(":{}", number.trim());
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(arguments)
                .env(marker, "1")
                .env("DISPLAY", &display)
                .env_remove("WAYLAND_DISPLAY")
                .env_remove("XAUTHORITY")
                .stdout(Stdio::piped())
                .spawn()
                .expect("the window starts");
            let (tell, lines) = channel();
            let out = BufReader::new(child.stdout.take().unwrap());
            std::thread::spawn(move || out.lines().map_while(Result::ok).all(|line| tell.send(line).is_ok()));
            let (x, screen) = x11rb::connect(Some(&display)).expect("a connection to Xvfb");
            let root = x.setup().roots[screen].root;
            Self { server, child, lines, x, root }
        }

        fn line(&mut self, wanted: &str) -> String {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(e) => panic!("waited for {wanted}: {e}"),
            }
        }

        fn expect(&mut self, want: impl Fn(&str) -> bool, what: &str) {
            while !want(&self.line(what)) {}
        }

        fn expect_line(&mut self, want: &str) {
            self.expect(|l| l == want, want);
        }

        /// Lines that begin so, in any order.
        fn expect_all(&mut self, beginnings: &[&str]) {
            let mut missing = beginnings.to_vec();
            while !missing.is_empty() {
                let line = self.line(&format!("{missing:?}"));
                missing.retain(|beginning| !line.starts_with(beginning));
            }
        }

        /// The next line that is not about presenting.
        fn expect_next(&mut self, want: &str) {
            loop {
                let line = self.line(want);
                if line != "shown" {
                    assert_eq!(line, want);
                    return;
                }
            }
        }

        fn until(&mut self, want: &str) -> Vec<String> {
            let mut heard = Vec::new();
            loop {
                let line = self.line(want);
                if line == want {
                    return heard;
                }
                heard.push(line);
            }
        }

        fn lines_so_far(&mut self) {
            while self.lines.recv_timeout(Duration::from_millis(200)).is_ok() {}
        }

        fn fake(&self, kind: u8, detail: u8, x: i16, y: i16) {
            self.x.xtest_fake_input(kind, detail, 0, self.root, x, y, 0).unwrap().check().unwrap();
        }

        /// `code` in evdev's numbers; X adds 8.
        fn key(&self, code: u8, down: bool) {
            self.fake(if down { KEY_PRESS_EVENT } else { KEY_RELEASE_EVENT }, code + 8, 0, 0);
        }

        fn tap(&self, code: u8) {
            self.key(code, true);
            self.key(code, false);
        }

        fn move_to(&self, x: i16, y: i16) {
            self.fake(MOTION_NOTIFY_EVENT, 0, x, y);
        }

        fn click(&self, button: u8) {
            self.fake(BUTTON_PRESS_EVENT, button, 0, 0);
            self.fake(BUTTON_RELEASE_EVENT, button, 0, 0);
        }

        /// What a file manager does when a file is dropped onto the window (XDND, version 5).
        fn drop_file(&self, list: &str) {
            let atom = |name: &str| self.x.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom;
            let (aware, uri_list) = (atom("XdndAware"), atom("text/uri-list"));
            let aware = |w: &Window| {
                let has = self.x.get_property(false, *w, aware, AtomEnum::ATOM, 0, 1).unwrap().reply().unwrap();
                has.type_ != x11rb::NONE
            };
            let windows = self.x.query_tree(self.root).unwrap().reply().unwrap().children;
            let to = windows.into_iter().find(aware).expect("a window that takes drops");
            let from = self.x.generate_id().unwrap();
            let class = x11rb::protocol::xproto::WindowClass::INPUT_ONLY;
            self.x.create_window(0, from, self.root, 0, 0, 1, 1, 0, class, 0, &Default::default()).unwrap();
            self.x.set_selection_owner(from, atom("XdndSelection"), x11rb::CURRENT_TIME).unwrap();
            let say = |name: &str, data: [u32; 5]| {
                let event = ClientMessageEvent::new(32, to, atom(name), data);
                self.x.send_event(false, to, EventMask::NO_EVENT, event).unwrap();
                self.x.flush().unwrap();
            };
            say("XdndEnter", [from, 5 << 24, uri_list, 0, 0]);
            say("XdndPosition", [from, 0, 100 << 16 | 100, x11rb::CURRENT_TIME, atom("XdndActionCopy")]);
            let asked = loop {
                if let x11rb::protocol::Event::SelectionRequest(e) = self.x.wait_for_event().unwrap() {
                    break e;
                }
            };
            assert_eq!(asked.target, uri_list);
            let mode = x11rb::protocol::xproto::PropMode::REPLACE;
            self.x.change_property8(mode, asked.requestor, asked.property, uri_list, list.as_bytes()).unwrap();
            let given = x11rb::protocol::xproto::SelectionNotifyEvent {
                response_type: x11rb::protocol::xproto::SELECTION_NOTIFY_EVENT,
                sequence: 0,
                time: asked.time,
                requestor: asked.requestor,
                selection: asked.selection,
                target: asked.target,
                property: asked.property,
            };
            self.x.send_event(false, asked.requestor, EventMask::NO_EVENT, given).unwrap();
            say("XdndDrop", [from, 0, x11rb::CURRENT_TIME, 0, 0]);
        }

        fn screen(&self) -> Pixels {
            let image = self.x.get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, 640, 480, !0).unwrap();
            let mut data = image.reply().unwrap().data;
            data.chunks_exact_mut(4).for_each(|px| px[3] = 0);
            Pixels::from_bgrx(Size::<Surf>::new(640, 480), data).unwrap()
        }

        fn wait_for(&mut self, want: impl Fn(&Pixels) -> bool, what: &str) {
            // Every look at the screen is followed by a pause; together they are the patience.
            for _ in 0..PATIENCE.as_millis() / 20 {
                if want(&self.screen()) {
                    return;
                }
                let (_keep, pause) = channel::<()>();
                assert_eq!(pause.recv_timeout(Duration::from_millis(20)), Err(RecvTimeoutError::Timeout));
                if let Ok(Some(status)) = self.child.try_wait() {
                    panic!("waited for {what}: the window ended with {status}");
                }
            }
            panic!("waited for {what}: the screen never showed it");
        }

        fn wait_for_screen(&mut self, picture: &Pixels) {
            self.wait_for(|screen| screen == picture, "the picture, pixel for pixel");
        }

        /// What a window manager's close button sends.
        fn close(&self) {
            let atom = |name: &str| self.x.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom;
            let (protocols, delete) = (atom("WM_PROTOCOLS"), atom("WM_DELETE_WINDOW"));
            let windows = self.x.query_tree(self.root).unwrap().reply().unwrap().children;
            for window in windows {
                let listed = self.x.get_property(false, window, protocols, AtomEnum::ATOM, 0, 32).unwrap();
                if listed.reply().is_ok_and(|p| p.value32().is_some_and(|mut v| v.any(|a| a == delete))) {
                    let message = ClientMessageEvent::new(32, window, protocols, [delete, 0, 0, 0, 0]);
                    self.x.send_event(false, window, EventMask::NO_EVENT, message).unwrap().check().unwrap();
                }
            }
        }

        fn exit_code(&mut self) -> Option<i32> {
            // Its standard output ends with it.
            loop {
                match self.lines.recv_timeout(PATIENCE) {
                    Ok(_) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) => panic!("the window did not end"),
                }
            }
            self.child.wait().unwrap().code()
        }
    }

    impl Drop for Stage {
        fn drop(&mut self) {
            for process in [&mut self.child, &mut self.server] {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}
