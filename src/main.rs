//! The command line program; see [`lm_infinite::cli`].

fn main() -> std::process::ExitCode {
    lm_infinite::cli::run(std::env::args_os())
}
