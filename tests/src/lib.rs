//! What the tests above a single crate share: the fuzz targets as a table, and seeds for their corpora.
//!
//! The tests themselves are modules of one binary, `tests/tests/all.rs`.

#![forbid(unsafe_code)]

pub mod seeds;
pub mod targets;
