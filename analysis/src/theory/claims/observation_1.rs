//! Rows of Observation 1.

use ndarray::ArrayView1;
use rand_chacha::ChaCha8Rng;

use super::claim::{Claim, Relation};
use super::row::{Numbers, START, TOKENS, Text, WINDOW, normal};
use crate::error::Result;
use crate::theory::observation::{Mask, error_of_positions, written_positions};

pub fn rows(random: &mut ChaCha8Rng) -> Result<Vec<Claim>> {
    let content = normal(TOKENS as usize, 4, random);
    let outputs = |mask| written_positions(content.view(), mask);
    let trained = 1.0 / WINDOW as f64;
    let text = |name, statement, quantity, note| Text {
        name,
        source: "Observation 1 (section 3; Kazemnejad et al. 2023, theorem 1)",
        statement,
        assumptions: &["one causal layer without position encoding", "the first token is marked"],
        quantity,
        unit: "output",
        note,
    };
    let setting = |mask: &str| format!("{TOKENS} tokens with drawn content, {mask}");
    let causal = outputs(Mask::Causal)?;
    let window = outputs(Mask::Window(WINDOW))?;
    let lambda = outputs(Mask::Lambda { start: START, window: WINDOW })?;
    let largest = |outputs: &[f64]| outputs.iter().copied().fold(0.0, f64::max);
    let smallest = |outputs: &[f64]| outputs.iter().copied().fold(f64::INFINITY, f64::min);
    Ok(vec![
        text(
            "observation-1-causal",
            "the output at token t is 1/t, whatever the text",
            "largest |output − 1/t|",
            "steps fall like 1/t²: start tokens stand apart",
        )
        .with(Numbers::new(
            setting("causal mask"),
            Relation::AtMost,
            0.0,
            error_of_positions(ArrayView1::from(&causal)),
        )),
        text(
            "observation-1-window",
            "a sliding window drops the mark: the output is 0 at every later token",
            "largest output beyond the window",
            "0 is outside of what training showed, [1/L, 1]",
        )
        .with(Numbers::new(
            setting(&format!("window {WINDOW}")),
            Relation::AtMost,
            0.0,
            largest(&window[WINDOW as usize..]),
        )),
        text(
            "observation-1-lambda",
            "a Λ mask keeps the mark: the output stays at 1/(start + window)",
            "smallest output",
            "later positions are alike, but none is new",
        )
        .with(Numbers::new(
            setting(&format!(
                "start {START}, window {WINDOW}; a window alone gives 0, and {trained:.4} inside"
            )),
            Relation::Equal,
            1.0 / (START + WINDOW) as f64,
            smallest(&lambda),
        )),
    ])
}
