//! A job that is answered slice by slice.

use crate::SIZE;
use crate::host::HostBench;
use std::collections::BTreeMap;
use telepane_model::{
    EncodeItem, EncodeJob, EncodedSlice, EncodedSlices, Grid, Quality, Rect, Rng, Size, Surf, TileClass, TileState,
    UpdateId, Version,
};
use telepane_protocol::{Shard, SliceBody};
use telepane_session::HostOutput;

/// The whole answer to a job: slices of these lengths. Each settles a tile as long as there are some, the last one the rest.
fn whole(job: &EncodeJob, sizes: &[usize], left: Vec<Rect<Surf>>) -> EncodedSlices {
    let version = job.items.iter().map(|i| i.version).max().unwrap_or(Version(1));
    let tiles: Vec<_> = Grid::new(job.size).all().collect();
    let exact = |at| TileState { at, version, quality: Quality::EXACT, class: TileClass::Text };
    let mut base = job.base;
    let slices = (job.first.0..).zip(sizes).enumerate().map(|(i, (id, n))| {
        let bytes = (0..*n).map(|i| (i as u8) ^ (id as u8)).collect();
        let some = if i + 1 < sizes.len() { 1 } else { tiles.len() };
        let tiles = tiles.iter().skip(i).take(some).copied().map(exact).collect();
        let slice = EncodedSlice { id: UpdateId(id), base, tiles, bytes };
        base = slice.id;
        slice
    });
    EncodedSlices { job: job.id, version, slices: slices.collect(), left, ..EncodedSlices::default() }
}

/// The first slice of `done`, as a coder gives it that codes the next one.
fn part(done: &mut EncodedSlices) -> EncodedSlices {
    EncodedSlices::part(done.job, done.version, done.slices.remove(0))
}

/// What a shard says, whatever time it left: the journey stands in front of the ops.
fn place(s: &Shard) -> (UpdateId, UpdateId, bool, bool) {
    (s.id, s.base, s.last, s.has_journey)
}

// spec: H-38, H-5
#[test]
fn slices_leave_while_their_job_goes_on_and_only_the_last_ends_the_frame() {
    let mut b = HostBench::new();
    let job = b.jobs.pop().expect("a job is out");
    let mut done = whole(&job, &[300, 300, 300], vec![]);
    b.host.on_coded(b.now, part(&mut done));
    b.pass(5);
    assert_eq!(b.shards().into_iter().map(place).collect::<Vec<_>>(), [(UpdateId(1), UpdateId(0), false, false)]);
    b.host.on_coded(b.now, part(&mut done));
    b.frame(SIZE);
    b.pass(50);
    assert_eq!(b.shards().len(), 2);
    assert!(b.jobs.is_empty(), "the coder is busy: {:?}", b.jobs);
    b.host.on_coded(b.now, done);
    b.pass(50);
    let ends: Vec<_> = b.shards().into_iter().map(place).skip(1).collect();
    assert_eq!(ends, [(UpdateId(2), UpdateId(1), false, false), (UpdateId(3), UpdateId(2), true, true)]);
    assert_eq!(b.jobs.len(), 1, "what changed meanwhile is coded now");
    assert_eq!((b.jobs[0].base, b.jobs[0].first), (UpdateId(3), UpdateId(4)));
}

// spec: H-38, H-3, H-11
#[test]
fn a_give_up_between_two_parts_takes_back_what_left_and_what_is_to_come() {
    let mut b = HostBench::new();
    let first = b.code(&[100], true);
    b.pass(100);
    b.report(first.epoch, 1, None);
    b.frame(SIZE);
    b.pass(100);
    let job = b.jobs.pop().expect("a job is out");
    let mut done = whole(&job, &[200, 200, 200], vec![]);
    b.host.on_coded(b.now, part(&mut done));
    b.pass(50);
    assert_eq!(b.shards().len(), 2);
    b.report(job.epoch, 1, Some(2));
    b.pass(50);
    assert!(b.jobs.is_empty(), "the coder is still with the job that is void");
    b.host.on_coded(b.now, part(&mut done));
    b.host.on_coded(b.now, done);
    b.pass(50);
    assert_eq!(b.shards().len(), 2, "nothing more of it left");
    let rebase = b.jobs.last().expect("a rebase");
    assert_eq!((rebase.base, rebase.first), (UpdateId(1), UpdateId(3)));
    assert!(rebase.items.iter().map(|i| i.rect.area()).sum::<u64>() >= SIZE.area(), "all of it is wanted again");
}

// spec: H-38, H-10
#[test]
fn a_part_is_confirmed_before_its_job_is_done() {
    let mut b = HostBench::new();
    let job = b.jobs.pop().expect("a job is out");
    let mut done = whole(&job, &[200, 200], vec![]);
    b.host.on_coded(b.now, part(&mut done));
    b.pass(50);
    b.report(job.epoch, 1, None);
    let told = |b: &HostBench, id| {
        b.rest.iter().any(|o| matches!(o, HostOutput::Confirmed { applied, .. } if *applied == UpdateId(id)))
    };
    assert!(told(&b, 1));
    b.host.on_coded(b.now, done);
    b.pass(50);
    b.report(job.epoch, 2, None);
    assert!(told(&b, 2) && b.host.is_exact());
}

// spec: H-38, H-1
#[test]
fn a_size_that_changes_between_two_parts_ends_the_job() {
    let mut b = HostBench::new();
    let job = b.jobs.pop().expect("a job is out");
    let mut done = whole(&job, &[200, 200, 200], vec![]);
    b.host.on_coded(b.now, part(&mut done));
    b.pass(50);
    b.frame(Size::new(64, 64));
    b.pass(50);
    let next = b.jobs.pop().expect("the next epoch does not wait for a coder of this one");
    assert_eq!((next.epoch.0, next.base, next.first), (job.epoch.0 + 1, UpdateId::BLANK, UpdateId(1)));
    b.host.on_coded(b.now, part(&mut done));
    b.host.on_coded(b.now, done);
    b.pass(50);
    assert_eq!(b.shards().len(), 1, "nothing of the old epoch leaves any more");
    b.host.on_coded(b.now, whole(&next, &[100], vec![]));
    b.pass(50);
    assert_eq!(b.shards().last().map(|s| (s.epoch, s.last)), Some((next.epoch, true)));
}

/// What left, slice by slice: where it stands in the chain and its ops; and what is ordered next.
type Left = (Vec<((UpdateId, UpdateId, bool, bool), Vec<u8>)>, Vec<(UpdateId, UpdateId, Vec<EncodeItem>)>);

/// A job answered with slices of `sizes`; before each of the waits one leaves early if its bit of `cuts` says so.
fn run(sizes: &[usize], complete: bool, waits: &[u64], cuts: u64) -> Left {
    let mut b = HostBench::new();
    let job = b.jobs.pop().expect("a job is out");
    let left = if complete { vec![] } else { vec![Rect::new(0, 0, 64, 64)] };
    let mut done = whole(&job, sizes, left);
    for (i, wait) in waits.iter().enumerate() {
        if done.slices.len() > 1 && cuts >> i & 1 != 0 {
            b.host.on_coded(b.now, part(&mut done));
        }
        b.pass(*wait);
    }
    b.host.on_coded(b.now, done);
    b.pass(2_000);
    let mut bodies = BTreeMap::<_, (Shard, Vec<u8>)>::new();
    for s in b.shards().into_iter().filter(|s| s.index < s.data) {
        bodies.entry(s.id).or_insert_with(|| (s.clone(), vec![])).1.extend_from_slice(&s.payload);
    }
    let ops =
        |s: &Shard, body: &[u8]| SliceBody::decode(body, s.has_size, s.has_journey, b.now).expect("well formed").ops;
    let slices = bodies.values().map(|(s, body)| (place(s), ops(s, body))).collect();
    (slices, b.jobs.iter().map(|j| (j.base, j.first, j.items.clone())).collect())
}

// spec: H-38
#[test]
fn where_an_answer_is_split_changes_nothing_but_the_time() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let sizes: Vec<_> = (0..1 + rng.below(7)).map(|_| 1 + rng.below(3_000) as usize).collect();
        let waits: Vec<_> = (0..8).map(|_| rng.below(30)).collect();
        let complete = rng.below(2) == 0;
        let at_once = run(&sizes, complete, &waits, 0);
        assert_eq!(at_once.0.len(), sizes.len());
        assert_eq!(run(&sizes, complete, &waits, rng.next_u64()), at_once, "seed {seed}");
    }
}
