//! A decoder described by data: configuration, weights, and the readers that fill both from files.

mod check;
pub mod config;
pub mod decoder;
mod finite;
pub mod gguf;
pub mod inspect;
pub(crate) mod json;
pub mod load;
pub(crate) mod mapped;
mod reader_gguf;
pub(crate) mod reader_hf;
mod reader_llama;
pub(crate) mod safetensors;
pub mod tensors;
pub mod weights;

pub use config::ModelConfig;
pub use decoder::Decoder;
pub use inspect::{Inspection, inspect};
pub use load::{LoadedModel, load};
pub use weights::{LayerWeights, Matrix, ModelWeights, WeightType};
