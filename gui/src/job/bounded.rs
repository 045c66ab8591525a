//! Models with an embedding of each position: no text is longer, and no policy changes distances, of which attention is given none.

use lm_infinite::model::ModelConfig;
use lm_infinite::note::Note;

use crate::settings::{DEFAULT_POLICIES, Settings};
use crate::words::grouped;

/// What the model can read of `settings`, and what there is to say of the rest: no more tokens than have a position, and in place of
/// a B that nobody chose one that the model can follow. What was chosen stays, and may be refused.
pub fn readable(settings: &Settings, config: &ModelConfig) -> (Settings, Vec<Note>) {
    let (mut settings, mut said) = (settings.clone(), Vec::new());
    let most = config.most_tokens();
    if let Some(most) = most.filter(|&most| settings.tokens > most) {
        let words = format!(
            "learned, one embedding for each of {}: no text is longer, so {} tokens are read, not {}",
            grouped(most),
            grouped(most),
            grouped(settings.tokens)
        );
        said.push(Note::new("positions", words));
        settings.tokens = most;
    }
    if let Some(b) = settings.policies.get_mut(1).filter(|_| settings.b_unchosen) {
        *b = DEFAULT_POLICIES[1].to_owned();
        if most.is_some() {
            // A quarter of the training length, as the command line has it.
            *b = format!("lambda:window={}", (config.trained_length / 4).max(1));
            let words = format!(
                "lm-infinite changes distances, of which attention is given none here, since positions are learned: B, which nobody \
                 chose, is its mask alone, {b}. lm-infinite chosen for B is refused"
            );
            said.push(Note::new("policies", words));
        }
    }
    (settings, said)
}
