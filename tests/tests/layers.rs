//! The rules of ARCHITECTURE.md, held against the tree. They stand in `xtask::layers`, and `cargo xtask layers` prints more.

use std::path::{Path, PathBuf};

use xtask::{layers, licences, shown, tree};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn nothing(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n  {}", wrong.join("\n  "));
}

#[test]
fn no_import_climbs_a_floor() {
    let imports = layers::imports(&tree::metadata(&root()).unwrap());
    assert!(imports.len() > 10 && imports["session"].contains("rate"), "the graph was not read: {imports:?}");
    nothing(layers::climbing(&imports));
}

#[test]
fn nothing_pure_has_a_runtime_or_a_socket_below_it() {
    nothing(layers::heavy(&tree::metadata(&root()).unwrap()));
}

#[test]
fn nothing_pure_touches_the_world() {
    nothing(layers::impure(&root()).unwrap());
}

#[test]
fn every_crate_is_on_the_map_with_what_is_never_there() {
    nothing(layers::unmapped(&root()).unwrap());
}

#[test]
fn every_licence_is_allowed() {
    licences::check(&root()).unwrap();
}

#[test]
fn every_test_that_a_page_names_is_there() {
    println!("{}", shown::check(&root()).unwrap());
}
