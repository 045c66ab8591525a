//! Negative log-likelihood by token position, and where it breaks (paper Figs. 3–5, in nats per predicted token).
//!
//! Positions are those of the *predicted* token: a text of n tokens has values at 1..n. A NaN or ±inf is a loss that has
//! left the floats: it is counted and located, a bin that holds one has no mean, and so has no mean
//! what would be a mean over it: a perplexity of the finite tokens alone would be that of another text.
//!
//! * [`NllByPosition`]: mean by bin; whether a loss fails is a matter of [`crate::effect`].
//! * [`DocumentBootstrap`]: confidence bands over documents.
//! * [`BreakOrder`]: which factor broke first.

mod bootstrap;
mod by_position;
mod order;

pub use bootstrap::{BandBucket, DocumentBootstrap};
pub use by_position::{Break, NllBucket, NllByPosition};
pub use order::{BreakOrder, Factor, FactorBreak};
