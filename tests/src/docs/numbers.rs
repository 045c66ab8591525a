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
//! @ results/efficiency/run.json                    or JSON of this folder
//! -->
//! ```
//!
//! Commands that take more than seconds stand behind `$$` and run among the slow tests alone. A number must stand, as a word of its
//! own, in the section that its comment stands in.

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
    let mut found = vec![root.join("README.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("docs") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn run(command: &str) -> Source {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = command.split_whitespace().chain(["--json"]);
    let output = program().args(arguments).current_dir(folder.path()).output().expect("the program starts");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    Source::Json(serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn file(path: &Path) -> Source {
    if path.extension().is_some_and(|extension| extension == "json") {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        return Source::Json(
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
        );
    }
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

/// A number that a document writes down.
struct Statement {
    /// The line that says where it comes from.
    source: String,
    place: String,
    literal: String,
    /// What readers see of the section that it stands in.
    section: String,
}

/// The statements of `text`, section by section.
fn statements(text: &str) -> Vec<Statement> {
    let mut found = Vec::new();
    // The first section has no heading; a line of a block of code that begins like one splits it, which is harmless.
    for section in format!("\n{text}").split("\n## ") {
        let mut parts = section.split("<!-- numbers\n");
        let mut visible = parts.next().unwrap_or_default().to_owned();
        let mut blocks = Vec::new();
        for part in parts {
            let (block, rest) = part.split_once("-->").expect("the end of the comment");
            visible.push_str(rest);
            blocks.push(block);
        }
        for block in blocks {
            let mut source = String::new();
            for line in block.lines().map(str::trim).filter(|line| !line.is_empty()) {
                if line.starts_with(['$', '@']) {
                    source = line.to_owned();
                    continue;
                }
                let (place, literal) = line.rsplit_once(' ').unwrap_or_else(|| panic!("`{line}`: no number"));
                found.push(Statement {
                    source: source.clone(),
                    place: place.to_owned(),
                    literal: literal.trim().to_owned(),
                    section: visible.clone(),
                });
            }
        }
    }
    found
}

/// Whether `literal` stands in `text` as a number of its own, and not as a part of another.
fn stands_in(literal: &str, text: &str) -> bool {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    text.match_indices(literal).any(|(at, _)| {
        let (mut before, mut behind) = (text[..at].chars().rev(), text[at + literal.len()..].chars());
        let (last, next) = (before.next(), behind.next());
        let joins = |c: Option<char>| matches!(c, Some('.' | ','));
        !(digit(last)
            || joins(last) && digit(before.next())
            || digit(next)
            || joins(next) && digit(behind.next()))
    })
}

#[test]
fn numbers_of_the_documents_are_those_of_their_commands() {
    let mut known: BTreeMap<(PathBuf, String), Source> = BTreeMap::new();
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document");
        let name = document.display();
        let folder = document.parent().expect("a folder");
        for Statement { source, place, literal, section } in statements(&text) {
            let loaded = match source.split_once(' ') {
                // A command gives the same wherever it stands.
                Some(("$" | "$$", _)) => known.entry((PathBuf::new(), source.clone())),
                _ => known.entry((folder.to_owned(), source.clone())),
            };
            let loaded = loaded.or_insert_with(|| match source.split_once(' ') {
                Some(("$", command)) => run(command.trim()),
                Some(("$$", command)) if slow_tests() => run(command.trim()),
                Some(("$$", _)) => Source::Skipped,
                Some(("@", path)) => file(&folder.join(path.trim())),
                _ => panic!("{name}: `{source}` is no source of numbers"),
            });
            if !stands_in(&literal, &section) {
                wrong.push(format!("{name}: {literal} ({place}) is not in its section"));
            }
            if matches!(loaded, Source::Skipped) {
                continue;
            }
            checked += 1;
            match value(loaded, &place) {
                None => wrong.push(format!("{name}: {source}: nothing at {place}")),
                Some(found) if written_like(found, &literal) != literal => {
                    wrong.push(format!("{name}: {source}: {place} is {found}, the text says {literal}"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(checked > 0, "no document says where its numbers come from");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_part_of_a_number_is_not_that_number() {
    for (literal, text, stands) in [
        ("2.4", "costs 2.4 nats", true),
        ("2.4", "costs 2.4, and", true),
        ("2.4", "costs +2.4.", true),
        ("2.4", "costs 12.4 or 2.41", false),
        ("96", "12,960 and 0.96", false),
        ("4,096", "14,096 and 4,096,000", false),
        ("4", "4.", true),
        ("4", "4.5", false),
    ] {
        assert_eq!(stands_in(literal, text), stands, "{literal} in {text}");
    }
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
