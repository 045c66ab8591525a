//! Many hypotheses at once.

/// Which hypotheses are rejected so that on average at most a share `rate` of the rejected ones is true: Benjamini and
/// Hochberg (1995), valid for independent and for positively dependent tests. NaN is never rejected, and is no test.
pub fn rejections(p_values: &[f64], rate: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p_values.len()).filter(|&at| !p_values[at].is_nan()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let tests = order.len() as f64;
    let last = (order.iter().enumerate())
        .filter(|&(rank, &at)| p_values[at] <= rate * (rank + 1) as f64 / tests)
        .map(|(rank, _)| rank)
        .next_back();
    let mut rejected = vec![false; p_values.len()];
    for &at in last.map_or(&[][..], |last| &order[..=last]) {
        rejected[at] = true;
    }
    rejected
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Benjamini and Hochberg (1995), section 3.3: four of fifteen at 5 %.
    #[test]
    fn the_published_example() {
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
            0.6528, 0.7590, 1.0,
        ];
        assert_eq!(rejections(&p, 0.05).iter().filter(|&&rejected| rejected).count(), 4);
        let shuffled = [0.3240, 0.0004, 0.0001, 0.9];
        assert_eq!(rejections(&shuffled, 0.05), [false, true, true, false]);
    }

    #[test]
    fn a_large_one_below_its_bound_takes_smaller_ones_along() {
        assert_eq!(rejections(&[0.04, 0.045, 0.05], 0.05), [true; 3]);
        assert_eq!(rejections(&[f64::NAN, 0.04], 0.05), [false, true]);
        assert!(rejections(&[], 0.05).is_empty());
    }
}
