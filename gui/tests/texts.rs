//! A text that is shorter than what is asked for: read to its end, or repeated where that is switched on, and said so.

use crate::common::{after_run, click, finished, says, wait_for};

#[test]
fn a_short_text_ends_or_repeats_and_that_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("short.txt");
    std::fs::write(&path, "A short text.\n\n\nAnother one, not much longer than it.\n").expect("written");
    let text = path.to_str().expect("UTF-8");
    let mut window = after_run(&["--tokens", "1k", "--text", text]);
    let end = window.state().diagnosis().expect("a result").tokens;
    assert!(end < 60 && window.state().diagnosis().expect("a result").repeated_from.is_none(), "{end}");
    assert!(says(&window, "it was read to its end") && !says(&window, "the text repeats from here"));

    click(&mut window, "Repeat");
    click(&mut window, "Run");
    wait_for(&mut window, "a run that repeats", |window| {
        finished(window) && window.state().diagnosis().is_some_and(|diagnosis| diagnosis.tokens == 1024)
    });
    assert_eq!(window.state().diagnosis().expect("a result").repeated_from, Some(end));
    assert!(says(&window, &format!("from token {end} on it repeats")));
    assert!(says(&window, "the text repeats from here"));
}
