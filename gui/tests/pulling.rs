//! Models are downloaded from the window; where nothing comes there are words.

use eframe::egui::accesskit::Role;
use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};

use crate::common::{after_run, click, says, type_into, wait_for};

#[test]
fn models_are_listed_with_their_size_and_licence_and_unknown_ones_are_answered_in_words() {
    let mut window = after_run(&["--tokens", "300"]);
    click(&mut window, "Pull model…");
    wait_for(&mut window, "the list", |window| says(window, "SmolLM2-135M-Instruct"));
    assert!(says(&window, "Apache-2.0, 98 MB"));
    // Where it is there already it cannot be pulled again.
    let there = lm_infinite::hub::list(&lm_infinite::hub::Cache::open().expect("a folder")).0;
    let there = there.iter().any(|model| model.name == "smollm2" && model.present);
    let button = window.get_by_role_and_label(Role::Button, "Pull smollm2");
    assert_eq!(button.accesskit_node().is_disabled(), there);
    assert!(window.get_by_label("Pull it").accesskit_node().is_disabled(), "nothing is typed");
    type_into(&mut window, "Name", "no-such-model");
    click(&mut window, "Pull it");
    wait_for(&mut window, "words", |window| says(window, "Nothing was downloaded."));
    assert!(says(&window, "no model of this name to pull; known are smollm2 and hf:org/name"));
    assert_eq!(window.state().memory().settings.expect("there").model, "tiny-rope");
    window.key_press(Key::Escape);
    window.run_steps(3);
    assert!(!says(&window, "Nothing was downloaded."));
    // What went wrong is not said again the next time; the palette leads there, too.
    window.key_press_modifiers(Modifiers::COMMAND, Key::P);
    window.run_steps(3);
    window.get_by_label("Command").type_text("pull");
    window.run_steps(3);
    window.key_press(Key::Enter);
    window.run_steps(4);
    assert!(says(&window, "SmolLM2-135M-Instruct"));
    assert!(!says(&window, "Nothing was downloaded."));
}
