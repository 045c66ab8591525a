//! The values that are trained, by name, and where they lie in a Hugging Face checkpoint.

use candle_core::{Device, Var};
use lm_infinite_runtime::model::config::ModelConfig;
use lm_infinite_runtime::random;
use rand_distr::{Distribution, Normal};

use crate::error::Result;

/// Standard deviation of initial matrices (Radford et al. 2019); projections back into the residual stream get it divided by
/// √(2 · layers).
const INITIAL_DEVIATION: f32 = 0.02;

/// One array of trained values.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Role, e.g. `layers.0.qkv`.
    pub name: String,
    /// [outputs, inputs] of a matrix, `[hidden]` of a norm.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// A part of a checkpoint: its name, and which rows of which parameter it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointTensor {
    /// Name in Hugging Face's Llama checkpoints.
    pub name: String,
    /// Index of the parameter.
    pub parameter: usize,
    /// First row and number of rows; of a norm, all values.
    pub rows: (usize, usize),
}

impl Parameter {
    /// Is this a matrix? Only matrices decay.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() == 2
    }

    /// Values per row.
    pub fn columns(&self) -> usize {
        if self.is_matrix() { self.shape[1] } else { 1 }
    }
}

/// Rows of query, key and value, which lie in one matrix so that a token's projections are one product.
fn qkv_rows(config: &ModelConfig) -> [usize; 3] {
    let kv = config.kv_heads * config.head_dim;
    [config.heads * config.head_dim, kv, kv]
}

/// Number of parameters before, within and after the blocks.
pub(super) const PER_LAYER: usize = 6;

/// All parameters of `config`, seeded: embedding, six of each block, final norm.
pub fn initial(config: &ModelConfig, seed: u64) -> Result<Vec<Parameter>> {
    let mut random = random::expanded(seed);
    let mut matrix = |name: String, rows: usize, columns: usize, deviation: f32| {
        let normal = Normal::new(0.0, deviation).expect("a deviation above 0");
        let values = (0..rows * columns).map(|_| normal.sample(&mut random)).collect();
        Parameter { name, shape: vec![rows, columns], values }
    };
    let norm =
        |name: String| Parameter { name, shape: vec![config.hidden], values: vec![1.0; config.hidden] };
    let back = INITIAL_DEVIATION / (2.0 * config.layers as f32).sqrt();
    let heads = config.heads * config.head_dim;
    let mut all = vec![matrix("embedding".into(), config.vocabulary, config.hidden, INITIAL_DEVIATION)];
    for layer in 0..config.layers {
        let name = |role: &str| format!("layers.{layer}.{role}");
        let qkv = qkv_rows(config).iter().sum();
        all.push(norm(name("attention_norm")));
        all.push(matrix(name("qkv"), qkv, config.hidden, INITIAL_DEVIATION));
        all.push(matrix(name("output"), config.hidden, heads, back));
        all.push(norm(name("mlp_norm")));
        all.push(matrix(name("gate_up"), 2 * config.intermediate, config.hidden, INITIAL_DEVIATION));
        all.push(matrix(name("down"), config.hidden, config.intermediate, back));
    }
    all.push(norm("final_norm".into()));
    Ok(all)
}

/// The tensors of a Hugging Face checkpoint, in the order of [`initial`].
pub fn checkpoint_tensors(config: &ModelConfig) -> Vec<CheckpointTensor> {
    let whole =
        |name: String, parameter: usize, rows: usize| CheckpointTensor { name, parameter, rows: (0, rows) };
    let mut all = vec![whole("model.embed_tokens.weight".into(), 0, config.vocabulary)];
    for layer in 0..config.layers {
        let first = 1 + layer * PER_LAYER;
        let name = |role: &str| format!("model.layers.{layer}.{role}.weight");
        all.push(whole(name("input_layernorm"), first, config.hidden));
        let mut row = 0;
        for (role, rows) in ["q_proj", "k_proj", "v_proj"].iter().zip(qkv_rows(config)) {
            let name = name(&format!("self_attn.{role}"));
            all.push(CheckpointTensor { name, parameter: first + 1, rows: (row, rows) });
            row += rows;
        }
        all.push(whole(name("self_attn.o_proj"), first + 2, config.hidden));
        all.push(whole(name("post_attention_layernorm"), first + 3, config.hidden));
        for (role, row) in [("gate_proj", 0), ("up_proj", config.intermediate)] {
            let name = name(&format!("mlp.{role}"));
            all.push(CheckpointTensor { name, parameter: first + 4, rows: (row, config.intermediate) });
        }
        all.push(whole(name("mlp.down_proj"), first + 5, config.hidden));
    }
    all.push(whole("model.norm.weight".into(), 1 + config.layers * PER_LAYER, config.hidden));
    all
}

/// The parameters as leaves of a graph.
pub fn variables(parameters: &[Parameter]) -> Result<Vec<Var>> {
    parameters.iter().map(|p| Ok(Var::from_slice(&p.values, p.shape.as_slice(), &Device::Cpu)?)).collect()
}

/// Number of trained values.
pub fn count(parameters: &[Parameter]) -> usize {
    parameters.iter().map(|p| p.values.len()).sum()
}
