//! Sessions through hours that pass at once.

use super::*;

fn at(secs: u64) -> Stamp<HostClock> {
    Stamp::from_micros((10_000 + secs) * 1_000_000)
}

fn client(n: u8) -> ClientId {
    ClientId([n; 32])
}

fn caller(n: u8, user: &str) -> Caller<'_> {
    Caller { token: [n; 16], client: Some(client(n)), user }
}

/// Everything that is wanted at this second; and when to come back, in seconds.
fn wishes(life: &mut Life, secs: u64) -> (Vec<LifeWish>, Option<u64>) {
    let mut all = Vec::new();
    loop {
        match life.poll(at(secs)) {
            LifeWish::Idle { until } => {
                return (all, until.map(|t| t.as_micros() / 1_000_000 - 10_000));
            }
            wish => all.push(wish),
        }
        assert!(all.len() < 100, "it comes to rest");
    }
}

/// The same without events, which tests of events look at.
fn quiet(life: &mut Life, secs: u64) -> Vec<LifeWish> {
    wishes(life, secs).0.into_iter().filter(|w| !matches!(w, LifeWish::Event(_))).collect()
}

/// The events alone: second, session and what.
fn events(life: &mut Life, secs: u64) -> Vec<(u64, u64, Happened)> {
    let events = wishes(life, secs).0.into_iter().filter_map(|w| match w {
        LifeWish::Event(e) => Some((e.at.as_micros() / 1_000_000 - 10_000, e.session, e.what)),
        _ => None,
    });
    events.collect()
}

fn warn(ending: Option<(Ending, u64)>) -> LifeWish {
    LifeWish::Warn { session: 1, ending: ending.map(|(why, secs)| (why, Span::secs(secs))) }
}

fn strict() -> LifeOptions {
    LifeOptions {
        idle_timeout: Some(Span::secs(3_600)),
        max_length: Some(Span::secs(8 * 3_600)),
        disconnect_timeout: Span::secs(7_200),
        ..LifeOptions::default()
    }
}

// spec: H-53
#[test]
fn who_gives_no_input_is_warned_and_then_sent_home() {
    let mut life = Life::new(strict());
    life.on_came(at(0), 1, &caller(1, ""));
    assert_eq!(quiet(&mut life, 0), []);
    life.on_input(at(100), 1);
    let (_, next) = wishes(&mut life, 100);
    assert_eq!(next, Some(160), "the event of the last input is the first thing due");
    assert_eq!(quiet(&mut life, 160), []);
    assert_eq!(wishes(&mut life, 161).1, Some(100 + 3_600 - 350));
    assert_eq!(quiet(&mut life, 3_350), [warn(Some((Ending::Idle, 350)))]);
    assert_eq!(quiet(&mut life, 3_400), [], "once");
    life.on_input(at(3_500), 1);
    assert_eq!(quiet(&mut life, 3_500), [warn(None)], "one key is enough");
    assert_eq!(quiet(&mut life, 6_750), [warn(Some((Ending::Idle, 350)))]);
    assert_eq!(quiet(&mut life, 7_100), [LifeWish::End { session: 1, why: Left::Idle }]);
    assert_eq!(quiet(&mut life, 7_101), [], "once");
    life.on_ended(at(7_101), 1, Left::Idle);
    assert_eq!(wishes(&mut life, 7_101).1, None);
}

// spec: H-54
#[test]
fn a_session_lasts_so_long_and_no_longer_whatever_its_person_does() {
    let mut life = Life::new(LifeOptions { idle_timeout: None, ..strict() });
    life.on_came(at(0), 1, &caller(1, ""));
    for minute in 0..470 {
        life.on_input(at(minute * 60), 1);
        assert_eq!(quiet(&mut life, minute * 60), [], "minute {minute}");
    }
    assert_eq!(quiet(&mut life, 8 * 3_600 - 350), [warn(Some((Ending::TooLong, 350)))]);
    life.on_input(at(8 * 3_600 - 200), 1);
    assert_eq!(quiet(&mut life, 8 * 3_600 - 200), []);
    assert_eq!(quiet(&mut life, 8 * 3_600), [LifeWish::End { session: 1, why: Left::TooLong }]);
}

// spec: H-55
#[test]
fn a_link_lost_for_an_hour_finds_its_session_and_after_the_timeout_it_is_gone() {
    let mut life = Life::new(strict());
    life.on_came(at(0), 1, &caller(1, ""));
    life.on_lost(at(10), 1);
    assert_eq!(quiet(&mut life, 3_609), [], "nobody idles who is away");
    life.on_came(at(3_610), 1, &caller(1, ""));
    assert_eq!(
        events(&mut life, 3_610).last(),
        Some(&(3_610, 1, Happened::Connected { resumed: true })),
        "the same session"
    );
    assert_eq!(quiet(&mut life, 3_611), [], "and its rest begins anew");
    life.on_lost(at(4_000), 1);
    assert_eq!(quiet(&mut life, 4_000 + 7_199), []);
    assert_eq!(quiet(&mut life, 4_000 + 7_200), [LifeWish::End { session: 1, why: Left::Away }]);
    life.on_ended(at(11_200), 1, Left::Away);
    // A viewer that comes after that gets a new one.
    assert_eq!(life.on_knock(&caller(1, ""), None), Ok(vec![]));
}

// spec: H-50, H-51, H-52
#[test]
fn the_last_to_come_takes_over_unless_the_owner_wants_it_otherwise() {
    let verdicts = |eviction, most, here: &[(u8, &'static str)], new: (u8, &'static str)| {
        let mut life = Life::new(LifeOptions { eviction, most, ..LifeOptions::default() });
        for (i, (n, user)) in here.iter().enumerate() {
            life.on_came(at(i as u64), u64::from(*n), &caller(*n, user));
        }
        life.on_knock(&caller(new.0, new.1), None)
    };
    let two = [(1, "ann"), (2, "bob")];
    assert_eq!(verdicts(Eviction::Oldest, 1, &two[..1], (3, "bob")), Ok(vec![1]));
    assert_eq!(verdicts(Eviction::Oldest, 2, &two, (3, "bob")), Ok(vec![1]));
    assert_eq!(verdicts(Eviction::Oldest, 3, &two, (3, "bob")), Ok(vec![]));
    assert_eq!(verdicts(Eviction::SameUserOldest, 2, &two, (3, "bob")), Ok(vec![2]));
    assert_eq!(verdicts(Eviction::SameUserOldest, 2, &two, (3, "eve")), Err(Refused::Full));
    assert_eq!(verdicts(Eviction::RejectNew, 2, &two, (3, "bob")), Err(Refused::Full));
    assert_eq!(verdicts(Eviction::RejectNew, 2, &two, (2, "bob")), Ok(vec![2]), "its own place, by its own key");
    assert_eq!(verdicts(Eviction::RejectNew, 3, &two, (2, "bob")), Ok(vec![]), "there is room for a second window");
}

// spec: H-51, H-52
#[test]
fn who_was_away_while_somebody_took_over_does_not_take_it_back_by_itself() {
    let mut life = Life::new(LifeOptions::default());
    life.on_came(at(0), 1, &caller(1, ""));
    life.on_lost(at(5), 1);
    assert_eq!(life.on_knock(&caller(2, ""), None), Ok(vec![1]));
    life.on_ended(at(6), 1, Left::TakenOver);
    life.on_came(at(6), 2, &caller(2, ""));
    assert_eq!(life.on_knock(&caller(1, ""), None), Err(Refused::Over(Left::TakenOver)));
    // Its person starts it again: that is an act, and takes over as ever.
    let again = Caller { token: [9; 16], ..caller(1, "") };
    assert_eq!(life.on_knock(&again, None), Ok(vec![2]));
    // Who resumes takes nobody's place but its own.
    assert_eq!(life.on_knock(&caller(2, ""), Some(2)), Ok(vec![]));
}

#[test]
fn what_is_over_is_remembered_within_bounds() {
    let mut life = Life::new(LifeOptions::default());
    for n in 0..200u8 {
        life.on_came(at(u64::from(n)), u64::from(n), &caller(n, ""));
        life.on_ended(at(u64::from(n)), u64::from(n), Left::Closed);
    }
    assert_eq!(life.over.len(), MOST_OVER);
    assert_eq!(life.on_knock(&caller(199, ""), None), Err(Refused::Over(Left::Closed)));
    assert_eq!(life.on_knock(&caller(1, ""), None), Ok(vec![]), "long ago");
}

// spec: H-56
#[test]
fn the_desktop_is_locked_when_the_last_one_goes_and_not_before() {
    let mut life = Life::new(LifeOptions { lock: true, most: 2, ..LifeOptions::default() });
    life.on_came(at(0), 1, &caller(1, ""));
    life.on_came(at(0), 2, &caller(2, ""));
    life.on_lost(at(1), 1);
    assert_eq!(quiet(&mut life, 1), []);
    life.on_ended(at(2), 2, Left::Left);
    assert_eq!(quiet(&mut life, 2), [LifeWish::Lock]);
    life.on_ended(at(3), 1, Left::Away);
    assert_eq!(quiet(&mut life, 3), [], "it is locked already");
}

/// A viewer that was last heard at `heard`, asked for until `to`: when the desktop was locked, if it was.
fn listened(life: &mut Life, from: u64, to: u64, heard: impl Fn(u64) -> u64) -> Vec<u64> {
    let mut locked = Vec::new();
    for secs in from..=to {
        let mut wishes = quiet(life, secs);
        while !wishes.is_empty() {
            for wish in wishes {
                match wish {
                    LifeWish::Listen { session } => life.on_heard(at(secs), session, at(heard(secs))),
                    LifeWish::Lock => locked.push(secs),
                    other => panic!("{other:?}"),
                }
            }
            wishes = quiet(life, secs);
        }
    }
    locked
}

// spec: H-56, H-65
#[test]
fn who_falls_silent_is_away_the_desktop_is_locked_and_the_session_goes_on_when_it_is_heard() {
    let silence = Some(Span::secs(45));
    let mut life = Life::new(LifeOptions { lock: true, silence, ..LifeOptions::default() });
    life.on_came(at(0), 1, &caller(1, ""));
    // A sign of life every 22 s is all that an idle viewer gives.
    assert_eq!(listened(&mut life, 0, 1_000, |now| now / 22 * 22), [0; 0]);
    assert_eq!((life.connected(), life.away_since(1)), (1, None));
    let locked = listened(&mut life, 1_001, 1_300, |_| 1_000);
    assert!(matches!(locked[..], [1_045..=1_057]), "once, and in time: {locked:?}");
    assert_eq!((life.connected(), life.away_since(1)), (0, Some(at(locked[0]))));
    // Who is away does not keep anybody out, and has its session still.
    assert_eq!(life.on_knock(&caller(2, ""), None), Ok(vec![1]));
    assert_eq!(life.on_knock(&caller(1, ""), Some(1)), Ok(vec![]));
    assert_eq!(listened(&mut life, 1_301, 1_400, |now| now), [0; 0]);
    assert_eq!((life.connected(), life.away_since(1)), (1, None), "it is heard again");
    assert_eq!(listened(&mut life, 1_401, 1_500, |_| 1_400).len(), 1, "and may fall silent again");
    life.on_input(at(1_501), 1);
    assert_eq!(life.connected(), 1, "a key is a sign of life");
    assert_eq!(listened(&mut life, 1_502, 1_600, |_| 1_501).len(), 1);
    // Its connection ends while it is silent: that is told no second time, and it is not listened for any more.
    life.on_lost(at(1_601), 1);
    assert_eq!((quiet(&mut life, 1_601), life.connected()), (vec![], 0));
    assert_eq!(wishes(&mut life, 1_602).1, life.away_since(1).map(|t| t.as_micros() / 1_000_000 - 10_000 + 16 * 3_600));
    life.on_came(at(1_700), 1, &caller(1, ""));
    assert_eq!(life.connected(), 1);
}

// spec: H-65
#[test]
fn silence_is_told_with_its_reason_and_a_return_as_one() {
    let mut life = Life::new(LifeOptions { silence: Some(Span::secs(40)), ..LifeOptions::default() });
    life.on_came(at(0), 1, &caller(1, ""));
    life.on_heard(at(39), 1, at(0));
    life.on_heard(at(40), 1, at(0));
    life.on_heard(at(50), 1, at(0));
    life.on_heard(at(60), 1, at(55));
    life.on_lost(at(70), 1);
    life.on_heard(at(71), 1, at(71));
    let (silent, lost) = (Happened::Disconnected { why: Left::Silent }, Happened::Disconnected { why: Left::Lost });
    let (came, back) = (Happened::Connected { resumed: false }, Happened::Connected { resumed: true });
    assert_eq!(events(&mut life, 71), [(0, 1, came), (40, 1, silent), (60, 1, back), (70, 1, lost)]);
    assert_eq!(life.connected(), 0, "what is over is not heard");
}

#[test]
fn everything_is_told_once_with_the_time_it_happened() {
    let mut life = Life::new(LifeOptions::default());
    life.on_came(at(0), 1, &caller(1, "ann"));
    life.on_came(at(1), 1, &caller(1, "ann"));
    assert_eq!(events(&mut life, 1), [(0, 1, Happened::Connected { resumed: false })], "never away");
    life.on_input(at(10), 1);
    life.on_input(at(20), 1);
    assert_eq!(events(&mut life, 79), []);
    assert_eq!(events(&mut life, 80), [(20, 1, Happened::LastInput)]);
    assert_eq!(events(&mut life, 500), []);
    life.on_input(at(600), 1);
    life.on_lost(at(610), 1);
    life.on_lost(at(611), 1);
    let lost = Happened::Disconnected { why: Left::Lost };
    assert_eq!(events(&mut life, 612), [(600, 1, Happened::LastInput), (610, 1, lost)]);
    life.on_ended(at(700), 1, Left::Closed);
    assert_eq!(events(&mut life, 700), [(700, 1, Happened::Ended { why: Left::Closed })]);
    life.on_came(at(800), 2, &caller(2, "bob"));
    life.on_ended(at(900), 2, Left::Left);
    let gone = Happened::Disconnected { why: Left::Left };
    let all = events(&mut life, 900);
    assert_eq!(all[1..], [(900, 2, gone), (900, 2, Happened::Ended { why: Left::Left })]);
}

/// Any facts in any order: it comes to rest, ends nobody twice, and warns nobody who is away.
#[test]
fn random_lives_stay_sane() {
    use telepane_model::Rng;
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut life = Life::new(LifeOptions {
            most: 1 + rng.below(3) as usize,
            lock: true,
            silence: Some(Span::secs(45)),
            ..strict()
        });
        let (mut now, mut fresh) = (0, 1);
        let mut ended = std::collections::BTreeSet::new();
        for _ in 0..400 {
            now += rng.below(2_000);
            let some = 1 + rng.below(fresh);
            match rng.below(7) {
                0 | 1 => {
                    let known = life.sessions.contains_key(&some).then_some(some);
                    let id = known.unwrap_or(fresh);
                    let who = caller(id as u8, ["", "ann", "bob"][rng.below(3) as usize]);
                    if let Ok(evicted) = life.on_knock(&who, known) {
                        assert!(!evicted.contains(&id));
                        evicted.into_iter().for_each(|out| life.on_ended(at(now), out, Left::TakenOver));
                        life.on_came(at(now), id, &who);
                        fresh += u64::from(known.is_none());
                    }
                }
                2 => life.on_lost(at(now), some),
                3 => life.on_ended(at(now), some, Left::Left),
                4 => life.on_heard(at(now), some, at(now - rng.below(100).min(now))),
                _ => life.on_input(at(now), some),
            }
            assert!(life.sessions.len() <= life.options.most, "seed {seed}: no more than may be");
            for wish in wishes(&mut life, now).0 {
                match wish {
                    LifeWish::End { session, why } => {
                        assert!(ended.insert(session), "seed {seed}: {session} ends once");
                        life.on_ended(at(now), session, why);
                    }
                    LifeWish::Warn { session, .. } => assert!(life.away_since(session).is_none(), "seed {seed}"),
                    _ => {}
                }
            }
        }
    }
}
