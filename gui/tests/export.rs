//! What is on screen as files, on the clipboard, and as the folder that `diagnose` writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use eframe::egui::accesskit::Role;
use eframe::egui::{Key, Modifiers, OutputCommand};
use egui_kittest::kittest::{NodeT, Queryable};
use lm_infinite_gui::views::map::paint::masked;

use crate::common::{Shown, after_run, click, says, type_into, wait_for};

/// A finished run with the small window open.
fn opened(tokens: &str, more: &[&str]) -> Shown {
    let mut window = after_run(&[&["--tokens", tokens], more].concat());
    window.key_press_modifiers(Modifiers::COMMAND, Key::E);
    window.run_steps(3);
    window
}

/// Chooses in the menu of figures.
fn choose_figure(window: &mut Shown, title: &str) {
    window.get_by_role_and_label(Role::ComboBox, "Figure").click();
    window.run_steps(3);
    window.get_by_role_and_label(Role::Button, title).click();
    window.run_steps(3);
}

#[test]
fn one_figure_becomes_files_of_the_chosen_head() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("new");
    let mut window = opened("1k", &["--tab", "map"]);
    window.key_press(Key::Escape);
    window.run_steps(2);
    window.key_press(Key::ArrowDown);
    window.run_steps(2);
    click(&mut window, "Export…");
    choose_figure(&mut window, "Attention maps");
    assert!(says(&window, "of L0 H0"), "the map is of the chosen head");
    type_into(&mut window, "Into folder", &target.display().to_string());
    for (button, extension) in [("SVG", "svg"), ("PNG", "png")] {
        click(&mut window, button);
        wait_for(&mut window, button, |window| says(window, &format!("head0.{extension}")));
        assert!(target.join(format!("attention_maps_layer0_head0.{extension}")).is_file());
    }
    assert_eq!(fs::read_dir(&target).expect("a folder").count(), 2);
}

#[test]
fn a_picture_reaches_the_clipboard_and_numbers_a_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut window = opened("1k", &[]);
    type_into(&mut window, "Into folder", &folder.path().display().to_string());
    click(&mut window, "CSV");
    wait_for(&mut window, "a table", |window| says(window, "nll_by_position.csv"));
    let table = fs::read_to_string(folder.path().join("nll_by_position.csv")).expect("was written");
    assert!(table.starts_with("policy,from_token"));
    click(&mut window, "Copy picture");
    let start = Instant::now();
    loop {
        window.step();
        let copied = window.output().platform_output.commands.iter().find_map(|command| match command {
            OutputCommand::CopyImage(image) => Some(image.size),
            _ => None,
        });
        if let Some([width, height]) = copied {
            assert!(width > 1000 && height > 600, "{width} × {height}");
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "a picture");
        std::thread::sleep(Duration::from_millis(5));
    }
    window.run_steps(2);
    assert!(says(&window, "on the clipboard"));
}

#[test]
fn everything_is_what_diagnose_writes() {
    // As both programs do when they begin: sums are rounded by how many threads share them.
    lm_infinite_analysis::lapack_on_calling_thread();
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (folder.path().join("window"), folder.path().join("command"));
    let mut window = opened("1500", &[]);
    type_into(&mut window, "Result folder", &ours.display().to_string());
    click(&mut window, "Export everything");
    wait_for(&mut window, "a folder", |window| says(window, "Written:"));
    let out = theirs.display().to_string();
    let arguments = [
        ["lm-infinite", "diagnose"].as_slice(),
        &[
            "--tokens",
            "1500",
            "--causes=none",
            "--policy",
            "vanilla",
            "--policy",
            "lm-infinite",
            "--out",
            &out,
        ],
    ];
    lm_infinite::cli::run(arguments.concat().into_iter().map(Into::into));
    let names = |folder: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names(&ours), names(&theirs));
    // Dates, speeds and memory stand in these.
    let timed = ["run.json", "report.html", "diagnosis.json", "summary.txt"];
    for name in names(&ours).iter().filter(|name| !timed.contains(&name.as_str())) {
        let bytes = |folder: &Path| fs::read(folder.join(name)).expect("a file");
        assert!(bytes(&ours) == bytes(&theirs), "{name}");
    }
    let (_, mut a) = lm_infinite::results::read(&ours).expect("a result");
    let (_, mut b) = lm_infinite::results::read(&theirs).expect("a result");
    for run in a.runs.iter_mut().chain(&mut b.runs) {
        (run.prefill_tokens_per_second, run.peak_rss_bytes) = (0.0, None);
    }
    assert_eq!(serde_json::to_string(&a).expect("JSON"), serde_json::to_string(&b).expect("JSON"));
}

#[test]
fn the_causes_of_an_opened_folder_are_exported_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let (theirs, ours) = (folder.path().join("command"), folder.path().join("window"));
    let out = theirs.display().to_string();
    let arguments = [
        "lm-infinite",
        "diagnose",
        "--tokens",
        "700",
        "--policy",
        "vanilla",
        "--policy",
        "lm-infinite",
        "--out",
        &out,
    ];
    lm_infinite::cli::run(arguments.into_iter().map(Into::into));
    assert!(theirs.join("causes.json").is_file(), "the command writes them");
    let mut window = crate::common::window(&[&out]);
    wait_for(&mut window, "the results", |window| window.state().diagnosis().is_some());
    click(&mut window, "Export…");
    type_into(&mut window, "Result folder", &ours.display().to_string());
    click(&mut window, "Export everything");
    wait_for(&mut window, "a folder", |window| says(window, "Written:"));
    for name in ["causes.json", "causes_shares.csv"] {
        let bytes = |folder: &Path| fs::read(folder.join(name)).expect("a file");
        assert!(bytes(&ours) == bytes(&theirs), "{name}");
    }
}

#[test]
fn what_cannot_be_written_is_told_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    // A file of the user's that has the name of one of ours.
    fs::write(folder.path().join("report.html"), "mine").expect("writes");
    let mut window = opened("1k", &[]);
    type_into(&mut window, "Result folder", &folder.path().display().to_string());
    click(&mut window, "Export everything");
    wait_for(&mut window, "words", |window| says(window, "Nothing was written"));
    assert!(says(&window, "report.html") && window.state().diagnosis().is_some());
    assert_eq!(fs::read_to_string(folder.path().join("report.html")).expect("is there"), "mine");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn the_map_on_screen_becomes_a_picture_in_its_colours_and_an_array() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut window = after_run(&["--tokens", "400", "--tab", "map"]);
    wait_for(&mut window, "every pair", |window| says(window, "Every logit, computed for this place."));
    window.key_press_modifiers(Modifiers::COMMAND, Key::E);
    window.run_steps(3);
    let figure = window.get_by_role_and_label(Role::ComboBox, "Figure").accesskit_node().value();
    assert_eq!(figure.as_deref(), Some("Map A as shown"), "what is in front is offered first");
    type_into(&mut window, "Into folder", &folder.path().display().to_string());
    choose_figure(&mut window, "Map B as shown");
    click(&mut window, "NPY");
    wait_for(&mut window, "an array", |window| says(window, ".npy"));
    let (layer, head) = strongest(&window);
    let name = format!("map_L{layer}H{head}_B_log_probability_q0-400_k0-400");
    let array = folder.path().join(format!("{name}.npy"));
    let bytes = fs::read(&array).expect("was written");
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00") && bytes.windows(5).any(|part| part == b"'<f4'"));
    let values: ndarray::Array2<f32> = ndarray_npy::read_npy(&array).expect("an array");
    assert_eq!(values.dim(), (400, 400));
    for (query, row) in values.outer_iter().enumerate() {
        let sum: f64 = row.iter().map(|&value| 10.0_f64.powf(f64::from(value))).sum();
        assert!((sum - 1.0).abs() < 1e-3, "query {query}: {sum}");
        // Start tokens, and the window.
        let seen = |key: usize| key <= query && (key < 10 || query - key < 256);
        assert!(
            row.iter().enumerate().all(|(key, value)| (*value > f32::NEG_INFINITY) == seen(key)),
            "query {query}"
        );
    }
    ask_for_size(&mut window);
    click(&mut window, "PNG");
    wait_for(&mut window, "a picture", |window| says(window, ".png"));
    let picture = image::open(folder.path().join(format!("{name}.png"))).expect("a picture").to_rgb8();
    assert_eq!(picture.dimensions(), (1000, 1200));
    // The map is 380 pixels wide, from 92 and 86 on.
    let at = |query: f64, key: f64| {
        let place = |from: f64, token: f64| (2.0 * (from + 380.0 * token / 400.0)) as u32;
        picture.get_pixel(place(92.0, key), place(86.0, query)).0
    };
    let dark = window.ctx.global_style().visuals.dark_mode;
    let ground = window.ctx.global_style().visuals.extreme_bg_color;
    assert_eq!(at(395.0, 70.0)[..], masked(dark).to_array()[..3]);
    assert_eq!(at(100.0, 300.0)[..], ground.to_array()[..3]);
    assert!(at(395.0, 390.0) != at(395.0, 70.0));
    click(&mut window, "SVG");
    wait_for(&mut window, "lines", |window| says(window, ".svg"));
    let text = fs::read_to_string(folder.path().join(format!("{name}.svg"))).expect("was written");
    assert!(text.starts_with("<svg width=\"500\" height=\"600\" ") && text.contains("<image "));
    assert!(text.contains("Log probability of every pair; queries 0 to 399, keys 0 to 399"));
    // What lies outside of what a file can have is refused.
    type_into(&mut window, "Dots per inch", "2400");
    window.key_press(Key::Enter);
    type_into(&mut window, "Width of the figure", "20000");
    window.key_press(Key::Enter);
    window.run_steps(2);
    click(&mut window, "PNG");
    wait_for(&mut window, "words", |window| says(window, "Nothing was written"));
    assert!(says(&window, "dots large"));
}

/// 500 × 600 points, at two pixels a point.
fn ask_for_size(window: &mut Shown) {
    click(window, "Size");
    for (field, value) in
        [("Width of the figure", "500"), ("Height of the figure", "600"), ("Dots per inch", "192")]
    {
        type_into(window, field, value);
        window.key_press(Key::Enter);
        window.run_steps(2);
    }
}

#[test]
fn the_difference_of_two_maps_is_exported_in_its_colours() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut window = after_run(&["--tokens", "400", "--tab", "map"]);
    click(&mut window, "Map of A \u{2212} B");
    wait_for(&mut window, "every pair", |window| says(window, "Every logit, computed for this place."));
    window.get_all_by_label("Colours of the map").next().expect("a menu").click();
    window.run_steps(3);
    window.get_by(|node| node.label().is_some_and(|name| name == "Probability")).click();
    window.run_steps(3);
    window.key_press_modifiers(Modifiers::COMMAND, Key::E);
    window.run_steps(3);
    type_into(&mut window, "Into folder", &folder.path().display().to_string());
    let (layer, head) = strongest(&window);
    let read = |name: &str| -> ndarray::Array2<f32> {
        ndarray_npy::read_npy(folder.path().join(format!("{name}.npy"))).expect("an array")
    };
    let name = |of: &str| format!("map_L{layer}H{head}_{of}_probability_q0-400_k0-400");
    for (of, file) in [("A", "A"), ("B", "B"), ("A \u{2212} B", "A_minus_B")] {
        choose_figure(&mut window, &format!("Map {of} as shown"));
        click(&mut window, "NPY");
        wait_for(&mut window, "an array", |window| says(window, &format!("{}.npy", name(file))));
    }
    let [a, b, difference] = ["A", "B", "A_minus_B"].map(|of| read(&name(of)));
    assert!(difference == &a - &b && difference.iter().any(|&value| value != 0.0));
    click(&mut window, "SVG");
    wait_for(&mut window, "lines", |window| says(window, ".svg"));
    let text = fs::read_to_string(folder.path().join(format!("{}.svg", name("A_minus_B")))).expect("written");
    for words in
        ["A vanilla \u{2212} B lm-infinite", "A \u{2212} B, probability of every pair", "attended by neither"]
    {
        assert!(text.contains(words), "{words}");
    }
    ask_for_size(&mut window);
    click(&mut window, "PNG");
    wait_for(&mut window, "a picture", |window| says(window, ".png"));
    let picture =
        image::open(folder.path().join(format!("{}.png", name("A_minus_B")))).expect("a picture").to_rgb8();
    // Where one attends most more than the other the colour is that of the one; the map is 380 pixels wide, from 92 and 86 on.
    let most = difference.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    for (at, side) in [(1.0_f32, 0), (-1.0, 1)] {
        let Some(((query, key), _)) = difference.indexed_iter().find(|&(_, &value)| value == at * most)
        else {
            continue;
        };
        let place = |from: f64, token: usize| (2.0 * (from + 380.0 * (token as f64 + 0.5) / 400.0)) as u32;
        let pixel = picture.get_pixel(place(92.0, key), place(86.0, query)).0;
        assert_eq!(pixel[..], lm_infinite_gui::theme::SIDES[side].to_array()[..3], "{query}, {key}");
    }
    // Where the difference is not on screen it is not offered.
    click(&mut window, "Map of A \u{2212} B");
    assert!(!says(&window, "Map A \u{2212} B as shown"));
}

/// The head whose map is shown where none is chosen: it is named above it.
fn strongest(window: &Shown) -> (usize, usize) {
    let diagnosis = window.state().diagnosis().expect("a result");
    let (layers, heads) = (diagnosis.config.layers, diagnosis.config.heads);
    let all = (0..layers).flat_map(|layer| (0..heads).map(move |head| (layer, head)));
    let named =
        |&(layer, head): &(usize, usize)| window.query_all_by_label(&format!("L{layer} H{head}")).count() > 0;
    all.into_iter().find(named).expect("a head is named")
}

#[test]
fn figures_go_into_a_folder_that_is_chosen_in_a_list() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("pictures")).expect("made");
    let mut window = opened("600", &[]);
    type_into(&mut window, "Into folder", &folder.path().display().to_string());
    click(&mut window, "Choose…");
    assert!(says(&window, "Path of the folder"));
    click(&mut window, "Folder…");
    wait_for(&mut window, "the list", |window| says(window, "pictures"));
    window.get_by_label_contains("pictures").click();
    window.run_steps(3);
    click(&mut window, "Use this folder");
    click(&mut window, "CSV");
    wait_for(&mut window, "a table", |window| says(window, "Written: "));
    assert!(folder.path().join("pictures").join("nll_by_position.csv").is_file());
    assert!(window.query_by_label("Show in file manager").is_some());
}
