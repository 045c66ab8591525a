//! The program; see [`lm_infinite_gui`].

use std::process::ExitCode;

fn main() -> ExitCode {
    match lm_infinite_gui::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure:#}");
            ExitCode::FAILURE
        }
    }
}
