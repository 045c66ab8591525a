//! `compare`: every method on one model, in one table and one figure.

use std::ffi::OsString;

use anyhow::Context;
use lm_infinite_analysis::Proportion;
use lm_infinite_analysis::nll::BandBucket;
use lm_infinite_runtime::corpus;
use lm_infinite_runtime::note::Note;
use lm_infinite_runtime::policy::PolicySpec;
use lm_infinite_runtime::session::check_policy;
use serde_json::json;

use super::args::{Cli, Compare};
use super::inputs::{self, Model};
use super::output::{Output, progress, say};
use super::task::{self, Run, short};
use crate::ablation::{AblationPlan, AblationRun, ablation};
use crate::bench::{BenchPlan, bench};
use crate::compare::{Compared, Comparison, Retrieved};
use crate::figures::{Chart, Column, PointSeries, Points, Rows};
use crate::method::Method;
use crate::passkey::{self, Prompt};
use crate::results::Source;
use crate::results::task::{Table, TaskResult};

/// Training lengths to a segment where nothing else is asked for.
const TIMES: u64 = 4;
/// Tokens that are decoded to time them.
const DECODE: usize = 16;

/// Runs the command.
pub fn run(args: &Compare, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    let model = Model::load(&args.model)?;
    let text = inputs::text(&args.text)?;
    task::check_folder("compare", args.out.as_ref())?;
    let trained = model.trained_length();
    let tokens = args.tokens.unwrap_or(trained.saturating_mul(TIMES));
    anyhow::ensure!(
        tokens > trained,
        "--tokens: {tokens} are within the training length of {trained}: nothing to compare"
    );
    let mut notes = Vec::new();
    let policies = if args.policies.is_empty() {
        defaults(&model, tokens, &mut notes)?
    } else {
        model.policies(&args.policies, &[])?
    };
    let methods: Vec<Method> = policies
        .iter()
        .map(|PolicySpec { label, policy }| Method {
            label: label.clone(),
            policy: policy.clone(),
            truncate: None,
        })
        .collect();
    let length = usize::try_from(tokens).unwrap_or(usize::MAX);
    let tokenizer = &model.loaded.tokenizer;
    let lengths = lengths(trained, tokens);
    let mut prompts = Vec::new();
    for &length in &lengths {
        let prompt = |sample| Prompt::new(tokenizer, length as usize, None, cli.seed, sample);
        prompts.push((0..u64::from(args.samples)).map(prompt).collect::<crate::Result<Vec<_>>>()?);
    }
    let wanted = tokens.saturating_mul(args.segments.into());
    let mut sample = model.sample(corpus::pool(&text, tokenizer, wanted, args.repeat.seed(cli))?);
    notes.extend(sample.notes.iter().cloned());
    say(&notes);
    let pool = sample.without_bos(tokenizer);
    let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
    let plan = AblationPlan {
        policies: policies.clone(),
        tokens: length,
        segments: args.segments as usize,
        seed: cli.seed,
    };
    let bar = progress("loss", (plan.policies.len() * plan.segments) as u64, "runs");
    let losses = ablation(&model.loaded.name, &model.decoder, pool, bos, &plan, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let bar =
        progress("passkeys", (methods.len() * prompts.len()) as u64 * u64::from(args.samples), "prompts");
    notes.extend(losses.notes.iter().cloned());
    let segments = losses.segments;
    let mut retrieval = Vec::new();
    for method in &methods {
        let mut of_method = Vec::new();
        for (&length, prompts) in lengths.iter().zip(&prompts) {
            let (found, not_finite) =
                passkey::found(&model.decoder, tokenizer, method, prompts, &|| bar.inc(1))?;
            let share =
                Proportion::of(found, args.samples.into()).context("--samples: at least 1 is needed")?;
            of_method.push(Retrieved { length, share, not_finite });
        }
        retrieval.push(of_method);
    }
    bar.finish_and_clear();
    let plan = BenchPlan {
        policies: policies.clone(),
        lengths: vec![length],
        decode: DECODE,
        rounds: args.rounds.into(),
        truncate: None,
    };
    let bar = progress("speed", (policies.len() * plan.rounds) as u64, "runs");
    let costs = bench(&model.decoder, pool, &plan, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let compared = losses
        .runs
        .into_iter()
        .zip(retrieval)
        .zip(costs)
        .map(|((loss, retrieval), cost)| Compared { policy: loss.policy.clone(), loss, retrieval, cost });
    let comparison = Comparison {
        model: model.loaded.name.clone(),
        trained_length: trained,
        tokens,
        segments,
        samples: args.samples.into(),
        methods: compared.collect(),
    };
    let mut result = result(&comparison, args.rounds)?;
    result.summary.extend(notes.iter().map(|note| format!("{note}\n")));
    sample.notes = notes;
    let source = Source { name: text.name().to_owned(), sha256: None };
    Run { model: &model, arguments, cli, methods: &methods, text: source, sample: Some(&sample), tokens }
        .finish(&result, args.out.as_ref(), output)
}

/// The training length and its doublings, up to `tokens`.
fn lengths(trained: u64, tokens: u64) -> Vec<u64> {
    std::iter::successors(Some(trained), |length| length.checked_mul(2))
        .take_while(|&length| length <= tokens)
        .collect()
}

/// Every method whose formula fits the model's position encoding, with parameters that reach `tokens`. What is left out stands in
/// `notes`.
fn defaults(model: &Model, tokens: u64, notes: &mut Vec<Note>) -> anyhow::Result<Vec<PolicySpec>> {
    let trained = model.trained_length();
    let factor = tokens.div_ceil(trained);
    // Self-Extend: (trained − window) · group + window tokens are in reach.
    let window = (trained / 4).max(1);
    let group = tokens.saturating_sub(window).div_ceil((trained - window).max(1)).max(1);
    let texts = [
        "vanilla".to_owned(),
        "window".into(),
        "lambda".into(),
        "streaming-llm".into(),
        "lm-infinite".into(),
        "lm-infinite-topk".into(),
        "ceiling".into(),
        "ceiling+temperature".into(),
        "rerope".into(),
        format!("self-extend:group={group}"),
        "dca".into(),
        "temperature".into(),
        format!("pi:factor={factor}"),
        format!("ntk:factor={factor}"),
        "dynamic-ntk".into(),
        format!("yarn:factor={factor}"),
        format!("yarn:factor={factor}+lambda"),
        "longrope".into(),
    ];
    let mut policies = Vec::new();
    for text in texts {
        let spec = PolicySpec::parse(&text, trained)?;
        match check_policy(&model.loaded.config, &spec.policy) {
            Ok(()) => policies.push(spec),
            Err(error) => notes.push(Note::new(format!("policy {text}"), format!("left out: {error}"))),
        }
    }
    Ok(policies)
}

fn result(comparison: &Comparison, rounds: u16) -> anyhow::Result<TaskResult> {
    let Comparison { model, methods, tokens, samples, segments, .. } = comparison;
    let columns = [
        "policy",
        "excess_nats",
        "excess_low",
        "excess_high",
        "non_finite_tokens",
        "length_tokens",
        "keys_found",
        "keys_low",
        "keys_high",
        "kv_cache_bytes",
        "prefill_tokens_per_second",
        "decode_tokens_per_second",
    ];
    let mut table = Table::new("compare", &columns);
    for method in methods {
        let [mean, low, high] =
            excess(&method.loss).map(|value| value.map(|v| v.to_string()).unwrap_or_default());
        for retrieved in &method.retrieval {
            let share = &retrieved.share;
            table.rows.push(vec![
                method.policy.clone(),
                mean.clone(),
                low.clone(),
                high.clone(),
                method.loss.non_finite.to_string(),
                retrieved.length.to_string(),
                share.share.to_string(),
                share.low.to_string(),
                share.high.to_string(),
                method.cost.kv_cache_bytes.to_string(),
                method.cost.prefill_tokens_per_second.to_string(),
                method.cost.decode_tokens_per_second.to_string(),
            ]);
        }
    }
    let lengths: Vec<u64> =
        methods.first().map(|m| m.retrieval.iter().map(|r| r.length).collect()).unwrap_or_default();
    let by_length = Points {
        title: format!("Passkeys found by length, {model}"),
        note: format!("{samples} prompts per length, bars: 95 % intervals (Wilson)"),
        x_label: "prompt length (tokens)".into(),
        y_label: "keys found (%)".into(),
        at: lengths.iter().map(|&length| length as f64).collect(),
        x: lengths.iter().map(|&length| short(length)).collect(),
        logarithmic: false,
        from_zero: true,
        series: methods
            .iter()
            .map(|method| {
                let shares: Vec<Proportion> =
                    method.retrieval.iter().map(|retrieved| retrieved.share).collect();
                task::percent_series(&method.policy, &shares)
            })
            .collect(),
    };
    Ok(TaskResult {
        task: "compare".into(),
        summary: comparison.summary(),
        data: serde_json::to_value(comparison).map(|mut data| {
            data["runs"] = runs(comparison);
            data
        })?,
        tables: vec![table, table_by_position(comparison)],
        charts: vec![
            ("compare".into(), Chart::Rows(rows(comparison, rounds))),
            ("loss_by_position".into(), Chart::Points(loss_by_position(comparison, *segments, *tokens))),
            ("passkeys_by_length".into(), Chart::Points(by_length)),
        ],
    })
}

/// Mean and ends of the interval of the loss beyond the training length.
fn excess(run: &AblationRun) -> [Option<f64>; 3] {
    let beyond = run.beyond.as_ref();
    let band = beyond.and_then(|bucket| bucket.band);
    [beyond.and_then(|bucket| bucket.nll), band.map(|band| band.0), band.map(|band| band.1)]
}

fn runs(comparison: &Comparison) -> serde_json::Value {
    let run = |method: &Compared| {
        let [excess, low, high] = excess(&method.loss);
        json!({
            "policy": method.policy,
            "excess": excess,
            "interval": low.zip(high).map(|(low, high)| [low, high]),
            "non_finite_tokens": method.loss.non_finite,
            "passkey": method.retrieval.iter().map(|retrieved| json!({
                "length": retrieved.length, "samples": retrieved.share.trials, "accuracy": retrieved.share.share,
                "low": retrieved.share.low, "high": retrieved.share.high, "not_finite": retrieved.not_finite,
            })).collect::<Vec<_>>(),
            "kv_cache_bytes": method.cost.kv_cache_bytes,
            "prefill_tokens_per_second": method.cost.prefill_tokens_per_second,
            "decode_tokens_per_second": method.cost.decode_tokens_per_second,
        })
    };
    comparison.methods.iter().map(run).collect()
}

/// The one figure.
fn rows(comparison: &Comparison, rounds: u16) -> Rows {
    let Comparison { model, methods, tokens, segments, samples, trained_length } = comparison;
    let column = |title: &str, unit: &str, logarithmic, reference, values: Vec<Option<f64>>, intervals| {
        Column { title: title.into(), unit: unit.into(), logarithmic, reference, values, intervals }
    };
    let of = |value: &dyn Fn(&Compared) -> f64| methods.iter().map(|m| Some(value(m))).collect::<Vec<_>>();
    // A loss that is not finite is no missing one.
    let loss = |method: &Compared| {
        let beyond = method.loss.beyond.as_ref()?;
        Some(beyond.nll.unwrap_or(f64::NAN))
    };
    let percent = |method: &Compared| {
        method.longest().map(|r| [r.share.share, r.share.low, r.share.high].map(|share| 100.0 * share))
    };
    let band = |method: &Compared| {
        let [_, low, high] = excess(&method.loss);
        low.zip(high).map(|(low, high)| [low, high])
    };
    Rows {
        title: format!("{model} at {} tokens, trained on {}", short(*tokens), short(*trained_length)),
        note: format!(
            "loss: {segments} segments, keys: {samples} prompts; bars: 95 % intervals; speed: medians of {rounds} rounds"
        ),
        names: methods.iter().map(|method| method.policy.clone()).collect(),
        columns: vec![
            column(
                "loss above reference",
                "nats per token, less is better",
                false,
                Some(0.0),
                methods.iter().map(loss).collect(),
                methods.iter().map(band).collect(),
            ),
            column(
                "passkeys found",
                "%, more is better",
                false,
                None,
                methods.iter().map(|m| percent(m).map(|p| p[0])).collect(),
                methods.iter().map(|m| percent(m).map(|p| [p[1], p[2]])).collect(),
            ),
            column(
                "keys and values held",
                "MB, log scale, less is better",
                true,
                None,
                of(&|m| m.cost.kv_cache_bytes as f64 / 1e6),
                Vec::new(),
            ),
            column(
                "decoding",
                "tokens/s, log scale, more is better",
                true,
                None,
                of(&|m| m.cost.decode_tokens_per_second),
                Vec::new(),
            ),
        ],
    }
}

/// The loss of each method by doublings of the position.
fn loss_by_position(comparison: &Comparison, segments: u64, tokens: u64) -> Points {
    let range = |bucket: &BandBucket| {
        format!("{}–{}", short(bucket.from), short(bucket.to.unwrap_or(tokens).min(tokens)))
    };
    let series = |method: &Compared| PointSeries {
        name: method.policy.clone(),
        // A loss that is not finite is no missing one.
        values: method.loss.doublings.iter().map(|bucket| Some(bucket.nll.unwrap_or(f64::NAN))).collect(),
        intervals: method
            .loss
            .doublings
            .iter()
            .map(|bucket| bucket.band.map(|(low, high)| [low, high]))
            .collect(),
    };
    let doublings = comparison.methods.first().map_or(&[][..], |method| &method.loss.doublings);
    Points {
        title: format!("Loss above the same tokens within the training length, {}", comparison.model),
        note: format!("means over {segments} segments; bars: 95 % intervals over segments; ×: not finite"),
        x_label: "position (tokens)".into(),
        y_label: "loss above reference (nats)".into(),
        x: doublings.iter().map(range).collect(),
        at: Vec::new(),
        logarithmic: false,
        from_zero: false,
        series: comparison.methods.iter().map(series).collect(),
    }
}

/// The same as a table.
fn table_by_position(comparison: &Comparison) -> Table {
    let columns =
        ["policy", "from_token", "to_token", "excess_nats", "excess_low", "excess_high", "non_finite_tokens"];
    let mut table = Table::new("loss_by_position", &columns);
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for method in &comparison.methods {
        for bucket in &method.loss.doublings {
            table.rows.push(vec![
                method.policy.clone(),
                bucket.from.to_string(),
                bucket.to.unwrap_or(comparison.tokens).min(comparison.tokens).to_string(),
                number(bucket.nll),
                number(bucket.band.map(|band| band.0)),
                number(bucket.band.map(|band| band.1)),
                bucket.non_finite.count.to_string(),
            ]);
        }
    }
    table
}
