//! Tensors that a reader takes out of a checkpoint. One that is left over is an error: a checkpoint that has more than its family's
//! tensors is computed differently.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::formats::tensors::TensorTable;
use crate::model::config::ModelConfig;
use crate::model::weights::{Linear, Matrix, NormWeights};

/// Whether a matrix or a norm has a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bias {
    /// The configuration says so.
    Required,
    /// The format does not say; the tensor's presence does.
    IfPresent,
    /// The configuration says there is none.
    None,
}

/// How the rows of queries, keys and values lie in one matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FusedRows {
    /// All queries, all keys, all values.
    Blocks,
    /// For each key/value head the queries of its group, its key, its value.
    Groups,
}

/// Takes tensors out of a table and remembers which.
pub(super) struct TakenTensors<'a> {
    tensors: &'a TensorTable,
    used: BTreeSet<String>,
}

impl<'a> TakenTensors<'a> {
    /// Nothing taken yet.
    pub(super) fn new(tensors: &'a TensorTable) -> Self {
        Self { tensors, used: BTreeSet::new() }
    }

    /// A vector by its whole name.
    pub(super) fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        let values = self.tensors.vector(name, length)?;
        self.used.insert(name.to_owned());
        Ok(values)
    }

    /// The rows of a small matrix by its whole name, one behind the other.
    pub(super) fn rows(&mut self, name: &str, rows: usize, columns: usize) -> Result<Vec<f32>> {
        let values = self.tensors.values(name, &[rows, columns])?;
        self.used.insert(name.to_owned());
        Ok(values)
    }

    /// Takes whatever a name begins so of: parts of a model that its decoder does not need.
    pub(super) fn leave(&mut self, begins: &[&str]) {
        let names = self.tensors.iter().map(|(name, _)| name);
        let other = names.filter(|name| begins.iter().any(|begin| name.starts_with(begin)));
        self.used.extend(other.map(str::to_owned));
    }

    /// Whatever is stored of [`TensorTable::stacked`].
    pub(super) fn stacked(&mut self, name: &str, [count, rows, columns]: [usize; 3]) -> Result<Matrix> {
        let matrix = self.tensors.stacked(name, count, rows, columns)?;
        self.used.insert(name.to_owned());
        Ok(matrix)
    }

    /// A vector for each of `count` matrices.
    pub(super) fn stacked_vectors(
        &mut self,
        name: &str,
        [count, length]: [usize; 2],
    ) -> Result<Vec<Vec<f32>>> {
        let values = self.tensors.values(name, &[count, length])?;
        self.used.insert(name.to_owned());
        Ok(values.chunks_exact(length).map(<[f32]>::to_vec).collect())
    }

    /// A tensor of bytes.
    pub(super) fn bytes(&mut self, name: &str, shape: &[usize]) -> Result<&'a [u8]> {
        let bytes = self.tensors.bytes(name, shape)?;
        self.used.insert(name.to_owned());
        Ok(bytes)
    }

    /// Is there a tensor of this name?
    pub(super) fn contains(&self, name: &str) -> bool {
        self.tensors.contains(name)
    }

    fn bias(&mut self, name: &str, length: usize, bias: Bias) -> Result<Option<Vec<f32>>> {
        let name = format!("{name}.bias");
        let wanted = match bias {
            Bias::Required => true,
            Bias::IfPresent => self.tensors.contains(&name),
            Bias::None => false,
        };
        wanted.then(|| self.vector(&name, length)).transpose()
    }

    /// A norm, without `.weight` and `.bias`.
    pub(super) fn norm(&mut self, name: &str, length: usize, bias: Bias) -> Result<NormWeights> {
        let weight = self.vector(&format!("{name}.weight"), length)?;
        Ok(NormWeights { weight, bias: self.bias(name, length, bias)? })
    }

    /// A matrix and its bias, without `.weight` and `.bias`.
    pub(super) fn linear(&mut self, name: &str, rows: usize, columns: usize, bias: Bias) -> Result<Linear> {
        let weight_name = format!("{name}.weight");
        let weight = self.tensors.matrix(&weight_name, rows, columns)?;
        self.used.insert(weight_name);
        Ok(Linear { weight, bias: self.bias(name, rows, bias)? })
    }

    /// A matrix that is stored as its transpose [columns, rows], and its bias, without `.weight` and `.bias`.
    pub(super) fn transposed(&mut self, name: &str, rows: usize, columns: usize) -> Result<Linear> {
        let weight_name = format!("{name}.weight");
        let weight = self.tensors.transposed(&weight_name, rows, columns)?;
        self.used.insert(weight_name);
        Ok(Linear { weight, bias: self.bias(name, rows, Bias::Required)? })
    }

    /// Two matrices of `rows` rows each, of which the file has one above the other.
    pub(super) fn halves(
        &mut self,
        name: &str,
        rows: usize,
        columns: usize,
        bias: Bias,
    ) -> Result<[Linear; 2]> {
        let whole = self.linear(name, 2 * rows, columns, bias)?;
        let of = |first: usize| -> Option<Linear> {
            let bias = whole.bias.as_ref().map(|bias| bias[first..first + rows].to_vec());
            Some(Linear { weight: whole.weight.slice(first, rows)?, bias })
        };
        match (of(0), of(rows)) {
            (Some(first), Some(second)) => Ok([first, second]),
            // Its shape was checked.
            _ => Err(Error::input(format!("tensor {name}"), "its rows cannot be split")),
        }
    }

    /// Queries, keys and values from one matrix. Blocks stay where they are; the rows of groups are copied.
    pub(super) fn fused(
        &mut self,
        name: &str,
        config: &ModelConfig,
        rows: FusedRows,
        bias: Bias,
    ) -> Result<[Linear; 3]> {
        let count = fused_rows(config, rows).iter().map(Vec::len).sum();
        let whole = self.linear(name, count, config.hidden, bias)?;
        Self::split(&whole, name, config, rows)
    }

    /// The same of a matrix that was taken.
    pub(super) fn split(
        whole: &Linear,
        name: &str,
        config: &ModelConfig,
        rows: FusedRows,
    ) -> Result<[Linear; 3]> {
        let of_kinds = fused_rows(config, rows);
        let of = |kind: usize| -> Option<Linear> {
            let rows = &of_kinds[kind];
            let together = rows.windows(2).all(|pair| pair[1] == pair[0] + 1);
            let weight = match together {
                true => whole.weight.slice(*rows.first()?, rows.len())?,
                false => whole.weight.gather(rows.iter().copied())?,
            };
            let bias = whole.bias.as_ref().map(|bias| rows.iter().map(|&row| bias[row]).collect());
            Some(Linear { weight, bias })
        };
        match (of(0), of(1), of(2)) {
            (Some(query), Some(key), Some(value)) => Ok([query, key, value]),
            // Its shape was checked.
            _ => Err(Error::input(format!("tensor {name}"), "its rows cannot be split")),
        }
    }

    /// The output head: the embedding where both are one, which then need not be stored.
    pub(super) fn head(&mut self, name: &str, config: &ModelConfig, embedding: &Matrix) -> Result<Matrix> {
        if config.tied_embeddings {
            self.used.insert(format!("{name}.weight"));
            return Ok(embedding.clone());
        }
        Ok(self.linear(name, config.vocabulary, config.hidden, Bias::None)?.weight)
    }

    /// Refuses what was not taken, but for tensors whose names end with one of `ignored`, and those that `of_configuration` names.
    pub(super) fn finish(
        &self,
        ignored: &[&str],
        of_configuration: &[&str],
        architecture: &str,
    ) -> Result<()> {
        let expected = |name: &str| {
            self.used.contains(name)
                || of_configuration.contains(&name)
                || ignored.iter().any(|ignored| name.ends_with(ignored))
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

/// Rows of queries, keys and values in the one matrix that holds them.
pub(super) fn fused_rows(config: &ModelConfig, rows: FusedRows) -> [Vec<usize>; 3] {
    let &ModelConfig { heads, kv_heads, head_dim, .. } = config;
    let group = config.group();
    // Of each kind: how many heads stand before the first of it in a block or group, and how many of it follow each other.
    let (blocks, kinds) = match rows {
        FusedRows::Blocks => (1, [(0, heads), (heads, kv_heads), (heads + kv_heads, kv_heads)]),
        FusedRows::Groups => (kv_heads, [(0, group), (group, 1), (group + 1, 1)]),
    };
    let width = (heads + 2 * kv_heads) / blocks;
    kinds.map(|(before, count)| {
        let heads = (0..blocks).flat_map(|block| (0..count).map(move |head| block * width + before + head));
        heads.flat_map(|head| head * head_dim..(head + 1) * head_dim).collect()
    })
}

/// Are an embedding and an output head stored, and do they differ? Names are without `.weight`.
pub(super) fn has_another_head(tensors: &TensorTable, [embedding, head]: [&str; 2]) -> Result<bool> {
    let [embedding, head] = [embedding, head].map(|role| format!("{role}.weight"));
    if !(tensors.contains(&embedding) && tensors.contains(&head)) {
        return Ok(false);
    }
    let (embedding, head) = (tensors.get(&embedding)?, tensors.get(&head)?);
    Ok(embedding.stored() != head.stored())
}
