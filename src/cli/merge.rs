//! `merge`: the shards of a long run, joined.

use std::ffi::OsString;

use super::args::Merge;
use super::output::Output;
use crate::error::Error;
use crate::results;

/// Runs the command.
pub fn run(args: &Merge, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    results::check_target(&args.out)?;
    let (result, mut info) = results::merge_long(&args.folders)?;
    info.command = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    std::fs::create_dir_all(&args.out).map_err(Error::io(&args.out))?;
    results::write_long(&args.out, &result, &info)?;
    let words = format!("{}\nresults in {}", result.summary(), args.out.display());
    output.write(&words, &result.to_json(&args.out))
}
