//! Weights as they lie in the file: mapped bytes with a type and a shape. Nothing is converted at load time.

use std::ops::Range;
use std::sync::Arc;

use super::block_format::BlockFormat;
use super::kv_type::KvType;
use super::packed::Packed;

/// Element type of a stored matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightType {
    /// 32-bit float.
    F32,
    /// IEEE half.
    F16,
    /// bfloat16.
    Bf16,
    /// A GGML block format of candle, other than the floats above.
    Quantized(candle_core::quantized::GgmlDType),
    /// A GGML block format that candle has not.
    Block(BlockFormat),
}

impl WeightType {
    /// Elements per block and bytes per block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Quantized(t) => (t.block_size(), t.type_size()),
            Self::Block(format) => format.block(),
        }
    }
}

/// A mapped file or a buffer, whose bytes stay where they are.
pub trait Held: AsRef<[u8]> + Send + Sync {
    /// The bytes of `range` are not needed for now: memory that only repeats a file may be given back, and is read from it again when it
    /// is.
    fn release(&self, range: Range<usize>) {
        let _ = range;
    }
}

impl Held for Vec<u8> {}
impl Held for &'static [u8] {}

/// Bytes that stay where they are.
pub type Bytes = Arc<dyn Held>;

/// A row-major matrix of shape [rows, columns] as stored; row `r` is the weights of output `r`.
#[derive(Clone)]
pub struct Matrix {
    bytes: Bytes,
    range: Range<usize>,
    weight_type: WeightType,
    rows: usize,
    columns: usize,
    packed: Option<Arc<Packed>>,
}

impl Matrix {
    /// A view of `bytes[range]`; `None` unless the range lies inside `bytes` and has exactly the bytes that the shape
    /// and type ask for (columns a multiple of the block length).
    pub fn new(
        bytes: Bytes,
        range: Range<usize>,
        weight_type: WeightType,
        rows: usize,
        columns: usize,
    ) -> Option<Self> {
        let (block, block_bytes) = weight_type.block();
        let expected = columns
            .is_multiple_of(block)
            .then(|| (columns / block).checked_mul(block_bytes)?.checked_mul(rows))??;
        let inside = range.start <= range.end && range.end <= (*bytes).as_ref().len();
        (inside && range.len() == expected).then_some(Self {
            bytes,
            range,
            weight_type,
            rows,
            columns,
            packed: None,
        })
    }

    /// A matrix of `f32` values held in memory.
    pub fn from_f32(values: &[f32], rows: usize, columns: usize) -> Option<Self> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let range = 0..bytes.len();
        Self::new(Arc::new(bytes), range, WeightType::F32, rows, columns)
    }

    /// The same weights, packed for integer products.
    pub fn packed(&self) -> Option<&Packed> {
        self.packed.as_deref()
    }

    /// The same matrix, which has `packed` beside it: its own weights in another order, which are read in their place.
    #[must_use]
    pub fn with_packed(self, packed: Arc<Packed>) -> Self {
        self.bytes.release(self.range.clone());
        Self { packed: Some(packed), ..self }
    }

    /// Number of outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of inputs.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Element type.
    pub fn weight_type(&self) -> WeightType {
        self.weight_type
    }

    /// All bytes, row after row.
    pub fn bytes(&self) -> &[u8] {
        &(*self.bytes).as_ref()[self.range.clone()]
    }

    /// `count` rows from `first` on, of the same bytes; `None` where there are fewer.
    pub fn slice(&self, first: usize, count: usize) -> Option<Self> {
        let end = first.checked_add(count).filter(|&end| end <= self.rows)?;
        let at = |row: usize| self.range.start + row * self.row_bytes();
        Self::new(self.bytes.clone(), at(first)..at(end), self.weight_type, count, self.columns)
    }

    /// A copy of these rows, in this order; `None` where one is missing.
    pub fn gather(&self, rows: impl Iterator<Item = usize>) -> Option<Self> {
        let (width, mut bytes, mut count) = (self.row_bytes(), Vec::new(), 0);
        for row in rows {
            bytes.extend_from_slice(self.bytes().get(row * width..(row + 1) * width)?);
            count += 1;
        }
        let range = 0..bytes.len();
        Self::new(Arc::new(bytes), range, self.weight_type, count, self.columns)
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        let (block, block_bytes) = self.weight_type.block();
        self.columns / block * block_bytes
    }
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matrix[{}, {}] {:?}", self.rows, self.columns, self.weight_type)
    }
}

/// Weights of a norm.
#[derive(Clone, Debug, PartialEq)]
pub struct NormWeights {
    /// Factors. `[width]`
    pub weight: Vec<f32>,
    /// What is added behind them, where the norm has it. `[width]`
    pub bias: Option<Vec<f32>>,
}

impl From<Vec<f32>> for NormWeights {
    fn from(weight: Vec<f32>) -> Self {
        Self { weight, bias: None }
    }
}

/// Weights of one block. Names follow the roles, not any checkpoint.
#[derive(Clone, Debug)]
pub struct LayerWeights {
    /// `[hidden]`; `None` where attention reads the residual stream as it is (OLMo 2).
    pub attention_norm: Option<NormWeights>,
    /// [heads · head_dim, hidden]
    pub query: Linear,
    /// [kv_heads · head_dim, hidden]
    pub key: Linear,
    /// [kv_heads · head_dim, hidden]
    pub value: Linear,
    /// [hidden, heads · head_dim]
    pub output: Linear,
    /// Of what attention adds to the residual stream, where that is normalized (Gemma 2). `[hidden]`
    pub attention_post_norm: Option<NormWeights>,
    /// Of queries and of keys, where they are normalized: the same for each head `[head_dim]`, or all heads together, or each
    /// head's own, `[heads · head_dim]`, `[kv_heads · head_dim]`.
    pub query_key_norm: Option<[Vec<f32>; 2]>,
    /// Logits of the learned sinks, where heads have them. `[heads]`
    pub sinks: Option<Vec<f32>>,
    /// `[hidden]`; `None` where the MLP reads what attention reads, or in a sequential block the residual stream as it is.
    pub mlp_norm: Option<NormWeights>,
    /// The MLP, or the experts in its place.
    pub feed_forward: FeedForward,
    /// Of what the MLP adds to the residual stream, where that is normalized (Gemma 2). `[hidden]`
    pub mlp_post_norm: Option<NormWeights>,
}

/// What stands behind attention in a block.
#[derive(Clone, Debug)]
pub enum FeedForward {
    /// One, that every token goes through.
    Dense(MlpWeights),
    /// Some, of which a token goes through those that the router says.
    Experts(ExpertWeights),
}

impl FeedForward {
    /// The one, where every token goes through it.
    pub fn dense(&self) -> Option<&MlpWeights> {
        match self {
            Self::Dense(weights) => Some(weights),
            Self::Experts(_) => None,
        }
    }

    /// The same, to be changed.
    pub fn dense_mut(&mut self) -> Option<&mut MlpWeights> {
        match self {
            Self::Dense(weights) => Some(weights),
            Self::Experts(_) => None,
        }
    }
}

/// Weights of an MLP, or of one expert.
#[derive(Clone, Debug)]
pub struct MlpWeights {
    /// [intermediate, hidden]; `None` where it has no gate.
    pub gate: Option<Linear>,
    /// [intermediate, hidden]
    pub up: Linear,
    /// [hidden, intermediate]
    pub down: Linear,
}

/// Weights of a mixture of experts.
#[derive(Clone, Debug)]
pub struct ExpertWeights {
    /// Its logits say which experts a token goes through. [experts, hidden]
    pub router: Linear,
    /// `[experts]`
    pub experts: Vec<MlpWeights>,
}

/// A matrix and its optional bias of shape `[rows]`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// [rows, columns]
    pub weight: Matrix,
    /// `[rows]`
    pub bias: Option<Vec<f32>>,
}

/// All weights of a decoder.
#[derive(Clone, Debug)]
pub struct ModelWeights {
    /// [vocabulary, hidden]
    pub embedding: Matrix,
    /// Added to the rows of the embedding, where positions are learned. [positions, hidden]
    pub position_embedding: Option<Matrix>,
    /// Of what the embedding gives, where it is normalized (BLOOM). `[hidden]`
    pub embedding_norm: Option<NormWeights>,
    /// One per block.
    pub layers: Vec<LayerWeights>,
    /// `[hidden]`
    pub final_norm: NormWeights,
    /// [vocabulary, hidden]; the embedding itself where embeddings are tied.
    pub head: Matrix,
    /// Added to the logits, where the head has it (GPT-J). `[vocabulary]`
    pub head_bias: Option<Vec<f32>>,
}

impl ModelWeights {
    /// Every matrix that tokens are multiplied with, but for the routers of experts.
    pub fn matrices_mut(&mut self) -> impl Iterator<Item = &mut Matrix> {
        self.layers.iter_mut().flat_map(LayerWeights::matrices_mut).chain([&mut self.head])
    }

    /// The type in which keys and values lose no more than the matrices have lost that they come from: F16, which has more
    /// significant bits than Bf16, where those are of 16 bits, and `quantized` where they are of fewer.
    pub fn kv_type(&self, quantized: KvType) -> KvType {
        match self.layers.first().map(|layer| layer.key.weight.weight_type()) {
            None | Some(WeightType::F32) => KvType::F32,
            Some(WeightType::F16 | WeightType::Bf16) => KvType::F16,
            Some(WeightType::Quantized(_) | WeightType::Block(_)) => quantized,
        }
    }
}

impl LayerWeights {
    fn matrices_mut(&mut self) -> Vec<&mut Matrix> {
        let Self { query, key, value, output, feed_forward, .. } = self;
        let mut all = vec![&mut query.weight, &mut key.weight, &mut value.weight, &mut output.weight];
        match feed_forward {
            FeedForward::Dense(weights) => all.extend(weights.matrices_mut()),
            FeedForward::Experts(weights) => {
                all.extend(weights.experts.iter_mut().flat_map(MlpWeights::matrices_mut));
            }
        }
        all
    }
}

impl MlpWeights {
    fn matrices_mut(&mut self) -> impl Iterator<Item = &mut Matrix> {
        let Self { gate, up, down } = self;
        gate.iter_mut().chain([up, down]).map(|linear| &mut linear.weight)
    }
}
