//! lm-infinite: measure why a language model breaks past its training length, and run it with the fix.
//!
//! The paper is LM-Infinite (arXiv 2308.16137).

pub mod digest;
pub mod error;
pub mod hub;
pub mod model;
pub mod policy;
pub mod probe;
pub mod sampler;
pub mod text;
pub mod tokenizer;

pub use error::{Error, Result};
