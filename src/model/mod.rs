//! A decoder described by data: configuration, weights, and the readers that fill both from files.

pub mod config;
pub mod weights;

pub use config::ModelConfig;
pub use weights::{LayerWeights, Matrix, ModelWeights, WeightType};
