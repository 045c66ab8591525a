//! The head grid by its labels, on models of any shape.

use std::sync::Arc;

use eframe::egui::accesskit::Role;
use eframe::egui::{Key, Pos2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use lm_infinite::diagnose::Diagnosis;
use lm_infinite_gui::command::Command;
use lm_infinite_gui::tab::Tab;
use lm_infinite_gui::views::curves;
use lm_infinite_gui::views::heads::{Choice, Heads, Measure, Order, Side};
use lm_infinite_gui::views::pair::Pair;
use lm_infinite_gui::views::pane::Pane;
use lm_infinite_gui::views::rows::Rows;
use lm_infinite_gui::views::shown::{Hidden, Shown};

use crate::made_up;

/// One frame of the grid, as the window makes it: compute, draw, then take what was chosen.
fn frame(ui: &mut eframe::egui::Ui, diagnosis: &Arc<Diagnosis>, heads: &mut Heads) {
    heads.update(Rows::of(diagnosis), Pair::default());
    let mut commands = Vec::new();
    heads.choice = heads.show(ui, Rows::of(diagnosis), Pair::default(), &mut commands);
    for command in commands {
        match command {
            Command::Pins(pins) => heads.pins = pins,
            Command::HeadRows(rows) => heads.rows = rows,
            _ => {}
        }
    }
}

fn grid(diagnosis: Arc<Diagnosis>) -> Harness<'static, Heads> {
    let show = move |ui: &mut eframe::egui::Ui, heads: &mut Heads| frame(ui, &diagnosis, heads);
    Harness::builder().with_size([360.0, 700.0]).build_ui_state(show, Heads::default())
}

fn choice(grid: &Harness<'_, Heads>) -> Choice {
    grid.state().choice
}

fn click(grid: &mut Harness<'_, Heads>, label: &str) {
    grid.get_by_role_and_label(Role::Button, label).click();
    grid.run_steps(3);
}

fn press(grid: &mut Harness<'_, Heads>, key: Key) {
    grid.key_press(key);
    grid.run_steps(3);
}

fn corner(grid: &Harness<'_, Heads>) -> Pos2 {
    grid.get_by_label("Head grid").rect().min
}

fn excess_of(diagnosis: &Diagnosis, run: usize, head: (usize, usize)) -> f64 {
    let heads = &diagnosis.runs[run].heads;
    let report = heads.iter().find(|report| (report.layer, report.head) == head).expect("a head");
    report.largest_logit_excess().expect("unseen distances")
}

#[test]
fn a_click_chooses_the_head_under_the_pointer_and_tells_its_value() {
    let diagnosis = made_up::diagnosis(3, 4);
    let excess = excess_of(&diagnosis, 0, (2, 1));
    let mut grid = grid(diagnosis);
    grid.get_by_label("Curves: mean over all heads");
    // The second of four heads in the last of three layers, right of the numbers of the layers.
    let rect = grid.get_by_label("Head grid").rect();
    let at = corner(&grid) + vec2(26.0 + (rect.width() - 26.0) * 1.5 / 4.0, rect.height() * 2.5 / 3.0);
    grid.drag_at(at);
    grid.drop_at(at);
    grid.run_steps(3);
    assert_eq!(choice(&grid).head, Some((2, 1)));
    grid.get_by_label("Curves: L2 H1");
    grid.get_by_label("Chosen head: L2 H1");
    assert!(excess > 0.1, "{excess}");
    grid.get_by_label(&format!("logit excess at unseen distances, A: {excess:.2}"));
    click(&mut grid, "All heads");
    assert_eq!(choice(&grid).head, None);
    assert!(grid.query_by_label_contains("Chosen head").is_none());
}

#[test]
fn hovering_tells_every_measure_of_both_policies() {
    let mut grid = grid(made_up::diagnosis(3, 4));
    assert!(grid.query_by_label("L0 H0").is_none());
    grid.hover_at(corner(&grid) + vec2(45.0, 30.0));
    grid.run_steps(20);
    grid.get_by_label("L0 H0");
    for measure in Measure::ALL {
        // In the tooltip; the measure of the colours stands in the menu too.
        assert!(grid.query_all_by_label(measure.name()).count() >= 1, "{}", measure.name());
    }
}

#[test]
fn sorted_heads_stand_by_strength_and_arrow_keys_follow_that_order() {
    let mut grid = grid(made_up::diagnosis(3, 4));
    click(&mut grid, "Strongest first");
    click(&mut grid, "B");
    assert_eq!((choice(&grid).order, choice(&grid).side), (Order::Strongest, Side::B));
    // Under B the last head of the model is the strongest.
    press(&mut grid, Key::ArrowRight);
    assert_eq!(choice(&grid).head, Some((2, 3)));
    press(&mut grid, Key::ArrowRight);
    assert_eq!(choice(&grid).head, Some((2, 2)));
    press(&mut grid, Key::ArrowLeft);
    assert_eq!(choice(&grid).head, Some((2, 3)));
    click(&mut grid, "A");
    press(&mut grid, Key::ArrowLeft);
    assert_eq!(choice(&grid).head, Some((2, 2)), "the weakest under A, and the one before it");
    click(&mut grid, "By layer");
    press(&mut grid, Key::ArrowUp);
    assert_eq!(choice(&grid).head, Some((1, 2)));
}

#[test]
fn the_grid_keeps_its_width_in_a_panel() {
    let diagnosis = made_up::diagnosis(3, 4);
    let show = move |ui: &mut eframe::egui::Ui, heads: &mut Heads| {
        let panel = eframe::egui::Panel::left("heads").default_size(330.0).size_range(240.0..=620.0);
        panel.show(ui, |ui| frame(ui, &diagnosis, heads));
    };
    let mut grid = Harness::builder().with_size([900.0, 700.0]).build_ui_state(show, Heads::default());
    let width = |grid: &Harness<'_, Heads>| grid.get_by_label("Head grid").rect().width();
    let before = width(&grid);
    grid.run_steps(20);
    assert_eq!(width(&grid), before);
    assert!(before > 230.0, "{before}");
}

#[test]
fn a_difference_is_told_with_its_sign_and_a_symmetric_scale() {
    let diagnosis = made_up::diagnosis(3, 4);
    let difference = excess_of(&diagnosis, 0, (0, 0)) - excess_of(&diagnosis, 1, (0, 0));
    let mut grid = grid(diagnosis);
    click(&mut grid, "A \u{2212} B");
    press(&mut grid, Key::ArrowDown);
    assert!(difference > 1.0, "{difference}");
    let name = "logit excess at unseen distances, A \u{2212} B";
    grid.get_by_label_contains(&format!("{name}: {difference:.2}"));
    grid.get_by_label_contains(&format!("Colours: {name}, from \u{2212}{difference:.2}"));
    for _ in 0..3 {
        press(&mut grid, Key::ArrowDown);
        press(&mut grid, Key::ArrowRight);
    }
    assert_eq!(choice(&grid).head, Some((2, 3)));
    grid.get_by_label_contains(&format!("A \u{2212} B: \u{2212}{difference:.2}"));
}

#[test]
fn the_measure_is_chosen_in_the_menu() {
    let mut grid = grid(made_up::diagnosis(3, 4));
    press(&mut grid, Key::ArrowDown);
    grid.get_by_role_and_label(Role::ComboBox, "Heads").click();
    grid.run_steps(3);
    click(&mut grid, "mass on start tokens");
    assert_eq!(choice(&grid).measure, Measure::StartMass);
    grid.get_by_label("mass on start tokens, A: 0.25");
}

#[test]
fn every_head_of_a_large_model_can_be_reached() {
    for (layers, heads) in [(30, 9), (80, 64)] {
        let mut grid = grid(made_up::enlarged(layers, heads));
        for order in ["Strongest first", "By layer"] {
            click(&mut grid, order);
            grid.state_mut().choice.head = Some((layers - 1, heads - 1));
            press(&mut grid, Key::ArrowDown);
            grid.run_steps(10);
            let chosen = grid.get_by_label_contains("Chosen head").rect();
            assert!(chosen.width() >= 9.0 && chosen.height() >= 9.0, "{chosen:?}");
            let area = grid.get_by_label("All heads").rect().bottom()
                ..=grid.get_by_label_contains("Colours").rect().top();
            assert!(area.contains(&chosen.center().y), "{order}: {chosen:?} in {area:?}");
            assert!((0.0..=360.0).contains(&chosen.center().x), "{order}: {chosen:?}");
        }
    }
}

fn curves(diagnosis: Arc<Diagnosis>) -> Harness<'static, Option<(usize, usize)>> {
    let mut pane: Box<dyn Pane> = curves::pane();
    let mut commands: Vec<Command> = Vec::new();
    let show = move |ui: &mut eframe::egui::Ui, head: &mut Option<(usize, usize)>| {
        let shown = Shown {
            diagnosis: &diagnosis,
            inputs: None,
            head: *head,
            pins: &[],
            hover: None,
            mark: None,
            range: None,
            moving: false,
            hidden: Hidden::default(),
            pair: Pair::default(),
            earlier: &[],
            version: 0,
            tab: Tab::Curves,
            narrow: false,
            inspected: true,
        };
        commands.drain(..).for_each(|command| pane.obey(&command));
        pane.update(ui.ctx(), &shown);
        pane.show(ui, &shown, &mut commands);
    };
    Harness::builder().with_size([900.0, 800.0]).build_ui_state(show, None)
}

/// Points at the middle of the plot below the title.
fn point_below(curves: &mut Harness<'_, Option<(usize, usize)>>, title: &str) {
    let at = curves.get_by_label(title).rect().left_bottom() + vec2(450.0, 90.0);
    curves.hover_at(at);
    curves.run_steps(4);
}

#[test]
fn pointing_at_a_plot_reads_both_policies_in_all_plots() {
    let mut curves = curves(made_up::diagnosis(3, 4));
    assert_eq!(curves.query_all_by_label("point at a plot to read values").count(), 3);
    point_below(&mut curves, "Attention entropy by context length (nats)");
    assert_eq!(curves.query_all_by_label("point at a plot to read values").count(), 0);
    // Past the training length A has lost 6 nats and B 2; the entropies are equal.
    curves.get_by_label_contains("A 6.000, B 2.000, reference 2.000");
    let readings = curves.query_all_by_label_contains("at ").filter_map(|node| node.value());
    let mut readings = readings.filter(|text| text.starts_with("at "));
    let entropy = readings.next_back().expect("a reading");
    let mut values = entropy.split(": ").nth(1).expect("values").split(", ");
    let (a, b) = (values.next().expect("A"), values.next().expect("B"));
    assert_eq!(a.strip_prefix("A "), b.strip_prefix("B "), "{entropy}");
}

#[test]
fn no_curve_reaches_over_a_gap() {
    let reading = |without: std::ops::Range<usize>| {
        let mut diagnosis = Diagnosis::clone(&made_up::diagnosis(3, 4));
        for mean in &mut diagnosis.runs[0].curves.entropy.mean[without] {
            *mean = None;
        }
        let mut curves = curves(Arc::new(diagnosis));
        point_below(&mut curves, "Attention entropy by context length (nats)");
        let mut readings = curves.query_all_by_label_contains("at ").filter_map(|node| node.value());
        readings.rfind(|text| text.starts_with("at ")).expect("a reading")
    };
    let bins = made_up::diagnosis(3, 4).runs[0].curves.entropy.mean.len();
    assert!(!reading(0..0).contains("A –"), "the curve is there");
    assert!(
        reading(bins / 8..bins * 7 / 8).contains("A –"),
        "no straight line stands for what was not measured"
    );
}

#[test]
fn losses_that_are_not_finite_are_told_beside_their_curve() {
    let mut diagnosis = Diagnosis::clone(&made_up::diagnosis(3, 4));
    diagnosis.runs[0].buckets[3].non_finite = 5;
    let curves = curves(Arc::new(diagnosis));
    curves.get_by_label("(losses that are not finite: 5 tokens under A)");
}

#[test]
fn curves_are_of_the_chosen_head() {
    let mut curves = curves(made_up::diagnosis(3, 4));
    assert_eq!(curves.query_all_by_label("mean over heads, band: 10 % to 90 % of them").count(), 2);
    let logits = |curves: &Harness<'_, Option<(usize, usize)>>| -> [f64; 2] {
        let all = curves.query_all_by_label_contains("at ").filter_map(|node| node.value());
        let values = all.filter(|text| text.starts_with("at ")).nth(1).expect("a reading");
        let number = |name: &str| {
            let rest = values.split(&format!("{name} ")).nth(1).expect("a value");
            rest.split([',', ' ']).next().and_then(|text| text.parse().ok()).expect("a number")
        };
        [number("A"), number("B")]
    };
    *curves.state_mut() = Some((0, 0));
    point_below(&mut curves, "Largest logit up to a distance");
    assert_eq!(curves.query_all_by_label("L0 H0").count(), 2);
    // The first head rises most under A, the last under B.
    let [a, b] = logits(&curves);
    assert!(a > 4.0 * b, "{a} {b}");
    *curves.state_mut() = Some((2, 3));
    curves.run_steps(3);
    let [a, b] = logits(&curves);
    assert!(b > 4.0 * a, "{a} {b}");
}

#[test]
fn bounds_of_the_entropy_are_shown_for_one_policy() {
    let mut curves = curves(made_up::diagnosis(3, 4));
    curves.get_by_role_and_label(Role::Button, "of A").click();
    curves.run_steps(3);
    point_below(&mut curves, "Attention entropy by context length (nats)");
    curves.get_by_label("dotted: ln n \u{2212} 2B");
    curves.get_by_label_contains(", ln n \u{2212} 2B ");
    *curves.state_mut() = Some((0, 0));
    curves.run_steps(3);
    assert!(curves.query_by_label_contains("ln n \u{2212} 2B").is_none());
    curves.get_by_label_contains("known as means over all heads");
}
