//! `merge`: the shards of a long run, joined.

use std::ffi::OsString;
use std::path::PathBuf;

use super::args::Merge;
use super::output::Output;
use crate::error::Error;
use crate::results;

/// Runs the command.
pub fn run(args: &Merge, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    results::check_target(&args.out)?;
    // What does not exist has no path to compare, and is told of when it is read.
    let real = |path: &PathBuf| path.canonicalize().ok();
    if let Some(folder) =
        args.folders.iter().find(|&folder| real(folder).is_some_and(|at| real(&args.out) == Some(at)))
    {
        let reason = "it is one of the folders to merge, and would be lost";
        return Err(Error::input(format!("--out `{}`", folder.display()), reason).into());
    }
    let (result, mut info) = results::merge_long(&args.folders)?;
    info.command = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    std::fs::create_dir_all(&args.out).map_err(Error::io(&args.out))?;
    results::write_long(&args.out, &result, &info)?;
    let words = format!("{}\nresults in {}", result.summary(), args.out.display());
    output.write(&words, &result.to_json(&args.out))
}
