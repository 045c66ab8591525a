//! What a figure is of, for its title.

use crate::diagnose::Diagnosis;
use crate::words::grouped;

/// What a figure is of: the model, that a part of the text alone was read, and that the text repeats, where it does.
pub fn subject(diagnosis: &Diagnosis) -> String {
    let (read, tokens) = (diagnosis.tokens_read(), diagnosis.tokens);
    let partial = match diagnosis.is_partial() {
        true => format!(" (partial: {} of {} tokens)", grouped(read), grouped(tokens)),
        false => String::new(),
    };
    // What has not been read does not repeat yet.
    let repeated_from = diagnosis.repeated_from.filter(|&from| from < read || !diagnosis.is_partial());
    with_repetition(&format!("{}{partial}", diagnosis.model), repeated_from)
}

/// The name of a model, and that the text repeats.
pub fn with_repetition(model: &str, repeated_from: Option<u64>) -> String {
    match repeated_from {
        Some(from) => format!("{model} (text repeats from token {})", grouped(from)),
        None => model.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::synthetic;

    #[test]
    fn a_figure_of_a_part_of_the_text_says_so() {
        let mut diagnosis = synthetic::diagnosis(128, 300, &["vanilla", "lm-infinite"]);
        let model = diagnosis.model.clone();
        assert_eq!(subject(&diagnosis), model);
        diagnosis.repeated_from = Some(290);
        assert_eq!(subject(&diagnosis), format!("{model} (text repeats from token 290)"));
        diagnosis.runs[1].buckets.pop();
        assert_eq!(subject(&diagnosis), format!("{model} (partial: 288 of 300 tokens)"));
    }
}
