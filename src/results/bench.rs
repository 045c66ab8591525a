//! The result folder of a benchmark: `run.json`, `bench.json`, `bench.csv` and the figures `encode_by_length.*`,
//! `decode_by_length.*` and `memory_by_length.*` (paper appendix G, Fig. 6).

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::Staging;
use super::tables::Table;
use super::{RUN, RunInfo, check_target, from_json, save, to_json};
use crate::bench::BenchRun;
use crate::error::Result;
use crate::figures;
use crate::machine::Limits;

pub(super) const RESULT: &str = "bench.json";

/// A benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchResult {
    /// Name of the model.
    pub model: String,
    /// L_pretrain.
    pub trained_length: u64,
    /// What the machine can do, measured in the same run.
    pub machine: Limits,
    /// Tokens of the text, where longer contexts repeat it.
    #[serde(default)]
    pub repeated_from: Option<u64>,
    /// Every policy at every length.
    pub runs: Vec<BenchRun>,
}

/// Writes a whole folder at `path`, in place of an older result if there is one.
pub fn write_bench(path: &Path, result: &BenchResult, info: &RunInfo) -> Result<()> {
    check_target(path)?;
    let staging = Staging::beside(path)?;
    let at = |name: &str| staging.path().join(name);
    to_json(&at(RESULT), result, true)?;
    let mut table = Table::new(
        "policy,length_tokens,prefill_tokens_per_second,decode_tokens_per_second,kv_cache_bytes,peak_rss_bytes",
    );
    for run in &result.runs {
        let peak = run.peak_rss_bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        let (prefill, decode) = (run.prefill_tokens_per_second, run.decode_tokens_per_second);
        table.row(&run.policy, &format!("{},{prefill},{decode},{},{peak}", run.length, run.kv_cache_bytes));
    }
    save(&at("bench.csv"), &table.text)?;
    figures::draw_bench(result, staging.path())?;
    to_json(&at(RUN), info, true)?;
    staging.commit()
}

/// Draws the figures again. Returns their paths.
pub(super) fn redraw(folder: &Path) -> Result<Vec<PathBuf>> {
    figures::draw_bench(&from_json::<BenchResult>(&folder.join(RESULT))?, folder)
}
