//! What is exported of a part of a text says so.

use std::fs;
use std::time::Duration;

use eframe::egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};

use crate::common::{Shown, click, finished, says, type_into, wait_for, window};

#[test]
fn a_part_of_a_text_is_exported_as_a_part() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("figures");
    let mut window = window(&["--tokens", "200k"]);
    wait_for(&mut window, "a result", |window| {
        window.state().diagnosis().is_some_and(|diagnosis| diagnosis.runs[0].nll.is_some())
    });
    click(&mut window, "Stop");
    wait_for(&mut window, "the end", finished);
    // The last piece arrives a moment later.
    let known = |window: &Shown| window.state().diagnosis().map_or(0, |diagnosis| diagnosis.tokens_read());
    let read = loop {
        let before = known(&window);
        std::thread::sleep(Duration::from_millis(500));
        window.run_steps(3);
        if known(&window) == before {
            break before;
        }
    };
    let tokens = window.state().diagnosis().expect("a result").tokens;
    assert!(read > 0 && read < tokens);
    let [words, all] = [read, tokens].map(lm_infinite_gui::words::grouped);
    click(&mut window, "Export…");
    assert!(says(&window, &format!("Only {words} of {all} tokens have been read")));
    let everything = window.get_by_role_and_label(Role::Button, "Export everything");
    assert!(everything.accesskit_node().is_disabled(), "a folder would be taken for a whole run");
    type_into(&mut window, "Into folder", &target.display().to_string());
    let name = format!("nll_by_position_partial_{read}_of_{tokens}");
    for (button, extension) in [("SVG", "svg"), ("CSV", "csv"), ("PNG", "png")] {
        click(&mut window, button);
        wait_for(&mut window, button, |window| says(window, &format!("{name}.{extension}")));
    }
    let figure = fs::read_to_string(target.join(format!("{name}.svg"))).expect("was written");
    assert!(figure.contains(&format!("(partial: {words} of {all} tokens)")));
    assert_eq!(fs::read_dir(&target).expect("a folder").count(), 3);
    // The row of the run and the caption say it too.
    assert!(window.query_all_by_label_contains(&format!("{words} of {all}")).count() >= 4);
}
