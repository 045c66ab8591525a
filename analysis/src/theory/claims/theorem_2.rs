//! Rows of Theorem 2.

use ndarray::{ArrayView2, s};

use super::claim::{Claim, Relation};
use super::row::{HEAD_DIM, Numbers, Text, alibi, rope, t5};
use crate::error::{Error, Result};
use crate::theory::encodings::Encoding;
use crate::theory::packing::{LogitSamples, Metric};
use crate::theory::pseudo_dimension::PseudoDimension;
use crate::theory::theorem_2::{self, Theorem2};

/// Distances `0..DISTANCES`.
const DISTANCES: u64 = 256;

const PACKING: Text = Text {
    name: "",
    source: "Theorem 2, formal Theorem 1 (appendix C), packing form",
    statement: "M distances pairwise more than ε apart in mean |Δw| need sup |w| ≥ (M/2)^(1/(2r))·ε/(4e), \
                and ≥ (M/(e(r+1)))^(1/r)·ε/(4e)",
    assumptions: &[
        "pseudo-dimension at most r",
        "M ≥ 2 distances pairwise apart (a packing, not a partition)",
    ],
    quantity: "sup |w|",
    unit: "logit",
    note: "",
};

pub fn rows(queries: ArrayView2<f64>, keys: ArrayView2<f64>) -> Result<Vec<Claim>> {
    let pairs = queries.nrows();
    let samples = |encoding: &Encoding, n: u64| LogitSamples::of(encoding, queries, keys, (0..n).collect());
    let at = |encoding: &Encoding, n: u64, metric, level| {
        Theorem2::at(&samples(encoding, n)?, encoding, HEAD_DIM, metric, level)
    };
    let packing = |name, encoding: Encoding, metric, level, text: Text| -> Result<Claim> {
        let found = at(&encoding, DISTANCES, metric, level)?;
        let setting = format!(
            "{}, {pairs} drawn (q, k), distances 0..{DISTANCES}, ε = {level}, M = {}, r = {}; \
             two distances alone imply {:.2}",
            encoding.name(),
            found.packing,
            found.pseudo_dimension,
            found.two_distances
        );
        let numbers = Numbers::new(setting, Relation::AtLeast, found.larger_bound(), found.measured);
        Ok(Text { name, ..text }.with(numbers.vacuous_if(found.larger_bound() <= 0.0)))
    };
    let note = |note| Text { note, ..PACKING };
    let squared = Text {
        statement: "M distances pairwise more than ε apart in mean (Δw)² need sup |w| ≥ (M/2)^(1/(4r))·sqrt(ε/(8e)), \
                    and ≥ (M/(e(r+1)))^(1/(2r))·sqrt(ε/(8e))",
        note: "the paper writes squared L2 with the exponent of L1",
        ..PACKING
    };
    let growth = {
        let at = |n| at(&alibi(), n, Metric::L1, 0.9);
        let (short, long) = (at(DISTANCES)?, at(4 * DISTANCES)?);
        let text = Text {
            name: "theorem-2-alibi-grows-linearly",
            statement: "for ALiBi the bound grows in proportion to the longest distance",
            quantity: "bound at 4n over bound at n",
            unit: "ratio",
            ..PACKING
        };
        let setting = format!("ALiBi, n = {DISTANCES}, ε = 0.9");
        let ratio = long.larger_bound() / short.larger_bound();
        text.with(Numbers::new(setting, Relation::Equal, 4.0, ratio).within(0.05))
    };
    Ok(vec![
        packing("theorem-2-alibi", alibi(), Metric::L1, 0.9, PACKING)?,
        growth,
        packing("theorem-2-alibi-squared-l2", alibi(), Metric::SquaredL2, 0.9, squared)?,
        packing("theorem-2-t5", t5(), Metric::L1, 0.2, PACKING)?,
        packing(
            "theorem-2-rope",
            rope(),
            Metric::L1,
            0.5,
            note("two distances alone imply more: the theorem does not explain Fig. 1a"),
        )?,
        packing(
            "theorem-2-nope",
            Encoding::None,
            Metric::L1,
            1.0,
            note("all distances are alike: nothing has to grow"),
        )?,
        printed(&samples(&Encoding::None, DISTANCES)?),
        rope_limit(queries, keys)?,
        rope_cap(queries, keys)?,
    ])
}

/// NoPE against the statement as it stands in the paper.
fn printed(constant: &LogitSamples) -> Claim {
    let level = 3.0 * constant.supremum();
    let groups = constant.distances().len();
    let text = Text {
        name: "theorem-2-as-printed",
        source: "Theorem 2, formal Theorem 1 (appendix C), as printed",
        statement: "α groups of distances that are close within need sup |w| ≥ (α/2)^(1/(2r))·ε/(4e)",
        assumptions: &["pseudo-dimension r", "groups close within (nothing is asked between groups)"],
        note: "single distances are groups that are close within, so a constant logit would have to explode (at any ε, \
               with n large enough); the packing form is what is meant",
        ..PACKING
    };
    let setting = format!(
        "NoPE (w does not depend on d), every distance in 0..{groups} a group, r = 1, ε = {level:.3}"
    );
    let bound = theorem_2::printed_bound(groups, 1, level);
    text.with(Numbers::new(setting, Relation::AtLeast, bound, constant.supremum()))
}

fn rope_limit(queries: ArrayView2<f64>, keys: ArrayView2<f64>) -> Result<Claim> {
    // Squares spread over all phases and reach far.
    let far: Vec<u64> = (0..=DISTANCES).map(|i| i * i * 16_384).collect();
    let farthest = far.last().copied().unwrap_or(0);
    let samples = LogitSamples::of(&rope(), queries, keys, far)?;
    let mut fullest = 0.0_f64;
    for ((query, key), row) in queries.rows().into_iter().zip(keys.rows()).zip(samples.values().rows()) {
        let limit = rope().rope_limit(query, key).ok_or(Error::NoData { operation: "limit of RoPE" })?;
        fullest = row.iter().fold(fullest, |most, logit| most.max(logit.abs() / limit));
    }
    let text = Text {
        name: "rope-is-bounded",
        source: "against the reading of Theorem 2 that RoPE must explode",
        statement: "|w(q, k, d)| ≤ Σ_j |q_j||k_j|/√D at every distance",
        assumptions: &["RoPE", "q and k given"],
        quantity: "largest |w| over its limit",
        unit: "ratio",
        note: "the rise in Fig. 1a is unseen phase alignment, measured and not implied",
    };
    let pairs = queries.nrows();
    let setting = format!("{pairs} drawn (q, k), {} distances up to {farthest}", DISTANCES + 1);
    Ok(text.with(Numbers::new(setting, Relation::AtMost, 1.0, fullest)))
}

fn rope_cap(queries: ArrayView2<f64>, keys: ArrayView2<f64>) -> Result<Claim> {
    let plane = |vectors: ArrayView2<f64>| vectors.slice(s![.., ..2]).to_owned();
    let (queries, keys) = (plane(queries), plane(keys));
    let samples = LogitSamples::of(&rope(), queries.view(), keys.view(), (0..DISTANCES).collect())?;
    let (r, level) = (PseudoDimension::of(&rope(), 2, DISTANCES as usize).bound(), 0.25);
    let most = theorem_2::largest_packing(samples.supremum(), r, level);
    let found = samples.separations(Metric::L1).greedy(level).members.len();
    let text = Text {
        name: "rope-tells-few-distances-apart",
        statement: "where |w| ≤ S, at most e(r+1)(4eS/ε)^r distances are pairwise more than ε apart",
        assumptions: &["pseudo-dimension at most r", "logits bounded by S"],
        quantity: "distances found pairwise apart",
        unit: "distances",
        note: "Theorem 2 read the other way round",
        ..PACKING
    };
    let setting = format!(
        "RoPE in one plane, S = {:.2}, r = {r}, ε = {level}, distances 0..{DISTANCES}",
        samples.supremum()
    );
    Ok(text.with(Numbers::new(setting, Relation::AtMost, most, found as f64)))
}
