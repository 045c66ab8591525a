//! A byte-level BPE vocabulary for a text: 256 bytes, so that every text can be written, one BOS, and merges.

use lm_infinite_runtime::Error;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, PreTokenizerWrapper};

use crate::error::Result;

/// The token at the start of every text.
pub const BOS: &str = "<s>";

/// Trains a vocabulary of `size` tokens on `texts`; returns it as `tokenizer.json`. Digits stand alone, as in SmolLM2, and
/// a BOS comes first.
///
/// # Errors
/// Where the texts have too few different words for that many tokens.
pub fn train(texts: &[String], size: usize) -> Result<String> {
    let failed = |e: tokenizers::Error| Error::input("tokenizer", e);
    let digits = PreTokenizerWrapper::Digits(Digits::new(true));
    let bytes = PreTokenizerWrapper::ByteLevel(ByteLevel::default().add_prefix_space(false));
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![digits, bytes])));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    let mut trainer: TrainerWrapper = BpeTrainer::builder()
        .vocab_size(size)
        .show_progress(false)
        .special_tokens(vec![AddedToken::from(BOS, true)])
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build()
        .into();
    tokenizer
        .train(&mut trainer, texts.iter().flat_map(|text| text.split_inclusive('\n')))
        .map_err(failed)?;
    let got = tokenizer.get_vocab_size(true);
    if got != size {
        let reason = format!("the texts have words for {got} tokens only");
        return Err(Error::input(format!("--vocabulary {size}"), reason).into());
    }
    let bos = tokenizer.token_to_id(BOS).unwrap_or_default();
    let template = TemplateProcessing::builder()
        .try_single(format!("{BOS} $A"))
        .and_then(|builder| builder.try_pair(format!("{BOS} $A $B")))
        .map_err(|e| Error::input("tokenizer", e))?
        .special_tokens(vec![(BOS, bos)])
        .build()
        .map_err(|e| Error::input("tokenizer", e))?;
    tokenizer.with_post_processor(Some(template));
    Ok(tokenizer.to_string(true).map_err(failed)?)
}
