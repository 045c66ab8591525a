//! `train`: losses fall, an interrupted run is the uninterrupted one, the folder that comes out is one that the loader reads
//! and the runtime runs as it was trained.

use std::path::Path;

use lm_infinite::train::graph::Graph;
use lm_infinite::train::{Shape, TrainFamily, TrainOptions, TrainPosition, Trainer, checkpoint, parameters};

use crate::support::{decoder, load, mean, score, session};

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

/// A small decoder of `family`; a head is 8 wide, so that a quarter of it can be turned.
fn of_family(family: TrainFamily) -> TrainOptions {
    let mut options = options(family.position().unwrap_or(TrainPosition::Rope));
    let shape = &mut options.shape;
    (shape.family, shape.window) = (family, family.is_windowed().then_some(5));
    if !family.can_group_heads() {
        shape.kv_heads = shape.heads;
    }
    if family == TrainFamily::Mpt {
        shape.intermediate = 4 * shape.hidden;
    }
    options
}

const FAMILIES: [TrainFamily; 6] = [
    TrainFamily::Llama,
    TrainFamily::Gptj,
    TrainFamily::GptNeox,
    TrainFamily::Mpt,
    TrainFamily::Gemma2,
    TrainFamily::GptOss,
];

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
    for family in FAMILIES {
        let (whole, parts) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let expected = train(of_family(family), whole.path());
        let folder = parts.path().join("model");
        let mut first =
            Trainer::start(of_family(family), &[text(parts.path())], &folder).expect("a training");
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
        assert_eq!(losses, expected, "{family:?}");
        second.record().expect("a held-out loss");
        second.save(&folder).expect("a folder that can be written");
        let weights = |folder: &Path| std::fs::read(folder.join("model/model.safetensors")).expect("weights");
        assert_eq!(weights(parts.path()), weights(whole.path()), "{family:?}");
    }
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

/// Trains, reads the folder that came out, and holds the runtime's logits and losses against those of the graph.
fn holds_in_the_runtime(options: TrainOptions) {
    let folder = tempfile::tempdir().expect("a folder");
    let (family, position) = (options.shape.family, options.shape.position);
    let losses = train(options, folder.path());
    assert!(losses[11] < losses[0] - 0.4, "{family:?}: {losses:?}");
    let model = folder.path().join("model");
    let (header, trained, _) = checkpoint::load(&model.join(checkpoint::FILE)).expect("a checkpoint");
    let loaded = load(&model);
    let shape = &header.options.shape;
    assert_eq!(loaded.config, shape.config(), "{family:?}");
    // Windows are told.
    let told: Vec<&str> = loaded.notes.iter().map(|note| note.field.as_str()).collect();
    let expected: &[&str] = if family.is_windowed() { &["sliding_window"] } else { &[] };
    assert_eq!(told, expected, "{family:?}: {:?}", loaded.notes);
    let text = "Afghanistan lies in the mountains; there are 17 rivers, and the longest flows to the north. It is dry.";
    let mut tokens = loaded.tokenizer.encode(text).expect("tokens");
    assert_eq!(tokens[0], loaded.tokenizer.bos().expect("a BOS"));
    tokens.truncate(LENGTH + 1);
    assert_eq!(tokens.len(), LENGTH + 1);

    let graph = Graph::new(&loaded.config, shape.parts(), LENGTH).expect("a graph");
    let variables = parameters::variables(&trained).expect("variables");
    let expected: Vec<Vec<f32>> =
        graph.logits(&variables, &tokens[..LENGTH]).and_then(|x| x.to_vec2()).expect("logits");
    let [mut session, mut fresh] = [(), ()].map(|()| session(&decoder(&model), "vanilla"));
    for (token, expected) in tokens.iter().zip(&expected) {
        session.feed(&[*token], None).expect("a known token");
        let logits = session.logits().expect("logits after a token");
        for (a, b) in logits.iter().zip(expected) {
            assert!((a - b).abs() < 1e-4, "{family:?}, {position:?}: {a} in the runtime, {b} in training");
        }
    }
    let scale = 1.0 / LENGTH as f32;
    let in_training = graph.loss(&variables, std::slice::from_ref(&tokens), scale);
    let in_training = in_training.and_then(|loss| loss.to_scalar::<f32>()).expect("a loss");
    let in_runtime = mean(&score(&mut fresh, &tokens, 7));
    assert!((f64::from(in_training) - in_runtime).abs() < 1e-5, "{family:?}: {in_training}, {in_runtime}");
}

#[test]
fn training_and_runtime_compute_the_same_logits() {
    let positions =
        [TrainPosition::Rope, TrainPosition::Alibi, TrainPosition::None].map(|one| (one, 10_000.0));
    for (position, base) in positions.into_iter().chain([(TrainPosition::Rope, 500.0)]) {
        let mut options = options(position);
        options.shape.rope_base = base;
        holds_in_the_runtime(options);
    }
}

#[test]
fn training_and_runtime_compute_the_same_of_every_family() {
    for family in FAMILIES {
        holds_in_the_runtime(of_family(family));
    }
    let mut closed = of_family(TrainFamily::GptOss);
    closed.shape.closed_sinks = true;
    holds_in_the_runtime(closed);
}

#[test]
fn sinks_are_learned_unless_they_are_closed() {
    for (closed, learned) in [(false, true), (true, false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = of_family(TrainFamily::GptOss);
        options.shape.closed_sinks = closed;
        train(options, folder.path());
        let weights = load(&folder.path().join("model")).weights;
        for layer in &weights.layers {
            let sinks = layer.sinks.as_ref().expect("sinks");
            assert_eq!(sinks.len(), 2);
            let begin = if closed { -10_000.0 } else { 0.0 };
            assert!(sinks.iter().all(|&sink| (sink != begin) == learned), "{closed}: {sinks:?}");
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
