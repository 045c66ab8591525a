//! The next token that one policy loses more than another.

use super::colors::loss;

/// The next token behind `from` whose loss under the first lies more than `nats` above that under the second, or is not finite where
/// the other is; at the end it goes on from the beginning. Losses are of tokens 1 and on.
pub fn next(first: &[f32], second: &[f32], from: Option<u64>, nats: f32) -> Option<u64> {
    let known = first.len().min(second.len()) as u64;
    let fails = |&at: &u64| match (loss(first, at), loss(second, at)) {
        (Some(a), Some(b)) if a.is_finite() => a - b > nats,
        (Some(_), Some(b)) => b.is_finite(),
        _ => false,
    };
    let after = from.map_or(1, |from| (from + 1).clamp(1, known + 1));
    (after..=known).find(fails).or_else(|| (1..after.min(known + 1)).find(fails))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_next_failure_goes_round_and_what_is_not_finite_fails() {
        // Tokens 1 to 5.
        let a = [1.0, 4.0, 2.0, f32::NAN, 3.5];
        let b = [1.0, 2.0, 2.0, 1.0, 3.0];
        let next = |from, nats| super::next(&a, &b, from, nats);
        assert_eq!((next(None, 1.0), next(Some(2), 1.0), next(Some(4), 1.0)), (Some(2), Some(4), Some(2)));
        assert_eq!(
            (next(Some(4), 0.4), next(Some(99), 1.0), next(Some(4), 9.0)),
            (Some(5), Some(2), Some(4))
        );
        assert_eq!(super::next(&b, &a, None, 0.1), None);
        assert_eq!((super::next(&[], &[], None, 0.0), super::next(&a, &[], Some(3), 0.0)), (None, None));
    }
}
