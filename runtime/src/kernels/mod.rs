//! Arithmetic on slices. Everything model-specific lives above; everything CPU-specific lives here.
//!
//! Instructions are chosen at run time: matrix products by the `gemm` crate, the rest by `multiversion`, which compiles
//! each marked function once per instruction set; products of block-quantized rows are written out by hand ([`level`]).
//! Work is split by shape alone, never by the number of threads, so results do not depend on `--threads`.

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod backward;
pub(crate) mod blocks;
pub mod brains;
mod codebooks;
pub mod dequantize;
pub mod elementwise;
pub mod few_rows;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod formats;
pub mod integer;
#[cfg(target_arch = "x86_64")]
mod lanes;
pub mod level;
pub mod linear;
pub mod matmul;
pub mod matvec;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod packed;
pub mod precision;
pub mod rotary;
