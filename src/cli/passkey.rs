//! `passkey`: can the model find a number that was told far back?

use std::ffi::OsString;

use serde_json::json;

use super::args::{Cli, Passkey};
use super::inputs::Model;
use super::output::{self, Output};
use super::task::{self, Run, short};
use crate::figures::{Chart, HeatMap, Panel, PointSeries, Points};
use crate::passkey::{self, Prompt};
use crate::results::Source;
use crate::results::task::{Table, TaskResult};

/// Runs the command.
pub fn run(args: &Passkey, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    let model = Model::load(&args.model)?;
    let methods = task::methods(&model, &args.policies, &["vanilla", "lm-infinite"])?;
    task::check_folder("passkey", args.out.as_ref())?;
    let default = [model.trained_length()];
    let lengths = if args.lengths.is_empty() { &default[..] } else { &args.lengths };
    // Without a grid the place of the key is drawn.
    let depths: Vec<Option<f64>> =
        if args.depths.is_empty() { vec![None] } else { args.depths.iter().copied().map(Some).collect() };
    let tokenizer = &model.loaded.tokenizer;
    let mut prompts = Vec::new();
    for &length in lengths {
        for &depth in &depths {
            let length = usize::try_from(length)?;
            let seeds = (0..u64::from(args.samples)).map(|sample| cli.seed.wrapping_add(sample));
            let cell: crate::Result<Vec<_>> =
                seeds.map(|seed| Prompt::new(tokenizer, length, depth, seed)).collect();
            prompts.push(cell?);
        }
    }
    let total = (methods.len() * prompts.len()) as u64 * u64::from(args.samples);
    let bar = output::progress("passkey", total, "prompts");
    // [method][length][depth], shares.
    let mut shares: Vec<Vec<Vec<f64>>> = Vec::new();
    // Prompts without an answer, as above: the logits after them are not finite.
    let mut lost: Vec<Vec<Vec<u64>>> = Vec::new();
    for method in &methods {
        let (mut of_method, mut lost_of_method) = (Vec::new(), Vec::new());
        for of_length in prompts.chunks(depths.len()) {
            let (mut of_depths, mut lost_of_depths) = (Vec::new(), Vec::new());
            for cell in of_length {
                let (mut right, mut without_answer) = (0, 0);
                for prompt in cell {
                    match task::finite(passkey::answer(&model.decoder, tokenizer, method, prompt))? {
                        Some(answer) => right += usize::from(prompt.is_answered_by(&answer)),
                        None => without_answer += 1,
                    }
                    bar.inc(1);
                }
                of_depths.push(right as f64 / cell.len() as f64);
                lost_of_depths.push(without_answer);
            }
            of_method.push(of_depths);
            lost_of_method.push(lost_of_depths);
        }
        shares.push(of_method);
        lost.push(lost_of_method);
    }
    bar.finish_and_clear();
    let labels: Vec<&str> = methods.iter().map(|method| method.label.as_str()).collect();
    let result = result(&model.loaded.name, &labels, lengths, &depths, args.samples, (&shares, &lost));
    let text = Source { name: "passkey prompts".into(), sha256: None };
    let tokens = lengths.iter().copied().max().unwrap_or(0);
    Run { model: &model, arguments, cli, methods: &methods, text, sample: None, tokens }.finish(
        &result,
        args.out.as_ref(),
        output,
    )
}

fn result(
    model: &str,
    labels: &[&str],
    lengths: &[u64],
    depths: &[Option<f64>],
    samples: u32,
    (shares, lost): (&[Vec<Vec<f64>>], &[Vec<Vec<u64>>]),
) -> TaskResult {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mut words, mut runs) = (String::new(), Vec::new());
    let mut table =
        Table::new("passkey", &["policy", "length_tokens", "depth", "samples", "accuracy", "not_finite"]);
    for ((label, of_method), lost) in labels.iter().zip(shares).zip(lost) {
        for ((&length, of_depths), lost) in lengths.iter().zip(of_method).zip(lost) {
            let accuracy = mean(of_depths);
            let without_answer: u64 = lost.iter().sum();
            let why = task::not_finite(without_answer, "prompts");
            words += &format!("{label:<40} {length:>9} tokens  {:>5.1} %{why}\n", 100.0 * accuracy);
            let mut run = json!({
                "policy": label,
                "length": length,
                "samples": samples as usize * depths.len(),
                "accuracy": accuracy,
                "not_finite": without_answer,
            });
            if depths[0].is_some() {
                let cells = depths.iter().zip(of_depths);
                run["depths"] =
                    cells.map(|(d, a)| json!({ "depth": d, "samples": samples, "accuracy": a })).collect();
            }
            runs.push(run);
            for ((depth, accuracy), lost) in depths.iter().zip(of_depths).zip(lost) {
                let depth = depth.map(|depth| depth.to_string()).unwrap_or_default();
                table.rows.push(vec![
                    (*label).into(),
                    length.to_string(),
                    depth,
                    samples.to_string(),
                    accuracy.to_string(),
                    lost.to_string(),
                ]);
            }
        }
    }
    let x: Vec<String> = lengths.iter().map(|&length| short(length)).collect();
    let all_lost: u64 = lost.iter().flatten().flatten().sum();
    let note = format!(
        "{} prompts per length; random guesses find nothing{}",
        samples as usize * depths.len(),
        task::not_finite(all_lost, "prompts")
    );
    let series = labels.iter().zip(shares).map(|(label, of_method)| PointSeries {
        name: (*label).into(),
        values: of_method.iter().map(|of_depths| Some(100.0 * mean(of_depths))).collect(),
    });
    let mut charts = vec![(
        "accuracy_by_length".to_owned(),
        Chart::Points(Points {
            title: format!("Passkey retrieval, {model}"),
            note,
            x_label: "prompt length (tokens)".into(),
            y_label: "keys found (%)".into(),
            x: x.clone(),
            logarithmic: false,
            from_zero: true,
            series: series.collect(),
        }),
    )];
    if depths[0].is_some() {
        let panel = |(label, of_method): (&&str, &Vec<Vec<f64>>)| Panel {
            name: (*label).to_owned(),
            cells: (0..depths.len())
                .map(|d| of_method.iter().map(|cells| Some(cells[d])).collect())
                .collect(),
        };
        charts.push((
            "accuracy_by_depth_and_length".to_owned(),
            Chart::HeatMap(HeatMap {
                title: format!("Passkey retrieval by depth, {model}"),
                note: format!("Keys found, in percent of {samples} prompts; depth 0: right after the task"),
                x_label: "prompt length (tokens)".into(),
                y_label: "depth of the key".into(),
                x,
                y: depths.iter().flatten().map(|depth| format!("{:.0} %", 100.0 * depth)).collect(),
                panels: labels.iter().zip(shares).map(panel).collect(),
            }),
        ));
    }
    TaskResult {
        task: "passkey".into(),
        summary: words,
        data: json!({ "model": model, "runs": runs }),
        tables: vec![table],
        charts,
    }
}
