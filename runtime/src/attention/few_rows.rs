//! Logits of a few queries with keys at their true distances, rotated on the way, as decoding needs them. Many queries take matrix
//! products instead ([`super::query_block`]).

use crate::kernels::elementwise::rotate;
use crate::kernels::few_rows::{Angles, Rows, dot_products};
use crate::position::RotaryTable;

/// Keys whose angles stay near the processor.
const KEYS: usize = 64;

/// Room for queries and angles.
#[derive(Default)]
pub struct Spare {
    /// [rows, head_dim]
    queries: Vec<f32>,
    /// Angles that the table does not hold.
    angles: Vec<f32>,
    /// [keys, 2, half]
    key_angles: Vec<f32>,
}

/// `logits[r, k] = queries[r] · keys[k]` at distances between positions. `queries` ([rows, head_dim]) are rotated to their offset from
/// position `base`, keys are not yet, and the first stands at position `first`.
///
/// Of each [`KEYS`] keys the queries are rotated to their offset from the first one, so that the same few angles do for all.
pub fn exact_logits(
    queries: &[f32],
    base: u64,
    keys: &Rows<'_>,
    first: u64,
    table: &RotaryTable,
    spare: &mut Spare,
    logits: &mut [f32],
) {
    let (head_dim, half) = (keys.width, table.half());
    let Spare { queries: rotated, angles, key_angles } = spare;
    rotated.resize(queries.len(), 0.0);
    angles.resize(2 * half, 0.0);
    let angles_of_keys = table.first(keys.count.min(KEYS), key_angles);
    for at in (0..keys.count).step_by(KEYS) {
        let count = KEYS.min(keys.count - at);
        let place = first + at as u64;
        let angles = table.row(place.abs_diff(base), angles);
        for (query, rotated) in queries.chunks_exact(head_dim).zip(rotated.chunks_exact_mut(head_dim)) {
            rotate(query, angles, place > base, rotated);
        }
        let keys = keys.part(at, count);
        let angles = Angles { values: angles_of_keys, half };
        let total = logits.len() / (queries.len() / head_dim);
        dot_products(rotated, &keys, &angles, &mut logits[at..], total);
    }
}
