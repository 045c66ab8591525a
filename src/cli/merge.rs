//! `merge`: the shards of a run, joined.

use std::ffi::OsString;
use std::path::PathBuf;

use super::args::Merge;
use super::output::Output;
use crate::error::Error;
use crate::results;

/// Runs the command.
pub fn run(args: &Merge, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    // What does not exist has no path to compare, and is told of when it is read.
    let real = |path: &PathBuf| path.canonicalize().ok();
    if let Some(folder) =
        args.folders.iter().find(|&folder| real(folder).is_some_and(|at| real(&args.out) == Some(at)))
    {
        let reason = "it is one of the folders to merge, and would be lost";
        return Err(Error::input(format!("--out `{}`", folder.display()), reason).into());
    }
    let command: Vec<String> =
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let merged = results::merge_folders(&args.folders, &args.out, &command)?;
    output.write(&format!("{}\nresults in {}", merged.summary, args.out.display()), &merged.data)
}
