//! Integration tests of lm-infinite: one binary, one module per subject.
//!
//! With `LM_INFINITE_SLOW_TESTS=1`, as CI sets it, tests that take minutes run too, and a missing model or text is a
//! failure instead of a message.
#![cfg(test)]

mod cli;
mod compare;
mod goldens;
mod memory;
mod oracle;
mod smollm2;
mod support;
