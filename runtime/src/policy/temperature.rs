//! Queries that grow with the number of keys that they attend to.

use serde::{Deserialize, Serialize};

/// Queries multiplied by `max(1, ln n / ln from)`, `n` the number of keys that the query attends to. The entropy of a row whose
/// logits stay as they are grows with `ln n`; this is meant to hold it where training had it. ALiBi's bias is not multiplied.
///
/// Source: the `log n` scaling of Su (2021, "entropy invariance", used by ReRoPE) and, with a factor that is trained, scalable
/// softmax (Nakanishi 2025, arXiv 2501.19399). Where every key is attended, `n` is the position of the query, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Temperature {
    /// Number of keys up to which nothing changes: the training length.
    pub from: u64,
}

impl Temperature {
    /// What a query that attends to `keys` keys is multiplied by.
    pub fn query_scale(self, keys: u64) -> f64 {
        ((keys as f64).ln() / (self.from as f64).ln()).max(1.0)
    }
}
