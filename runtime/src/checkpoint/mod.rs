//! From a name, file or folder to a decoder: one reader for each format and family fills [`crate::model`].

mod adapter;
mod check;
mod experts;
mod families;
mod gguf_families;
mod gguf_folder;
mod gguf_fused;
mod gguf_keys;
mod gguf_rope;
mod gguf_scales;
mod hf_rope;
mod hf_quantization;
mod inspect;
mod load;
mod loaded;
mod own_attention;
mod random_weights;
mod reader_gguf;
mod random_shapes;
mod reader_hf;
mod reader_llama;
mod taken;

pub use inspect::{Inspection, TensorGroup, TokenizerSummary, inspect};
pub use load::load;
pub use loaded::LoadedModel;
