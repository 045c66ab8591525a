//! How much of its text a diagnosis is of.

use super::model::{Diagnosis, RunMeasurement};

impl RunMeasurement {
    /// Tokens that were read, the first, which has no loss, among them; 0 before the first loss.
    pub fn tokens_read(&self) -> u64 {
        self.buckets.last().map_or(0, |bucket| bucket.to)
    }
}

impl Diagnosis {
    /// Tokens that every run has read: fewer than [`Self::tokens`] while the text is being read, and where it was stopped.
    pub fn tokens_read(&self) -> u64 {
        self.runs.iter().map(RunMeasurement::tokens_read).min().unwrap_or(0)
    }

    /// Whether a part of the text alone was read: what is measured is not what a whole run measures.
    pub fn is_partial(&self) -> bool {
        // A text of one token has no loss.
        self.runs.iter().any(|run| run.tokens_read().max(1) < self.tokens)
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnose::synthetic;

    #[test]
    fn what_was_read_ends_with_the_last_loss() {
        let mut diagnosis = synthetic::diagnosis(128, 300, &["vanilla", "lm-infinite"]);
        assert_eq!((diagnosis.tokens_read(), diagnosis.is_partial()), (300, false));
        diagnosis.runs[1].buckets.pop();
        assert_eq!((diagnosis.tokens_read(), diagnosis.is_partial()), (288, true));
        diagnosis.runs[1].buckets.clear();
        assert_eq!((diagnosis.tokens_read(), diagnosis.is_partial()), (0, true));
        assert!(!synthetic::diagnosis(64, 1, &["vanilla"]).is_partial(), "a text of one token has no loss");
        assert!(!synthetic::diagnosis(64, 256, &[]).is_partial());
    }
}
