//! A statement of the paper as a row, and what became of it.

use serde::{Deserialize, Serialize};

/// How measured value and bound should relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// `measured ≥ bound`
    AtLeast,
    /// `measured ≤ bound`
    AtMost,
    /// `measured = bound`, to [`Claim::tolerance`].
    Equal,
}

/// Whether the statement survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The measured value agrees.
    Holds,
    /// The measured value agrees, but any value would: the bound says nothing here.
    Vacuous,
    /// The measured value contradicts the statement.
    Refuted,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Short name, unique.
    pub name: String,
    /// Where the paper says it.
    pub source: String,
    /// What it says, in the form that is tested.
    pub statement: String,
    /// What it needs.
    pub assumptions: Vec<String>,
    /// On what it was measured.
    pub setting: String,
    /// What is measured and bounded.
    pub quantity: String,
    /// Its unit.
    pub unit: String,
    /// How the two should relate.
    pub relation: Relation,
    /// The bound, or the predicted value.
    pub bound: f64,
    /// The measured value.
    pub measured: f64,
    /// Allowed difference; for inequalities only rounding.
    pub tolerance: f64,
    /// Whether it survives.
    pub verdict: Verdict,
    /// What to make of it; empty if the numbers speak for themselves.
    pub note: String,
}

impl Claim {
    /// Whether the numbers relate as they should. NaN never does.
    pub fn agrees(&self) -> bool {
        let slack = self.tolerance;
        match self.relation {
            Relation::AtLeast => self.measured >= self.bound - slack,
            Relation::AtMost => self.measured <= self.bound + slack,
            Relation::Equal => (self.measured - self.bound).abs() <= slack,
        }
    }
}
