//! Text that goes on behind other text: it is encoded without the space (`▁`) that many tokenizers put in front of a
//! text, so that the tokens of a text's pieces are those of the text.
//!
//! Only the first segment of the text is concerned. Where added tokens stand inside a text, what tokenizers put behind
//! them is theirs.

use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper, PreTokenizedString, PreTokenizer};

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

/// What takes the place of a pre-tokenizer for a text that goes on behind another.
pub(super) enum Behind {
    /// A step, or a sequence of them, that puts no space in front of anything.
    Plain(PreTokenizerWrapper),
    /// A sequence that first splits a text and then puts a space in front of each part: of each but the first.
    AllButFirst {
        /// The steps that split.
        split: Vec<PreTokenizerWrapper>,
        /// The step that had put spaces in front, and what follows it.
        rest: Vec<PreTokenizerWrapper>,
    },
}

impl PreTokenizer for Behind {
    fn pre_tokenize(&self, text: &mut PreTokenizedString) -> tokenizers::Result<()> {
        match self {
            Self::Plain(step) => step.pre_tokenize(text),
            Self::AllButFirst { split, rest } => {
                split.iter().try_for_each(|step| step.pre_tokenize(text))?;
                text.split(|index, mut part| {
                    if index > 0 && !part.get().starts_with(char::is_whitespace) {
                        part.prepend(" ");
                    }
                    Ok(std::iter::once(part))
                })?;
                rest.iter().try_for_each(|step| step.pre_tokenize(text))
            }
        }
    }
}

/// What takes the place of `step` behind another text; `None` if it puts no space in front.
pub(super) fn behind(step: &PreTokenizerWrapper) -> Option<Behind> {
    let PreTokenizerWrapper::Sequence(steps) = step else {
        return without_space(step).map(Behind::Plain);
    };
    let steps = steps.as_ref();
    let at = steps.iter().position(|step| without_space(step).is_some())?;
    let rest = steps[at..].iter().map(|step| without_space(step).unwrap_or_else(|| step.clone())).collect();
    let split = steps[..at].to_vec();
    if split.is_empty() {
        return Some(Behind::Plain(Sequence::new(rest).into()));
    }
    // Of the steps that put spaces in front, ByteLevel does so for each part.
    match &steps[at] {
        PreTokenizerWrapper::ByteLevel(_) => Some(Behind::AllButFirst { split, rest }),
        _ => Some(Behind::Plain(Sequence::new([split, rest].concat()).into())),
    }
}

/// `step` without a space in front; `None` if it puts none there.
fn without_space(step: &PreTokenizerWrapper) -> Option<PreTokenizerWrapper> {
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
        _ => None,
    }
}
