//! The logit of a rotated query, pair by pair of dimensions.

use multiversion::multiversion;

/// Sums that are taken side by side.
const LANES: usize = 8;

/// `(R_d q)·k` of the dimensions that are rotated, the logit before it is scaled: the sum over all pairs `(j, j + half)` of
/// `(q₀k₀ + q₁k₁) cos − (q₁k₀ − q₀k₁) sin`, in f64. Pair `j` enters sum `j mod 8`, and these are added in order, so that the
/// result does not depend on the processor.
///
/// * `query`, `key`: [2 · half, or more, of which the first are taken];
/// * `angles`: cosines, then sines, [2 · half].
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn rotary_dot(query: &[f64], key: &[f32], angles: &[f32]) -> f64 {
    let half = angles.len() / 2;
    let whole = half - half % LANES;
    let mut sums = [0.0; LANES];
    for start in (0..whole).step_by(LANES) {
        let eight = |from: usize| from + start..from + start + LANES;
        let (q0, q1) = (&query[eight(0)], &query[eight(half)]);
        let (k0, k1) = (&key[eight(0)], &key[eight(half)]);
        let (cosines, sines) = (&angles[eight(0)], &angles[eight(half)]);
        for lane in 0..LANES {
            sums[lane] += term((q0[lane], q1[lane]), (k0[lane], k1[lane]), (cosines[lane], sines[lane]));
        }
    }
    for j in whole..half {
        sums[j % LANES] +=
            term((query[j], query[half + j]), (key[j], key[half + j]), (angles[j], angles[half + j]));
    }
    sums.iter().sum()
}

/// What one pair of dimensions adds.
#[inline(always)]
fn term((q0, q1): (f64, f64), (k0, k1): (f32, f32), (cosine, sine): (f32, f32)) -> f64 {
    let (k0, k1) = (f64::from(k0), f64::from(k1));
    (q0 * k0 + q1 * k1) * f64::from(cosine) + (q0 * k1 - q1 * k0) * f64::from(sine)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To the bit, so that a row does not depend on the processor.
    #[test]
    fn the_sum_is_that_of_the_plain_loop() {
        for half in [0, 1, 2, 3, 7, 8, 9, 16, 17, 32, 64] {
            let value = |at: usize| ((at * 7919 % 1000) as f32 / 250.0) - 2.0;
            let query: Vec<f64> = (0..2 * half + 3).map(|at| f64::from(value(at))).collect();
            let key: Vec<f32> = (50..2 * half + 53).map(value).collect();
            let angles: Vec<f32> = (0..half)
                .map(|at| value(at + 9).cos())
                .chain((0..half).map(|at| value(at + 9).sin()))
                .collect();
            let mut sums = [0.0; LANES];
            for j in 0..half {
                let (q0, q1) = (query[j], query[j + half]);
                let (k0, k1) = (f64::from(key[j]), f64::from(key[j + half]));
                let (cos, sin) = (f64::from(angles[j]), f64::from(angles[j + half]));
                let term = (q0 * k0 + q1 * k1) * cos + (q0 * k1 - q1 * k0) * sin;
                sums[j % LANES] += std::hint::black_box(term);
            }
            let want: f64 = sums.iter().sum();
            assert_eq!(rotary_dot(&query, &key, &angles).to_bits(), want.to_bits(), "{half}");
        }
    }

    #[test]
    fn a_number_that_is_not_finite_shows_in_the_sum() {
        for at in 0..10 {
            let mut key = vec![0.5; 10];
            key[at] = f32::NAN;
            assert!(rotary_dot(&[1.0; 10], &key, &[0.5; 10]).is_nan(), "{at}");
        }
    }
}
