//! What becomes of a run on screen when another takes its place.

use super::history::Kept;
use super::state::State;

impl State {
    /// Keeps what is on screen, before something else takes its place.
    pub fn keep(&mut self) {
        let Some(diagnosis) = self.diagnosis.take() else { return };
        let (inputs, folder) = (self.inputs.take(), self.folder.take());
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
            self.settings = settings;
        }
        (self.diagnosis, self.inputs, self.folder, self.number) = (Some(diagnosis), inputs, folder, run);
        (self.mark, self.range, self.playing) = (None, None, None);
    }
}
