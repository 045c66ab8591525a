//! Rows of the pseudo-dimensions.

use ndarray::{ArrayView2, s};

use super::claim::{Claim, Relation};
use super::row::{HEAD_DIM, Numbers, Text, alibi, rope, t5};
use crate::error::Result;
use crate::theory::encodings::Encoding;
use crate::theory::packing::LogitSamples;
use crate::theory::pseudo_dimension::{PseudoDimension, shattered};

pub fn rows(queries: ArrayView2<f64>, keys: ArrayView2<f64>) -> Result<Vec<Claim>> {
    let text = |name, statement, note| Text {
        name,
        source: "Pseudo-dimensions (appendix F)",
        statement,
        assumptions: &["one function of (q, k) per distance"],
        quantity: "points found that are shattered",
        unit: "points",
        note,
    };
    let row = |text: Text, encoding: Encoding, size: usize| -> Result<Claim> {
        let (points, functions) = (6, 24);
        let part = s![..points, ..size];
        let samples =
            LogitSamples::of(&encoding, queries.slice(part), keys.slice(part), (0..functions).collect())?;
        let bound = PseudoDimension::of(&encoding, size, functions as usize);
        let found = shattered(samples.values(), bound.structure + 1);
        let setting = format!(
            "{}, head_dim {size}, {points} drawn (q, k), distances 0..{functions}, all sets of up to {} points",
            encoding.name(),
            bound.structure + 1
        );
        Ok(text.with(Numbers::new(setting, Relation::AtMost, bound.bound() as f64, found as f64)))
    };
    let (chain, note) = ("of two distances one has the larger logit everywhere: r ≤ 1", "as the paper says");
    Ok(vec![
        row(
            text("pseudo-dimension-nope", "one function: r = 0", "the paper says 1"),
            Encoding::None,
            HEAD_DIM,
        )?,
        row(text("pseudo-dimension-alibi", chain, note), alibi(), HEAD_DIM)?,
        row(text("pseudo-dimension-t5", chain, note), t5(), HEAD_DIM)?,
        row(
            text(
                "pseudo-dimension-rope",
                "logits of all distances lie in a space of dimension head_dim: r ≤ head_dim",
                "the paper says 2·head_dim",
            ),
            rope(),
            2,
        )?,
    ])
}
