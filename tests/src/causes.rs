//! Causes found by intervention: in models whose only cause is known, and in the embedded one.

use std::path::Path;
use std::sync::Arc;

use lm_infinite::analysis::causes::{Cause, CauseSet};
use lm_infinite::causes::{
    CauseRuns, Causes, Interventions, Place, Places, SmallestFix, measure_places, smallest_fix,
};
use lm_infinite::session::Decoder;
use serde_json::Value;

use crate::fixtures::one_cause::{TRAINED, of_distances, of_keys, of_start_tokens, text};
use crate::support::program;

fn factorial(decoder: &Arc<Decoder>, tokens: &[u32]) -> (CauseRuns, Causes) {
    let runs = CauseRuns::measure(decoder, tokens, &[], &|_, _| ()).expect("runs");
    let causes = Causes::new(&runs).expect("policies");
    (runs, causes)
}

fn search(decoder: &Arc<Decoder>, tokens: &[u32], runs: &CauseRuns) -> (Places, Option<SmallestFix>) {
    let interventions = Interventions::new(decoder, tokens, runs).expect("known tokens");
    let count = tokens.len() as u64;
    let places = measure_places(&interventions, count, &|_, _| ()).expect("runs");
    let fix = smallest_fix(&interventions, &places, count, 0, &|_| true).expect("runs");
    (places, fix)
}

/// Losses of the sets that have `cause`, and of those that do not.
fn by_cause(causes: &Causes, cause: Cause) -> [Vec<f64>; 2] {
    [true, false].map(|present| {
        let sets = CauseSet::all().filter(|set| set.has(cause) == present);
        sets.map(|set| causes.factorial.means[set.index()].expect("finite")).collect()
    })
}

/// In the only layer that there is, head 0 is all of the cause, and head 1 none.
fn head_0_is_the_cause(decoder: &Arc<Decoder>, tokens: &[u32], runs: &CauseRuns) {
    let (places, fix) = search(decoder, tokens, runs);
    let share = |at: usize| places.heads[at].restored.expect("finite").share.share;
    assert!((share(0) - 1.0).abs() < 1e-3 && share(1).abs() < 1e-3, "{} {}", share(0), share(1));
    let layer = places.layers[0];
    let both = [layer.restored, layer.lost].map(|restored| restored.expect("finite").share.share);
    assert!(both.iter().all(|share| (share - 1.0).abs() < 1e-3), "{both:?}");
    let fix = fix.expect("finite");
    assert_eq!((fix.places, fix.of), (vec![Place { layer: 0, head: Some(0) }], 2));
    let kept = (TRAINED + 10) as f64 / tokens.len() as f64;
    let saved = fix.cache_bytes as f64 / fix.cache_bytes_vanilla as f64;
    assert!((saved - (1.0 + kept) / 2.0).abs() < 1e-9, "{saved}");
}

#[test]
fn a_model_that_fails_of_distances_alone_is_told_so() {
    let (decoder, tokens) = (of_distances(), text(1536));
    let (runs, causes) = factorial(&decoder, &tokens);
    let effects = causes.factorial.effects.expect("finite");
    let [distances, keys] = effects.vanilla.shares.expect("an excess");
    assert!(effects.vanilla.excess.low > 1.0, "{:?}", effects.vanilla.excess);
    assert!(distances.share >= 0.9 && keys.share <= 0.1, "{distances}; {keys}");
    let shares = effects.shares.expect("an excess");
    assert!(shares.distances.share >= 0.9, "{}", shares.distances);
    head_0_is_the_cause(&decoder, &tokens, &runs);
}

#[test]
fn a_model_that_fails_of_the_number_of_keys_alone_is_told_so() {
    let (decoder, tokens) = (of_keys(), text(1536));
    let (runs, causes) = factorial(&decoder, &tokens);
    let effects = causes.factorial.effects.expect("finite");
    let [distances, keys] = effects.vanilla.shares.expect("an excess");
    assert!(effects.vanilla.excess.low > 0.5, "{:?}", effects.vanilla.excess);
    assert!(keys.share >= 0.9 && distances.share.abs() <= 0.1, "{distances}; {keys}");
    let shares = effects.shares.expect("an excess");
    assert!(shares.keys.share >= 0.9, "{}", shares.keys);
    let [with, without] = by_cause(&causes, Cause::Keys);
    assert!(with.iter().all(|loss| without.iter().all(|other| loss > other)), "{with:?} {without:?}");
    head_0_is_the_cause(&decoder, &tokens, &runs);
}

#[test]
fn a_model_that_fails_of_dropped_start_tokens_alone_is_told_so() {
    let (decoder, tokens) = (of_start_tokens(), text(1536));
    let (_, causes) = factorial(&decoder, &tokens);
    let effects = causes.factorial.effects.expect("finite");
    let shares = effects.shares.expect("an excess");
    assert!(effects.total.low > 1.0, "{:?}", effects.total);
    assert!(shares.start.share >= 0.9, "{}", shares.start);
    // The model as it is keeps them.
    assert!(!causes.has_excess() && effects.vanilla.shares.is_none(), "{:?}", effects.vanilla.excess);
    let said = causes.sentences();
    assert!(said[0].contains("there is nothing to explain"), "{said:?}");
    assert!(said[1].contains("start tokens 100 %"), "{said:?}");
}

#[test]
fn within_the_training_length_there_is_nothing_to_tell_apart() {
    let (_, causes) = factorial(&of_keys(), &text(64));
    assert_eq!(causes.factorial.effects, None);
    assert!(causes.sentences()[0].contains("too few tokens"), "{:?}", causes.sentences());
    let (_, causes) = factorial(&of_keys(), &[]);
    assert_eq!(causes.factorial.n, 0);
}

/// What `diagnose` with these arguments prints as JSON, from `folder`.
fn diagnosed(folder: &Path, arguments: &str) -> Value {
    let output = program()
        .args(["diagnose", "--json"])
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_diagnosis_says_causes_layers_heads_and_the_smallest_fix() {
    let scratch = tempfile::tempdir().expect("a folder");
    let json = diagnosed(scratch.path(), "--tokens 1500 --causes --out out");
    let causes = &json["causes"];
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    let shares = ["distances", "keys", "start"].map(|cause| number(&causes["shares"][cause]["share"]));
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
    let [low, high] = [0, 1].map(|end| number(&causes["interval"][end]));
    assert!(low > 0.5 && low < number(&causes["excess"]) && number(&causes["excess"]) < high);
    assert_eq!(
        (causes["layers"].as_array().map(Vec::len), causes["heads"].as_array().map(Vec::len)),
        (Some(6), Some(24))
    );
    let temperature = &causes["temperature"];
    assert!(number(&temperature["interval"][0]) < number(&temperature["restored"]), "{temperature}");
    let fix = &causes["smallest_fix"];
    assert!(number(&fix["restored"]) >= 0.95, "{fix}");
    let size = fix["heads"].as_array().expect("heads").len();
    assert!((1..24).contains(&size) && number(&fix["random"]["mean"]) < number(&fix["restored"]), "{fix}");
    let out = scratch.path().join("out");
    let files = |folder: &Path| {
        let names =
            std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| name.contains("causes"));
        names.sort();
        names
    };
    assert_eq!(files(&out).len(), 7, "{:?}", files(&out));
    let summary = std::fs::read_to_string(out.join("summary.txt")).expect("was written");
    let said: Vec<&str> = summary.lines().skip(1).take(6).collect();
    let begins =
        ["of +", "of +", "with distances clamped", "the fix in one layer", "the fix in ", "rank correlation"];
    for (line, begin) in said.iter().zip(begins) {
        assert!(line.starts_with(begin), "{said:?}");
    }
    let report = std::fs::read_to_string(out.join("report.html")).expect("was written");
    assert!(
        report.find("<h2>Causes</h2>") < report.find("<h2>Verdicts</h2>")
            && report.contains("rank correlation")
    );
    let heads = std::fs::read_to_string(out.join("causes_heads.csv")).expect("was written");
    assert_eq!(heads.lines().count(), 1 + 2 * 6 + 24);
    // It is read again, and drawn the same.
    let drawn = std::fs::read(out.join("causes_heads.svg")).expect("was drawn");
    std::fs::remove_file(out.join("causes_heads.svg")).expect("removed");
    assert!(program().arg("plot").arg(&out).output().expect("the program starts").status.success());
    assert_eq!(std::fs::read(out.join("causes_heads.svg")).expect("was drawn again"), drawn);
    assert_eq!(std::fs::read_to_string(out.join("report.html")).expect("again"), report);
}

#[test]
fn causes_come_by_themselves_where_they_are_cheap_and_not_within_the_training_length() {
    let scratch = tempfile::tempdir().expect("a folder");
    let json = diagnosed(scratch.path(), "--tokens 600 --out whole");
    assert!(json["causes"]["shares"].is_object() && json["causes"]["heads"].is_null(), "{}", json["causes"]);
    let json = diagnosed(scratch.path(), "--tokens 256 --out within");
    assert!(json["causes"].is_null());
    let summary = std::fs::read_to_string(scratch.path().join("within/summary.txt")).expect("was written");
    assert!(!summary.contains("shares") && !scratch.path().join("within/causes.json").exists());
    // Asked for, they say why there are none.
    diagnosed(scratch.path(), "--tokens 256 --causes --out asked");
    let summary = std::fs::read_to_string(scratch.path().join("asked/summary.txt")).expect("was written");
    assert!(summary.contains("too few tokens from token 256 on"), "{summary}");
}
