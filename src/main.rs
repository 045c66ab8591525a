//! The command line program; see [`lm_infinite::cli`].

fn main() -> std::process::ExitCode {
    one_thread_per_candle_operation();
    lm_infinite::cli::run(std::env::args_os())
}

/// candle splits large element-wise operations among threads of its own, which spin. All parallel work here is of whole
/// micro-batches, on all cores already: training is a third faster without. There is no other way to tell candle.
#[expect(clippy::disallowed_methods, reason = "no other thread exists yet that could read the environment")]
fn one_thread_per_candle_operation() {
    // SAFETY: called first thing in `main`, on its only thread.
    unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
}
