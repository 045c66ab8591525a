//! Measurements of length failure, on ndarray alone.
//!
//! One measurement is one file: what goes in, what comes out, and its formula. Those that watch a run are streaming
//! accumulators: their memory depends on the number of bins, never on the length of the text, and two accumulators of
//! the same shape merge into the one that would have seen both inputs, in any order, up to rounding. Sums are kept in f64,
//! because a run adds up hundreds of thousands of f32 values of similar size.
//!
//! Numbers that are not finite are data: every accumulator counts and locates them ([`NonFinite`]), and no mean or maximum
//! passes over one. A logit of −inf is a key that is masked, and nothing broken.
//!
//! | module | factor | paper |
//! |---|---|---|
//! | [`explosion`] | 1: logits at unseen distances | section 3, Fig. 1a |
//! | [`entropy`], [`distance`] | 2: entropy at an unseen number of tokens, and where attention goes | section 3, Fig. 1b |
//! | [`drift`] | 3: start tokens and the region of features | section 3, Fig. 1c, appendix E |
//! | [`causes`] | | shares of an excess loss that each of the three causes has |
//! | [`effect`] | | how large an effect is, how sure, and where it begins |
//! | [`nll`] | what it costs, and which factor broke first | Figs. 3 to 5 |
//! | [`theory`] | the statements themselves | appendices C, D and F |
//!
//! Shared by them: [`Bins`] of positions or distances, [`HeadMeans`] by head and bin, [`BandCurve`]s over heads,
//! [`AttentionMaps`] and [`PooledMaps`], [`Moments`] and [`QuantileSketch`]es, and a [`Proportion`] with its interval. Entropy is in nats, logits are as the softmax
//! sees them, positions and distances in tokens.
//!
//! [`drift`] needs LAPACK and is left out without the feature `drift`, which is on by default.

pub mod bins;
pub mod causes;
pub mod curve;
pub mod distance;
#[cfg(feature = "drift")]
pub mod drift;
pub mod effect;
pub mod entropy;
pub mod error;
pub mod explosion;
mod grid;
pub mod head_means;
#[cfg(feature = "drift")]
mod linalg;
pub mod map;
pub mod moments;
pub mod nll;
pub mod non_finite;
pub mod pooled;
pub mod proportion;
pub mod sketch;
#[cfg(test)]
mod testing;
pub mod theory;

pub use bins::Bins;
pub use curve::BandCurve;
pub use error::{Error, Result};
pub use head_means::HeadMeans;
#[cfg(feature = "drift")]
pub use linalg::lapack_on_calling_thread;
pub use map::AttentionMaps;
pub use moments::Moments;
pub use non_finite::NonFinite;
pub use pooled::PooledMaps;
pub use proportion::Proportion;
pub use sketch::QuantileSketch;

/// The program in the README is compiled and run.
#[cfg(all(doctest, feature = "drift"))]
#[doc = include_str!("../README.md")]
struct Readme;
