//! lm-infinite: measure why a language model breaks past its training length, and run it with the fix.
//!
//! The paper is LM-Infinite (arXiv 2308.16137).

pub mod diagnose;
pub mod error;
pub mod figures;
pub mod model;
pub mod policy;
pub mod probe;

pub use error::{Error, Result};
pub mod results;
