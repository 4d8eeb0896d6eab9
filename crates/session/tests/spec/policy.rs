//! What people allow a session: who may say what, what holds, and who is told.

use crate::host::HostBench;
use crate::{SIZE, host_at, viewer_at};
use telepane_model::{Knob, Preset, Quality, SessionPolicy};
use telepane_protocol::Control;
use telepane_rate::Policy;
use telepane_session::{Host, HostOptions, HostOutput, Viewer, ViewerOutput};

fn fps(n: u64) -> SessionPolicy {
    SessionPolicy::NONE.with(Knob::MaxFps, Some(n)).expect("in range")
}

/// What the viewer was told since this was asked last.
fn told(b: &mut HostBench) -> Vec<SessionPolicy> {
    b.drain();
    let told = b.rest.drain(..).filter_map(|o| match o {
        HostOutput::Control(Control::PolicyTold(policy)) => Some(policy),
        _ => None,
    });
    told.collect()
}

// spec: H-40, K-40, K-41
#[test]
fn a_wish_is_answered_with_what_holds_and_only_when_that_is_new() {
    let mut b = HostBench::new();
    assert_eq!(told(&mut b), [], "nothing is set");
    b.host.set_policy(b.now, fps(30));
    assert_eq!(told(&mut b), [fps(30)]);
    b.host.on_control(b.now, Control::PolicyWish(fps(60)));
    assert_eq!(told(&mut b), [], "the host's is the stricter");
    b.host.on_control(b.now, Control::PolicyWish(fps(20)));
    assert_eq!(told(&mut b), [fps(20)]);
    b.host.on_control(b.now, Control::PolicyWish(SessionPolicy::NONE));
    assert_eq!(told(&mut b), [fps(30)], "a wish replaces the one before");
    b.host.on_control(b.now, Control::PolicyWish(fps(20)));
    b.attach(&[]);
    assert_eq!(told(&mut b), [fps(20), fps(30)], "a wish ends with its connection, and the new one is told what holds");
}

// spec: H-42
#[test]
fn a_job_says_between_which_steps_pictures_are_shown() {
    let mut b = HostBench::new();
    b.jobs.clear();
    b.host.on_control(b.now, Control::PolicyWish(Preset::E.policy()));
    b.host.on_attached(b.now, 1_400, &[]);
    b.host.on_control(b.now, Control::PolicyWish(Preset::E.policy()));
    b.pass(200);
    let job = b.jobs.pop().or_else(|| {
        b.frame(SIZE);
        b.pass(300);
        b.jobs.pop()
    });
    let pictures = job.expect("a job").pictures;
    assert!(pictures.first <= Quality::FINE, "{pictures:?}");
}

// spec: K-3
#[test]
fn only_a_viewer_wishes_and_only_a_host_tells() {
    let mut b = HostBench::new();
    b.host.on_control(b.now, Control::PolicyTold(fps(1)));
    b.drain();
    assert_eq!(b.host.policy(), &SessionPolicy::NONE);
    assert!(b.rest.iter().any(|o| format!("{o:?}").contains("WrongDirection")));
    let mut viewer = Viewer::new(viewer_at(0), Policy::default());
    viewer.on_attached(viewer_at(0), host_at(0));
    viewer.on_control(viewer_at(1), Control::PolicyWish(fps(1)));
    assert_eq!(viewer.holds(), &SessionPolicy::NONE);
    viewer.on_control(viewer_at(1), Control::PolicyTold(fps(9)));
    assert_eq!(viewer.holds(), &fps(9));
}

// spec: K-40
#[test]
fn a_viewer_says_its_wish_on_every_connection() {
    let mut viewer = Viewer::new(viewer_at(0), Policy::default());
    let said = |viewer: &mut Viewer| {
        let mut said = Vec::new();
        loop {
            match viewer.poll_output() {
                ViewerOutput::Idle { .. } => return said,
                ViewerOutput::Control(Control::PolicyWish(wish)) => said.push(wish),
                _ => {}
            }
        }
    };
    viewer.set_wish(viewer_at(0), fps(24));
    assert_eq!(said(&mut viewer), [], "nobody is there");
    for ms in [1, 5_000] {
        viewer.on_attached(viewer_at(ms), host_at(ms));
        assert_eq!(said(&mut viewer), [fps(24)]);
    }
    viewer.set_wish(viewer_at(6_000), fps(24));
    assert_eq!(said(&mut viewer), [], "it is known");
    viewer.set_wish(viewer_at(6_000), SessionPolicy::NONE);
    assert_eq!(said(&mut viewer), [SessionPolicy::NONE]);
}

// spec: H-41
#[test]
fn frames_that_come_too_soon_wait_and_a_new_size_does_not() {
    let mut b = HostBench::new();
    let options = HostOptions { session: fps(2), ..HostOptions::default() };
    b.host = Host::new(b.now, options);
    b.frame(SIZE);
    b.attach(&[]);
    b.pass(100);
    b.code(&[100], true);
    b.pass(100);
    b.jobs.clear();
    b.frame(SIZE);
    b.pass(50);
    let first = std::mem::take(&mut b.jobs);
    if !first.is_empty() {
        b.jobs = first;
        b.code(&[100], true);
    }
    b.frame(SIZE);
    b.pass(300);
    assert!(b.jobs.is_empty(), "not before half a second");
    b.pass(300);
    assert_eq!(b.jobs.len(), 1);
    b.frame(telepane_model::Size::new(64, 64));
    b.drain();
    assert_eq!(b.host.size(), Some(telepane_model::Size::new(64, 64)));
}
