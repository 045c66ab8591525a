//! The model of a run, as the command line would read it.

use lm_infinite::Result;
use lm_infinite::checkpoint::{LoadedModel, load_ignoring};
use lm_infinite::hub::Cache;
use lm_infinite::model::KvType;

use crate::settings::Settings;

/// Loads what `settings` name; keys and values of a checkpoint of 16 bits are held in 16 bits.
///
/// # Errors
/// As [`load_ignoring`].
pub fn load(settings: &Settings) -> Result<LoadedModel> {
    let mut model = load_ignoring(&settings.model, &Cache::open()?, settings.ignored_fields())?;
    model.hold_keys_and_values(model.weights.kv_type(KvType::F32));
    Ok(model)
}
