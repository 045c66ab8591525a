//! `models`: known, present, and what is in a file.

use lm_infinite_runtime::checkpoint::inspect_ignoring;
use lm_infinite_runtime::hub;
use serde_json::json;

use super::args::Models;
use super::output::{self, Output};

/// Runs the command.
pub fn run(args: &Models, output: &Output) -> anyhow::Result<()> {
    let cache = output::cache()?;
    match args {
        Models::List => {
            let list = hub::list(&cache);
            output.write(&list.to_string(), &json!({ "models": list }))
        }
        Models::Pull { name } => {
            let path = hub::pull(name, &cache)?.display().to_string();
            output.write(&path, &json!({ "name": name, "path": path }))
        }
        Models::Inspect { path, ignored_fields } => {
            let inspection = inspect_ignoring(path, &cache, ignored_fields)?;
            output.write(&inspection.to_string(), &serde_json::to_value(&inspection)?)
        }
    }
}
