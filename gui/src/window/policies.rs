//! What becomes of the rows of policies when one is added or taken away, and when a result folder has others.

use super::state::State;
use crate::settings::MOST_POLICIES;
use crate::views::shown::Hidden;

impl State {
    /// One policy more; where there is no room for the details of all, those of the others are folded away.
    pub fn add_policy(&mut self, text: String) {
        let side = self.settings.policies.len();
        if side < MOST_POLICIES {
            self.settings.policies.push(text);
            self.refused.push(None);
            self.folded = Hidden::folded(side + 1).with(side, false);
        }
    }

    /// One policy less; the last one stays.
    pub fn remove_policy(&mut self, side: usize) {
        if self.settings.policies.len() > 1 && side < self.settings.policies.len() {
            self.settings.policies.remove(side);
            self.refused.remove(side);
            self.folded = self.folded.without(side);
        }
    }

    /// The rows are these now.
    pub fn set_policies(&mut self, policies: impl Iterator<Item = String>) {
        let policies: Vec<_> = policies.take(MOST_POLICIES).collect();
        if !policies.is_empty() && policies != self.settings.policies {
            self.refused = vec![None; policies.len()];
            self.folded = Hidden::folded(policies.len());
            self.settings.policies = policies;
        }
    }
}
