//! What cannot be told of a policy: not yet, since reading has not gone beyond the training length, or never, since the policy does
//! not look that far.

use lm_infinite::diagnose::{Diagnosis, RunMeasurement};
use lm_infinite::policy::{AttentionPolicy, region};

use crate::words::grouped;

/// Keys at which a query is asked for its distances.
const ASKED: u64 = 256;

/// What lies between a run and what is beyond the training length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ToGo {
    /// So many tokens.
    Tokens(u64),
    /// The model has no position there.
    Never,
}

/// What lies between a run and what is beyond the training length; `None` where it has gone beyond.
pub fn to_go(diagnosis: &Diagnosis, run: &RunMeasurement) -> Option<ToGo> {
    let (read, trained) = (run.tokens_read(), diagnosis.trained_length);
    let ends = diagnosis.config.most_tokens().is_some_and(|most| most <= trained);
    (read <= trained).then(|| if ends { ToGo::Never } else { ToGo::Tokens((trained - read).max(1)) })
}

/// `not yet: 6,144 tokens to go`.
pub fn not_yet(to_go: ToGo) -> String {
    match to_go {
        ToGo::Tokens(count) => format!("not yet: {}", tokens_to_go(count)),
        ToGo::Never => "never: the model has no positions there".to_owned(),
    }
}

/// So many tokens to go, in words.
pub fn tokens_to_go(count: u64) -> String {
    match count {
        1 => "1 token to go".to_owned(),
        _ => format!("{} tokens to go", grouped(count)),
    }
}

/// Whether a query of the run, as far as it has read, attends to a key from position `from` on at a distance, as the position
/// encoding is given it, beyond the training length.
pub fn looks_beyond(diagnosis: &Diagnosis, run: &RunMeasurement, from: u64) -> bool {
    let config = &diagnosis.config;
    let last = run.tokens_read().saturating_sub(1);
    (0..config.layers).any(|layer| {
        let policy = config.policy_at(&run.attention, layer);
        attends_beyond(&policy, diagnosis.trained_length, from, last)
    })
}

/// The last query looks farthest, but where positions are counted in chunks or among few keys: so half as late a query is asked,
/// too. Distances change evenly between the places where a policy changes its rule, of which all are asked.
fn attends_beyond(policy: &AttentionPolicy, trained: u64, from: u64, last: u64) -> bool {
    [last, last / 2, (trained + 1).min(last)].into_iter().any(|query| {
        let back = [policy.window, policy.ceiling, Some(trained + 1)].into_iter().flatten();
        let back = back.flat_map(|distance| [distance, distance.saturating_sub(1)]);
        let rules = back.filter_map(|distance| query.checked_sub(distance));
        let first = [from, policy.start, policy.dropped.map_or(0, |dropped| dropped.tokens)];
        let evenly = (0..ASKED).map(|part| (query as f64 * part as f64 / ASKED as f64) as u64);
        let mut keys = rules.chain(first).chain(evenly).filter(|&key| key >= from && key <= query);
        keys.any(|key| region(query, key, policy).distance().is_some_and(|distance| distance > trained))
    })
}

#[cfg(test)]
mod tests {
    use lm_infinite::policy::PolicySpec;

    use super::*;

    #[test]
    fn policies_look_as_far_as_their_rule_says() {
        let beyond = |text: &str, from: u64| {
            let policy = PolicySpec::parse(text, 256).expect("a policy").policy;
            attends_beyond(&policy, 256, from, 4095)
        };
        for (policy, all, behind_start) in [
            ("vanilla", true, true),
            ("no-start", true, true),
            ("window", false, false),
            ("lambda", true, false),
            ("ceiling", false, false),
            ("lm-infinite", false, false),
            ("lm-infinite:window=1k,ceiling=512", true, true),
            ("streaming-llm", true, false),
            ("self-extend", true, true),
            ("dca", false, false),
        ] {
            assert_eq!((beyond(policy, 0), beyond(policy, 10)), (all, behind_start), "{policy}");
        }
        let vanilla = AttentionPolicy::default();
        assert!(!attends_beyond(&vanilla, 256, 0, 256) && attends_beyond(&vanilla, 256, 0, 257));
        assert_eq!(
            (not_yet(ToGo::Tokens(6144)).as_str(), not_yet(ToGo::Tokens(1)).as_str()),
            ("not yet: 6,144 tokens to go", "not yet: 1 token to go")
        );
    }
}
