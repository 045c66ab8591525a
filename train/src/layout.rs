//! Which arrays a decoder trains, in which order, and what each of them is for.

use lm_infinite_runtime::model::config::{ModelConfig, Norm};

/// Standard deviation of initial matrices (Radford et al. 2019); projections back into the residual stream get it divided by
/// √(2 · layers).
const INITIAL_DEVIATION: f32 = 0.02;

/// A logit beside which every other is 0 in a softmax, its exponential being 0 in 32 bits.
pub const CLOSED_SINK: f32 = -10_000.0;

/// Weights that a decoder has, of those that [`ModelConfig`] does not tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// LayerNorms have a bias.
    pub norm_biases: bool,
    /// Queries, keys, values and the output of attention have one.
    pub attention_biases: bool,
    /// The matrices of the MLP have one.
    pub mlp_biases: bool,
    /// The logits of the next token have one.
    pub head_bias: bool,
    /// The MLP has a norm of its own before it.
    pub mlp_norm: bool,
    /// Norms stand behind attention and MLP, too.
    pub post_norms: bool,
    /// Learned sinks begin where attention goes to them; if not, at a logit to which none goes, and from which no gradient leads away.
    pub open_sinks: bool,
}

impl Default for Parts {
    /// Those of Llama.
    fn default() -> Self {
        Self {
            norm_biases: false,
            attention_biases: false,
            mlp_biases: false,
            head_bias: false,
            mlp_norm: true,
            post_norms: false,
            open_sinks: true,
        }
    }
}

/// What an array has before the first step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Start {
    /// Drawn from a normal distribution of this deviation.
    Normal(f32),
    /// The same everywhere.
    Constant(f32),
}

/// One array: its role, e.g. `layers.0.qkv`, its shape, and its first values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub name: String,
    pub shape: Vec<usize>,
    pub start: Start,
}

/// Weights with a bias, or without: places in the list of arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighted {
    /// Matrix [outputs, inputs], or norm `[hidden]`.
    pub weight: usize,
    /// `[outputs]`, or `[hidden]`.
    pub bias: Option<usize>,
}

/// The arrays of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLayout {
    /// Before attention.
    pub attention_norm: Weighted,
    /// Query, key and value heads, one below the other, so that a token's projections are one product.
    pub qkv: Weighted,
    /// Logits of learned sinks. `[heads]`
    pub sinks: Option<usize>,
    /// Of attention.
    pub output: Weighted,
    /// Behind attention.
    pub attention_post_norm: Option<Weighted>,
    /// Before the MLP; where there is none it reads what attention reads.
    pub mlp_norm: Option<Weighted>,
    /// Into the MLP: the gate and below it what it is multiplied with, or the one matrix of an MLP without gate.
    pub up: Weighted,
    /// Out of the MLP.
    pub down: Weighted,
    /// Behind the MLP.
    pub mlp_post_norm: Option<Weighted>,
}

/// The arrays of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// [vocabulary, hidden]; the output head, too.
    pub embedding: usize,
    /// One after the other.
    pub blocks: Vec<BlockLayout>,
    /// Before the head.
    pub final_norm: Weighted,
    /// Of the logits. `[vocabulary]`
    pub head_bias: Option<usize>,
    pub(super) arrays: Vec<Array>,
}

/// Rows of query, key and value.
pub(super) fn qkv_rows(config: &ModelConfig) -> [usize; 3] {
    let kv = config.kv_heads * config.head_dim;
    [config.heads * config.head_dim, kv, kv]
}

#[derive(Default)]
struct Arrays {
    all: Vec<Array>,
}

impl Arrays {
    fn push(&mut self, name: String, shape: &[usize], start: Start) -> usize {
        self.all.push(Array { name, shape: shape.to_vec(), start });
        self.all.len() - 1
    }

    fn matrix(&mut self, name: String, shape: [usize; 2], deviation: f32, bias: bool) -> Weighted {
        let weight = self.push(name.clone(), &shape, Start::Normal(deviation));
        let bias = bias.then(|| self.push(format!("{name}.bias"), &shape[..1], Start::Constant(0.0)));
        Weighted { weight, bias }
    }

    fn norm(&mut self, name: String, width: usize, bias: bool) -> Weighted {
        let weight = self.push(name.clone(), &[width], Start::Constant(1.0));
        let bias = bias.then(|| self.push(format!("{name}.bias"), &[width], Start::Constant(0.0)));
        Weighted { weight, bias }
    }
}

impl Layout {
    /// Of `config` with `parts`.
    pub fn new(config: &ModelConfig, parts: Parts) -> Self {
        let &ModelConfig { hidden, vocabulary, intermediate, heads, head_dim, .. } = config;
        let norm_biases = parts.norm_biases && matches!(config.norm, Norm::Layer { .. });
        let back = INITIAL_DEVIATION / (2.0 * config.layers as f32).sqrt();
        let mut arrays = Arrays::default();
        let embedding = arrays.matrix("embedding".into(), [vocabulary, hidden], INITIAL_DEVIATION, false);
        let mut blocks = Vec::new();
        for layer in 0..config.layers {
            let name = |role: &str| format!("layers.{layer}.{role}");
            let norm = |arrays: &mut Arrays, role: &str| arrays.norm(name(role), hidden, norm_biases);
            let attention_norm = norm(&mut arrays, "attention_norm");
            let rows = qkv_rows(config).iter().sum();
            let qkv = arrays.matrix(name("qkv"), [rows, hidden], INITIAL_DEVIATION, parts.attention_biases);
            let sink = Start::Constant(if parts.open_sinks { 0.0 } else { CLOSED_SINK });
            let sinks = config.learned_sinks.then(|| arrays.push(name("sinks"), &[heads], sink));
            let output =
                arrays.matrix(name("output"), [hidden, heads * head_dim], back, parts.attention_biases);
            let attention_post_norm = parts.post_norms.then(|| norm(&mut arrays, "attention_post_norm"));
            let mlp_norm = parts.mlp_norm.then(|| norm(&mut arrays, "mlp_norm"));
            let (role, rows) = match config.mlp.is_gated() {
                true => ("gate_up", 2 * intermediate),
                false => ("up", intermediate),
            };
            let up = arrays.matrix(name(role), [rows, hidden], INITIAL_DEVIATION, parts.mlp_biases);
            let down = arrays.matrix(name("down"), [hidden, intermediate], back, parts.mlp_biases);
            let mlp_post_norm = parts.post_norms.then(|| norm(&mut arrays, "mlp_post_norm"));
            blocks.push(BlockLayout {
                attention_norm,
                qkv,
                sinks,
                output,
                attention_post_norm,
                mlp_norm,
                up,
                down,
                mlp_post_norm,
            });
        }
        let final_norm = arrays.norm("final_norm".into(), hidden, norm_biases);
        let head_bias =
            parts.head_bias.then(|| arrays.push("head.bias".into(), &[vocabulary], Start::Constant(0.0)));
        Self { embedding: embedding.weight, blocks, final_norm, head_bias, arrays: arrays.all }
    }
}
