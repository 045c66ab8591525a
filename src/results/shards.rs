//! What every kind of result with shards has to check before it adds them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::RunInfo;
use super::storable::Part;
use crate::error::{Error, Result};
use crate::long_run::Shard;

/// Most shards that a message names.
const NAMED_SHARDS: usize = 10;

/// The first of `parts`, which are sorted by shard: they are of one run, and each shard is there once.
///
/// # Errors
/// Parts of different runs; a shard that is missing or there twice.
pub fn same_and_whole<T>(parts: &[Part<T>], shard: impl Fn(&T) -> Shard) -> Result<&Part<T>> {
    let [first, rest @ ..] = parts else {
        return Err(Error::input("merge", "there is no folder to merge"));
    };
    let count = |part: &Part<T>| shard(&part.outcome).count;
    for part in rest {
        same_run((&first.folder, &first.info, count(first)), (&part.folder, &part.info, count(part)))?;
    }
    all_shards(count(first), parts.iter().map(|part| (shard(&part.outcome).index, &part.folder)))?;
    Ok(first)
}

/// The runs of each of `parts`, which are sorted by shard, all in the order of the first part's policies.
///
/// # Errors
/// Parts of different runs; a shard that is missing or there twice; a policy that a part has twice, or that not every part
/// has.
pub fn joined<T, R>(
    parts: &[Part<T>],
    shard: impl Fn(&T) -> Shard,
    runs: impl Fn(&T) -> &[R],
    policy: impl Fn(&R) -> &str,
) -> Result<Vec<Vec<&R>>> {
    let first = same_and_whole(parts, shard)?;
    let policies: Vec<&str> = runs(&first.outcome).iter().map(&policy).collect();
    let missing = |policy: &str, of: &Path, other: &Path| {
        let reason = format!("it has nothing of policy {policy}, which `{}` has", other.display());
        Err(Error::input(format!("`{}`", of.display()), reason))
    };
    let mut all = Vec::new();
    for part in parts {
        let mut named = BTreeMap::new();
        for run in runs(&part.outcome) {
            if named.insert(policy(run), run).is_some() {
                let reason = format!("it has policy {} twice; which is which cannot be told", policy(run));
                return Err(Error::input(format!("`{}`", part.folder.display()), reason));
            }
        }
        let mut in_order = Vec::new();
        for policy in &policies {
            match named.remove(policy) {
                Some(run) => in_order.push(run),
                None => return missing(policy, &part.folder, &first.folder),
            }
        }
        if let Some(policy) = named.keys().next() {
            return missing(policy, &first.folder, &part.folder);
        }
        all.push(in_order);
    }
    Ok(all)
}

/// Refuses shards of two different runs, and says in what they differ. Each is (folder, run, number of shards).
fn same_run(a: (&Path, &RunInfo, u64), b: (&Path, &RunInfo, u64)) -> Result<()> {
    let fields = |(_, info, count): (&Path, &RunInfo, u64)| {
        let labels: Vec<&str> = info.policies.keys().map(String::as_str).collect();
        let digest = |digest: &Option<String>| digest.clone().unwrap_or_else(|| "none".into());
        [
            ("number of shards", count.to_string()),
            ("model", info.model.name.clone()),
            ("digest of the model", digest(&info.model.sha256)),
            ("digest of the text", digest(&info.text.sha256)),
            ("tokens", info.tokens.to_string()),
            ("seed", info.seed.to_string()),
            ("precision", info.precision.to_string()),
            ("generator of random numbers", info.generator.clone().unwrap_or_else(|| "not named".into())),
            ("policies", labels.join(" and ")),
            ("meaning of the policies", format!("{:?}", info.policies)),
        ]
    };
    for ((field, first), (_, second)) in fields(a).into_iter().zip(fields(b)) {
        if first != second {
            let reason =
                format!("it is of another run than `{}`: {field} {second} instead of {first}", a.0.display());
            return Err(Error::input(format!("`{}`", b.0.display()), reason));
        }
    }
    Ok(())
}

/// Refuses a number of shards that is not each of `count` once. `parts` are sorted.
fn all_shards<'a>(count: u64, parts: impl Iterator<Item = (u64, &'a PathBuf)>) -> Result<()> {
    let mut seen: BTreeMap<u64, &Path> = BTreeMap::new();
    for (index, folder) in parts {
        if let Some(other) = seen.insert(index, folder) {
            let reason = format!("shard {index}/{count} is there twice: `{}` and this", other.display());
            return Err(Error::input(format!("`{}`", folder.display()), reason));
        }
        if index >= count {
            let reason = format!("shard {index}/{count}: shards are counted from 0 to {count} − 1");
            return Err(Error::input(format!("`{}`", folder.display()), reason));
        }
    }
    let missing: Vec<String> = (0..count)
        .filter(|index| !seen.contains_key(index))
        .take(NAMED_SHARDS)
        .map(|index| format!("{index}/{count}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let more = if seen.len() as u64 + (missing.len() as u64) < count { " and more" } else { "" };
    let verb = if missing.len() == 1 && more.is_empty() { "shard is" } else { "shards are" };
    Err(Error::input(
        "merge",
        format!(
            "{verb} missing: {}{more}; each is read by `--shard` with the options of the others",
            missing.join(", ")
        ),
    ))
}
