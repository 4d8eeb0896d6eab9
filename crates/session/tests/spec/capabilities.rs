//! What the peer's capabilities leave of what may be done.

use crate::SIZE;
use crate::host::HostBench;
use telepane_model::{Bytes, ClipFormats, ClipOffer, EncodedSlices, Grid, Quality, Size, TileClass, TileState};
use telepane_protocol::{Capabilities, Capability, Control};
use telepane_session::{Host, HostOptions, HostOutput};

fn with(capability: Capability, value: u64) -> Capabilities {
    Capabilities::default().with(Capability::Clipboard, 1).with(capability, value)
}

// spec: V-5
#[test]
fn half_of_the_receive_buffer_is_on_the_way_at_most() {
    let mut b = HostBench::new();
    let usual = b.host.budget().expect("attached").in_flight_cap;
    b.host.on_capabilities(&with(Capability::ReceiveBuffer, 5_000));
    b.attach(&[]);
    let small = b.host.budget().expect("attached").in_flight_cap;
    assert!(small <= Bytes(2_500) && usual > small, "{small:?} {usual:?}");
    // All of it is sent in the end, and never more is out than was said.
    b.pass(100);
    b.code(&[9_000], true);
    b.pass(2);
    assert!(b.shards().iter().map(|s| s.payload.len()).sum::<usize>() <= 2_500);
}

// spec: V-5
#[test]
fn no_more_is_coded_than_may_wait_at_the_viewer() {
    let mut b = HostBench::new();
    b.host.on_capabilities(&with(Capability::PendingBytes, 6_000));
    b.attach(&[]);
    b.pass(100);
    let job = b.code(&[1_000], false);
    assert!(job.max_bytes <= Bytes(6_000));
    // Slice after slice without a report: their bytes and what they cost besides.
    for _ in 0..40 {
        b.frame(SIZE);
        b.pass(300);
        if b.jobs.is_empty() {
            break;
        }
        b.code(&[1_000], false);
    }
    let coded: usize = b.shards().iter().map(|s| s.payload.len() + 192).sum();
    assert!(b.jobs.is_empty() && coded <= 6_000, "{coded}");
    let epoch = job.epoch;
    let applied = b.shards().iter().map(|s| s.id.0).max().expect("something was sent");
    b.report(epoch, applied, None);
    b.pass(300);
    assert_eq!(b.jobs.len(), 1, "a report makes room");
}

// spec: V-5
#[test]
fn a_viewer_that_takes_no_clipboard_is_offered_none() {
    for (bits, offers) in [(0, 0), (1, 1)] {
        let mut b = HostBench::new();
        b.host.on_capabilities(&with(Capability::Clipboard, bits));
        b.attach(&[]);
        let offer = ClipOffer { formats: ClipFormats::TEXT, ..ClipOffer::default() };
        b.host.on_clip_changed(b.now, offer);
        b.drain();
        let offered = b.rest.iter().filter(|o| matches!(o, HostOutput::Control(Control::ClipOffer { .. }))).count();
        assert_eq!(offered, offers);
    }
}

// spec: K-21
#[test]
fn an_offer_is_handed_on_and_a_host_makes_none() {
    let mut b = HostBench::new();
    let offer = Control::CacheOffer { first: 5, hashes: vec![1, 2] };
    assert!(!offer.from_host());
    b.host.on_control(b.now, offer);
    b.drain();
    assert!(b.rest.iter().any(|o| matches!(o, HostOutput::CacheOffer { first: 5, hashes } if *hashes == [1, 2])));
}

/// Whether a picture that moves all over for two seconds is ever wanted as film.
fn films(capabilities: &Capabilities) -> bool {
    let mut b = HostBench::new();
    b.host = Host::new(b.now, HostOptions { film: true, ..HostOptions::default() });
    (b.jobs, b.sent) = (Vec::new(), Vec::new());
    b.host.on_capabilities(capabilities);
    b.frame(Size::new(320, 256));
    b.attach(&[]);
    let mut filmed = false;
    for _ in 0..60 {
        b.pass(33);
        b.frame(Size::new(320, 256));
        b.drain();
        while let Some(job) = b.jobs.pop() {
            filmed |= job.items.iter().any(|i| i.quality == Quality::FILM);
            let version = job.items.iter().map(|i| i.version).max().expect("something is wanted");
            let picture = |at| TileState { at, version, quality: Quality::EXACT, class: TileClass::Picture };
            let same = Grid::new(job.size).all().map(picture).collect();
            b.host.on_coded(b.now, EncodedSlices { job: job.id, version, same, ..EncodedSlices::default() });
            b.drain();
        }
    }
    filmed
}

// spec: V-5
#[test]
fn film_is_for_viewers_that_show_it() {
    assert!(films(&Capabilities::default()));
    assert!(!films(&with(Capability::Chroma, 0)));
    assert!(!films(&with(Capability::Ops, 0xffff & !(1 << 5))));
}
