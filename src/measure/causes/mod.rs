//! What makes a model fail beyond its training length, by intervention: its loss with one cause, one layer or one head mended.
//!
//! * [`CauseRuns`]: the eight policies of the factorial over one text, and [`Causes`], what they say.
//! * [`measure_places`]: the fix in one layer or head alone, and everywhere but in one layer ([`Places`]).
//! * [`smallest_fix`]: a small set of heads or layers whose fix restores almost all of the loss ([`SmallestFix`]).
//! * [`TemperatureRemedy`]: number of keys by its other remedy, so that how many keys there are is told apart from which.
//! * [`predictions`]: whether what a diagnosis measures of a head predicts what the fix in it restores.
//!
//! The fix is `lm-infinite`, the model as it is `vanilla`; losses are compared on tokens from the training length on. How a
//! loss is split between causes is said in [`lm_infinite_analysis::causes`].

mod factorial;
mod interventions;
mod places;
mod policies;
mod predictions;
mod restored;
mod result;
mod smallest;
mod temperature;
mod words;

pub use factorial::CauseRuns;
pub use interventions::Interventions;
pub use places::{HeadEffect, LayerEffect, Places, measure_places};
pub use policies::cause_policy;
pub use predictions::{MeasuredHead, Prediction, predictions};
pub use restored::Restored;
pub use result::{CauseRun, Causes};
pub use smallest::{Place, RandomSets, SmallestFix, smallest_fix};
pub use temperature::TemperatureRemedy;
