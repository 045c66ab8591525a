//! Weights of decoders whose block has the matrices of Llama (Llama, Mistral, SmolLM2, Qwen2, Qwen3, Gemma, Granite, OLMo 2, …), under the
//! names of either format.

use super::experts::StoredExperts;
use super::taken::{Bias, TakenTensors};
use crate::error::Result;
use crate::formats::tensors::TensorTable;
use crate::model::config::ModelConfig;
use crate::model::weights::{FeedForward, LayerWeights, MlpWeights, ModelWeights};

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
    pub query_norm: &'static str,
    pub key_norm: &'static str,
    pub output: &'static str,
    pub gate: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    /// Experts, in the layers that have a router.
    pub experts: Option<StoredExperts>,
    /// Logits of learned sinks.
    pub sinks: &'static str,
    /// Queries and keys are normalized over all heads of a token together.
    pub norm_of_all_heads: bool,
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
    query_norm: "attn_q_norm",
    key_norm: "attn_k_norm",
    output: "attn_output",
    gate: "ffn_gate",
    up: "ffn_up",
    down: "ffn_down",
    experts: Some(StoredExperts::Gguf),
    sinks: "attn_sinks.weight",
    norm_of_all_heads: false,
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
    query_norm: "self_attn.q_norm",
    key_norm: "self_attn.k_norm",
    output: "self_attn.o_proj",
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    down: "mlp.down_proj",
    experts: None,
    sinks: "self_attn.sinks",
    norm_of_all_heads: false,
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
        let names = [format!("{}.0.{}", self.block, self.query), self.embedding.to_owned()];
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
    /// Of all three matrices of the MLP.
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
                let [of_queries, of_keys] =
                    if names.norm_of_all_heads { [queries, keys] } else { [config.head_dim; 2] };
                let mut of = |role, width| reader.vector(&format!("{}.weight", name(role)), width);
                Some([of(names.query_norm, of_queries)?, of(names.key_norm, of_keys)?])
            }
            false => None,
        };
        let mut norm =
            |role: Option<&str>| role.map(|role| reader.norm(&name(role), hidden, Bias::None)).transpose();
        let (attention_norm, attention_post_norm) =
            (norm(names.attention_norm)?, norm(names.attention_post_norm)?);
        let (mlp_norm, mlp_post_norm) = (norm(names.mlp_norm)?, norm(names.mlp_post_norm)?);
        let stored = names.experts.filter(|_| !dense_layers.contains(&layer));
        let feed_forward = match (config.experts, stored) {
            (Some(of), Some(stored)) => {
                FeedForward::Experts(stored.take(&mut reader, (config, of), &name)?)
            }
            _ => FeedForward::Dense(MlpWeights {
                gate: Some(reader.linear(&name(names.gate), intermediate, hidden, biases.mlp)?),
                up: reader.linear(&name(names.up), intermediate, hidden, biases.mlp)?,
                down: reader.linear(&name(names.down), hidden, intermediate, biases.mlp)?,
            }),
        };
        let sinks = match config.learned_sinks {
            true => Some(reader.vector(&name(names.sinks), config.heads)?),
            false => None,
        };
        blocks.push(LayerWeights {
            attention_norm,
            attention_post_norm,
            query: reader.linear(&name(names.query), queries, hidden, biases.attention_input)?,
            key: reader.linear(&name(names.key), keys, hidden, biases.attention_input)?,
            value: reader.linear(&name(names.value), keys, hidden, biases.attention_input)?,
            output: reader.linear(&name(names.output), hidden, queries, biases.attention_output)?,
            query_key_norm,
            mlp_norm,
            sinks,
            feed_forward,
            mlp_post_norm,
        });
    }
    let final_norm = reader.norm(&format!("{}{}", names.base, names.final_norm), hidden, Bias::None)?;
    let head = reader.head(names.head, config, &embedding)?;
    reader.leave(names.other_parts);
    reader.finish(names.ignored, names.of_configuration, &config.architecture)?;
    let (embedding_norm, head_bias) = (None, None);
    Ok(ModelWeights { embedding, embedding_norm, layers: blocks, final_norm, head, head_bias })
}
