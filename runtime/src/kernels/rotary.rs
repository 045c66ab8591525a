//! The logit of a rotated query, pair by pair of dimensions.

use multiversion::multiversion;

/// Term `j` of `(R_d q)·k`, the sum of which over all pairs `(j, j + half)` is the logit before it is scaled:
/// `(q₀k₀ + q₁k₁) cos − (q₁k₀ − q₀k₁) sin`.
///
/// * `query`, `key`: [2 · half, or more, of which the first are taken];
/// * `angles`: cosines, then sines, [2 · half];
/// * `terms`: `[half]`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn rotary_terms(query: &[f64], key: &[f32], angles: &[f32], terms: &mut [f64]) {
    let half = terms.len();
    let (q0, q1) = (&query[..half], &query[half..2 * half]);
    let (k0, k1) = (&key[..half], &key[half..2 * half]);
    let (cosines, sines) = (&angles[..half], &angles[half..2 * half]);
    for j in 0..half {
        let (k0, k1) = (f64::from(k0[j]), f64::from(k1[j]));
        terms[j] = (q0[j] * k0 + q1[j] * k1) * f64::from(cosines[j])
            + (q0[j] * k1 - q1[j] * k0) * f64::from(sines[j]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To the bit, so that a row does not depend on the processor.
    #[test]
    fn terms_are_those_of_the_plain_loop() {
        for half in [0, 1, 2, 3, 7, 8, 17, 32, 64] {
            let value = |at: usize| ((at * 7919 % 1000) as f32 / 250.0) - 2.0;
            let query: Vec<f64> = (0..2 * half + 3).map(|at| f64::from(value(at))).collect();
            let key: Vec<f32> = (50..2 * half + 53).map(value).collect();
            let angles: Vec<f32> = (0..half)
                .map(|at| value(at + 9).cos())
                .chain((0..half).map(|at| value(at + 9).sin()))
                .collect();
            let mut terms = vec![f64::NAN; half];
            rotary_terms(&query, &key, &angles, &mut terms);
            for (j, term) in terms.iter().enumerate() {
                let (q0, q1) = (query[j], query[j + half]);
                let (k0, k1) = (f64::from(key[j]), f64::from(key[j + half]));
                let (cos, sin) = (f64::from(angles[j]), f64::from(angles[j + half]));
                let want = (q0 * k0 + q1 * k1) * cos + (q0 * k1 - q1 * k0) * sin;
                assert_eq!(term.to_bits(), std::hint::black_box(want).to_bits(), "{j} of {half}");
            }
        }
    }
}
