//! The result folder of a shard of a calibration: `calibration-shard.json`, and `cases.msgpack` with the cases that `merge` puts together.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::RunInfo;
use super::shards;
use super::storable::{Part, Storable};
use super::store::{from_json, from_msgpack, save, to_json, to_msgpack};
use crate::calibrate::{Calibration, CalibrationShard, Difference};
use crate::error::{Error, Result};

const CASES: &str = "cases.msgpack";

impl Storable for CalibrationShard {
    type Whole = Calibration;

    const KIND: &'static str = "calibration-shard";
    const NAMED: &'static str = "a shard of a calibration";
    const FILE: &'static str = "calibration-shard.json";
    const FILES: &'static [&'static str] = &["calibration-shard.json", CASES, "summary.txt"];

    fn write(&self, folder: &Path) -> Result<()> {
        to_json(&folder.join(Self::FILE), self, true)?;
        save(&folder.join("summary.txt"), &CalibrationShard::summary(self))?;
        to_msgpack(&folder.join(CASES), &self.cases)
    }

    fn draw(&self, _: &RunInfo, _: &Path) -> Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn read(folder: &Path) -> Result<Self> {
        let mut shard: Self = from_json(&folder.join(Self::FILE))?;
        shard.cases = from_msgpack(&folder.join(CASES), "cases", "those of a shard of a calibration")?;
        Ok(shard)
    }

    fn summary(&self) -> String {
        CalibrationShard::summary(self)
    }

    fn to_json(&self, out: &Path) -> Value {
        json!({
            "shard": self.shard.to_string(),
            "cases": self.cases.len(),
            "planned": self.identity.cases(),
            "notes": self.notes,
            "out": out.display().to_string(),
        })
    }

    /// The calibration of the whole, number by number.
    fn merge(mut parts: Vec<Part<Self>>) -> Result<(Calibration, RunInfo)> {
        parts.sort_by_key(|part| part.outcome.shard.index);
        let first = shards::same_and_whole(&parts, |part| part.shard)?;
        for part in &parts[1..] {
            if let Some(Difference { field, this, other }) =
                first.outcome.identity.difference(&part.outcome.identity)
            {
                let reason = format!(
                    "it is of another calibration than `{}`: {field} {other} instead of {this}",
                    first.folder.display()
                );
                return Err(Error::input(format!("`{}`", part.folder.display()), reason));
            }
        }
        let (identity, info) = (first.outcome.identity.clone(), first.info.clone());
        let mut notes = Vec::new();
        let mut cases = Vec::new();
        for part in parts {
            for note in part.outcome.notes {
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
            cases.extend(part.outcome.cases);
        }
        let mut whole = identity.calibration(cases)?;
        if (whole.cases.len() as u64) < whole.planned {
            let reason = format!("the shards have {} of {} cases", whole.cases.len(), whole.planned);
            return Err(Error::input("merge", reason));
        }
        whole.notes = notes;
        Ok((whole, info))
    }
}
