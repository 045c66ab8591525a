//! Where hidden states lie, by layer and position (factor 3: start tokens and the region of features; paper section 3,
//! Fig. 1c and appendix E).
//!
//! One site (embedding, or after some block) at a time; a state is a row of `hidden` numbers, in the units of the model.
//!
//! * [`Pca`]: principal components, the picture of Fig. 1c.
//! * [`StateRegion`]: mean and spread `rms = sqrt(mean ‖x − mean‖²)`; the distance of a state is `‖x − mean‖ / rms`, so that
//!   members are at 1 on (root mean square) average. Start tokens far above that have a region of their own.
//! * [`StartSeparation`]: distance and cosine of the start tokens to the rest.
//! * [`Mahalanobis`]: distance of late positions to the distribution inside the training length, direction by direction.
//! * [`PositionProbe`]: how much of `ln(1 + position)` a linear map reads out of the states. Observation 1 of the paper
//!   says that it is there, and most at the start.
//! * [`head_sinks`]: how much attention goes to the start tokens, by layer and head.
//! * [`StateMoments`]: count, mean and scatter of a stream of states of any length, at O(hidden²) memory; shards merge. What is
//!   made of them (`of_moments`, [`PositionProbe`]) costs O(hidden³), which is for narrow models.
//!
//! Of a bounded number `n` of states the same follows at the cost of a thin SVD or of their products with each other,
//! O(n²·hidden) for n < hidden: [`Pca::fit`], [`StateRegion::fit`], [`Mahalanobis::fit`], [`ProbeResult::of_states`].
//!
//! States that hold a NaN or ±inf stay out of a fit and are counted; they are themselves projected to NaN and at distance
//! NaN.

mod mahalanobis;
mod moments;
mod pca;
mod probe;
mod probe_of_states;
mod region;
mod separation;
mod sink;
mod states;

pub use mahalanobis::{Mahalanobis, Shrinkage};
pub use moments::StateMoments;
pub use pca::Pca;
pub use probe::{PositionProbe, ProbeResult, ProbeRule};
pub use region::StateRegion;
pub use separation::{Separation, StartSeparation};
pub use sink::{HeadSink, head_sinks};
