//! `sweep`: one key of a policy over several values (the paper's Tables 4 to 7).

use std::ffi::OsString;

use anyhow::Context;
use lm_infinite_analysis::effect::MeanEffect;
use lm_infinite_analysis::{NonFinite, Proportion};
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
use crate::policy::{parse_length, with_key};
use crate::results::Source;
use crate::results::task::{Table, TaskResult};
use crate::words::loss;

/// Seed of the intervals of losses: they are the same each time.
const SEED: u64 = 0;

/// Runs the command.
pub fn run(args: &Sweep, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    let model = Model::load(&args.model)?;
    task::check_folder("sweep", args.out.as_ref())?;
    let method = |value: &String| task::method(&model, &with_key(&args.policy, &args.key, value)?);
    let methods = args.values.iter().map(method).collect::<crate::Result<Vec<Method>>>()?;
    let length = args.length.unwrap_or(model.trained_length().saturating_mul(16));
    let tokenizer = &model.loaded.tokenizer;
    let samples = u64::from(args.samples);
    let bar = output::progress("sweep", methods.len() as u64 * samples, "texts");
    // Values, and where they are shares, with their intervals.
    let (mut values, mut shares) = (Vec::new(), Vec::new());
    let (mut intervals, mut broken, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    let (mut done, mut sample) = (samples, None);
    let text = match args.measure {
        SweepMeasure::Passkey => {
            let length = usize::try_from(length)?;
            let prompts = (0..samples)
                .map(|sample| Prompt::new(tokenizer, length, None, cli.seed, sample))
                .collect::<crate::Result<Vec<_>>>()?;
            for method in &methods {
                let (right, without_answer) =
                    passkey::found(&model.decoder, tokenizer, method, &prompts, &|| bar.inc(1))?;
                let share = Proportion::of(right, samples).context("--samples: at least 1 is needed")?;
                shares.push(share);
                values.push(Some(share.share));
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
            let (segments, taken) = segments(&model, &text, length, samples, args.repeat.seed(cli))?;
            say(&taken.notes);
            done = segments.len() as u64;
            for method in &methods {
                let (mut losses, mut non_finite) = (Vec::new(), NonFinite::default());
                for tokens in &segments {
                    let nll = evaluate(&model.decoder, &method.policy, tokens, None, &|_| ())?.nll;
                    // Entry t is the loss of token t + 1.
                    let late = &nll[begin as usize - 1..];
                    losses.extend(late.iter().copied().map(f64::from));
                    non_finite.note_all(begin, late, |nll| !nll.is_finite());
                    bar.inc(1);
                }
                let known = !losses.is_empty() && !non_finite.any();
                values.push(known.then(|| losses.iter().sum::<f64>() / losses.len() as f64));
                intervals.push(MeanEffect::of(&losses, SEED).map(|effect| [effect.low, effect.high]));
                broken.push(non_finite);
            }
            sample = Some(taken);
            Source { name: text.name().to_owned(), sha256: None }
        }
    };
    bar.finish_and_clear();
    let sample = sample.as_ref();
    let lost = (&shares[..], &intervals[..], &broken[..], &lost[..]);
    let result = result(args, &model.loaded.name, (length, done), &methods, &values, lost, sample);
    Run { model: &model, arguments, cli, methods: &methods, text, sample, tokens: length }.finish(
        &result,
        args.out.as_ref(),
        output,
    )
}

/// The values as numbers, where all are.
fn numbers(values: &[String]) -> Vec<f64> {
    let number = |value: &String| {
        let length = parse_length(value).map(|length| length as f64);
        length.ok().or(value.parse().ok())
    };
    values.iter().map(number).collect::<Option<_>>().unwrap_or_default()
}

/// A loss, with its interval where it has one.
fn loss_words(value: Option<f64>, non_finite: Option<NonFinite>, interval: Option<[f64; 2]>) -> String {
    let interval = interval.filter(|_| value.is_some());
    let interval = interval.map_or(String::new(), |[low, high]| format!(" ({low:.4} to {high:.4})"));
    format!("{}{interval}", loss(value, non_finite.unwrap_or_default()))
}

/// `count` segments of `length` tokens, one after the other, each behind the token that the model was trained to see first;
/// fewer of a shorter text, which a note says.
fn segments(
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
    let mut sample = model.sample(corpus::tokens(text, &model.loaded.tokenizer, wanted, repeat)?);
    let take = length.saturating_sub(usize::from(bos.is_some())).max(1);
    let parts = sample.without_bos(&model.loaded.tokenizer).chunks_exact(take).take(count as usize);
    let segments: Vec<Vec<u32>> =
        parts.map(|part| bos.into_iter().chain(part.iter().copied()).collect()).collect();
    if segments.is_empty() {
        let reason = format!(
            "it has {} tokens; a segment of {length} needs as many (--repeat draws its documents again)",
            sample.tokens.len()
        );
        return Err(Error::input("text", reason).into());
    }
    if (segments.len() as u64) < count {
        let said =
            format!("the text has {} segments of {length} tokens, {count} were asked for", segments.len());
        sample.notes.push(Note::new("--samples", said));
    }
    Ok((segments, sample))
}

/// Ends of the 95 % interval of a loss, where it has one.
type Interval = Option<[f64; 2]>;

/// `shares` is empty where the values are none; then `intervals` has those of the losses. `broken` has the tokens of all texts whose loss is not finite, where the loss is measured; `unanswered` how many prompts
/// have no answer because logits are not finite, where keys are asked for.
fn result(
    args: &Sweep,
    model: &str,
    (length, samples): (u64, u64),
    methods: &[Method],
    values: &[Option<f64>],
    (shares, intervals, broken, unanswered): (&[Proportion], &[Interval], &[NonFinite], &[u64]),
    sample: Option<&Sample>,
) -> TaskResult {
    let (measure, column, label) = match args.measure {
        SweepMeasure::Passkey => ("accuracy", "accuracy", "keys found (%)"),
        SweepMeasure::Nll => ("nll", "nll_nats", "NLL after the training length (nats per token)"),
    };
    let mut columns = vec!["policy", &args.key, "length_tokens", "samples", column];
    if !broken.is_empty() {
        columns.extend(["non_finite_tokens", "first_non_finite_token"]);
    }
    columns.extend(if shares.is_empty() { ["low_nats", "high_nats"] } else { ["low", "high"] });
    if !unanswered.is_empty() {
        columns.push("not_finite");
    }
    let mut table = Table::new("sweep", &columns);
    let notes = sample.map_or(&[][..], |sample| &sample.notes);
    let (mut words, mut runs) =
        (notes.iter().map(|note| format!("{note}\n")).collect::<String>(), Vec::new());
    let width = args.values.iter().chain([&args.key]).map(|text| text.chars().count()).max().unwrap_or(0);
    let (texts, head) =
        if shares.is_empty() { ("segments of the text", label) } else { ("prompts", "keys found") };
    words += &format!("{model}, {}: {samples} {texts} of {length} tokens for each line\n", args.policy);
    words += &format!("{:<width$}  {head}\n", args.key);
    for (at, ((method, key), value)) in methods.iter().zip(&args.values).zip(values).enumerate() {
        let (share, non_finite) = (shares.get(at), broken.get(at).copied());
        let cell = value.map(|value| value.to_string()).unwrap_or_default();
        words += &format!(
            "{key:<width$}  {}{}\n",
            share.map_or_else(
                || loss_words(*value, non_finite, intervals.get(at).copied().flatten()),
                Proportion::percent
            ),
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
        let of_share = share.map(|share| [share.low, share.high]);
        let ends = of_share.or(intervals.get(at).copied().flatten());
        row.extend([0, 1].map(|end| ends.map(|ends| ends[end].to_string()).unwrap_or_default()));
        (run["low"], run["high"]) = (json!(ends.map(|ends| ends[0])), json!(ends.map(|ends| ends[1])));
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
    let bars = if shares.is_empty() {
        words += "in brackets 95 % intervals over blocks of tokens: all lines read the same text, so that differences are better known\n";
        ", bars: 95 % intervals over blocks of the same tokens"
    } else {
        words += &task::intervals_note(u64::from(args.samples), "prompts for each line");
        ", bars: 95 % intervals (Wilson)"
    };
    let name = format!("{} over {}", args.policy, args.key);
    let series = if shares.is_empty() {
        PointSeries { name, values: values.to_vec(), intervals: intervals.to_vec() }
    } else {
        task::percent_series(&name, shares)
    };
    let chart = Points {
        title: format!(
            "{} by {}, {model}",
            if measure == "nll" { "Loss" } else { "Passkey retrieval" },
            args.key
        ),
        note: format!("{} at {length} tokens, {samples} texts per value{repeats}{bars}{lost}", args.policy),
        x_label: args.key.clone(),
        y_label: label.into(),
        x: args.values.clone(),
        at: numbers(&args.values),
        logarithmic: false,
        from_zero: measure != "nll",
        series: vec![series],
    };
    TaskResult {
        task: "sweep".into(),
        summary: words,
        data: json!({ "model": model, "key": args.key, "measure": measure, "runs": runs }),
        tables: vec![table],
        charts: vec![("sweep".into(), Chart::Points(chart))],
    }
}
