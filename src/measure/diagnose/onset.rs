//! Where something begins to fail.

use serde::{Deserialize, Serialize};

use crate::words::grouped;

/// The token at which a loss or a factor begins to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenOnset {
    /// The first token behind the change.
    pub at: u64,
    /// 95 % interval; of sampled queries or states, the sampled one before and the first that fails.
    pub interval: [u64; 2],
}

impl TokenOnset {
    /// Known exactly.
    pub(super) fn exactly(at: u64) -> Self {
        Self { at, interval: [at, at] }
    }

    /// `; begins at position 368 (352 to 384)`, to go on with.
    pub(super) fn words(&self) -> String {
        let [low, high] = self.interval.map(grouped);
        format!("; begins at position {} ({low} to {high})", grouped(self.at))
    }
}
