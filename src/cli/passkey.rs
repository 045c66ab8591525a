//! `passkey`: can the model find a number that was told far back?

use serde_json::json;

use super::args::{Cli, Passkey};
use super::inputs::Model;
use super::output::{self, Output};
use crate::passkey::{self, Prompt};

/// Runs the command.
pub fn run(args: &Passkey, cli: &Cli, output: &Output) -> anyhow::Result<()> {
    let model = Model::load(&args.model)?;
    let policies = model.policies(&args.policies, &["vanilla".into(), "lm-infinite".into()])?;
    let default = [model.trained_length()];
    let lengths = if args.lengths.is_empty() { &default[..] } else { &args.lengths };
    let tokenizer = &model.loaded.tokenizer;
    let prompts = lengths
        .iter()
        .map(|&length| {
            let length = usize::try_from(length)?;
            let prompts = (0..u64::from(args.samples))
                .map(|sample| Prompt::new(tokenizer, length, None, cli.seed.wrapping_add(sample)))
                .collect::<crate::Result<Vec<_>>>()?;
            Ok((length, prompts))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let total = (policies.len() * lengths.len()) as u64 * u64::from(args.samples);
    let bar = output::progress("passkey", total, "prompts");
    let (mut words, mut runs) = (String::new(), Vec::new());
    for spec in &policies {
        for (length, prompts) in &prompts {
            let mut right = 0;
            for prompt in prompts {
                let answer = passkey::answer(&model.decoder, tokenizer, &spec.policy, prompt)?;
                right += usize::from(prompt.is_answered_by(&answer));
                bar.inc(1);
            }
            let accuracy = right as f64 / prompts.len() as f64;
            words += &format!("{:<40} {length:>9} tokens  {:>5.1} %\n", spec.label, 100.0 * accuracy);
            runs.push(json!({
                "policy": spec.label,
                "length": length,
                "samples": prompts.len(),
                "accuracy": accuracy,
            }));
        }
    }
    bar.finish_and_clear();
    output.write(&words, &json!({ "model": model.loaded.name, "runs": runs }))
}
