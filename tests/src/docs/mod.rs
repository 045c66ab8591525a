//! Documents that are made from the program, and must not fall behind it.

mod numbers;

use std::path::Path;

use lm_infinite::cli::args::command;

/// `docs/cli.md` is what clap knows. `UPDATE_DOCS=1 cargo test --release -p lm-infinite-tests docs` writes it anew.
#[test]
fn the_command_line_is_documented_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let options = clap_markdown::MarkdownOptions::new().show_footer(false).show_table_of_contents(false);
    let expected = clap_markdown::help_markdown_command_custom(&command(), &options);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("docs/cli.md can be written");
    }
    let found = std::fs::read_to_string(&path).expect("docs/cli.md exists");
    assert_eq!(found, expected, "docs/cli.md is stale; run this test with UPDATE_DOCS=1");
}
