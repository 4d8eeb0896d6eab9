//! What tiles are said to show: when the viewer says it, and what the host makes of it.

use crate::host::HostBench;
use crate::viewer::{ViewerBench, slice};
use crate::{host_at, viewer_at};
use telepane_model::{Epoch, Note, Proof, SurfaceId, TileAt, UpdateId};
use telepane_protocol::{Capabilities, Capability, Control, Proofs};
use telepane_session::{HostOutput, ViewerOutput};

const LEFT: TileAt = TileAt { col: 0, row: 0 };
const RIGHT: TileAt = TileAt { col: 1, row: 0 };

/// A viewer whose host takes so many proofs at once.
fn viewer(most: u64) -> ViewerBench {
    let mut b = ViewerBench::new();
    b.viewer.on_capabilities(&Capabilities::default().with(Capability::Proofs, most));
    b
}

/// What it wanted hashed, and when, in milliseconds.
fn asked(b: &ViewerBench) -> Vec<(u64, Vec<TileAt>)> {
    let ask = |(at, o): &(_, ViewerOutput)| match o {
        ViewerOutput::Prove { tiles, .. } => Some((telepane_model::Stamp::since(*at, viewer_at(0)), tiles.clone())),
        _ => None,
    };
    b.rest.iter().filter_map(ask).map(|(at, tiles)| (at.as_micros() / 1_000, tiles)).collect()
}

fn said(b: &ViewerBench) -> Vec<Proofs> {
    let proofs = |(_, o): &(_, ViewerOutput)| match o {
        ViewerOutput::Control(Control::Proofs(p)) => Some(p.clone()),
        _ => None,
    };
    b.rest.iter().filter_map(proofs).collect()
}

// spec: Y-40, V-5
#[test]
fn tiles_that_rest_are_said_once_to_a_host_that_wants_it() {
    let mut b = viewer(0);
    b.shard(slice(1, 0, true));
    b.decoded(true);
    b.pass(19_000);
    assert_eq!(asked(&b), []);
    let mut b = viewer(120);
    b.shard(slice(1, 0, true));
    b.decoded(true);
    b.pass(9_900);
    assert_eq!(asked(&b), []);
    b.pass(200);
    assert_eq!(asked(&b), [(10_000, vec![LEFT, RIGHT])]);
    b.viewer.on_proven(b.now, Epoch(1), &[7, 8]);
    b.drain();
    let tiles = vec![(0, 7), (1, 8)];
    assert_eq!(said(&b), [Proofs { surface: SurfaceId(0), epoch: Epoch(1), applied: UpdateId(1), tiles }]);
    assert_eq!(b.viewer.figures().proven, 2);
    // Written to again and again they do not rest.
    for id in 2..32 {
        b.shard(slice(id, id - 1, true));
        b.decoded(true);
        b.pass(1_000);
    }
    assert_eq!(asked(&b).len(), 1);
    b.pass(11_000);
    assert_eq!(asked(&b).len(), 2);
    b.pass(60_000);
    assert_eq!(asked(&b).len(), 2);
}

// spec: Y-40
#[test]
fn messages_hold_what_the_host_takes_and_are_a_second_apart() {
    let mut b = viewer(1);
    b.shard(slice(1, 0, true));
    b.decoded(true);
    for _ in 0..120 {
        b.pass(100);
        b.viewer.on_proven(b.now, Epoch(1), &[7]);
        b.drain();
    }
    assert_eq!(asked(&b), [(10_000, vec![LEFT]), (11_000, vec![RIGHT])]);
}

// spec: Y-41
#[test]
fn nothing_is_said_of_a_framebuffer_that_changes() {
    let mut b = viewer(120);
    b.shard(slice(1, 0, true));
    b.decoded(true);
    // A slice waits for one that is lost.
    b.pass(9_950);
    b.shard(slice(3, 2, true));
    b.pass(100);
    assert_eq!(asked(&b), []);
    b.pass(300);
    // It was given up: a rebase is awaited.
    assert_eq!(asked(&b), []);
    b.shard(slice(4, 1, true));
    b.decoded(true);
    b.pass(10_500);
    assert_eq!(asked(&b).len(), 1);
    // Hashes that come when another slice is applied already are of nobody knows what.
    b.shard(slice(5, 4, true));
    b.viewer.on_proven(b.now, Epoch(1), &[7, 8]);
    b.drain();
    assert_eq!(said(&b), []);
    b.decoded(true);
    b.pass(15_000);
    b.viewer.on_proven(b.now, Epoch(1), &[7, 8]);
    b.drain();
    assert_eq!(said(&b).iter().map(|p| p.applied.0).collect::<Vec<_>>(), [5]);
}

/// A host whose viewer has applied the only slice, which makes both tiles exact.
fn host() -> (HostBench, Epoch) {
    let mut b = HostBench::new();
    let job = b.code(&[300], true);
    b.pass(50);
    b.report(job.epoch, 1, None);
    b.pass(50);
    assert!(b.host.is_exact() && b.jobs.is_empty());
    (b, job.epoch)
}

fn say(b: &mut HostBench, epoch: u32, applied: u32, tiles: &[(u32, u64)]) {
    let (surface, epoch, applied) = (SurfaceId(0), Epoch(epoch), UpdateId(applied));
    b.host.on_control(b.now, Control::Proofs(Proofs { surface, epoch, applied, tiles: tiles.to_vec() }));
    b.drain();
}

fn checks(b: &HostBench) -> Vec<(UpdateId, Vec<Proof>)> {
    let check = |o: &HostOutput| match o {
        HostOutput::Check { coded, proofs, .. } => Some((*coded, proofs.clone())),
        _ => None,
    };
    b.rest.iter().filter_map(check).collect()
}

fn failed(b: &HostBench) -> Vec<TileAt> {
    let failed = |o: &HostOutput| match o {
        HostOutput::Note(Note::ProofFailed { at, .. }) => Some(*at),
        _ => None,
    };
    b.rest.iter().filter_map(failed).collect()
}

// spec: H-70, H-71
#[test]
fn a_tile_that_is_not_what_it_should_be_is_sent_anew() {
    let (mut b, epoch) = host();
    say(&mut b, epoch.0, 1, &[(0, 5), (1, 6)]);
    let proofs = vec![Proof { at: LEFT, hash: 5 }, Proof { at: RIGHT, hash: 6 }];
    assert_eq!(checks(&b), [(UpdateId(1), proofs)]);
    b.host.on_checked(b.now, epoch, 2, &[RIGHT]);
    b.drain();
    assert_eq!((failed(&b), b.host.is_exact()), (vec![RIGHT], false));
    let job = b.jobs.last().expect("a job").clone();
    assert!(job.anew && job.items.len() == 1 && job.items[0].rect.x == 64);
    // Said again before it is mended, it is known.
    b.host.on_checked(b.now, epoch, 1, &[RIGHT]);
    b.drain();
    assert_eq!(failed(&b).len(), 1);
    let answer = |job: &telepane_model::EncodeJob, anew| {
        let at = RIGHT;
        let state = telepane_model::TileState {
            at,
            version: job.items[0].version,
            quality: telepane_model::Quality::EXACT,
            class: Default::default(),
        };
        let slice =
            telepane_model::EncodedSlice { id: job.first, base: job.base, tiles: vec![state], bytes: vec![1; 90] };
        telepane_model::EncodedSlices { job: job.id, slices: vec![slice], anew, ..Default::default() }
    };
    let job = b.jobs.pop().expect("a job");
    // A copy of what another viewer got relies on what this one does not have.
    b.host.on_coded(b.now, answer(&job, false));
    b.pass(50);
    let job = b.jobs.pop().expect("it is wanted still");
    assert!(job.anew);
    b.host.on_coded(b.now, answer(&job, true));
    b.pass(50);
    b.report(epoch, job.first.0, None);
    b.pass(50);
    assert!(b.host.is_exact() && b.jobs.is_empty());
}

// spec: H-70
#[test]
fn only_what_is_exact_and_the_same_since_is_looked_at() {
    let (mut b, epoch) = host();
    // With nothing applied the tile was black.
    say(&mut b, epoch.0, 0, &[(0, 5)]);
    say(&mut b, epoch.0 - 1, 1, &[(0, 5)]);
    assert_eq!(checks(&b), []);
    // While a job is out the coder is at another state: it waits for the answer.
    b.frame(crate::SIZE);
    b.drain();
    say(&mut b, epoch.0, 1, &[(0, 5)]);
    assert_eq!((checks(&b), b.jobs.len()), (vec![], 1));
    b.code(&[100], true);
    b.pass(50);
    assert_eq!(checks(&b), [], "by now the tile is another slice's");
    say(&mut b, epoch.0, 2, &[(1, 5)]);
    assert_eq!(checks(&b).len(), 1, "which the viewer may have applied though its report has not come");
    assert_eq!((b.faults(), failed(&b)), (vec![], vec![]));
}

// spec: H-70
#[test]
fn what_the_coder_is_too_busy_for_is_looked_at_later() {
    let (mut b, epoch) = host();
    say(&mut b, epoch.0, 1, &[(0, 5), (1, 6)]);
    assert_eq!(checks(&b).len(), 1);
    b.host.on_unchecked(b.now, epoch);
    b.drain();
    // What is said meanwhile takes the place of what was said before.
    say(&mut b, epoch.0, 1, &[(1, 7)]);
    b.pass(30);
    assert_eq!(checks(&b).len(), 1);
    b.pass(30);
    let proofs = vec![Proof { at: LEFT, hash: 5 }, Proof { at: RIGHT, hash: 7 }];
    assert_eq!(checks(&b)[1..], [(UpdateId(1), proofs.clone())]);
    // When a job of its own is answered, the coder is there.
    b.host.on_unchecked(b.now, epoch);
    b.frame(crate::SIZE);
    b.drain();
    assert_eq!((checks(&b).len(), b.jobs.len()), (2, 1));
    b.code(&[], true);
    b.drain();
    assert_eq!(checks(&b)[2..], [(UpdateId(1), proofs)]);
    b.host.on_checked(b.now, epoch, 2, &[RIGHT]);
    b.pass(500);
    assert_eq!((failed(&b), checks(&b).len()), (vec![RIGHT], 3));

    // A coder that is never there is not asked for ever.
    let (mut b, epoch) = host();
    say(&mut b, epoch.0, 1, &[(0, 5)]);
    for _ in 0..100 {
        b.host.on_unchecked(b.now, epoch);
        b.pass(60);
    }
    assert_eq!(checks(&b).len(), 41);
    say(&mut b, epoch.0, 1, &[(0, 5)]);
    assert_eq!(checks(&b).len(), 42);
}

// spec: K-91
#[test]
fn what_cannot_be_so_is_a_fault_and_nothing_else() {
    let (mut b, epoch) = host();
    say(&mut b, epoch.0, 1, &[(0, 5), (2, 5)]);
    say(&mut b, epoch.0, 9, &[(0, 5)]);
    say(&mut b, epoch.0 + 1, 0, &[(0, 5)]);
    let surface = Proofs { surface: SurfaceId(1), epoch, applied: UpdateId(1), tiles: vec![(0, 5)] };
    assert!(!Control::Proofs(surface.clone()).from_host());
    b.host.on_control(b.now, Control::Proofs(surface));
    b.drain();
    assert_eq!(b.faults(), ["BadProof", "AppliedFromTheFuture", "AppliedFromTheFuture", "UnknownSurface"]);
    assert_eq!(checks(&b), []);
}

// spec: H-72
#[test]
fn no_more_is_looked_at_or_sent_again_than_the_bounds() {
    let (mut b, epoch) = host();
    for n in 0..5_000 {
        say(&mut b, epoch.0, 1, &[(0, n), (1, n)]);
        b.pass(1);
    }
    let looked: usize = checks(&b).iter().map(|(_, proofs)| proofs.len()).sum();
    assert!((1_500..480 + 5 * 241 + 10).contains(&looked), "{looked} in {:?}", b.now.since(host_at(0)));
}
