//! Weights of mixtures of experts, in the ways in which they are stored.

use std::sync::Arc;

use rayon::prelude::*;

use super::taken::{Bias, TakenTensors};
use crate::error::{Error, Result};
use crate::model::block_format::BlockFormat;
use crate::model::config::{Experts, ModelConfig};
use crate::model::weights::{ExpertWeights, Linear, Matrix, MlpWeights, WeightType};

/// How a format or a family stores experts; names stand behind that of the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoredExperts {
    /// Hugging Face: a tensor for each matrix of each expert, or two stacks of them.
    HuggingFace {
        /// The router.
        router: &'static str,
        /// Before the number of the expert.
        experts: &'static str,
        /// Gate, up and down.
        roles: [&'static str; 3],
    },
    /// gpt-oss: stacks of transposed matrices, of which gate and up have every second column, or of MXFP4 blocks.
    GptOss,
    /// GGUF: a stack for gate, up and down each.
    Gguf,
}

impl StoredExperts {
    /// The name of the router.
    pub(super) fn router(self) -> &'static str {
        match self {
            Self::HuggingFace { router, .. } => router,
            Self::GptOss => "mlp.router",
            Self::Gguf => "ffn_gate_inp",
        }
    }

    /// Takes router and experts; `name` puts the block before a name.
    pub(super) fn take(
        self,
        taken: &mut TakenTensors<'_>,
        (config, of): (&ModelConfig, Experts),
        name: &dyn Fn(&str) -> String,
    ) -> Result<ExpertWeights> {
        // Of GGUF presence tells.
        let bias = match self {
            Self::HuggingFace { .. } => Bias::None,
            Self::GptOss => Bias::Required,
            Self::Gguf => Bias::IfPresent,
        };
        let router = taken.linear(&name(self.router()), of.count, config.hidden, bias)?;
        let sizes = Sizes { experts: of.count, hidden: config.hidden, inner: of.intermediate };
        let experts = match self {
            Self::HuggingFace { experts, roles, .. } => hugging_face(taken, sizes, &name(experts), roles)?,
            Self::GptOss => gpt_oss(taken, sizes, &name("mlp.experts"))?,
            Self::Gguf => gguf(taken, sizes, name)?,
        };
        Ok(ExpertWeights { router, experts })
    }
}

#[derive(Clone, Copy)]
struct Sizes {
    experts: usize,
    hidden: usize,
    inner: usize,
}

fn plain(weight: Matrix) -> Linear {
    Linear { weight, bias: None }
}

/// Rows of a matrix whose shape was checked.
fn rows(name: &str, matrix: &Matrix, first: usize, count: usize) -> Result<Matrix> {
    matrix
        .slice(first, count)
        .ok_or_else(|| Error::input(format!("tensor {name}"), "its rows cannot be split"))
}

fn hugging_face(
    taken: &mut TakenTensors<'_>,
    Sizes { experts, hidden, inner }: Sizes,
    before: &str,
    [gate, up, down]: [&str; 3],
) -> Result<Vec<MlpWeights>> {
    let fused = format!("{before}.gate_up_proj");
    if !taken.contains(&fused) {
        let of = |expert: usize| {
            let name = |role: &str| format!("{before}.{expert}.{role}");
            Ok(MlpWeights {
                gate: Some(taken.linear(&name(gate), inner, hidden, Bias::None)?),
                up: taken.linear(&name(up), inner, hidden, Bias::None)?,
                down: taken.linear(&name(down), hidden, inner, Bias::None)?,
            })
        };
        return (0..experts).map(of).collect();
    }
    let both = taken.stacked(&fused, [experts, 2 * inner, hidden])?;
    let name = format!("{before}.down_proj");
    let down = taken.stacked(&name, [experts, hidden, inner])?;
    let of = |expert: usize| {
        Ok(MlpWeights {
            gate: Some(plain(rows(&fused, &both, 2 * expert * inner, inner)?)),
            up: plain(rows(&fused, &both, (2 * expert + 1) * inner, inner)?),
            down: plain(rows(&name, &down, expert * hidden, hidden)?),
        })
    };
    (0..experts).map(of).collect()
}

fn gguf(
    taken: &mut TakenTensors<'_>,
    Sizes { experts, hidden, inner }: Sizes,
    name: &dyn Fn(&str) -> String,
) -> Result<Vec<MlpWeights>> {
    let mut stack = |role: &str, of_rows: usize, columns: usize| -> Result<Vec<Linear>> {
        let whole = format!("{}.weight", name(role));
        let bias = format!("{}.bias", name(role));
        let stacked = taken.stacked(&whole, [experts, of_rows, columns])?;
        let biases = match taken.contains(&bias) {
            true => taken.stacked_vectors(&bias, [experts, of_rows])?.into_iter().map(Some).collect(),
            false => vec![None; experts],
        };
        let of = |(expert, bias): (usize, Option<Vec<f32>>)| {
            Ok(Linear { weight: rows(&whole, &stacked, expert * of_rows, of_rows)?, bias })
        };
        biases.into_iter().enumerate().map(of).collect()
    };
    let gates = stack("ffn_gate_exps", inner, hidden)?;
    let ups = stack("ffn_up_exps", inner, hidden)?;
    let downs = stack("ffn_down_exps", hidden, inner)?;
    let parts = gates.into_iter().zip(ups).zip(downs);
    Ok(parts.map(|((gate, up), down)| MlpWeights { gate: Some(gate), up, down }).collect())
}

fn gpt_oss(
    taken: &mut TakenTensors<'_>,
    Sizes { experts, hidden, inner }: Sizes,
    before: &str,
) -> Result<Vec<MlpWeights>> {
    let mut stack = |role: &str, outputs: usize, inputs: usize| -> Result<(Vec<Matrix>, Vec<Vec<f32>>)> {
        let name = format!("{before}.{role}");
        let biases = taken.stacked_vectors(&format!("{name}_bias"), [experts, outputs])?;
        let blocks = format!("{name}_blocks");
        let matrices = if taken.contains(&blocks) {
            let scales = format!("{name}_scales");
            let groups = inputs / MXFP4_VALUES;
            let packed = taken.bytes(&blocks, &[experts, outputs, groups, MXFP4_VALUES / 2])?;
            let scales = taken.bytes(&scales, &[experts, outputs, groups])?;
            let size = outputs * groups;
            let of = |expert: usize| {
                let (blocks, scales) =
                    (&packed[expert * size * 16..][..size * 16], &scales[expert * size..][..size]);
                mxfp4(&blocks_name(&name), blocks, scales, outputs, inputs)
            };
            (0..experts).into_par_iter().map(of).collect::<Result<Vec<_>>>()?
        } else {
            let whole = taken.stacked(&name, [experts, inputs, outputs])?;
            let of = |expert: usize| {
                transposed(&rows(&name, &whole, expert * inputs, inputs)?)
                    .ok_or_else(|| Error::input(format!("tensor {name}"), "F32, F16 or BF16 is expected"))
            };
            (0..experts).into_par_iter().map(of).collect::<Result<Vec<_>>>()?
        };
        Ok((matrices, biases))
    };
    let (both, both_biases) = stack("gate_up_proj", 2 * inner, hidden)?;
    let (down, down_biases) = stack("down_proj", hidden, inner)?;
    // Gate and up take turns.
    let half = |matrix: &Matrix, bias: &[f32], which: usize| {
        let weight = matrix.gather((0..inner).map(|row| 2 * row + which))?;
        let bias = bias.iter().skip(which).step_by(2).copied().collect();
        Some(Linear { weight, bias: Some(bias) })
    };
    let downs = down.into_iter().zip(down_biases);
    let all: Option<Vec<MlpWeights>> = both
        .iter()
        .zip(&both_biases)
        .zip(downs)
        .map(|((both, bias), (down, down_bias))| {
            Some(MlpWeights {
                gate: Some(half(both, bias, 0)?),
                up: half(both, bias, 1)?,
                down: Linear { weight: down, bias: Some(down_bias) },
            })
        })
        .collect();
    all.ok_or_else(|| Error::input(format!("tensor {before}.gate_up_proj"), "its rows cannot be split"))
}

/// Values that share a scale.
const MXFP4_VALUES: usize = 32;

fn blocks_name(name: &str) -> String {
    format!("{name}_blocks")
}

/// Blocks of neighbouring nibbles and their scales as GGML's blocks, whose nibbles stand 16 values apart. `blocks`:
/// [outputs, groups, 16]; `scales`: [outputs, groups].
fn mxfp4(name: &str, blocks: &[u8], scales: &[u8], outputs: usize, inputs: usize) -> Result<Matrix> {
    let refuse = |what: &str| Error::input(format!("tensor {name}"), what);
    if !inputs.is_multiple_of(MXFP4_VALUES) {
        return Err(refuse("rows of a whole number of 32 values are expected"));
    }
    let mut bytes = Vec::with_capacity(scales.len() * 17);
    for (block, &scale) in blocks.chunks_exact(16).zip(scales) {
        let value = |at: usize| block[at / 2] >> (4 * (at % 2)) & 15;
        bytes.push(scale);
        bytes.extend((0..16).map(|at| value(at) | value(at + 16) << 4));
    }
    let range = 0..bytes.len();
    let weight_type = WeightType::Block(BlockFormat::Mxfp4);
    if bytes.chunks_exact(17).any(|block| !BlockFormat::Mxfp4.is_finite(block)) {
        return Err(refuse("finite weights are expected"));
    }
    Matrix::new(Arc::new(bytes), range, weight_type, outputs, inputs)
        .ok_or_else(|| refuse("its size does not fit its shape"))
}

/// The transposed matrix; `None` of blocks.
fn transposed(matrix: &Matrix) -> Option<Matrix> {
    let size = match matrix.weight_type() {
        WeightType::F32 => 4,
        WeightType::F16 | WeightType::Bf16 => 2,
        _ => return None,
    };
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let stored = matrix.bytes();
    let mut bytes = Vec::with_capacity(stored.len());
    for column in 0..columns {
        for row in 0..rows {
            bytes.extend_from_slice(&stored[(row * columns + column) * size..][..size]);
        }
    }
    let range = 0..bytes.len();
    Matrix::new(Arc::new(bytes), range, matrix.weight_type(), columns, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dequantize::rows_to_f32;

    #[test]
    fn blocks_of_four_bits_have_the_values_of_the_format() {
        // E2M1 by its definition: sign, two bits of exponent, one of mantissa.
        let value = |nibble: u8| {
            let (exponent, mantissa) = (nibble >> 1 & 3, f32::from(nibble & 1));
            let size = if exponent == 0 {
                mantissa / 2.0
            } else {
                (1.0 + mantissa / 2.0) * f32::from(1u8 << (exponent - 1))
            };
            if nibble & 8 == 0 { size } else { -size }
        };
        let blocks: Vec<u8> = (0..2 * 2 * 16).map(|at| (at * 37 % 256) as u8).collect();
        let scales = [127, 128, 120, 130];
        let matrix = mxfp4("x", &blocks, &scales, 2, 64).expect("whole blocks");
        let mut got = vec![0.0; 128];
        rows_to_f32(&matrix, 0, &mut got);
        for (at, &got) in got.iter().enumerate() {
            let nibble = blocks[at / 2] >> (4 * (at % 2)) & 15;
            let want = value(nibble) * (f32::from(scales[at / 32]) - 127.0).exp2();
            assert_eq!(got, want, "{at}");
        }
        assert!(mxfp4("x", &blocks, &[255, 127, 127, 127], 2, 64).is_err(), "a scale that is NaN");
    }

    #[test]
    fn a_matrix_is_transposed() {
        let values: Vec<f32> = (0..6).map(|at| at as f32).collect();
        let matrix = transposed(&Matrix::from_f32(&values, 2, 3).expect("it")).expect("floats");
        let mut got = vec![0.0; 6];
        rows_to_f32(&matrix, 0, &mut got);
        assert_eq!((matrix.rows(), got), (3, vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
    }
}
