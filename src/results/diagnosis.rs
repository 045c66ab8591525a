//! The result folder of a diagnosis.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::storable::Storable;
use super::store::{from_json, save, to_json};
use super::{RunInfo, arrays, causes, prediction, report, tables};
use crate::diagnose::Diagnosis;
use crate::error::Result;
use crate::figures;

const ARRAYS: &str = "arrays.npz";

impl Storable for Diagnosis {
    type Whole = Self;

    const KIND: &'static str = "diagnosis";
    const NAMED: &'static str = "a diagnosis";
    const FILE: &'static str = "diagnosis.json";
    const FILES: &'static [&'static str] = &[
        "arrays.npz",
        "attention_maps.png",
        "attention_maps.svg",
        "causes.json",
        "causes_heads.csv",
        "causes_heads.png",
        "causes_heads.svg",
        "causes_shares.csv",
        "causes_shares.png",
        "causes_shares.svg",
        "diagnosis.json",
        "drift_by_layer.csv",
        "drift_pca.csv",
        "drift_pca.png",
        "drift_pca.svg",
        "entropy_bounds.csv",
        "entropy_bounds.png",
        "entropy_bounds.svg",
        "entropy_by_length.csv",
        "entropy_by_length.png",
        "entropy_by_length.svg",
        "heads.csv",
        "heads_entropy.png",
        "heads_entropy.svg",
        "heads_logits.png",
        "heads_logits.svg",
        "logit_quantiles.csv",
        "logits_by_distance.csv",
        "logits_by_distance.png",
        "logits_by_distance.svg",
        "logits_by_length.csv",
        "logits_of_start_tokens.png",
        "logits_of_start_tokens.svg",
        "nll_by_position.csv",
        "nll_by_position.png",
        "nll_by_position.svg",
        "predicted.csv",
        "predicted.json",
        "predicted_by_length.csv",
        "predicted_entropy.png",
        "predicted_entropy.svg",
        "predicted_logits.png",
        "predicted_logits.svg",
        "predicted_loss.png",
        "predicted_loss.svg",
        "report.html",
        "start_mass_by_position.csv",
        "start_mass_by_position.png",
        "start_mass_by_position.svg",
        "summary.txt",
    ];

    fn write(&self, folder: &Path) -> Result<()> {
        to_json(&folder.join(Self::FILE), self, false)?;
        save(&folder.join("summary.txt"), &Diagnosis::summary(self))?;
        for (name, table) in tables::all(self) {
            save(&folder.join(name), &table)?;
        }
        if let Some(found) = &self.causes {
            causes::write(folder, found)?;
        }
        if let Some(predicted) = &self.predicted {
            prediction::write(folder, predicted)?;
        }
        arrays::write(&folder.join(ARRAYS), self)
    }

    fn draw(&self, info: &RunInfo, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut drawn = figures::draw_all(self, folder)?;
        drawn.push(report::write(folder, self, info)?);
        Ok(drawn)
    }

    fn read(folder: &Path) -> Result<Self> {
        let mut diagnosis: Self = from_json(&folder.join(Self::FILE))?;
        arrays::read(&folder.join(ARRAYS), &mut diagnosis)?;
        diagnosis.causes = causes::read(folder)?;
        diagnosis.predicted = prediction::read(folder)?;
        Ok(diagnosis)
    }

    fn summary(&self) -> String {
        Diagnosis::summary(self)
    }

    fn to_json(&self, out: &Path) -> Value {
        Diagnosis::to_json(self, Some(out))
    }
}

/// The CSV table called `name` (`nll_by_position.csv`), as it is in the folder.
pub fn table(diagnosis: &Diagnosis, name: &str) -> Option<String> {
    tables::all(diagnosis).into_iter().find(|(table, _)| *table == name).map(|(_, text)| text)
}
