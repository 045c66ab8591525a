//! Nothing is cut off in a small window, nor at a larger zoom.

use eframe::egui::Pos2;
use eframe::egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use lm_infinite_gui::tab::Tab;
use lm_infinite_gui::views::data;
use lm_infinite_gui::window::Window;
use lm_infinite_gui::workbench::NARROW;

use crate::common::{Shown, args, click, finished, layout, open, says, wait_for};

/// A window of this size in points, its run over.
fn sized(width: f32, height: f32) -> Shown {
    let window = Window::new(&args(&["--tokens", "600"])).expect("a window");
    let mut window = Harness::builder().with_size([width, height]).build_eframe(move |_| window);
    wait_for(&mut window, "the end", finished);
    window
}

/// Nothing that can be pressed or typed into stands out at the sides.
fn check_sides(window: &Shown, width: f32, place: &str) {
    for role in
        [Role::Button, Role::ComboBox, Role::SpinButton, Role::Slider, Role::TextInput, Role::CheckBox]
    {
        for node in window.query_all_by_role(role) {
            let (rect, name) = (node.rect(), node.accesskit_node().label().unwrap_or_default());
            assert!(rect.left() >= -0.5 && rect.right() <= width + 0.5, "{place}: {name} at {rect:?}");
        }
    }
}

#[test]
fn everything_has_its_place_in_a_small_window_and_at_a_larger_zoom() {
    // The last is the second at a zoom of 1.3.
    for (width, height) in [(1280.0, 860.0), (1024.0, 700.0), (1024.0 / 1.3, 700.0 / 1.3)] {
        let mut window = sized(width, height);
        let layouts: &[&str] = if width < NARROW { &["Learn"] } else { &["Learn", "Heads", "Text"] };
        for tab in Tab::ALL {
            for name in layouts {
                layout(&mut window, name);
                open(&mut window, tab.name());
                check_sides(&window, width, &format!("{width} × {height}, {name}, {tab:?}"));
            }
        }
        // The verdicts have no column that is out of sight, and the head grid has room to be used.
        open(&mut window, "Heads");
        if width < NARROW {
            assert!(window.query_by_label("loss beyond").is_none(), "side panels are folded away");
            click(&mut window, "Runs");
        }
        for title in ["loss beyond", "logits", "entropy", "drift"] {
            assert!(window.query_all_by_label(title).count() >= 1, "{title} at {width}");
            for node in window.query_all_by_label(title) {
                assert!(node.rect().right() <= width, "{title} at {:?}", node.rect());
            }
        }
        let grid = window.get_by_label("Head grid").rect();
        assert!(grid.top() < height - 60.0 && grid.width() > 100.0, "{grid:?} of {width} × {height}");
        // The row of controls is one, but for a window that is narrower than any that is promised.
        let last = window.get_by_label("More").rect();
        assert!(last.bottom() < if width < 1000.0 { 60.0 } else { 30.0 }, "{last:?} of {width}");
        // The last button of the bar is within reach.
        click(&mut window, "Tour");
        for name in ["Back", "Next", "Skip"] {
            let rect = window.get_by_label(name).rect();
            assert!(
                rect.bottom() <= height && rect.right() <= width,
                "{name} at {rect:?} of {width} × {height}"
            );
        }
        click(&mut window, "Skip");
        window.key_press(eframe::egui::Key::F1);
        window.run_steps(4);
        assert!(says(&window, "choose a head"));
        window.key_press(eframe::egui::Key::Escape);
        click(&mut window, "Export…");
        let rect = window.get_by_label("Export everything").rect();
        assert!(rect.bottom() <= height && rect.right() <= width, "{rect:?} of {width} × {height}");
    }
}

/// The share of the window in which data is drawn: plots with their axes, maps, grids, lines of text.
fn share_of_data(window: &Shown, width: f32, height: f32) -> f32 {
    let marked = data::marked(&window.ctx);
    // What lies over each other counts once.
    const STEP: f32 = 2.0;
    let columns = (width / STEP) as usize;
    let mut covered = vec![false; columns * (height / STEP) as usize];
    for (at, covered) in covered.iter_mut().enumerate() {
        let point = Pos2::new((at % columns) as f32 * STEP + 1.0, (at / columns) as f32 * STEP + 1.0);
        *covered = marked.iter().any(|rect| rect.contains(point));
    }
    covered.iter().filter(|covered| **covered).count() as f32 / covered.len() as f32
}

#[test]
fn data_has_most_of_the_window() {
    for (width, height, least) in [(1440.0, 900.0, 0.60), (1024.0, 700.0, 0.45)] {
        let mut window = sized(width, height);
        let share = share_of_data(&window, width, height);
        assert!(share >= least, "as it opens, at {width} × {height}: {share}");
        let mut all = Vec::new();
        for name in ["Learn", "Heads", "Text"] {
            layout(&mut window, name);
            window.run_steps(10);
            all.push((name, share_of_data(&window, width, height)));
        }
        // With every panel open and several tiles on screen each has its own menus.
        assert!(all.iter().all(|(_, share)| *share >= 0.45), "{width} × {height}: {all:?}");
    }
}

#[test]
fn names_of_the_columns_of_heads_are_whole() {
    let mut window = sized(1440.0, 900.0);
    layout(&mut window, "Heads");
    click(&mut window, "Table");
    for node in window.query_all_by_label_contains("Sort by ") {
        assert!(node.rect().height() <= 46.5, "{:?}", node.rect());
    }
}

#[test]
fn names_of_tiles_need_no_scrolling() {
    for width in [1280.0, 1440.0] {
        let mut window = sized(width, 860.0);
        for name in ["Learn", "Heads", "Text"] {
            layout(&mut window, name);
            let scrolls = window.query_all_by_label_contains("Scroll tabs").count();
            assert_eq!(scrolls, 0, "{name} at {width}");
        }
    }
}

#[test]
fn a_mark_whose_note_is_out_of_sight_says_where_it_is() {
    use eframe::egui::{Key, Modifiers};
    let words = "Token 500 is marked. Its note is in the column of runs";
    for (width, told) in [(1024.0, true), (1440.0, false)] {
        let mut window = sized(width, 700.0);
        crate::common::type_into(&mut window, "Cursor", "500");
        window.key_press(Key::Enter);
        window.run_steps(3);
        window.key_press_modifiers(Modifiers::COMMAND, Key::M);
        window.run_steps(4);
        assert_eq!(says(&window, words), told, "{width}");
        assert_eq!(window.query_by_label("Note at 500").is_some(), !told, "{width}");
    }
}
