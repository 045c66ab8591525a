//! Weights under the names and in the order of transformers.

use crate::family::TrainFamily;
use crate::layout::{BlockLayout, Layout, Weighted, qkv_rows};
use crate::parameters::Parameter;
use crate::shape::Shape;

/// One tensor of a checkpoint.
pub(super) struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// All tensors of a model of `shape`, whose values are `all`.
pub(super) fn of(shape: &Shape, all: &[Parameter]) -> Vec<Tensor> {
    let layout = shape.layout();
    let mut out = Out { shape, all, tensors: Vec::new() };
    match shape.family {
        TrainFamily::Llama => llama_like(&mut out, &layout, &LLAMA),
        TrainFamily::Gemma2 => llama_like(&mut out, &layout, &GEMMA2),
        TrainFamily::GptOss => gpt_oss(&mut out, &layout),
        TrainFamily::Gptj => gptj(&mut out, &layout),
        TrainFamily::GptNeox => gpt_neox(&mut out, &layout),
        TrainFamily::Mpt => mpt(&mut out, &layout),
    }
    out.tensors
}

struct Out<'a> {
    shape: &'a Shape,
    all: &'a [Parameter],
    tensors: Vec<Tensor>,
}

impl Out<'_> {
    fn push(&mut self, name: String, shape: &[usize], values: Vec<f32>) {
        self.tensors.push(Tensor { name, shape: shape.to_vec(), values });
    }

    /// An array as it is.
    fn whole(&mut self, name: String, at: usize) {
        let Parameter { shape, values, .. } = &self.all[at];
        let (shape, values) = (shape.clone(), values.clone());
        self.push(name, &shape, values);
    }

    /// Weight and bias, `.weight` and `.bias`.
    fn weighted(&mut self, name: &str, of: Weighted) {
        self.whole(format!("{name}.weight"), of.weight);
        if let Some(bias) = of.bias {
            self.whole(format!("{name}.bias"), bias);
        }
    }

    /// The rows `rows` of a matrix and of its bias.
    fn rows(&mut self, name: &str, of: Weighted, rows: &[usize]) {
        for (role, at) in [("weight", Some(of.weight)), ("bias", of.bias)] {
            let Some(at) = at else { continue };
            let p = &self.all[at];
            let columns = p.columns();
            let values = rows.iter().flat_map(|row| &p.values[row * columns..(row + 1) * columns]).copied();
            let shape = if p.is_matrix() { vec![rows.len(), columns] } else { vec![rows.len()] };
            let values = values.collect();
            self.push(format!("{name}.{role}"), &shape, values);
        }
    }

    /// Queries, keys and values as a tensor each.
    fn separate(&mut self, names: [String; 3], qkv: Weighted) {
        let mut first = 0;
        for (name, rows) in names.iter().zip(qkv_rows(&self.shape.config())) {
            self.rows(name, qkv, &(first..first + rows).collect::<Vec<_>>());
            first += rows;
        }
    }

    /// The transpose of a matrix, as the only one of a stack; columns in the order `order` of its rows.
    fn stack_transposed(&mut self, name: String, at: usize, order: &[usize]) {
        let p = &self.all[at];
        let columns = p.columns();
        let values =
            (0..columns).flat_map(|column| order.iter().map(move |row| p.values[row * columns + column]));
        let values = values.collect();
        self.push(name, &[1, columns, order.len()], values);
    }
}

/// Names of tensors in families whose blocks have Llama's matrices.
struct LlamaNames {
    attention_post_norm: &'static str,
    mlp_norm: &'static str,
    mlp_post_norm: &'static str,
    /// Norms are stored less 1.
    less_one: bool,
}

const LLAMA: LlamaNames = LlamaNames {
    attention_post_norm: "",
    mlp_norm: "post_attention_layernorm",
    mlp_post_norm: "",
    less_one: false,
};

const GEMMA2: LlamaNames = LlamaNames {
    attention_post_norm: "post_attention_layernorm",
    mlp_norm: "pre_feedforward_layernorm",
    mlp_post_norm: "post_feedforward_layernorm",
    less_one: true,
};

fn attention_of_llama(out: &mut Out<'_>, block: &BlockLayout, name: &dyn Fn(&str) -> String) {
    out.separate(["q_proj", "k_proj", "v_proj"].map(|role| name(&format!("self_attn.{role}"))), block.qkv);
    out.weighted(&name("self_attn.o_proj"), block.output);
}

fn llama_like(out: &mut Out<'_>, layout: &Layout, names: &LlamaNames) {
    let norm = |out: &mut Out<'_>, name: String, of: Weighted| {
        out.weighted(&name, of);
        if let Some(tensor) = out.tensors.last_mut().filter(|_| names.less_one) {
            tensor.values.iter_mut().for_each(|weight| *weight -= 1.0);
        }
    };
    let inner = out.shape.intermediate;
    out.whole("model.embed_tokens.weight".into(), layout.embedding);
    for (layer, block) in layout.blocks.iter().enumerate() {
        let name = |role: &str| format!("model.layers.{layer}.{role}");
        norm(out, name("input_layernorm"), block.attention_norm);
        attention_of_llama(out, block, &name);
        for (role, of) in [
            (names.attention_post_norm, block.attention_post_norm),
            (names.mlp_norm, block.mlp_norm),
            (names.mlp_post_norm, block.mlp_post_norm),
        ] {
            if let Some(of) = of {
                norm(out, name(role), of);
            }
        }
        for (role, first) in [("gate_proj", 0), ("up_proj", inner)] {
            out.rows(&name(&format!("mlp.{role}")), block.up, &(first..first + inner).collect::<Vec<_>>());
        }
        out.weighted(&name("mlp.down_proj"), block.down);
    }
    norm(out, "model.norm".into(), layout.final_norm);
}

/// With one expert, whose router, by whose softmax over one logit it is multiplied, has nothing to say and is 0.
fn gpt_oss(out: &mut Out<'_>, layout: &Layout) {
    let (hidden, inner) = (out.shape.hidden, out.shape.intermediate);
    out.whole("model.embed_tokens.weight".into(), layout.embedding);
    for (layer, block) in layout.blocks.iter().enumerate() {
        let name = |role: &str| format!("model.layers.{layer}.{role}");
        out.weighted(&name("input_layernorm"), block.attention_norm);
        attention_of_llama(out, block, &name);
        if let Some(sinks) = block.sinks {
            out.whole(name("self_attn.sinks"), sinks);
        }
        if let Some(norm) = block.mlp_norm {
            out.weighted(&name("post_attention_layernorm"), norm);
        }
        out.push(name("mlp.router.weight"), &[1, hidden], vec![0.0; hidden]);
        out.push(name("mlp.router.bias"), &[1], vec![0.0]);
        // Gate and value take turns.
        let turns: Vec<usize> = (0..inner).flat_map(|at| [at, inner + at]).collect();
        let expert = |role: &str| name(&format!("mlp.experts.{role}"));
        out.stack_transposed(expert("gate_up_proj"), block.up.weight, &turns);
        out.stack_transposed(expert("down_proj"), block.down.weight, &(0..hidden).collect::<Vec<_>>());
        for (role, of, order) in
            [("gate_up_proj_bias", block.up, turns), ("down_proj_bias", block.down, (0..hidden).collect())]
        {
            if let Some(bias) = of.bias {
                let values = order.iter().map(|&at| out.all[bias].values[at]).collect();
                out.push(expert(role), &[1, order.len()], values);
            }
        }
    }
    out.weighted("model.norm", layout.final_norm);
}

fn gptj(out: &mut Out<'_>, layout: &Layout) {
    out.whole("transformer.wte.weight".into(), layout.embedding);
    for (layer, block) in layout.blocks.iter().enumerate() {
        let name = |role: &str| format!("transformer.h.{layer}.{role}");
        out.weighted(&name("ln_1"), block.attention_norm);
        out.separate(["q_proj", "k_proj", "v_proj"].map(|role| name(&format!("attn.{role}"))), block.qkv);
        out.weighted(&name("attn.out_proj"), block.output);
        out.weighted(&name("mlp.fc_in"), block.up);
        out.weighted(&name("mlp.fc_out"), block.down);
    }
    out.weighted("transformer.ln_f", layout.final_norm);
    if let Some(bias) = layout.head_bias {
        out.whole("lm_head.bias".into(), bias);
    }
}

fn gpt_neox(out: &mut Out<'_>, layout: &Layout) {
    let (heads, head_dim) = (out.shape.heads, out.shape.hidden / out.shape.heads);
    // Each head's query, key and value, head by head.
    let parts = (0..heads).flat_map(|head| (0..3).map(move |part| part * heads + head));
    let rows: Vec<usize> = parts.flat_map(|part| part * head_dim..(part + 1) * head_dim).collect();
    out.whole("gpt_neox.embed_in.weight".into(), layout.embedding);
    for (layer, block) in layout.blocks.iter().enumerate() {
        let name = |role: &str| format!("gpt_neox.layers.{layer}.{role}");
        out.weighted(&name("input_layernorm"), block.attention_norm);
        out.rows(&name("attention.query_key_value"), block.qkv, &rows);
        out.weighted(&name("attention.dense"), block.output);
        if let Some(norm) = block.mlp_norm {
            out.weighted(&name("post_attention_layernorm"), norm);
        }
        out.weighted(&name("mlp.dense_h_to_4h"), block.up);
        out.weighted(&name("mlp.dense_4h_to_h"), block.down);
    }
    out.weighted("gpt_neox.final_layer_norm", layout.final_norm);
}

fn mpt(out: &mut Out<'_>, layout: &Layout) {
    out.whole("transformer.wte.weight".into(), layout.embedding);
    for (layer, block) in layout.blocks.iter().enumerate() {
        let name = |role: &str| format!("transformer.blocks.{layer}.{role}");
        out.weighted(&name("norm_1"), block.attention_norm);
        out.weighted(&name("attn.Wqkv"), block.qkv);
        out.weighted(&name("attn.out_proj"), block.output);
        if let Some(norm) = block.mlp_norm {
            out.weighted(&name("norm_2"), norm);
        }
        out.weighted(&name("ffn.up_proj"), block.up);
        out.weighted(&name("ffn.down_proj"), block.down);
    }
    out.weighted("transformer.norm_f", layout.final_norm);
}
