//! `plot`: draws the figures of a result folder again, without the model.

use serde_json::json;

use super::args::Plot;
use super::output::Output;
use crate::results;

/// Runs the command.
pub fn run(args: &Plot, output: &Output) -> anyhow::Result<()> {
    let figures = results::redraw(&args.folder)?;
    let figures: Vec<String> = figures.iter().map(|path| path.display().to_string()).collect();
    output
        .write(&figures.join("\n"), &json!({ "out": args.folder.display().to_string(), "figures": figures }))
}
