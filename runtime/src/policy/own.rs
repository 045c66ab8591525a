//! How a policy composes with the window that the checkpoint itself was trained with.

use super::AttentionPolicy;

impl AttentionPolicy {
    /// This policy in a layer whose own attention reaches `own` tokens back (`None`: all of them).
    ///
    /// Where both have a window the smaller one holds, so that `vanilla` is the model's own attention. Start tokens and retrieved
    /// keys are what a policy adds outside of any window, and stay; the distance of retrieved keys is at most the window that holds.
    /// Ceiling, scaling and temperature do not choose keys, and stay too.
    ///
    /// Source: `sliding_window` of Mistral (Jiang et al. 2023, arXiv 2310.06825, section 2): a query attends to keys at distances
    /// `0 ≤ d < own`, as under [`Self::window`].
    #[must_use]
    pub fn within(mut self, own: Option<u64>) -> Self {
        let Some(own) = own else { return self };
        let window = self.window.map_or(own, |window| window.min(own));
        self.window = Some(window);
        if let Some(retrieved) = &mut self.retrieved {
            retrieved.distance = retrieved.distance.min(window);
        }
        self.dropped = self.dropped.filter(|dropped| dropped.beyond < window);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DroppedStart, Region, RetrievedKeys, region};
    use super::*;

    #[test]
    fn a_key_is_attended_where_both_windows_show_it() {
        let dropped = Some(DroppedStart { tokens: 3, beyond: 5 });
        let wide = AttentionPolicy { window: Some(9), ..Default::default() };
        for policy in [
            AttentionPolicy::default(),
            AttentionPolicy { ceiling: Some(4), ..Default::default() },
            AttentionPolicy { window: Some(2), ..Default::default() },
            AttentionPolicy { dropped, ..Default::default() },
            wide,
        ] {
            for own in [1, 2, 4, 7, 30] {
                let both = policy.clone().within(Some(own));
                for i in (0..25).chain([1_000_000_000]) {
                    let spans = both.spans(i);
                    for j in (i.saturating_sub(40)..=i).chain(0..5.min(i)) {
                        let alone = region(i, j, &policy).distance().filter(|_| i - j < own);
                        assert_eq!(region(i, j, &both).distance(), alone, "{policy} within {own}: {i} {j}");
                        let spanned = j < spans.start_end || j >= spans.recent_begin;
                        assert_eq!(spanned, alone.is_some(), "{policy} within {own}: {i} {j}");
                    }
                }
            }
        }
    }

    #[test]
    fn start_tokens_and_retrieved_keys_stay() {
        let retrieved = Some(RetrievedKeys { k: 2, from_layer: 0, distance: 6 });
        let policy = AttentionPolicy { start: 2, window: Some(12), retrieved, ..Default::default() };
        assert_eq!(policy.clone().within(None), policy);
        assert_eq!(policy.clone().within(Some(12)), policy);
        let both = policy.within(Some(4));
        assert_eq!(region(20, 1, &both), Region::Start { distance: 19 });
        assert_eq!(region(20, 10, &both), Region::Retrieved { distance: 4 });
        assert_eq!(region(20, 17, &both), Region::Recent { distance: 3 });
        assert!(both.validate().is_ok());
    }
}
