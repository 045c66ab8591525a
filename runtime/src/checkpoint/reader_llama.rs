//! Weights of decoders whose block has the matrices of Llama (Llama, Mistral, Qwen, Gemma, Granite, OLMo 2, Phi, StableLM, Cohere,
//! GLM-4, …), under the names of either format.

use super::experts::StoredExperts;
use super::taken::{Bias, FusedRows, TakenTensors};
use crate::error::Result;
use crate::formats::tensors::TensorTable;
use crate::model::config::ModelConfig;
use crate::model::weights::{FeedForward, LayerWeights, MlpWeights, ModelWeights};

/// How weights of the norms of queries and of keys are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadNorms {
    /// A vector for all heads alike: `[head_dim]`.
    Shared,
    /// One norm over all heads of a token together: `[heads · head_dim]`.
    OfAllHeads,
    /// A norm for each head: [heads, head_dim].
    OfEachHead,
    /// The same, each in a tensor of its own, `norms.HEAD` behind the name.
    OfEachHeadApart,
}

/// What one format, or one family, calls the tensors, without `.weight` and `.bias`.
#[derive(Clone, Copy)]
pub(super) struct Names {
    /// Before all but the output head.
    pub base: &'static str,
    pub embedding: &'static str,
    pub final_norm: &'static str,
    pub head: &'static str,
    /// Before the number of the block.
    pub block: &'static str,
    /// Norms of a block, where it has them.
    pub attention_norm: Option<&'static str>,
    pub attention_post_norm: Option<&'static str>,
    pub mlp_norm: Option<&'static str>,
    pub mlp_post_norm: Option<&'static str>,
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    /// All three in one matrix, one above the other.
    pub query_key_value: Option<&'static str>,
    pub query_norm: &'static str,
    pub key_norm: &'static str,
    pub output: &'static str,
    pub gate: &'static str,
    pub up: &'static str,
    /// The gate, and `up` below it, in one matrix.
    pub gate_up: Option<&'static str>,
    pub down: &'static str,
    /// Experts, in the layers that have a router.
    pub experts: Option<StoredExperts>,
    /// Logits of learned sinks.
    pub sinks: &'static str,
    /// Norms of queries and keys.
    pub head_norms: HeadNorms,
    /// Whether the norms have biases.
    pub norm_bias: Bias,
    /// The output head has a bias.
    pub head_bias: bool,
    /// Ends of names of tensors that hold no weights of the decoder.
    pub ignored: &'static [&'static str],
    /// Names of tensors that the configuration reads.
    pub of_configuration: &'static [&'static str],
    /// Begins of names of tensors of other parts of the model than its decoder.
    pub other_parts: &'static [&'static str],
}

/// Names in GGUF files.
pub(super) const GGUF_NAMES: Names = Names {
    base: "",
    embedding: "token_embd",
    final_norm: "output_norm",
    head: "output",
    block: "blk",
    attention_norm: Some("attn_norm"),
    attention_post_norm: None,
    mlp_norm: Some("ffn_norm"),
    mlp_post_norm: None,
    query: "attn_q",
    key: "attn_k",
    value: "attn_v",
    query_key_value: None,
    query_norm: "attn_q_norm",
    key_norm: "attn_k_norm",
    output: "attn_output",
    gate: "ffn_gate",
    up: "ffn_up",
    gate_up: None,
    down: "ffn_down",
    experts: Some(StoredExperts::Gguf),
    sinks: "attn_sinks.weight",
    head_norms: HeadNorms::Shared,
    norm_bias: Bias::None,
    head_bias: false,
    // Old converters wrote the plain frequencies.
    ignored: &["attn_rot_embd", "attn_rot_embd.weight"],
    of_configuration: &["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"],
    other_parts: &[],
};

/// Names in Hugging Face's safetensors files.
pub(super) const HUGGING_FACE_NAMES: Names = Names {
    base: "model.",
    embedding: "embed_tokens",
    final_norm: "norm",
    head: "lm_head",
    block: "layers",
    attention_norm: Some("input_layernorm"),
    attention_post_norm: None,
    mlp_norm: Some("post_attention_layernorm"),
    mlp_post_norm: None,
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    query_key_value: None,
    query_norm: "self_attn.q_norm",
    key_norm: "self_attn.k_norm",
    output: "self_attn.o_proj",
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    gate_up: None,
    down: "mlp.down_proj",
    experts: None,
    sinks: "self_attn.sinks",
    head_norms: HeadNorms::Shared,
    norm_bias: Bias::None,
    head_bias: false,
    ignored: &["rotary_emb.inv_freq"],
    of_configuration: &[],
    other_parts: &[],
};

impl Names {
    /// Of the embedding and of the output head, without `.weight`.
    pub(super) fn embedding_and_head(&self) -> [String; 2] {
        [format!("{}{}", self.base, self.embedding), self.head.to_owned()]
    }

    /// The same with the first of `bases` under which `tensors` hold a decoder; a decoder without its output head is stored
    /// without any.
    pub(super) fn stored_in(self, tensors: &TensorTable, bases: &[&'static str]) -> Self {
        let of_block = self.query_key_value.unwrap_or(self.query);
        let names = [format!("{}.0.{of_block}", self.block), self.embedding.to_owned()];
        let has = |base: &&&str| names.iter().any(|name| tensors.contains(&format!("{base}{name}.weight")));
        let base = [self.base].iter().chain(bases).chain(&[""]).find(has).copied();
        Self { base: base.unwrap_or(self.base), ..self }
    }
}

/// Biases of a checkpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Biases {
    /// Of query, key and value.
    pub attention_input: Bias,
    /// Of the attention's output.
    pub attention_output: Bias,
    /// Of all matrices of the MLP.
    pub mlp: Bias,
}

/// Takes all weights that `config` asks for out of `tensors`. A tensor that is left over is an error: a checkpoint that
/// has more than the family's tensors is computed differently. `dense_layers` have an MLP where others have experts.
pub(super) fn weights(
    tensors: &TensorTable,
    config: &ModelConfig,
    names: Names,
    biases: Biases,
    dense_layers: &[usize],
) -> Result<ModelWeights> {
    let mut reader = TakenTensors::new(tensors);
    let &ModelConfig { hidden, vocabulary, intermediate, layers, .. } = config;
    let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);

    // Of tied ones either may be stored; some checkpoints store both.
    let head_is_stored = tensors.contains(&format!("{}.weight", names.head));
    let [of_embedding, _] = names.embedding_and_head();
    let shared = match tensors.contains(&format!("{of_embedding}.weight")) {
        false if config.tied_embeddings && head_is_stored => names.head,
        _ => &of_embedding,
    };
    let embedding = reader.linear(shared, vocabulary, hidden, Bias::None)?.weight;
    let mut blocks = Vec::new();
    for layer in 0..layers {
        let name = |role: &str| format!("{}{}.{layer}.{role}", names.base, names.block);
        let query_key_norm = match config.query_key_norm {
            true => {
                let mut of =
                    |role, heads| head_norm(&mut reader, names.head_norms, &name(role), heads, config);
                Some([of(names.query_norm, config.heads)?, of(names.key_norm, config.kv_heads)?])
            }
            false => None,
        };
        let mut norm = |role: Option<&str>| {
            role.map(|role| reader.norm(&name(role), hidden, names.norm_bias)).transpose()
        };
        let (attention_norm, attention_post_norm) =
            (norm(names.attention_norm)?, norm(names.attention_post_norm)?);
        let (mlp_norm, mlp_post_norm) = (norm(names.mlp_norm)?, norm(names.mlp_post_norm)?);
        let [query, key, value] = match names.query_key_value {
            Some(role) => reader.fused(&name(role), config, FusedRows::Blocks, biases.attention_input)?,
            None => {
                let mut of = |role, rows| reader.linear(&name(role), rows, hidden, biases.attention_input);
                [of(names.query, queries)?, of(names.key, keys)?, of(names.value, keys)?]
            }
        };
        let stored = names.experts.filter(|_| !dense_layers.contains(&layer));
        let feed_forward = match (config.experts, stored) {
            (Some(of), Some(stored)) => {
                FeedForward::Experts(stored.take(&mut reader, (config, of), &name)?)
            }
            _ => {
                let (gate, up) = match names.gate_up {
                    Some(role) => {
                        let [gate, up] = reader.halves(&name(role), intermediate, hidden, biases.mlp)?;
                        (Some(gate), up)
                    }
                    None => {
                        let mut of = |role| reader.linear(&name(role), intermediate, hidden, biases.mlp);
                        (config.mlp.is_gated().then(|| of(names.gate)).transpose()?, of(names.up)?)
                    }
                };
                let down = reader.linear(&name(names.down), hidden, intermediate, biases.mlp)?;
                FeedForward::Dense(MlpWeights { gate, up, down })
            }
        };
        let sinks = match config.learned_sinks {
            true => Some(reader.vector(&name(names.sinks), config.heads)?),
            false => None,
        };
        blocks.push(LayerWeights {
            attention_norm,
            attention_post_norm,
            query,
            key,
            value,
            output: reader.linear(&name(names.output), hidden, queries, biases.attention_output)?,
            query_key_norm,
            mlp_norm,
            sinks,
            feed_forward,
            mlp_post_norm,
        });
    }
    let final_norm = reader.norm(&format!("{}{}", names.base, names.final_norm), hidden, names.norm_bias)?;
    let head = reader.head(names.head, config, &embedding)?;
    let head_bias = match names.head_bias {
        true => Some(reader.vector(&format!("{}.bias", names.head), vocabulary)?),
        false => None,
    };
    reader.leave(names.other_parts);
    reader.finish(names.ignored, names.of_configuration, &config.architecture)?;
    Ok(ModelWeights {
        embedding,
        position_embedding: None,
        embedding_norm: None,
        layers: blocks,
        final_norm,
        head,
        head_bias,
    })
}

/// Weights of the norm of queries or of keys, of which there are `heads`.
fn head_norm(
    reader: &mut TakenTensors<'_>,
    stored: HeadNorms,
    name: &str,
    heads: usize,
    config: &ModelConfig,
) -> Result<Vec<f32>> {
    let head_dim = config.head_dim;
    let whole = format!("{name}.weight");
    match stored {
        HeadNorms::Shared => reader.vector(&whole, head_dim),
        HeadNorms::OfAllHeads => reader.vector(&whole, heads * head_dim),
        HeadNorms::OfEachHead => reader.rows(&whole, heads, head_dim),
        HeadNorms::OfEachHeadApart => {
            let of = |head| reader.vector(&format!("{name}.norms.{head}.weight"), head_dim);
            Ok((0..heads).map(of).collect::<Result<Vec<_>>>()?.concat())
        }
    }
}
