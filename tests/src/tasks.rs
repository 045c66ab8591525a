//! The paper's tasks as commands, on small inputs.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use lm_infinite::passkey::Prompt;
use lm_infinite::qasper;
use lm_infinite_analysis::Proportion;
use serde_json::Value;

use crate::support::{golden, load, program};

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).arg("--json").output().expect("the program starts")
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("stdout is one JSON value")
}

fn refused(arguments: &[&str], reason: &str) {
    let output = run(arguments);
    // With `--json` the reason is data.
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && said.contains(reason), "`{reason}` is not in: {said}");
}

#[test]
fn qasper_asks_every_question_in_the_papers_words() {
    let path = golden("qasper/two-articles.json");
    let questions = qasper::read(&path).expect("a file of the dataset's layout");
    let ids: Vec<_> = questions.iter().map(|question| question.id.as_str()).collect();
    assert_eq!(ids, ["boats", "paint", "tide"]);
    assert_eq!(questions[0].references, ["Forty boats", "forty"]);
    assert_eq!(
        (questions[1].references[0].as_str(), questions[2].references[0].as_str()),
        ("unanswerable", "yes")
    );
    let prompt = &questions[0].prompt;
    assert!(
        prompt.starts_with(
            "You are a helpful, concise and honest assistant. You are given a scientific article"
        )
    );
    assert!(prompt.contains(
        "Article: Introduction Harbours hold boats. We count them at noon.  Forty boats were seen on the first day.  \
         Question: How many boats were seen on the first day? Please"
    ));
    assert!(prompt.ends_with("<Answer>"));
}

#[test]
fn qasper_scores_every_policy() {
    let path = golden("qasper/two-articles.json");
    let path = path.to_str().expect("UTF-8");
    let json = json(&run(&["qasper", "--data", path, "--length", "200"]));
    let runs = json["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 2);
    for run in runs {
        let answers = run["answers"].as_array().expect("answers");
        assert_eq!(answers.len(), 3);
        let mean = answers.iter().map(|a| a["f1"].as_f64().expect("a score")).sum::<f64>() / 3.0;
        assert!((run["f1"].as_f64().expect("a score") - mean).abs() < 1e-12);
        assert!(answers.iter().all(|answer| answer["prompt_tokens"] == 200), "{answers:?}");
    }
    refused(&["qasper", "--data", "nowhere.json"], "nowhere.json");
    refused(&["qasper", "--data", path, "--length", "1"], "--length");
}

/// Within the training length both policies are the same computation, and so is what they write.
#[test]
fn generation_quality_is_equal_within_the_training_length_and_differs_beyond() {
    let quality = |length: &str| {
        let arguments = ["generation-quality", "--lengths", length, "--tokens", "16", "--samples", "3"];
        let json = json(&run(&arguments));
        let score = |run: usize, name: &str| json["runs"][run][name].as_f64().expect("a score");
        ["bleu", "rouge_l"].map(|name| (score(0, name), score(1, name)))
    };
    for (vanilla, infinite) in quality("200") {
        assert!(vanilla == infinite && (0.0..=1.0).contains(&vanilla), "{vanilla} {infinite}");
    }
    let [_, (vanilla, infinite)] = quality("3000");
    assert!(infinite > vanilla, "ROUGE-L {infinite} and {vanilla}");
    refused(&["generation-quality", "--lengths", "0"], "--lengths");
    refused(&["generation-quality", "--lengths", "1G"], "tokens");
}

#[test]
fn an_ablation_is_zero_within_the_training_length_and_tells_the_policies_apart_beyond() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("ablation");
    let out = out.to_str().expect("UTF-8");
    let policies = ["--policy", "vanilla", "--policy", "lambda", "--policy", "lm-infinite"];
    let arguments = ["ablation", "--tokens", "1200", "--segments", "4", "--out", out];
    let json = json(&run(&[&arguments[..], &policies].concat()));
    let runs = json["runs"].as_array().expect("runs");
    let beyond: Vec<f64> = runs.iter().map(|run| run["beyond"]["nll"].as_f64().expect("a mean")).collect();
    assert!(beyond[0] > beyond[1] && beyond[1] > beyond[2] + 0.2 && beyond[2].abs() < 0.1, "{beyond:?}");
    for run in runs {
        let excess = run["excess"].as_array().expect("bins");
        let inside = excess.iter().filter(|bin| bin["to"].as_u64().is_some_and(|to| to <= 256));
        let inside: Vec<f64> = inside.map(|bin| bin["nll"].as_f64().expect("a mean")).collect();
        assert!(inside.len() >= 4 && inside.iter().all(|nll| nll.abs() < 1e-3), "{inside:?}");
        let band = &run["beyond"]["band"];
        let (low, high) = (band[0].as_f64().expect("low"), band[1].as_f64().expect("high"));
        assert!(low < high && (low..=high).contains(&run["beyond"]["nll"].as_f64().expect("a mean")));
    }
    let svg = folder.path().join("ablation/ablation.svg");
    let drawn = std::fs::read(&svg).expect("a figure");
    std::fs::remove_file(&svg).expect("removed");
    assert!(program().args(["plot", out]).output().expect("it starts").status.success());
    assert_eq!(std::fs::read(&svg).expect("drawn again"), drawn);

    refused(&["ablation", "--tokens", "1"], "at least 2");
    refused(&["ablation", "--tokens", "1G"], "a segment");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn a_benchmark_leaves_figures_and_times_truncation_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("bench");
    let out = out.to_str().expect("UTF-8");
    let arguments =
        ["bench", "--lengths", "64,300", "--decode", "2", "--rounds", "1", "--truncate", "128", "--out", out];
    let json = json(&run(&arguments));
    let runs = json["runs"].as_array().expect("runs");
    let labels: Vec<_> = runs.iter().map(|run| run["policy"].as_str().expect("a name")).collect();
    assert_eq!(labels, ["vanilla", "lm-infinite:start=10,window=64", "truncate:window=128"].repeat(2));
    let held = |run: usize| runs[run]["kv_cache_bytes"].as_u64().expect("bytes");
    assert!(held(5) < held(3), "a truncated window holds less than everything: {json}");
    for name in
        ["encode_by_length.svg", "decode_by_length.png", "memory_by_length.svg", "bench.csv", "run.json"]
    {
        assert!(folder.path().join("bench").join(name).is_file(), "{name}");
    }
    assert!(program().args(["plot", out]).output().expect("it starts").status.success());
    refused(&["bench", "--truncate", "0"], "from 1");
}

#[test]
fn a_sweep_measures_every_value_and_leaves_a_figure() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("sweep");
    let out = out.to_str().expect("UTF-8");
    let arguments =
        ["sweep", "--key", "window", "--values", "128,256,768", "--length", "1k", "--samples", "4"];
    let json = json(&run(&[&arguments[..], &["--out", out]].concat()));
    let runs = json["runs"].as_array().expect("runs");
    let nll: Vec<f64> = runs.iter().map(|run| run["nll"].as_f64().expect("a loss")).collect();
    // A window longer than the training length has distances that training never had, short of the ceiling.
    assert!(nll.len() == 3 && (nll[0] - nll[1]).abs() < 0.2 && nll[2] > nll[1] + 0.5, "{nll:?}");
    let table = std::fs::read_to_string(folder.path().join("sweep/sweep.csv")).expect("a table");
    assert!(table.starts_with("policy,window,length_tokens,samples,nll_nats") && table.lines().count() == 4);
    redrawn(&folder.path().join("sweep"), "sweep.svg");

    refused(&["sweep", "--key", "colour", "--values", "1"], "colour");
    refused(&["sweep", "--key", "k", "--values", "1"], "k");
    refused(&["sweep", "--key", "window", "--values", "some"], "some");
    refused(&["sweep", "--key", "window", "--values", "64", "--length", "100"], "--length");
}

#[test]
fn a_passkey_out_of_the_window_is_lost_to_truncation_and_found_by_top_k() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("keys");
    let out = out.to_str().expect("UTF-8");
    let policies = ["--policy", "truncate", "--policy", "lm-infinite-topk"];
    let arguments = ["passkey", "--lengths", "200,1k", "--depth", "0,1", "--samples", "5", "--out", out];
    let json = json(&run(&[&arguments[..], &policies].concat()));
    let at =
        |run: usize, depth: usize| json["runs"][run]["depths"][depth]["accuracy"].as_f64().expect("a share");
    let length = |run: usize| json["runs"][run]["length"].as_u64().expect("a length");
    let policy = |run: usize| json["runs"][run]["policy"].as_str().expect("a name").to_owned();
    for run in 0..4 {
        let lost = policy(run).starts_with("truncate") && length(run) == 1024;
        assert_eq!(at(run, 0), if lost { 0.0 } else { 1.0 }, "{} at {}", policy(run), length(run));
        assert_eq!(at(run, 1), 1.0, "{} at {}", policy(run), length(run));
    }
    let names = std::fs::read_dir(folder.path().join("keys")).expect("a folder");
    let figures =
        names.filter(|name| name.as_ref().is_ok_and(|n| n.path().extension().is_some_and(|e| e == "svg")));
    assert_eq!(figures.count(), 2, "accuracy by length, and by depth and length");
    refused(&["passkey", "--lengths", "5", "--samples", "1"], "tokens");
}

/// The embedded model was trained on several numbers with names: it finds those that it attends to.
#[test]
fn needles_within_reach_are_found_and_those_out_of_the_window_are_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("needles");
    let out = out.to_str().expect("UTF-8");
    let policies = ["--policy", "vanilla", "--policy", "window"];
    let arguments = ["needle", "--task", "multi-key,common-words", "--lengths", "240,1k", "--samples", "10"];
    let result = json(&run(&[&arguments[..], &policies, &["--out", out]].concat()));
    let runs = result["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 8);
    let recall = |policy: &str, task: &str, length: u64| {
        let own = |run: &&Value| {
            run["policy"].as_str().is_some_and(|own| own.starts_with(policy))
                && run["task"] == task
                && run["length"] == length
        };
        let run = runs.iter().find(own).expect("a run");
        let number = |name: &str| run[name].as_f64().expect("a number");
        let expected = Proportion::of_share(number("recall"), 10).expect("trials");
        assert_eq!((number("low"), number("high")), (expected.low, expected.high));
        number("recall")
    };
    // Within the training length a window of it is the model as it is.
    let within = recall("vanilla", "multi-key", 240);
    assert!(within >= 0.8, "{within}");
    assert_eq!(within, recall("window", "multi-key", 240));
    assert!(recall("vanilla", "multi-key", 1024) < 0.5 && recall("window", "multi-key", 1024) < 0.7);
    let depths = runs[0]["depths"].as_array().expect("depths");
    let prompts: u64 = depths.iter().map(|part| part["samples"].as_u64().expect("a count")).sum();
    assert_eq!(prompts, 10, "one of the four numbers is asked for");
    assert!(
        runs.iter()
            .filter(|run| run["task"] == "common-words")
            .all(|run| run["depths"] == Value::Array(vec![]))
    );
    for file in [
        "needle.csv",
        "needle_by_depth.csv",
        "multi-key_by_depth_and_length.svg",
        "common-words_by_length.png",
    ] {
        assert!(Path::new(out).join(file).is_file(), "{file}");
    }
    assert!(!Path::new(out).join("common-words_by_depth_and_length.svg").exists());
    redrawn(Path::new(out), "multi-key_by_length.svg");
    refused(&["needle", "--lengths", "20", "--samples", "1"], "alone are");
    let misuse = program().args(["needle", "--task", "many-keys"]).output().expect("the program starts");
    assert_eq!(misuse.status.code(), Some(2));
}

#[test]
fn a_comparison_puts_loss_retrieval_memory_and_speed_of_every_method_side_by_side() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("compare");
    let out = out.to_str().expect("UTF-8");
    let arguments =
        ["compare", "--tokens", "512", "--segments", "3", "--samples", "2", "--rounds", "1", "--out", out];
    let result = json(&run(&arguments));
    let runs = result["runs"].as_array().expect("runs");
    let of = |preset: &str| {
        let own =
            |run: &&Value| run["policy"].as_str().is_some_and(|own| own.split(':').next() == Some(preset));
        runs.iter().find(own).unwrap_or_else(|| panic!("no {preset} in {runs:?}"))
    };
    let number = |preset: &str, name: &str| of(preset)[name].as_f64().expect("a number");
    assert!(number("vanilla", "excess") > number("lm-infinite", "excess") + 0.2);
    for preset in ["self-extend", "dca", "dynamic-ntk", "temperature", "rerope", "yarn"] {
        assert!(number(preset, "excess").is_finite() && number(preset, "decode_tokens_per_second") > 0.0);
    }
    assert!(number("lm-infinite", "kv_cache_bytes") < 0.6 * number("vanilla", "kv_cache_bytes"));
    let lengths: Vec<u64> = of("vanilla")["passkey"]
        .as_array()
        .expect("lengths")
        .iter()
        .map(|passkey| passkey["length"].as_u64().expect("a length"))
        .collect();
    assert_eq!(lengths, [256, 512]);
    // What the model cannot follow is left out of the defaults, and said; asked for, it is refused.
    let notes = result["notes"].to_string();
    assert!(notes.contains("longrope") && notes.contains("left out"), "{notes}");
    refused(&["compare", "--tokens", "512", "--policy", "longrope"], "no factors of LongRoPE");
    refused(&["compare", "--tokens", "256"], "nothing to compare");
    let csv = std::fs::read_to_string(Path::new(out).join("compare.csv")).expect("a table");
    assert_eq!(csv.lines().count(), 1 + 2 * runs.len());
    for file in ["compare.svg", "loss_by_position.png", "passkeys_by_length.svg"] {
        assert!(Path::new(out).join(file).is_file(), "{file}");
    }
    redrawn(Path::new(out), "compare.svg");
    let alibi = json(&run(&[
        "compare",
        "--model",
        "tiny-alibi",
        "--tokens",
        "512",
        "--segments",
        "1",
        "--samples",
        "1",
        "--rounds",
        "1",
    ]));
    let policies = alibi["runs"].to_string();
    assert!(policies.contains("\"pi:factor=2\"") && !policies.contains("yarn"), "{policies}");
}

/// Prompts of other seeds, lengths, depths and samples have nothing in common but the words.
#[test]
fn no_two_passkey_prompts_share_a_key() {
    let tokenizer = load(Path::new("tiny-rope")).tokenizer;
    let mut keys = BTreeSet::new();
    let mut prompts = 0;
    for seed in 0..4 {
        for length in [200, 256] {
            for depth in [None, Some(0.0), Some(0.5)] {
                for sample in 0..25 {
                    prompts += 1;
                    let prompt = Prompt::new(&tokenizer, length, depth, seed, sample).expect("long enough");
                    let again = Prompt::new(&tokenizer, length, depth, seed, sample).expect("long enough");
                    assert!(prompt == again && prompt.tokens.len() == length);
                    keys.insert(prompt.key);
                }
            }
        }
    }
    // Of 600 keys drawn from ten million, two are equal by chance in one of 56 cases; seeds that overlap share hundreds.
    assert!(keys.len() + 1 >= prompts, "{} keys of {prompts} prompts", keys.len());
}

#[test]
fn shares_come_with_their_intervals() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("keys");
    let out = out.to_str().expect("UTF-8");
    let holds = |run: &Value, share: &str, n: u64| {
        let number = |name: &str| run[name].as_f64().expect("a number");
        let expected = Proportion::of_share(number(share), n).expect("trials");
        assert_eq!((number("low"), number("high")), (expected.low, expected.high), "{run}");
    };
    let passkey = ["passkey", "--lengths", "200", "--depth", "0,1", "--samples", "3", "--policy", "vanilla"];
    let result = json(&run(&[&passkey[..], &["--out", out]].concat()));
    holds(&result["runs"][0], "accuracy", 6);
    holds(&result["runs"][0]["depths"][1], "accuracy", 3);
    let read = |name: &str| std::fs::read_to_string(folder.path().join("keys").join(name)).expect("written");
    assert!(read("passkey.csv").starts_with("policy,length_tokens,depth,samples,accuracy,low,high,"));
    let words = read("summary.txt");
    let share = result["runs"][0]["accuracy"].as_f64().expect("a share");
    let whole = Proportion::of_share(share, 6).expect("trials");
    assert!(words.contains(&whole.percent()) && words.contains("n = 6 prompts"), "{words}");
    let stored: Value = serde_json::from_str(&read("result.json")).expect("JSON");
    let bar = format!("\"intervals\":[[{}", Value::from(100.0 * whole.low));
    assert!(stored.to_string().contains(&bar), "{bar}");

    let sweep =
        ["sweep", "--measure", "passkey", "--policy", "lm-infinite-topk", "--key", "k", "--values", "0,5"];
    let result = json(&run(&[&sweep[..], &["--length", "300", "--samples", "4"]].concat()));
    result["runs"].as_array().expect("runs").iter().for_each(|run| holds(run, "accuracy", 4));

    let path = golden("qasper/two-articles.json");
    let result = json(&run(&["qasper", "--data", path.to_str().expect("UTF-8"), "--length", "200"]));
    result["runs"].as_array().expect("runs").iter().for_each(|run| holds(run, "f1", 3));
}

#[test]
fn a_task_keeps_its_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("qasper");
    let path = golden("qasper/two-articles.json");
    let arguments =
        ["qasper", "--data", path.to_str().expect("UTF-8"), "--length", "200", "--policy", "truncate"];
    json(&run(&[&arguments[..], &["--out", out.to_str().expect("UTF-8")]].concat()));
    let result: Value =
        serde_json::from_slice(&std::fs::read(out.join("result.json")).expect("a result")).expect("JSON");
    assert!(result.to_string().contains("boats"), "{result}");
    let csv = std::fs::read_dir(&out).expect("a folder").filter(|name| {
        name.as_ref().is_ok_and(|name| name.path().extension().is_some_and(|extension| extension == "csv"))
    });
    assert!(csv.count() >= 1 && out.join("run.json").is_file() && out.join("summary.txt").is_file());
}

/// A figure that was removed is drawn again, the same.
fn redrawn(folder: &std::path::Path, figure: &str) {
    let drawn = std::fs::read(folder.join(figure)).expect("a figure");
    std::fs::remove_file(folder.join(figure)).expect("removed");
    assert!(program().arg("plot").arg(folder).output().expect("it starts").status.success());
    assert_eq!(std::fs::read(folder.join(figure)).expect("drawn again"), drawn);
}
