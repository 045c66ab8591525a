//! `passkey`: can the model find a number that was told far back?

use std::ffi::OsString;
use std::path::Path;

use anyhow::Context;
use lm_infinite_analysis::Proportion;
use serde_json::json;

use super::args::{Cli, Passkey};
use super::inputs::Model;
use super::interrupt::Interrupt;
use super::output::{self, Output, say};
use super::task::{self, Run, short};
use crate::figures::{Chart, HeatMap, Panel, Points};
use crate::method::Method;
use crate::passkey::{self, Answers, Outcome, Prompt};
use crate::results::Source;
use crate::results::task::{Table, TaskResult};

/// Runs the command.
pub fn run(args: &Passkey, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    let model = Model::load(&args.model)?;
    say(&model.loaded.notes);
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
            let samples = 0..u64::from(args.samples);
            let cell: crate::Result<Vec<_>> =
                samples.map(|sample| Prompt::new(tokenizer, length, depth, cli.seed, sample)).collect();
            prompts.push(cell?);
        }
    }
    let total = (methods.len() * prompts.len()) as u64 * u64::from(args.samples);
    let mut asking = Asking::begin(args, cli, &model)?;
    let bar = output::progress("passkey", total, "prompts");
    // [method][length][depth], keys found.
    let mut found: Vec<Vec<Vec<u64>>> = Vec::new();
    // Prompts without an answer, as above: the logits after them are not finite.
    let mut lost: Vec<Vec<Vec<u64>>> = Vec::new();
    for method in &methods {
        let (mut of_method, mut lost_of_method) = (Vec::new(), Vec::new());
        for of_length in prompts.chunks(depths.len()) {
            let (mut of_depths, mut lost_of_depths) = (Vec::new(), Vec::new());
            for cell in of_length {
                let (mut right, mut without_answer) = (0, 0);
                for prompt in cell {
                    let outcome = asking.ask(method, prompt)?;
                    right += u64::from(outcome == Outcome::Found);
                    without_answer += u64::from(outcome == Outcome::NotFinite);
                    bar.inc(1);
                }
                of_depths.push(right);
                lost_of_depths.push(without_answer);
            }
            of_method.push(of_depths);
            lost_of_method.push(lost_of_depths);
        }
        found.push(of_method);
        lost.push(lost_of_method);
    }
    bar.finish_and_clear();
    let labels: Vec<&str> = methods.iter().map(|method| method.label.as_str()).collect();
    let result = result(&model.loaded.name, &labels, lengths, &depths, args.samples, (&found, &lost))?;
    let text = Source { name: "passkey prompts".into(), sha256: None };
    let tokens = lengths.iter().copied().max().unwrap_or(0);
    Run { model: &model, arguments, cli, methods: &methods, text, sample: None, tokens }.finish_after(
        &result,
        args.out.as_ref().or(args.resume.as_ref()),
        output,
        || asking.kept.map_or(Ok(()), |kept| kept.answers.finish()),
    )
}

/// Asks, and keeps what is answered where there is a folder.
struct Asking<'a> {
    model: &'a Model,
    kept: Option<Kept<'a>>,
}

struct Kept<'a> {
    answers: Answers,
    folder: &'a Path,
    interrupt: Interrupt,
}

impl<'a> Asking<'a> {
    fn begin(args: &'a Passkey, cli: &Cli, model: &'a Model) -> anyhow::Result<Self> {
        let begun = match (&args.out, &args.resume) {
            (None, None) => None,
            (Some(folder), _) => Some((folder, Answers::begin(folder, &model.loaded.sha256()?, cli.seed)?)),
            (None, Some(folder)) => {
                Some((folder, Answers::resume(folder, &model.loaded.sha256()?, cli.seed)?))
            }
        };
        let kept = begun.map(|(folder, answers)| Kept {
            answers,
            folder,
            interrupt: Interrupt::listen("stopping after the prompt that is being read"),
        });
        Ok(Self { model, kept })
    }

    fn ask(&mut self, method: &Method, prompt: &Prompt) -> anyhow::Result<Outcome> {
        let ask = || passkey::ask(&self.model.decoder, &self.model.loaded.tokenizer, method, prompt);
        let Some(kept) = &mut self.kept else { return Ok(ask()?) };
        if let Some(outcome) = kept.answers.known(&method.label, prompt)? {
            return Ok(outcome);
        }
        anyhow::ensure!(
            !kept.interrupt.asked(),
            "stopped; {} answers are saved: go on with the same options and `--resume {}` in place of `--out`",
            kept.answers.len(),
            kept.folder.display()
        );
        let outcome = ask()?;
        kept.answers.push(&method.label, prompt, outcome)?;
        Ok(outcome)
    }
}

/// A count of each method, length and depth: `[method][length][depth]`.
type Counts = [Vec<Vec<u64>>];

fn result(
    model: &str,
    labels: &[&str],
    lengths: &[u64],
    depths: &[Option<f64>],
    samples: u32,
    (found, lost): (&Counts, &Counts),
) -> anyhow::Result<TaskResult> {
    let share = |right: u64, of: u64| Proportion::of(right, of).context("--samples: at least 1 is needed");
    let per_cell = u64::from(samples);
    let width = labels.iter().map(|label| label.len()).max().unwrap_or(0);
    let (mut words, mut runs) = (format!("{:<width$} {:>9}  keys found\n", "policy", "tokens"), Vec::new());
    let columns = ["policy", "length_tokens", "depth", "samples", "accuracy", "low", "high", "not_finite"];
    let mut table = Table::new("passkey", &columns);
    // [method][length] of all depths together, and [method][length][depth].
    let (mut by_length, mut by_depth) = (Vec::new(), Vec::new());
    for ((label, of_method), lost) in labels.iter().zip(found).zip(lost) {
        let (mut lengths_of_method, mut depths_of_method) = (Vec::new(), Vec::new());
        for ((&length, of_depths), lost) in lengths.iter().zip(of_method).zip(lost) {
            let whole = share(of_depths.iter().sum(), per_cell * depths.len() as u64)?;
            let cells: Vec<Proportion> =
                of_depths.iter().map(|&right| share(right, per_cell)).collect::<anyhow::Result<_>>()?;
            let without_answer: u64 = lost.iter().sum();
            let why = task::not_finite(without_answer, "prompts");
            words += &format!("{label:<width$} {length:>9}  {}{why}\n", whole.percent());
            let mut run = json!({
                "policy": label,
                "length": length,
                "samples": whole.trials,
                "accuracy": whole.share,
                "low": whole.low,
                "high": whole.high,
                "not_finite": without_answer,
            });
            if depths[0].is_some() {
                let cell = |(depth, cell): (&Option<f64>, &Proportion)| {
                    json!({
                        "depth": depth,
                        "samples": samples,
                        "accuracy": cell.share,
                        "low": cell.low,
                        "high": cell.high,
                    })
                };
                run["depths"] = depths.iter().zip(&cells).map(cell).collect();
            }
            runs.push(run);
            for ((depth, cell), lost) in depths.iter().zip(&cells).zip(lost) {
                let depth = depth.map(|depth| depth.to_string()).unwrap_or_default();
                let numbers = [cell.share, cell.low, cell.high].map(|number| number.to_string());
                let row = [(*label).to_owned(), length.to_string(), depth, samples.to_string()];
                table.rows.push(row.into_iter().chain(numbers).chain([lost.to_string()]).collect());
            }
            lengths_of_method.push(whole);
            depths_of_method.push(cells);
        }
        by_length.push(lengths_of_method);
        by_depth.push(depths_of_method);
    }
    words += &task::intervals_note(per_cell * depths.len() as u64, "prompts for each line");
    let x: Vec<String> = lengths.iter().map(|&length| short(length)).collect();
    let all_lost: u64 = lost.iter().flatten().flatten().sum();
    let note = format!(
        "{} prompts per length, bars: 95 % intervals (Wilson); random guesses find nothing{}",
        per_cell * depths.len() as u64,
        task::not_finite(all_lost, "prompts")
    );
    let series = labels.iter().zip(&by_length).map(|(label, shares)| task::percent_series(label, shares));
    let mut charts = vec![(
        "accuracy_by_length".to_owned(),
        Chart::Points(Points {
            title: format!("Passkey retrieval, {model}"),
            note,
            x_label: "prompt length (tokens)".into(),
            y_label: "keys found (%)".into(),
            x: x.clone(),
            at: lengths.iter().map(|&length| length as f64).collect(),
            logarithmic: false,
            from_zero: true,
            series: series.collect(),
        }),
    )];
    if depths[0].is_some() {
        let panel = |(label, of_method): (&&str, &Vec<Vec<Proportion>>)| Panel {
            name: (*label).to_owned(),
            cells: (0..depths.len())
                .map(|d| of_method.iter().map(|cells| Some(cells[d].share)).collect())
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
                panels: labels.iter().zip(&by_depth).map(panel).collect(),
            }),
        ));
    }
    Ok(TaskResult {
        task: "passkey".into(),
        summary: words,
        data: json!({ "model": model, "runs": runs }),
        tables: vec![table],
        charts,
    })
}
