//! Length of the blocks of a bootstrap, from the autocorrelation of the values.
//!
//! Politis and White (2004), with the correction of Patton, Politis and White (2009), for the circular block bootstrap:
//!
//! ```text
//! b = (2 G² / D)^(1/3) · n^(1/3),   G = Σ_k λ(k/M) |k| R(k),   D = 4/3 · (Σ_k λ(k/M) R(k))²
//! ```
//!
//! over `|k| ≤ M`, with the autocovariance `R` and the flat-top window `λ` (1 up to ½, then falling to 0 at 1). `M` is twice
//! the lag behind which `max(5, √log₁₀ n)` autocorrelations in a row are below `2 √(log₁₀ n / n)`.

/// Bound of an autocorrelation that counts as none, in units of `√(log₁₀ n / n)`.
const NEGLIGIBLE: f64 = 2.0;

/// Length of blocks for the mean of `values`, at least 1 and at most a third of their number.
pub fn block_length(values: &[f64]) -> usize {
    let n = values.len();
    if n < 9 {
        return 1;
    }
    let most = n / 3;
    let mean = values.iter().sum::<f64>() / n as f64;
    let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let covariance =
        |lag: usize| centred[lag..].iter().zip(&centred).map(|(a, b)| a * b).sum::<f64>() / n as f64;
    let variance = covariance(0);
    if variance <= 0.0 {
        return 1;
    }
    let log = (n as f64).log10();
    let in_a_row = (log.sqrt() as usize).max(5);
    let bound = NEGLIGIBLE * (log / n as f64).sqrt();
    let mut covariances = vec![variance];
    let (mut quiet, mut cut) = (0, most);
    for lag in 1..=most {
        let at = covariance(lag);
        covariances.push(at);
        quiet = if (at / variance).abs() < bound { quiet + 1 } else { 0 };
        if quiet == in_a_row {
            cut = lag - in_a_row;
            break;
        }
    }
    let last = (2 * cut.max(1)).min(most);
    for lag in covariances.len()..=last {
        covariances.push(covariance(lag));
    }
    let (mut slope, mut level) = (0.0, variance);
    for (lag, &at) in covariances.iter().enumerate().take(last + 1).skip(1) {
        let weight = flat_top(lag as f64 / last as f64);
        slope += 2.0 * weight * lag as f64 * at;
        level += 2.0 * weight * at;
    }
    if level <= 0.0 {
        return 1;
    }
    let length = (1.5 * (slope / level).powi(2) * n as f64).cbrt();
    (length.ceil() as usize).clamp(1, most)
}

fn flat_top(share: f64) -> f64 {
    if share <= 0.5 { 1.0 } else { (2.0 * (1.0 - share)).max(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::simulated::autoregressive;

    /// For an AR(1), G/Σ R = 2ρ/(1 − ρ²), so b = (6 ρ² n / (1 − ρ²)²)^(1/3).
    #[test]
    fn it_follows_the_autocorrelation() {
        for (rho, n) in [(0.0, 4000), (0.3, 4000), (0.6, 4000), (0.9, 4000), (0.6, 500)] {
            let mut lengths: Vec<usize> =
                (0..41).map(|seed| block_length(&autoregressive(n, rho, seed))).collect();
            lengths.sort_unstable();
            let typical = lengths[20] as f64;
            let ideal = (6.0 * rho * rho * n as f64 / (1.0 - rho * rho).powi(2)).cbrt().max(1.0);
            assert!(
                typical < 1.6 * ideal + 3.0 && typical > 0.6 * ideal,
                "{rho} {n}: {typical}, ideal {ideal:.1}"
            );
        }
    }

    #[test]
    fn few_or_equal_values_need_no_blocks() {
        assert_eq!([&[][..], &[1.0], &[2.0; 100]].map(block_length), [1; 3]);
        assert!(block_length(&(0..30).map(f64::from).collect::<Vec<_>>()) <= 10);
    }
}
