//! lm-infinite: measure why a language model breaks past its training length, and run it with the fix.
//!
//! The paper is LM-Infinite (arXiv 2308.16137).

#[cfg(feature = "cli")]
pub mod cli;
pub mod error;
pub mod figures;
mod measure;
pub mod results;
#[cfg(test)]
mod testing;
mod words;

pub use lm_infinite_analysis as analysis;
pub use lm_infinite_runtime::{
    attention, attention_window, checkpoint, corpus, digest, files, generate, hub, model, note, policy,
    position, probe, random, sampler, session, text, tokenizer,
};
pub use lm_infinite_train as train;

pub use error::{Error, Result};
pub use measure::{
    ablation, bench, calibrate, causes, compare, cost, diagnose, evaluate, long_run, machine, method,
    needles, passkey, prediction, qasper, reference_bias, scores,
};

/// The program in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
