//! Failures that are predicted from windows of the training length, against what longer texts show.

use std::sync::Arc;

use lm_infinite::checkpoint;
use lm_infinite::diagnose::Outcome;
use lm_infinite::model::ModelConfig;
use lm_infinite::prediction::{Ladder, Predicted, Windows, predict};
use lm_infinite::session::Decoder;

use crate::families::Stored;
use crate::fixtures::one_cause::{TRAINED, of_distances, of_keys};
use crate::support::{cache, decoder, made_up_tokens, program, score, session};

const TOKENS: u64 = 4096;
const MARGIN: f64 = 0.2;

/// Of a built-in model that is taken to have been trained on `trained` tokens.
fn predicted(name: &str, trained: u64, longest: u64) -> Predicted {
    let mut loaded = checkpoint::load(name, &cache()).expect("built in");
    loaded.config.trained_length = trained;
    let text = include_str!("../../runtime/assets/text/sample.txt");
    let tokens = loaded.tokenizer.encode(text).expect("encodes");
    let windows = Windows::of(trained).cut(&tokens, loaded.tokenizer.bos()).expect("long enough");
    let decoder = Arc::new(Decoder::new(loaded.config, loaded.weights).expect("whole"));
    predict(&decoder, &windows, longest, MARGIN, &|_, _| ()).expect("runs")
}

/// The same decoder, whose layers have this window of their own.
fn with_windows(decoder: &Decoder, windows: Vec<Option<u64>>) -> Arc<Decoder> {
    let config = ModelConfig { sliding_windows: windows, ..decoder.config().clone() };
    Arc::new(Decoder::new(config, decoder.weights().clone()).expect("whole"))
}

/// In one layer keys and values do not depend on what stands before them: the composed context is the text of its parts, and
/// what is predicted is what reading it shows.
fn predicts_the_text_of_its_parts(decoder: &Arc<Decoder>) -> Predicted {
    let (trained, start) = (TRAINED as usize, 10);
    let window = |first: u32| (first..).take(trained).collect::<Vec<u32>>();
    let windows = [window(0), window(500)];
    let found = predict(decoder, &windows, 512, MARGIN, &|_, _| ()).expect("runs");
    let late = |tokens: &[u32]| {
        let losses = score(&mut session(decoder, "vanilla"), tokens, 4096);
        losses[losses.len() - trained / 2..].iter().map(|&loss| f64::from(loss)).sum::<f64>()
    };
    for at in &found.lengths {
        // The compared tokens, the last half of a window, lie around the length.
        let behind = if at.length > TRAINED { trained / 4 } else { 0 };
        let between = at.length as usize + behind - trained;
        let excess: f64 = [0, 1]
            .map(|own| {
                let other = windows[1 - own][start..].iter().copied().cycle().take(between);
                let head = windows[own][..start].iter().copied();
                let text: Vec<u32> = head.chain(other).chain(windows[own][start..].iter().copied()).collect();
                late(&text) - late(&windows[own])
            })
            .iter()
            .sum();
        let (excess, got) = (excess / trained as f64, at.loss.expect("finite").mean);
        assert!((got - excess).abs() < 1e-3, "{}: {got} {excess}", at.length);
    }
    found
}

#[test]
fn in_one_layer_a_composed_context_is_the_text_of_its_parts() {
    for decoder in [of_distances(), of_keys()] {
        assert_eq!(predicts_the_text_of_its_parts(&decoder).outcome, Outcome::Fails);
    }
}

#[test]
fn a_model_with_a_window_of_its_own_is_predicted_within_it() {
    for own in [1, 7, 63, 64] {
        for decoder in [of_distances(), of_keys()] {
            let found = predicts_the_text_of_its_parts(&with_windows(&decoder, vec![Some(own)]));
            // No key is farther away, and none has more beside it, than in training.
            assert_eq!(
                (found.outcome, found.onset),
                (Outcome::Holds, None),
                "{own}: {:?}",
                found.sentences()
            );
        }
    }
    // One that is longer than what was trained does not hold all of a longer text.
    for own in [65, 100, 1000] {
        predicts_the_text_of_its_parts(&with_windows(&of_keys(), vec![Some(own)]));
    }
}

/// Layers of a family whose windows are shorter than the training length, all or some.
#[test]
fn families_with_windows_are_predicted() {
    let tokens = made_up_tokens(4000);
    for (name, windows) in
        [("gemma2", 2), ("gemma3_text", 3), ("cohere2", 4), ("mixtral", 2), ("phi3", 2), ("gpt_oss", 2)]
    {
        let folder = Stored::read(name).write();
        let decoder = decoder(folder.path());
        let config = decoder.config();
        let shorter = config.sliding_windows.iter().flatten().count();
        assert_eq!(shorter, windows, "{name}");
        let trained = config.trained_length;
        let windows = Windows { length: trained, count: 2 }.cut(&tokens, None).expect("long enough");
        let found = predict(&decoder, &windows, 3 * trained, MARGIN, &|_, _| ()).expect(name);
        assert!(found.lengths.len() > 2, "{name}");
        assert!(found.lengths.iter().all(|at| at.loss.is_some_and(|loss| loss.mean.is_finite())), "{name}");
        assert_eq!(found.lengths[0].loss.map(|loss| loss.mean), Some(0.0), "{name}");
    }
}

#[test]
fn rope_is_predicted_to_fail_where_it_does() {
    let found = predicted("tiny-rope", 256, TOKENS);
    let said = found.sentences();
    let onset = found.onset.expect("it fails").at;
    assert!((257..400).contains(&onset), "{said:?}");
    let end = found.last().and_then(|at| at.loss).expect("finite");
    assert!((1.5..4.0).contains(&end.mean), "{said:?}");
    assert_eq!((found.logits, found.entropy), (Outcome::Fails, Outcome::Fails), "{said:?}");
}

#[test]
fn alibi_is_predicted_to_hold_and_no_encoding_to_fail_of_its_keys_alone() {
    let alibi = predicted("tiny-alibi", 256, TOKENS);
    assert_eq!(alibi.outcome, Outcome::Holds, "{:?}", alibi.sentences());
    let nope = predicted("tiny-nope", 256, TOKENS);
    assert_eq!((nope.outcome, nope.logits), (Outcome::Fails, Outcome::Holds), "{:?}", nope.sentences());
    for head in &nope.heads {
        for effect in [head.logits, head.logits_on_start].into_iter().flatten() {
            assert!(effect.effect.mean.abs() < 1e-4 && !effect.exceeds, "{head:?}");
        }
    }
}

/// The null: a quarter of the training length is declared to be all of it, so that every length is within it.
#[test]
fn within_its_training_length_a_healthy_model_is_predicted_to_hold() {
    let found = predicted("tiny-rope", 64, 256);
    let said = found.sentences();
    assert_eq!(found.outcome, Outcome::Holds, "{said:?}");
    assert_eq!((found.logits, found.entropy), (Outcome::Holds, Outcome::Holds), "{said:?}");
    assert!(found.heads.iter().all(|head| !head.logits_exceed() && !head.entropy_exceeds()), "{said:?}");
}

#[test]
fn what_cannot_be_predicted_is_refused() {
    let decoder = of_distances();
    let window: Vec<u32> = (0..TRAINED as u32).collect();
    for windows in [vec![], vec![window.clone()], vec![window.clone(), window[1..].to_vec()]] {
        assert!(predict(&decoder, &windows, 512, MARGIN, &|_, _| ()).is_err(), "{}", windows.len());
    }
    let within = predict(&decoder, &[window.clone(), window.clone()], 1, MARGIN, &|_, _| ()).expect("runs");
    assert_eq!((within.outcome, within.lengths.len()), (Outcome::Undecided, 1));
    assert!(Windows::of(256).cut(&[1; 400], None).is_err(), "one window");
    assert_eq!(Windows::of(256).cut(&[1; 520], Some(1)).expect("two").len(), 2);
    assert!(Ladder::new(256, 4096).lengths().len() > 10);
}

#[test]
fn the_command_reads_nothing_beyond_the_training_length() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let run =
        program().args(["diagnose", "--predict", "1k", "--json", "--out"]).arg(&out).output().expect("runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!((&json["tokens"], json["runs"].as_array().map(Vec::len)), (&256.into(), Some(1)));
    assert_eq!(json["predicted"]["loss"]["outcome"], "fails");
    assert_eq!(json["predicted"]["heads"].as_array().map(Vec::len), Some(24));
    for name in ["predicted.csv", "predicted_by_length.csv", "predicted.json", "predicted_loss.svg"] {
        assert!(out.join(name).is_file(), "{name}");
    }
    // What is read again is what was written.
    let (_, read) = lm_infinite::results::read(&out).expect("a folder of results");
    let read = read.predicted.expect("was written").to_json();
    for part in ["/loss/onset", "/loss/outcome", "/logits/at", "/entropy/outcome", "/heads/16/logits/exceeds"]
    {
        assert_eq!(read.pointer(part), json["predicted"].pointer(part), "{part}");
    }
    let summary = std::fs::read_to_string(out.join("summary.txt")).expect("was written");
    assert!(summary.contains("predicted from 16 windows of 256 tokens"), "{summary}");
    let refused = program().args(["diagnose", "--predict", "256"]).output().expect("runs");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--predict"));
}
