//! Generating: words of one's own, a conversation of several turns, and what is saved of it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use eframe::egui::accesskit::Role;
use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use serde_json::Value;

use crate::common::{Shown, after_run, says, type_into, wait_for};

/// Presses the button, not the tab of the same name.
fn press(window: &mut Shown, name: &str) {
    window.get_all_by_label(name).last().expect("the button").click();
    window.run_steps(3);
}

fn number(window: &mut Shown, field: &str, value: &str) {
    type_into(window, field, value);
    window.key_press(Key::Enter);
    window.run_steps(2);
}

fn wait_until_done(window: &mut Shown) {
    let start = Instant::now();
    loop {
        window.run_steps(2);
        let stop = window.get_by_label("Stop generating");
        if stop.accesskit_node().is_disabled() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it ends");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Saves, and reads what was written.
fn saved(window: &mut Shown, folder: &Path) -> Value {
    window.key_press_modifiers(Modifiers::COMMAND, Key::E);
    window.run_steps(3);
    type_into(window, "Into folder", &folder.display().to_string());
    press(window, "Save as JSON");
    wait_for(window, "a file", |window| says(window, "Written: "));
    let entries = fs::read_dir(folder).expect("a folder");
    let path = entries.map(|entry| entry.expect("an entry").path()).next().expect("a file");
    window.key_press(Key::Escape);
    window.run_steps(3);
    serde_json::from_str(&fs::read_to_string(path).expect("a file")).expect("JSON")
}

#[test]
fn words_of_ones_own_are_gone_on_from_and_the_seed_repeats_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut window = after_run(&["--tokens", "300", "--tab", "generate"]);
    wait_until_done(&mut window);
    press(&mut window, "Own prompt");
    type_into(&mut window, "Prompt, typed", "Once upon a time");
    number(&mut window, "New tokens", "12");
    number(&mut window, "Seed", "7");
    let mut texts = Vec::new();
    for at in 0..3 {
        if at == 2 {
            number(&mut window, "Seed", "8");
        }
        press(&mut window, "Generate");
        wait_until_done(&mut window);
        assert!(says(&window, "goes on behind what was typed"));
        let out = folder.path().join(at.to_string());
        let saved = saved(&mut window, &out);
        assert_eq!(
            (&saved["prompt"]["typed"], &saved["seed"]),
            (&"Once upon a time".into(), &(7 + at / 2).into())
        );
        let policies = saved["policies"].as_array().expect("a list");
        assert_eq!((policies.len(), policies[0]["policy"].as_str()), (2, Some("vanilla")));
        assert!(policies.iter().all(|policy| policy["nll"].as_array().is_some_and(|nll| nll.len() == 12)));
        texts.push(policies[0]["text"].as_str().expect("a text").to_owned());
    }
    assert!(texts[0] == texts[1] && texts[0] != texts[2], "{texts:?}");
}

#[test]
fn a_model_without_a_chat_template_says_so() {
    let mut window = after_run(&["--tokens", "300", "--tab", "generate"]);
    press(&mut window, "Chat");
    assert!(says(&window, "tiny-rope has no chat template"));
    assert!(!says(&window, "Write a message"), "nothing could be sent");
    type_into(&mut window, "Message", "Hello");
    let send = window.get_by_role_and_label(Role::Button, "Send");
    assert!(send.accesskit_node().is_disabled());
}

#[test]
fn a_conversation_has_turns_of_every_policy_and_is_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("model");
    fs::create_dir(&model).expect("made");
    let of = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tiny-alibi");
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(of.join(name), model.join(name)).expect("copied");
    }
    let config = fs::read_to_string(of.join("tokenizer_config.json")).expect("there");
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
    config["chat_template"] = template.into();
    fs::write(model.join("tokenizer_config.json"), config.to_string()).expect("written");
    let mut window = after_run(&[
        "--model",
        &model.display().to_string(),
        "--run",
        "--tokens",
        "300",
        "--tab",
        "generate",
    ]);
    press(&mut window, "Chat");
    assert!(!says(&window, "has no chat template"));
    assert!(says(&window, "Write a message and Send it") && !says(&window, "Generate to see"));
    number(&mut window, "New tokens", "9");
    type_into(&mut window, "System message", "You are a ship.");
    // The text that is gone on with by itself may not be done; until then nothing can be sent.
    wait_until_done(&mut window);
    for message in ["Who goes there?", "And why?"] {
        type_into(&mut window, "Message", message);
        press(&mut window, "Send");
        wait_until_done(&mut window);
        assert_eq!(window.query_all_by_label(&format!("You: {message}")).count(), 2, "under both policies");
        assert_eq!(window.query_all_by_label("System: You are a ship.").count(), 2, "under both policies");
        assert!(!says(&window, "Write a message"), "it has begun");
    }
    let saved = saved(&mut window, &folder.path().join("out"));
    assert_eq!(saved["prompt"], "conversation");
    for policy in saved["policies"].as_array().expect("a list") {
        let messages = policy["messages"].as_array().expect("messages");
        let roles: Vec<_> =
            messages.iter().map(|message| message["role"].as_str().expect("a role")).collect();
        assert_eq!(roles, ["system", "user", "assistant", "user", "assistant"]);
        assert_eq!(
            (&messages[1]["content"], &messages[3]["content"]),
            (&"Who goes there?".into(), &"And why?".into())
        );
        let answer = |at: usize| messages[at]["content"].as_str().expect("a text");
        assert!(!answer(2).is_empty() && policy["text"].as_str().expect("a text").trim() == answer(4));
        // The prompt of the second turn holds the first one.
        assert!(
            policy["prompt_tokens"].as_u64().is_some_and(|tokens| tokens > 20),
            "{}",
            policy["prompt_tokens"]
        );
    }
    // What is saved is what the command takes.
    let file = folder.path().join("messages.json");
    fs::write(&file, saved["policies"][1]["messages"].to_string()).expect("written");
    assert_eq!(lm_infinite::tokenizer::ChatMessage::read_all(&file).expect("messages").len(), 5);
    press(&mut window, "New conversation");
    assert!(!says(&window, "You: ") && window.query_by_label("System message").is_some());
}
