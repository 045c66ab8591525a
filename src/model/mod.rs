//! A decoder described by data: configuration, weights, and the readers that fill both from files.

pub mod config;
pub mod decoder;
pub mod weights;

pub use config::ModelConfig;
pub use decoder::Decoder;
pub use weights::{LayerWeights, Matrix, ModelWeights, WeightType};
