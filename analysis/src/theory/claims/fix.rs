//! Rows of what LM-Infinite guarantees.

use ndarray::Axis;
use rand_chacha::ChaCha8Rng;

use super::claim::{Claim, Relation};
use super::row::{HEAD_DIM, Numbers, START, TOKENS, Text, WINDOW, alibi, normal, rope, t5};
use crate::entropy::RowEntropy;
use crate::error::Result;
use crate::theory::encodings::Encoding;
use crate::theory::lambda::{Attention, excess_over_trained};

pub fn rows(random: &mut ChaCha8Rng) -> Result<Vec<Claim>> {
    let (queries, keys) = (normal(8, HEAD_DIM, random), normal(TOKENS as usize, HEAD_DIM, random));
    let encodings = [Encoding::None, alibi(), t5(), rope()];
    let measure = |attention: Attention, encodings: &[Encoding]| -> Result<(f64, f64)> {
        let (mut excess, mut entropy) = (f64::NEG_INFINITY, 0.0_f64);
        for encoding in encodings {
            for query in queries.axis_iter(Axis(0)) {
                let row = attention.row(encoding, query, keys.view())?;
                excess = excess.max(excess_over_trained(&row, encoding, query, keys.view(), WINDOW)?);
                let seen = RowEntropy::of(row.iter().map(|seen| seen.logit));
                entropy = entropy.max(seen.map_or(0.0, |seen| seen.entropy));
            }
        }
        Ok((excess, entropy))
    };
    let setting = |who: &str| format!("{who}, 8 drawn q, {TOKENS} drawn k, start {START}, window {WINDOW}");
    let text = |name, statement, quantity, unit, note| Text {
        name,
        source: "The fix (section 4)",
        statement,
        assumptions: &["Λ mask", "distance ceiling at the window", "any q, k and position encoding"],
        quantity,
        unit,
        note,
    };
    let (excess, entropy) = measure(Attention::lm_infinite(START, WINDOW), &encodings)?;
    let (vanilla, _) = measure(Attention::vanilla(), &[alibi()])?;
    let slope_beyond = 0.25 * (TOKENS - 1 - WINDOW) as f64;
    let every = "NoPE, ALiBi, T5 bias, RoPE";
    Ok(vec![
        text(
            "lm-infinite-logits",
            "every logit lies in the range that its pair has over distances 0..=window",
            "largest excess over that range",
            "logit",
            "",
        )
        .with(Numbers::new(setting(every), Relation::AtMost, 0.0, excess)),
        text("lm-infinite-entropy", "H ≤ ln(start + window)", "largest entropy", "nats", "")
            .with(Numbers::new(setting(every), Relation::AtMost, ((START + WINDOW) as f64).ln(), entropy)),
        Text {
            assumptions: &["causal mask", "true distances", "ALiBi"],
            ..text(
                "vanilla-alibi-logits",
                "without the fix, ALiBi leaves that range by slope·(n − 1 − window)",
                "largest excess over that range",
                "logit",
                "the same measurement sees the failure",
            )
        }
        .with(Numbers::new(setting("ALiBi"), Relation::Equal, slope_beyond, vanilla)),
    ])
}
