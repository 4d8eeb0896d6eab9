//! Plans: two hundred random ones, those of mended bugs, and the one that is asked for.

use std::path::{Path, PathBuf};
use telepane_sim::plan::{Plan, check, random};

/// `SIM_SEED=n` plays that seed, `SIM_PLAN=file` that plan; with `SIM_SAVE=file` the plan is kept there.
#[test]
fn one() {
    let plan = match (std::env::var_os("SIM_PLAN"), std::env::var("SIM_SEED")) {
        (Some(path), _) => Plan::load(Path::new(&path)).expect("a plan"),
        (None, Ok(seed)) => random(seed.parse().expect("SIM_SEED is a number")),
        (None, Err(_)) => random(0),
    };
    if let Some(path) = std::env::var_os("SIM_SAVE") {
        plan.save(Path::new(&path)).expect("SIM_SAVE can be written");
    }
    let world = check(&plan);
    println!("{}", world.last_lines(20));
}

/// `SIM_PLANS=n` plays more of them.
#[test]
fn two_hundred_random_plans_end_exact() {
    let count = std::env::var("SIM_PLANS").map_or(200, |n| n.parse().expect("SIM_PLANS is a number"));
    let fails = |seed: &u64| std::panic::catch_unwind(|| check(&random(*seed))).is_err();
    let failed: Vec<u64> = (1..=count).filter(fails).collect();
    assert!(failed.is_empty(), "these seeds fail: {failed:?}");
}

#[test]
fn plans_of_mended_bugs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regress");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the folder of kept plans")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "there are kept plans in {}", folder.display());
    for path in files {
        println!("{}", path.display());
        check(&Plan::load(&path).expect("a plan"));
    }
}
