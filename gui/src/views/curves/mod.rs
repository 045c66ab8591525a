//! Curves of A and B: loss by position, logits against distance, entropy against length; of all heads or of one.

pub mod axis;
pub mod line;
pub mod model;
pub mod paint;

use eframe::egui::{ComboBox, Context, Label, RichText, ScrollArea, Ui};
use lm_infinite::diagnose::{Diagnosis, head_name};

use self::axis::{Axis, Spacing, grouped};
use self::line::{Kind, Line};
use self::model::{Asked, Controls, Curve, Drawing};
use self::paint::Marks;
use super::memo::Memo;
use super::pane::Pane;
use super::sentence;
use super::shown::Shown;
use crate::command::Command;
use crate::theme;
use crate::tour::{self, Tour};
use crate::workbench::Layout;

/// Room for the words above a plot.
const WORDS: f32 = 26.0;
/// Narrower tiles have them in more rows.
const WRAPPED: f32 = 700.0;
/// Lowest plot, and narrowest of those that stand beside each other where they have no room below.
const LOWEST: f32 = 110.0;
/// Room below a plot.
const BETWEEN: f32 = 6.0;
const NARROWEST: f32 = 190.0;

/// The tab of all curves.
#[derive(Default)]
struct Curves {
    controls: Controls,
    drawings: Memo<Asked, (Axis, Vec<Drawing>)>,
}

/// An empty one.
pub fn pane() -> Box<dyn Pane> {
    Box::new(Curves::default())
}

impl Pane for Curves {
    fn obey(&mut self, command: &Command) {
        match command {
            Command::Curves(controls) => self.controls = *controls,
            Command::Layout(layout) => {
                self.controls.curves = [true, *layout != Layout::Learn, *layout != Layout::Learn]
            }
            // The tour points at all of them.
            Command::Tour(Tour::At(_)) => self.controls.curves = [true; 3],
            _ => {}
        }
    }

    fn update(&mut self, _ctx: &Context, shown: &Shown<'_>) {
        let Controls { spacing, bounds, .. } = self.controls;
        let asked = Asked { head: shown.head, pins: self.pins(shown).to_vec(), spacing, bounds };
        self.drawings.update(shown.diagnosis, asked.clone(), || {
            let axis = Axis::new(spacing, shown.diagnosis.tokens, shown.diagnosis.trained_length);
            let drawing = |&curve| Drawing::new(shown.diagnosis, curve, &asked, &axis);
            (axis, Curve::ALL.iter().map(drawing).collect())
        });
    }

    fn show(&self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
        let diagnosis = shown.diagnosis;
        let mut controls = self.controls;
        ui.horizontal_wrapped(|ui| menus_ui(ui, shown, &mut controls));
        sentence_ui(ui, diagnosis, commands);
        let Some((axis, drawings)) = self.drawings.value() else { return };
        let drawings: Vec<_> = drawings.iter().zip(controls.curves).filter(|(_, shown)| *shown).collect();
        let count = drawings.len().max(1) as f32;
        let words = if ui.available_width() < WRAPPED { 3.0 * WORDS } else { WORDS };
        let (below, across) = (ui.available_height() / count, ui.available_width() / count);
        let beside = below - words < LOWEST && across >= NARROWEST && count > 1.0;
        // With the words above it.
        let whole = if beside { ui.available_height() } else { below } - BETWEEN;
        let mut cursor = None;
        let mut plot = |ui: &mut Ui, drawing: &Drawing| {
            let drawn = ui.scope(|ui| {
                let top = ui.cursor().top();
                words_ui(ui, drawing, axis, self.controls.cursor, shown.head, (self.pins(shown), beside));
                // Distances have no place in the text.
                let repeats = diagnosis.repeated_from.filter(|_| drawing.curve != Curve::Logits);
                let followed = drawing.curve != Curve::Logits;
                let marks = Marks {
                    trained: diagnosis.trained_length,
                    repeats,
                    hidden: shown.hidden,
                    cursor: shown.mark.filter(|_| followed),
                    range: shown.range.clone().filter(|_| followed),
                };
                let height = (whole - (ui.cursor().top() - top)).max(LOWEST);
                cursor = cursor.or(paint::plot(ui, drawing, axis, &marks, self.controls.cursor, height));
            });
            tour::mark(ui.ctx(), drawing.curve.part(), drawn.response.rect);
        };
        ScrollArea::vertical().show(ui, |ui| {
            if beside {
                ui.columns(drawings.len(), |columns| {
                    for ((drawing, _), ui) in drawings.iter().zip(columns) {
                        plot(ui, drawing);
                    }
                });
            } else {
                drawings.iter().for_each(|(drawing, _)| plot(ui, drawing));
            }
        });
        controls.cursor = cursor;
        if controls != self.controls {
            commands.push(Command::Curves(controls));
        }
    }
}

impl Curves {
    /// The heads that are compared.
    fn pins<'a>(&self, shown: &Shown<'a>) -> &'a [(usize, usize)] {
        if self.controls.pinned { shown.pins } else { &[] }
    }
}

/// What became of the loss, and more on request.
fn sentence_ui(ui: &mut Ui, diagnosis: &Diagnosis, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        if ui.button("Explain").on_hover_text("Step by step, with the numbers of this run").clicked() {
            commands.push(Command::Tour(Tour::BEGIN));
        }
        let words = sentence::all(diagnosis);
        ui.add(Label::new(&words).truncate()).on_hover_text(words);
    });
}

fn menus_ui(ui: &mut Ui, shown: &Shown<'_>, controls: &mut Controls) {
    let (diagnosis, hidden) = (shown.diagnosis, shown.hidden);
    for (curve, shown) in Curve::ALL.into_iter().zip(&mut controls.curves) {
        ui.toggle_value(shown, curve.name()).on_hover_text(curve.title());
    }
    if !shown.pins.is_empty() {
        let help = "Logits and entropy of the pinned heads, each in its colour; the policies differ by how lines are drawn";
        ui.toggle_value(&mut controls.pinned, "Pinned heads").on_hover_text(help);
    }
    ui.separator();
    let label = ui.label("Tokens");
    let menu = ComboBox::from_id_salt("spacing").selected_text(controls.spacing.name()).width(84.0);
    let menu = menu.show_ui(ui, |ui| {
        for spacing in Spacing::ALL {
            ui.selectable_value(&mut controls.spacing, spacing, spacing.name());
        }
    });
    let help = "Spacing of the horizontal axis; automatic is logarithmic where lengths span decades";
    menu.response.labelled_by(label.id).on_hover_text(help);
    if controls.curves[2] {
        ui.separator();
        ui.label("Entropy bounds");
        let of = |side: usize| (Some(side), format!("of {}", theme::name(side)));
        for (bounds, name) in
            std::iter::once((None, "none".to_owned())).chain((0..diagnosis.runs.len()).map(of))
        {
            let help = "What the logits alone say of the entropy (appendix D of the paper)";
            ui.selectable_value(&mut controls.bounds, bounds, name).on_hover_text(help);
        }
    }
    ui.separator();
    for (side, run) in diagnosis.runs.iter().enumerate().filter(|(side, _)| !hidden.has(*side)) {
        let drawn = paint::style_name(side);
        ui.colored_label(paint::side(ui, side), format!("{} {} ({drawn})", theme::name(side), run.policy));
    }
    ui.weak(format!("bar: training length, {}", grouped(diagnosis.trained_length as f64)));
    if let Some(from) = diagnosis.repeated_from {
        ui.weak(format!("dotted bar: the text repeats from here, {}", grouped(from as f64)));
    }
}

/// What a plot shows, and what its lines are worth at the cursor.
fn words_ui(
    ui: &mut Ui,
    drawing: &Drawing,
    axis: &Axis,
    cursor: Option<f64>,
    head: Option<(usize, usize)>,
    (pins, beside): (&[(usize, usize)], bool),
) {
    if beside {
        ui.add(Label::new(RichText::new(drawing.curve.title()).strong()).truncate());
        let words =
            cursor.map_or("point at a plot to read values".to_owned(), |at| reading(drawing, axis, at));
        ui.add(Label::new(&words).truncate()).on_hover_text(words);
        return;
    }
    ui.horizontal_wrapped(|ui| {
        ui.strong(drawing.curve.title());
        match (drawing.curve, head) {
            (Curve::Loss, _) => ui.weak("dotted: reference, the same text in windows of the training length"),
            _ if !pins.is_empty() => ui.weak("pinned heads"),
            (_, None) => ui.weak("mean over heads, band: 10 % to 90 % of them"),
            (_, Some(head)) => ui.weak(head_name(head)),
        };
        for (at, &head) in pins.iter().enumerate().filter(|_| drawing.curve != Curve::Loss) {
            ui.colored_label(paint::side(ui, at), head_name(head));
        }
        for line in &drawing.lines {
            if let Kind::Bound(number) = line.kind {
                ui.colored_label(paint::bound(number), format!("dotted: {}", line.name));
            }
            if let (Kind::Side(side), Some(at)) = (line.kind, line.not_finite_from) {
                let words = format!("{}: not finite from {}", theme::name(side), grouped(at as f64));
                ui.colored_label(paint::side(ui, side), words);
            }
        }
        if !drawing.note.is_empty() {
            ui.weak(format!("({})", drawing.note));
        }
        match cursor {
            Some(cursor) => ui.label(reading(drawing, axis, cursor)),
            None => ui.weak("point at a plot to read values"),
        };
    });
}

fn reading(drawing: &Drawing, axis: &Axis, cursor: f64) -> String {
    let value = |line: &Line| {
        let name = match line.kind {
            Kind::Side(side) => theme::name(side),
            Kind::Reference => "reference",
            Kind::Pin { .. } | Kind::Bound(_) => &line.name,
        };
        let value = line.value(cursor).map_or("–".to_owned(), |value| format!("{value:.3}"));
        let band =
            line.band_at(cursor).map_or(String::new(), |[low, high]| format!(" ({low:.2} to {high:.2})"));
        format!("{name} {value}{band}").replace('-', "\u{2212}")
    };
    let values: Vec<_> = drawing.lines.iter().map(value).collect();
    format!("at {}: {}", grouped(axis.tokens(cursor)), values.join(", "))
}
