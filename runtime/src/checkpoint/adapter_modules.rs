//! Which matrices of a decoder the modules of an adapter are, by the names that transformers gives them.

use super::taken::{FusedRows, fused_rows};
use crate::model::config::ModelConfig;
use crate::model::weights::{LayerWeights, Linear};

/// What stands before the number of a block, in the families that are read.
const BEFORE: [&str; 9] = [
    "model.layers.",
    "layers.",
    "model.language_model.layers.",
    "language_model.model.layers.",
    "gpt_neox.layers.",
    "transformer.h.",
    "h.",
    "transformer.blocks.",
    "blocks.",
];

/// A matrix of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Query,
    Key,
    Value,
    Output,
    Gate,
    Up,
    Down,
}

/// What one module is: one matrix, or several, one below the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Module {
    One(Role),
    /// Queries, keys and values.
    Attention(FusedRows),
    /// The gate, and below it what is multiplied by it.
    GateUp,
}

/// Names behind the number of the block. One name is one thing in all families.
const MODULES: [(&str, Module); 27] = [
    ("self_attn.q_proj", Module::One(Role::Query)),
    ("self_attn.k_proj", Module::One(Role::Key)),
    ("self_attn.v_proj", Module::One(Role::Value)),
    ("self_attn.o_proj", Module::One(Role::Output)),
    // Phi-2.
    ("self_attn.dense", Module::One(Role::Output)),
    // Phi-3.
    ("self_attn.qkv_proj", Module::Attention(FusedRows::Blocks)),
    // GPT-J; MPT has the last of them, too.
    ("attn.q_proj", Module::One(Role::Query)),
    ("attn.k_proj", Module::One(Role::Key)),
    ("attn.v_proj", Module::One(Role::Value)),
    ("attn.out_proj", Module::One(Role::Output)),
    ("attn.Wqkv", Module::Attention(FusedRows::Blocks)),
    // GPT-NeoX.
    ("attention.query_key_value", Module::Attention(FusedRows::Groups)),
    ("attention.dense", Module::One(Role::Output)),
    // BLOOM and Falcon.
    ("self_attention.query_key_value", Module::Attention(FusedRows::Groups)),
    ("self_attention.dense", Module::One(Role::Output)),
    ("mlp.gate_proj", Module::One(Role::Gate)),
    ("mlp.up_proj", Module::One(Role::Up)),
    ("mlp.down_proj", Module::One(Role::Down)),
    // Phi-3 and GLM-4.
    ("mlp.gate_up_proj", Module::GateUp),
    ("mlp.dense_h_to_4h", Module::One(Role::Up)),
    ("mlp.dense_4h_to_h", Module::One(Role::Down)),
    ("mlp.fc_in", Module::One(Role::Up)),
    ("mlp.fc_out", Module::One(Role::Down)),
    ("mlp.fc1", Module::One(Role::Up)),
    ("mlp.fc2", Module::One(Role::Down)),
    ("ffn.up_proj", Module::One(Role::Up)),
    ("ffn.down_proj", Module::One(Role::Down)),
];

/// A matrix of the model, and which rows of the module's matrix are added to it, in the order of its own.
pub(super) struct Part {
    pub layer: usize,
    pub role: Role,
    pub rows: Vec<usize>,
}

/// A module of an adapter.
pub(super) struct Place {
    /// Rows of its matrix.
    pub rows: usize,
    /// Its columns.
    pub columns: usize,
    pub parts: Vec<Part>,
}

/// What the module `name` is; `None` where it is no matrix of a block. `reordered`: rows of queries and keys lie in neighbouring pairs in the
/// model and half-split in the module.
pub(super) fn place(
    name: &str,
    config: &ModelConfig,
    layers: &[LayerWeights],
    reordered: bool,
) -> Option<Place> {
    let behind = BEFORE.iter().find_map(|before| name.strip_prefix(before))?;
    let (number, name) = behind.split_once('.')?;
    let layer = number.parse::<usize>().ok()?;
    let weights = layers.get(layer)?;
    let module = MODULES.iter().find_map(|&(known, module)| (known == name).then_some(module))?;
    let rows_of = |role: Role| Some(matrix(weights, role)?.weight.rows());
    let mut parts: Vec<(Role, Vec<usize>)> = match module {
        Module::One(role) => vec![(role, (0..rows_of(role)?).collect())],
        Module::Attention(rows) => {
            [Role::Query, Role::Key, Role::Value].into_iter().zip(fused_rows(config, rows)).collect()
        }
        Module::GateUp => {
            let (gate, up) = (rows_of(Role::Gate)?, rows_of(Role::Up)?);
            vec![(Role::Gate, (0..gate).collect()), (Role::Up, (gate..gate + up).collect())]
        }
    };
    let rows = parts.iter().map(|(_, rows)| rows.len()).sum();
    let columns = matrix(weights, parts.first()?.0)?.weight.columns();
    for (role, rows) in &mut parts {
        if reordered && [Role::Query, Role::Key].contains(role) {
            *rows = in_pairs(rows, config.head_dim);
        }
    }
    let parts = parts.into_iter().map(|(role, rows)| Part { layer, role, rows }).collect();
    Some(Place { rows, columns, parts })
}

/// The rows of each head, of which the first and second half take turns.
fn in_pairs(rows: &[usize], head_dim: usize) -> Vec<usize> {
    let of_head = |head: &[usize]| -> Vec<usize> {
        let half = head.len() / 2;
        (0..head.len()).map(|at| head[at / 2 + at % 2 * half]).collect()
    };
    rows.chunks(head_dim.max(1)).flat_map(of_head).collect()
}

fn matrix(layer: &LayerWeights, role: Role) -> Option<&Linear> {
    match role {
        Role::Query => Some(&layer.query),
        Role::Key => Some(&layer.key),
        Role::Value => Some(&layer.value),
        Role::Output => Some(&layer.output),
        Role::Gate => layer.feed_forward.dense()?.gate.as_ref(),
        Role::Up => Some(&layer.feed_forward.dense()?.up),
        Role::Down => Some(&layer.feed_forward.dense()?.down),
    }
}

/// The matrix of a part, to be changed.
pub(super) fn matrix_mut<'a>(layers: &'a mut [LayerWeights], part: &Part) -> Option<&'a mut Linear> {
    let layer = layers.get_mut(part.layer)?;
    match part.role {
        Role::Query => Some(&mut layer.query),
        Role::Key => Some(&mut layer.key),
        Role::Value => Some(&mut layer.value),
        Role::Output => Some(&mut layer.output),
        Role::Gate => layer.feed_forward.dense_mut()?.gate.as_mut(),
        Role::Up => Some(&mut layer.feed_forward.dense_mut()?.up),
        Role::Down => Some(&mut layer.feed_forward.dense_mut()?.down),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_head_take_turns() {
        assert_eq!(in_pairs(&[0, 1, 2, 3, 4, 5, 6, 7], 4), [0, 2, 1, 3, 4, 6, 5, 7]);
        assert_eq!(in_pairs(&[7, 8], 2), [7, 8]);
        assert_eq!(in_pairs(&[], 4), [0usize; 0]);
    }
}
