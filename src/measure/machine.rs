//! The machine: what it can do at most, and what this process takes of it.

use std::time::Instant;

use lm_infinite_runtime::kernels::matmul::{View, multiply};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The machine's own limits, measured now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// f32 matrix products of 1024³, one per thread at once, in 10⁹ floating point operations per second.
    pub gemm_gflops: f64,
    /// Copying from memory to memory on all threads, bytes read plus bytes written, in 10⁹ per second.
    pub copy_gbps: f64,
    /// Threads used.
    pub threads: usize,
}

impl Limits {
    /// Measures for about a second.
    pub fn measure() -> Self {
        let threads = rayon::current_num_threads();
        Self { gemm_gflops: gemm_gflops(threads), copy_gbps: copy_gbps(threads), threads }
    }
}

fn gemm_gflops(threads: usize) -> f64 {
    const N: usize = 1024;
    let a = vec![0.5f32; N * N];
    let mut outputs = vec![vec![0.0f32; N * N]; threads];
    let operations = 2.0 * (N as f64).powi(3) * threads as f64;
    best_rate(operations, 8, || {
        outputs.par_iter_mut().for_each(|out| {
            multiply(View::new(&a, N, N, N), View::new(&a, N, N, N).transposed(), out, N, false);
        });
    }) / 1e9
}

fn copy_gbps(threads: usize) -> f64 {
    const BYTES: usize = 64 << 20;
    let mut buffers = vec![(vec![1u8; BYTES], vec![0u8; BYTES]); threads];
    best_rate(2.0 * (BYTES * threads) as f64, 8, || {
        buffers.par_iter_mut().for_each(|(from, to)| to.copy_from_slice(std::hint::black_box(from)));
    }) / 1e9
}

fn best_rate(amount: f64, rounds: usize, mut work: impl FnMut()) -> f64 {
    work();
    let once = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        amount / start.elapsed().as_secs_f64()
    };
    (0..rounds).map(|_| once(&mut work)).fold(0.0, f64::max)
}

/// Forgets the peak so far, so that [`peak_rss_bytes`] speaks of what comes next. Linux only; elsewhere the peak is
/// that of the whole process.
pub fn reset_peak_rss() {
    if cfg!(target_os = "linux") {
        // Where the kernel refuses, the peak stays what it was: an upper bound.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }
}

/// Resident memory of this process, mapped files included; `None` where the system does not tell.
pub fn rss_bytes() -> Option<u64> {
    of_status("VmRSS:")
}

/// Largest resident memory of this process, mapped files included; `None` where the system does not tell.
pub fn peak_rss_bytes() -> Option<u64> {
    of_status("VmHWM:")
}

fn of_status(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The processor's name, where the system tells.
pub fn processor() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
