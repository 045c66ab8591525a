//! Weights of the Llama family (Llama, Mistral, SmolLM2, TinyLlama, Qwen2, Qwen3), under the names of either format.

use super::taken::{Bias, TakenTensors};
use crate::error::Result;
use crate::formats::tensors::TensorTable;
use crate::model::config::ModelConfig;
use crate::model::weights::{LayerWeights, ModelWeights};

/// What one format calls the tensors, without `.weight` and `.bias`.
pub(super) struct Names {
    embedding: &'static str,
    final_norm: &'static str,
    head: &'static str,
    /// Before the number of the block.
    block: &'static str,
    attention_norm: &'static str,
    query: &'static str,
    key: &'static str,
    value: &'static str,
    query_norm: &'static str,
    key_norm: &'static str,
    output: &'static str,
    mlp_norm: &'static str,
    gate: &'static str,
    up: &'static str,
    down: &'static str,
    /// Ends of names of tensors that hold no weights of the decoder.
    ignored: &'static [&'static str],
    /// Names of tensors that the configuration reads.
    of_configuration: &'static [&'static str],
}

/// Names in GGUF files.
pub(super) const GGUF_NAMES: Names = Names {
    embedding: "token_embd",
    final_norm: "output_norm",
    head: "output",
    block: "blk",
    attention_norm: "attn_norm",
    query: "attn_q",
    key: "attn_k",
    value: "attn_v",
    query_norm: "attn_q_norm",
    key_norm: "attn_k_norm",
    output: "attn_output",
    mlp_norm: "ffn_norm",
    gate: "ffn_gate",
    up: "ffn_up",
    down: "ffn_down",
    // Old converters wrote the plain frequencies.
    ignored: &["attn_rot_embd", "attn_rot_embd.weight"],
    of_configuration: &["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"],
};

/// Names in Hugging Face's safetensors files.
pub(super) const HUGGING_FACE_NAMES: Names = Names {
    embedding: "model.embed_tokens",
    final_norm: "model.norm",
    head: "lm_head",
    block: "model.layers",
    attention_norm: "input_layernorm",
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    query_norm: "self_attn.q_norm",
    key_norm: "self_attn.k_norm",
    output: "self_attn.o_proj",
    mlp_norm: "post_attention_layernorm",
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    down: "mlp.down_proj",
    ignored: &["rotary_emb.inv_freq"],
    of_configuration: &[],
};

/// The same without what stands before them all: how the decoder without its output head is stored.
const HUGGING_FACE_BASE_NAMES: Names =
    Names { embedding: "embed_tokens", final_norm: "norm", block: "layers", ..HUGGING_FACE_NAMES };

impl Names {
    /// Of the embedding and of the output head, without `.weight`.
    pub(super) fn embedding_and_head(&self) -> [&'static str; 2] {
        [self.embedding, self.head]
    }
}

/// The names that the tensors of a Hugging Face folder have.
pub(super) fn hugging_face_names(tensors: &TensorTable) -> &'static Names {
    let has = |names: &Names| tensors.contains(&format!("{}.0.{}.weight", names.block, names.query));
    if !has(&HUGGING_FACE_NAMES) && has(&HUGGING_FACE_BASE_NAMES) {
        &HUGGING_FACE_BASE_NAMES
    } else {
        &HUGGING_FACE_NAMES
    }
}

/// Biases of a checkpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Biases {
    /// Of query, key and value.
    pub attention_input: Bias,
    /// Of the attention's output.
    pub attention_output: Bias,
    /// Of all three matrices of the MLP.
    pub mlp: Bias,
}

/// Takes all weights that `config` asks for out of `tensors`. A tensor that is left over is an error: a checkpoint that
/// has more than the family's tensors is computed differently.
pub(super) fn weights(
    tensors: &TensorTable,
    config: &ModelConfig,
    names: &Names,
    biases: Biases,
) -> Result<ModelWeights> {
    let mut reader = TakenTensors::new(tensors);
    let &ModelConfig { hidden, vocabulary, intermediate, layers, .. } = config;
    let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);

    // Of tied ones either may be stored; some checkpoints store both.
    let head_is_stored = tensors.contains(&format!("{}.weight", names.head));
    let shared = match tensors.contains(&format!("{}.weight", names.embedding)) {
        false if config.tied_embeddings && head_is_stored => names.head,
        _ => names.embedding,
    };
    let embedding = reader.linear(shared, vocabulary, hidden, Bias::None)?.weight;
    let mut blocks = Vec::new();
    for layer in 0..layers {
        let name = |role: &str| format!("{}.{layer}.{role}", names.block);
        let query_key_norm = match config.query_key_norm {
            true => {
                let mut of = |role| reader.vector(&format!("{}.weight", name(role)), config.head_dim);
                Some([of(names.query_norm)?, of(names.key_norm)?])
            }
            false => None,
        };
        blocks.push(LayerWeights {
            attention_norm: reader.norm(&name(names.attention_norm), hidden, Bias::None)?,
            query: reader.linear(&name(names.query), queries, hidden, biases.attention_input)?,
            key: reader.linear(&name(names.key), keys, hidden, biases.attention_input)?,
            value: reader.linear(&name(names.value), keys, hidden, biases.attention_input)?,
            output: reader.linear(&name(names.output), hidden, queries, biases.attention_output)?,
            query_key_norm,
            mlp_norm: Some(reader.norm(&name(names.mlp_norm), hidden, Bias::None)?),
            gate: Some(reader.linear(&name(names.gate), intermediate, hidden, biases.mlp)?),
            up: reader.linear(&name(names.up), intermediate, hidden, biases.mlp)?,
            down: reader.linear(&name(names.down), hidden, intermediate, biases.mlp)?,
        });
    }
    let final_norm = reader.norm(names.final_norm, hidden, Bias::None)?;
    let head = reader.head(names.head, config, &embedding)?;
    reader.finish(names.ignored, names.of_configuration, &config.architecture)?;
    let (embedding_norm, head_bias) = (None, None);
    Ok(ModelWeights { embedding, embedding_norm, layers: blocks, final_norm, head, head_bias })
}
