//! Slopes of attention with linear biases (Press et al. 2022, arXiv 2108.12409).

/// The published slopes for `heads` heads: `2^(−max·h/n)` for a power of two, with `max` = 8; otherwise those of the next smaller
/// power of two, followed by every other slope of twice that power.
pub fn alibi_slopes(heads: usize, max: f64) -> Vec<f64> {
    let geometric = |n: usize| (1..=n).map(move |h| (-max * h as f64 / n as f64).exp2());
    if heads == 0 {
        return Vec::new();
    }
    let power = 1 << heads.ilog2();
    geometric(power).chain(geometric(2 * power).step_by(2)).take(heads).collect()
}

#[cfg(test)]
mod tests {
    use super::alibi_slopes;

    #[test]
    fn eight_heads_halve_each_time() {
        let expected: Vec<f64> = (1..=8).map(|h| 0.5f64.powi(h)).collect();
        assert_eq!(alibi_slopes(8, 8.0), expected);
        let halves: Vec<f64> = expected.iter().map(|slope| slope.sqrt()).collect();
        assert!(alibi_slopes(8, 4.0).iter().zip(halves).all(|(a, b)| (a - b).abs() < 1e-15));
    }

    #[test]
    fn twelve_heads_continue_with_every_other_slope_of_sixteen() {
        let slopes = alibi_slopes(12, 8.0);
        assert_eq!(slopes.len(), 12);
        assert_eq!(slopes[..8], alibi_slopes(8, 8.0)[..]);
        let expected = [0.5f64.powf(0.5), 0.5f64.powf(1.5), 0.5f64.powf(2.5), 0.5f64.powf(3.5)];
        for (slope, expected) in slopes[8..].iter().zip(expected) {
            assert!((slope - expected).abs() < 1e-15);
        }
    }
}
