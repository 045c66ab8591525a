//! lm-infinite: measure why a language model breaks past its training length, and run it with the fix.
//!
//! The paper is LM-Infinite (arXiv 2308.16137).

pub mod attention;
pub mod cache;
pub mod error;
pub mod files;
pub mod kernels;
pub mod model;
pub mod policy;
pub mod position;
pub mod probe;
pub mod session;

pub use error::{Error, Result};
