//! Telepane's coders: what changed in, slices of bytes out; slices in, pixels out; and frames of [`sound`].
//!
//! An [`Encoder`] follows what one viewer holds of one surface in one epoch, and codes the difference to the newest
//! pixels; a [`Decoder`] applies the slices in order and ends with exactly [`Encoder::sent`]. Each op has its module:
//! [`fill`], [`shift`] (MOVE), [`cache`], [`text`], [`picture`], [`exact`] and [`film`]; `protocol-spec/codec.md` describes
//! their bytes in numbered sentences, which code and tests cite as `spec: C-n`.
//!
//! No clock, no thread, no file. Unsafe code stands only in [`kernel`] (SIMD) and [`h264`] (openh264).

#![deny(unsafe_code)]

pub mod blocks;
pub mod cache;
pub mod classify;
pub mod colour;
pub mod decoder;
pub mod diff;
pub mod encoder;
pub mod exact;
pub mod fault;
pub mod fill;
pub mod film;
pub mod fuzzing;
pub mod h264;
pub mod history;
pub mod kernel;
pub mod median;
pub mod motion;
pub mod packer;
pub mod palette;
pub mod picture;
mod plan;
pub mod proof;
pub mod scale;
pub mod shared;
pub mod shift;
pub mod sound;
pub mod sps;
pub mod streams;
pub mod text;
pub mod wire;

#[cfg(test)]
mod cache_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use cache::TileCache;
pub use decoder::{Applied, Decoder, MOST_SEEN, Seen};
pub use diff::diff;
pub use encoder::{BaseGone, Encoder, EncoderOptions, SlotMap, Stage};
pub use fault::CodecFault;
pub use shared::Shared;
pub use wire::limits;
