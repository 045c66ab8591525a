//! The paper's statements: about the chosen head, live, and all of them on drawn numbers.

use eframe::egui::{Align, Color32, Context, Frame, Label, Layout as Flow, RichText, ScrollArea, Ui, vec2};
use lm_infinite::diagnose::{HeadStatement, head_name, head_statements};
use lm_infinite_analysis::theory::{Claim, Relation, Verdict, claims};

use super::data;
use super::formula::formula_ui;
use super::memo::Memo;
use super::pane::Pane;
use super::shown::Shown;
use crate::command::Command;
use crate::task::Task;
use crate::theme;

/// Seed of the drawn numbers: that of the command.
const SEED: u64 = 0;

/// Width from which the statements have columns, the share of each, and the gap between them.
const COLUMNS: f32 = 560.0;
const SHARES: [f32; 4] = [0.23, 0.41, 0.23, 0.13];
const GAP: f32 = 8.0;
/// Least width of a statement about a head and of what it is under a policy, and most of the latter.
const STATEMENT: f32 = 170.0;
const SIDE: f32 = 130.0;
const WIDEST: f32 = 260.0;

/// The tab, with what was computed.
struct Theory {
    claims: Task<u64, Vec<Claim>>,
    /// About the chosen head: the statements of A and B.
    statements: Memo<(usize, usize), Vec<Vec<HeadStatement>>>,
}

/// An empty one.
pub fn pane() -> Box<dyn Pane> {
    Box::new(Theory { claims: Task::newest("theory"), statements: Memo::default() })
}

impl Pane for Theory {
    fn update(&mut self, ctx: &Context, shown: &Shown<'_>) {
        if self.claims.request().is_none() {
            self.claims.ask(SEED, theme::wake(ctx), |seed, worker| {
                worker.send(claims(seed)?);
                Ok(())
            });
        }
        self.claims.poll();
        if let Some(head) = shown.head {
            self.statements.update(shown.diagnosis, head, || {
                let runs = shown.diagnosis.runs.iter();
                runs.map(|run| head_statements(shown.diagnosis, run, head)).collect()
            });
        }
    }

    fn show(&self, ui: &mut Ui, shown: &Shown<'_>, _commands: &mut Vec<Command>) {
        data::mark(ui, ui.available_rect_before_wrap());
        ScrollArea::vertical().show(ui, |ui| {
            ScrollArea::horizontal().id_salt("head statements").show(ui, |ui| self.head(ui, shown));
            ui.separator();
            match (self.claims.answer(), self.claims.failure()) {
                (Some((_, claims)), _) => table(ui, claims),
                (None, Some(reason)) => {
                    ui.colored_label(
                        theme::bad(ui.visuals()),
                        format!("The statements could not be computed. {reason}"),
                    );
                }
                (None, None) => {
                    ui.label("The statements are being computed …");
                }
            }
        });
    }

    fn is_busy(&self) -> bool {
        self.claims.is_running()
    }
}

impl Theory {
    /// The statements about the chosen head.
    fn head(&self, ui: &mut Ui, shown: &Shown<'_>) {
        let (Some(head), Some(sides)) = (shown.head, self.statements.value()) else {
            ui.label("Choose a head in the grid to see what the paper's statements say about it.");
            return;
        };
        ui.strong(format!("{}: measured against bound", head_name(head)));
        // As wide as the tile, where that leaves a column its width.
        let columns = sides.len() as f32;
        let width = (ui.clip_rect().width() - GAP * (columns + 2.0)).max(STATEMENT + columns * SIDE);
        let statement = (0.4 * width).min(width - columns * SIDE);
        let side = ((width - statement) / columns).min(WIDEST);
        let widths: Vec<_> = std::iter::once(statement).chain(sides.iter().map(|_| side)).collect();
        row(ui, &widths, |ui, column| {
            let Some(side) = column.checked_sub(1) else { return };
            let policy = shown.diagnosis.runs.get(side).map_or("", |run| run.policy.as_str());
            let name = format!("{}  {policy}", theme::name(side));
            let color = theme::side(ui.visuals(), side);
            let label = Label::new(RichText::new(name).color(color).strong());
            ui.add(label.truncate()).on_hover_text(policy);
        });
        let [first, ..] = &sides[..] else { return };
        for (at, statement) in first.iter().enumerate() {
            striped(ui, at, |ui| {
                row(ui, &widths, |ui, column| match column.checked_sub(1) {
                    Some(side) => {
                        if let Some(statement) = sides[side].get(at) {
                            compared(ui, statement);
                        }
                    }
                    None => drop(formula_ui(ui, statement.statement)),
                });
            });
        }
    }
}

fn compared(ui: &mut Ui, statement: &HeadStatement) {
    let written = |value: f64| format!("{value:.2}").replace('-', "\u{2212}");
    let value = |value: Option<f64>| value.map_or("–".to_owned(), written);
    let (sign, not) = signs(statement.relation);
    let (sign, color) = match statement.holds() {
        Some(true) => (sign, theme::good(ui.visuals())),
        Some(false) => (not, theme::bad(ui.visuals())),
        None => {
            ui.add(Label::new(RichText::new("nothing to measure").weak()).wrap())
                .on_hover_text("This policy attends to no such key, or the text is too short");
            return;
        }
    };
    let (measured, bound) = (value(statement.measured), value(statement.bound));
    let verdict = if statement.holds() == Some(true) { "holds" } else { "does not hold" };
    let words = format!("{measured} {sign} {bound} {}: {verdict}", statement.unit);
    ui.add(Label::new(RichText::new(words).color(color)).wrap());
}

/// A relation, and its opposite.
fn signs(relation: Relation) -> (&'static str, &'static str) {
    match relation {
        Relation::AtLeast => ("≥", "<"),
        Relation::AtMost => ("≤", ">"),
        Relation::Equal => ("=", "≠"),
    }
}

/// All statements: columns where there is room for them, otherwise one below the other.
fn table(ui: &mut Ui, claims: &[Claim]) {
    ui.strong("Every statement of the paper, on drawn queries, keys and logits");
    let width = ui.available_width();
    if width < COLUMNS {
        for claim in claims {
            ui.separator();
            ui.horizontal_wrapped(|ui| {
                name_ui(ui, claim);
                verdict_ui(ui, claim);
            });
            says_ui(ui, claim);
            numbers_ui(ui, claim);
        }
        return;
    }
    let widths = SHARES.map(|share| (width - GAP * SHARES.len() as f32) * share);
    let titles = [
        ("statement", "Its name in the paper; point at one to read where it stands and what it is tried on"),
        ("says", "The statement; point at one to read what it assumes"),
        (
            "measured against bound",
            "What was measured, and what the statement allows; point at one to read of what",
        ),
        (
            "verdict",
            "Whether what was measured is as stated; point at one to read a remark, where there is one",
        ),
    ];
    row(ui, &widths, |ui, column| {
        let (title, help) = titles[column];
        ui.weak(title).on_hover_text(help);
    });
    for (at, claim) in claims.iter().enumerate() {
        striped(ui, at, |ui| {
            row(ui, &widths, |ui, column| match column {
                0 => name_ui(ui, claim),
                1 => says_ui(ui, claim),
                2 => numbers_ui(ui, claim),
                _ => verdict_ui(ui, claim),
            });
        });
    }
}

/// Every second row has a ground of its own.
fn striped(ui: &mut Ui, at: usize, add: impl FnOnce(&mut Ui)) {
    let fill = if at.is_multiple_of(2) { ui.visuals().faint_bg_color } else { Color32::TRANSPARENT };
    Frame::NONE.fill(fill).show(ui, add);
}

/// Cells of these widths beside each other, whose words wrap.
fn row(ui: &mut Ui, widths: &[f32], mut cell: impl FnMut(&mut Ui, usize)) {
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = GAP;
        for (column, &width) in widths.iter().enumerate() {
            ui.allocate_ui_with_layout(vec2(width, 0.0), Flow::top_down(Align::Min), |ui| {
                ui.set_width(width);
                cell(ui, column);
            });
        }
    });
}

fn name_ui(ui: &mut Ui, claim: &Claim) {
    let name = Label::new(RichText::new(title(&claim.name)).strong()).wrap();
    ui.add(name).on_hover_text(format!("{}: {}\non {}", claim.name, claim.source, claim.setting));
}

fn says_ui(ui: &mut Ui, claim: &Claim) {
    formula_ui(ui, &claim.statement).on_hover_text(format!("assumes {}", claim.assumptions.join("; ")));
}

fn numbers_ui(ui: &mut Ui, claim: &Claim) {
    let sign = signs(claim.relation).0;
    // A share has no unit that says more than its number.
    let unit = if claim.unit == "ratio" { "" } else { claim.unit.as_str() };
    let numbers = format!("{} {sign} {} {unit}", number(claim.measured), number(claim.bound));
    let numbers = formula_ui(ui, numbers.trim_end());
    numbers.on_hover_ui(|ui| drop(formula_ui(ui, &claim.quantity)));
}

fn verdict_ui(ui: &mut Ui, claim: &Claim) {
    let (words, color) = match claim.verdict {
        Verdict::Holds => ("holds", theme::good(ui.visuals())),
        Verdict::Vacuous => ("holds, says nothing here", ui.visuals().weak_text_color()),
        Verdict::Refuted => ("refuted", theme::bad(ui.visuals())),
    };
    let verdict = ui.add(Label::new(RichText::new(words).color(color)).wrap());
    if !claim.note.is_empty() {
        verdict.on_hover_ui(|ui| drop(formula_ui(ui, &claim.note)));
    }
}

/// Four digits that count, as a formula.
fn number(value: f64) -> String {
    let size = value.abs();
    let text = if size != 0.0 && !(1e-3..1e6).contains(&size) {
        format!("{value:.3e}").replace('e', "·10^")
    } else {
        let before = if size < 1.0 { 1 } else { size.log10() as usize + 1 };
        let text = format!("{value:.*}", 5_usize.saturating_sub(before).min(4));
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    text.replace('-', "\u{2212}")
}

/// The name of a statement as the paper has it: `theorem-2-alibi` is `Theorem 2, ALiBi`.
fn title(name: &str) -> String {
    let spelled = |word: &str| match word {
        "alibi" => "ALiBi".to_owned(),
        "rope" => "RoPE".to_owned(),
        "nope" => "NoPE".to_owned(),
        "t5" => "T5".to_owned(),
        "l2" => "L2".to_owned(),
        word => word.to_owned(),
    };
    let words: Vec<_> = name.split('-').map(spelled).collect();
    let (named, rest) = match words.first().map(String::as_str) {
        Some("theorem" | "proposition" | "observation") if words.len() > 1 => words.split_at(2),
        _ => words.split_at(words.len()),
    };
    let comma = if named.is_empty() || rest.is_empty() { "" } else { ", " };
    let all = format!("{}{comma}{}", named.join(" "), rest.join(" "))
        .replace("pseudo dimension ", "pseudo-dimension, ")
        .replace("lm infinite", "LM-Infinite");
    let mut letters = all.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_named_as_in_the_paper() {
        for (name, words) in [
            ("theorem-2-alibi", "Theorem 2, ALiBi"),
            ("theorem-2-alibi-squared-l2", "Theorem 2, ALiBi squared L2"),
            ("proposition-2", "Proposition 2"),
            ("proposition-2-two-levels", "Proposition 2, two levels"),
            ("pseudo-dimension-rope", "Pseudo-dimension, RoPE"),
            ("rope-is-bounded", "RoPE is bounded"),
            ("lm-infinite-logits", "LM-Infinite logits"),
            ("", ""),
        ] {
            assert_eq!(title(name), words);
        }
    }

    #[test]
    fn numbers_have_four_digits_that_count() {
        for (value, written) in [
            (0.0, "0"),
            (1.0, "1"),
            (67.0489, "67.049"),
            (0.97441, "0.9744"),
            (-31.6824, "\u{2212}31.682"),
            (220_413.2, "220413"),
            (1.5e9, "1.500·10^9"),
            (-2e-7, "\u{2212}2.000·10^\u{2212}7"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), written);
        }
    }
}
