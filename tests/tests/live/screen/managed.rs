//! Windows as a person sees them: by their titles, with the frames that a window manager gives them, and as it is asked to treat them.

use super::Screen;
use crate::process::{PATIENCE, until};
use x11rb::protocol::xproto::{AtomEnum, ClientMessageEvent, ConnectionExt as _, EventMask, MapState, Window};

impl Screen {
    /// The windows that a window manager looks after, each with its title.
    pub fn managed(&self) -> Vec<(Window, String)> {
        let (list, kind) = (self.atom("_NET_CLIENT_LIST"), AtomEnum::WINDOW);
        let asked = self.conn.get_property(false, self.root, list, kind, 0, 1 << 10).expect("alive");
        let list = asked.reply().expect("the root is there");
        list.value32().into_iter().flatten().map(|window| (window, self.title(window).unwrap_or_default())).collect()
    }

    /// What a window calls itself; none while it is gone.
    fn title(&self, window: Window) -> Option<String> {
        let names = [self.atom("_NET_WM_NAME"), u32::from(AtomEnum::WM_NAME)];
        let mut titles = names.into_iter().filter_map(|name| {
            let asked = self.conn.get_property(false, window, name, AtomEnum::ANY, 0, 1 << 10).expect("alive");
            Some(String::from_utf8_lossy(&asked.reply().ok()?.value).into_owned())
        });
        titles.find(|title| !title.is_empty())
    }

    /// Where the window of this title lies, with the frame around it if it has one.
    pub fn place_of(&self, title: &str) -> Option<[i32; 4]> {
        let (_, top) = self.top_of(title)?;
        let g = self.conn.get_geometry(top).expect("alive").reply().ok()?;
        let border = 2 * i32::from(g.border_width);
        Some([g.x.into(), g.y.into(), i32::from(g.width) + border, i32::from(g.height) + border])
    }

    /// Puts the window of this title there, as an application or a script does, and waits until it is.
    pub fn put(&self, title: &str, (x, y): (i32, i32)) {
        use x11rb::protocol::xproto::ConfigureWindowAux;
        let (window, _) = self.top_of(title).expect("it is there");
        let place = ConfigureWindowAux::new().x(x).y(y);
        self.conn.configure_window(window, &place).expect("alive").check().expect("it can be moved");
        let is_there = || self.place_of(title).is_some_and(|[at_x, at_y, ..]| (at_x, at_y) == (x, y));
        until("the window is where it was put", PATIENCE, is_there);
    }

    /// Has the window manager make the window of this title fill its monitor, or no longer, and waits until it says so.
    pub fn maximise(&self, title: &str, on: bool) {
        let (window, _) = self.top_of(title).expect("it is there");
        let [across, down] = self.maximised();
        self.ask(window, "_NET_WM_STATE", [on.into(), across, down, PAGER, 0]);
        until("the window manager says so", PATIENCE, || self.is_maximised(title) == on);
    }

    /// Whether it says that the window of this title fills its monitor.
    pub fn is_maximised(&self, title: &str) -> bool {
        let (window, _) = self.top_of(title).expect("it is there");
        let state = self.atom("_NET_WM_STATE");
        let asked = self.conn.get_property(false, window, state, AtomEnum::ATOM, 0, 64).expect("alive").reply();
        let state: Vec<u32> = asked.expect("an answer").value32().into_iter().flatten().collect();
        self.maximised().iter().all(|side| state.contains(side))
    }

    fn maximised(&self) -> [u32; 2] {
        ["_NET_WM_STATE_MAXIMIZED_HORZ", "_NET_WM_STATE_MAXIMIZED_VERT"].map(|name| self.atom(name))
    }

    /// The shown window of this title, and the child of the root that it is or lies in.
    fn top_of(&self, title: &str) -> Option<(Window, Window)> {
        let children = |of: Window| {
            let tree = self.conn.query_tree(of).expect("alive").reply();
            tree.map(|tree| tree.children).unwrap_or_default()
        };
        let is_shown = |window: &Window| {
            let attributes = self.conn.get_window_attributes(*window).expect("alive").reply();
            attributes.is_ok_and(|a| a.map_state == MapState::VIEWABLE)
        };
        let has_it = |window: &Window| self.title(*window).is_some_and(|text| text == title);
        let mut tops = children(self.root).into_iter().filter(is_shown);
        // A frame holds the window at once, or in one more window.
        tops.find_map(|top| {
            let mut below = vec![top];
            for _ in 0..3 {
                if let Some(found) = below.iter().copied().find(has_it) {
                    return Some((found, top));
                }
                below = below.into_iter().flat_map(children).collect();
            }
            None
        })
    }

    /// Has the window manager bring a window to the front, as a list of windows does.
    pub fn activate(&self, is_it: impl Fn(&str) -> bool) {
        let (window, _) = self.managed().into_iter().find(|(_, title)| is_it(title)).expect("it is managed");
        self.ask(window, "_NET_ACTIVE_WINDOW", [PAGER, 0, 0, 0, 0]);
    }

    /// Asks the window manager for something about a window.
    fn ask(&self, window: Window, what: &str, data: [u32; 5]) {
        let event = ClientMessageEvent::new(32, window, self.atom(what), data);
        let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        self.conn.send_event(false, self.root, mask, event).expect("alive").check().expect("it can be asked");
    }
}

/// Who asks a window manager, as EWMH counts them: a person, by another program.
const PAGER: u32 = 2;
