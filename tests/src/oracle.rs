//! Vanilla attention against candle-transformers' own Llamas, which know nothing of this program, on short inputs.

use std::collections::HashMap;
use std::io::Seek;
use std::path::Path;

use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{llama, quantized_llama};
use lm_infinite::random;
use ndarray::ArrayD;
use rand::Rng;
use serde_json::json;

use crate::compare::{Tolerance, assert_close, line};
use crate::support::{decoder, faq_text, nll, session, smollm2, tiny};

const VOCABULARY: usize = 97;

/// A Hugging Face folder with a random Llama, another one than the goldens': three layers, head width 8, group of 4.
fn write_random_llama(folder: &Path, tied: bool, llama3: bool) -> candle_core::Result<()> {
    let (hidden, inner, heads, kv_heads, layers) = (64, 80, 8, 2, 3);
    let mut rng = random::expanded(7);
    // Uniform with the standard deviation asked for.
    let mut random = |rows: usize, columns: usize, deviation: f32| {
        let half = deviation * 3f32.sqrt();
        let values: Vec<f32> = (0..rows * columns).map(|_| rng.random_range(-half..half)).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu)
    };
    let kv = hidden / heads * kv_heads;
    let mut tensors = HashMap::new();
    let mut norms = vec!["model.norm.weight".to_owned()];
    tensors.insert("model.embed_tokens.weight".to_owned(), random(VOCABULARY, hidden, 0.3)?);
    if !tied {
        tensors.insert("lm_head.weight".to_owned(), random(VOCABULARY, hidden, 0.3)?);
    }
    for layer in 0..layers {
        let matrices = [
            ("self_attn.q_proj", hidden, hidden),
            ("self_attn.k_proj", kv, hidden),
            ("self_attn.v_proj", kv, hidden),
            ("self_attn.o_proj", hidden, hidden),
            ("mlp.gate_proj", inner, hidden),
            ("mlp.up_proj", inner, hidden),
            ("mlp.down_proj", hidden, inner),
        ];
        for (name, rows, columns) in matrices {
            tensors.insert(format!("model.layers.{layer}.{name}.weight"), random(rows, columns, 0.2)?);
        }
        for name in ["input_layernorm", "post_attention_layernorm"] {
            norms.push(format!("model.layers.{layer}.{name}.weight"));
        }
    }
    for name in norms {
        tensors.insert(name, (random(1, hidden, 0.2)? + 1.0)?.flatten_all()?);
    }
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors"))?;
    let mut config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": hidden, "intermediate_size": inner, "vocab_size": VOCABULARY, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "max_position_embeddings": 64, "tie_word_embeddings": tied, "eos_token_id": 96, "torch_dtype": "float32",
    });
    if llama3 {
        config["rope_scaling"] = json!({
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        });
    }
    std::fs::write(folder.join("config.json"), config.to_string())?;
    std::fs::copy(tiny("tied").join("tokenizer.json"), folder.join("tokenizer.json"))?;
    Ok(())
}

/// Logits [tokens, vocabulary] of candle-transformers' llama for the folder, token by token.
fn candle_llama(folder: &Path, tokens: &[u32]) -> candle_core::Result<ArrayD<f32>> {
    let text = std::fs::read_to_string(folder.join("config.json"))?;
    let config: llama::LlamaConfig = serde_json::from_str(&text).expect("config.json");
    let config = config.into_config(false);
    let tensors = candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu)?;
    let model = llama::Llama::load(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), &config)?;
    let mut cache = llama::Cache::new(true, DType::F32, &config, &Device::Cpu)?;
    let mut logits = Vec::new();
    for (position, &token) in tokens.iter().enumerate() {
        let input = Tensor::new(&[[token]], &Device::Cpu)?;
        logits.extend(model.forward(&input, position, &mut cache)?.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(ArrayD::from_shape_vec(vec![tokens.len(), VOCABULARY], logits).expect("one row a token"))
}

#[test]
fn safetensors_llama_equals_candle_transformers() {
    let mut rng = random::expanded(8);
    let tokens: Vec<u32> = (0..60).map(|_| rng.random_range(0..VOCABULARY as u32)).collect();
    for (tied, llama3) in [(true, false), (false, false), (false, true)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_random_llama(folder.path(), tied, llama3).expect("a model folder");
        let want = candle_llama(folder.path(), &tokens).expect("candle's logits");
        let decoder = decoder(folder.path());
        let what = format!("tied {tied}, llama3 {llama3}");
        let tolerance = Tolerance { absolute: 1e-3, relative: 1e-4 };

        let scored = session(&decoder, "vanilla").score(&tokens, None).expect("tokens of the vocabulary").nll;
        assert_close(&format!("{what}: NLL"), line(&scored), line(&nll(&want, &tokens[1..])), tolerance);

        let mut all = session(&decoder, "vanilla");
        all.feed(&tokens, None).expect("tokens of the vocabulary");
        let last = want.index_axis(ndarray::Axis(0), tokens.len() - 1);
        let got = all.logits().expect("logits after a token");
        assert_close(&format!("{what}: last logits"), line(&got), last, tolerance);
    }
}

/// candle-transformers' quantized llama, its weights dequantized beforehand. With quantized weights candle rounds every
/// activation to 8 bits too, and is off by up to 0.5 nats for a token.
fn quantized_llama_in_f32(path: &Path) -> candle_core::Result<quantized_llama::ModelWeights> {
    let mut stored = std::fs::File::open(path)?;
    let content = gguf_file::Content::read(&mut stored)?;
    let mut tensors = Vec::new();
    for name in content.tensor_infos.keys() {
        let values = content.tensor(&mut stored, name, &Device::Cpu)?.dequantize(&Device::Cpu)?;
        tensors.push((name.as_str(), QTensor::quantize(&values, GgmlDType::F32)?));
    }
    let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let metadata: Vec<_> = content.metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let mut floats = tempfile::tempfile()?;
    gguf_file::write(&mut floats, &metadata, &tensors)?;
    drop(tensors);
    floats.rewind()?;
    let content = gguf_file::Content::read(&mut floats)?;
    quantized_llama::ModelWeights::from_gguf(content, &mut floats, &Device::Cpu)
}

#[test]
fn gguf_llama_equals_candle_transformers() {
    let (Some(loaded), Some(text)) = (smollm2(), faq_text()) else { return };
    let short: String = text.chars().take(1000).collect();
    let tokens = loaded.tokenizer.encode(&short).expect("tokens");
    let tokens = &tokens[..64];

    let mut candle = quantized_llama_in_f32(&loaded.path).expect("a llama");
    let mut logits = Vec::new();
    for (position, &token) in tokens.iter().enumerate() {
        let input = Tensor::new(&[[token]], &Device::Cpu).expect("a tensor");
        let row = candle.forward(&input, position).and_then(|row| row.flatten_all()?.to_vec1::<f32>());
        logits.extend(row.expect("candle's logits"));
    }
    let vocabulary = logits.len() / tokens.len();
    let logits = ArrayD::from_shape_vec(vec![tokens.len(), vocabulary], logits).expect("one row a token");
    let want = nll(&logits, &tokens[1..]);

    let decoder = std::sync::Arc::new(
        lm_infinite::session::Decoder::new(loaded.config, loaded.weights).expect("a whole model"),
    );
    let got = session(&decoder, "vanilla").score(tokens, None).expect("tokens of the vocabulary").nll;
    assert_close("NLL", line(&got), line(&want), Tolerance::absolute(0.02));
}
