//! Both machines against each other, and each against somebody who does not keep to the rules.

use super::*;
use crate::client_key::ClientKey;
use crate::code::AccessCode;
use crate::fingerprint::Fingerprint;
use crate::gate::{Admission, Door, Gate};
use crate::message::{AuthMessage, RefuseReason};
use crate::pake::{Confirmation, PakeMessage};
use crate::seed::Exporter;
use crate::throttle::{PeerAddr, Throttle, Verdict};
use std::cell::RefCell;
use telepane_model::Span;
use telepane_model::{HostClock, Stamp};

const CODE: &str = "K7QF-M2XA-9BCD";
const HOST: Fingerprint = Fingerprint([5; 32]);
const PEER: PeerAddr = PeerAddr::V4([10, 0, 0, 1]);

/// A host with everything a shell would hold.
struct World {
    throttle: Throttle,
    now: Stamp<HostClock>,
    code: Option<AccessCode>,
    enrolled: Vec<ClientPublic>,
    admission: Admission,
    /// What the host asked of its shell, in order.
    asked: RefCell<Vec<&'static str>>,
}

/// A door that keeps what it is asked.
struct Watched<'a>(Door<'a>, &'a RefCell<Vec<&'static str>>);

impl Gate for Watched<'_> {
    fn code(&self) -> Option<AccessCode> {
        self.1.borrow_mut().push("code");
        self.0.code()
    }

    fn is_enrolled(&self, key: &ClientPublic) -> bool {
        self.1.borrow_mut().push("enrolled");
        self.0.is_enrolled(key)
    }

    fn may_guess(&self) -> Verdict {
        self.1.borrow_mut().push("may guess");
        self.0.may_guess()
    }

    fn reserve_guess(&mut self) -> Verdict {
        self.1.borrow_mut().push("reserve");
        self.0.reserve_guess()
    }

    fn settle_guess(&mut self, right: bool) {
        self.1.borrow_mut().push("settle");
        self.0.settle_guess(right);
    }

    fn admit(&mut self, who: &Authenticated) -> Admission {
        self.1.borrow_mut().push("admit");
        self.0.admit(who)
    }
}

impl World {
    fn new() -> Self {
        Self {
            throttle: Throttle::default(),
            now: Stamp::from_micros(1_000_000),
            code: Some(AccessCode::parse(CODE).unwrap()),
            enrolled: Vec::new(),
            admission: Admission::AdmitAndEnrol,
            asked: RefCell::default(),
        }
    }

    fn handle(&mut self, host: HostAuth, bytes: &[u8]) -> HostStep {
        let (enrolled, admission) = (&self.enrolled, self.admission);
        let door = Door {
            throttle: &mut self.throttle,
            peer: PEER,
            now: self.now,
            code: self.code.as_ref(),
            enrolled: &|key| enrolled.contains(key),
            admit: &|_| admission,
            rotate_code: false,
        };
        host.handle_bytes(bytes, &mut Watched(door, &self.asked))
    }
}

fn key() -> ClientKey {
    ClientKey::from_secret(&[9; 32])
}

fn host() -> HostAuth {
    HostAuth::new(Exporter::new([1; 32]), HOST, Seed::new([2; 32]))
}

fn offer(pinned: bool, client_key: Option<ClientKey>, code: Option<&str>) -> ViewerOffer {
    ViewerOffer {
        exporter: Exporter::new([1; 32]),
        fingerprint: HOST,
        pinned,
        client_key,
        code: code.map(|c| AccessCode::parse(c).unwrap()),
        name: Label::from_lossy("laptop"),
        user: Label::default(),
        seed: Seed::new([3; 32]),
    }
}

/// How a whole handshake ended on both sides, and how many messages the viewer sent.
#[derive(Debug)]
struct End {
    host: Result<Authenticated, RefuseReason>,
    viewer: ViewerStep,
    sent: u32,
}

/// Runs until one side is done; when a code is asked for, `codes` are typed one after another.
fn run(world: &mut World, mut host: HostAuth, offer: ViewerOffer, codes: &[&str]) -> End {
    let (mut step, mut codes, mut sent) = (ViewerAuth::begin(offer), codes.iter(), 0);
    loop {
        let (auth, reply) = match step {
            ViewerStep::Reply { auth, reply } => (auth, reply),
            ViewerStep::NeedCode(need) => match codes.next() {
                Some(code) => {
                    step = need.with_code(AccessCode::parse(code).unwrap());
                    continue;
                }
                None => return End { host: Err(RefuseReason::WrongCode), viewer: ViewerStep::NeedCode(need), sent },
            },
            done => panic!("{done:?} without the host"),
        };
        sent += 1;
        match world.handle(host, &reply.encode()) {
            HostStep::Reply { auth: next, reply } => {
                host = next;
                step = auth.handle_bytes(&reply.encode());
                if matches!(step, ViewerStep::Refused(_) | ViewerStep::Accepted { .. }) {
                    return End { host: Err(RefuseReason::Malformed), viewer: step, sent };
                }
            }
            HostStep::Accepted { reply, who } => {
                return End { host: Ok(who), viewer: auth.handle_bytes(&reply.encode()), sent };
            }
            HostStep::Refused { reply, reason } => {
                return End { host: Err(reason), viewer: auth.handle_bytes(&reply.encode()), sent };
            }
        }
    }
}

// spec: A-25
#[test]
fn first_contact_by_code_enrols_the_key_in_two_round_trips() {
    let end = run(&mut World::new(), host(), offer(false, Some(key()), Some("k7qf m2xa 9bcd")), &[]);
    let who = end.host.unwrap();
    assert_eq!((who.method, who.enrol, who.client), (Method::Code, Some(key().public()), Some(key().public().id())));
    assert_eq!(who.name.as_str(), "laptop");
    assert!(matches!(end.viewer, ViewerStep::Accepted { method: Method::Code, enrolled: true }));
    assert_eq!(end.sent, 2);
}

#[test]
fn an_enrolled_key_comes_in_with_one_round_trip_and_no_question() {
    let mut world = World { enrolled: vec![key().public()], code: None, ..World::new() };
    let end = run(&mut world, host(), offer(true, Some(key()), None), &[]);
    let who = end.host.unwrap();
    assert_eq!((who.method, who.client, who.enrol), (Method::ClientKey, Some(key().public().id()), None));
    assert!(matches!(end.viewer, ViewerStep::Accepted { method: Method::ClientKey, enrolled: true }));
    assert_eq!(end.sent, 1);
}

// spec: A-22
#[test]
fn an_unknown_key_falls_back_to_the_code_on_the_same_connection() {
    let end = run(&mut World::new(), host(), offer(true, Some(key()), None), &[CODE]);
    assert_eq!(end.host.unwrap().method, Method::Code);
    assert_eq!(end.sent, 3);
    // With the code at hand the fallback costs no extra round trip.
    let end = run(&mut World::new(), host(), offer(true, Some(key()), Some(CODE)), &[]);
    assert_eq!((end.host.unwrap().method, end.sent), (Method::Code, 2));
}

// spec
#[test]
fn an_unpinned_host_is_never_offered_the_key_as_the_only_proof() {
    let ViewerStep::NeedCode(need) = ViewerAuth::begin(offer(false, Some(key()), None)) else { panic!() };
    assert_eq!(need.why, CodeWanted::FirstContact);
    assert!(need.retry().is_none());
    let ViewerStep::Reply { auth, reply: AuthMessage::ViewerStart { key: None, .. } } =
        ViewerAuth::begin(offer(false, Some(key()), Some(CODE)))
    else {
        panic!("the key was sent to a host that nothing vouches for")
    };
    let step = auth.handle(AuthMessage::HostAccept { confirmation: None, enrolled: true });
    assert!(matches!(step, ViewerStep::Refused(Refused::HostNotProven)));
}

// spec: A-23
#[test]
fn a_host_that_accepts_without_the_code_is_not_believed() {
    let mut world = World::new();
    for forged in [None, Some(Confirmation([0; 32]))] {
        let ViewerStep::Reply { auth, reply } = ViewerAuth::begin(offer(true, Some(key()), Some(CODE))) else {
            panic!()
        };
        let HostStep::Reply { reply, .. } = world.handle(host(), &reply.encode()) else { panic!() };
        let ViewerStep::Reply { auth, .. } = auth.handle(reply) else { panic!() };
        let step = auth.handle(AuthMessage::HostAccept { confirmation: forged, enrolled: true });
        assert!(matches!(step, ViewerStep::Refused(Refused::HostNotProven)), "{forged:?}");
    }
}

// spec: A-26
#[test]
fn wrong_codes_may_be_corrected_twice() {
    let wrong = "AAAA-AAAA";
    let end = run(&mut World::new(), host(), offer(false, None, Some(wrong)), &[wrong, CODE]);
    assert_eq!(end.host.unwrap().method, Method::Code);
    let end = run(&mut World::new(), host(), offer(false, None, Some(wrong)), &[wrong, wrong, CODE]);
    assert_eq!(end.host, Err(RefuseReason::WrongCode));
    assert!(matches!(end.viewer, ViewerStep::Refused(Refused::ByHost { reason: RefuseReason::WrongCode, .. })));
}

#[test]
fn a_fourth_wrong_code_must_wait_also_on_a_new_connection() {
    let mut world = World::new();
    run(&mut world, host(), offer(false, None, Some("AAAA-AAAA")), &["AAAA-AAAA", "AAAA-AAAA"]);
    let end = run(&mut world, host(), offer(false, None, Some(CODE)), &[]);
    let ViewerStep::NeedCode(need) = end.viewer else { panic!("{:?}", end.viewer) };
    assert_eq!((need.why, need.wait), (CodeWanted::Throttled, Span::secs(1)));
    world.now += need.wait;
    let Some(ViewerStep::Reply { .. }) = need.retry() else { panic!("the same code can be sent again") };
    let end = run(&mut world, host(), offer(false, None, Some(CODE)), &[]);
    assert!(end.host.is_ok());
}

// spec: A-33
#[test]
fn many_connections_begun_at_once_share_the_three_tries() {
    let mut world = World::new();
    let mut begun = Vec::new();
    for _ in 0..50 {
        let ViewerStep::Reply { auth, reply } = ViewerAuth::begin(offer(false, None, Some("AAAA-AAAA"))) else {
            panic!()
        };
        let HostStep::Reply { auth: host, reply } = world.handle(host(), &reply.encode()) else { panic!() };
        let ViewerStep::Reply { reply, .. } = auth.handle(reply) else { panic!() };
        begun.push((host, reply));
    }
    let mut examined = 0;
    for (host, confirm) in begun {
        let HostStep::Reply { reply: AuthMessage::HostRefuse { reason, .. }, .. } =
            world.handle(host, &confirm.encode())
        else {
            panic!()
        };
        examined += u32::from(reason == RefuseReason::WrongCode);
    }
    assert_eq!(examined, 3);
}

#[test]
fn throttled_guessers_do_not_keep_enrolled_clients_out() {
    let mut world = World { enrolled: vec![key().public()], ..World::new() };
    run(&mut world, host(), offer(false, None, Some("AAAA-AAAA")), &["AAAA-AAAA", "AAAA-AAAA"]);
    assert!(run(&mut world, host(), offer(true, Some(key()), None), &[]).host.is_ok());
}

// spec
#[test]
fn nothing_holds_on_another_connection_or_for_another_host() {
    let mut world = World { enrolled: vec![key().public()], ..World::new() };
    let other_tls = || HostAuth::new(Exporter::new([8; 32]), HOST, Seed::new([2; 32]));
    let other_id = || HostAuth::new(Exporter::new([1; 32]), Fingerprint([6; 32]), Seed::new([2; 32]));
    for make in [&other_tls as &dyn Fn() -> HostAuth, &other_id] {
        let end = run(&mut world, make(), offer(true, Some(key()), None), &[]);
        assert!(matches!(end.viewer, ViewerStep::NeedCode(NeedCode { why: CodeWanted::UnknownClient, .. })));
        let end = run(&mut world, make(), offer(false, None, Some(CODE)), &[]);
        assert!(matches!(end.viewer, ViewerStep::NeedCode(NeedCode { why: CodeWanted::WrongCode, .. })));
        world.throttle = Throttle::default();
    }
}

#[test]
fn recorded_messages_are_worthless_on_the_next_connection() {
    let mut world = World::new();
    let ViewerStep::Reply { auth, reply: start } = ViewerAuth::begin(offer(false, Some(key()), Some(CODE))) else {
        panic!()
    };
    let HostStep::Reply { auth: first, reply } = world.handle(host(), &start.encode()) else { panic!() };
    let ViewerStep::Reply { reply: confirm, .. } = auth.handle(reply) else { panic!() };
    assert!(matches!(world.handle(first, &confirm.encode()), HostStep::Accepted { .. }));
    // Another connection has another exporter and a fresh seed.
    for (exporter, seed) in [([8; 32], [2; 32]), ([1; 32], [7; 32])] {
        let again = HostAuth::new(Exporter::new(exporter), HOST, Seed::new(seed));
        let HostStep::Reply { auth: again, .. } = world.handle(again, &start.encode()) else { panic!() };
        let step = world.handle(again, &confirm.encode());
        assert!(
            matches!(
                step,
                HostStep::Reply { reply: AuthMessage::HostRefuse { reason: RefuseReason::WrongCode, .. }, .. }
            ),
            "{step:?}"
        );
    }
}

// spec: A-25
#[test]
fn a_key_of_somebody_else_is_not_enrolled() {
    let mut world = World::new();
    let ViewerStep::Reply { auth, reply } = ViewerAuth::begin(offer(false, Some(key()), Some(CODE))) else { panic!() };
    let HostStep::Reply { auth: host, reply } = world.handle(host(), &reply.encode()) else { panic!() };
    let ViewerStep::Reply { reply: AuthMessage::ViewerConfirm { confirmation, enrol }, .. } = auth.handle(reply) else {
        panic!()
    };
    let mut enrol = enrol.unwrap();
    enrol.public = ClientKey::from_secret(&[77; 32]).public();
    let confirm = AuthMessage::ViewerConfirm { confirmation, enrol: Some(enrol) };
    let HostStep::Accepted { who, reply } = world.handle(host, &confirm.encode()) else { panic!() };
    assert_eq!((who.enrol, who.client), (None, None));
    assert!(matches!(reply, AuthMessage::HostAccept { enrolled: false, .. }));
}

// spec: A-35
#[test]
fn without_a_code_nobody_comes_in_and_nobody_can_tell() {
    let mut world = World { code: None, ..World::new() };
    let end = run(&mut world, host(), offer(false, None, Some(CODE)), &[]);
    let ViewerStep::NeedCode(need) = end.viewer else { panic!() };
    assert_eq!((need.why, end.sent), (CodeWanted::WrongCode, 2));
}

/// What takes time is the same, whoever exists: the same is asked and computed, in the same order, of a key that is enrolled (but not
/// proven) as of a stranger's, and where there is no code as where there is another.
// spec
#[test]
fn the_same_work_is_done_whoever_exists() {
    let trace = |world: World, offer: fn() -> ViewerOffer| {
        let mut world = world;
        let (mut host, mut said) = (host(), Vec::new());
        let mut step = ViewerAuth::begin(offer());
        while let ViewerStep::Reply { auth, reply } = step {
            let HostStep::Reply { auth: next, reply } = world.handle(host, &reply.encode()) else {
                panic!("not refused")
            };
            host = next;
            said.push((core::mem::discriminant(&reply), reply.encode().len()));
            step = auth.handle_bytes(&reply.encode());
        }
        (said, world.asked.into_inner())
    };
    let other = "DCB9-AX2M-FQ7K";
    let by_code = || offer(false, None, Some(CODE));
    let without = trace(World { code: None, ..World::new() }, by_code);
    let with = trace(World { code: Some(AccessCode::parse(other).unwrap()), ..World::new() }, by_code);
    assert_eq!(without, with);
    assert_eq!(with.1, ["may guess", "code", "reserve", "settle", "may guess"]);
    // Signed for another connection: the key is true, the proof is not.
    let by_key = || ViewerOffer { exporter: Exporter::new([8; 32]), ..offer(true, Some(key()), None) };
    let enrolled = trace(World { enrolled: vec![key().public()], ..World::new() }, by_key);
    assert_eq!(enrolled, trace(World::new(), by_key));
    assert_eq!(enrolled.1, ["enrolled"]);
}

// spec: A-24
#[test]
fn who_is_not_admitted_is_told_so_and_gets_no_proof() {
    let mut world = World { admission: Admission::Refuse, enrolled: vec![key().public()], ..World::new() };
    for offer in [offer(true, Some(key()), None), offer(false, None, Some(CODE))] {
        let end = run(&mut world, host(), offer, &[]);
        assert_eq!(end.host, Err(RefuseReason::NotAllowed));
        assert!(matches!(end.viewer, ViewerStep::Refused(Refused::ByHost { reason: RefuseReason::NotAllowed, .. })));
    }
    let mut world = World { admission: Admission::Admit, ..World::new() };
    let end = run(&mut world, host(), offer(false, Some(key()), Some(CODE)), &[]);
    assert_eq!(end.host.unwrap().enrol, None);
    assert!(matches!(end.viewer, ViewerStep::Accepted { enrolled: false, .. }));
}

// spec, F-3
#[test]
fn garbage_versions_and_wrong_order_end_the_connection() {
    let mut world = World::new();
    let mut reason = |bytes: &[u8]| match world.handle(host(), bytes) {
        HostStep::Refused { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(b"GET / HTTP/1.1\r\n"), RefuseReason::VersionMismatch);
    assert_eq!(reason(b""), RefuseReason::Malformed);
    assert_eq!(reason(&[2, 1, 0]), RefuseReason::VersionMismatch);
    let confirm = AuthMessage::ViewerConfirm { confirmation: Confirmation([0; 32]), enrol: None };
    assert_eq!(reason(&confirm.encode()), RefuseReason::Malformed, "confirm before start");
    assert_eq!(
        reason(&AuthMessage::HostAccept { confirmation: None, enrolled: false }.encode()),
        RefuseReason::Malformed
    );
    // y = 2 is on no point of the curve.
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    let start = AuthMessage::ViewerStart {
        name: Label::default(),
        user: Label::default(),
        key: None,
        pake: Some(PakeMessage(off_curve)),
    };
    assert_eq!(reason(&start.encode()), RefuseReason::Malformed);
}

// spec: A-26
#[test]
fn starts_are_counted() {
    let mut world = World::new();
    let start = AuthMessage::ViewerStart {
        name: Label::default(),
        user: Label::default(),
        key: Some(key().prove(&Exporter::new([1; 32]), &HOST)),
        pake: None,
    };
    let mut machine = host();
    for n in 1..=MAX_STARTS {
        match world.handle(machine, &start.encode()) {
            HostStep::Reply { auth, reply: AuthMessage::HostRefuse { reason: RefuseReason::UnknownClient, .. } }
                if n < MAX_STARTS =>
            {
                machine = auth;
            }
            HostStep::Refused { reason: RefuseReason::TooManyTries, .. } if n == MAX_STARTS => return,
            other => panic!("{n}: {other:?}"),
        }
    }
    panic!("never ended");
}

// spec
#[test]
fn every_try_uses_another_element() {
    let mut world = World::new();
    let mut seen = std::collections::BTreeSet::new();
    let (mut machine, mut step) = (host(), ViewerAuth::begin(offer(false, None, Some("AAAA-AAAA"))));
    for _ in 0..2 {
        let ViewerStep::Reply { auth, reply } = step else { panic!() };
        let AuthMessage::ViewerStart { pake: Some(mine), .. } = &reply else { panic!() };
        assert!(seen.insert(mine.0));
        let HostStep::Reply { auth: next, reply } = world.handle(machine, &reply.encode()) else { panic!() };
        let AuthMessage::HostPake { pake } = &reply else { panic!() };
        assert!(seen.insert(pake.0));
        let ViewerStep::Reply { auth, reply } = auth.handle(reply) else { panic!() };
        let HostStep::Reply { auth: next, reply } = world.handle(next, &reply.encode()) else { panic!() };
        machine = next;
        let ViewerStep::NeedCode(need) = auth.handle(reply) else { panic!() };
        step = need.with_code(AccessCode::parse("AAAA-AAAA").unwrap());
    }
}

#[test]
fn a_hostile_host_cannot_make_the_viewer_ask_forever() {
    let mut step = ViewerAuth::begin(offer(false, None, Some(CODE)));
    for asked in 0..100 {
        step = match step {
            ViewerStep::Reply { auth, .. } => {
                auth.handle(AuthMessage::HostRefuse { reason: RefuseReason::Throttled, again: true, wait_ms: 0 })
            }
            ViewerStep::NeedCode(need) => need.retry().unwrap(),
            ViewerStep::Refused(_) => {
                assert!(asked <= 2 * u32::from(MAX_STARTS));
                return;
            }
            ViewerStep::Accepted { .. } => panic!(),
        };
    }
    panic!("still asking");
}

#[test]
fn nothing_secret_is_printed() {
    let text = format!("{:?} {:?}", ViewerAuth::begin(offer(true, Some(key()), Some(CODE))), host());
    assert!(!text.contains("K7QF") && !text.contains("0909") && !text.contains("9, 9"), "{text}");
}
