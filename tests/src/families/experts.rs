//! Mixtures of experts and learned sinks: how they are stored, and what a diagnosis says of them.

use std::fs;

use serde_json::{Value, json};

use super::{LOGITS, Stored, logits};
use crate::compare::{assert_close, line};
use crate::fixtures::{SafetensorsFile, float_bytes};
use crate::support::{program, tiny_tokens};

/// gpt-oss as it is published: its experts in MXFP4, blocks of 32 values of four bits under a power of two.
#[test]
fn experts_of_four_bits_are_the_floats_that_they_stand_for() {
    let mut floats = Stored::read("gpt_oss");
    let mut packed = floats.clone();
    let mut raw: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    let levels = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let names: Vec<String> = floats
        .tensors
        .keys()
        .filter(|name| name.ends_with("_proj") && name.contains("experts"))
        .cloned()
        .collect();
    assert_eq!(names.len(), 6);
    for (seed, name) in names.into_iter().enumerate() {
        packed.tensors.remove(&name);
        let (shape, values) = floats.tensors.get_mut(&name).expect("it");
        let [experts, inputs, outputs] = shape[..] else { panic!("a stack") };
        let byte = |at: usize| ((at * 2_654_435_761 + 97 * seed) >> 7) as u8;
        let blocks: Vec<u8> = (0..experts * outputs * inputs / 2).map(byte).collect();
        let scales: Vec<u8> = (0..experts * outputs * inputs / 32).map(|at| 123 + byte(at) % 3).collect();
        for row in 0..experts * outputs {
            for input in 0..inputs {
                let at = row * inputs + input;
                let nibble = blocks[at / 2] >> (4 * (at % 2)) & 15;
                let size = levels[usize::from(nibble & 7)] * (f32::from(scales[at / 32]) - 127.0).exp2();
                let (expert, output) = (row / outputs, row % outputs);
                values[(expert * inputs + input) * outputs + output] =
                    if nibble & 8 == 0 { size } else { -size };
            }
        }
        raw.push((format!("{name}_blocks"), vec![experts, outputs, inputs / 32, 16], blocks));
        raw.push((format!("{name}_scales"), vec![experts, outputs, inputs / 32], scales));
    }
    packed.config["quantization_config"] =
        json!({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]});
    let folder = packed.write();
    let mut file = SafetensorsFile::default();
    for (name, (shape, values)) in &packed.tensors {
        file.push(name, "F32", shape, &float_bytes(values, "F32"));
    }
    raw.iter().for_each(|(name, shape, bytes)| file.push(name, "U8", shape, bytes));
    file.write(&folder.path().join("model.safetensors"));
    let tokens = tiny_tokens();
    let want = logits(floats.write().path(), &tokens);
    assert_close("four bits", line(&logits(folder.path(), &tokens)), line(&want), LOGITS);
    // A scale that is NaN, and blocks of another shape.
    let at = raw.iter().position(|(name, ..)| name.ends_with("_scales")).expect("one");
    let mut broken = raw.clone();
    broken[at].2[3] = 255;
    let mut misshaped = raw;
    misshaped[at].1[1] += 1;
    let size = misshaped[at].1.iter().product();
    misshaped[at].2.resize(size, 120);
    for (raw, words) in [(broken, "finite"), (misshaped, "shape")] {
        let mut file = SafetensorsFile::default();
        for (name, (shape, values)) in &packed.tensors {
            file.push(name, "F32", shape, &float_bytes(values, "F32"));
        }
        raw.iter().for_each(|(name, shape, bytes)| file.push(name, "U8", shape, bytes));
        file.write(&folder.path().join("model.safetensors"));
        let path = folder.path().to_str().expect("UTF-8");
        let error =
            lm_infinite::checkpoint::load(path, &crate::support::cache()).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// Experts may lie in one stack of gates and ups.
#[test]
fn experts_in_stacks_are_those_one_by_one() {
    let mut stored = Stored::read("mixtral");
    let want = logits(stored.write().path(), &tiny_tokens());
    for layer in 0..2 {
        let before = format!("model.layers.{layer}.block_sparse_moe.experts");
        let mut of = |expert: usize, role: &str| {
            stored.tensors.remove(&format!("{before}.{expert}.{role}.weight")).expect("it").1
        };
        let (mut both, mut down) = (Vec::new(), Vec::new());
        for expert in 0..4 {
            both.extend(of(expert, "w1"));
            both.extend(of(expert, "w3"));
            down.extend(of(expert, "w2"));
        }
        stored.tensors.insert(format!("{before}.gate_up_proj"), (vec![4, 40, 24], both));
        stored.tensors.insert(format!("{before}.down_proj"), (vec![4, 24, 20], down));
    }
    assert_eq!(logits(stored.write().path(), &tiny_tokens()), want);
}

/// The learned sinks of gpt-oss are seen by a diagnosis, and what goes to them is what the softmax says.
#[test]
fn what_goes_to_a_learned_sink_is_told() {
    let folder = Stored::read("gpt_oss").write();
    let (out, text) = (folder.path().join("out"), folder.path().join("text.txt"));
    fs::write(&text, "some words of a text, and some more of them. ".repeat(30)).expect("written");
    let run = program()
        .arg("diagnose")
        .arg("--model")
        .arg(folder.path())
        .arg("--text")
        .arg(&text)
        .args(["--tokens", "300", "--trained-length", "100", "--policy", "vanilla", "--out"])
        .arg(&out)
        .output()
        .expect("it starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let told = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(told.contains("learned sink"), "{told}");
    let diagnosis: Value =
        serde_json::from_str(&fs::read_to_string(out.join("diagnosis.json")).expect("it")).expect("JSON");
    let heads = diagnosis["runs"][0]["heads"].as_array().expect("heads");
    assert_eq!(heads.len(), 12);
    for head in heads {
        for side in ["sink_mass_inside", "sink_mass_beyond"] {
            let mass = head[side].as_f64().expect("a mass");
            assert!(mass > 0.0 && mass < 1.0, "{head}");
        }
    }
    // Without sinks nothing is said of them.
    let plain = Stored::read("qwen3").write();
    let run = program()
        .arg("diagnose")
        .arg("--model")
        .arg(plain.path())
        .arg("--text")
        .arg(&text)
        .args(["--tokens", "60", "--policy", "vanilla"])
        .current_dir(plain.path())
        .output()
        .expect("it starts");
    assert!(!String::from_utf8_lossy(&run.stdout).contains("learned sink"));
}
