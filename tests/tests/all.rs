//! Everything that stands above a single crate, in one binary.

mod corpora;
mod layers;
