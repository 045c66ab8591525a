//! Speed of candle-transformers' `quantized_llama` on one GGUF file, as one JSON object on standard output:
//! `candle-llama MODEL.gguf LENGTH DECODE`. Threads as `RAYON_NUM_THREADS` says. Prefill in batches of 512 tokens, then
//! greedy decoding, one token after another; logits of the last position only.

use std::time::Instant;

use candle_core::quantized::gguf_file;
use candle_core::{D, Device, Result, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;

const BATCH: usize = 512;

/// Peak resident memory as Linux tells it.
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Feeds tokens from `position` on and returns the likeliest next one.
fn feed(model: &mut ModelWeights, tokens: &[u32], position: usize) -> Result<u32> {
    let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
    let logits = model.forward(&input, position)?;
    logits.argmax(D::Minus1)?.flatten_all()?.to_vec1::<u32>().map(|best| best[0])
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, path, length, decode] = &arguments[..] else { return Err("MODEL.gguf LENGTH DECODE".into()) };
    let (length, decode): (usize, usize) = (length.parse()?, decode.parse()?);

    let mut file = std::fs::File::open(path)?;
    let content = gguf_file::Content::read(&mut file)?;
    let embedding = content.tensor_infos.get("token_embd.weight").ok_or("no token_embd.weight")?;
    let vocabulary = embedding.shape.dims2()?.0;
    let mut model = ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?;
    // The same tokens as every rival: spread over the vocabulary.
    let tokens: Vec<u32> = (0..length).map(|i| ((i * 7919 + 13) % vocabulary) as u32).collect();

    feed(&mut model, &tokens[..length.min(64)], 0)?;
    model.clear_kv_cache();
    let begin = Instant::now();
    let mut next = 0;
    for (batch, part) in tokens.chunks(BATCH).enumerate() {
        next = feed(&mut model, part, batch * BATCH)?;
    }
    let prefill = begin.elapsed().as_secs_f64();

    let begin = Instant::now();
    for step in 0..decode {
        next = feed(&mut model, &[next], length + step)?;
    }
    let decoding = begin.elapsed().as_secs_f64();

    let report = serde_json::json!({
        "prefill_tokens_per_second": length as f64 / prefill,
        "decode_tokens_per_second": decode as f64 / decoding,
        "peak_rss_bytes": peak_rss_bytes(),
    });
    println!("{report}");
    Ok(())
}
