//! The guided tour: six steps through the run on screen, with its numbers, each with the view that shows it.

mod part;
mod words;

use eframe::egui::{
    self, Align2, Context, CornerRadius, Id, Key, LayerId, Modifiers, Order, Rect, Stroke, StrokeKind, Ui,
};

use lm_infinite::diagnose::Diagnosis;

pub use self::part::Part;

use self::words::words;
use crate::tab::Tab;
use crate::theme;

/// What the steps are about, in their order.
const STEPS: [Part; 6] = [Part::Loss, Part::Logits, Part::Entropy, Part::Heads, Part::RunBar, Part::Verdicts];

/// Where the reader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tour {
    /// Nowhere.
    #[default]
    Closed,
    /// Asked whether to begin.
    Offered,
    /// At a step, from 0.
    At(usize),
}

/// Remembers where `part` was drawn.
pub fn mark(ctx: &Context, part: Part, rect: Rect) {
    ctx.data_mut(|data| data.insert_temp(Id::unique(part), rect));
}

impl Tour {
    /// Its first step, which shows the tab of the curves.
    pub const BEGIN: Self = Self::At(0);

    /// What it points at.
    pub fn part(self) -> Option<Part> {
        match self {
            Self::At(step) => STEPS.get(step).copied(),
            _ => None,
        }
    }

    /// The tile that has to be in front for that.
    pub fn tab(self) -> Option<Tab> {
        match self.part()? {
            Part::Loss | Part::Logits | Part::Entropy => Some(Tab::Curves),
            Part::Heads => Some(Tab::Heads),
            Part::RunBar | Part::Verdicts => None,
        }
    }

    /// Whether it points at the column of the runs.
    pub fn needs_runs(self) -> bool {
        matches!(self.part(), Some(Part::RunBar | Part::Verdicts))
    }

    fn next(self) -> Self {
        match self {
            Self::At(step) if step + 1 < STEPS.len() => Self::At(step + 1),
            Self::Offered => Self::At(0),
            _ => Self::Closed,
        }
    }

    fn back(self) -> Self {
        match self {
            Self::At(step) => Self::At(step.saturating_sub(1)),
            other => other,
        }
    }

    /// Escape ends it: where it stands after this frame's keys.
    #[must_use]
    pub fn keys(self, ctx: &Context) -> Self {
        let escape = || ctx.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape));
        if self != Self::Closed && escape() { Self::Closed } else { self }
    }

    /// Draws what a step says of the run on screen, and a frame around what it is about; returns where the reader goes.
    #[must_use]
    pub fn show(self, ctx: &Context, diagnosis: Option<&Diagnosis>) -> Self {
        let (title, words) = match self {
            Self::Closed => return self,
            Self::Offered => {
                let words = "New here? Six steps show how attention breaks, and what holds it.";
                ("Tour".to_owned(), words.to_owned())
            }
            Self::At(step) => {
                (format!("Tour, step {} of {}", step + 1, STEPS.len()), words(STEPS[step], diagnosis))
            }
        };
        let target = match self {
            Self::At(step) => ctx.data(|data| data.get_temp::<Rect>(Id::unique(STEPS[step]))),
            _ => None,
        };
        if let Some(rect) = target {
            let painter = ctx.layer_painter(LayerId::new(Order::Foreground, Id::unique("tour frame")));
            let stroke = Stroke::new(3.0, theme::SPOTLIGHT);
            painter.rect_stroke(rect, CornerRadius::same(4), stroke, StrokeKind::Inside);
        }
        // Where it does not hide what it is about.
        let middle = ctx.content_rect().center().y;
        let below = target.is_none_or(|rect| rect.center().y < middle);
        let (anchor, offset) =
            if below { (Align2::CENTER_BOTTOM, [0.0, -24.0]) } else { (Align2::CENTER_TOP, [0.0, 24.0]) };
        let mut next = self;
        egui::Window::new(title)
            .id(Id::unique("tour"))
            .collapsible(false)
            .resizable(false)
            .order(Order::Foreground)
            .anchor(anchor, offset)
            .default_width(460.0)
            .show(ctx, |ui| {
                ui.label(words);
                ui.add_space(4.0);
                ui.horizontal(|ui| next = self.buttons(ui));
            });
        next
    }

    fn buttons(self, ui: &mut Ui) -> Self {
        let button = |ui: &mut Ui, name: &str, help: &str, enabled: bool| {
            ui.add_enabled(enabled, egui::Button::new(name)).on_hover_text(help).clicked()
        };
        let mut next = self;
        match self {
            Self::At(step) => {
                let last = step + 1 == STEPS.len();
                if button(ui, "Back", "The step before", step > 0) {
                    next = self.back();
                }
                if button(ui, if last { "Done" } else { "Next" }, "Go on with the tour", true) {
                    next = self.next();
                }
                if !last && button(ui, "Skip", "End the tour (Esc)", true) {
                    next = Self::Closed;
                }
            }
            _ => {
                if button(ui, "Show me", "Begin the tour", true) {
                    next = self.next();
                }
                if button(ui, "No, thanks", "Tour begins it later", true) {
                    next = Self::Closed;
                }
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tour_has_an_end_in_both_directions() {
        assert_eq!((Tour::Offered.next(), Tour::At(0).back()), (Tour::At(0), Tour::At(0)));
        let mut tour = Tour::At(0);
        for step in 1..STEPS.len() {
            tour = tour.next();
            assert_eq!(tour, Tour::At(step));
        }
        assert_eq!((tour.next(), tour.back()), (Tour::Closed, Tour::At(STEPS.len() - 2)));
    }
}
