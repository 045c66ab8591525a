//! Integration tests of lm-infinite: one binary, one module per subject.
//!
//! With `LM_INFINITE_SLOW_TESTS=1`, as CI sets it, tests that take minutes run too, and a missing model or text is a
//! failure instead of a message.
#![cfg(test)]

mod bad_input;
mod claims;
mod cli;
mod compare;
mod corpus;
mod docs;
mod fixtures;
mod goldens;
mod loading;
mod long_runs;
mod memory;
mod oracle;
mod phenomena;
mod python;
mod sessions;
mod smollm2;
mod snapshots;
mod support;
mod tasks;
mod training;
