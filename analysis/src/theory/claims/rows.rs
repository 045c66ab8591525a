//! The rows themselves, computed.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal, Uniform};

use super::{Claim, Relation, Verdict};
use crate::entropy::RowEntropy;
use crate::error::{Error, Result};
use crate::theory::encodings::Encoding;
use crate::theory::lambda::{Attention, excess_over_trained};
use crate::theory::observation::{Mask, error_of_positions, written_positions};
use crate::theory::packing::{LogitSamples, Metric};
use crate::theory::pseudo_dimension::{PseudoDimension, shattered};
use crate::theory::theorem_2::{self, Theorem2};

/// Coordinates of the drawn queries and keys.
const HEAD_DIM: usize = 16;
/// Drawn pairs of them.
const PAIRS: usize = 64;
/// Distances `0..DISTANCES`.
const DISTANCES: u64 = 256;
/// Allowed for rounding.
const ROUNDING: f64 = 1e-9;

const FIX: Attention =
    Attention { mask: Mask::Lambda { start: START, window: WINDOW }, ceiling: Some(WINDOW) };
const START: u64 = 10;
const WINDOW: u64 = 64;
const TOKENS: u64 = 512;

/// What a row says, without its numbers.
struct Text {
    name: &'static str,
    source: &'static str,
    statement: &'static str,
    assumptions: &'static [&'static str],
    quantity: &'static str,
    unit: &'static str,
    note: &'static str,
}

struct Numbers {
    setting: String,
    relation: Relation,
    bound: f64,
    measured: f64,
    tolerance: f64,
    vacuous: bool,
}

impl Text {
    fn with(&self, numbers: Numbers) -> Claim {
        let Numbers { setting, relation, bound, measured, tolerance, vacuous } = numbers;
        let mut claim = Claim {
            name: self.name.to_owned(),
            source: self.source.to_owned(),
            statement: self.statement.to_owned(),
            assumptions: self.assumptions.iter().map(|&text| text.to_owned()).collect(),
            setting,
            quantity: self.quantity.to_owned(),
            unit: self.unit.to_owned(),
            relation,
            bound,
            measured,
            tolerance,
            verdict: Verdict::Holds,
            note: self.note.to_owned(),
        };
        claim.verdict = match (claim.agrees(), vacuous) {
            (false, _) => Verdict::Refuted,
            (true, true) => Verdict::Vacuous,
            (true, false) => Verdict::Holds,
        };
        claim
    }
}

impl Numbers {
    fn new(setting: impl Into<String>, relation: Relation, bound: f64, measured: f64) -> Self {
        Self { setting: setting.into(), relation, bound, measured, tolerance: ROUNDING, vacuous: false }
    }

    fn within(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    fn vacuous_if(self, vacuous: bool) -> Self {
        Self { vacuous, ..self }
    }
}

/// All claims, computed from drawn queries, keys and logits. Equal seeds give equal rows, on every machine up to rounding.
/// Takes well below a second.
pub fn claims(seed: u64) -> Result<Vec<Claim>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let queries = normal(PAIRS, HEAD_DIM, &mut random);
    let keys = normal(PAIRS, HEAD_DIM, &mut random);
    let mut rows = theorem_2_rows(queries.view(), keys.view())?;
    rows.extend(pseudo_dimension_rows(queries.view(), keys.view())?);
    rows.extend(proposition_2_rows(&mut random)?);
    rows.extend(observation_1_rows(&mut random)?);
    rows.extend(fix_rows(&mut random)?);
    Ok(rows)
}

fn normal(rows: usize, columns: usize, random: &mut ChaCha8Rng) -> Array2<f64> {
    Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(random))
}

fn alibi() -> Encoding {
    Encoding::Alibi { slope: 0.25 }
}

fn t5() -> Encoding {
    Encoding::T5 { biases: (0..32).map(|bucket| -0.25 * f64::from(bucket)).collect(), max_distance: 128 }
}

fn rope() -> Encoding {
    Encoding::Rope { base: 1e4 }
}

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

fn theorem_2_rows(queries: ArrayView2<f64>, keys: ArrayView2<f64>) -> Result<Vec<Claim>> {
    let samples = |encoding: &Encoding, n: u64| LogitSamples::of(encoding, queries, keys, (0..n).collect());
    let at = |encoding: &Encoding, n: u64, metric, level| {
        Theorem2::at(&samples(encoding, n)?, encoding, HEAD_DIM, metric, level)
    };
    let packing = |name, encoding: Encoding, metric, level, text: Text| -> Result<Claim> {
        let found = at(&encoding, DISTANCES, metric, level)?;
        let setting = format!(
            "{}, {PAIRS} drawn (q, k), distances 0..{DISTANCES}, ε = {level}, M = {}, r = {}; \
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
    let setting = format!("{PAIRS} drawn (q, k), {} distances up to {farthest}", DISTANCES + 1);
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

fn pseudo_dimension_rows(queries: ArrayView2<f64>, keys: ArrayView2<f64>) -> Result<Vec<Claim>> {
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

const PROPOSITION: Text = Text {
    name: "",
    source: "Proposition 2 (appendix D)",
    statement: "",
    assumptions: &["n attended keys"],
    quantity: "entropy",
    unit: "nats",
    note: "",
};

fn proposition_2_rows(random: &mut ChaCha8Rng) -> Result<Vec<Claim>> {
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

fn observation_1_rows(random: &mut ChaCha8Rng) -> Result<Vec<Claim>> {
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

fn fix_rows(random: &mut ChaCha8Rng) -> Result<Vec<Claim>> {
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
    let (excess, entropy) = measure(FIX, &encodings)?;
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
