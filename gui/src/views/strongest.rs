//! The head that views of one head show while none is chosen.

use lm_infinite::diagnose::{Diagnosis, HeadReport};

/// The head whose logits unseen distances raise most under A, as in the report; where nothing is known of that, the one whose
/// largest logit rises most beyond the training length; the first one if none does.
pub fn strongest(diagnosis: &Diagnosis) -> Option<(usize, usize)> {
    let heads = &diagnosis.runs.first()?.heads;
    let most = |of: fn(&HeadReport) -> Option<f64>| {
        let rising = heads.iter().filter_map(|head| Some((of(head)?, head)));
        rising.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, head)| head)
    };
    let rising = most(HeadReport::largest_logit_excess);
    let rising = rising.or_else(|| most(|head| head.logit_rise().map(f64::from)));
    rising.or(heads.first()).map(|head| (head.layer, head.head))
}
