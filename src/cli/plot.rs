//! `plot`: draws the figures of a result folder again, or those of one head, without the model.

use serde_json::json;

use super::args::Plot;
use super::output::Output;
use crate::diagnose::{Diagnosis, DiagnosisShard};
use crate::error::Error;
use crate::figures;
use crate::results::{ResultFolder, Storable};

/// Runs the command.
pub fn run(args: &Plot, output: &Output) -> anyhow::Result<()> {
    let folder = ResultFolder::open(&args.folder)?;
    let figures = if args.heads.is_empty() {
        folder.redraw()?
    } else {
        let diagnosis: Diagnosis = folder.read()?;
        folder.add(|into| {
            let of_each = args.heads.iter().map(|&head| figures::draw_head(&diagnosis, head, into));
            Ok(of_each.collect::<crate::error::Result<Vec<_>>>()?.concat())
        })?
    };
    if folder.kind() == DiagnosisShard::KIND {
        let reason = "it is a part of a run, which has no figures; `merge` joins the parts";
        return Err(Error::input(format!("`{}`", args.folder.display()), reason).into());
    }
    let figures: Vec<String> = figures.iter().map(|path| path.display().to_string()).collect();
    output
        .write(&figures.join("\n"), &json!({ "out": args.folder.display().to_string(), "figures": figures }))
}
