//! Measurements of length failure, on ndarray alone.
//!
//! One measurement is one file: what goes in, what comes out, and its formula. Those that watch a run are streaming
//! accumulators: their memory depends on the number of bins, never on the length of the text, and two accumulators of
//! the same shape merge into the one that would have seen both inputs. Sums are kept in f64, because a run adds up
//! hundreds of thousands of f32 values of similar size.

pub mod bins;
pub mod curve;
pub mod distance;
pub mod drift;
pub mod entropy;
pub mod error;
pub mod explosion;
mod grid;
pub mod head_means;
mod linalg;
pub mod moments;
pub mod nll;
pub mod sketch;
#[cfg(test)]
mod testing;
pub mod theory;

pub use bins::Bins;
pub use curve::BandCurve;
pub use error::{Error, Result};
pub use head_means::HeadMeans;
pub use moments::Moments;
pub use sketch::QuantileSketch;
