//! Text that goes on behind other text: it is encoded without the space (`▁`) that many tokenizers put in front of a
//! text, so that the tokens of a text's pieces are those of the text.
//!
//! Only the first segment of the text is concerned. Where added tokens stand inside a text, what tokenizers put behind
//! them is theirs.

use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper};

/// A normalizer that puts nothing in front of a text.
pub(super) struct WithoutPrefix<'a>(pub &'a NormalizerWrapper);

impl Normalizer for WithoutPrefix<'_> {
    fn normalize(&self, text: &mut NormalizedString) -> tokenizers::Result<()> {
        if starts_the_text(text) { without_prefix(self.0, text) } else { self.0.normalize(text) }
    }
}

/// Is this the first segment?
pub(super) fn starts_the_text(segment: &NormalizedString) -> bool {
    segment.offsets_original().0 == 0
}

fn without_prefix(normalizer: &NormalizerWrapper, text: &mut NormalizedString) -> tokenizers::Result<()> {
    match normalizer {
        NormalizerWrapper::Sequence(steps) => {
            steps.as_ref().iter().try_for_each(|step| without_prefix(step, text))
        }
        NormalizerWrapper::Prepend(_) => Ok(()),
        other => other.normalize(text),
    }
}

/// `step` without a space in front; `None` if it puts none there.
pub(super) fn pre_tokenizer_without_prefix(step: &PreTokenizerWrapper) -> Option<PreTokenizerWrapper> {
    match step {
        PreTokenizerWrapper::Metaspace(marks) if marks.get_prepend_scheme() != PrependScheme::Never => {
            let mut marks = marks.clone();
            marks.set_prepend_scheme(PrependScheme::Never);
            Some(marks.into())
        }
        PreTokenizerWrapper::ByteLevel(bytes) if bytes.add_prefix_space => {
            let mut bytes = *bytes;
            bytes.add_prefix_space = false;
            Some(bytes.into())
        }
        PreTokenizerWrapper::Sequence(steps) => {
            let changed: Vec<_> = steps.as_ref().iter().map(pre_tokenizer_without_prefix).collect();
            changed.iter().any(Option::is_some).then(|| {
                let steps = steps.as_ref().iter().zip(changed);
                Sequence::new(steps.map(|(step, changed)| changed.unwrap_or_else(|| step.clone())).collect())
                    .into()
            })
        }
        _ => None,
    }
}
