//! The result folder of an ablation.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::RunInfo;
use super::storable::Storable;
use super::store::{from_json, save, to_json};
use super::tables::Table;
use crate::ablation::Ablation;
use crate::error::Result;
use crate::figures;

impl Storable for Ablation {
    type Whole = Self;

    const KIND: &'static str = "ablation";
    const NAMED: &'static str = "an ablation";
    const FILE: &'static str = "ablation.json";
    const FILES: &'static [&'static str] =
        &["ablation.csv", "ablation.json", "ablation.png", "ablation.svg", "summary.txt"];

    fn write(&self, folder: &Path) -> Result<()> {
        to_json(&folder.join(Self::FILE), self, false)?;
        save(&folder.join("summary.txt"), &Ablation::summary(self))?;
        let mut table = Table::new(
            "policy,from_token,to_token,excess_nll_nats,low_nats,high_nats,non_finite_tokens,first_non_finite_token",
        );
        for run in &self.runs {
            for bucket in &run.excess {
                let cell = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
                let to = bucket.to.unwrap_or(self.tokens).min(self.tokens);
                let (low, high) = (bucket.band.map(|band| band.0), bucket.band.map(|band| band.1));
                let (count, first) = (bucket.non_finite.count, bucket.non_finite.first);
                let first = first.map(|at| at.to_string()).unwrap_or_default();
                let row = format!(
                    "{},{to},{},{},{},{count},{first}",
                    bucket.from,
                    cell(bucket.nll),
                    cell(low),
                    cell(high)
                );
                table.row(&run.policy, &row);
            }
        }
        save(&folder.join("ablation.csv"), &table.text())
    }

    fn draw(&self, _: &RunInfo, folder: &Path) -> Result<Vec<PathBuf>> {
        figures::draw_ablation(self, folder)
    }

    fn read(folder: &Path) -> Result<Self> {
        from_json(&folder.join(Self::FILE))
    }

    fn summary(&self) -> String {
        Ablation::summary(self)
    }

    fn to_json(&self, out: &Path) -> Value {
        // A struct of numbers and words always has a JSON form.
        let mut data = serde_json::to_value(self).unwrap_or_else(|_| json!({}));
        data["out"] = out.display().to_string().into();
        data
    }
}
