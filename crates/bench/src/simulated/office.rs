//! The working day: what a person at the office desktop does in eight hours, as input events, and what that costs each
//! way, by activity (`DESIGN` §2: at most 150 MB down and 30 MB up).
//!
//! The mix of a half hour: 8 minutes of writing with pauses, 9 of reading and leafing through pages, 4 of mail, 4 in a
//! spreadsheet, 3 of changing windows and opening menus, 2 away. In the middle of the morning a call of 20 minutes with a
//! film of 320 x 180 at 15 frames a second, at noon 45 minutes away. Nothing is scaled: the pixels go through the real
//! codec and the bytes are those of the links.

use super::desk::{Desk, keys};
use super::measure::{Figures, Mark, percentile, spread};
use super::scenario::{Bound, Played, Target, link};
use super::stage::Stage;
use telepane_model::{Button, InputEvent, KeyCode, KeyMove, Point, Rng, Span};
use telepane_sim::{CostTable, World, WorldOptions};

/// What a person does for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// Writes.
    Typing,
    /// Reads, scrolls, goes to other pages.
    Reading,
    /// Leafs through messages.
    Mail,
    /// Fills in cells.
    Sheet,
    /// Changes windows.
    Switching,
    /// Opens menus.
    Menus,
    /// Talks, and writes a little.
    Call,
    /// Is elsewhere.
    Away,
}

impl Activity {
    const ALL: [Self; 8] =
        [Self::Typing, Self::Reading, Self::Mail, Self::Sheet, Self::Switching, Self::Menus, Self::Call, Self::Away];

    const fn name(self) -> &'static str {
        match self {
            Self::Typing => "typing",
            Self::Reading => "reading",
            Self::Mail => "mail",
            Self::Sheet => "sheet",
            Self::Switching => "switching",
            Self::Menus => "menus",
            Self::Call => "call",
            Self::Away => "away",
        }
    }

    /// Seconds of it in the day.
    fn seconds_a_day(self) -> u64 {
        day().into_iter().filter(|(a, _)| *a == self).map(|(_, s)| s).sum()
    }
}

/// The day: activities and their seconds, eight hours in all.
fn day() -> Vec<(Activity, u64)> {
    use Activity as A;
    let usual = [
        (A::Typing, 240),
        (A::Reading, 270),
        (A::Switching, 60),
        (A::Mail, 240),
        (A::Typing, 240),
        (A::Menus, 60),
        (A::Reading, 270),
        (A::Sheet, 240),
        (A::Switching, 60),
        (A::Away, 120),
    ];
    let mut all = Vec::new();
    for half_hour in 0..16 {
        match half_hour {
            4 => all.extend([(A::Call, 1_200), (A::Typing, 300), (A::Reading, 300)]),
            7 => all.push((A::Away, 1_800)),
            8 => all.extend([(A::Away, 900), (A::Reading, 540), (A::Mail, 360)]),
            _ => all.extend(usual),
        }
    }
    all
}

/// Five minutes of it, for every change: of reading so much that there is a page with photographs, as there is every other
/// minute in the day.
const SHORT: &[(Activity, u64)] = &[
    (Activity::Typing, 30),
    (Activity::Reading, 140),
    (Activity::Mail, 20),
    (Activity::Sheet, 20),
    (Activity::Switching, 20),
    (Activity::Menus, 15),
    (Activity::Call, 10),
    (Activity::Away, 25),
];

/// A person's hands: puts events into the world's future.
struct Hands<'a> {
    world: &'a mut World,
    rng: Rng,
    at: u64,
}

impl Hands<'_> {
    fn wait(&mut self, least_ms: u64, most_ms: u64) {
        self.at += (least_ms + self.rng.below(most_ms - least_ms + 1)) * 1_000;
    }

    fn key(&mut self, code: u16) {
        let code = KeyCode(code);
        self.world.input_at(self.at, InputEvent::Key { code, action: KeyMove::Down });
        let hold = 40_000 + self.rng.below(60_000);
        self.world.input_at(self.at + hold, InputEvent::Key { code, action: KeyMove::Up });
    }

    fn window(&mut self, n: u16) {
        self.key(keys::FIRST_WINDOW + n);
        self.wait(900, 1_600);
    }

    /// The hand moves the mouse for a third of a second; X reports 60 places a second here.
    fn mouse(&mut self, x: i32, y: i32) {
        let (dx, dy) = (self.rng.below(400) as i32 - 200, self.rng.below(300) as i32 - 150);
        for i in 0..20 {
            let left = 20 - i;
            let to = Point::new((x + dx * left / 20).clamp(0, 1_919), (y + dy * left / 20).clamp(0, 1_079));
            self.world.input_at(self.at, InputEvent::PointerTo(to));
            self.at += 16_667;
        }
    }

    fn click(&mut self) {
        for down in [true, false] {
            self.world.input_at(self.at, InputEvent::Button { button: Button::Left, down });
            self.at += 80_000;
        }
    }

    fn write(&mut self, until: u64, thinks_every: u64) {
        while self.at < until {
            for _ in 0..10 + self.rng.below(thinks_every) {
                if self.at >= until {
                    break;
                }
                // Five keys a second, a space every sixth.
                let code = match self.rng.below(60) {
                    0 => keys::ENTER,
                    1..=10 => 50,
                    n => 16 + (n % 12) as u16,
                };
                self.key(code);
                self.wait(110, 290);
            }
            self.wait(1_500, 12_000);
        }
    }

    /// Does `what` until `until`.
    fn act(&mut self, what: Activity, until: u64) {
        match what {
            Activity::Typing => {
                self.window(0);
                self.write(until, 120);
            }
            Activity::Reading => {
                self.window(1);
                let mut screens = 0;
                while self.at + 3_000_000 < until {
                    if screens == 5 {
                        screens = 0;
                        self.mouse(700, 300);
                        self.key(keys::NEW_PAGE);
                    } else {
                        screens += 1;
                        self.mouse(900, 600);
                        for _ in 0..3 + self.rng.below(4) {
                            self.world.input_at(self.at, InputEvent::Wheel { x: 0, y: 120 });
                            self.wait(30, 70);
                        }
                    }
                    self.wait(5_000, 13_000);
                }
            }
            Activity::Mail => {
                self.window(2);
                while self.at + 2_000_000 < until {
                    self.key(keys::DOWN);
                    self.wait(6_000, 16_000);
                }
            }
            Activity::Sheet => {
                self.window(3);
                while self.at + 2_000_000 < until {
                    for _ in 0..self.rng.below(6) {
                        self.key(16 + self.at as u16 % 10);
                        self.wait(150, 350);
                    }
                    for _ in 0..1 + self.rng.below(3) {
                        let right = self.rng.below(3) == 0;
                        self.key(if right { keys::RIGHT } else { keys::DOWN });
                        self.wait(150, 400);
                    }
                    self.wait(500, 5_000);
                }
            }
            Activity::Switching => {
                let mut n = 0;
                while self.at + 3_000_000 < until {
                    n = (n + 1 + self.rng.below(3) as u16) % 4;
                    self.window(n);
                    self.wait(3_000, 6_000);
                }
            }
            Activity::Menus => {
                while self.at + 5_000_000 < until {
                    self.mouse(200, 20);
                    self.click();
                    for item in 0..4 + self.rng.below(8) as i32 {
                        self.world.input_at(self.at, InputEvent::PointerTo(Point::new(200, 52 + item * 28)));
                        self.wait(40, 180);
                    }
                    self.wait(300, 900);
                    self.click();
                    self.wait(2_000, 5_000);
                }
            }
            Activity::Call => {
                self.window(0);
                self.wait(4_000, 8_000);
                self.write(until.saturating_sub(20_000_000), 40);
            }
            Activity::Away => {}
        }
    }
}

/// What one activity came to.
#[derive(Default)]
struct Account {
    seconds: u64,
    bytes: [u64; 2],
    ages: Vec<u64>,
    keys: Vec<u64>,
    inexact: u64,
}

/// Plays a list of activities from `first` on. `judged`: the oracle watches, which takes much longer.
fn play(
    cost: &CostTable,
    seed: u64,
    first: u64,
    plan: &[(Activity, u64)],
    judged: bool,
    tell: &mut dyn FnMut(usize),
) -> Played {
    let mut calls = Vec::new();
    let mut at = first;
    for (activity, seconds) in plan {
        if *activity == Activity::Call {
            calls.push((at, at + (seconds - 2) * 1_000_000));
        }
        at += seconds * 1_000_000;
    }
    let options = WorldOptions::new(seed, link(20, 40_000), Box::new(Stage::new(Desk::new(seed, calls))));
    let mut world = World::new(WorldOptions { cost: *cost, journal: judged, judged, ..options });
    if first > FIRST {
        let mut hands = Hands { world: &mut world, rng: Rng::new(seed), at: FIRST };
        [1, 2, 3, 0].into_iter().for_each(|window| hands.window(window));
    }
    world.run_to(first);
    let mut accounts: Vec<Account> = Activity::ALL.iter().map(|_| Account::default()).collect();
    let all = Mark::now(&mut world);
    let mut end = first;
    for (n, (activity, seconds)) in plan.iter().enumerate() {
        let begin = end;
        end += seconds * 1_000_000;
        let mark = Mark::now(&mut world);
        let rng = Rng::new(seed ^ n as u64 ^ 0x6f66_6669);
        // What is done last is seen before the next thing begins.
        Hands { world: &mut world, rng, at: begin + 100_000 }.act(*activity, end - 2_000_000);
        // Not at the end itself, when the next thing may begin; and what a caret did a moment ago may be on its way.
        let exact = [end - 100_000, end - 1].into_iter().any(|at| {
            world.run_to(at);
            world.is_exact()
        });
        world.run_to(end);
        let account = &mut accounts[*activity as usize];
        account.seconds += seconds;
        let bytes = mark.bytes(&world);
        account.bytes[0] += bytes[0];
        account.bytes[1] += bytes[1];
        account.ages.extend(mark.ages(&world));
        account.keys.extend(mark.keys(&world));
        account.inexact += u64::from(!exact);
        tell(n);
    }
    let mut figures = Figures::new();
    all.figures(&mut world, &mut figures);
    let mut of_a_day = [0; 2];
    for (activity, account) in Activity::ALL.into_iter().zip(&accounts).filter(|(_, a)| a.seconds > 0) {
        let name = activity.name();
        let mut put = |what: &str, v: u64| figures.insert(format!("{name}_{what}"), v as i64);
        put("seconds", account.seconds);
        put("bytes_down", account.bytes[0]);
        put("bytes_up", account.bytes[1]);
        let mut ages = account.ages.clone();
        ages.sort_unstable();
        put("age_p95_us", percentile(&ages, 95));
        if !account.keys.is_empty() {
            let mut keys = account.keys.clone();
            keys.sort_unstable();
            put("key_p95_us", percentile(&keys, 95));
        }
        for way in [0, 1] {
            of_a_day[way] += account.bytes[way] * activity.seconds_a_day() / account.seconds;
        }
    }
    figures.insert("day_bytes_down".into(), of_a_day[0] as i64);
    figures.insert("day_bytes_up".into(), of_a_day[1] as i64);
    figures.insert("inexact_at_ends".into(), accounts.iter().map(|a| a.inexact).sum::<u64>() as i64);
    figures.insert("faults".into(), world.faults.len() as i64);
    figures.insert("rebases".into(), i64::from(world.rebases));
    spread(&mut figures, "key", accounts.into_iter().flat_map(|a| a.keys).collect());
    let most = |figure, v| Target { figure, bound: Bound::AtMost(v) };
    let targets = vec![
        most("day_bytes_down", 150_000_000),
        most("day_bytes_up", 30_000_000),
        most("inexact_at_ends", 0),
        most("faults", 0),
    ];
    Played { figures, targets, seed, journal: world.journal().to_owned() }
}

/// Five minutes; the day's bytes are estimated from each activity's. The person was at each window before: what is seen of a
/// window only once a day would count as often as it is returned to.
pub fn short(cost: &CostTable) -> Played {
    play(cost, 117, FIRST + ONCE_ROUND, SHORT, false, &mut |_| ())
}

/// The whole day, told after each activity.
pub fn whole(cost: &CostTable, tell: &mut dyn FnMut(usize, usize)) -> Played {
    let plan = day();
    play(cost, 118, FIRST, &plan, false, &mut |n| tell(n + 1, plan.len()))
}

/// The desktop stands before the person comes.
const FIRST: u64 = Span::secs(3).as_micros();
/// Time to bring each window to the front once.
const ONCE_ROUND: u64 = Span::secs(10).as_micros();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_has_eight_hours_and_everything_in_it() {
        let day = day();
        assert_eq!(day.iter().map(|(_, s)| s).sum::<u64>(), 8 * 3_600);
        for activity in Activity::ALL {
            assert!(activity.seconds_a_day() > 0, "{}", activity.name());
            assert!(SHORT.iter().any(|(a, _)| *a == activity), "{}", activity.name());
        }
    }
}
