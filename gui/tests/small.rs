//! Nothing is cut off in a small window, nor at a larger zoom.

use eframe::egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use lm_infinite_gui::window::Window;

use crate::common::{Shown, args, click, finished, says, wait_for};

const TABS: [&str; 6] = ["Curves", "Map", "Features", "Text", "Generate", "Theory"];

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
        for tab in TABS {
            window.get_all_by_role_and_label(Role::Button, tab).next().expect("a tab").click();
            window.run_steps(4);
            let place = format!("{width} × {height}, {tab}");
            check_sides(&window, width, &place);
            // The verdicts have no column that is out of sight.
            for title in ["loss beyond", "logits", "entropy", "drift"] {
                for node in window.query_all_by_label(title) {
                    assert!(node.rect().right() <= width, "{place}: {title} at {:?}", node.rect());
                }
            }
            // The head grid and the tab have room to be used.
            let tab = window.get_all_by_role_and_label(Role::Button, tab).next().expect("a tab").rect();
            assert!(tab.bottom() < height - 60.0, "{place}: {tab:?}");
            assert!(window.get_by_label("Head grid").rect().top() < height - 60.0, "{place}");
        }
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
