//! The life of a session as the two ends tell each other of it.

use crate::host::HostBench;
use crate::{host_at, viewer_at};
use telepane_model::Span;
use telepane_protocol::{Capabilities, Capability, Control, Ending, HostState, LifeWord, Person, Place};
use telepane_rate::Policy;
use telepane_session::{HostOutput, Viewer, ViewerOutput};

fn understands() -> Capabilities {
    Capabilities::default().with(Capability::Life, 1)
}

/// What the viewer was told since this was asked last.
fn told(b: &mut HostBench) -> Vec<LifeWord> {
    b.drain();
    let told = b.rest.drain(..).filter_map(|o| match o {
        HostOutput::Control(Control::Life(word)) => Some(word),
        _ => None,
    });
    told.collect()
}

fn jane() -> Vec<Person> {
    vec![Person { name: "laptop".into(), user: "jane".into(), you: true }]
}

// spec: K-80, K-81, K-82, K-83
#[test]
fn changes_are_told_once_and_to_each_connection_anew() {
    let mut b = HostBench::new();
    b.host.on_people(b.now, jane());
    assert_eq!(told(&mut b), [], "it does not understand");
    b.host.on_capabilities(&understands());
    b.attach(&[]);
    assert_eq!(told(&mut b), [LifeWord::People(jane())]);
    let ending = Some((Ending::Idle, Span::secs(350)));
    for _ in 0..2 {
        b.host.on_people(b.now, jane());
        b.host.on_host_state(b.now, HostState::Sleeps);
        b.host.on_keep_awake(b.now, true);
    }
    b.host.on_ending(b.now, ending);
    let all = [LifeWord::HostState(HostState::Sleeps), LifeWord::KeepAwake(true), LifeWord::Ending(ending)];
    assert_eq!(told(&mut b), all);
    b.attach(&[]);
    let again = [LifeWord::People(jane()), LifeWord::HostState(HostState::Sleeps), LifeWord::KeepAwake(true)];
    assert_eq!(told(&mut b), again);
    b.host.on_link_lost(b.now);
    b.host.on_keep_awake(b.now, false);
    assert_eq!(told(&mut b), [], "nobody is there");
}

// spec: K-14
#[test]
fn a_message_reaches_the_person() {
    let mut b = HostBench::new();
    b.host.on_message(b.now, "maintenance at six");
    b.drain();
    let said = b.rest.iter().any(|o| matches!(o, HostOutput::Control(Control::Notice(t)) if t == "maintenance at six"));
    assert!(said, "{:?}", b.rest);
}

// spec: K-84
#[test]
fn the_place_is_said_to_a_host_that_cares_and_reaches_its_shell() {
    let place = Place { zone: "Europe/Athens".into(), locale: "el_GR.UTF-8".into() };
    let mut v = Viewer::new(viewer_at(0), Policy::default());
    v.set_place(viewer_at(0), place.clone());
    let said = |v: &mut Viewer| match facts(v).pop() {
        Some(ViewerOutput::Control(Control::Life(LifeWord::Place(place)))) => Some(place),
        _ => None,
    };
    v.on_attached(viewer_at(1), host_at(1));
    assert_eq!(said(&mut v), None, "an older host");
    v.on_capabilities(&understands());
    v.on_attached(viewer_at(2), host_at(2));
    assert_eq!(said(&mut v), Some(place.clone()));

    let mut b = HostBench::new();
    b.host.on_control(b.now, Control::Life(LifeWord::Place(place.clone())));
    b.drain();
    assert!(b.rest.iter().any(|o| matches!(o, HostOutput::Place(p) if *p == place)), "{:?}", b.rest);
}

/// What the viewer's mind wants that concerns life.
fn facts(v: &mut Viewer) -> Vec<ViewerOutput> {
    let mut all = Vec::new();
    loop {
        match v.poll_output() {
            ViewerOutput::Idle { .. } => return all,
            o @ (ViewerOutput::Ending(_)
            | ViewerOutput::HostState(_)
            | ViewerOutput::KeepAwake(_)
            | ViewerOutput::People(_)
            | ViewerOutput::Control(Control::Life(_))) => all.push(o),
            _ => {}
        }
    }
}

// spec: Y-30
#[test]
fn a_lost_link_takes_back_what_was_asked_for_but_a_host_that_sleeps_still_sleeps() {
    let mut v = Viewer::new(viewer_at(0), Policy::default());
    v.on_attached(viewer_at(0), host_at(0));
    for word in [
        LifeWord::KeepAwake(true),
        LifeWord::People(jane()),
        LifeWord::Ending(Some((Ending::TooLong, Span::secs(9)))),
        LifeWord::HostState(HostState::Sleeps),
    ] {
        v.on_control(viewer_at(1_000), Control::Life(word));
    }
    let all = facts(&mut v);
    assert!(
        matches!(&all[..], [
            ViewerOutput::KeepAwake(true),
            ViewerOutput::People(people),
            ViewerOutput::Ending(Some((Ending::TooLong, at))),
            ViewerOutput::HostState(HostState::Sleeps),
        ] if *people == jane() && *at == viewer_at(10_000)),
        "{all:?}"
    );
    v.on_link_lost(viewer_at(2_000));
    let all = facts(&mut v);
    assert!(
        matches!(&all[..], [ViewerOutput::Ending(None), ViewerOutput::KeepAwake(false), ViewerOutput::People(none)]
            if none.is_empty()),
        "{all:?}"
    );
    v.on_attached(viewer_at(9_000), host_at(9_000));
    let all = facts(&mut v);
    assert!(matches!(&all[..], [ViewerOutput::HostState(HostState::There)]), "{all:?}");
}
