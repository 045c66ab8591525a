//! What unit tests of several files read.

use lm_infinite_runtime::checkpoint::{LoadedModel, load};
use lm_infinite_runtime::hub::Cache;

/// The embedded model `tiny-rope`.
pub fn tiny() -> LoadedModel {
    load("tiny-rope", &Cache::open().expect("a folder")).expect("it is embedded")
}
