//! What the tour says: of the run on screen, with its numbers.

use lm_infinite::diagnose::{Diagnosis, HeadReport, RunMeasurement, START_TOKENS, head_name};

use super::part::Part;
use crate::views::reach::{not_yet, to_go};
use crate::views::sentence::{all, loss};
use crate::words::grouped;

/// What is said of a part.
pub fn words(part: Part, diagnosis: Option<&Diagnosis>) -> String {
    let Some((diagnosis, a)) = diagnosis.and_then(|all| Some((all, all.runs.first()?))) else {
        return "Nothing has been read yet: Run reads the text, and then this step says what it shows."
            .to_owned();
    };
    match part {
        Part::Loss => format!(
            "The dashed bar is the length that the model was trained on, {} tokens; grey is the reference, the same text in \
             windows of that length. {}",
            grouped(diagnosis.trained_length),
            loss(diagnosis, 0, a)
        ),
        Part::Logits => format!(
            "Logits on unseen distances: a query that looks further back than training ever showed may get logits larger than any \
             in training. {}",
            factor(diagnosis, a, &a.factors.logits.verdict.words)
        ),
        Part::Entropy => format!(
            "Entropy: the more keys a query sees, the thinner its attention may be spread. {}",
            factor(diagnosis, a, &a.factors.entropy.verdict.words)
        ),
        Part::Heads => start_tokens(a),
        Part::RunBar => mask(diagnosis),
        Part::Verdicts => format!("So, line by line: {}", all(diagnosis)),
    }
}

/// The verdict on a factor of A.
fn factor(diagnosis: &Diagnosis, a: &RunMeasurement, verdict: &str) -> String {
    match to_go(diagnosis, a) {
        Some(left) => format!("Of A nothing can be said, {}.", not_yet(left)),
        None => format!("Of A, {verdict}."),
    }
}

/// How heads rest on start tokens.
fn start_tokens(a: &RunMeasurement) -> String {
    let mass = |head: &HeadReport| head.start_mass_beyond.or(head.start_mass_inside);
    let known: Vec<_> = a.heads.iter().filter_map(|head| Some((mass(head)?, head))).collect();
    let resting = known.iter().filter(|(mass, _)| *mass > 0.5).count();
    let most = known.iter().max_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(String::new, |(mass, head)| {
        format!(", {} most, {:.0} %", head_name((head.layer, head.head)), 100.0 * mass)
    });
    format!(
        "Start tokens: under A {resting} of {} heads give more than half of their attention to the first {START_TOKENS} \
         tokens{most}. Choose “mass on start tokens” to see which ones lose their hold when these are dropped.",
        known.len()
    )
}

/// What B changes.
fn mask(diagnosis: &Diagnosis) -> String {
    let Some(b) = diagnosis.runs.get(1) else {
        return "There is one policy alone: a second one is compared with it.".to_owned();
    };
    let policy = &b.attention;
    let start = (policy.start > 0).then(|| format!("the first {} tokens and ", grouped(policy.start)));
    let sees = match policy.window {
        Some(window) => {
            format!("attends to {}the {} most recent ones", start.unwrap_or_default(), grouped(window))
        }
        None => "attends to every key".to_owned(),
    };
    let told = match policy.ceiling {
        Some(ceiling) => format!("tells the model of no distance beyond {}", grouped(ceiling)),
        None if policy.remap.is_some() => "counts far distances otherwise".to_owned(),
        None => "caps no distance".to_owned(),
    };
    format!("Mask and ceiling: policy B is {}; it {sees}, and {told}.", b.policy)
}
