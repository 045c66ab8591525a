//! Numbers that documents write down are those that the commands beside them give, at the digits written.
//!
//! A document says in a comment, which readers do not see, where its numbers come from:
//!
//! ```text
//! <!-- numbers
//! $ theory                                         a command, run with --json
//! /claims/0/measured 67.0                          a JSON pointer, and the number as the text above has it
//! /runs/0/accuracy*100 36                          the same in percent
//! @ results/table-5-k/sweep.csv                    or a table of this folder
//! value=5:accuracy 1.00                            the row, and the column
//! -->
//! ```
//!
//! Commands that take more than seconds stand behind `$$` and run among the slow tests alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{program, slow_tests};

/// Where numbers come from.
enum Source {
    Json(Value),
    /// Rows by column.
    Table(Vec<BTreeMap<String, String>>),
    /// A slow command in a fast run.
    Skipped,
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = vec![root.join("README.md"), root.join("docs/results/README.md")];
    for entry in std::fs::read_dir(root.join("docs")).expect("docs") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found
}

fn run(command: &str) -> Source {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = command.split_whitespace().chain(["--json"]);
    let output = program().args(arguments).current_dir(folder.path()).output().expect("the program starts");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    Source::Json(serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn table(path: &Path) -> Source {
    let mut reader = csv::Reader::from_path(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let rows = reader.deserialize().collect::<Result<Vec<BTreeMap<String, String>>, _>>();
    Source::Table(rows.unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// The number at `place`, times what stands behind a `*`.
fn value(source: &Source, place: &str) -> Option<f64> {
    let (place, factor) = place.rsplit_once('*').unwrap_or((place, "1"));
    let factor: f64 = factor.parse().ok()?;
    let value = match source {
        Source::Json(json) => json.pointer(place)?.as_f64()?,
        Source::Table(rows) => {
            let (row, column) = place.rsplit_once(':')?;
            let wanted: Vec<(&str, &str)> =
                row.split(';').map(|cell| cell.split_once('=')).collect::<Option<_>>()?;
            let mut rows = rows
                .iter()
                .filter(|row| wanted.iter().all(|&(name, value)| row.get(name).is_some_and(|v| v == value)));
            let row = rows.next()?;
            assert!(rows.next().is_none(), "{place}: more than one row");
            row.get(column)?.parse().ok()?
        }
        Source::Skipped => return None,
    };
    Some(value * factor)
}

/// `value` with as many decimals as `literal` has.
fn written_like(value: f64, literal: &str) -> String {
    let decimals = literal.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let sign = if literal.starts_with('+') && value >= 0.0 { "+" } else { "" };
    let text = format!("{sign}{value:.decimals$}").replace('-', "−");
    // A thousand and more is grouped where the literal is.
    if literal.contains(',') { grouped(&text) } else { text }
}

fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.split_at(digits.len() - digits.trim_start_matches(['+', '−']).len());
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    format!("{sign}{out}")
}

#[test]
fn numbers_of_the_documents_are_those_of_their_commands() {
    let mut known: BTreeMap<String, Source> = BTreeMap::new();
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document");
        let name = document.file_name().expect("a name").to_string_lossy().into_owned();
        let mut parts = text.split("<!-- numbers\n");
        let mut visible = parts.next().unwrap_or_default().to_owned();
        let blocks: Vec<&str> = parts
            .map(|part| {
                let (block, rest) = part.split_once("-->").expect("the end of the comment");
                visible.push_str(rest);
                block
            })
            .collect();
        for line in
            blocks.into_iter().flat_map(str::lines).map(str::trim).scan(String::new(), |source, line| {
                if line.starts_with(['$', '@']) {
                    *source = line.to_owned();
                    return Some(None);
                }
                Some((!line.is_empty()).then(|| (source.clone(), line)))
            })
        {
            let Some((source, line)) = line else { continue };
            let loaded = known.entry(source.clone()).or_insert_with(|| match source.split_once(' ') {
                Some(("$", command)) => run(command.trim()),
                Some(("$$", command)) if slow_tests() => run(command.trim()),
                Some(("$$", _)) => Source::Skipped,
                Some(("@", path)) => table(&document.parent().expect("a folder").join(path.trim())),
                _ => panic!("{name}: `{source}` is no source of numbers"),
            });
            if matches!(loaded, Source::Skipped) {
                continue;
            }
            let (place, literal) = line.split_once(' ').unwrap_or_else(|| panic!("{name}: `{line}`"));
            let literal = literal.trim();
            checked += 1;
            match value(loaded, place) {
                None => wrong.push(format!("{name}: {source}: nothing at {place}")),
                Some(found) if written_like(found, literal) != literal => {
                    wrong.push(format!("{name}: {source}: {place} is {found}, the text says {literal}"));
                }
                Some(_) if !visible.contains(literal) => {
                    wrong.push(format!("{name}: {literal} ({place}) is not in the text"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(checked > 0, "no document says where its numbers come from");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn numbers_are_compared_at_their_digits() {
    for (value, literal, equal) in [
        (2.3851, "2.385", true),
        (2.3851, "2.38", false),
        (2.381, "+2.38", true),
        (-0.37, "−0.37", true),
        (0.3649, "0.36", true),
        (12_288.0, "12,288", true),
        (12_289.0, "12,288", false),
    ] {
        assert_eq!(written_like(value, literal) == literal, equal, "{value} {literal}");
    }
}
