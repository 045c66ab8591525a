//! What snapshots cost: the digest of a model, and, where the policy reads every earlier key, memory, bytes written and time
//! at growing length.
//!
//! `cargo bench -p lm-infinite --bench snapshots -- [TOKENS]` (65,536 by default): `tiny-rope` under `lm-infinite-topk`, a
//! checkpoint every 2,048 tokens as `perplexity --snapshot 0` takes them, and the same tokens without any.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use lm_infinite::checkpoint::LoadedModel;
use lm_infinite::hub::Cache;
use lm_infinite::machine::{peak_rss_bytes, reset_peak_rss, rss_bytes};
use lm_infinite::model::{Linear, Matrix};
use lm_infinite::policy::PolicySpec;
use lm_infinite::session::{Decoder, Session, Storage};
use lm_infinite::{Error, Result, checkpoint, corpus, text};

const CHUNK: usize = 2048;

fn main() -> Result<()> {
    let tokens = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(65_536);
    let loaded = checkpoint::load("tiny-rope", &Cache::open()?)?;
    let tokens = corpus::tokens(&text::Text::embedded(), &loaded.tokenizer, Some(tokens), Some(0))?.tokens;
    let policy = PolicySpec::parse("lm-infinite-topk", loaded.config.trained_length)?.policy;
    let decoder = Arc::new(loaded.decoder()?);
    digest_rate(&loaded)?;
    println!(
        "| tokens | cache MB | peak MB before a snapshot | peak MB in it | written by it MB | written in all MB | seconds |"
    );
    println!("|---|---|---|---|---|---|---|");
    let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
    // Old keys in a file from the beginning, so that what memory holds is what a session needs.
    let storage = Storage { memory_bytes: 0, folder: folder.path().to_owned() };
    let mut session = Session::with_storage(decoder.clone(), policy, &storage)?;
    let (mut total, mut last) = (0, None);
    for (index, chunk) in tokens.chunks(CHUNK).enumerate() {
        session.feed(chunk, None)?;
        let before = rss_bytes();
        reset_peak_rss();
        let (start, written) = (Instant::now(), written_bytes());
        let path = folder.path().join(format!("{index}.safetensors"));
        session.checkpoint(&path, "old.pages")?;
        if let Some(last) = last.replace(path) {
            std::fs::remove_file(&last).map_err(Error::io(&last))?;
        }
        let (seconds, peak) = (start.elapsed().as_secs_f64(), peak_rss_bytes());
        let bytes = written_bytes().zip(written).map(|(now, before)| now - before);
        total += bytes.unwrap_or(0);
        if (index + 1).is_power_of_two() || (index + 1) * CHUNK >= tokens.len() {
            let mb =
                |bytes: Option<u64>| bytes.map_or("?".into(), |bytes| format!("{:.1}", bytes as f64 / 1e6));
            println!(
                "| {} | {} | {} | {} | {} | {} | {seconds:.3} |",
                session.position(),
                mb(Some(session.kv_cache_bytes() as u64)),
                mb(before),
                mb(peak),
                mb(bytes),
                mb(Some(total)),
            );
        }
    }
    Ok(())
}

/// The digest of weights of 1.6 GB in memory: what the first snapshot of a model costs.
fn digest_rate(loaded: &LoadedModel) -> Result<()> {
    let (mut config, mut weights) = (loaded.config.clone(), loaded.weights.clone());
    (config.layers, config.intermediate) = (1, 1 << 20);
    weights.layers.truncate(1);
    let (hidden, layer) = (config.hidden, &mut weights.layers[0]);
    let values = vec![0.5; hidden * config.intermediate];
    let matrix =
        |rows, columns| Matrix::from_f32(&values, rows, columns).ok_or(Error::input("matrix", "its shape"));
    let mlp = layer.feed_forward.dense_mut().ok_or(Error::input("model", "an MLP is expected"))?;
    mlp.gate = Some(Linear { weight: matrix(config.intermediate, hidden)?, bias: None });
    mlp.up.weight = matrix(config.intermediate, hidden)?;
    mlp.down.weight = matrix(hidden, config.intermediate)?;
    let bytes = 3.0 * 4.0 * values.len() as f64;
    drop(values);
    let decoder = Decoder::new(config, weights)?;
    let start = Instant::now();
    decoder.digest();
    let rate = bytes / start.elapsed().as_secs_f64() / 1e9;
    println!(
        "digest of {:.1} GB of weights: {rate:.2} GB/s on {} threads\n",
        bytes / 1e9,
        rayon::current_num_threads()
    );
    Ok(())
}

/// Bytes that this process has handed to the system so far; Linux only.
fn written_bytes() -> Option<u64> {
    let io = std::fs::read_to_string(Path::new("/proc/self/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("wchar:"))?.trim().parse().ok()
}
