//! `needle`: how much of what is hidden far back does the model find, beside one passkey?

use std::ffi::OsString;

use serde_json::json;

use super::args::{Cli, Needle};
use super::inputs::Model;
use super::output::{self, Output, say};
use super::task::{self, Run, short};
use crate::figures::{Chart, HeatMap, Panel, Points};
use crate::needles::{self, DEPTHS, Prompt, Recall, TASKS, Task};
use crate::results::Source;
use crate::results::task::{Table, TaskResult};

/// Runs the command.
pub fn run(args: &Needle, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    let model = Model::load(&args.model)?;
    say(&model.loaded.notes);
    let methods = task::methods(&model, &args.policies, &["vanilla", "lm-infinite"])?;
    task::check_folder("needle", args.out.as_ref())?;
    let default = [model.trained_length()];
    let lengths = if args.lengths.is_empty() { &default[..] } else { &args.lengths };
    let mut tasks = if args.tasks.is_empty() { TASKS.to_vec() } else { args.tasks.clone() };
    tasks.dedup();
    let tokenizer = &model.loaded.tokenizer;
    // All prompts before the first answer: one that does not fit refuses the run, and not after an hour.
    let mut cells = Vec::new();
    for &task in &tasks {
        for &length in lengths {
            let length = usize::try_from(length)?;
            let prompt = |sample| Prompt::new(task, tokenizer, length, cli.seed, sample);
            let prompts = (0..u64::from(args.samples)).map(prompt).collect::<crate::Result<Vec<_>>>()?;
            cells.push((task, prompts));
        }
    }
    let total = (methods.len() * cells.len()) as u64 * u64::from(args.samples);
    let bar = output::progress("needle", total, "prompts");
    let mut recalls = Vec::new();
    for method in &methods {
        for (task, prompts) in &cells {
            let cell = (*task, prompts.as_slice());
            recalls.push(needles::recall(&model.decoder, tokenizer, method, cell, &|| bar.inc(1))?);
        }
    }
    bar.finish_and_clear();
    let labels: Vec<&str> = methods.iter().map(|method| method.label.as_str()).collect();
    let result = result(&model.loaded.name, &tasks, lengths, &labels, &recalls, args.samples);
    let text = Source { name: "needle prompts".into(), sha256: None };
    let tokens = lengths.iter().copied().max().unwrap_or(0);
    Run { model: &model, arguments, cli, methods: &methods, text, sample: None, tokens }.finish(
        &result,
        args.out.as_ref(),
        output,
    )
}

/// `recalls` in the order of methods, tasks and lengths.
fn result(
    model: &str,
    tasks: &[Task],
    lengths: &[u64],
    labels: &[&str],
    recalls: &[Recall],
    samples: u32,
) -> TaskResult {
    let width = labels.iter().map(|label| label.len()).max().unwrap_or(0).max(6);
    let mut words =
        format!("{:<width$}  {:<17} {:>9}  found of what was asked for\n", "policy", "task", "tokens");
    let columns = ["policy", "task", "length_tokens", "prompts", "recall", "low", "high", "not_finite"];
    let mut table = Table::new("needle", &columns);
    let depth_columns =
        ["policy", "task", "length_tokens", "depth_from", "depth_to", "prompts", "recall", "low", "high"];
    let mut by_depth = Table::new("needle_by_depth", &depth_columns);
    let mut runs = Vec::new();
    for recall in recalls {
        let Recall { task, policy, length, share, not_finite, .. } = recall;
        let why = task::not_finite(*not_finite, "prompts");
        words +=
            &format!("{policy:<width$}  {:<17} {length:>9}  {}{why}\n", task.to_string(), share.percent());
        let numbers = [share.share, share.low, share.high].map(|number| number.to_string());
        let row = [policy.clone(), task.to_string(), length.to_string(), share.trials.to_string()];
        table.rows.push(row.into_iter().chain(numbers).chain([not_finite.to_string()]).collect());
        let mut depths = Vec::new();
        for (part, share) in recall.by_depth.iter().enumerate() {
            let Some(share) = share else { continue };
            let [from, to] = [part, part + 1].map(|edge| edge as f64 / DEPTHS as f64);
            let numbers = [share.share, share.low, share.high].map(|number| number.to_string());
            let row =
                [policy.clone(), task.to_string(), length.to_string(), from.to_string(), to.to_string()];
            by_depth.rows.push(row.into_iter().chain([share.trials.to_string()]).chain(numbers).collect());
            depths.push(json!({
                "from": from, "to": to, "samples": share.trials,
                "recall": share.share, "low": share.low, "high": share.high,
            }));
        }
        runs.push(json!({
            "policy": policy, "task": task, "length": length, "samples": share.trials, "recall": share.share,
            "low": share.low, "high": share.high, "not_finite": not_finite, "depths": depths,
        }));
    }
    words += &task::intervals_note(u64::from(samples), "prompts for each line");
    let charts = tasks.iter().flat_map(|&task| charts(model, task, lengths, labels, recalls, samples));
    TaskResult {
        task: "needle".into(),
        summary: words,
        data: json!({ "model": model, "runs": runs }),
        charts: charts.collect(),
        tables: vec![table, by_depth],
    }
}

/// Recall by length, and by depth and length where what is hidden has a place.
fn charts(
    model: &str,
    task: Task,
    lengths: &[u64],
    labels: &[&str],
    recalls: &[Recall],
    samples: u32,
) -> Vec<(String, Chart)> {
    let of = |label: &str| -> Vec<&Recall> {
        recalls.iter().filter(|recall| recall.task == task && recall.policy == label).collect()
    };
    let x: Vec<String> = lengths.iter().map(|&length| short(length)).collect();
    let series = |label: &&str| {
        let shares: Vec<_> = of(label).iter().map(|recall| recall.share).collect();
        task::percent_series(label, &shares)
    };
    let mut charts = vec![(
        format!("{task}_by_length"),
        Chart::Points(Points {
            title: format!("{task}, {model}"),
            note: format!("{samples} prompts per length, bars: 95 % intervals (Wilson)"),
            x_label: "prompt length (tokens)".into(),
            y_label: "found of what was asked for (%)".into(),
            x: x.clone(),
            at: lengths.iter().map(|&length| length as f64).collect(),
            logarithmic: false,
            from_zero: true,
            series: labels.iter().map(series).collect(),
        }),
    )];
    let panel = |label: &&str| Panel {
        name: (*label).to_owned(),
        cells: (0..DEPTHS)
            .map(|part| {
                let cell =
                    |recall: &&Recall| recall.by_depth.get(part).copied().flatten().map(|share| share.share);
                of(label).iter().map(cell).collect()
            })
            .collect(),
    };
    if recalls.iter().any(|recall| recall.task == task && !recall.by_depth.is_empty()) {
        let part = |part: usize| format!("{}–{} %", part * 100 / DEPTHS, (part + 1) * 100 / DEPTHS);
        charts.push((
            format!("{task}_by_depth_and_length"),
            Chart::HeatMap(HeatMap {
                title: format!("{task} by depth, {model}"),
                note: "Found of what was hidden there, in percent; depth 0: right after the task; blank: nothing hidden there".into(),
                x_label: "prompt length (tokens)".into(),
                y_label: "depth".into(),
                x,
                y: (0..DEPTHS).map(part).collect(),
                panels: labels.iter().map(panel).collect(),
            }),
        ));
    }
    charts
}
