//! Models with an embedding of each position: no text is longer, and no policy changes distances, of which attention is given none.

use lm_infinite::model::ModelConfig;
use lm_infinite::note::Note;

use crate::settings::{DEFAULT_POLICIES, Settings};
use crate::words::grouped;

/// What the model can read of `settings`, and what there is to say of the rest: no more tokens than have a position, and in place of
/// the policies that are there without a choice those that it can follow. What was chosen stays, and may be refused.
pub fn readable(settings: &Settings, config: &ModelConfig) -> (Settings, Vec<Note>) {
    let (mut settings, mut said) = (settings.clone(), Vec::new());
    let Some(most) = config.most_tokens() else { return (settings, said) };
    if settings.tokens > most {
        let words = format!(
            "learned, one embedding for each of {}: no text is longer, so {} tokens are read, not {}",
            grouped(most),
            grouped(most),
            grouped(settings.tokens)
        );
        said.push(Note::new("positions", words));
        settings.tokens = most;
    }
    if settings.policies.iter().map(|policy| policy.trim()).eq(DEFAULT_POLICIES) {
        // A quarter of the training length, as the command line has it.
        let followed = format!("lambda:window={}", (config.trained_length / 4).max(1));
        let words = format!(
            "lm-infinite changes distances, of which attention is given none here, since positions are learned: B is its mask \
             alone, {followed}. lm-infinite typed for B is taken for no choice where A is vanilla"
        );
        said.push(Note::new("policies", words));
        settings.policies = vec![DEFAULT_POLICIES[0].to_owned(), followed];
    }
    (settings, said)
}
