//! Texts whose letters the vocabulary has in bytes alone: Greek and Chinese.

use eframe::egui::Key;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use lm_infinite_gui::window::Window;

use crate::common::{Shown, args, finished, says, type_into, wait_for};

const TEXT: &str = "Η γλώσσα και το μοντέλο. 语言模型在训练长度之后失效。\n";

/// A window whose run is over, in which letters that no font has are boxes, as on screen: here the Chinese ones.
fn boxes(arguments: &[&str]) -> Shown {
    let window = Window::new(&args(arguments)).expect("a window");
    let harness = Harness::builder().with_size([1280.0, 1000.0]).allow_missing_glyphs();
    let mut window = harness.build_eframe(move |_| window);
    wait_for(&mut window, "the end", finished);
    window
}

/// Moves the cursor to a token.
fn mark(window: &mut Shown, token: u64) {
    type_into(window, "Cursor", &token.to_string());
    window.key_press(Key::Enter);
    window.run_steps(4);
}

#[test]
fn letters_of_bytes_are_shown_and_their_bytes_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("letters.txt");
    std::fs::write(&path, TEXT.repeat(6)).expect("written");
    let mut window = boxes(&["--tokens", "4k", "--text", path.to_str().expect("UTF-8"), "--layout", "text"]);
    let loaded =
        lm_infinite::checkpoint::load("tiny-rope", &lm_infinite::hub::Cache::open().expect("a cache"));
    let tokenizer = loaded.expect("the embedded model").tokenizer;
    let tokens = tokenizer.encode(&TEXT.repeat(6)).expect("tokens");
    let raw: Vec<_> = tokens.iter().map(|&id| tokenizer.token_text(id).expect("a token")).collect();
    // γ is CE B3, 语 is E8 AF AD.
    let begin =
        |bytes: &[&str]| raw.windows(bytes.len()).position(|at| at == bytes).expect("the bytes") as u64;
    let gamma = begin(&["<0xCE>", "<0xB3>"]);
    mark(&mut window, gamma);
    assert!(says(&window, "“γ”") && says(&window, "CE: byte 1 of 2 of γ (U+03B3)"));
    mark(&mut window, gamma + 1);
    assert!(says(&window, "“‿”") && says(&window, "B3: byte 2 of 2 of γ (U+03B3)"));
    let chinese = begin(&["<0xE8>", "<0xAF>", "<0xAD>"]);
    mark(&mut window, chinese + 2);
    assert!(says(&window, "AD: byte 3 of 3 of 语 (U+8BED)"));
    assert!(!says(&window, "<0x"), "no byte stands as a code");
    // Words are found by their letters.
    type_into(&mut window, "Find", "γλώσσα");
    wait_for(&mut window, "places", |window| {
        window.query_by_label("The next place").is_some_and(|node| !node.accesskit_node().is_disabled())
    });
    window.key_press(Key::Enter);
    window.run_steps(3);
    assert!(says(&window, " of 6"), "the text stands there six times");
}
