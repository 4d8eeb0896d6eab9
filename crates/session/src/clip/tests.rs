use super::*;
use telepane_model::HostClock;
use telepane_protocol::clip::RICH;

type Time = Stamp<HostClock>;

/// One end with its pipes.
struct End {
    clip: Clip<HostClock>,
    bulk: Bulk<HostClock>,
}

fn at(ms: u64) -> Time {
    Stamp::from_micros(1_000_000 + ms * 1_000)
}

const ALL: u64 = RICH | 0x1f;

fn end(peer: u64) -> End {
    let mut clip = Clip::default();
    clip.on_capabilities(&Capabilities::default().with(Capability::Clipboard, peer));
    clip.on_attached();
    End { clip, bulk: Bulk::default() }
}

fn offer(formats: ClipFormats) -> ClipOffer {
    ClipOffer { formats, ..ClipOffer::default() }
}

impl End {
    fn hear(&mut self, now: Time, message: Control) -> Result<(), Fault> {
        self.clip.on_control(now, &mut self.bulk, message)
    }

    fn wanted(&mut self, now: Time, asker: u32, format: ClipFormat) {
        self.clip.on_wanted(now, &mut self.bulk, asker, Selection::Clipboard, format);
    }

    fn data(&mut self, now: Time, pipe: u32, bytes: Vec<u8>, last: bool) -> Result<Option<BulkWish>, Fault> {
        self.clip.on_bulk(now, &mut self.bulk, BulkWish::Data { pipe, bytes, last })
    }

    /// Everything it says by `now`.
    fn words(&mut self, now: Time) -> Vec<Control> {
        self.clip.on_time(now, &mut self.bulk, &mut Alarm::new());
        std::iter::from_fn(|| self.clip.word()).collect()
    }

    fn wishes(&mut self) -> Vec<ClipWish> {
        std::iter::from_fn(|| self.clip.wish()).collect()
    }

    /// The peer has offered this.
    fn offered(&mut self, formats: ClipFormats) {
        let word = ClipWord::Offer { serial: 1, offer: offer(formats) };
        self.hear(at(0), Control::Clip(word)).expect("an offer");
        assert_eq!(self.wishes(), [ClipWish::Offered(offer(formats))]);
    }
}

fn paste(id: u32, data: Option<&[u8]>) -> ClipWish {
    ClipWish::Paste { id, data: data.map(<[u8]>::to_vec) }
}

// spec: K-13, K-17, K-50, K-52, K-53
#[test]
fn every_kind_travels_there_when_it_is_pasted_and_not_before() {
    let png =
        [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".as_slice(), &[0, 0, 0, 9, 0, 0, 0, 9, 8, 6, 0, 0, 0, 1, 2, 3, 4]].concat();
    let kinds: [(ClipFormat, Vec<u8>); 4] = [
        (ClipFormat::Text, "ä".repeat(30_000).into_bytes()),
        (ClipFormat::Html, b"<p>a</p>".to_vec()),
        (ClipFormat::Rtf, b"{\\rtf1 a}".to_vec()),
        (ClipFormat::Png, png),
    ];
    let (mut here, mut there) = (end(ALL), end(ALL));
    let all: ClipFormats = kinds.iter().map(|(f, _)| *f).collect();
    here.clip.on_local_change(at(0), offer(all));
    let words = here.words(at(0));
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(words.iter().all(|w| w.encode().len() < 16), "an offer holds no contents");
    for word in words {
        there.hear(at(1), word).expect("an offer");
    }
    assert_eq!(there.wishes(), [ClipWish::Offered(offer(all))]);
    assert_eq!((here.words(at(900)), here.wishes()), (vec![], vec![]), "nothing is read or said until someone pastes");
    for (n, (format, data)) in kinds.into_iter().enumerate() {
        let asker = 70 + n as u32;
        there.wanted(at(1_000), asker, format);
        for word in there.words(at(1_000)) {
            here.hear(at(1_001), word).expect("a request");
        }
        let [ClipWish::Fetch { id, format: asked, .. }] = here.wishes()[..] else { panic!("no fetch") };
        assert_eq!(asked, format);
        here.clip.on_local_data(at(1_002), &mut here.bulk, id, Some(data.clone()));
        for word in here.words(at(1_002)) {
            assert!(word.encode().len() <= telepane_protocol::MAX_CONTROL);
            there.hear(at(1_003), word).expect("an answer");
        }
        assert_eq!(there.wishes(), [paste(asker, Some(&data))]);
    }
}

// spec: K-17
#[test]
fn unasked_data_is_a_fault_and_a_missing_offer_an_empty_paste() {
    let mut e = end(ALL);
    let chunk = Control::ClipChunk { id: 1, last: true, bytes: vec![] };
    assert_eq!(e.hear(at(0), chunk), Err(Fault::UnaskedClipboard));
    e.wanted(at(0), 5, ClipFormat::Text);
    assert_eq!(e.wishes(), [paste(5, None)]);
    e.offered(ClipFormats::TEXT);
    e.wanted(at(0), 6, ClipFormat::Png);
    assert_eq!((e.wishes(), e.words(at(0))), (vec![paste(6, None)], vec![]), "a kind that is not offered");
}

// spec: K-52
#[test]
fn what_is_not_there_is_not_even_read() {
    let mut e = end(ALL);
    e.clip.on_local_change(at(0), offer(ClipFormats::TEXT));
    e.words(at(0));
    let request = ClipWord::Request { serial: 1, id: 9, selection: Selection::Clipboard, format: ClipFormat::Files };
    e.hear(at(1), Control::Clip(request)).expect("a request");
    assert_eq!((e.words(at(1)), e.wishes()), (vec![Control::ClipRefuse { id: 9 }], vec![]));
}

// spec: K-18, K-54
#[test]
fn endless_data_is_cut_off_and_called_off() {
    let mut e = end(ALL);
    e.offered(ClipFormats::TEXT);
    e.wanted(at(0), 9, ClipFormat::Text);
    e.words(at(0));
    let chunk = Control::ClipChunk { id: 1, last: false, bytes: vec![b'x'; MAX_CLIP_CHUNK] };
    let most = MAX_CLIP / MAX_CLIP_CHUNK;
    (0..=most).for_each(|_| e.hear(at(1), chunk.clone()).expect("asked for"));
    assert_eq!(e.wishes().last(), Some(&paste(9, None)));
    assert!(e.words(at(1)).contains(&Control::Clip(ClipWord::Cancel { id: 1 })));
    // One that says so beforehand is not waited for.
    e.wanted(at(2), 10, ClipFormat::Text);
    e.words(at(2));
    e.hear(at(3), Control::Clip(ClipWord::Size { id: 2, size: 1 << 60 })).expect("a size");
    assert_eq!(e.wishes(), [paste(10, None)]);
}

// spec: K-18
#[test]
fn all_answers_together_are_bounded() {
    let mut e = end(ALL);
    e.offered(ClipFormats::TEXT);
    (0..10).for_each(|n| e.wanted(at(0), 20 + n, ClipFormat::Text));
    assert_eq!(e.wishes(), [paste(28, None), paste(29, None)], "eight at once");
    e.words(at(0));
    let part = vec![b'x'; 1 << 20];
    for id in 1..=8 {
        for _ in 0..19 {
            e.data(at(1), clip_pipe(id), part.clone(), false).expect("asked for");
        }
    }
    let kept: usize = e.clip.asked.values().map(|a| a.bytes.len()).sum();
    assert!(kept <= MOST_KEPT, "{kept}");
    assert!(e.wishes().contains(&paste(27, None)));
}

// spec: K-53
#[test]
fn what_comes_in_a_pipe_is_put_together_and_its_progress_told() {
    let mut e = end(ALL);
    e.offered(ClipFormats::TEXT);
    e.wanted(at(0), 4, ClipFormat::Text);
    e.hear(at(1), Control::Clip(ClipWord::Size { id: 1, size: 600_000 })).expect("a size");
    e.data(at(1), clip_pipe(1), vec![b'a'; 300_000], false).expect("asked for");
    assert_eq!(e.wishes(), [ClipWish::Progress { id: 4, come: 300_000, size: 600_000 }]);
    e.data(at(1), clip_pipe(1), vec![b'b'; 300_000], true).expect("asked for");
    let [ClipWish::Paste { id: 4, data: Some(data) }] = &e.wishes()[..] else { panic!("no paste") };
    assert_eq!(data.len(), 600_000);
    // What comes late finds nobody.
    assert_eq!(e.data(at(2), clip_pipe(1), vec![1], true), Ok(None));
    assert_eq!(e.wishes(), []);
}

// spec: K-57
#[test]
fn contents_that_are_not_what_they_say_are_a_fault_and_an_empty_paste() {
    for (format, bytes) in [
        (ClipFormat::Text, b"\xff".to_vec()),
        (ClipFormat::Html, b"<script>x</script>".to_vec()),
        (ClipFormat::Png, b"GIF89a".to_vec()),
    ] {
        let mut e = end(ALL);
        e.offered(ClipFormats::ALL);
        e.wanted(at(0), 3, format);
        let chunk = Control::ClipChunk { id: 1, last: true, bytes };
        assert_eq!(e.hear(at(1), chunk), Err(Fault::BadContents));
        assert_eq!(e.wishes(), [paste(3, None)]);
    }
}

// spec: K-55
#[test]
fn a_storm_of_offers_is_thinned_out_both_ways_and_the_newest_counts() {
    let mut e = end(ALL);
    let storm = |n: u32| offer(ClipFormats::from_bits(1 + n % 15));
    for n in 0..10_000 {
        let word = ClipWord::Offer { serial: n, offer: storm(n) };
        e.hear(at(u64::from(n) / 100), Control::Clip(word)).expect("an offer");
        e.clip.on_local_change(at(u64::from(n) / 100), storm(n + 1));
    }
    let (first, said) = (e.wishes(), e.words(at(100)));
    assert!((15..=20).contains(&first.len()) && said.len() <= 18, "{} {}", first.len(), said.len());
    e.words(at(2_000));
    let last = e.wishes().pop().or(first.last().cloned());
    assert_eq!(last, Some(ClipWish::Offered(storm(9_999))));
}

// spec: K-18, K-55
#[test]
fn a_storm_of_requests_is_refused() {
    let mut e = end(ALL);
    e.clip.on_local_change(at(0), offer(ClipFormats::TEXT));
    e.words(at(0));
    let request = |id| Control::ClipRequest { serial: 1, id };
    (0..100).for_each(|id| e.hear(at(1), request(id)).expect("a request"));
    assert_eq!(e.wishes().len(), MOST_REQUESTS);
    assert_eq!(e.words(at(1)).len(), 100 - MOST_REQUESTS);
    // Answered at once, time and again: the rate counts.
    let mut fetched = 0;
    for id in 1_000..2_000 {
        e.hear(at(2), request(id)).expect("a request");
        for wish in e.wishes() {
            let ClipWish::Fetch { id, .. } = wish else { panic!("{wish:?}") };
            e.clip.on_local_data(at(2), &mut e.bulk, id, None);
            fetched += 1;
        }
        (0..8).for_each(|id| e.clip.on_local_data(at(2), &mut e.bulk, id, None));
    }
    assert!(fetched <= 64, "{fetched}");
}

/// Two ends whose applications paste what comes, and what is on the clipboard of each.
struct Between {
    ends: [End; 2],
    texts: [Vec<u8>; 2],
    offers: [u32; 2],
}

impl Between {
    fn new() -> Self {
        Self { ends: [end(ALL), end(ALL)], texts: Default::default(), offers: [0; 2] }
    }

    fn copy(&mut self, i: usize, now: Time, text: Vec<u8>) {
        self.texts[i] = text;
        self.ends[i].clip.on_local_change(now, offer(ClipFormats::TEXT));
    }

    /// What is on its way arrives; `pasted` says at which end what was pasted.
    fn pass(&mut self, now: Time, mut pasted: impl FnMut(&mut Self, usize, Vec<u8>)) {
        for i in 0..2 {
            for word in self.ends[i].words(now) {
                self.offers[i] += u32::from(matches!(word, Control::Clip(ClipWord::Offer { .. })));
                self.ends[1 - i].hear(now, word).expect("a good peer");
            }
        }
        for i in 0..2 {
            for wish in self.ends[i].wishes() {
                match wish {
                    ClipWish::Offered(_) => self.ends[i].wanted(now, 1, ClipFormat::Text),
                    ClipWish::Fetch { id, .. } => {
                        let (text, end) = (self.texts[i].clone(), &mut self.ends[i]);
                        end.clip.on_local_data(now, &mut end.bulk, id, Some(text));
                    }
                    ClipWish::Paste { data, .. } => pasted(self, i, data.expect("it can be had")),
                    wish => panic!("{wish:?}"),
                }
            }
        }
    }
}

/// Programs on both ends that take over every clipboard they see.
// spec: K-56
#[test]
fn what_goes_round_between_two_histories_comes_to_rest() {
    let mut b = Between::new();
    b.copy(0, at(0), b"once".to_vec());
    for ms in 0..20_000 {
        b.pass(at(ms), |b, i, text| b.copy(i, at(ms), text));
    }
    assert!(b.offers[0] + b.offers[1] <= 8, "{:?}", b.offers);
    // What somebody copies then is told.
    let before = b.offers[0];
    b.copy(0, at(20_000), b"something else".to_vec());
    b.pass(at(20_000), |_, _, _| {});
    assert_eq!(b.offers[0], before + 1);
}

/// Somebody who pastes at one end what was copied at the other, and copies something there at once.
// spec: K-56
#[test]
fn copies_by_turns_are_told_however_soon_they_come() {
    let mut b = Between::new();
    b.copy(0, at(0), b"0".to_vec());
    let mut turns = 0;
    for ms in 0..20_000 {
        b.pass(at(ms), |b, i, text| {
            turns += 1;
            assert_eq!(text, (turns - 1).to_string().into_bytes());
            b.copy(i, at(ms), turns.to_string().into_bytes());
        });
    }
    // As often as offers may be made (K-55).
    assert!(turns >= 400, "{turns}");
}

// spec: K-50
#[test]
fn an_end_that_knows_text_only_is_told_of_text_only() {
    let mut e = end(1);
    let secret = ClipOffer { secret: true, ..offer(ClipFormats::ALL) };
    let primary = ClipOffer { selection: Selection::Primary, ..offer(ClipFormats::TEXT) };
    for (own, said) in [
        (offer(ClipFormats::ALL), vec![Control::ClipOffer { serial: 1, formats: 1 }]),
        (secret, vec![Control::ClipOffer { serial: 2, formats: 0 }]),
        (primary, vec![]),
    ] {
        e.clip.on_local_change(at(0), own);
        assert_eq!(e.words(at(0)), said);
    }
    let mut e = end(ALL);
    e.clip.on_local_change(at(0), secret);
    assert_eq!(e.words(at(0)), [Control::Clip(ClipWord::Offer { serial: 1, offer: secret })], "the mark goes along");
}

// spec: K-18
#[test]
fn a_paste_that_nobody_answers_ends() {
    let mut e = end(ALL);
    e.offered(ClipFormats::TEXT);
    e.wanted(at(0), 4, ClipFormat::Text);
    let mut alarm = Alarm::new();
    e.clip.on_time(at(1), &mut e.bulk, &mut alarm);
    assert_eq!(alarm.earliest(), (Some(at(30_000)), Wake::Clip));
    e.words(at(30_000));
    assert_eq!(e.wishes(), [paste(4, None)]);
    let mut alarm = Alarm::new();
    e.clip.on_time(at(30_001), &mut e.bulk, &mut alarm);
    assert_eq!(alarm.earliest().0, None, "nothing to wait for");
}

/// An answer that comes from elsewhere and takes five minutes to be here: it is not given up at either end, and no word is said
/// more often than it must be.
// spec: K-18, K-64
#[test]
fn who_pastes_waits_as_long_as_it_is_said_to_be_coming_and_no_longer() {
    let (mut here, mut there) = (end(ALL), end(ALL));
    there.offered(ClipFormats::ALL);
    here.clip.on_local_change(at(0), offer(ClipFormats::ALL));
    here.words(at(0));
    there.wanted(at(0), 4, ClipFormat::Files);
    for word in there.words(at(0)) {
        here.hear(at(0), word).expect("a request");
    }
    let [ClipWish::Fetch { id, .. }] = here.wishes()[..] else { panic!("no fetch") };
    assert!(matches!(there.wishes()[..], [ClipWish::Opened { id: 4, .. }]));
    let mut said = 0;
    for ms in (100..=300_000).step_by(100) {
        here.clip.on_local_coming(at(ms), id, 7_000);
        for word in here.words(at(ms)) {
            assert_eq!(word, Control::Clip(ClipWord::Size { id, size: 7_000 }));
            there.hear(at(ms), word).expect("a sign of life");
            said += 1;
        }
        assert_eq!(there.words(at(ms)), []);
    }
    assert_eq!(said, 100);
    assert_eq!(there.wishes(), vec![ClipWish::Progress { id: 4, come: 0, size: 7_000 }; 100], "its person sees it");
    assert!(here.clip.on_local_stream(at(300_100), &mut here.bulk, id, 7_000).is_some(), "and then it goes out");
    // Nothing is said of what nobody asked for, nor of what has begun to go.
    here.words(at(300_100));
    here.clip.on_local_coming(at(310_000), id, 0);
    here.clip.on_local_coming(at(310_000), 99, 0);
    assert_eq!(here.words(at(310_000)), []);
    assert_eq!(there.words(at(329_000)), []);
    assert_eq!(there.words(at(330_000)).len(), 1, "silence ends it");
    assert_eq!(there.wishes(), [paste(4, None)]);
}

// spec: B-9
#[test]
fn a_new_connection_is_offered_what_is_here() {
    let mut e = end(ALL);
    e.clip.on_local_change(at(0), offer(ClipFormats::TEXT));
    e.offered(ClipFormats::TEXT);
    e.wanted(at(0), 4, ClipFormat::Text);
    e.clip.on_link_lost();
    assert_eq!(e.wishes(), [ClipWish::Offered(offer(ClipFormats::NONE)), paste(4, None)]);
    assert_eq!(e.words(at(1)), []);
    e.clip.on_attached();
    let again = ClipWord::Offer { serial: 1, offer: offer(ClipFormats::TEXT) };
    assert_eq!(e.words(at(2)), [Control::Clip(again)]);
}
