//! `quantization_config` of Hugging Face folders: how their matrices are stored.
//!
//! FP8 (E4M3) is read as transformers writes it (`quant_method: fp8`, the form of DeepSeek-V3, arXiv 2412.19437, section 3.3) and as
//! compressed-tensors does (`float-quantized`). Anything else is refused by name, but for what a family reads itself.

use super::families::Family;
use crate::error::{Error, Result};
use crate::formats::float8::Scales;
use crate::formats::folder::CONFIG_FILE;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::note::Note;

const FIELD: &str = "quantization_config";

/// Matrices that are stored as FP8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Float8 {
    /// How the name of the scales ends.
    end: &'static str,
    scales: Scales,
    /// How activations are rounded where the model runs in FP8.
    activations: Option<String>,
}

/// Fields of `quant_method: fp8` that are read here, and those that change nothing: which tensors are FP8, their types say.
const OF_FP8: [&str; 10] = [
    "quant_method",
    "activation_scheme",
    "dequantize",
    "expert_dtype",
    "fmt",
    "ignored_layers",
    "modules_to_convert",
    "modules_to_not_convert",
    "scale_fmt",
    "weight_block_size",
];

const OF_COMPRESSED: [&str; 8] = [
    "quant_method",
    "config_groups",
    "format",
    "global_compression_ratio",
    "ignore",
    "quantization_status",
    "sparsity_config",
    "version",
];

const OF_GROUP: [&str; 4] = ["format", "input_activations", "targets", "weights"];

const OF_WEIGHTS: [&str; 9] = [
    "block_structure",
    "dynamic",
    "num_bits",
    "observer",
    "observer_kwargs",
    "scale_dtype",
    "strategy",
    "symmetric",
    "type",
];

/// What the file says beside what `family` reads itself.
///
/// # Errors
/// Anything that is not read.
pub(super) fn read(json: &Json, family: &Family) -> Result<Option<Float8>> {
    let Some(of) = json.object(FIELD)? else { return Ok(None) };
    let method = of.text("quant_method")?;
    match method {
        Some(method) if family.quantizations.contains(&method) => Ok(None),
        Some("fp8") => fp8(&of).map(Some),
        Some("compressed-tensors") => compressed(&of).map(Some),
        _ => {
            let detail = format!(
                "{}: weights must be F32, F16, BF16 or FP8 (`quant_method` fp8, or compressed-tensors with float-quantized); for \
                 others use GGUF",
                json.path().display()
            );
            let method =
                method.map_or_else(|| "safetensors".to_owned(), |method| format!("safetensors ({method})"));
            Err(Error::unsupported(format!("quantized {method}"), detail))
        }
    }
}

fn fp8(of: &Json) -> Result<Float8> {
    refuse_others(of, &OF_FP8)?;
    require(of, "fmt", "e4m3", &["e4m3"])?;
    require(of, "scale_fmt", "float", &["float", "ue8m0"])?;
    require(of, "expert_dtype", "fp8", &["fp8"])?;
    let scheme = of.text("activation_scheme")?.unwrap_or("dynamic").to_lowercase();
    if !["dynamic", "static"].contains(&scheme.as_str()) {
        return Err(of.malformed("activation_scheme", "dynamic or static", scheme));
    }
    let scales = match of.states("weight_block_size") {
        true if of.value("weight_block_size").is_none() => Scales::One,
        true => Scales::Blocks(block(of, "weight_block_size")?),
        false => Scales::Blocks([128, 128]),
    };
    let activations = Some(format!("`activation_scheme` {scheme}"));
    Ok(Float8 { end: "weight_scale_inv", scales, activations })
}

fn compressed(of: &Json) -> Result<Float8> {
    refuse_others(of, &OF_COMPRESSED)?;
    require(of, "format", "float-quantized", &["float-quantized"])?;
    require(of, "quantization_status", "compressed", &["compressed", "frozen"])?;
    if let Some(sparsity) = of.object("sparsity_config")?.filter(|sparsity| !sparsity.is_empty()) {
        require(&sparsity, "format", "", &["dense"])?;
    }
    let groups = of.require("config_groups", of.object("config_groups")?)?;
    let mut found: Option<(Scales, Option<String>)> = None;
    for name in groups.fields().map(|(name, _)| name.to_owned()).collect::<Vec<_>>() {
        let group = groups.require(&name, groups.object(&name)?)?;
        refuse_others(&group, &OF_GROUP)?;
        require(&group, "format", "float-quantized", &["float-quantized"])?;
        let scales = scales_of(&group.require("weights", group.object("weights")?)?)?;
        let activations = group.object("input_activations")?.is_some();
        let activations = activations.then(|| "`input_activations`".to_owned());
        match &found {
            Some((other, _)) if *other != scales => {
                return Err(groups.malformed(&name, format!("{other}, as in the group before"), scales));
            }
            Some((_, Some(_))) => {}
            _ => found = Some((scales, activations)),
        }
    }
    let (scales, activations) = of.require("config_groups", found)?;
    Ok(Float8 { end: "weight_scale", scales, activations })
}

/// Which weights of a group share a scale.
fn scales_of(weights: &Json) -> Result<Scales> {
    let strategy = weights.require("strategy", weights.text("strategy")?)?;
    let scales = match strategy {
        "tensor" => Scales::One,
        "channel" => Scales::Rows,
        "block" => Scales::Blocks(block(weights, "block_structure")?),
        other => return Err(weights.malformed("strategy", "tensor, channel or block", other)),
    };
    require(weights, "type", "", &["float"])?;
    if weights.require_integer("num_bits")? != 8 {
        return Err(weights.malformed("num_bits", 8, weights.require_integer("num_bits")?));
    }
    for (key, wanted) in [("symmetric", true), ("dynamic", false)] {
        if let Some(other) = weights.boolean(key)?.filter(|&given| given != wanted) {
            return Err(weights.malformed(key, wanted, other));
        }
    }
    refuse_others(weights, &OF_WEIGHTS)?;
    Ok(scales)
}

/// Rows and columns of a block.
fn block(of: &Json, key: &str) -> Result<[usize; 2]> {
    let expected = "two numbers of weights, rows and columns, from 1 on";
    let value = of.require(key, of.value(key))?;
    let sides: Option<Vec<usize>> = value.as_array().and_then(|sides| {
        sides.iter().map(|side| side.as_u64().and_then(|side| usize::try_from(side).ok())).collect()
    });
    match sides.as_deref() {
        Some(&[rows, columns]) if rows > 0 && columns > 0 => Ok([rows, columns]),
        _ => Err(of.malformed(key, expected, value)),
    }
}

/// Refuses a value of `key` beside `known`; absent, it is `default`.
fn require(of: &Json, key: &str, default: &str, known: &[&str]) -> Result<()> {
    match of.text(key)?.unwrap_or(default) {
        given if known.contains(&given) => Ok(()),
        given => Err(of.malformed(key, known.join(" or "), format!("`{given}`"))),
    }
}

/// Refuses fields beside `known` that say something.
fn refuse_others(of: &Json, known: &[&str]) -> Result<()> {
    let says = |value: &serde_json::Value| {
        !(value.is_null() || value == false || value.as_object().is_some_and(serde_json::Map::is_empty))
    };
    match of.fields().find(|(key, value)| !known.contains(key) && says(value)) {
        Some((key, value)) => {
            let got: String = value.to_string().chars().take(60).collect();
            Err(of.malformed(key, "nothing: this is not applied", got))
        }
        None => Ok(()),
    }
}

impl Float8 {
    /// Lets `tensors` have such matrices; what is to be said of them.
    ///
    /// # Errors
    /// A matrix without its scales.
    pub(super) fn apply(&self, tensors: &mut TensorTable) -> Result<Note> {
        let count = tensors.read_float8(self.end, self.scales, &["input_scale", "activation_scale"])?;
        let mut said = format!("{count} matrices are stored in FP8 (E4M3), with {}", self.scales);
        if let Some(activations) = &self.activations {
            said.push_str("; activations stay as they are (");
            said.push_str(activations);
            said.push_str(" rounds them to FP8 where a model computes in it)");
        }
        Ok(Note::new(format!("{CONFIG_FILE}: {FIELD}"), said))
    }
}
