//! The policies of the factorial.

use lm_infinite_analysis::causes::{Cause, CauseSet};
use lm_infinite_runtime::policy::PolicySpec;

use crate::error::Result;

/// The policy that has the causes of `set` in a model trained on `trained_length` tokens:
///
/// | distances | keys | start tokens | policy |
/// |---|---|---|---|
/// | clamped | as many as in training | kept | `lm-infinite` |
/// | true | as many | kept | `lambda` |
/// | clamped | all | kept | `ceiling` |
/// | true | all | kept | `vanilla` |
/// | either | as many | dropped | `window` |
/// | clamped | all | dropped | `ceiling-no-start` |
/// | true | all | dropped | `no-start` |
///
/// A window of the training length without start tokens shows no distance that training did not have, so that two sets
/// have one policy.
///
/// # Errors
/// A training length that no policy can have (0).
pub fn cause_policy(set: CauseSet, trained_length: u64) -> Result<PolicySpec> {
    let has = |cause| set.has(cause);
    let name = match (has(Cause::Distances), has(Cause::Keys), has(Cause::Start)) {
        (false, false, false) => "lm-infinite",
        (true, false, false) => "lambda",
        (false, true, false) => "ceiling",
        (true, true, false) => "vanilla",
        (_, false, true) => "window",
        (false, true, true) => "ceiling-no-start",
        (true, true, true) => "no-start",
    };
    Ok(PolicySpec::parse(name, trained_length)?)
}

#[cfg(test)]
mod tests {
    use lm_infinite_runtime::policy::region;

    use super::*;

    #[test]
    fn each_policy_has_the_causes_of_its_set_and_no_other() {
        let (trained, query) = (32, 100);
        for set in CauseSet::all() {
            let policy = cause_policy(set, trained).expect("a policy").policy;
            let distances: Vec<Option<u64>> =
                (0..=query).map(|key| region(query, key, &policy).distance()).collect();
            let attended = distances.iter().flatten().count() as u64;
            let farthest = distances.iter().copied().flatten().max().expect("itself");
            let unseen = farthest > trained;
            // Without keys in the way there is no unseen distance under a window.
            let shown = set.has(Cause::Distances) && (set.has(Cause::Keys) || !set.has(Cause::Start));
            assert_eq!(unseen, shown, "{set:?}");
            assert_eq!(attended > trained + 10, set.has(Cause::Keys), "{set:?}: {attended}");
            assert_eq!(distances[0].is_none(), set.has(Cause::Start), "{set:?}");
        }
        assert!(cause_policy(CauseSet::NONE, 0).is_err());
    }
}
