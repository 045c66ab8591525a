//! From a name, file or folder to a decoder: one reader for each format and family fills [`crate::model`].

mod adapter;
mod adapter_modules;
mod check;
mod experts;
mod families;
mod gguf_families;
mod gguf_folder;
mod gguf_fused;
mod gguf_keys;
mod gguf_rope;
mod gguf_scales;
mod hf_quantization;
mod hf_rope;
mod inspect;
mod load;
mod loaded;
mod own_attention;
mod random_shapes;
mod random_weights;
mod reader_gguf;
mod reader_hf;
mod reader_llama;
mod taken;

pub use inspect::{Inspection, TensorGroup, TokenizerSummary, inspect, inspect_ignoring};
pub use load::{load, load_ignoring};
pub use loaded::LoadedModel;
