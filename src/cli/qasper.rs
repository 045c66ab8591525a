//! `qasper`: questions about articles, with the paper's prompt and score.

use std::ffi::OsString;

use lm_infinite_analysis::Proportion;
use lm_infinite_runtime::digest;
use serde_json::json;

use super::args::{Cli, Qasper};
use super::inputs::Model;
use super::output::{self, Output, say};
use super::task::{self, Run};
use crate::error::Error;
use crate::figures::{Chart, PointSeries, Points};
use crate::method::{Method, continuation, finite};
use crate::qasper::{self, ANSWER_TOKENS, Question};
use crate::results::Source;
use crate::results::task::{Table, TaskResult};
use crate::scores::squad::best_f1;

/// One question under one method.
struct Answer {
    prompt_tokens: usize,
    text: String,
    f1: f64,
    /// The logits of a token of it are not finite: there is none.
    not_finite: bool,
}

/// Runs the command.
pub fn run(args: &Qasper, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    let mut questions = qasper::read(&args.data)?;
    questions.truncate(args.questions.unwrap_or(usize::MAX));
    if args.length < 2 {
        return Err(Error::input("--length", "at least 2 tokens are needed").into());
    }
    if questions.is_empty() {
        return Err(Error::input("--questions", "at least 1 is needed").into());
    }
    task::check_folder("qasper", args.out.as_ref())?;
    let limit = usize::try_from(args.length).unwrap_or(usize::MAX);
    let model = Model::load(&args.model)?;
    say(&model.loaded.notes);
    let methods = task::methods(&model, &args.policies, &["vanilla", "lm-infinite"])?;
    let bar = output::progress("qasper", (questions.len() * methods.len()) as u64, "questions");
    // [method][question]
    let mut answers: Vec<Vec<Answer>> = Vec::new();
    for method in &methods {
        let mut of_method = Vec::new();
        for question in &questions {
            of_method.push(answer(&model, method, question, limit)?);
            bar.inc(1);
        }
        answers.push(of_method);
    }
    bar.finish_and_clear();
    let name = args.data.display().to_string();
    let data = std::fs::read(&args.data).map_err(Error::io(&args.data))?;
    let text = Source { name, sha256: Some(digest::sha256(&data)) };
    let result = result(&model.loaded.name, args.length, &methods, &questions, &answers);
    Run { model: &model, arguments, cli, methods: &methods, text, sample: None, tokens: args.length }.finish(
        &result,
        args.out.as_ref(),
        output,
    )
}

fn answer(model: &Model, method: &Method, question: &Question, limit: usize) -> anyhow::Result<Answer> {
    let tokenizer = &model.loaded.tokenizer;
    let prompt = qasper::cut_in_the_centre(&tokenizer.encode(&question.prompt)?, limit);
    let stop: Vec<u32> = tokenizer.stop_tokens().collect();
    let mut tokens = Vec::new();
    let mut not_finite = false;
    for token in continuation(&model.decoder, tokenizer, method, &prompt, ANSWER_TOKENS, &stop)? {
        let Some(token) = finite(token)? else {
            not_finite = true;
            break;
        };
        tokens.push(token);
        if qasper::is_finished(&tokenizer.decode(&tokens)?) {
            break;
        }
    }
    let text = qasper::extracted(&tokenizer.decode(&tokens)?).to_owned();
    // What came before the model lost its numbers is no answer.
    let text = if not_finite { String::new() } else { text };
    let f1 = if not_finite { 0.0 } else { best_f1(&text, &question.references) };
    Ok(Answer { prompt_tokens: prompt.len(), f1, text, not_finite })
}

fn result(
    model: &str,
    length: u64,
    methods: &[Method],
    questions: &[Question],
    answers: &[Vec<Answer>],
) -> TaskResult {
    let (mut words, mut runs) = (String::new(), Vec::new());
    let (mut means, mut intervals) = (Vec::new(), Vec::new());
    let mut table =
        Table::new("answers", &["policy", "question_id", "prompt_tokens", "answer", "f1", "not_finite"]);
    for (method, answers) in methods.iter().zip(answers) {
        let f1 = answers.iter().map(|answer| answer.f1).sum::<f64>() / answers.len() as f64;
        // A score is from 0 to 1: see `Proportion::of_share`.
        let interval = Proportion::of_share(f1.clamp(0.0, 1.0), answers.len() as u64);
        let [low, high] = [interval.map(|i| i.low), interval.map(|i| i.high)];
        let said = interval.map_or_else(|| "no question".to_owned(), |interval| interval.percent());
        let lost = answers.iter().filter(|answer| answer.not_finite).count() as u64;
        words += &format!("{:<40} F1 {said}{}\n", method.label, task::not_finite(lost, "questions"));
        let mut told = Vec::new();
        for (question, answer) in questions.iter().zip(answers) {
            told.push(json!({
                "question_id": question.id,
                "prompt_tokens": answer.prompt_tokens,
                "answer": answer.text,
                "f1": answer.f1,
                "not_finite": answer.not_finite,
            }));
            table.rows.push(vec![
                method.label.clone(),
                question.id.clone(),
                answer.prompt_tokens.to_string(),
                answer.text.clone(),
                answer.f1.to_string(),
                u8::from(answer.not_finite).to_string(),
            ]);
        }
        runs.push(json!({
            "policy": method.label,
            "questions": questions.len(),
            "f1": f1,
            "low": low,
            "high": high,
            "not_finite": lost,
            "answers": told,
        }));
        means.push(Some(100.0 * f1));
        intervals.push(interval.map(|interval| [100.0 * interval.low, 100.0 * interval.high]));
    }
    words += &task::intervals_note(questions.len() as u64, "questions for each line");
    let chart = Points {
        title: format!("Qasper, {model}"),
        note: format!(
            "{} questions, prompts of at most {length} tokens, the best of all references; bars: 95 % intervals (Wilson)",
            questions.len()
        ),
        x_label: "policy".into(),
        y_label: "F1 (%)".into(),
        x: methods.iter().map(|method| method.label.clone()).collect(),
        at: Vec::new(),
        logarithmic: false,
        from_zero: true,
        series: vec![PointSeries { name: "mean F1".into(), values: means, intervals }],
    };
    TaskResult {
        task: "qasper".into(),
        summary: words,
        data: json!({ "model": model, "length": length, "runs": runs }),
        tables: vec![table],
        charts: vec![("f1".into(), Chart::Points(chart))],
    }
}
