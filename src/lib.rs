//! lm-infinite: measure why a language model breaks past its training length, and run it with the fix.
//!
//! The paper is LM-Infinite (arXiv 2308.16137).

pub mod ablation;
pub mod archive;
pub mod attention;
pub mod attention_window;
pub mod bench;
pub mod cache;
pub mod cli;
pub mod corpus;
pub mod diagnose;
pub mod digest;
pub mod error;
pub mod evaluate;
pub mod figures;
pub mod files;
pub mod generate;
pub mod hub;
pub mod kernels;
pub mod long_run;
pub mod machine;
pub mod method;
pub mod model;
pub mod passkey;
pub mod policy;
pub mod position;
pub mod probe;
pub mod qasper;
pub mod results;
pub mod sampler;
pub mod scores;
pub mod session;
pub mod text;
pub mod tokenizer;
pub mod train;

pub use error::{Error, Result};

/// The program in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
