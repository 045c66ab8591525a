//! Decoders that read and write texts of any length: checkpoints, tokenizers, attention under a policy, sessions.
//!
//! A model is [loaded](checkpoint::load) from a GGUF file or a Hugging Face folder into a [`session::Decoder`]. A
//! [`session::Session`] feeds tokens to it under an [`policy::AttentionPolicy`], which says what LM-Infinite
//! (arXiv 2308.16137) or another method changes about attention, and a [`probe::Probe`] watches it while it runs.

pub mod attention;
pub mod attention_window;
mod cache;
pub mod checkpoint;
pub mod corpus;
pub mod digest;
pub mod error;
// For the crates of this workspace, as `kernels`.
#[doc(hidden)]
pub mod files;
mod formats;
mod free_memory;
pub mod generate;
pub mod hub;
// For the crates of this workspace: what it holds may change with any version.
#[doc(hidden)]
pub mod kernels;
pub mod model;
pub mod note;
mod offload;
pub mod policy;
pub mod position;
pub mod probe;
pub mod random;
pub mod sampler;
pub mod session;
pub mod text;
pub mod tokenizer;

pub use error::{Error, Result};
