//! Safetensors files and their index.

use std::path::Path;

use serde_json::{Value, json};

use super::{folder, refused, refused_folder, tiny};
use crate::fixtures::{SafetensorsFile, write_json};

const FILE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const QUERY: &str = "model.layers.0.self_attn.q_proj.weight";

fn with_bytes(change: impl Fn(&mut Vec<u8>)) -> impl Fn(&Path) {
    move |folder| {
        let mut bytes = tiny().safetensors("F32").bytes();
        change(&mut bytes);
        std::fs::write(folder.join(FILE), bytes).expect("written");
    }
}

fn with_file(change: impl Fn(&mut SafetensorsFile)) -> impl Fn(&Path) {
    move |folder| {
        let mut file = tiny().safetensors("F32");
        change(&mut file);
        file.write(&folder.join(FILE));
    }
}

#[test]
fn bad_header_length() {
    refused_folder(with_bytes(|bytes| bytes.truncate(5)), &[FILE, "header length", "5 bytes"]);
    for length in [u64::MAX, 1 << 40, 100_000_001] {
        refused_folder(
            with_bytes(|bytes| bytes[..8].copy_from_slice(&length.to_le_bytes())),
            &[FILE, "header length"],
        );
    }
    refused_folder(with_bytes(Vec::clear), &[FILE, "header length"]);
}

#[test]
fn bad_json() {
    refused_folder(with_bytes(|bytes| bytes[8] = b'['), &[FILE, "header", "JSON"]);
    refused_folder(with_bytes(|bytes| bytes[9] = 0xff), &[FILE, "header", "JSON"]);
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    refused_folder(
        |folder| {
            let bytes = [&(deep.len() as u64).to_le_bytes()[..], deep.as_bytes()].concat();
            std::fs::write(folder.join(FILE), bytes).expect("written");
        },
        &[FILE, "header", "JSON"],
    );
}

#[test]
fn truncated_data() {
    refused_folder(
        with_bytes(|bytes| bytes.truncate(bytes.len() - 4)),
        &[FILE, "data", "bytes that the header names"],
    );
    refused_folder(with_bytes(|bytes| bytes.push(0)), &[FILE, "data", "bytes that the header names"]);
}

#[test]
fn bad_offsets() {
    for offsets in [
        json!([8, 4]),
        json!([0, u64::MAX]),
        json!([u64::MAX, u64::MAX]),
        json!([0]),
        json!([-4, 4]),
        json!("x"),
    ] {
        refused_folder(
            with_file(|file| file.header[QUERY]["data_offsets"] = offsets.clone()),
            &[FILE, QUERY],
        );
    }
    refused_folder(
        with_file(|file| file.header[QUERY]["data_offsets"] = json!([0, 64 * 64 * 4])),
        &[FILE, "without overlap"],
    );
}

#[test]
fn shapes_that_do_not_fit_the_data() {
    for shape in [json!([64, 65]), json!([u64::MAX, u64::MAX]), json!([64.5]), json!([])] {
        refused_folder(with_file(|file| file.header[QUERY]["shape"] = shape.clone()), &[FILE, QUERY]);
    }
}

#[test]
fn wrong_dtype() {
    refused_folder(
        with_file(|file| file.header[QUERY]["dtype"] = json!("I32")),
        &[FILE, QUERY, "F32", "I32"],
    );
    refused_folder(with_file(|file| file.header[QUERY]["dtype"] = json!("F16")), &[FILE, QUERY, "bytes"]);
    refused_folder(
        with_file(|file| file.header["model.norm.weight"]["dtype"] = json!("U32")),
        &["model.norm", "U32"],
    );
}

#[test]
fn wrong_shape() {
    refused_folder(
        with_file(|file| file.header[QUERY]["shape"] = json!([32, 128])),
        &[FILE, QUERY, "[64, 64]", "[32, 128]"],
    );
}

#[test]
fn missing_and_surplus_tensors() {
    let renamed = with_file(|file| {
        let query = file.header.remove(QUERY).expect("a tensor");
        file.header.insert("other".into(), query);
    });
    refused_folder(renamed, &[QUERY, "none"]);
    refused_folder(with_file(|file| drop(file.header.remove(QUERY))), &[FILE, "without overlap or gap"]);
    refused_folder(
        with_file(|file| file.push("model.layers.0.self_attn.q_norm.weight", "F32", &[1], &[0; 4])),
        &["q_norm", "no such tensor"],
    );
    refused_folder(
        with_file(|file| file.push("model.layers.0.self_attn.q_proj.bias", "F32", &[64], &[0; 256])),
        &["q_proj.bias", "no such tensor"],
    );
}

#[test]
fn weights_that_are_not_finite() {
    let nan = with_file(|file| {
        let at = file.header[QUERY]["data_offsets"][0].as_u64().expect("an offset") as usize;
        file.data[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    refused_folder(nan, &[FILE, QUERY, "finite", "row 0, column 0"]);
}

#[test]
fn no_weights() {
    refused_folder(
        |folder| std::fs::remove_file(folder.join(FILE)).expect("removed"),
        &[FILE, INDEX, "neither"],
    );
}

/// The error of loading the tiny model in two shards after `change` of the index.
fn refused_shards(change: impl Fn(&Path, &mut Value), parts: &[&str]) {
    let folder = folder();
    tiny().write_sharded_folder(folder.path(), "F32", 2);
    let path = folder.path().join(INDEX);
    let mut index = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
    change(folder.path(), &mut index);
    write_json(&path, &index);
    refused(folder.path(), parts);
}

#[test]
fn missing_shard() {
    let missing = "model-00002-of-00002.safetensors";
    refused_shards(|folder, _| std::fs::remove_file(folder.join(missing)).expect("removed"), &[missing]);
}

#[test]
fn shards_outside_the_folder() {
    for name in [
        "../model.safetensors",
        "/etc/model.safetensors",
        "a/b.safetensors",
        "..",
        "",
        "a\\b.safetensors",
        "x.bin",
    ] {
        refused_shards(|_, index| index["weight_map"][QUERY] = json!(name), &[INDEX, QUERY, "same folder"]);
    }
}

#[test]
fn an_index_that_is_wrong() {
    refused_shards(|_, index| *index = json!([]), &[INDEX, "weight_map"]);
    refused_shards(|_, index| index["weight_map"] = json!({}), &[INDEX, "weight_map"]);
    refused_shards(
        |_, index| index["weight_map"]["nothing.weight"] = json!("model-00001-of-00002.safetensors"),
        &["nothing.weight"],
    );
    let swapped = |_: &Path, index: &mut Value| {
        let shard = index["weight_map"][QUERY].as_str().expect("a name");
        let other = if shard.contains("00001-") { "00002-" } else { "00001-" };
        index["weight_map"][QUERY] = json!(format!("model-{other}of-00002.safetensors"));
    };
    refused_shards(swapped, &[INDEX, QUERY]);
}
