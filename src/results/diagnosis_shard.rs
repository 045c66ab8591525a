//! The result folder of a shard of a diagnosis: `shard.json`, and `sums.msgpack` with the numbers that `merge` adds.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::RunInfo;
use super::shards;
use super::storable::{Part, Storable};
use super::store::{from_json, from_msgpack, save, to_json, to_msgpack};
use crate::diagnose::{Diagnosis, DiagnosisShard, Sums};
use crate::error::{Error, Result};

/// The losses of the reference, and of every run its losses and what it counted.
type Numbers = (Vec<f32>, Vec<(Vec<f32>, Sums)>);

const NUMBERS: &str = "sums.msgpack";

impl Storable for DiagnosisShard {
    type Whole = Diagnosis;

    const KIND: &'static str = "diagnosis-shard";
    const NAMED: &'static str = "a shard of a diagnosis";
    const FILE: &'static str = "shard.json";
    const FILES: &'static [&'static str] = &["shard.json", "summary.txt", NUMBERS];

    fn write(&self, folder: &Path) -> Result<()> {
        to_json(&folder.join(Self::FILE), self, true)?;
        save(&folder.join("summary.txt"), &DiagnosisShard::summary(self))?;
        let mut runs = Vec::new();
        for run in &self.runs {
            let nothing = || Error::input(format!("policy {}", run.policy), "nothing was counted");
            runs.push((&run.nll, run.sums.as_ref().ok_or_else(nothing)?));
        }
        to_msgpack(&folder.join(NUMBERS), &(&self.reference, runs))
    }

    fn draw(&self, _: &RunInfo, _: &Path) -> Result<Vec<PathBuf>> {
        // A part has no figures: what breaks is told of the whole.
        Ok(Vec::new())
    }

    fn read(folder: &Path) -> Result<Self> {
        let mut shard: Self = from_json(&folder.join(Self::FILE))?;
        let path = folder.join(NUMBERS);
        let numbers: Numbers = from_msgpack(&path, "numbers", "those of a shard of a diagnosis")?;
        if numbers.1.len() != shard.runs.len() {
            let expected = format!("those of {} policies", shard.runs.len());
            return Err(Error::malformed(path, "numbers", expected, numbers.1.len()));
        }
        shard.reference = numbers.0;
        for (run, (nll, sums)) in shard.runs.iter_mut().zip(numbers.1) {
            (run.nll, run.sums) = (nll, Some(sums));
        }
        Ok(shard)
    }

    fn summary(&self) -> String {
        DiagnosisShard::summary(self)
    }

    fn to_json(&self, out: &Path) -> Value {
        json!({
            "model": self.model,
            "tokens": self.tokens,
            "shard": self.shard.to_string(),
            "runs": self.runs.iter().map(|run| json!({
                "policy": run.policy,
                "tokens_read": run.tokens_read,
                "seconds": run.seconds,
                "peak_rss_bytes": run.peak_rss_bytes,
                "kv_cache_bytes": run.kv_cache_bytes,
            })).collect::<Vec<_>>(),
            "out": out.display().to_string(),
        })
    }

    /// The diagnosis of the whole, up to the rounding of sums that were cut elsewhere.
    fn merge(mut parts: Vec<Part<Self>>) -> Result<(Diagnosis, RunInfo)> {
        parts.sort_by_key(|part| part.outcome.shard.index);
        let runs = shards::joined(&parts, |part| part.shard, |part| &part.runs, |run| &run.policy)?;
        let first = &parts[0];
        for part in &parts {
            let (a, b) = (&first.outcome, &part.outcome);
            let of = |part: &Self| (part.model.clone(), part.config.clone(), part.tokens, part.bucket);
            if of(a) != of(b) || part.outcome.tokens != part.info.tokens {
                let reason = format!(
                    "its model, length or bucket is another than that of `{}`",
                    first.folder.display()
                );
                return Err(Error::input(format!("`{}`", part.folder.display()), reason));
            }
        }
        let info = first.info.clone();
        let parts: Vec<_> = parts.iter().map(|part| &part.outcome).zip(runs).collect();
        let mut diagnosis = DiagnosisShard::join(&parts)?;
        // Every shard tokenizes the whole text, so that what there is to say of it is the same in all.
        (diagnosis.repeated_from, diagnosis.notes) = (info.repeated_from, info.notes.clone());
        Ok((diagnosis, info))
    }
}
