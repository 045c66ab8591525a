//! Attention maps, hidden states and the text by their labels, without a screen.

use eframe::egui::accesskit::Role;
use eframe::egui::{Modifiers, MouseWheelUnit, Pos2, Vec2};
use egui_kittest::kittest::{NodeT, Queryable};
use lm_infinite::results::{ResultFolder, RunInfo, Source};

use crate::common::{Shown, after_run, click, open, says, wait_for, window};

/// A finished run with one tile in front, arranged as that has most room.
fn opened(tokens: &str, tab: &str) -> Shown {
    after_run(&["--tokens", tokens, "--tab", tab])
}

/// Presses the button of that name in the map of A.
fn press(window: &mut Shown, button: &str) {
    window.get_all_by_label(button).next().expect("a button").click();
    window.run_steps(3);
}

/// Whether both maps say these words.
fn twice(window: &Shown, words: &str) -> bool {
    window.query_all_by_label_contains(words).count() == 2
}

/// A number of the place that both maps show.
fn number(window: &mut Shown, field: &str) -> f64 {
    press(window, "Place");
    let value = window.get_by_label(field).accesskit_node().numeric_value().expect("a number");
    press(window, "Place");
    value
}

/// The middle of a widget, moved by these shares of its size.
fn point(window: &Shown, label: &str, across: f32, down: f32) -> Pos2 {
    let rect = window.get_by_label(label).rect();
    rect.min + rect.size() * Vec2::new(across, down)
}

fn point_at(window: &mut Shown, at: Pos2) {
    window.hover_at(at);
    window.run_steps(3);
}

#[test]
fn a_map_is_there_at_once_and_a_place_is_computed() {
    let mut window = opened("2k", "Map");
    const OVERVIEW: &str = "Overview: largest logit and probability in tiles of 8 × 8 tokens, of every query";
    assert!(says(&window, OVERVIEW));
    let place = point(&window, "Attention map of B", 0.03, 0.95);
    point_at(&mut window, place);
    assert!(says(&window, "(of 8 × 8 tokens)"), "numbers of a tile of the overview");
    wait_for(&mut window, "tiles of both", |window| {
        twice(window, "Largest logit and probability of 4 × 4 tokens")
    });
    point_at(&mut window, place);
    assert!(says(&window, "(of 4 × 4 tokens)") && !says(&window, "(of 8 × 8"), "numbers of a smaller tile");
    press(&mut window, "End");
    wait_for(&mut window, "every logit of both", |window| {
        twice(window, "Every logit, computed for this place")
    });
    // A query near the end, a key just before it: recent for both.
    let place = point(&window, "Attention map of A", 0.80, 0.90);
    point_at(&mut window, place);
    assert!(!says(&window, "at most") && says(&window, "recent") && says(&window, "query 1,9"));
    // The same pair is farther away than the window of B in the lower left corner.
    let place = point(&window, "Attention map of A", 0.05, 0.95);
    point_at(&mut window, place);
    assert!(says(&window, "recent") && says(&window, "masked"));
    window.get_all_by_role_and_label(Role::ComboBox, "Colours of the map").next().expect("a menu").click();
    window.run_steps(3);
    press(&mut window, "Logit");
    press(&mut window, "Whole text");
    assert!(says(&window, OVERVIEW) && !says(&window, "Every logit, computed for"));
}

#[test]
fn nothing_is_told_of_a_query_that_has_not_been_read() {
    let mut window = window(&["--tokens", "1000000", "--tab", "map"]);
    let read = |window: &Shown| window.state().progress().map_or(0, |progress| progress.position);
    wait_for(&mut window, "tokens", |window| read(window) > 0);
    window.get_by_label("Pause").click();
    // Tiles are as large as what has been read asks for.
    wait_for(&mut window, "a map", |window| says(window, "in tiles of"));
    let point_at_query = |window: &mut Shown, query: f32| {
        let at = point(window, "Attention map of A", 0.0, query / 1e6);
        point_at(window, at);
    };
    point_at_query(&mut window, 0.0);
    assert!(says(&window, "(of ") && !says(&window, "not read"));
    point_at_query(&mut window, 500_000.0);
    assert!(read(&window) < 400_000 && says(&window, "not read") && !says(&window, "(of "));
}

#[test]
fn the_wheel_zooms_and_a_drag_moves_both_maps() {
    let mut window = opened("1k", "Map");
    let at = point(&window, "Attention map of A", 0.5, 0.5);
    point_at(&mut window, at);
    let before = number(&mut window, "Tokens shown");
    point_at(&mut window, at);
    for _ in 0..4 {
        let wheel = eframe::egui::Event::MouseWheel {
            unit: MouseWheelUnit::Line,
            delta: Vec2::new(0.0, 3.0),
            phase: eframe::egui::TouchPhase::Move,
            modifiers: Modifiers::NONE,
            source: eframe::egui::MouseWheelSource::Unknown,
        };
        window.event(wheel);
        window.run_steps(8);
    }
    let shown = number(&mut window, "Tokens shown");
    assert!(shown < before / 2.0, "{shown} of {before}");
    let before = number(&mut window, "Keys from");
    point_at(&mut window, at);
    window.drag_at(at);
    window.run_steps(2);
    window.hover_at(at + Vec2::new(-60.0, 0.0));
    window.run_steps(2);
    window.drop_at(at + Vec2::new(-60.0, 0.0));
    window.run_steps(2);
    let after = number(&mut window, "Keys from");
    assert!(after > before + 10.0, "{after} after {before}");
}

#[test]
fn a_result_folder_has_the_overview_alone_and_says_so() {
    let folder = std::env::temp_dir().join(format!("lm-infinite-views-{}", std::process::id()));
    let mut window = opened("600", "Map");
    let diagnosis = window.state().diagnosis().expect("a result").clone();
    drop(window);
    let source = |name: &str| Source { name: name.to_owned(), sha256: None };
    let policies = diagnosis.runs.iter().map(|run| (run.policy.clone(), run.attention.clone()));
    let command = vec!["lm-infinite".to_owned(), "diagnose".to_owned()];
    let info = RunInfo::new(command, source("tiny-rope"), source("text"), diagnosis.tokens, policies, 0);
    ResultFolder::write(&folder, &diagnosis, &info).expect("written");
    let name = folder.to_str().expect("a name").to_owned();
    window = crate::common::window(&[&name, "--layout", "heads"]);
    wait_for(&mut window, "the results", |window| window.state().diagnosis().is_some());
    open(&mut window, "Map");
    let queries = diagnosis.bins.map_queries.len();
    assert!(says(&window, &format!("Overview: {queries} sampled queries on")));
    let place = point(&window, "Attention map of B", 0.03, 0.95);
    point_at(&mut window, place);
    assert!(says(&window, "at most") && says(&window, "together"), "numbers of a bin");
    press(&mut window, "End");
    assert!(says(&window, "Overview only"));
    open(&mut window, "Text");
    assert!(says(&window, "neither the text nor the model"));
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn the_curve_of_logits_has_data_at_every_length_of_a_long_run() {
    let mut window = opened("12k", "Curves");
    click(&mut window, "Logits");
    let title = window.get_by_label("Largest logit up to a distance").rect();
    let mut lengths = Vec::new();
    for step in 0..24 {
        // From the left edge of the plot to its right, in tokens that grow with the place.
        let at = title.left_bottom() + Vec2::new(110.0 + 30.0 * step as f32, 90.0);
        point_at(&mut window, at);
        let readings = window.query_all_by_label_contains("at ").filter_map(|node| node.value());
        let of_logits = readings.filter(|text| text.starts_with("at ")).nth(1).expect("a reading");
        let tokens =
            of_logits.split(": ").next().unwrap_or_default().trim_start_matches("at ").replace(',', "");
        let tokens: u64 = tokens.parse().expect("a distance");
        if (300..11_000).contains(&tokens) {
            assert!(!of_logits.contains("A –"), "{of_logits}");
            lengths.push(tokens);
        }
    }
    assert!(lengths.len() >= 10, "{lengths:?}");
    // Not a line between a few points: every octave beyond the training length has many of them.
    let diagnosis = window.state().diagnosis().expect("a result");
    let curve = &diagnosis.runs[0].curves.logits;
    for octave in [256.0, 512.0, 1024.0, 2048.0, 4096.0] {
        let inside = |x: &f64| (octave..2.0 * octave).contains(x);
        let points = curve.x.iter().zip(&curve.mean).filter(|(x, mean)| inside(x) && mean.is_some()).count();
        assert!(points >= 8, "{points} from {octave} on");
    }
}

#[test]
fn a_text_that_repeats_is_marked_in_the_map() {
    let window = opened("1k", "Map");
    assert!(!says(&window, "Dotted lines: the text repeats"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("short.txt");
    std::fs::write(&path, "A short text.\n\n\nAnother one, not much longer than it.\n").expect("written");
    let text = path.to_str().expect("UTF-8");
    let window = after_run(&["--tokens", "600", "--text", text, "--repeat", "--tab", "map"]);
    let from = window.state().diagnosis().and_then(|diagnosis| diagnosis.repeated_from).expect("it repeats");
    assert!(says(&window, &format!("Dotted lines: the text repeats from token {from}.")));
    // Above every tab, and in the row of the run.
    assert!(says(&window, &format!("the text repeats from token {from}")));
    assert_eq!(window.query_all_by_label(&format!("600, repeats from {from}")).count(), 2);
}

#[test]
fn features_tell_layer_and_numbers() {
    let mut window = opened("1k", "Features");
    assert!(says(&window, "position read out, R²") && says(&window, "the first 10 tokens"));
    window.get_by_label("Logarithmic far out").click();
    window.run_steps(3);
    window.get_by_role_and_label(Role::Slider, "Layer");
}

#[test]
fn a_marked_token_shows_its_attention_in_text_and_map() {
    let mut window = opened("2k", "Text");
    window.run_steps(10);
    assert!(says(&window, "Point at a token"));
    window.get_by_label("Training length").click();
    window.run_steps(5);
    let at = Pos2::new(400.0, 700.0);
    point_at(&mut window, at);
    assert!(says(&window, "token ") && says(&window, " nats"));
    window.drag_at(at);
    window.run_steps(1);
    window.drop_at(at);
    window.run_steps(3);
    window.get_by_label("Attention A").click();
    window.run_steps(2);
    wait_for(&mut window, "its attention", |window| {
        says(window, "probability of L") && !says(window, "is being computed")
    });
    window.get_by_label("Show in the map").click();
    window.run_steps(3);
    press(&mut window, "Unmark");
    assert!(!says(&window, "Unmark"));
}
