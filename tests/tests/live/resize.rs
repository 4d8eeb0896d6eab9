//! A virtual desktop follows the client's window, and is exact afterwards.

use super::process::{PATIENCE, Scratch, have, now, pause, until};
use super::screen::{Picture, Screen};
use super::stage::{Agent, connect};
use std::time::Duration;

#[test]
fn a_virtual_desktop_follows_the_window() {
    if !have("resize", &["Xvfb"]) {
        return;
    }
    let dir = Scratch::new();
    let mut agent = Agent::start(&dir, &["--virtual", "1024x768"]);
    let (name, xauthority) = agent.display();
    let here = Screen::join(&name, &xauthority);
    assert_eq!(here.picture().size, (1024, 768));
    here.paint_root(1);
    let there = Screen::start(1280, 1024);
    let mut client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &["--size", "900x700"]);
    follows(&here, &there, (900, 700));
    for (round, size) in [(1000, 600), (641, 483), (1200, 900)].into_iter().enumerate() {
        there.resize_windows(size.0, size.1);
        here.paint_root(2 + round as u32);
        follows(&here, &there, (size.0 as u16, size.1 as u16));
    }
    assert_eq!((agent.run.ended(), client.ended()), (None, None), "both live");
    drop(client);
}

/// The desktop takes this size and the window shows it pixel for pixel.
pub fn follows(here: &Screen, there: &Screen, size: (u16, u16)) {
    let took = until("the desktop has the window's size", PATIENCE, || here.picture().size == size);
    let start = now();
    loop {
        let wanted = here.picture();
        let window = there.windows().into_iter().max_by_key(|w| w[2] * w[3]).expect("the client's window");
        let shown = there.picture().part(window);
        let Some(difference) = wanted.difference(&shown) else { break };
        assert!(start.elapsed() < PATIENCE, "the window does not show the desktop: {difference}");
        pause(Duration::from_millis(15));
    }
    println!("resize: {size:?} after {took:?}, exact {:?} later", start.elapsed());
}

impl Picture {
    /// What lies in a window of this place and size.
    pub fn part(&self, [x, y, w, h]: [i32; 4]) -> Self {
        let width = i32::from(self.size.0);
        let rows = (y..y + h).filter(|y| (0..i32::from(self.size.1)).contains(y));
        let bytes = |n: i32| n as usize * 4;
        let bgrx =
            rows.flat_map(|row| &self.bgrx[bytes(row * width + x.max(0))..bytes(row * width + (x + w).min(width))]);
        Self { size: (w as u16, h as u16), bgrx: bgrx.copied().collect() }
    }
}
