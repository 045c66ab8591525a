//! One part of a calibration, so that many machines can make one: the cases of every N-th text.

use lm_infinite_runtime::note::Note;
use serde::{Deserialize, Serialize};

use super::case::Measured;
use super::identity::Identity;
use crate::long_run::Shard;

/// The cases of some texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationShard {
    /// The whole.
    pub identity: Identity,
    /// Which part of it.
    pub shard: Shard,
    /// What else there is to say.
    pub notes: Vec<Note>,
    /// Its cases; kept beside the JSON form, which leaves them out.
    #[serde(skip)]
    pub cases: Vec<Measured>,
}

impl CalibrationShard {
    /// In words.
    pub fn summary(&self) -> String {
        let mut text = format!(
            "shard {} of a calibration: {} of {} cases; `lm-infinite merge` joins it with the others\n",
            self.shard,
            self.cases.len(),
            self.identity.cases()
        );
        text.extend(self.notes.iter().map(|note| format!("{note}\n")));
        text
    }
}
