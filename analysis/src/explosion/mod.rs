//! Attention logits against distance and against length (factor 1: unseen distances; paper section 3, Fig. 1a).
//!
//! All logits are those that the softmax sees: scaled by `1/sqrt(head_dim)`, position encoding included, no unit. Three
//! questions, each by layer, head and bin, pooled over heads, and as mean ± std over heads:
//!
//! * [`LogitsByDistance`]: `w(q_i, k_j)` against `d = i − j`. Its prefix maximum `max_{d' ≤ d} w` is Fig. 1a: *signed*
//!   (the paper's running maximum begins at −15; it is no `max |w|`), and averaged over heads after the maximum is taken.
//! * [`LogitsByLength`]: the same logits against the position of the query, that is against context length.
//! * [`LogitQuantiles`]: quantiles against distance, with a stated error.
//!
//! [`UnseenDistances`] says what distance alone does: the same queries and keys at distances beyond the training length and at
//! distances of training. [`HeadRange`] tells which heads leave the range of logits that they had inside the training length, and where first.
//!
//! Everywhere: −inf is a masked key and is skipped; NaN and +inf are counted and located, and the cell that saw one has
//! extremes of NaN, no mean and no quantile; a cell that saw nothing has a maximum of −inf, and no mean and no quantile.
//! Memory depends on layers × heads × bins alone.

mod cells;
mod distance;
mod length;
mod quantiles;
mod range;
mod unseen;

pub use cells::PooledLogits;
pub use distance::LogitsByDistance;
pub use length::LogitsByLength;
pub use quantiles::LogitQuantiles;
pub use range::{Extent, HeadExcess, HeadRange, RangeBreak, RangeRule};
pub use unseen::{PairLogits, UnseenDistances};
