//! Several clients of one agent: who gives way to whom by DCV's policies and is told why, who is refused, and what
//! everybody is told of the others.

use super::life::{agent, client, connected, list, session};
use super::process::{PATIENCE, Running, Scratch, Signal, until};
use super::stage::Agent;
use super::wire::Wire;

/// A client that stays, under a key and a user's name.
fn stays(dir: &Scratch, key: &str, agent: &Agent, user: &str) -> Running {
    client(dir, key, &agent.addr.to_string(), &["--seconds", "600", "--user", user])
}

/// It ended with this code, and said these words.
fn ends(mut client: Running, code: i32, words: &str) {
    assert_eq!(client.exit_code(PATIENCE), code, "{}", client.err());
    assert!(client.all_err().contains(words), "{}", client.err());
}

const EVICTED: &str = "the session ended: another client has connected; connect again to take over";
const FULL: &str = "as many are connected as may be; try again later";

fn users(dir: &Scratch) -> Vec<String> {
    list(dir).iter().map(|s| s["user"].as_str().unwrap_or_default().to_owned()).collect()
}

// spec: H-50
#[test]
fn the_oldest_gives_way_whoever_it_is() {
    let dir = Scratch::new();
    let agent = agent(&dir, &["max-concurrent-clients=2"], &[]);
    let ann = stays(&dir, "ann", &agent, "ann");
    connected(&dir, 1);
    let mut bob = stays(&dir, "bob", &agent, "bob");
    connected(&dir, 2);
    let mut eve = stays(&dir, "eve", &agent, "eve");
    ends(ann, 5, EVICTED);
    connected(&dir, 2);
    assert_eq!(users(&dir), ["bob", "eve"]);
    assert_eq!((bob.ended(), eve.ended()), (None, None), "both stay");
}

// spec: H-50
#[test]
fn of_the_same_user_the_oldest_gives_way_and_of_others_nobody() {
    let dir = Scratch::new();
    let settings = ["client-eviction-policy=same-user-oldest-connection", "max-concurrent-clients=2"];
    let agent = agent(&dir, &settings, &[]);
    let mut ann = stays(&dir, "ann", &agent, "ann");
    connected(&dir, 1);
    let bob = stays(&dir, "bob", &agent, "bob");
    connected(&dir, 2);
    ends(stays(&dir, "eve", &agent, "eve"), 4, FULL);
    assert_eq!(users(&dir), ["ann", "bob"]);
    let mut other = stays(&dir, "other", &agent, "bob");
    ends(bob, 5, EVICTED);
    connected(&dir, 2);
    assert_eq!(users(&dir), ["ann", "bob"]);
    assert_eq!((ann.ended(), other.ended()), (None, None), "both stay");
}

// spec: H-50
#[test]
fn a_full_desk_refuses_strangers_and_lets_the_same_key_take_its_own_place() {
    let dir = Scratch::new();
    let agent = agent(&dir, &["client-eviction-policy=reject-new-connection"], &[]);
    let mut first = stays(&dir, "first", &agent, "");
    connected(&dir, 1);
    ends(stays(&dir, "second", &agent, ""), 4, FULL);
    assert_eq!(first.ended(), None, "nobody gave way");
    let mut again = stays(&dir, "first", &agent, "");
    ends(first, 5, EVICTED);
    connected(&dir, 1);
    assert_eq!(again.ended(), None, "{}", again.err());
}

// spec: H-51, H-52
#[test]
fn who_was_away_while_somebody_took_over_is_told_so_and_does_not_take_it_back() {
    let dir = Scratch::new();
    let agent = agent(&dir, &[], &[]);
    let wire = Wire::start(agent.addr);
    let first = client(&dir, "first", &wire.addr(), &["--transport", "websocket", "--seconds", "600"]);
    connected(&dir, 1);
    wire.pull();
    connected(&dir, 0);
    let mut second = stays(&dir, "second", &agent, "bob");
    connected(&dir, 1);
    wire.put_back();
    ends(first, 5, "another client has taken over while this one was away; connect again to take over");
    assert_eq!((users(&dir), second.ended()), (vec!["bob".to_owned()], None));
}

// spec: K-14, K-83
#[test]
fn everybody_sees_who_is_there_and_what_somebody_on_the_host_says() {
    let dir = Scratch::new();
    let agent = agent(&dir, &[], &["--shared"]);
    let (addr, file) = (agent.addr.to_string(), dir.join("stats.json"));
    let first = client(&dir, "first", &addr, &["--seconds", "600", "--stats-json", &file.display().to_string()]);
    connected(&dir, 1);
    let second = stays(&dir, "second", &agent, "bob");
    connected(&dir, 2);
    let (code, out, err) = session(&dir, &["message", "all", "backup at six"]);
    assert_eq!((code, out.as_str()), (0, "shown to 2\n"), "{err}");
    let hears = |client: &Running, words: &str| {
        until("the message is there", PATIENCE, || client.err().contains(&format!("telepane: the host says: {words}")));
    };
    [&first, &second].into_iter().for_each(|client| hears(client, "backup at six"));
    assert_eq!(session(&dir, &["message", "1", "and you"]).1, "shown to 1\n");
    hears(&first, "and you");
    for (args, words) in [
        (["9", "hello"], "telepane-host session list"),
        (["all", " "], "TEXT"),
        (["all", &"x".repeat(513)], "512"),
        (["some", "hello"], "all"),
    ] {
        let (code, _, err) = session(&dir, &["message", args[0], args[1]]);
        assert!(code == 2 && err.contains(words), "{code} {err}");
    }
    first.signal(Signal::Interrupt);
    ends(first, 0, "");
    let stats: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("it was written")).expect("it is JSON");
    let people = stats["life"]["people"].as_array().expect("a list");
    let of = |n: usize, field: &str| people[n][field].clone();
    assert_eq!((people.len(), of(0, "you"), of(1, "you"), of(1, "user")), (2, true.into(), false.into(), "bob".into()));
    assert_eq!(stats["life"]["message"], "and you");
    assert!(!second.err().contains("and you"), "it was not for that one");
}
