//! What a figure is of, for its title.

use crate::diagnose::Diagnosis;

/// What a figure is of: the model, and that the text repeats, where it does.
pub fn subject(diagnosis: &Diagnosis) -> String {
    with_repetition(&diagnosis.model, diagnosis.repeated_from)
}

/// The name of a model, and that the text repeats.
pub fn with_repetition(model: &str, repeated_from: Option<u64>) -> String {
    match repeated_from {
        Some(from) => format!("{model} (text repeats from token {})", crate::words::grouped(from)),
        None => model.to_owned(),
    }
}
