//! What becomes of a run on screen when another takes its place.

use std::time::Duration;

use super::history::Kept;
use super::state::State;

/// What was read for less than this is read again as soon.
const MOMENT: Duration = Duration::from_secs(10);

impl State {
    /// Notes that the newest run makes way for one of other settings, where it was read for a moment only.
    pub fn supersede(&mut self) {
        if self.since.is_some_and(|since| since.elapsed() < MOMENT) {
            self.superseded.insert(self.begun);
        }
    }

    /// Whether what is on screen is the beginning of a run that made way: nothing beyond the training length, or what a moment
    /// reads again.
    fn is_only_begun(&self) -> bool {
        let begun = |diagnosis: &lm_infinite::diagnose::Diagnosis| {
            diagnosis.is_partial() && diagnosis.tokens_read() <= diagnosis.trained_length
        };
        let partial = self.diagnosis.as_deref().is_some_and(|diagnosis| diagnosis.is_partial());
        // One that goes on comes back to the history.
        let made_way = self.inputs.is_some() && self.number != self.begun;
        made_way
            && (self.diagnosis.as_deref().is_some_and(begun)
                || partial && self.superseded.contains(&self.number))
    }

    /// Keeps what is on screen, before something else takes its place. What was only begun is let go.
    pub fn keep(&mut self) {
        let only_begun = self.is_only_begun();
        let Some(diagnosis) = self.diagnosis.take() else { return };
        let (inputs, folder) = (self.inputs.take(), self.folder.take());
        if only_begun {
            return;
        }
        self.history.push(Kept { number: 0, diagnosis, inputs, folder, run: self.number });
    }

    /// Shows a kept run again, and keeps what was on screen. The run bar says what it was made of, unless a run is on its way,
    /// which would begin anew.
    pub fn recall(&mut self, number: u64) {
        let Some(kept) = self.history.remove(number) else { return };
        let Kept { diagnosis, inputs, folder, run, .. } = kept;
        self.keep();
        let made = inputs.as_ref().map(|inputs| &inputs.settings);
        let settings = made.or(folder.as_ref().map(|folder| &folder.settings)).cloned();
        if let Some(settings) =
            settings.filter(|_| self.progress.as_ref().is_none_or(|progress| progress.finished))
        {
            self.set_settings(settings);
        }
        (self.diagnosis, self.inputs, self.folder, self.number) = (Some(diagnosis), inputs, folder, run);
        (self.mark, self.range, self.playing) = (None, None, None);
    }
}
