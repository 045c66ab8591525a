//! The result folder of an ablation: `run.json`, `ablation.json`, `ablation.csv`, `summary.txt` and the figure
//! `ablation.*`.

use std::path::{Path, PathBuf};

use super::folder::Staging;
use super::tables::Table;
use super::{RUN, RunInfo, check_target, from_json, save, to_json};
use crate::ablation::Ablation;
use crate::error::Result;
use crate::figures;

pub(super) const RESULT: &str = "ablation.json";

/// Writes a whole folder at `path`, in place of an older result if there is one.
pub fn write_ablation(path: &Path, ablation: &Ablation, info: &RunInfo) -> Result<()> {
    check_target(path)?;
    let staging = Staging::beside(path)?;
    let at = |name: &str| staging.path().join(name);
    to_json(&at(RESULT), ablation, false)?;
    save(&at("summary.txt"), &ablation.summary())?;
    let mut table = Table::new(
        "policy,from_token,to_token,excess_nll_nats,low_nats,high_nats,non_finite_tokens,first_non_finite_token",
    );
    for run in &ablation.runs {
        for bucket in &run.excess {
            let cell = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
            let to = bucket.to.unwrap_or(ablation.tokens).min(ablation.tokens);
            let (low, high) = (bucket.band.map(|band| band.0), bucket.band.map(|band| band.1));
            let (count, first) = (bucket.non_finite.count, bucket.non_finite.first);
            let row = format!(
                "{},{to},{},{},{},{count},{}",
                bucket.from,
                cell(bucket.nll),
                cell(low),
                cell(high),
                first.map(|at| at.to_string()).unwrap_or_default()
            );
            table.row(&run.policy, &row);
        }
    }
    save(&at("ablation.csv"), &table.text)?;
    figures::draw_ablation(ablation, staging.path())?;
    to_json(&at(RUN), info, true)?;
    staging.commit()
}

/// Draws the figure again. Returns its paths.
pub(super) fn redraw(folder: &Path) -> Result<Vec<PathBuf>> {
    figures::draw_ablation(&from_json::<Ablation>(&folder.join(RESULT))?, folder)
}
