//! The paper's statements: about the chosen head, live, and all of them on drawn numbers.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use eframe::egui::{Context, Grid, RichText, ScrollArea, Ui};
use lm_infinite::diagnose::{Diagnosis, HeadStatement, head_statements};
use lm_infinite_analysis::theory::{Claim, Relation, Verdict, claims};

use super::{NAMES, Shown};
use crate::command::Command;
use crate::tab::View;
use crate::theme;

/// Seed of the drawn numbers: that of the command.
const SEED: u64 = 0;

/// What was told last: of which diagnosis and head, and the statements of A and B.
type Told = (Arc<Diagnosis>, (usize, usize), Vec<Vec<HeadStatement>>);

type Claims = Result<Vec<Claim>, String>;

/// The tab, with what was computed.
#[derive(Default)]
struct Theory {
    coming: Option<Receiver<Claims>>,
    claims: Option<Claims>,
    /// About the chosen head, made anew when it or the diagnosis changes.
    statements: Option<Told>,
}

/// A new one.
pub fn view() -> Box<dyn View> {
    Box::new(Theory::default())
}

impl View for Theory {
    fn show(&mut self, ui: &mut Ui, shown: &Shown<'_>, _commands: &mut Vec<Command>) {
        self.update(ui.ctx());
        ScrollArea::vertical().show(ui, |ui| {
            self.head(ui, shown);
            ui.separator();
            match &self.claims {
                None => {
                    ui.label("Computing the statements …");
                }
                Some(Err(reason)) => {
                    ui.colored_label(theme::BAD, format!("The statements could not be computed. {reason}"));
                }
                Some(Ok(claims)) => table(ui, claims),
            }
        });
    }
}

impl Theory {
    /// Has the claims computed, once, on a thread of its own.
    fn update(&mut self, ctx: &Context) {
        if self.claims.is_some() {
            return;
        }
        let Some(coming) = &self.coming else {
            let (sender, coming) = sync_channel(1);
            let ctx = ctx.clone();
            let work = move || {
                // Nobody listens once the window is closed.
                let _ = sender.send(claims(SEED).map_err(|failure| failure.to_string()));
                ctx.request_repaint();
            };
            match std::thread::Builder::new().name("theory".into()).spawn(work) {
                Ok(_) => self.coming = Some(coming),
                Err(failure) => self.claims = Some(Err(failure.to_string())),
            }
            return;
        };
        if let Ok(claims) = coming.try_recv() {
            (self.claims, self.coming) = (Some(claims), None);
        }
    }

    /// The statements about the chosen head.
    fn head(&mut self, ui: &mut Ui, shown: &Shown<'_>) {
        let Some((layer, head)) = shown.head else {
            ui.label("Choose a head in the grid to see what the paper's statements say about it.");
            return;
        };
        let fresh =
            |(diagnosis, of, _): &Told| Arc::ptr_eq(diagnosis, shown.diagnosis) && *of == (layer, head);
        if !self.statements.as_ref().is_some_and(fresh) {
            let runs = shown.diagnosis.runs.iter().take(NAMES.len());
            let all = runs.map(|run| head_statements(shown.diagnosis, run, (layer, head))).collect();
            self.statements = Some((shown.diagnosis.clone(), (layer, head), all));
        }
        let Some((_, _, sides)) = &self.statements else { return };
        ui.strong(format!("Layer {layer}, head {head}: measured against bound"));
        Grid::new("head statements").num_columns(1 + sides.len()).striped(true).show(ui, |ui| {
            ui.label("");
            for (side, run) in shown.diagnosis.runs.iter().take(NAMES.len()).enumerate() {
                let name = format!("{}  {}", NAMES[side], run.policy);
                ui.label(RichText::new(name).color(theme::side(ui.visuals(), side)).strong());
            }
            ui.end_row();
            for row in 0..sides.iter().map(Vec::len).min().unwrap_or(0) {
                ui.label(sides[0][row].statement);
                for side in sides {
                    compared(ui, &side[row]);
                }
                ui.end_row();
            }
        });
    }
}

fn compared(ui: &mut Ui, statement: &HeadStatement) {
    let value = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    let (sign, not) = signs(statement.relation);
    let (sign, color) = match statement.holds() {
        Some(true) => (sign, theme::GOOD),
        Some(false) => (not, theme::BAD),
        None => {
            ui.weak("nothing to measure")
                .on_hover_text("This policy attends to no such key, or the text is too short");
            return;
        }
    };
    let (measured, bound) = (value(statement.measured), value(statement.bound));
    let verdict = if statement.holds() == Some(true) { "holds" } else { "does not hold" };
    ui.label(RichText::new(format!("{measured} {sign} {bound} {}: {verdict}", statement.unit)).color(color));
}

/// A relation, and its opposite.
fn signs(relation: Relation) -> (&'static str, &'static str) {
    match relation {
        Relation::AtLeast => ("≥", "<"),
        Relation::AtMost => ("≤", ">"),
        Relation::Equal => ("=", "≠"),
    }
}

fn table(ui: &mut Ui, claims: &[Claim]) {
    ui.strong("Every statement of the paper, on drawn queries, keys and logits");
    Grid::new("claims").num_columns(4).striped(true).min_col_width(60.0).max_col_width(360.0).show(
        ui,
        |ui| {
            for title in ["statement", "says", "measured against bound", "verdict"] {
                ui.label(RichText::new(title).weak());
            }
            ui.end_row();
            for claim in claims {
                ui.label(&claim.name).on_hover_text(format!("{}\non {}", claim.source, claim.setting));
                ui.add(eframe::egui::Label::new(&claim.statement).wrap())
                    .on_hover_text(format!("assumes {}", claim.assumptions.join("; ")));
                let sign = signs(claim.relation).0;
                let numbers = format!("{:.4} {sign} {:.4} {}", claim.measured, claim.bound, claim.unit);
                ui.add(eframe::egui::Label::new(numbers).wrap()).on_hover_text(&claim.quantity);
                let (words, color) = match claim.verdict {
                    Verdict::Holds => ("holds", theme::GOOD),
                    Verdict::Vacuous => ("holds, says nothing here", ui.visuals().weak_text_color()),
                    Verdict::Refuted => ("refuted", theme::BAD),
                };
                ui.label(RichText::new(words).color(color)).on_hover_text(&claim.note);
                ui.end_row();
            }
        },
    );
}
