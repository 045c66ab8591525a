//! Tiny models made on the spot: random Llamas as Hugging Face folders and as GGUF files, whole or with anything in
//! them changed.

mod gguf;
mod llama;
#[cfg(test)]
pub mod one_cause;
mod safetensors;
mod vocabulary;

pub use gguf::{GgufFile, GgufTensor, Value};
pub use llama::{TinyConfig, TinyLlama, float_bytes, write_json};
pub use safetensors::SafetensorsFile;
pub use vocabulary::Vocabulary;
