//! Rows of Proposition 2.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Uniform};

use super::claim::{Claim, Relation};
use super::row::{Numbers, Text, normal};
use crate::entropy::RowEntropy;
use crate::error::{Error, Result};

const PROPOSITION: Text = Text {
    name: "",
    source: "Proposition 2 (appendix D)",
    statement: "",
    assumptions: &["n attended keys"],
    quantity: "entropy",
    unit: "nats",
    note: "",
};

pub fn rows(random: &mut ChaCha8Rng) -> Result<Vec<Claim>> {
    let entropy = |logits: &[f64]| {
        RowEntropy::of(logits.iter().copied()).ok_or(Error::NoData { operation: "entropy of a row" })
    };
    let constant = {
        let row = entropy(&[3.0; 4096])?;
        Text { name: "proposition-2-constant", statement: "constant logits: H = ln n", ..PROPOSITION }
            .with(Numbers::new("4096 logits of 3", Relation::Equal, 4096.0_f64.ln(), row.entropy))
    };
    let two_level = {
        let (n, m, a) = (4096.0_f64, 64.0_f64, 5.0_f64);
        let logits: Vec<f64> = (0..4096).map(|j| if j < 64 { a } else { 0.0 }).collect();
        let z = m * a.exp() + n - m;
        let statement = "m logits at a, the others at 0: H = ln Z − m·a·e^a/Z with Z = m·e^a + n − m";
        Text { name: "proposition-2-two-levels", statement, ..PROPOSITION }.with(Numbers::new(
            "n = 4096, m = 64, a = 5",
            Relation::Equal,
            z.ln() - m * a * a.exp() / z,
            entropy(&logits)?.entropy,
        ))
    };
    let drawn = |n: usize, scale: f64, random: &mut ChaCha8Rng| -> Vec<f64> {
        normal(1, n, random).iter().map(|value| scale * value).collect()
    };
    let gaussian = {
        let row = entropy(&drawn(65_536, 1.0, random))?;
        let statement = "Gaussian logits: H → ln n − σ²/2";
        let note = "an estimate and no bound: one high logit lowers H and hardly moves σ²";
        Text { name: "proposition-2-gaussian", statement, note, ..PROPOSITION }.with(
            Numbers::new("65,536 drawn logits, σ = 1", Relation::Equal, 65_536.0_f64.ln() - 0.5, row.entropy)
                .within(0.05),
        )
    };
    let spread = {
        let rows: Vec<_> =
            (0..64).map(|i| entropy(&drawn(17 + 16 * i, 3.0, random))).collect::<Result<_>>()?;
        let least = rows.iter().map(|row| row.entropy - row.bounds.spread).fold(f64::INFINITY, f64::min);
        let text = Text {
            name: "proposition-2-spread",
            statement: "H ≥ ln n − (max w − min w), which is at least the paper's ln n − 2B",
            quantity: "least H − (ln n − (max w − min w))",
            ..PROPOSITION
        };
        text.with(Numbers::new("64 rows of 17 to 1025 drawn logits, σ = 3", Relation::AtLeast, 0.0, least))
    };
    let small = {
        let row = entropy(&uniform(4096, 1.0, random)?)?;
        let statement = "logits in [−B, B]: H ≥ ln n − 2B";
        let setting = "4096 logits in [−1, 1]";
        let assumptions = &["n attended keys", "|w| ≤ B"];
        Text { name: "proposition-2", statement, assumptions, ..PROPOSITION }.with(
            Numbers::new(setting, Relation::AtLeast, row.bounds.magnitude, row.entropy)
                .vacuous_if(row.bounds.magnitude <= 0.0),
        )
    };
    let real = {
        let row = entropy(&uniform(4096, 20.0, random)?)?;
        let text = Text {
            name: "proposition-2-at-real-logits",
            statement: "logits in [−B, B]: H ≥ ln n − 2B",
            assumptions: &["n attended keys", "|w| ≤ B"],
            note: "Fig. 1a shows logits of about 40; below e^40 keys the bound is negative and says nothing",
            ..PROPOSITION
        };
        let setting = "4096 logits in [−20, 20]";
        text.with(
            Numbers::new(setting, Relation::AtLeast, row.bounds.magnitude, row.entropy)
                .vacuous_if(row.bounds.magnitude <= 0.0),
        )
    };
    let growth = {
        let (short, long) = (entropy(&drawn(2048, 1.0, random))?, entropy(&drawn(32_768, 1.0, random))?);
        let statement = "logits of one distribution: H grows like ln n";
        let text =
            Text { name: "proposition-2-growth", statement, quantity: "H(16n) − H(n)", ..PROPOSITION };
        let rise = long.entropy - short.entropy;
        text.with(
            Numbers::new("n = 2048, drawn logits, σ = 1", Relation::Equal, 16.0_f64.ln(), rise).within(0.25),
        )
    };
    Ok(vec![constant, two_level, gaussian, spread, small, real, growth])
}

/// `n` logits, uniform over `[−limit, limit]`; the first two at the ends.
fn uniform(n: usize, limit: f64, random: &mut ChaCha8Rng) -> Result<Vec<f64>> {
    let inside = Uniform::new_inclusive(-limit, limit)
        .map_err(|error| Error::mismatch("uniform logits", "a range", error))?;
    Ok([-limit, limit].into_iter().chain(inside.sample_iter(random).take(n - 2)).collect())
}
