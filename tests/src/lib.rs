//! Integration tests of lm-infinite: one binary, one module per subject.
#![cfg(test)]

mod bad_input;
mod fixtures;
mod loading;
