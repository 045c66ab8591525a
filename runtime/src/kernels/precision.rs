//! How exactly weights are multiplied.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::packed;

/// What activations are when they are multiplied with stored weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32, as every measurement has them.
    #[default]
    Exact,
    /// Codes of 8 bits in groups of 32, where weights are stored in such groups and the processor multiplies integers faster; bfloat16,
    /// where weights are and the processor multiplies them faster; f32 elsewhere.
    Fast,
}

impl Precision {
    /// Whether this processor multiplies integers or bfloat16 faster than floats, so that [`Self::Fast`] is anything else than exact.
    pub fn fast_is_available() -> bool {
        packed::is_available()
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Fast => "fast",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exact" => Ok(Self::Exact),
            "fast" => Ok(Self::Fast),
            _ => Err("expected exact or fast".to_owned()),
        }
    }
}
