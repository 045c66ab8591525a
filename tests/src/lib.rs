//! Integration tests of lm-infinite: one binary, one module per subject; and the fuzzing harness, which `examples/fuzz.rs`
//! runs, too.
//!
//! With `LM_INFINITE_SLOW_TESTS=1`, as CI sets it, tests that take minutes run too, and a missing model or text is a
//! failure instead of a message.

pub mod fuzz;

#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "the harness uses a part of what tests use")
)]
mod fixtures;

#[cfg(test)]
mod adapters;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod calibrate;
#[cfg(test)]
mod causes;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod compare;
#[cfg(test)]
mod config_fields;
#[cfg(test)]
mod conversations;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod diagnosis_shards;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod families;
#[cfg(test)]
mod float8;
#[cfg(test)]
mod fuzzed;
#[cfg(test)]
mod gguf_blocks;
#[cfg(test)]
mod gguf_metadata;
#[cfg(test)]
mod gguf_rope;
#[cfg(test)]
mod gguf_split;
#[cfg(test)]
mod goldens;
#[cfg(test)]
mod hub;
#[cfg(test)]
mod inspecting;
#[cfg(test)]
mod kv_types;
#[cfg(test)]
mod loading;
#[cfg(test)]
mod long_runs;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod non_finite;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod passkey_answers;
#[cfg(test)]
mod phenomena;
#[cfg(test)]
mod policy_maps;
#[cfg(test)]
mod precision;
#[cfg(test)]
mod prediction;
#[cfg(test)]
mod prefixes;
#[cfg(test)]
mod python;
#[cfg(test)]
mod results;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod side_files;
#[cfg(test)]
mod smollm2;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod splitters;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tasks;
#[cfg(test)]
mod texts;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod training;
#[cfg(test)]
mod unigram;
#[cfg(test)]
mod whole_models;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: fuzz::memory::Counting = fuzz::memory::Counting;
