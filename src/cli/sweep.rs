//! `sweep`: one key of a policy over several values (the paper's Tables 4 to 7).

use std::ffi::OsString;

use lm_infinite_analysis::NonFinite;
use lm_infinite_runtime::corpus::{self, Sample};
use lm_infinite_runtime::note::Note;
use lm_infinite_runtime::text::Text;
use serde_json::json;

use super::args::{Cli, Sweep, SweepMeasure};
use super::inputs::{self, Model};
use super::output::{self, Output, say};
use super::task::{self, Run};
use crate::error::Error;
use crate::evaluate::evaluate;
use crate::figures::{Chart, PointSeries, Points};
use crate::method::Method;
use crate::passkey::{self, Prompt};
use crate::results::Source;
use crate::results::task::{Table, TaskResult};
use crate::words::loss;

/// Runs the command.
pub fn run(args: &Sweep, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    let model = Model::load(&args.model)?;
    task::check_folder(args.out.as_ref())?;
    let separator = if args.policy.contains(':') { ',' } else { ':' };
    let method =
        |value: &String| task::method(&model, &format!("{}{separator}{}={value}", args.policy, args.key));
    let methods = args.values.iter().map(method).collect::<crate::Result<Vec<Method>>>()?;
    let length = args.length.unwrap_or(model.trained_length().saturating_mul(16));
    let tokenizer = &model.loaded.tokenizer;
    let samples = u64::from(args.samples);
    let bar = output::progress("sweep", methods.len() as u64 * samples, "texts");
    let (mut values, mut broken, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    let (mut done, mut sample) = (samples, None);
    let text = match args.measure {
        SweepMeasure::Passkey => {
            let length = usize::try_from(length)?;
            let prompts = (0..samples)
                .map(|sample| Prompt::new(tokenizer, length, None, cli.seed.wrapping_add(sample)))
                .collect::<crate::Result<Vec<_>>>()?;
            for method in &methods {
                let (mut right, mut without_answer) = (0, 0);
                for prompt in &prompts {
                    match task::finite(passkey::answer(&model.decoder, tokenizer, method, prompt))? {
                        Some(answer) => right += usize::from(prompt.is_answered_by(&answer)),
                        None => without_answer += 1,
                    }
                    bar.inc(1);
                }
                values.push(Some(right as f64 / prompts.len() as f64));
                lost.push(without_answer);
            }
            Source { name: "passkey prompts".into(), sha256: None }
        }
        SweepMeasure::Nll => {
            let text = inputs::text(&args.text)?;
            let begin = model.trained_length();
            if length <= begin {
                let reason =
                    format!("the loss is that after the training length of {begin} tokens; got {length}");
                return Err(Error::input("--length", reason).into());
            }
            let (stretches, taken) = stretches(&model, &text, length, samples, args.repeat.seed(cli))?;
            say(&taken.notes);
            done = stretches.len() as u64;
            for method in &methods {
                let (mut sum, mut count, mut non_finite) = (0.0, 0usize, NonFinite::default());
                for tokens in &stretches {
                    let nll = evaluate(&model.decoder, &method.policy, tokens, None, &|_| ())?.nll;
                    // Entry t is the loss of token t + 1.
                    let late = &nll[begin as usize - 1..];
                    sum += late.iter().copied().map(f64::from).sum::<f64>();
                    count += late.len();
                    non_finite.note_all(begin, late, |nll| !nll.is_finite());
                    bar.inc(1);
                }
                values.push((count > 0 && !non_finite.any()).then(|| sum / count as f64));
                broken.push(non_finite);
            }
            sample = Some(taken);
            Source { name: text.name().to_owned(), sha256: None }
        }
    };
    bar.finish_and_clear();
    let sample = sample.as_ref();
    let lost = (&broken[..], &lost[..]);
    let result = result(args, &model.loaded.name, (length, done), &methods, &values, lost, sample);
    Run { model: &model, arguments, cli, methods: &methods, text, sample, tokens: length }.finish(
        &result,
        args.out.as_ref(),
        output,
    )
}

/// `count` segments of `length` tokens, one after the other, each behind the token that the model was trained to see first;
/// fewer of a shorter text, which a note says.
fn stretches(
    model: &Model,
    text: &Text,
    length: u64,
    count: u64,
    repeat: Option<u64>,
) -> anyhow::Result<(Vec<Vec<u32>>, Sample)> {
    let bos = task::bos(model);
    let length = usize::try_from(length)?;
    let total =
        (length as u64).checked_mul(count).ok_or_else(|| Error::input("--samples", "too many tokens"))?;
    let wanted = Some(total.saturating_add(1));
    let mut sample = corpus::tokens(text, &model.loaded.tokenizer, wanted, repeat)?;
    let take = length.saturating_sub(usize::from(bos.is_some())).max(1);
    let parts = sample.without_bos(&model.loaded.tokenizer).chunks_exact(take).take(count as usize);
    let stretches: Vec<Vec<u32>> =
        parts.map(|part| bos.into_iter().chain(part.iter().copied()).collect()).collect();
    if stretches.is_empty() {
        let reason = format!(
            "it has {} tokens; a segment of {length} needs as many (--repeat draws its documents again)",
            sample.tokens.len()
        );
        return Err(Error::input("text", reason).into());
    }
    if (stretches.len() as u64) < count {
        let said =
            format!("the text has {} segments of {length} tokens, {count} were asked for", stretches.len());
        sample.notes.push(Note::new("--samples", said));
    }
    Ok((stretches, sample))
}

/// `broken` has the tokens of all texts whose loss is not finite, where the loss is measured; `unanswered` how many prompts
/// have no answer because logits are not finite, where keys are asked for.
fn result(
    args: &Sweep,
    model: &str,
    (length, samples): (u64, u64),
    methods: &[Method],
    values: &[Option<f64>],
    (broken, unanswered): (&[NonFinite], &[u64]),
    sample: Option<&Sample>,
) -> TaskResult {
    let (measure, column, label, scale) = match args.measure {
        SweepMeasure::Passkey => ("accuracy", "accuracy", "keys found (%)", 100.0),
        SweepMeasure::Nll => ("nll", "nll_nats", "NLL after the training length (nats per token)", 1.0),
    };
    let mut columns = vec!["policy", &args.key, "length_tokens", "samples", column];
    if !broken.is_empty() {
        columns.extend(["non_finite_tokens", "first_non_finite_token"]);
    }
    if !unanswered.is_empty() {
        columns.push("not_finite");
    }
    let mut table = Table::new("sweep", &columns);
    let notes = sample.map_or(&[][..], |sample| &sample.notes);
    let (mut words, mut runs) =
        (notes.iter().map(|note| format!("{note}\n")).collect::<String>(), Vec::new());
    for (at, ((method, key), value)) in methods.iter().zip(&args.values).zip(values).enumerate() {
        let non_finite = broken.get(at).copied();
        let cell = value.map(|value| value.to_string()).unwrap_or_default();
        words += &format!(
            "{}={key:<10} {}{}\n",
            args.key,
            loss(*value, non_finite.unwrap_or_default()),
            task::not_finite(unanswered.get(at).copied().unwrap_or(0), "prompts")
        );
        let mut row = vec![method.label.clone(), key.clone(), length.to_string(), samples.to_string(), cell];
        let mut run = json!({
            "policy": method.label, "value": key, "length": length, "samples": samples, (measure): value,
        });
        if let Some(NonFinite { count, first }) = non_finite {
            row.extend([count.to_string(), first.map(|at| at.to_string()).unwrap_or_default()]);
            run["non_finite_tokens"] = count.into();
            run["first_non_finite"] = first.into();
        }
        if let Some(&count) = unanswered.get(at) {
            row.push(count.to_string());
            run["not_finite"] = count.into();
        }
        table.rows.push(row);
        runs.push(run);
    }
    let lost: Vec<_> = (args.values.iter().zip(broken))
        .filter(|(_, non_finite)| non_finite.any())
        .map(|(key, _)| key.as_str())
        .collect();
    let lost = if lost.is_empty() { String::new() } else { format!("; not finite: {}", lost.join(", ")) };
    let repeats = match sample.and_then(|sample| sample.repeated_from) {
        Some(from) => format!("; the text repeats from token {from} on"),
        None => String::new(),
    };
    let chart = Points {
        title: format!(
            "{} by {}, {model}",
            if measure == "nll" { "Loss" } else { "Passkey retrieval" },
            args.key
        ),
        note: format!("{} at {length} tokens, {samples} texts per value{repeats}{lost}", args.policy),
        x_label: args.key.clone(),
        y_label: label.into(),
        x: args.values.clone(),
        logarithmic: false,
        from_zero: measure != "nll",
        series: vec![PointSeries {
            name: format!("{} over {}", args.policy, args.key),
            values: values.iter().map(|value| value.map(|value| scale * value)).collect(),
        }],
    };
    TaskResult {
        task: "sweep".into(),
        summary: words,
        data: json!({ "model": model, "key": args.key, "measure": measure, "runs": runs }),
        tables: vec![table],
        charts: vec![("sweep".into(), Chart::Points(chart))],
    }
}
