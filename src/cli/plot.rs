//! `plot`: draws the figures of a result folder again, without the model.

use serde_json::json;

use super::args::Plot;
use super::output::Output;
use crate::results;

/// Runs the command.
pub fn run(args: &Plot, output: &Output) -> anyhow::Result<()> {
    results::redraw(&args.folder)?;
    let folder = args.folder.display().to_string();
    output.write(&format!("figures of {folder} drawn"), &json!({ "out": folder }))
}
