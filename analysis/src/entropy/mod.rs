//! Attention entropy against context length (factor 2: unseen number of tokens; paper section 3, Fig. 1b, and
//! appendix D).
//!
//! `H_i = −Σ_j p_ij ln p_ij` over the *attended* keys of query `i`, in nats. A masked key (logit −inf) has no share in
//! `n`, in `H` or in any bound. `e^H` is the effective number of attended keys: a uniform row over `n` keys has `n`.
//!
//! * [`EntropyAccumulator`]: `H`, `e^H` and the mass on start tokens by layer, head and position, from a kernel that
//!   knows them (`H = ln Σ e^w − Σ p·w`).
//! * [`RowEntropy`]: one row of logits with the four curves of [`EntropyBounds`]; [`EntropyRows`] accumulates them.
//! * [`EntropyExcess`]: rows with all their keys against the same rows with as many as in training.
//! * [`growth`] and [`EntropyAccumulator::heads`]: first break, pooled and per head.
//!
//! NaN and ±inf are counted and left out; an empty bin has no value.

mod accumulator;
mod bounds;
mod excess;
mod growth;
mod rows;

pub use accumulator::{EntropyAccumulator, HeadEntropy};
pub use bounds::{EntropyBounds, RowEntropy};
pub use excess::EntropyExcess;
pub use growth::{EntropyGrowth, growth};
pub use rows::{EntropyCurves, EntropyRows};
