//! `completions` and `manual`: the command line as files of the shell and of `man`.

use serde_json::json;

use super::args::{self, Completions, Manual};
use super::output::Output;
use crate::error::Error;

/// Writes the completions of a shell to standard output, where JSON is asked for in an object with the name of the shell.
pub fn completions(args: &Completions, output: &Output) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "lm-infinite", &mut script);
    let script = String::from_utf8(script)?;
    output.write(&script, &json!({ "shell": args.shell.to_string(), "script": script }))
}

/// Writes one man page for the program and one for each command.
pub fn pages(args: &Manual, output: &Output) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.folder).map_err(Error::io(&args.folder))?;
    clap_mangen::generate_to(args::command(), &args.folder).map_err(Error::io(&args.folder))?;
    let folder = args.folder.display();
    output.write(
        &format!("man pages in {folder}; `man -l {folder}/lm-infinite.1` shows one"),
        &json!({ "out": args.folder }),
    )
}
