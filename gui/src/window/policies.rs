//! What becomes of the rows of policies when one is added or taken away, and when a result folder has others.

use super::state::State;
use crate::settings::{MOST_POLICIES, Settings};
use crate::theme;
use crate::views::shown::Hidden;

impl State {
    /// One policy more; where there is no room for the details of all, those of the others are folded away.
    pub fn add_policy(&mut self, text: String) {
        let side = self.settings.policies.len();
        if side < MOST_POLICIES {
            self.settings.policies.push(text);
            self.settings.b_unchosen = false;
            self.refused.push(None);
            self.folded = Hidden::folded(side + 1).with(side, false);
        }
    }

    /// One policy less; the last one stays.
    pub fn remove_policy(&mut self, side: usize) {
        if self.settings.policies.len() > 1 && side < self.settings.policies.len() {
            self.settings.policies.remove(side);
            self.settings.b_unchosen = false;
            self.refused.remove(side);
            self.folded = self.folded.without(side);
        }
    }

    /// The fields say this now. Policies that are others were chosen.
    pub fn change_settings(&mut self, settings: Settings) {
        let chosen = settings.policies != self.settings.policies;
        self.settings = Settings { b_unchosen: settings.b_unchosen && !chosen, ..settings };
    }

    /// The run bar says what the run in fact reads, where the model cannot follow what was asked for without a choice.
    pub fn adapt(&mut self, read: &Settings) {
        let asked = self.job.as_ref().and_then(|job| job.settings());
        if asked == Some(&self.settings) && *read != self.settings {
            self.set_settings(read.clone());
        }
    }

    /// Policies that were typed, and are not those that are read, since they were refused.
    pub fn refusals(&self) -> Option<String> {
        let refused = self.refused.iter().zip(&self.settings.policies).enumerate();
        let refused = refused.filter_map(|(side, (reason, policy))| {
            let reason = reason.as_ref()?;
            Some(format!(
                "{} is read as {}: what was typed is refused ({reason}).",
                theme::name(side),
                policy.trim()
            ))
        });
        let words: Vec<_> = refused.collect();
        (!words.is_empty()).then(|| words.join(" "))
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
