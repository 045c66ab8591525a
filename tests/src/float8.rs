//! Matrices of FP8 beside scales in Hugging Face folders: `tests/goldens/float8`.

use std::fs;

use lm_infinite::checkpoint;
use lm_infinite::hub::Cache;
use lm_infinite::model::BlockFormat;
use lm_infinite::model::weights::WeightType;
use ndarray::ArrayD;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::compare::{Tolerance, assert_close};
use crate::fixtures::{SafetensorsFile, write_json};
use crate::support::{decoder, golden, load, read_npy, score, session, tiny, tiny_tokens};

/// f32 against f64 over two layers.
const LOGITS: Tolerance = Tolerance { absolute: 2e-4, relative: 1e-5 };

const CASES: [&str; 5] = ["blocks", "whole", "compressed_tensor", "compressed_channel", "compressed_block"];

/// A checkpoint in memory, to be changed.
struct Stored {
    config: Value,
    /// Name, type, shape, bytes.
    tensors: Vec<(String, String, Vec<usize>, Vec<u8>)>,
}

impl Stored {
    fn read(name: &str) -> Self {
        let folder = golden(&format!("float8/{name}"));
        let bytes = fs::read(folder.join("model.safetensors")).expect("weights");
        let file = SafeTensors::deserialize(&bytes).expect("weights");
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            (name, format!("{:?}", view.dtype()), view.shape().to_vec(), view.data().to_vec())
        });
        let text = fs::read_to_string(folder.join("config.json")).expect("a configuration");
        Self { config: serde_json::from_str(&text).expect("JSON"), tensors: tensors.collect() }
    }

    fn write(&self) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        write_json(&folder.path().join("config.json"), &self.config);
        fs::copy(tiny("tied").join("tokenizer.json"), folder.path().join("tokenizer.json")).expect("copied");
        let mut file = SafetensorsFile::default();
        for (name, dtype, shape, data) in &self.tensors {
            file.push(name, dtype, shape, data);
        }
        file.write(&folder.path().join("model.safetensors"));
        folder
    }

    fn tensor(&mut self, name: &str) -> &mut (String, String, Vec<usize>, Vec<u8>) {
        self.tensors.iter_mut().find(|(other, ..)| other == name).expect("a tensor of this name")
    }

    fn quantization(&mut self) -> &mut Value {
        &mut self.config["quantization_config"]
    }
}

#[test]
fn the_weights_are_those_times_their_scales() {
    let tokens = tiny_tokens();
    for name in CASES {
        let folder = Stored::read(name).write();
        let decoder = decoder(folder.path());
        let want = read_npy::<f32>(&format!("float8/{name}/logits.npy"));
        for cut in [1, 40] {
            let mut session = session(&decoder, "vanilla");
            let mut got = Vec::new();
            for chunk in tokens.chunks(cut) {
                session.feed(chunk, None).expect("known tokens");
                got.extend(session.logits().expect("logits after a token"));
            }
            let rows = if cut == 1 {
                want.clone()
            } else {
                want.slice(ndarray::s![39..40, ..]).to_owned().into_dyn()
            };
            let got = ArrayD::from_shape_vec(rows.raw_dim(), got).expect("one row a token");
            assert_close(&format!("{name}, {cut} at a time"), &got, &rows, LOGITS);
        }
    }
}

/// What transformers was given: the products, as F32.
#[test]
fn they_are_a_checkpoint_of_their_products() {
    for name in CASES {
        let stored = Stored::read(name);
        let folder = stored.write();
        let loaded = load(folder.path());
        let layer = &loaded.weights.layers[0];
        let by_blocks = WeightType::Block(BlockFormat::ScaledE4M3);
        // Rows of 136 and of 72 are no whole number of 32; blocks of 8 columns are shorter than one.
        let want = if name == "compressed_block" { WeightType::F32 } else { by_blocks };
        assert_eq!(layer.query.weight.weight_type(), want, "{name}");
        let mlp = layer.feed_forward.dense().expect("no experts");
        assert_eq!(mlp.down.weight.weight_type(), WeightType::F32, "{name}");
        let note =
            loaded.notes.iter().find(|note| note.field.ends_with("quantization_config")).expect("a note");
        let count = loaded.config.layers * 7;
        assert!(note.said.contains(&format!("{count} matrices")) && note.said.contains("FP8"), "{note}");

        let mut floats = Stored::read(name);
        floats.config["quantization_config"] = Value::Null;
        floats.tensors.retain(|(name, ..)| !name.contains("_scale"));
        for (tensor, dtype, shape, data) in &mut floats.tensors {
            if dtype != "F8_E4M3" {
                continue;
            }
            let (rows, columns) = (shape[0], shape[1]);
            let module = tensor.strip_suffix("weight").expect("a weight");
            let scales =
                stored.tensors.iter().find(|(name, ..)| name.starts_with(&format!("{module}weight_scale")));
            let (_, of, scale_shape, bytes) = scales.expect("scales");
            let scales: Vec<f32> = match of.as_str() {
                "F32" => {
                    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
                }
                _ => bytes
                    .chunks_exact(2)
                    .map(|b| f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16))
                    .collect(),
            };
            let block = match name {
                "blocks" => [128, 128],
                "compressed_block" => [8, 8],
                "compressed_channel" => [1, columns],
                _ => [rows, columns],
            };
            assert_eq!(
                scales.len(),
                rows.div_ceil(block[0]) * columns.div_ceil(block[1]),
                "{name} {scale_shape:?}"
            );
            let product = |at: usize| {
                let byte = data[at];
                let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7) / 8.0);
                let size =
                    if exponent == 0 { mantissa / 64.0 } else { (1.0 + mantissa) * 2f32.powi(exponent - 7) };
                let (row, column) = (at / columns / block[0], at % columns / block[1]);
                let scale = scales[row * columns.div_ceil(block[1]) + column];
                if byte & 0x80 == 0 { size * scale } else { -size * scale }
            };
            *data = (0..rows * columns).flat_map(|at| product(at).to_le_bytes()).collect();
            *dtype = "F32".into();
        }
        let float_folder = floats.write();
        let tokens = tiny_tokens();
        let want = score(&mut session(&decoder(float_folder.path()), "vanilla"), &tokens, 40);
        assert_eq!(score(&mut session(&decoder(folder.path()), "vanilla"), &tokens, 40), want, "{name}");
    }
}

#[track_caller]
fn refused(name: &str, change: impl FnOnce(&mut Stored), words: &[&str]) {
    let mut stored = Stored::read(name);
    change(&mut stored);
    let folder = stored.write();
    let reference = folder.path().to_str().expect("UTF-8");
    let cache = Cache::at("no-cache");
    let refusal = checkpoint::load(reference, &cache).expect_err("refused").to_string();
    for word in words {
        assert!(refusal.contains(word), "{word}: {refusal}");
    }
    // Values aside, inspection says the same.
    let problem = checkpoint::inspect(reference, &cache).expect("described").problem;
    if !words.contains(&"finite") {
        assert_eq!(problem, Some(refusal));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let query = "model.layers.0.self_attn.q_proj.weight";
    refused(
        "blocks",
        |of| of.config["quantization_config"] = Value::Null,
        &["F8_E4M3", "quantization_config"],
    );
    refused(
        "blocks",
        |of| of.tensors.retain(|(name, ..)| !name.contains("0.self_attn.q_proj.weight_scale")),
        &[query, "no such tensor"],
    );
    refused(
        "blocks",
        |of| of.quantization()["weight_block_size"] = json!([64, 128]),
        &["scales", "[3, 2]", "[2, 2]"],
    );
    refused(
        "blocks",
        |of| of.quantization()["weight_block_size"] = Value::Null,
        &["scales", "one scale a matrix"],
    );
    refused(
        "whole",
        |of| {
            of.quantization().as_object_mut().expect("an object").remove("weight_block_size");
        },
        &["128 × 128"],
    );
    refused(
        "compressed_channel",
        |of| of.tensor("model.layers.0.mlp.up_proj.weight_scale").2 = vec![1, 72],
        &["[72, 1]"],
    );
    refused("blocks", |of| of.tensor(query).3[165] = 0x7f, &["q_proj", "finite", "row 1"]);
    refused("compressed_block", |of| of.tensor(query).3[65] = 0xff, &["q_proj", "finite", "row 1, column 1"]);
    let scale = "model.layers.0.self_attn.q_proj.weight_scale_inv";
    refused(
        "blocks",
        |of| of.tensor(scale).3[..4].copy_from_slice(&f32::INFINITY.to_le_bytes()),
        &["q_proj", "finite", "scales"],
    );
    // A product that f32 has no place for.
    refused("whole", |of| of.tensor(scale).3.copy_from_slice(&f32::MAX.to_le_bytes()), &["q_proj", "finite"]);
    refused("blocks", |of| of.tensor(query).1 = "F8_E5M2".into(), &["F8_E5M2"]);
    // Scales of a matrix that is none of FP8 are tensors too many.
    refused(
        "compressed_tensor",
        |of| {
            let (_, dtype, _, data) = of.tensor("model.layers.0.self_attn.q_proj.weight");
            (*dtype, *data) = ("F16".into(), vec![0; 2 * data.len()]);
        },
        &["q_proj.weight_scale", "no such tensor"],
    );
}

#[test]
fn what_is_not_read_of_a_configuration_is_refused_by_name() {
    for (key, value) in [
        ("fmt", json!("e5m2")),
        ("activation_scheme", json!("odd")),
        ("expert_dtype", json!("fp4")),
        ("scale_fmt", json!("mx")),
        ("weight_block_size", json!([128])),
        ("weight_block_size", json!([128, 0])),
        ("weight_block_size", json!("128")),
        ("surprise", json!(3)),
        ("fmt", json!(4)),
    ] {
        refused("blocks", |of| of.quantization()[key] = value, &[&format!("quantization_config.{key}")]);
    }
    for (key, value) in [
        ("format", json!("pack-quantized")),
        ("quantization_status", json!("calibration")),
        ("kv_cache_scheme", json!({"num_bits": 8})),
        ("sparsity_config", json!({"format": "sparse-24-bitmask"})),
        ("transform_config", json!({"config_groups": {"R1": {}}})),
        ("config_groups", json!({})),
        ("config_groups", Value::Null),
    ] {
        let words = format!("quantization_config.{key}");
        refused("compressed_tensor", |of| of.quantization()[key] = value, &[&words]);
    }
    for (key, value) in [
        ("num_bits", json!(4)),
        ("type", json!("int")),
        ("strategy", json!("group")),
        ("strategy", Value::Null),
        ("symmetric", json!(false)),
        ("dynamic", json!(true)),
        ("group_size", json!(64)),
        ("actorder", json!("weight")),
    ] {
        let change = |of: &mut Stored| of.quantization()["config_groups"]["group_0"]["weights"][key] = value;
        refused("compressed_tensor", change, &[&format!("group_0.weights.{key}")]);
    }
    let outputs = |of: &mut Stored| {
        of.quantization()["config_groups"]["group_0"]["output_activations"] = json!({"num_bits": 8})
    };
    refused("compressed_tensor", outputs, &["output_activations"]);
    let second = |of: &mut Stored| {
        let mut group = of.quantization()["config_groups"]["group_0"].clone();
        group["weights"]["strategy"] = json!("channel");
        of.quantization()["config_groups"]["group_1"] = group;
    };
    refused("compressed_tensor", second, &["group_1", "one scale a matrix", "each row"]);
    for method in ["gptq", "awq", "bitsandbytes", "mxfp4"] {
        refused(
            "blocks",
            |of| of.quantization()["quant_method"] = json!(method),
            &["quantized", method, "FP8"],
        );
    }
}

#[test]
fn fields_that_change_nothing_are_read_over() {
    let tokens = tiny_tokens();
    let losses =
        |stored: &Stored| score(&mut session(&decoder(stored.write().path()), "vanilla"), &tokens, 40);
    let mut stored = Stored::read("compressed_tensor");
    let want = losses(&stored);
    let quantization = stored.quantization();
    quantization["version"] = json!("0.12");
    quantization["sparsity_config"] = json!({});
    quantization["transform_config"] = json!({});
    quantization["quantization_status"] = json!("frozen");
    stored.tensors.push((
        "model.layers.0.self_attn.q_proj.input_scale".into(),
        "BF16".into(),
        vec![1],
        vec![0, 63],
    ));
    assert_eq!(losses(&stored), want);
    let mut stored = Stored::read("whole");
    let want = losses(&stored);
    let quantization = stored.quantization();
    quantization["activation_scheme"] = json!("static");
    quantization["modules_to_not_convert"] = json!(["lm_head"]);
    stored.tensors.push((
        "model.layers.0.self_attn.q_proj.activation_scale".into(),
        "F32".into(),
        vec![],
        vec![0, 0, 128, 63],
    ));
    assert_eq!(losses(&stored), want);
    assert!(
        Stored::read("blocks").tensors.iter().any(|(_, dtype, ..)| *dtype == format!("{:?}", Dtype::F8_E4M3))
    );
}
