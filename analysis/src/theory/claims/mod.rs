//! Every statement of the paper as a row: what is assumed, what is bounded, what was measured.

mod claim;
mod fix;
mod observation_1;
mod proposition_2;
mod pseudo_dimension;
mod row;
mod theorem_2;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

pub use claim::{Claim, Relation, Verdict};

use crate::error::Result;

/// All claims, computed from drawn queries, keys and logits. Equal seeds give equal rows, on every machine up to rounding.
/// Takes well below a second.
pub fn claims(seed: u64) -> Result<Vec<Claim>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // [pairs, head_dim]
    let queries = row::normal(64, row::HEAD_DIM, &mut random);
    let keys = row::normal(64, row::HEAD_DIM, &mut random);
    let mut rows = theorem_2::rows(queries.view(), keys.view())?;
    rows.extend(pseudo_dimension::rows(queries.view(), keys.view())?);
    rows.extend(proposition_2::rows(&mut random)?);
    rows.extend(observation_1::rows(&mut random)?);
    rows.extend(fix::rows(&mut random)?);
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all() -> Vec<Claim> {
        claims(1).expect("computes")
    }

    #[test]
    fn only_the_printed_form_of_theorem_2_is_refuted() {
        let claims = all();
        let named = |verdict| {
            claims.iter().filter(|c| c.verdict == verdict).map(|c| c.name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(named(Verdict::Refuted), ["theorem-2-as-printed"]);
        // Theorem 2 where no two distances are apart, and Proposition 2 at the logits of real models.
        assert_eq!(named(Verdict::Vacuous), ["theorem-2-nope", "proposition-2-at-real-logits",]);
        for claim in &claims {
            assert_eq!(claim.agrees(), claim.verdict != Verdict::Refuted, "{}", claim.name);
        }
    }

    #[test]
    fn rows_are_labelled_finite_and_survive_json() {
        let claims = all();
        let names: BTreeSet<_> = claims.iter().map(|claim| &claim.name).collect();
        assert_eq!(names.len(), claims.len());
        assert!(claims.iter().all(|claim| claim.bound.is_finite() && claim.measured.is_finite()));
        assert!(claims.iter().all(|claim| {
            ![&claim.source, &claim.statement, &claim.setting, &claim.quantity, &claim.unit]
                .iter()
                .any(|s| s.is_empty())
        }));
        let json = serde_json::to_string(&claims).expect("serializes");
        let back: Vec<Claim> = serde_json::from_str(&json).expect("deserializes");
        assert_eq!(back.len(), claims.len());
        assert!(json.contains("\"verdict\":\"refuted\"") && json.contains("\"relation\":\"at_least\""));
    }

    #[test]
    fn the_seed_decides_the_numbers_and_not_the_verdicts() {
        assert_eq!(all(), all());
        let (one, two) = (all(), claims(2).expect("computes"));
        assert_ne!(one, two);
        for (a, b) in one.iter().zip(&two) {
            assert_eq!((&a.name, a.verdict), (&b.name, b.verdict));
        }
    }
}
