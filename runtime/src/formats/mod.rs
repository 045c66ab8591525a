//! Files of models as bytes, numbers and names: mapped, parsed, and checked against their own length. What the numbers mean
//! for a decoder is decided in [`crate::checkpoint`].

pub(crate) mod embedded;
mod finite;
pub(crate) mod float8;
pub(crate) mod folder;
pub mod gguf;
pub(crate) mod json;
pub(crate) mod mapped;
pub(crate) mod safetensors;
pub(crate) mod sentencepiece_model;
pub mod tensors;
