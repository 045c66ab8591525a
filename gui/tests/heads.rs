//! Heads as rows, pinned, and all maps at once.

use eframe::egui::vec2;
use egui_kittest::kittest::{NodeT, Queryable};

use crate::common::{Shown, after_run, click, layout, open, says, type_into, wait_for};

/// Heads that the table lists, from the top.
fn listed(window: &Shown) -> Vec<String> {
    let rows = window.query_all_by_label_contains("Row L");
    let mut rows: Vec<_> =
        rows.map(|node| (node.rect().top(), node.accesskit_node().label().unwrap_or_default())).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    rows.into_iter().map(|(_, label)| label.trim_start_matches("Row ").to_owned()).collect()
}

/// What unseen distances add to the logits under A, and of which head, the strongest first.
fn by_excess(window: &Shown) -> Vec<(f64, String)> {
    let diagnosis = window.state().diagnosis().expect("a result");
    let heads = diagnosis.runs[0].heads.iter();
    let mut heads: Vec<_> =
        heads.filter_map(|head| Some((head.largest_logit_excess()?, (head.layer, head.head)))).collect();
    heads.sort_by(|a, b| b.0.total_cmp(&a.0));
    heads.into_iter().map(|(excess, (layer, head))| (excess, format!("L{layer} H{head}"))).collect()
}

#[test]
fn heads_are_rows_that_are_sorted_filtered_and_written() {
    let mut window = after_run(&["--tokens", "1k", "--layout", "heads"]);
    click(&mut window, "Table");
    let by_excess = by_excess(&window);
    let strongest: Vec<_> = by_excess.iter().map(|(_, name)| name.clone()).collect();
    let rows = listed(&window);
    assert!(rows.len() >= 8 && rows == strongest[..rows.len()], "{rows:?} of {strongest:?}");
    click(&mut window, "Sort by logit excess at unseen distances");
    assert_eq!(listed(&window)[0], strongest[strongest.len() - 1]);
    click(&mut window, "Sort by head");
    assert_eq!(listed(&window)[..2], ["L0 H0", "L0 H1"]);
    click(&mut window, "Row L0 H1");
    click(&mut window, "Sort by logit excess at unseen distances");
    type_into(&mut window, "Filter of heads", "L4 >0");
    assert!(listed(&window).iter().all(|name| name.starts_with("L4")) && !listed(&window).is_empty());
    let listed_ones = by_excess.iter().filter(|(excess, name)| *excess > 0.0 && name.starts_with("L4"));
    let expected: Vec<_> = listed_ones.map(|(_, name)| name.clone()).collect();
    // The file has these rows, in this order, with all digits.
    let folder = tempfile::tempdir().expect("a folder");
    click(&mut window, "Export…");
    type_into(&mut window, "Into folder", &folder.path().display().to_string());
    click(&mut window, "Save as CSV");
    let path = folder.path().join("heads_A.csv");
    wait_for(&mut window, "a file", |_| path.is_file());
    let csv = std::fs::read_to_string(&path).expect("read");
    let written: Vec<_> = csv
        .lines()
        .skip(1)
        .map(|line| {
            let mut cells = line.split(',');
            format!("L{} H{}", cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
        })
        .collect();
    assert_eq!(written, expected);
    type_into(&mut window, "Filter of heads", "nonsense");
    assert!(says(&window, "`nonsense` means nothing here"));
}

#[test]
fn pinned_heads_are_compared_in_the_curves() {
    let mut window = after_run(&["--tokens", "1k", "--layout", "heads"]);
    click(&mut window, "Table");
    click(&mut window, "Sort by head");
    click(&mut window, "Pin L0 H0");
    click(&mut window, "Pin L0 H2");
    window.get_by_label("Pinned L0 H0");
    layout(&mut window, "Learn");
    click(&mut window, "Logits");
    click(&mut window, "Entropy");
    assert_eq!(window.query_all_by_label("pinned heads").count(), 2, "logits and entropy");
    assert!(says(&window, "Pinned heads") && !says(&window, "mean over heads"));
    click(&mut window, "Pinned heads");
    assert!(says(&window, "mean over heads"));
    layout(&mut window, "Heads");
    click(&mut window, "Pinned L0 H2");
    window.get_by_label("Unpin L0 H2");
    type_into(&mut window, "Filter of heads", "pinned");
    assert_eq!(listed(&window), ["L0 H0", "L0 H2"]);
    click(&mut window, "Unpin all");
    assert!(!says(&window, "Pinned L"));
}

#[test]
fn every_map_is_there_and_a_click_chooses_its_head() {
    let mut window = after_run(&["--tokens", "1k", "--layout", "heads"]);
    open(&mut window, "All maps");
    wait_for(&mut window, "the maps", |window| window.query_by_label("Maps of all heads").is_some());
    let config = &window.state().diagnosis().expect("a result").config;
    let (layers, heads) = (config.layers as f32, config.heads as f32);
    let rect = window.get_by_label("Maps of all heads").rect();
    let (left, above) = (26.0, 16.0);
    let step = (rect.width() - left) / heads;
    assert!((step - (rect.height() - above) / layers).abs() < 1.0, "squares");
    let at = rect.min + vec2(left + step * 1.5, above + step * 2.5);
    window.hover_at(at);
    window.run_steps(2);
    window.drag_at(at);
    window.drop_at(at);
    window.run_steps(3);
    window.get_by_label("Chosen head: L2 H1");
    click(&mut window, "All maps of B");
    wait_for(&mut window, "the maps of B", |window| window.query_by_label("Maps of all heads").is_some());
    layout(&mut window, "Learn");
}

#[test]
fn heads_of_columns_tell_what_they_mean() {
    use lm_infinite_gui::views::heads::model::Measure;
    let mut window = after_run(&["--tokens", "1k", "--layout", "heads"]);
    click(&mut window, "Table");
    let told = |window: &mut Shown, name: &str, help: &str| {
        assert!(!says(window, help), "{help}");
        window.get_by_label(name).hover();
        wait_for(window, help, |window| says(window, help));
        window.hover_at(eframe::egui::pos2(3.0, 3.0));
        wait_for(window, "it is gone", |window| !says(window, help));
    };
    told(&mut window, "Sort by head", "Layer and number of the head");
    let mut seen = 0;
    for measure in Measure::ALL {
        let name = format!("Sort by {}", measure.name());
        // Columns to the right are beyond the tile.
        if window.query_by_label(&name).is_some() {
            told(&mut window, &name, measure.help());
            seen += 1;
        }
    }
    assert!(seen >= 2, "{seen} columns");
    layout(&mut window, "Learn");
    open(&mut window, "Theory");
    wait_for(&mut window, "the statements", |window| says(window, "Every statement of the paper"));
    for (name, help) in [
        ("statement", "Its name in the paper"),
        ("says", "point at one to read what it assumes"),
        ("measured against bound", "what the statement allows"),
        ("verdict", "Whether what was measured is as stated"),
    ] {
        told(&mut window, name, help);
    }
}
