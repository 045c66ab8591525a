//! Reads a text of one's own under two policies and says where their losses part.
//!
//! `cargo run --release --example two_policies -- book.txt`; without a file it reads the embedded text.

use std::sync::Arc;

use lm_infinite::policy::PolicySpec;
use lm_infinite::session::{Decoder, Session};
use lm_infinite::{checkpoint, hub};

/// Tokens to read, 8 times the training length of the model.
const TOKENS: usize = 2048;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = match std::env::args().nth(1) {
        Some(path) => std::fs::read_to_string(path)?,
        None => lm_infinite::text::EMBEDDED_TEXT.to_owned(),
    };
    let loaded = checkpoint::load("tiny-rope", &hub::Cache::open()?)?;
    let trained_length = loaded.config.trained_length;
    let mut tokens = loaded.tokenizer.encode(&text)?;
    tokens.truncate(TOKENS);
    let decoder = Arc::new(Decoder::new(loaded.config, loaded.weights)?);

    let mut losses = Vec::new();
    for name in ["vanilla", "lm-infinite"] {
        let policy = PolicySpec::parse(name, trained_length)?.policy;
        let mut session = Session::new(decoder.clone(), policy)?;
        losses.push(session.score(&tokens, None)?);
    }

    println!("tokens            vanilla  lm-infinite   (mean loss in nats per token)");
    let width = trained_length as usize / 2;
    for begin in (0..losses[0].nll.len()).step_by(width) {
        let end = (begin + width).min(losses[0].nll.len());
        let mean = |run: usize| {
            let part = &losses[run].nll[begin..end];
            part.iter().map(|&nll| f64::from(nll)).sum::<f64>() / part.len() as f64
        };
        let first = losses[0].first_position + begin as u64;
        println!("{first:>5} … {:<8} {:>8.3} {:>12.3}", first + (end - begin) as u64 - 1, mean(0), mean(1));
    }
    Ok(())
}
