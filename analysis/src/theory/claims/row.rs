//! What rows are made of.

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::claim::{Claim, Relation, Verdict};
use crate::theory::encodings::Encoding;

/// Coordinates of the drawn queries and keys.
pub const HEAD_DIM: usize = 16;
/// Start tokens, window and length of the rows that have a mask.
pub const START: u64 = 10;
pub const WINDOW: u64 = 64;
pub const TOKENS: u64 = 512;
/// Allowed for rounding.
const ROUNDING: f64 = 1e-9;

/// What a row says, without its numbers.
pub struct Text {
    pub name: &'static str,
    pub source: &'static str,
    pub statement: &'static str,
    pub assumptions: &'static [&'static str],
    pub quantity: &'static str,
    pub unit: &'static str,
    pub note: &'static str,
}

pub struct Numbers {
    pub setting: String,
    pub relation: Relation,
    pub bound: f64,
    pub measured: f64,
    pub tolerance: f64,
    pub vacuous: bool,
}

impl Text {
    pub fn with(&self, numbers: Numbers) -> Claim {
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
    pub fn new(setting: impl Into<String>, relation: Relation, bound: f64, measured: f64) -> Self {
        Self { setting: setting.into(), relation, bound, measured, tolerance: ROUNDING, vacuous: false }
    }

    pub fn within(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    pub fn vacuous_if(self, vacuous: bool) -> Self {
        Self { vacuous, ..self }
    }
}

/// Independent standard normal numbers.
pub fn normal(rows: usize, columns: usize, random: &mut ChaCha8Rng) -> Array2<f64> {
    Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(random))
}

pub fn alibi() -> Encoding {
    Encoding::Alibi { slope: 0.25 }
}

pub fn t5() -> Encoding {
    Encoding::T5 { biases: (0..32).map(|bucket| -0.25 * f64::from(bucket)).collect(), max_distance: 128 }
}

pub fn rope() -> Encoding {
    Encoding::Rope { base: 1e4 }
}
