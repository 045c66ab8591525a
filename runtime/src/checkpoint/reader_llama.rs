//! Weights of the Llama family (Llama, Mistral, SmolLM2, TinyLlama, Qwen2), under the names of either format.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::formats::tensors::TensorTable;
use crate::model::config::ModelConfig;
use crate::model::weights::{LayerWeights, Linear, ModelWeights};

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

/// The names that the tensors of a Hugging Face folder have.
pub(super) fn hugging_face_names(tensors: &TensorTable) -> &'static Names {
    let has = |names: &Names| tensors.contains(&format!("{}.0.{}.weight", names.block, names.query));
    if !has(&HUGGING_FACE_NAMES) && has(&HUGGING_FACE_BASE_NAMES) {
        &HUGGING_FACE_BASE_NAMES
    } else {
        &HUGGING_FACE_NAMES
    }
}

/// Are an embedding and an output head stored, and do they differ?
pub(super) fn has_another_head(tensors: &TensorTable, names: &Names) -> Result<bool> {
    let name = |role: &str| format!("{role}.weight");
    let (embedding, head) = (name(names.embedding), name(names.head));
    if !(tensors.contains(&embedding) && tensors.contains(&head)) {
        return Ok(false);
    }
    let (embedding, head) = (tensors.get(&embedding)?, tensors.get(&head)?);
    Ok(embedding.stored() != head.stored())
}

/// Whether a matrix has a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bias {
    /// The configuration says so.
    Required,
    /// The format does not say; the tensor's presence does.
    IfPresent,
    /// The configuration says there is none.
    None,
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
    let mut reader = Reader { tensors, used: BTreeSet::new() };
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
        blocks.push(LayerWeights {
            attention_norm: reader.norm(&name(names.attention_norm), hidden)?,
            query: reader.linear(&name(names.query), queries, hidden, biases.attention_input)?,
            key: reader.linear(&name(names.key), keys, hidden, biases.attention_input)?,
            value: reader.linear(&name(names.value), keys, hidden, biases.attention_input)?,
            output: reader.linear(&name(names.output), hidden, queries, biases.attention_output)?,
            mlp_norm: reader.norm(&name(names.mlp_norm), hidden)?,
            gate: reader.linear(&name(names.gate), intermediate, hidden, biases.mlp)?,
            up: reader.linear(&name(names.up), intermediate, hidden, biases.mlp)?,
            down: reader.linear(&name(names.down), hidden, intermediate, biases.mlp)?,
        });
    }
    let final_norm = reader.norm(names.final_norm, hidden)?;
    let head = if config.tied_embeddings {
        reader.used.insert(format!("{}.weight", names.head));
        embedding.clone()
    } else {
        reader.linear(names.head, vocabulary, hidden, Bias::None)?.weight
    };
    reader.finish(names, &config.architecture)?;
    Ok(ModelWeights { embedding, layers: blocks, final_norm, head })
}

/// Takes tensors out of a table and remembers which.
struct Reader<'a> {
    tensors: &'a TensorTable,
    used: BTreeSet<String>,
}

impl Reader<'_> {
    fn norm(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        let weight = format!("{name}.weight");
        let values = self.tensors.vector(&weight, length)?;
        self.used.insert(weight);
        Ok(values)
    }

    fn linear(&mut self, name: &str, rows: usize, columns: usize, bias: Bias) -> Result<Linear> {
        let (weight_name, bias_name) = (format!("{name}.weight"), format!("{name}.bias"));
        let weight = self.tensors.matrix(&weight_name, rows, columns)?;
        self.used.insert(weight_name);
        let wanted = match bias {
            Bias::Required => true,
            Bias::IfPresent => self.tensors.contains(&bias_name),
            Bias::None => false,
        };
        let bias = wanted.then(|| self.tensors.vector(&bias_name, rows)).transpose()?;
        if wanted {
            self.used.insert(bias_name);
        }
        Ok(Linear { weight, bias })
    }

    fn finish(&self, names: &Names, architecture: &str) -> Result<()> {
        let expected = |name: &str| {
            self.used.contains(name)
                || names.of_configuration.contains(&name)
                || names.ignored.iter().any(|ignored| name.ends_with(ignored))
        };
        match self.tensors.iter().find(|(name, _)| !expected(name)) {
            None => Ok(()),
            Some((name, tensor)) => Err(Error::malformed(
                &*tensor.path,
                format!("tensor `{name}`"),
                format!("no such tensor in a `{architecture}` decoder of this configuration"),
                format!("{} {:?}", tensor.element, tensor.shape),
            )),
        }
    }
}
