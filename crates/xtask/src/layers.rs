//! Floors: who may import whom, what the pure floors may not touch, and that ARCHITECTURE.md tells of every crate.
//!
//! The rules stand in the tables at the foot of the code below; `ARCHITECTURE.md` explains them. An edge or an import
//! that someone needs is a line in a table here, a paragraph there, and a note in `protocol-spec/decisions/`.
//!
//! `cargo xtask layers` prints the picture; the `tests` package runs the same checks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::sources::{self, lines};
use crate::tree::{self, items, text};

/// Prints the floors, and what is wrong.
///
/// # Errors
/// When something climbs or a crate is not in ARCHITECTURE.md.
pub fn run() -> Result<()> {
    let root = tree::root()?;
    let metadata = tree::metadata(&root)?;
    print!("{}", picture(&imports(&metadata)));
    println!("\n{}", check(&root)?);
    Ok(())
}

/// All checks of this module.
///
/// # Errors
/// With every violation, one per line.
pub fn check(root: &Path) -> Result<String> {
    let metadata = tree::metadata(root)?;
    let imports = imports(&metadata);
    let mut wrong = climbing(&imports);
    wrong.extend(heavy(&metadata));
    wrong.extend(impure(root)?);
    wrong.extend(unmapped(root)?);
    if wrong.is_empty() {
        let edges: usize = imports.values().map(BTreeSet::len).sum();
        return Ok(format!("{} crates, {edges} edges, nothing climbs", imports.len()));
    }
    bail!("{} things are in the wrong room\n  {}", wrong.len(), wrong.join("\n  "))
}

/// What each crate of ours imports of ours, by short name; tests' own imports left out.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// Reads [`Imports`] out of `cargo metadata`.
pub fn imports(metadata: &Value) -> Imports {
    let members: BTreeSet<&str> = items(&metadata["workspace_members"]).map(text).collect();
    items(&metadata["packages"])
        .filter(|package| members.contains(text(&package["id"])))
        .map(|package| {
            let ours = direct(package).filter_map(|name| OURS.iter().find_map(|ours| short_of(name, ours)));
            (short(text(&package["name"])).to_owned(), ours.map(str::to_owned).collect())
        })
        .collect()
}

/// Edges that climb, stay on a floor, or that a narrower rule forbids; crates without a floor.
pub fn climbing(imports: &Imports) -> Vec<String> {
    let mut wrong = Vec::new();
    for (from, all) in imports {
        let Some(own) = floor(from) else {
            wrong.push(format!(
                "{from} has no floor; give it one in xtask's layers.rs and a paragraph in ARCHITECTURE.md"
            ));
            continue;
        };
        for to in all {
            let Some(theirs) = floor(to) else { continue };
            let tools = own == TOOLS && theirs == TOOLS;
            if theirs >= own && !tools {
                wrong.push(format!("{from} (floor {}) imports {to} (floor {})", name_of(own), name_of(theirs)));
            } else if let Some((_, may)) = ONLY.iter().find(|(name, _)| name == from)
                && !may.contains(&to.as_str())
            {
                wrong.push(format!("{from} imports {to}; of ours it may import only {}", may.join(", ")));
            }
        }
    }
    wrong
}

/// Outside crates that the pure floors must not have: some not even far below, some not directly.
pub fn heavy(metadata: &Value) -> Vec<String> {
    let packages: BTreeMap<&str, &Value> =
        items(&metadata["packages"]).map(|package| (text(&package["id"]), package)).collect();
    let nodes: BTreeMap<&str, &Value> =
        items(&metadata["resolve"]["nodes"]).map(|node| (text(&node["id"]), node)).collect();
    let mut wrong = Vec::new();
    for id in items(&metadata["workspace_members"]).map(text) {
        let Some(package) = packages.get(id) else { continue };
        let from = short(text(&package["name"]));
        if floor(from).is_none_or(|floor| floor > PURE) {
            continue;
        }
        let near = direct(package).filter(|name| NOT_DIRECTLY.contains(name));
        wrong.extend(near.map(|name| format!("{from} is pure and imports {name}")));
        let mut seen = BTreeSet::new();
        let mut next = vec![id];
        while let Some(id) = next.pop() {
            if !seen.insert(id) {
                continue;
            }
            let name = packages.get(id).map_or("", |package| text(&package["name"]));
            if NOT_AT_ALL.contains(&name) {
                wrong.push(format!("{from} is pure and has {name} below it"));
            }
            let linked = nodes
                .get(id)
                .into_iter()
                .flat_map(|node| items(&node["deps"]))
                .filter(|dependency| items(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null()));
            next.extend(linked.map(|dependency| text(&dependency["pkg"])));
        }
    }
    wrong
}

/// Lines of the pure floors that touch the world; crates there that do not forbid unsafe code.
///
/// # Errors
/// When a source cannot be read.
pub fn impure(root: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (name, _) in FLOORS.iter().filter(|(_, floor)| *floor <= PURE) {
        let folder = root.join("crates").join(name).join("src");
        for source in sources::rust(root, &folder)? {
            if source.test {
                continue;
            }
            wrong.extend(touches(&source.text).into_iter().map(|(line, what)| {
                let place = source.relative.display();
                format!("{place}:{line} touches {what}; the pure floors are told, they do not look")
            }));
        }
        let lib = folder.join("lib.rs");
        if !WITH_UNSAFE.contains(name) && lib.is_file() && !sources::read(&lib)?.contains("#![forbid(unsafe_code)]") {
            wrong.push(format!("crates/{name}/src/lib.rs does not say #![forbid(unsafe_code)]"));
        }
    }
    Ok(wrong)
}

/// Lines of one source that touch the world, outside its tests.
pub fn touches(source: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    let mut group: Option<&str> = None;
    for line in lines(source).filter(|line| !line.test) {
        let code = line.code();
        let plain = WORLD.iter().copied().filter(|what| has_path(code, what));
        found.extend(plain.map(|what| (line.number, what)));
        // `use std::{fs, net};`, on one line or many: the words inside the braces are modules of std.
        if code.contains("std::{") {
            group = code.split("std::{").nth(1);
        } else if group.is_some() {
            group = Some(code);
        }
        if let Some(inside) = group {
            let words = inside.split(|c: char| !c.is_alphanumeric() && c != '_');
            let modules: Vec<&str> = words.collect();
            let named = WORLD.iter().copied().filter(|what| {
                what.strip_prefix("std::").is_some_and(|module| !module.contains("::") && modules.contains(&module))
            });
            found.extend(named.map(|what| (line.number, what)));
            if inside.contains(';') {
                group = None;
            }
        }
    }
    found.dedup();
    found
}

/// Crates without a paragraph in ARCHITECTURE.md, paragraphs without "Never here:", paragraphs of crates that are gone.
///
/// # Errors
/// When ARCHITECTURE.md or `crates/` cannot be read.
pub fn unmapped(root: &Path) -> Result<Vec<String>> {
    let map = sources::read(&root.join("ARCHITECTURE.md"))?;
    let mut folders = BTreeSet::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let path = entry?.path();
        if path.join("Cargo.toml").is_file() {
            folders.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    Ok(map_errors(&map, &folders))
}

/// What a map of these crates lacks. A crate's paragraph begins with its name in bold code, as in ``**`model`**``.
pub fn map_errors(map: &str, crates: &BTreeSet<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut told = BTreeSet::new();
    for paragraph in map.split("\n\n").map(str::trim) {
        let Some(name) = paragraph.strip_prefix("**`").and_then(|rest| rest.split_once("`**")).map(|(name, _)| name)
        else {
            continue;
        };
        let name = name.trim_start_matches("crates/");
        if !crates.contains(name) {
            if !BESIDE.contains(&name) {
                wrong.push(format!("ARCHITECTURE.md tells of {name}, which is not in crates/"));
            }
        } else if !told.insert(name) {
            wrong.push(format!("ARCHITECTURE.md has two paragraphs for {name}"));
        }
        let last = paragraph.rsplit_once("Never here:").map(|(_, absent)| absent.trim());
        if last.is_none_or(str::is_empty) {
            wrong.push(format!("ARCHITECTURE.md's paragraph for {name} does not end in \"Never here: …\""));
        }
    }
    let untold = crates.iter().filter(|name| !told.contains(name.as_str()));
    wrong.extend(untold.map(|name| format!("crates/{name} has no paragraph in ARCHITECTURE.md")));
    wrong
}

/// The floors from the top, each crate with what it imports.
pub fn picture(imports: &Imports) -> String {
    let mut picture = String::new();
    for level in (0..=TOOLS).rev() {
        for (name, all) in imports.iter().filter(|(name, _)| floor(name) == Some(level)) {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let arrow = if all.is_empty() { String::new() } else { format!("-> {}", all.join(" ")) };
            picture.push_str(format!("{}  {name:<10} {arrow}", name_of(level)).trim_end());
            picture.push('\n');
        }
    }
    picture
}

/// Names of the packages that `package` imports outside its tests and build script.
fn direct(package: &Value) -> impl Iterator<Item = &str> {
    items(&package["dependencies"])
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| text(&dependency["name"]))
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(other, _)| *other == name).map(|(_, floor)| *floor)
}

fn name_of(floor: u8) -> String {
    if floor == TOOLS { "T".to_owned() } else { floor.to_string() }
}

fn short(package: &str) -> &str {
    package.strip_prefix("telepane-").unwrap_or(package)
}

fn short_of<'a>(package: &'a str, prefix: &str) -> Option<&'a str> {
    if package == prefix { Some(package) } else { package.strip_prefix(prefix).filter(|_| prefix.ends_with('-')) }
}

/// Whether `code` names this path, not merely a longer word: `std::fs` is in `std::fs::read`, not in `std::fsync`.
fn has_path(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| {
        let after = code[at + path.len()..].chars().next();
        let before = code[..at].chars().next_back();
        !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
            && !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

const TOOLS: u8 = 5;

/// Up to this floor nothing touches the world.
const PURE: u8 = 2;

/// Every crate's floor.
const FLOORS: &[(&str, u8)] = &[
    ("model", 0),
    ("protocol", 1),
    ("codec", 1),
    ("rate", 1),
    ("trust", 1),
    ("session", 2),
    ("transport", 3),
    ("capture", 3),
    ("audio", 3),
    ("input", 3),
    ("auth", 3),
    ("files", 3),
    ("machine", 3),
    ("sandbox", 3),
    ("host", 4),
    ("client", 4),
    ("sim", TOOLS),
    ("bench", TOOLS),
    ("tests", TOOLS),
    ("benches", TOOLS),
    ("xtask", TOOLS),
];

/// Where a crate may import less than its floor allows.
const ONLY: &[(&str, &[&str])] = &[
    // The minds ask for coding and are told of its end; they never see a pixel.
    ("session", &["model", "protocol", "rate", "trust"]),
    // The edges carry, they do not decide.
    ("transport", &["model", "protocol"]),
    ("capture", &["model"]),
    // A device asks for its next 10 ms on its own thread and is answered there: what holds frames back and decodes them runs beside it.
    ("audio", &["model", "codec", "session"]),
    ("input", &["model"]),
    ("auth", &["model", "trust"]),
    ("files", &["protocol"]),
    ("machine", &["model", "protocol"]),
    ("sandbox", &["codec"]),
    // The viewer has no screen of the host's to read; of `input` it uses the names of keys.
    (
        "client",
        &[
            "model",
            "protocol",
            "codec",
            "rate",
            "trust",
            "session",
            "transport",
            "audio",
            "input",
            "auth",
            "files",
            "machine",
            "sandbox",
        ],
    ),
    // Built first, on a machine where nothing else builds yet.
    ("xtask", &[]),
];

/// Names that mark a package as ours.
const OURS: &[&str] = &["telepane-", "xtask"];

/// Folders outside `crates/` that the map tells of in the same manner.
const BESIDE: &[&str] = &["tests", "benches", "fuzz", "protocol-spec"];

/// The codec's kernels and its H.264 wrapper are the pure floors' only unsafe code.
const WITH_UNSAFE: &[&str] = &["codec"];

/// A pure crate has none of these even through others: they bring a runtime, a socket or a screen.
const NOT_AT_ALL: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "async-io",
    "mio",
    "polling",
    "socket2",
    "quinn",
    "quinn-proto",
    "quinn-udp",
    "rustls",
    "x11rb",
    "winit",
    "softbuffer",
    "pixels",
    "wgpu",
    "scrap",
    "enigo",
    "arboard",
    "signal-hook",
    "notify",
    "reqwest",
    "hyper",
];

/// A pure crate imports none of these itself: chance, logging and the system are handed in or noted.
const NOT_DIRECTLY: &[&str] = &[
    "libc",
    "rustix",
    "nix",
    "rand",
    "getrandom",
    "fastrand",
    "tracing",
    "log",
    "anyhow",
    "chrono",
    "time",
    "memmap2",
    "tempfile",
    "crossbeam-channel",
    "rayon",
];

/// What touches the world.
const WORLD: &[&str] = &[
    "std::time::Instant",
    "std::time::SystemTime",
    "Instant::now",
    "SystemTime::now",
    "std::net",
    "std::fs",
    "std::thread",
    "std::process",
    "std::os",
    "target_os",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn imports_of(edges: &[(&str, &[&str])]) -> Imports {
        edges.iter().map(|(from, all)| ((*from).to_owned(), all.iter().map(|to| (*to).to_owned()).collect())).collect()
    }

    #[test]
    fn climbing_and_sideways_edges_are_seen() {
        assert!(climbing(&imports_of(&[("session", &["model", "rate"]), ("bench", &["sim", "host"])])).is_empty());
        let wrong = climbing(&imports_of(&[("model", &["protocol"]), ("rate", &["codec"]), ("host", &["sim"])]));
        assert_eq!(wrong.len(), 3, "{wrong:?}");
    }

    #[test]
    fn narrower_rules_hold() {
        let wrong = climbing(&imports_of(&[("session", &["codec"]), ("transport", &["rate"]), ("xtask", &["model"])]));
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert_eq!(climbing(&imports_of(&[("misc", &[])])).len(), 1, "a crate without a floor");
    }

    #[test]
    fn a_runtime_far_below_a_pure_crate_is_seen_and_a_tests_own_is_not() {
        let kinds = |kind: Option<&str>| json!([{ "kind": kind }]);
        let world = |kind: Option<&str>| {
            json!({
                "workspace_members": ["r"],
                "packages": [
                    { "id": "r", "name": "telepane-rate", "dependencies": [{ "name": "x", "kind": kind }] },
                    { "id": "x", "name": "x", "dependencies": [] }, { "id": "t", "name": "tokio", "dependencies": [] },
                ],
                "resolve": { "nodes": [
                    { "id": "r", "deps": [{ "pkg": "x", "dep_kinds": kinds(kind) }] },
                    { "id": "x", "deps": [{ "pkg": "t", "dep_kinds": kinds(None) }] }, { "id": "t", "deps": [] },
                ]},
            })
        };
        assert_eq!(heavy(&world(None)), ["rate is pure and has tokio below it"]);
        assert!(heavy(&world(Some("dev"))).is_empty());
    }

    #[test]
    fn only_code_outside_tests_touches_the_world() {
        assert_eq!(touches("use std::fs;\n"), [(1, "std::fs")]);
        assert_eq!(touches("use std::{collections::BTreeMap, thread};\n"), [(1, "std::thread")]);
        assert_eq!(touches("use std::{\n    fmt,\n    net::IpAddr,\n};\nlet thread = 1;\n"), [(3, "std::net")]);
        assert_eq!(touches("let now = Instant::now();\n"), [(1, "Instant::now")]);
        assert!(
            touches(
                "// std::fs\nuse std::fsx;\nuse core::time::Duration;\n#[cfg(test)]\nmod tests {\nuse std::fs;\n}\n"
            )
            .is_empty()
        );
    }

    #[test]
    fn the_map_tells_of_every_crate_and_what_is_absent() {
        let crates: BTreeSet<String> = ["model", "rate"].map(str::to_owned).into();
        let good =
            "# Map\n\n**`model`** is the nouns. Never here: clocks.\n\n**`rate`** decides. Never here: timers.\n";
        assert!(map_errors(good, &crates).is_empty());
        let wrong = map_errors("**`model`** is the nouns.\n\n**`gone`** was. Never here: it.\n", &crates);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
    }
}
