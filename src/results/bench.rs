//! The result folder of a benchmark (paper appendix G, Fig. 6).

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::RunInfo;
use super::storable::Storable;
use super::store::{from_json, save, to_json};
use super::tables::Table;
use crate::bench::BenchResult;
use crate::error::Result;
use crate::figures;

impl Storable for BenchResult {
    type Whole = Self;

    const KIND: &'static str = "bench";
    const NAMED: &'static str = "a benchmark";
    const FILE: &'static str = "bench.json";
    const FILES: &'static [&'static str] = &[
        "bench.csv",
        "bench.json",
        "decode_by_length.png",
        "decode_by_length.svg",
        "encode_by_length.png",
        "encode_by_length.svg",
        "memory_by_length.png",
        "memory_by_length.svg",
    ];

    fn write(&self, folder: &Path) -> Result<()> {
        to_json(&folder.join(Self::FILE), self, true)?;
        let mut table = Table::new(
            "policy,length_tokens,prefill_tokens_per_second,decode_tokens_per_second,kv_cache_bytes,peak_rss_bytes",
        );
        for run in &self.runs {
            let peak = run.peak_rss_bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
            let (prefill, decode) = (run.prefill_tokens_per_second, run.decode_tokens_per_second);
            let row = format!("{},{prefill},{decode},{},{peak}", run.length, run.kv_cache_bytes);
            table.row(&run.policy, &row);
        }
        save(&folder.join("bench.csv"), &table.text())
    }

    fn draw(&self, _: &RunInfo, folder: &Path) -> Result<Vec<PathBuf>> {
        figures::draw_bench(self, folder)
    }

    fn read(folder: &Path) -> Result<Self> {
        from_json(&folder.join(Self::FILE))
    }

    fn summary(&self) -> String {
        BenchResult::summary(self)
    }

    fn to_json(&self, out: &Path) -> Value {
        json!({
            "model": self.model,
            "machine": self.machine,
            "repeated_from": self.repeated_from,
            "notes": self.notes,
            "runs": self.runs,
            "out": out.display().to_string(),
        })
    }
}
