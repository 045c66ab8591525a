//! GGUF files.

use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use lm_infinite::checkpoint::load;
use lm_infinite::hub::Cache;
use lm_infinite::policy::AttentionPolicy;
use lm_infinite::session::{Decoder, Session};

use super::{folder, refused, refused_gguf, tiny, write};
use crate::fixtures::{GgufFile, TinyConfig, TinyLlama, Value, Vocabulary};

#[test]
fn wrong_magic() {
    refused_gguf(|file| file.magic = *b"GGML", &["magic", "GGUF"]);
}

#[test]
fn unknown_and_big_endian_versions() {
    refused_gguf(|file| file.version = 1, &["version", "2 or 3", "got 1"]);
    refused_gguf(|file| file.version = 3u32.swap_bytes(), &["version", "big-endian"]);
}

#[test]
fn empty_file() {
    let folder = folder();
    refused(&write(&folder, b""), &["model.gguf", "magic"]);
}

/// A file of a few thousand bytes.
fn smallest() -> GgufFile {
    let config = TinyConfig {
        layers: 1,
        hidden: 32,
        intermediate: 32,
        heads: 2,
        kv_heads: 1,
        tied: true,
        ..Default::default()
    };
    TinyLlama::with_vocabulary(config, Vocabulary::small(), 0).gguf(GgmlDType::Q4_0)
}

/// Every prefix is refused, but for those that lack nothing but padding at the end.
#[test]
fn truncated_anywhere() {
    let file = smallest();
    let whole = file.bytes();
    let last = file.tensors.last().expect("tensors").data.len();
    let padding = last.next_multiple_of(32) - last;
    let folder = folder();
    for end in 0..whole.len() - padding {
        refused(&write(&folder, &whole[..end]), &["model.gguf"]);
    }
}

/// Every byte of a header changed, one at a time, in several ways: an error that names the file, or a model that runs
/// and whose logits are as many as its tokens.
#[test]
fn flipped_bytes() {
    let file = smallest();
    let (header, whole) = (file.header().len(), file.bytes());
    let folder = folder();
    let (mut refused, mut ran) = (0, 0);
    for at in 0..header {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let path = write(&folder, &bytes);
            match load(path.to_str().expect("UTF-8"), &Cache::at("no-cache")) {
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().contains("model.gguf"), "byte {at}, {flip}: {error}");
                }
                Ok(model) => {
                    ran += 1;
                    let vocabulary = model.config.vocabulary;
                    let decoder = Arc::new(Decoder::new(model.config, model.weights).expect("whole"));
                    let mut session = Session::new(decoder, AttentionPolicy::default()).expect("a session");
                    session.feed(&[0, vocabulary as u32 - 1], None).expect("tokens");
                    assert_eq!(session.logits().map(|logits| logits.len()), Some(vocabulary));
                }
            }
        }
    }
    assert!(refused > header && ran > 100, "{refused} refused, {ran} ran");
}

#[test]
fn huge_counts() {
    for huge in [u64::MAX, u64::MAX / 13, 1 << 40] {
        refused_gguf(|file| file.tensor_count = Some(huge), &["tensor count", "bytes left"]);
        refused_gguf(|file| file.metadata_count = Some(huge), &["metadata count", "bytes left"]);
    }
}

#[test]
fn huge_lengths() {
    for huge in [u64::MAX, 1 << 62, 1 << 32] {
        let text = huge.to_le_bytes().to_vec();
        refused_gguf(
            |file| file.set("general.name", Value::Raw(8, text.clone())),
            &["general.name", "bytes"],
        );
        for element in [0u32, 6, 8, 9, 10] {
            let array = [&element.to_le_bytes()[..], &text].concat();
            refused_gguf(
                |file| file.set("general.tags", Value::Raw(9, array)),
                &["general.tags", "bytes left"],
            );
        }
    }
}

#[test]
fn arrays_without_end() {
    let level = [&9u32.to_le_bytes()[..], &1u64.to_le_bytes()].concat();
    refused_gguf(
        |file| file.set("general.tags", Value::Raw(9, level.repeat(1000))),
        &["general.tags", "deep"],
    );
}

#[test]
fn unknown_value_type() {
    refused_gguf(
        |file| file.set("general.name", Value::Raw(13, vec![0; 8])),
        &["general.name", "type", "13"],
    );
}

#[test]
fn a_key_twice() {
    let again = |file: &mut crate::fixtures::GgufFile| {
        file.metadata.push(("llama.block_count".into(), Value::U32(1)))
    };
    refused_gguf(again, &["llama.block_count", "once"]);
}

#[test]
fn text_that_is_not_utf8() {
    let bytes = [&2u64.to_le_bytes()[..], &[b'a', 0xff]].concat();
    for key in
        ["general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.chat_template"]
    {
        refused_gguf(|file| file.set(key, Value::Raw(8, bytes.clone())), &[key, "UTF-8", "offset"]);
    }
    let tokens = [&8u32.to_le_bytes()[..], &1u64.to_le_bytes(), &bytes].concat();
    refused_gguf(|file| file.set("tokenizer.ggml.tokens", Value::Raw(9, tokens)), &["tokens", "UTF-8"]);
}

#[test]
fn booleans_that_are_none() {
    refused_gguf(
        |file| file.set("tokenizer.ggml.add_bos_token", Value::Raw(7, vec![2])),
        &["add_bos_token", "0 or 1", "got 2"],
    );
}

#[test]
fn offsets_that_overflow_or_leave_the_file() {
    for offset in [u64::MAX - 31, 1 << 62, 1 << 20] {
        refused_gguf(
            |file| file.tensor("output_norm.weight").offset = Some(offset),
            &["output_norm.weight", "offset"],
        );
    }
    refused_gguf(
        |file| file.tensor("output_norm.weight").offset = Some(4),
        &["output_norm.weight", "aligned to 32"],
    );
}

#[test]
fn tensors_that_overlap() {
    refused_gguf(|file| file.tensor("blk.0.attn_k.weight").offset = Some(0), &["overlaps", "blk.0."]);
}

#[test]
fn a_tensor_twice() {
    let twice = |file: &mut crate::fixtures::GgufFile| {
        file.tensor("blk.1.attn_k.weight").name = "blk.0.attn_k.weight".into()
    };
    refused_gguf(twice, &["blk.0.attn_k.weight", "second"]);
}

#[test]
fn bad_alignment() {
    for alignment in [0usize, 24, 1, 1 << 31] {
        refused_gguf(|file| file.set("general.alignment", alignment), &["general.alignment", "power of two"]);
    }
}

#[test]
fn shapes_that_overflow_or_are_empty() {
    for dimensions in
        [vec![u64::MAX, u64::MAX], vec![1 << 32, 1 << 32, 1 << 32], vec![0, 64], vec![64; 5], vec![]]
    {
        refused_gguf(
            |file| file.tensor("blk.0.attn_q.weight").dimensions = dimensions,
            &["blk.0.attn_q.weight"],
        );
    }
}

#[test]
fn wrong_shape() {
    refused_gguf(
        |file| file.tensor("blk.1.ffn_up.weight").dimensions = vec![96, 64],
        &["blk.1.ffn_up.weight", "[96, 64]", "[64, 96]"],
    );
    refused_gguf(
        |file| file.tensor("blk.0.attn_norm.weight").dimensions = vec![8, 8],
        &["attn_norm", "[64]", "[8, 8]"],
    );
}

#[test]
fn missing_tensor() {
    refused_gguf(
        |file| file.tensors.retain(|t| t.name != "blk.1.attn_v.weight"),
        &["blk.1.attn_v.weight", "none"],
    );
}

#[test]
fn a_tensor_that_changes_the_computation() {
    let extra = |file: &mut crate::fixtures::GgufFile| {
        let mut tensor = file.tensor("blk.0.attn_norm.weight").clone();
        tensor.name = "blk.0.attn_q_norm.weight".into();
        file.tensors.push(tensor);
    };
    refused_gguf(extra, &["blk.0.attn_q_norm.weight", "no such tensor"]);
}

#[test]
fn missing_key() {
    for key in ["llama.block_count", "llama.context_length", "llama.attention.layer_norm_rms_epsilon"] {
        refused_gguf(|file| file.remove(key), &[key, "no such key"]);
    }
    refused_gguf(|file| file.remove("general.architecture"), &["general.architecture"]);
}

#[test]
fn wrong_value_type() {
    refused_gguf(|file| file.set("llama.block_count", "two"), &["llama.block_count", "integer", "a string"]);
    let per_layer = Value::Ints(vec![4, 2]);
    refused_gguf(
        |file| file.set("llama.attention.head_count", per_layer),
        &["head_count", "integer", "array"],
    );
    refused_gguf(|file| file.set("llama.block_count", Value::I32(-1)), &["llama.block_count", "-1"]);
}

#[test]
fn head_counts_that_make_no_sense() {
    refused_gguf(|file| file.set("llama.attention.head_count", 0), &["head_count", "from 1", "got 0"]);
    refused_gguf(|file| file.set("llama.attention.head_count_kv", 0), &["head_count_kv", "got 0"]);
    refused_gguf(|file| file.set("llama.attention.head_count_kv", 3), &["head_count_kv", "divisor", "got 3"]);
    let no_width = |file: &mut crate::fixtures::GgufFile| {
        file.remove("llama.attention.key_length");
        file.set("llama.attention.head_count", 5);
    };
    refused_gguf(no_width, &["head_count", "divisor", "got 5"]);
}

#[test]
fn sizes_beyond_reason() {
    for key in [
        "block_count",
        "embedding_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.key_length",
    ] {
        let key = format!("llama.{key}");
        refused_gguf(|file| file.set(&key, Value::U32(u32::MAX)), &["llama."]);
    }
    refused_gguf(
        |file| file.set("llama.block_count", Value::U32(4_000)),
        &["blk.2.attn_norm.weight", "none"],
    );
}

#[test]
fn rope_that_makes_no_sense() {
    refused_gguf(|file| file.set("llama.rope.dimension_count", 18), &["rope.dimension_count", "got 18"]);
    refused_gguf(|file| file.set("llama.rope.dimension_count", 5), &["rope.dimension_count", "got 5"]);
    refused_gguf(|file| file.set("llama.rope.freq_base", Value::F32(f32::NAN)), &["rope.freq_base", "NaN"]);
    refused_gguf(
        |file| file.set("llama.rope.scaling.type", "su"),
        &["rope.scaling.type", "longrope", "got su"],
    );
    refused_gguf(
        |file| file.set("llama.rope.scaling.type", "longrope"),
        &["rope_factors_short.weight", "none"],
    );
    let scaled = |file: &mut crate::fixtures::GgufFile| {
        file.set("llama.rope.scaling.type", "linear");
        file.set("llama.rope.scaling.factor", Value::F32(-2.0));
    };
    refused_gguf(scaled, &["RoPE scaling", "-2"]);
}

#[test]
fn numbers_of_other_families() {
    for key in
        ["logit_scale", "embedding_scale", "residual_scale", "attention.scale", "final_logit_softcapping"]
    {
        let key = format!("llama.{key}");
        refused_gguf(|file| file.set(&key, Value::F32(0.75)), &[&key, "0.75", "not supported"]);
    }
    refused_gguf(
        |file| file.set("llama.attention.causal", Value::Bool(false)),
        &["attention.causal", "false"],
    );
    for key in ["attn_factor", "yarn_ext_factor", "yarn_log_multiplier"] {
        let key = format!("llama.rope.scaling.{key}");
        refused_gguf(|file| file.set(&key, Value::F32(0.5)), &[&key, "0.5", "not supported"]);
    }
    // Those that change nothing are fine.
    let mut file = tiny().gguf(GgmlDType::F32);
    file.set("llama.attention.scale", Value::F32(0.25));
    file.set("llama.logit_scale", Value::F32(1.0));
    file.set("llama.residual_scale", Value::F32(0.0));
    file.set("llama.rope.scaling.yarn_ext_factor", Value::F32(-1.0));
    let folder = folder();
    let path = write(&folder, &file.bytes());
    assert!(load(path.to_str().expect("UTF-8"), &Cache::at("no-cache")).is_ok());
}

#[test]
fn architectures_that_are_not_supported() {
    refused_gguf(|file| file.set("general.architecture", "mamba"), &["mamba", "`llama`, `qwen2`"]);
    refused_gguf(|file| file.set("llama.expert_count", 8), &["expert_used_count", "no such"]);
    let too_many = |file: &mut crate::fixtures::GgufFile| {
        file.set("llama.expert_count", 4);
        file.set("llama.expert_used_count", 5);
    };
    refused_gguf(too_many, &["expert_used_count", "from 1 to 4"]);
    let without_weights = |file: &mut crate::fixtures::GgufFile| {
        file.set("llama.expert_count", 4);
        file.set("llama.expert_used_count", 2);
    };
    refused_gguf(without_weights, &["blk.0.ffn_gate_inp.weight"]);
}

#[test]
fn types_that_are_not_supported() {
    refused_gguf(|file| file.tensor("blk.0.attn_q.weight").type_id = 40, &["blk.0.attn_q.weight", "NVFP4"]);
    // 64 columns are no block of 256.
    refused_gguf(
        |file| file.tensor("blk.0.attn_q.weight").type_id = 23,
        &["blk.0.attn_q.weight", "blocks of 256"],
    );
    refused_gguf(
        |file| file.tensor("blk.0.attn_q.weight").type_id = 4000,
        &["blk.0.attn_q.weight", "GGML type 4000"],
    );
    let f32_as_q8 = |file: &mut crate::fixtures::GgufFile| file.tensor("output_norm.weight").type_id = 8;
    refused_gguf(f32_as_q8, &["output_norm.weight", "F32, F16 or BF16", "Q8_0"]);
    let odd = |file: &mut crate::fixtures::GgufFile| {
        file.tensor("blk.0.ffn_down.weight").type_id = 12;
    };
    refused_gguf(odd, &["blk.0.ffn_down.weight", "blocks of 256"]);
}

#[test]
fn weights_that_are_not_finite() {
    for (name, value) in [("blk.1.attn_k.weight", f32::NAN), ("output.weight", f32::INFINITY)] {
        refused_gguf(
            |file| file.tensor(name).data[64 * 4 * 3 + 8..][..4].copy_from_slice(&value.to_le_bytes()),
            &[name, "finite", "row 3", "column 2"],
        );
    }
    let norm = |file: &mut crate::fixtures::GgufFile| {
        file.tensor("blk.0.ffn_norm.weight").data[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
    };
    refused_gguf(norm, &["blk.0.ffn_norm.weight", "finite", "NaN at 1"]);

    for dtype in [GgmlDType::F16, GgmlDType::BF16, GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q8_0] {
        let mut file = tiny().gguf(dtype);
        // NaN in both half formats, at the first value or scale.
        file.tensor("blk.1.ffn_gate.weight").data[..2].copy_from_slice(&[0xff, 0x7f]);
        let folder = folder();
        refused(&write(&folder, &file.bytes()), &["blk.1.ffn_gate.weight", "finite", "row 0"]);
    }
    // IQ4_NL and MXFP4, whose scale is NaN in the second block of the third row.
    for (type_id, block, scale) in [(20, 18, &[0, 0x7c][..]), (39, 17, &[255][..])] {
        let mut file = tiny().gguf(GgmlDType::F32);
        let tensor = file.tensor("blk.1.ffn_gate.weight");
        tensor.type_id = type_id;
        tensor.data = vec![0; 96 * 2 * block];
        tensor.data[5 * block..][..scale.len()].copy_from_slice(scale);
        let folder = folder();
        refused(&write(&folder, &file.bytes()), &["blk.1.ffn_gate.weight", "row 2, column 32"]);
    }
}

#[test]
fn qwen2_without_its_biases() {
    let mut file =
        TinyLlama::random(TinyConfig { model_type: "qwen2", ..Default::default() }, 0).gguf(GgmlDType::F32);
    file.tensors.retain(|tensor| tensor.name != "blk.0.attn_k.bias");
    let folder = folder();
    refused(&write(&folder, &file.bytes()), &["blk.0.attn_k.bias", "none"]);
}

#[test]
fn not_a_file() {
    let folder = folder();
    let path = folder.path().join("model.txt");
    std::fs::write(&path, "hello").expect("written");
    refused(&path, &["model.txt", "magic"]);
    refused(&folder.path().join("nothing"), &["nothing", "smollm2", "models pull"]);
}
