//! How a run is repeated without the window.

use super::state::State;
use crate::command_line;

impl State {
    /// The command of an earlier run, or of that on screen, for a shell: with the same numbers.
    ///
    /// # Errors
    /// In words, where there is none.
    pub fn command_line(&self, number: Option<u64>) -> Result<String, String> {
        let kept = number.and_then(|number| self.history.get(number));
        let (diagnosis, inputs, folder) = match kept {
            Some(kept) => (Some(&kept.diagnosis), kept.inputs.as_ref(), kept.folder.as_ref()),
            None => (self.diagnosis.as_ref(), self.inputs.as_ref(), self.folder.as_ref()),
        };
        match (diagnosis, inputs, folder) {
            (Some(diagnosis), Some(inputs), _) => {
                Ok(command_line::line(&command_line::words(&inputs.settings, diagnosis)?))
            }
            // A result folder says itself what it was made with.
            (_, None, Some(folder)) => Ok(command_line::line(&folder.info.command)),
            _ => Err("Nothing has been read yet.".to_owned()),
        }
    }
}
