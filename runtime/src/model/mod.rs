//! What a decoder is, as data: configuration and weights. Readers fill both from files, a session runs them.

pub mod block_format;
pub mod config;
pub(crate) mod identity;
pub mod kv_type;
pub mod packed;
pub mod weights;

pub use block_format::BlockFormat;
pub use config::ModelConfig;
pub use identity::ModelDigest;
pub use kv_type::KvType;
pub use weights::{LayerWeights, Linear, Matrix, ModelWeights, NormWeights, WeightType};
