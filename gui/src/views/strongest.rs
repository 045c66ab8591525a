//! The head that views of one head show while none is chosen.

use lm_infinite::diagnose::{Diagnosis, HeadReport};

/// The head whose logits rise most beyond the training length under A, as in the report; the first one if none does.
pub fn strongest(diagnosis: &Diagnosis) -> Option<(usize, usize)> {
    let heads = &diagnosis.runs.first()?.heads;
    let rising = heads.iter().filter_map(|head| Some((HeadReport::logit_rise(head)?, head)));
    let most = rising.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, head)| head);
    most.or(heads.first()).map(|head| (head.layer, head.head))
}
