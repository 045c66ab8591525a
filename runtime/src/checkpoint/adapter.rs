//! Low-rank adapters (LoRA, Hu et al. 2021, arXiv 2106.09685) as the library PEFT writes them: `adapter_config.json` beside
//! `adapter_model.safetensors`.
//!
//! A matrix `W` of a block becomes `W + s·B·A`, with `A` [r, columns], `B` [rows, r] and `s = lora_alpha / r`, or
//! `lora_alpha / √r` with `use_rslora` (Kalajdzievski 2023, arXiv 2312.03732). The sum is held as f32. Of a module that is several
//! matrices, each gets its rows of `B·A`.

use std::collections::BTreeMap;
use std::path::Path;

use super::loaded::LoadedModel;
use super::{adapter_modules, gguf_families};
use crate::error::{Error, Result};
use crate::formats::folder::{ADAPTER_CONFIG_FILE as CONFIG_FILE, ADAPTER_FILE as WEIGHTS_FILE};
use crate::formats::json::Json;
use crate::formats::safetensors;
use crate::formats::tensors::TensorTable;
use crate::kernels::dequantize::rows_to_f32;
use crate::model::weights::Matrix;
use crate::note::Note;

/// Fields that are read here, and those that change nothing about what an adapter computes. Any other is a variant of LoRA, which
/// must be switched off.
const KNOWN: [&str; 21] = [
    "peft_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "init_lora_weights",
    "auto_mapping",
    "base_model_name_or_path",
    "ensure_weight_tying",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
];

/// Ways to begin training that change the weights of the model, too.
const CHANGES_THE_MODEL: [&str; 4] = ["pissa", "olora", "corda", "loftq"];

impl LoadedModel {
    /// The model with the adapter in `folder` added to its weights; a note says so.
    ///
    /// # Errors
    /// Files that are missing or malformed; an adapter of another kind, or one that does not fit the model.
    pub fn with_adapter(mut self, folder: &Path) -> Result<Self> {
        let json = Json::read(&folder.join(CONFIG_FILE))?;
        let (rank, scale) = scaling(&json)?;
        let path = folder.join(WEIGHTS_FILE);
        if !path.is_file() {
            return Err(Error::malformed(folder, "weights of the adapter", WEIGHTS_FILE, "no such file"));
        }
        let tensors = safetensors::open_file(&path)?;
        // A folder of Hugging Face has the order of its own adapters.
        let reordered = self.path.is_file() && gguf_families::reorders_rows(&self.config.architecture);
        let mut changed = 0usize;
        for (module, [down, up]) in modules(&path, &tensors)? {
            let layers = &mut self.weights.layers;
            let place =
                adapter_modules::place(&module, &self.config, layers, reordered).ok_or_else(|| {
                    let expected = "a matrix of one of the model's blocks, experts aside";
                    Error::malformed(&path, format!("tensor `{down}`"), expected, &module)
                })?;
            let down = tensors.matrix(&down, rank, place.columns)?;
            let up = tensors.matrix(&up, place.rows, rank)?;
            for part in &place.parts {
                let added = adapter_modules::matrix_mut(layers, part).and_then(|linear| {
                    let up = up.gather(part.rows.iter().copied())?;
                    Some((linear, up))
                });
                let no_shape =
                    || Error::input(format!("matrix {module}"), "its sum with the adapter has no shape");
                let (linear, up) = added.ok_or_else(no_shape)?;
                linear.weight = sum(&linear.weight, &down, &up, scale).ok_or_else(no_shape)?;
            }
            changed += 1;
        }
        if changed == 0 {
            return Err(Error::malformed(&path, "tensors", "pairs of `lora_A` and `lora_B`", "none"));
        }
        let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
        if folder == self.path {
            self.notes.retain(|note| note.field != CONFIG_FILE);
        }
        let said = format!("the adapter {name} is added to {changed} matrices (rank {rank}, times {scale})");
        self.notes.push(Note::new("--adapter", said));
        Ok(self)
    }
}

/// Rank and `s`.
fn scaling(json: &Json) -> Result<(usize, f64)> {
    let kind = json.require("peft_type", json.text("peft_type")?)?;
    if kind != "LORA" {
        let detail = format!("{}: supported is LORA", json.path().display());
        return Err(Error::unsupported(format!("an adapter of the type {kind}"), detail));
    }
    let is_off = |value: &serde_json::Value| {
        value.is_null()
            || value == false
            || value == "none"
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
    };
    if let Some((key, value)) = json.fields().find(|(key, value)| !KNOWN.contains(key) && !is_off(value)) {
        let got: String = value.to_string().chars().take(60).collect();
        return Err(json.malformed(key, "nothing: this variant of LoRA is not applied", got));
    }
    let begins = |way: &str| CHANGES_THE_MODEL.iter().any(|other| way.starts_with(other));
    let way = json.value("init_lora_weights").and_then(|way| way.as_str());
    if let Some(way) = way.filter(|way| begins(way)) {
        let expected =
            "a beginning that leaves the model as it is; PEFT can convert the adapter when it saves it";
        return Err(json.malformed("init_lora_weights", expected, way));
    }
    let rank = json.require_integer("r")?;
    let rank = usize::try_from(rank).ok().filter(|rank| (1..=1 << 16).contains(rank));
    let rank = rank.ok_or_else(|| json.malformed("r", "a rank from 1 to 65536", "another number"))?;
    let alpha = json.require("lora_alpha", json.number("lora_alpha")?)?;
    let by = if json.boolean("use_rslora")? == Some(true) { (rank as f64).sqrt() } else { rank as f64 };
    let scale = alpha / by;
    if scale.is_finite() {
        Ok((rank, scale))
    } else {
        Err(json.malformed("lora_alpha", "a finite number", alpha))
    }
}

/// Names of the two matrices of each module, `[A, B]`, by the module's name in the model.
fn modules(path: &Path, tensors: &TensorTable) -> Result<BTreeMap<String, [String; 2]>> {
    let mut modules = BTreeMap::<String, [Option<String>; 2]>::new();
    for (name, _) in tensors.iter() {
        let parts = ["lora_A", "lora_B"].map(|side| {
            // PEFT leaves the adapter's name out of the file; other tools keep it.
            [".weight", ".default.weight"].iter().find_map(|end| name.strip_suffix(&format!(".{side}{end}")))
        });
        let (which, module) = match parts {
            [Some(module), _] => (0, module),
            [_, Some(module)] => (1, module),
            _ => {
                return Err(Error::malformed(
                    path,
                    format!("tensor `{name}`"),
                    "`lora_A` or `lora_B`",
                    "neither",
                ));
            }
        };
        let module = module.strip_prefix("base_model.model.").unwrap_or(module);
        modules.entry(module.to_owned()).or_default()[which] = Some(name.to_owned());
    }
    let both = |(module, pair): (String, [Option<String>; 2])| match pair {
        [Some(down), Some(up)] => Ok((module, [down, up])),
        _ => {
            Err(Error::malformed(path, format!("module `{module}`"), "`lora_A` and `lora_B`", "one of them"))
        }
    };
    modules.into_iter().map(both).collect()
}

/// `weight + scale · up · down`, summed in f64, as f32.
fn sum(weight: &Matrix, down: &Matrix, up: &Matrix, scale: f64) -> Option<Matrix> {
    let (rows, columns, rank) = (weight.rows(), weight.columns(), down.rows());
    let dense = |matrix: &Matrix| {
        let mut values = vec![0.0; matrix.rows() * matrix.columns()];
        rows_to_f32(matrix, 0, &mut values);
        values
    };
    let (mut values, down, up) = (dense(weight), dense(down), dense(up));
    let mut added = vec![0.0f64; columns];
    for (row, up) in values.chunks_exact_mut(columns).zip(up.chunks_exact(rank)) {
        added.fill(0.0);
        for (&factor, down) in up.iter().zip(down.chunks_exact(columns)) {
            for (sum, &value) in added.iter_mut().zip(down) {
                *sum += f64::from(factor) * f64::from(value);
            }
        }
        for (value, sum) in row.iter_mut().zip(&added) {
            *value = (f64::from(*value) + scale * sum) as f32;
        }
    }
    Matrix::from_f32(&values, rows, columns)
}
