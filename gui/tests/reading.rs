//! Reading begins while the text is being tokenized, Stop ends both, and what a run takes is told.

use std::fs::File;
use std::io::Write;

use egui_kittest::kittest::Queryable;

use crate::common::{Shown, click, finished, says, wait_for, window};

fn progress(window: &Shown) -> lm_infinite_gui::job::Progress {
    window.state().progress().cloned().unwrap_or_default()
}

/// A text of about so many megabytes.
fn large_text(folder: &std::path::Path, megabytes: usize) -> String {
    let path = folder.join("large.txt");
    let mut file = std::io::BufWriter::new(File::create(&path).expect("a file"));
    let mut at = 0_u64;
    let mut written = 0;
    while written < megabytes << 20 {
        let sentence = format!("The {at}th of them was {} and, at last, {}.\n\n\n", at * at % 9973, at % 7);
        file.write_all(sentence.as_bytes()).expect("written");
        (at, written) = (at + 1, written + sentence.len());
    }
    drop(file);
    path.display().to_string()
}

/// Processor time that threads of this process which tokenize a text have taken, in ticks of 10 ms.
#[cfg(target_os = "linux")]
fn tokenizing() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("threads");
    let ticks = |task: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
        // The name stands in parentheses; user and system time are the 12th and 13th field behind it.
        let fields: Vec<&str> = stat.split_once("(tokenizer) ")?.1.split(' ').collect();
        Some(fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?)
    };
    tasks.filter_map(ticks).sum()
}

#[test]
fn reading_begins_before_the_text_is_tokenized_and_stop_ends_both() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = large_text(folder.path(), 128);
    let mut window = window(&["--text", &text, "--tokens", "100M", "--run"]);
    wait_for(&mut window, "a result", |window| {
        let progress = progress(window);
        assert!(progress.tokenized < progress.total || progress.total == 0, "{progress:?}");
        progress.position > 1024 && window.state().diagnosis().is_some()
    });
    let reading = progress(&window);
    assert!(reading.tokenized >= reading.position && reading.needs.is_some_and(|bytes| bytes > 1_000_000));
    assert!(reading.seconds_left().is_some_and(|left| left > 60.0), "{reading:?}");
    assert!(says(&window, " tokenized") && says(&window, " left") && says(&window, "beside the model"));
    window.get_by_label("Stop").click();
    window.step();
    wait_for(&mut window, "the end", finished);
    // Both wait long before the text would be tokenized, which takes minutes, and take no time for it.
    #[cfg(target_os = "linux")]
    wait_for(&mut window, "no thread tokenizes", |_| {
        let before = tokenizing();
        std::thread::sleep(std::time::Duration::from_millis(300));
        tokenizing() == before
    });
    let stopped = progress(&window);
    assert!(stopped.tokenized < 20_000_000 && stopped.finished);
    let diagnosis = window.state().diagnosis().expect("what was measured stays");
    assert!(diagnosis.is_partial() && diagnosis.runs[0].nll.is_some());
    click(&mut window, "Resume");
    wait_for(&mut window, "both go on", |window| {
        let now = progress(window);
        now.position > stopped.position && now.tokenized > stopped.tokenized
    });
}

#[test]
fn stop_while_the_first_tokens_are_made_keeps_what_is_on_screen() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = large_text(folder.path(), 24);
    let mut window = crate::common::after_run(&["--tokens", "600"]);
    click(&mut window, "Open text…");
    crate::common::type_into(&mut window, "Path of the text", &text);
    click(&mut window, "Use it");
    click(&mut window, "Run");
    click(&mut window, "Stop");
    wait_for(&mut window, "the end", finished);
    assert_eq!(window.state().diagnosis().map(|diagnosis| diagnosis.tokens), Some(600));
    assert!(says(&window, "Of earlier settings"));
}

#[test]
fn a_text_that_turns_out_to_be_shorter_is_read_with_its_length() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("short.txt");
    std::fs::write(&path, "Once upon a time there was a text. ".repeat(60)).expect("written");
    let path = path.display().to_string();
    let window = crate::common::after_run(&["--text", &path, "--tokens", "1M", "--run"]);
    let diagnosis = window.state().diagnosis().expect("a result");
    assert!(!diagnosis.is_partial() && diagnosis.tokens < 2000 && diagnosis.repeated_from.is_none());
    // The same as if its length had been asked for.
    let same =
        crate::common::after_run(&["--text", &path, "--tokens", &diagnosis.tokens.to_string(), "--run"]);
    let same = same.state().diagnosis().expect("a result");
    for (run, other) in diagnosis.runs.iter().zip(&same.runs) {
        assert_eq!((&run.arrays.nll, &run.loss, &run.heads), (&other.arrays.nll, &other.loss, &other.heads));
    }
    assert_eq!(diagnosis.bins, same.bins);
    assert!(says(&window, &format!("{}, to its end", lm_infinite_gui::words::grouped(diagnosis.tokens))));
}

#[test]
fn intervals_are_over_the_documents_of_the_text_as_in_a_diagnosis() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("text.jsonl");
    let (mut text, mut lines) = (lm_infinite::text::EMBEDDED_TEXT, String::new());
    for _ in 0..40 {
        let (document, rest) = text.split_at(text.floor_char_boundary(500));
        lines += &format!("{}\n", serde_json::json!({ "text": document }));
        text = rest;
    }
    std::fs::write(&path, lines).expect("written");
    let path = path.display().to_string();
    for tokens in ["3000", "1M"] {
        let window = crate::common::after_run(&["--text", &path, "--tokens", tokens, "--run"]);
        let diagnosis = window.state().diagnosis().expect("a result");
        for run in &diagnosis.runs {
            let number = run.loss.documents;
            assert!(number.is_some_and(|number| (8..=40).contains(&number)), "{tokens}: {number:?}");
        }
    }
}

#[test]
fn a_text_that_breaks_off_is_told_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    // Its beginning is read, and stays.
    let path = folder.path().join("broken.txt");
    let mut bytes = "Once upon a time there was a text. ".repeat(20_000).into_bytes();
    bytes.extend([0xff, 0xfe, 0xfd]);
    std::fs::write(&path, bytes).expect("written");
    let window =
        crate::common::after_run(&["--text", &path.display().to_string(), "--tokens", "1M", "--run"]);
    window.get_by_label_contains("The run ended early");
    assert!(says(&window, "expected UTF-8"));
    let empty = folder.path().join("empty.txt");
    std::fs::write(&empty, "").expect("written");
    let window = crate::common::after_run(&["--text", &empty.display().to_string(), "--run"]);
    window.get_by_label_contains("The run ended early");
}

#[test]
fn the_time_left_of_attention_without_a_window_grows_with_the_square() {
    let mut window = window(&["--tokens", "200k"]);
    wait_for(&mut window, "tokens", |window| progress(window).position > 6000);
    let now = progress(&window);
    let linear = (now.total - now.position) as f64 / now.tokens_per_second;
    let left = now.seconds_left().expect("it reads");
    // How much more depends on what this machine measured; `pace` is tested with times that are known.
    assert!(left > linear, "{left} s left, {linear} s if every token cost the same");
    click(&mut window, "Stop");
    wait_for(&mut window, "the end", finished);
    // Before the next run its time and memory are told.
    let total = lm_infinite_gui::words::grouped(now.total);
    assert!(says(&window, &format!("A run over {total} tokens takes about ")));
}
