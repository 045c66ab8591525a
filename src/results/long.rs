//! The result folder of a long run, or of a shard of one.
//!
//! | file | what |
//! |---|---|
//! | `perplexity.json` | the whole [`LongResult`] |
//! | `nll_by_position.csv`, `nll_by_length.csv` | loss in buckets of equal width, and in buckets that grow with the position |
//! | `memory.csv` | memory and time on the way |
//! | `nll_by_length.*`, `memory_by_length.*` | figures |

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::RunInfo;
use super::shards;
use super::storable::{Part, Storable};
use super::store::{from_json, save, to_json};
use super::tables::Table;
use crate::error::Result;
use crate::figures;
use crate::long_run::{LongResult, MemorySample, RunningTotals, Shard};

impl Storable for LongResult {
    type Whole = Self;

    const KIND: &'static str = "perplexity";
    const NAMED: &'static str = "a long run of `perplexity`";
    const FILE: &'static str = "perplexity.json";
    const FILES: &'static [&'static str] = &[
        "memory.csv",
        "memory_by_length.png",
        "memory_by_length.svg",
        "nll_by_length.csv",
        "nll_by_length.png",
        "nll_by_length.svg",
        "nll_by_position.csv",
        "perplexity.json",
        "summary.txt",
    ];

    fn write(&self, folder: &Path) -> Result<()> {
        to_json(&folder.join(Self::FILE), self, false)?;
        save(&folder.join("summary.txt"), &LongResult::summary(self))?;
        let of = |losses: fn(&RunningTotals) -> &lm_infinite_analysis::nll::NllByPosition| {
            let mut table = Table::of_losses();
            for run in &self.runs {
                for bucket in losses(&run.totals).buckets(self.tokens) {
                    table.bucket(&run.policy, &bucket);
                }
            }
            table.text()
        };
        save(&folder.join("nll_by_position.csv"), &of(|totals| &totals.linear))?;
        save(&folder.join("nll_by_length.csv"), &of(|totals| &totals.logarithmic))?;
        let mut memory = Table::new("policy,shard,position_tokens,seconds,rss_bytes,kv_cache_bytes");
        for run in &self.runs {
            for sample in &run.totals.memory {
                let rss = sample.rss_bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
                let MemorySample { shard, position, seconds, kv_cache_bytes, .. } = sample;
                let row = format!("{shard},{position},{seconds:.3},{rss},{kv_cache_bytes}");
                memory.row(&run.policy, &row);
            }
        }
        save(&folder.join("memory.csv"), &memory.text())
    }

    fn draw(&self, _: &RunInfo, folder: &Path) -> Result<Vec<PathBuf>> {
        figures::draw_long(self, folder)
    }

    fn read(folder: &Path) -> Result<Self> {
        from_json(&folder.join(Self::FILE))
    }

    fn summary(&self) -> String {
        LongResult::summary(self)
    }

    fn to_json(&self, out: &Path) -> Value {
        LongResult::to_json(self, out)
    }

    /// The result of the whole, up to the rounding of sums, and how it came about.
    fn merge(mut parts: Vec<Part<Self>>) -> Result<(Self, RunInfo)> {
        parts.sort_by_key(|part| part.outcome.shard.index);
        let runs = shards::joined(&parts, |result| result.shard, |result| &result.runs, |run| &run.policy)?;
        let first = &parts[0];
        let mut whole = first.outcome.clone();
        for more in &runs[1..] {
            for (run, more) in whole.runs.iter_mut().zip(more) {
                run.totals.merge(&more.totals)?;
            }
        }
        let mut info = first.info.clone();
        for more in &parts[1..] {
            for note in &more.outcome.notes {
                if !whole.notes.contains(note) {
                    whole.notes.push(note.clone());
                }
            }
            info.repeated_from = info.repeated_from.or(more.info.repeated_from);
        }
        info.notes.clone_from(&whole.notes);
        whole.shard = Shard::WHOLE;
        Ok((whole, info))
    }
}
