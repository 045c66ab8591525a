//! lm-infinite: measure why a language model breaks past its training length, and run it with the fix.
//!
//! The paper is LM-Infinite (arXiv 2308.16137).

pub mod ablation;
pub mod bench;
pub mod cli;
pub mod diagnose;
pub mod error;
pub mod evaluate;
pub mod figures;
pub mod long_run;
pub mod machine;
pub mod method;
pub mod passkey;
pub mod qasper;
pub mod results;
pub mod scores;
mod words;

pub use lm_infinite_analysis as analysis;
pub use lm_infinite_runtime::{
    archive, attention, attention_window, cache, checkpoint, corpus, digest, files, formats, generate, hub,
    kernels, model, policy, position, probe, sampler, session, text, tokenizer,
};
pub use lm_infinite_train as train;

pub use error::{Error, Result};

/// The program in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
