//! The prediction that `diagnose --predict` makes.

use lm_infinite_runtime::corpus;
use lm_infinite_runtime::text::Text;

use super::inputs::Model;
use super::output::{progress, say};
use super::task;
use crate::error::Error;
use crate::prediction::{Predicted, Windows, predict};

/// What `model` will do on `text` up to `longest` tokens.
pub fn find(
    model: &Model,
    text: &Text,
    longest: u64,
    margin: f64,
    repeat: Option<u64>,
) -> anyhow::Result<Predicted> {
    if longest <= model.trained_length() {
        let reason = format!("it must be more than the training length of {} tokens", model.trained_length());
        return Err(Error::input("--predict", reason).into());
    }
    let windows = Windows::of(model.trained_length());
    let sample = model.sample(corpus::tokens(text, &model.loaded.tokenizer, Some(windows.tokens()), repeat)?);
    say(&sample.notes);
    let windows = windows.cut(&sample.tokens, task::bos(model))?;
    let bar = progress("prediction", 1, "windows");
    let predicted = predict(&model.decoder, &windows, longest, margin, &|done, of| {
        bar.set_length(of);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    Ok(predicted)
}
