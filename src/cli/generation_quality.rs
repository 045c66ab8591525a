//! `generation-quality`: how a text goes on under each policy, against how it does (paper Table 3).

use std::ffi::OsString;

use lm_infinite_runtime::corpus;
use lm_infinite_runtime::random;
use rand::Rng;
use serde_json::json;

use super::args::{Cli, GenerationQuality};
use super::inputs::{self, Model};
use super::output::{self, Output, say};
use super::task::{self, Run, short};
use crate::error::Error;
use crate::figures::{Chart, PointSeries, Points};
use crate::method::{Method, continuation, finite};
use crate::results::Source;
use crate::results::task::{Table, TaskResult};
use crate::scores::{bleu::bleu, rouge::mean_rouge_l};

/// BLEU and ROUGE-L, each from 0 to 1.
type Scores = [f64; 2];

/// What became of the continuations of one method at one length.
struct Outcome {
    scores: Scores,
    /// Continuations that do not exist, because logits are not finite. They score 0, as an empty text does.
    not_finite: u64,
}

/// Runs the command.
pub fn run(
    args: &GenerationQuality,
    cli: &Cli,
    arguments: &[OsString],
    output: &Output,
) -> anyhow::Result<()> {
    task::check_folder("generation-quality", args.out.as_ref())?;
    let model = Model::load(&args.model)?;
    let text = inputs::text(&args.text)?;
    let methods = task::methods(&model, &args.policies, &["vanilla", "lm-infinite"])?;
    let tokenizer = &model.loaded.tokenizer;
    let default = [model.trained_length()];
    let lengths = if args.lengths.is_empty() { &default[..] } else { &args.lengths };
    let count = usize::try_from(args.tokens).unwrap_or(usize::MAX);
    if lengths.contains(&0) || count == 0 {
        return Err(Error::input("--lengths and --tokens", "at least 1 token is needed of each").into());
    }
    let longest = lengths.iter().max().map_or(0, |&length| usize::try_from(length).unwrap_or(usize::MAX));
    let needed = longest.saturating_add(count);
    let together = (needed as u64).saturating_mul(args.samples.into()).max(2);
    let sample = model.sample(corpus::pool(&text, tokenizer, together, None)?);
    say(&sample.notes);
    let tokens = sample.without_bos(tokenizer);
    if tokens.len() < needed {
        // Counted as everywhere, with the BOS that stands before the text.
        let before = sample.tokens.len() - tokens.len();
        let (got, needed) = (sample.tokens.len(), needed.saturating_add(before));
        let reason = format!("it has {got} tokens; prompt and continuation need {needed}");
        return Err(Error::input("text", reason).into());
    }
    // Ends of prompts: the same for every length and policy, so that all are asked for the same words.
    let mut random = random::expanded(cli.seed);
    let ends: Vec<usize> =
        (0..args.samples).map(|_| random.random_range(longest..=tokens.len() - count)).collect();
    let bos = task::bos(&model);
    let total = (ends.len() * lengths.len() * methods.len()) as u64;
    let bar = output::progress("generation-quality", total, "texts");
    // [method][length]
    let mut outcomes: Vec<Vec<Outcome>> = methods.iter().map(|_| Vec::new()).collect();
    for &length in lengths {
        for (method, outcomes) in methods.iter().zip(&mut outcomes) {
            let (mut pairs, mut not_finite) = (Vec::new(), 0);
            for &end in &ends {
                let body = &tokens[end - (length as usize).saturating_sub(usize::from(bos.is_some()))..end];
                let prompt: Vec<u32> = bos.into_iter().chain(body.iter().copied()).collect();
                let generated = continuation(&model.decoder, tokenizer, method, &prompt, count, &[])?
                    .collect::<crate::Result<Vec<u32>>>();
                let generated = finite(generated)?;
                not_finite += u64::from(generated.is_none());
                let generated = generated.unwrap_or_default();
                pairs.push((tokenizer.decode(&generated)?, tokenizer.decode(&tokens[end..end + count])?));
                bar.inc(1);
            }
            let scores = [bleu(&pairs), mean_rouge_l(&pairs).unwrap_or(0.0)];
            outcomes.push(Outcome { scores, not_finite });
        }
    }
    bar.finish_and_clear();
    let result = result(&model.loaded.name, args, lengths, &methods, &outcomes);
    let longest = lengths.iter().max().copied().unwrap_or(0).saturating_add(args.tokens);
    let source = Source { name: text.name().to_owned(), sha256: None };
    let (text, sample) = (source, Some(&sample));
    Run { model: &model, arguments, cli, methods: &methods, text, sample, tokens: longest }.finish(
        &result,
        args.out.as_ref(),
        output,
    )
}

fn result(
    model: &str,
    args: &GenerationQuality,
    lengths: &[u64],
    methods: &[Method],
    outcomes: &[Vec<Outcome>],
) -> TaskResult {
    let columns = ["policy", "length_tokens", "samples", "bleu", "rouge_l", "not_finite"];
    let mut table = Table::new("generation_quality", &columns);
    let (mut words, mut runs) = (String::new(), Vec::new());
    for (at, length) in lengths.iter().enumerate() {
        for (method, outcomes) in methods.iter().zip(outcomes) {
            let Outcome { scores: [bleu, rouge], not_finite } = outcomes[at];
            words += &format!(
                "{:<40} {length:>9} tokens  BLEU {:>5.1}  ROUGE-L {:>5.1}{}\n",
                method.label,
                100.0 * bleu,
                100.0 * rouge,
                task::not_finite(not_finite, "texts")
            );
            runs.push(json!({
                "policy": method.label,
                "length": length,
                "samples": args.samples,
                "bleu": bleu,
                "rouge_l": rouge,
                "not_finite": not_finite,
            }));
            let cells = [
                length.to_string(),
                args.samples.to_string(),
                bleu.to_string(),
                rouge.to_string(),
                not_finite.to_string(),
            ];
            table.rows.push(std::iter::once(method.label.clone()).chain(cells).collect());
        }
    }
    let chart = |name: &str, of: usize| {
        let series = methods.iter().zip(outcomes).map(|(method, outcomes)| PointSeries {
            name: method.label.clone(),
            values: outcomes.iter().map(|outcome| Some(100.0 * outcome.scores[of])).collect(),
            intervals: Vec::new(),
        });
        let lost = outcomes.iter().flatten().map(|outcome| outcome.not_finite).sum();
        Chart::Points(Points {
            title: format!("{name} of continuations, {model}"),
            note: format!(
                "{} continuations of {} tokens per length, against the text's own{}",
                args.samples,
                args.tokens,
                task::not_finite(lost, "texts")
            ),
            x_label: "prompt length (tokens)".into(),
            y_label: format!("{name} (%)"),
            x: lengths.iter().map(|&length| short(length)).collect(),
            at: lengths.iter().map(|&length| length as f64).collect(),
            logarithmic: false,
            from_zero: true,
            series: series.collect(),
        })
    };
    TaskResult {
        task: "generation-quality".into(),
        summary: words,
        data: json!({ "model": model, "tokens": args.tokens, "runs": runs }),
        tables: vec![table],
        charts: vec![("bleu".into(), chart("BLEU", 0)), ("rouge_l".into(), chart("ROUGE-L", 1))],
    }
}
