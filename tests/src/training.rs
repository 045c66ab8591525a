//! `train`: losses fall, an interrupted run is the uninterrupted one, the folder that comes out is one that the loader reads
//! and the runtime runs as it was trained.

use std::path::Path;

use lm_infinite::train::graph::Graph;
use lm_infinite::train::{Shape, TrainOptions, TrainPosition, Trainer, checkpoint, parameters};

use crate::support::{decoder, load, session};

const LENGTH: usize = 32;

fn options(position: TrainPosition) -> TrainOptions {
    TrainOptions {
        shape: Shape {
            position,
            hidden: 16,
            layers: 2,
            heads: 2,
            kv_heads: 1,
            intermediate: 24,
            vocabulary: 300,
            length: LENGTH,
            ..Shape::default()
        },
        steps: 12,
        batch: 40,
        learning_rate: 1e-2,
        warmup: 2,
        passkey: 0.2,
        seed: 7,
        ..TrainOptions::default()
    }
}

/// Sixty thousand characters of the sample in a file of `folder`.
fn text(folder: &Path) -> String {
    let sample = include_str!("../../runtime/assets/text/sample.txt");
    let path = folder.join("text.txt");
    std::fs::write(&path, &sample[..60_000]).expect("a folder that can be written");
    path.to_str().expect("UTF-8").to_owned()
}

fn train(options: TrainOptions, folder: &Path) -> Vec<f64> {
    let mut trainer = Trainer::start(options, &[text(folder)], &folder.join("model")).expect("a training");
    let mut losses = Vec::new();
    while !trainer.is_done() {
        losses.push(trainer.step().expect("a finite loss"));
    }
    trainer.record().expect("a held-out loss");
    trainer.save(&folder.join("model")).expect("a folder that can be written");
    losses
}

#[test]
fn the_loss_falls() {
    let folder = tempfile::tempdir().expect("a folder");
    let losses = train(options(TrainPosition::Rope), folder.path());
    let untrained = 300f64.ln();
    assert!((losses[0] - untrained).abs() < 0.1, "first loss {}, chance {untrained}", losses[0]);
    assert!(losses[11] < untrained - 0.5, "{losses:?}");
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one_bit_for_bit() {
    let (whole, parts) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let expected = train(options(TrainPosition::Rope), whole.path());
    let folder = parts.path().join("model");
    let mut first =
        Trainer::start(options(TrainPosition::Rope), &[text(parts.path())], &folder).expect("a training");
    let mut losses: Vec<f64> = (0..5).map(|_| first.step().expect("a finite loss")).collect();
    first.save(&folder).expect("a folder that can be written");
    // Steps after the checkpoint are lost with the process that made them.
    first.step().expect("a finite loss");
    drop(first);
    let mut second = Trainer::resume(&folder).expect("a checkpoint");
    assert_eq!(second.steps_done(), 5);
    while !second.is_done() {
        losses.push(second.step().expect("a finite loss"));
    }
    assert_eq!(losses, expected);
    second.record().expect("a held-out loss");
    second.save(&folder).expect("a folder that can be written");
    let weights = |folder: &Path| std::fs::read(folder.join("model/model.safetensors")).expect("weights");
    assert_eq!(weights(parts.path()), weights(whole.path()));
}

#[test]
fn a_training_that_has_not_made_a_step_can_be_resumed() {
    let (whole, parts) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let expected = train(options(TrainPosition::Rope), whole.path());
    let folder = parts.path().join("model");
    drop(Trainer::start(options(TrainPosition::Rope), &[text(parts.path())], &folder).expect("a training"));
    let mut resumed = Trainer::resume(&folder).expect("a checkpoint before the first step");
    assert_eq!(resumed.steps_done(), 0);
    let losses: Vec<f64> = (0..12).map(|_| resumed.step().expect("a finite loss")).collect();
    assert_eq!(losses, expected);
}

#[test]
fn training_and_runtime_compute_the_same_logits() {
    let positions =
        [TrainPosition::Rope, TrainPosition::Alibi, TrainPosition::None].map(|one| (one, 10_000.0));
    for (position, base) in positions.into_iter().chain([(TrainPosition::Rope, 500.0)]) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = options(position);
        options.shape.rope_base = base;
        train(options, folder.path());
        let model = folder.path().join("model");
        let (header, trained, _) = checkpoint::load(&model.join(checkpoint::FILE)).expect("a checkpoint");
        let loaded = load(&model);
        assert_eq!(loaded.config, header.options.shape.config());
        assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
        let mut tokens = loaded
            .tokenizer
            .encode(
                "Afghanistan lies in the mountains; there are 17 rivers, and the longest flows to the north.",
            )
            .expect("tokens");
        assert_eq!(tokens[0], loaded.tokenizer.bos().expect("a BOS"));
        tokens.truncate(LENGTH);
        assert_eq!(tokens.len(), LENGTH);

        let graph = Graph::new(&loaded.config, LENGTH).expect("a graph");
        let variables = parameters::variables(&trained).expect("variables");
        let expected: Vec<Vec<f32>> =
            graph.logits(&variables, &tokens).and_then(|x| x.to_vec2()).expect("logits");
        let mut session = session(&decoder(&model), "vanilla");
        for (token, expected) in tokens.iter().zip(&expected) {
            session.feed(&[*token], None).expect("a known token");
            let logits = session.logits().expect("logits after a token");
            for (a, b) in logits.iter().zip(expected) {
                assert!((a - b).abs() < 1e-4, "{position:?}: {a} in the runtime, {b} in training");
            }
        }
    }
}

#[test]
fn the_same_text_gives_the_same_vocabulary() {
    let (a, b) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let tokenizer = |folder: &Path| {
        Trainer::start(options(TrainPosition::None), &[text(folder)], &folder.join("model"))
            .expect("a training");
        std::fs::read(folder.join("model/tokenizer.json")).expect("a tokenizer")
    };
    assert_eq!(tokenizer(a.path()), tokenizer(b.path()));
}

#[test]
fn a_text_that_changed_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    train(options(TrainPosition::None), folder.path());
    let path = folder.path().join("text.txt");
    std::fs::write(&path, "another text").expect("a folder that can be written");
    let error = Trainer::resume(&folder.path().join("model")).err().expect("a refusal").to_string();
    assert!(error.contains("text.txt") && error.contains("SHA-256"), "{error}");
}

#[test]
fn what_cannot_be_trained_on_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |content: &str, options: TrainOptions| {
        let path = folder.path().join("short.txt");
        std::fs::write(&path, content).expect("a folder that can be written");
        let path = path.to_str().expect("UTF-8").to_owned();
        Trainer::start(options, &[path], &folder.path().join("refused")).err().expect("a refusal").to_string()
    };
    assert!(refused("too short", options(TrainPosition::Rope)).contains("--vocabulary"));
    let mut long = options(TrainPosition::Rope);
    (long.shape.vocabulary, long.shape.length) = (260, 4096);
    assert!(refused(&"one two three four ".repeat(50), long).contains("--text"));
    assert!(Trainer::resume(&folder.path().join("nothing")).is_err());
    let damaged = folder.path().join("damaged");
    std::fs::create_dir(&damaged).expect("a folder");
    std::fs::write(damaged.join(checkpoint::FILE), b"no checkpoint").expect("a file");
    let error = Trainer::resume(&damaged).err().expect("a refusal").to_string();
    assert!(error.contains("training.safetensors"), "{error}");
}
