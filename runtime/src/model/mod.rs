//! What a decoder is, as data: configuration and weights. Readers fill both from files, a session runs them.

pub mod config;
pub mod weights;

pub use config::ModelConfig;
pub use weights::{LayerWeights, Matrix, ModelWeights, WeightType};
