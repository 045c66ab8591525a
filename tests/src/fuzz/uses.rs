//! What is done with what was read: models run, tokenizers encode, templates render.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lm_infinite::checkpoint::{self, LoadedModel};
use lm_infinite::hub::Cache;
use lm_infinite::policy::PolicySpec;
use lm_infinite::session::{Decoder, Session};
use lm_infinite::tokenizer::{ChatMessage, ChatTemplate, Tokenizer};

use super::{Outcome, seeds};

/// Bytes that a model may take to load and to run, whatever it is: tables, regular expressions, threads.
pub const MODEL: [usize; 2] = [8 << 20, 64];

/// A folder of its own for one target.
pub fn own_folder(folder: &Path, name: &str) -> std::io::Result<PathBuf> {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Loads a model and runs it for a few tokens.
pub fn check_model(path: &Path) -> Outcome {
    let reference = path.to_str().expect("the folder of the harness is UTF-8");
    match checkpoint::load(reference, &Cache::at("no-cache")) {
        Ok(loaded) => used(loaded).map_or_else(Outcome::refused, Outcome::Accepted),
        Err(error) => Outcome::refused(error),
    }
}

/// What a model says and does; refusals count as refusals of the file.
pub fn used(loaded: LoadedModel) -> lm_infinite::Result<String> {
    let mut told = format!("{} {:?} {:?}\n", loaded.name, loaded.config, loaded.notes);
    let tokenizer = loaded.tokenizer;
    encoded(&tokenizer, loaded.config.vocabulary, &mut told);
    if let Some(template) = &loaded.chat_template {
        told += &rendered(template);
    }
    let (vocabulary, trained) = (loaded.config.vocabulary, loaded.config.trained_length);
    // Where positions are learned, policies that change distances are refused.
    let bounded = loaded.config.most_tokens().is_some();
    let policies =
        if bounded { ["vanilla", "window:window=2"] } else { [seeds::POLICIES[0], seeds::POLICIES[1]] };
    let decoder = Arc::new(Decoder::new(loaded.config, loaded.weights)?);
    for policy in policies {
        let policy = PolicySpec::parse(policy, trained)?.policy;
        let mut session = Session::new(decoder.clone(), policy)?;
        session.feed(&[0, vocabulary as u32 - 1, 0], None)?;
        let logits = session.logits().expect("tokens were read");
        assert_eq!(logits.len(), vocabulary, "one logit per token");
        let bits: Vec<u32> = logits.iter().map(|logit| logit.to_bits()).collect();
        let _ = writeln!(told, "{bits:?}");
    }
    Ok(told)
}

/// Tokens of some texts, each smaller than `limit`, and their texts again.
fn encoded(tokenizer: &Tokenizer, limit: usize, told: &mut String) {
    for text in ["the é 日 <|endoftext|>the  \n", " is", ""] {
        for ids in [tokenizer.encode(text), tokenizer.encode_continuation(text)] {
            match ids.and_then(|ids| Ok((tokenizer.decode(&ids)?, ids))) {
                Ok((text, ids)) => {
                    assert!(ids.iter().all(|&id| (id as usize) < limit), "{ids:?}");
                    let mut stream = tokenizer.stream_after(&ids);
                    let last: Vec<_> = ids.iter().map(|&id| stream.push(id)).collect();
                    let _ = writeln!(told, "{ids:?} {text:?} {last:?}");
                }
                Err(error) => *told += &error.to_string(),
            }
        }
    }
}

/// Reads a tokenizer and encodes texts.
pub fn check_tokenizer(folder: &Path) -> Outcome {
    match Tokenizer::from_folder(folder, 1000) {
        Ok(tokenizer) => {
            let mut told = format!("{:?} {:?} {:?}\n", tokenizer.notes(), tokenizer.bos(), tokenizer.eos());
            encoded(&tokenizer, 1000, &mut told);
            Outcome::Accepted(told)
        }
        Err(error) => Outcome::refused(error),
    }
}

/// What a template makes of a conversation.
pub fn rendered(template: &ChatTemplate) -> String {
    let messages = [ChatMessage::new("user", " Hi, the é "), ChatMessage::new("assistant", "1 < 2")];
    match template.render(&messages, true) {
        Ok(text) => text,
        Err(error) => error.to_string(),
    }
}
