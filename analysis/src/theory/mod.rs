//! The paper's statements, in a form that can be computed and tested.
//!
//! * [`encodings`]: logits by position encoding.
//! * [`packing`], [`pseudo_dimension`], [`theorem_2`]: Theorem 2, if an encoding tells many distances apart then logits
//!   are large (appendices C and F).
//! * Proposition 2, entropy grows with the number of keys (appendix D): [`crate::entropy::EntropyBounds`].
//! * [`observation`]: Observation 1, attention without positions can write positions.
//! * [`lambda`]: what the Λ mask and the distance ceiling guarantee.
//! * [`mod@claims`]: all of it as rows of bound and measured value.
//!
//! What is stated about all (q, k) is checked on samples: drawn ones, or captured from a model. Theorem 2 holds for the
//! distribution of the samples itself, so there it is no estimate.

pub mod claims;
pub mod encodings;
pub mod lambda;
pub mod observation;
pub mod packing;
pub mod pseudo_dimension;
pub mod theorem_2;

pub use claims::{Claim, Relation, Verdict, claims};
pub use encodings::Encoding;
pub use packing::{LogitSamples, Metric, Packing, Separations};
pub use pseudo_dimension::PseudoDimension;
pub use theorem_2::Theorem2;
