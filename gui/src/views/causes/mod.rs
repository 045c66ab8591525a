//! Causes, live: what the fix restores in each layer and head, what it restores where the reader mends, and a small set that
//! suffices.

mod grid;
pub mod model;

use std::sync::Arc;

use eframe::egui::{
    Button, Context, DragValue, Label, ProgressBar, RichText, Role, ScrollArea, Ui, WidgetInfo,
};
use egui_plot::{Line, LineStyle, Plot, PlotPoints};
use lm_infinite::causes::Place;

use self::model::{Change, Lines, mean};
use super::curves::axis::round_marks;
use super::curves::paint;
use super::data;
use super::pane::Pane;
use super::room::ragged;
use super::shown::Shown;
use crate::command::Command;
use crate::mending::{Found, Mended, Mending, Mends, Request};
use crate::theme::{self, SIDES};
use crate::words::grouped;

/// Training lengths that are looked into at first, and most tokens.
const LENGTHS: u64 = 8;
const AT_FIRST: u64 = 4096;
/// Width from which the curve stands beside the heat map.
const WIDE: f32 = 620.0;

/// The tile.
#[derive(Default)]
struct CausesTile {
    /// Tokens that are looked into; `None` until the reader says so.
    tokens: Option<u64>,
    mending: Mending,
    /// What the reader has asked for since the last frame.
    start: bool,
    mends: Mends,
    /// Means of the losses, of what is known.
    lines: Lines,
    /// What they are of: how much was mended.
    of: Option<(usize, Option<Mended>)>,
}

/// An empty one.
pub fn pane() -> Box<dyn Pane> {
    Box::<CausesTile>::default()
}

impl Pane for CausesTile {
    fn obey(&mut self, command: &Command) {
        let Command::Causes(change) = command else { return };
        match change {
            Change::Tokens(tokens) => self.tokens = Some(*tokens),
            Change::Start => self.start = true,
            Change::Stop => self.mending.stop(),
            Change::Toggle(place) => {
                if !self.mends.remove(place) {
                    self.mends.insert(*place);
                }
                self.mend();
            }
            Change::Mend(mends) => {
                self.mends.clone_from(mends);
                self.mend();
            }
            Change::Search => self.mending.search(),
            Change::StopSearch => self.mending.stop_search(),
        }
    }

    fn update(&mut self, ctx: &Context, shown: &Shown<'_>) {
        self.mending.keep_only(shown.inputs);
        self.mending.poll();
        let (layers, heads) = (shown.diagnosis.config.layers, shown.diagnosis.config.heads);
        self.mends.retain(|place| place.layer < layers && place.head.is_none_or(|head| head < heads));
        if std::mem::take(&mut self.start)
            && let Some(inputs) = shown.inputs
        {
            let (inputs, diagnosis) = (inputs.clone(), shown.diagnosis.clone());
            let tokens = self.tokens(shown);
            self.mending.start(Request { inputs, diagnosis, tokens }, theme::wake(ctx));
            self.mend();
        }
        let of = self.mending.found().map(|found| (Arc::as_ptr(&found.vanilla).addr(), found.mended.clone()));
        if of != self.of {
            self.lines = self.mending.found().map_or_else(Lines::default, Lines::new);
            self.of = of;
        }
    }

    fn show(&self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
        if shown.inputs.is_none() {
            ui.label("A result folder holds no model to intervene in. Press Run to read a text; then causes can be looked for.");
            return;
        }
        ui.horizontal_wrapped(|ui| self.menus_ui(ui, shown, commands));
        if let Some(failure) = self.mending.failure() {
            let words = format!("Causes could not be looked for. {failure}");
            ui.add(Label::new(RichText::new(words).color(theme::bad(ui.visuals()))).wrap());
        }
        let Some(found) = self.mending.found() else {
            ui.add_space(4.0);
            ui.label(
                "Which layers and heads make the loss rise? Each is mended alone, so that it attends as under lm-infinite while the \
                 others stay as they are, and what that restores of the loss beyond the training length is told. Then mend as many as you \
                 like by a click, and watch the loss.",
            );
            return;
        };
        if ui.available_width() < WIDE {
            ScrollArea::vertical().show(ui, |ui| {
                ui.allocate_ui(eframe::egui::vec2(ui.available_width(), 220.0), |ui| {
                    self.grid_ui(ui, found, commands);
                });
                self.mended_ui(ui, found, commands);
                self.plot(ui, found, 160.0);
                sentences(ui, found);
            });
            return;
        }
        ui.columns(2, |columns| {
            if let [left, right] = columns {
                ragged(left, |ui| {
                    ScrollArea::both().id_salt("places").show(ui, |ui| self.grid_ui(ui, found, commands));
                });
                ragged(right, |ui| {
                    ScrollArea::vertical().id_salt("mended").show(ui, |ui| {
                        self.mended_ui(ui, found, commands);
                        let height = (ui.available_height() - 110.0).clamp(110.0, 320.0);
                        self.plot(ui, found, height);
                        sentences(ui, found);
                    });
                });
            }
        });
    }

    fn is_busy(&self) -> bool {
        self.mending.progress().is_some_and(|progress| !progress.phase.is_empty())
    }
}

impl CausesTile {
    /// Tells the thread what is to be mended.
    fn mend(&self) {
        if !self.mends.is_empty() {
            self.mending.mend(self.mends.clone());
        }
    }

    /// How much of the text is looked into.
    fn tokens(&self, shown: &Shown<'_>) -> u64 {
        let (read, trained) = (shown.diagnosis.tokens_read(), shown.diagnosis.trained_length);
        let at_first = trained
            .saturating_mul(LENGTHS)
            .clamp(AT_FIRST.min(trained.saturating_mul(2)), AT_FIRST.max(trained * 2));
        self.tokens.unwrap_or(at_first).min(read)
    }

    fn menus_ui(&self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
        let running = self.mending.progress();
        let read = shown.diagnosis.tokens_read();
        let beyond = read > shown.diagnosis.trained_length && !shown.diagnosis.is_partial();
        let mut push = |change: Change| commands.push(Command::Causes(change));
        let begin = ui.add_enabled(beyond, Button::new("Find causes"));
        let why = "Once the text has been read, beyond the training length";
        if begin
            .on_hover_text("By intervention, in each layer and head")
            .on_disabled_hover_text(why)
            .clicked()
        {
            push(Change::Start);
        }
        let mut tokens = self.tokens(shown);
        let least = shown.diagnosis.trained_length.saturating_add(8).min(read);
        let field = DragValue::new(&mut tokens).range(least..=read).speed(16.0).suffix(" tokens");
        let field = ui.add(field.custom_formatter(|tokens, _| grouped(tokens as u64)));
        field.widget_info(|| WidgetInfo::labeled(Role::SpinButton, true, "Tokens of causes"));
        let field = field.on_hover_text("How much of the text is read again for every layer and head");
        if field.changed() {
            push(Change::Tokens(tokens));
        }
        if let Some(progress) = running.filter(|progress| !progress.phase.is_empty()) {
            if ui.button("Stop looking").on_hover_text("What was found stays").clicked() {
                push(Change::Stop);
            }
            ui.add(ProgressBar::new(progress.share()).desired_width(90.0).desired_height(8.0));
            ui.label(progress.phase);
        }
    }

    fn grid_ui(&self, ui: &mut Ui, found: &Found, commands: &mut Vec<Command>) {
        let words = "Percent of the excess that the fix restores in this place alone. Click places to mend them together.";
        ui.add(Label::new(RichText::new(words).weak()).wrap());
        if let Some(place) = grid::show(ui, found, &self.mends) {
            commands.push(Command::Causes(Change::Toggle(place)));
        }
    }

    /// What the places that are mended restore together.
    fn mended_ui(&self, ui: &mut Ui, found: &Found, commands: &mut Vec<Command>) {
        let names = self.mends.iter().map(Place::name).collect::<Vec<_>>().join(", ");
        let title =
            if names.is_empty() { "Nothing is mended".to_owned() } else { format!("Mended: {names}") };
        ui.add(Label::new(RichText::new(&title).strong()).wrap());
        let nats =
            |losses: &[f32]| mean(losses).map_or("not finite".to_owned(), |nats| format!("{nats:.3} nats"));
        let ends = format!("as it is {}, lm-infinite everywhere {}", nats(&found.vanilla), nats(&found.fix));
        let current = found.mended.as_ref().filter(|mended| mended.places == self.mends);
        let words = match current {
            Some(mended) => {
                let share = mended
                    .restored
                    .map_or_else(String::new, |restored| format!(": restores {}", restored.share));
                format!(
                    "Loss beyond {} tokens: {}{share} ({ends})",
                    grouped(found.causes.from),
                    nats(&mended.losses)
                )
            }
            None if self.mends.is_empty() => {
                format!("Loss beyond {} tokens: {ends}", grouped(found.causes.from))
            }
            None if self.mending.progress().is_some() => "… is being read with that".to_owned(),
            None => "Find causes reads with that".to_owned(),
        };
        ui.add(Label::new(words).wrap());
        ui.push_id("what to mend", |ui| self.buttons_ui(ui, found, commands));
    }

    fn buttons_ui(&self, ui: &mut Ui, found: &Found, commands: &mut Vec<Command>) {
        ui.horizontal_wrapped(|ui| {
            let mut push = |change: Change| commands.push(Command::Causes(change));
            let none = ui.add_enabled(!self.mends.is_empty(), Button::new("Mend nothing"));
            if none.on_hover_text("The model as it is").clicked() {
                push(Change::Mend(Mends::new()));
            }
            let smallest = found.causes.smallest_fix.as_ref();
            if let Some(fix) = smallest {
                let help = "A small set of heads, or layers, whose fix restores 95 % of the excess";
                if ui.button("Mend the smallest fix").on_hover_text(help).clicked() {
                    push(Change::Mend(fix.places.iter().copied().collect()));
                }
            } else if let Some(sets) = self.mending.searching() {
                if ui.button("Stop the search").on_hover_text("It can be searched again").clicked() {
                    push(Change::StopSearch);
                }
                ui.weak(format!("{} sets have been tried.", grouped(sets)));
            } else if found.searched {
                ui.weak("No set can be told to suffice.");
            } else {
                let can = found.is_whole() && self.mending.progress().is_some();
                let button = ui.add_enabled(can, Button::new("Find the smallest fix"));
                let help = "Adds the place that restores most until 95 % of the excess is restored, then takes out what is not needed";
                let why = "Once every layer and head was measured";
                if button.on_hover_text(help).on_disabled_hover_text(why).clicked() {
                    push(Change::Search);
                }
            }
        });
    }

    fn plot(&self, ui: &mut Ui, found: &Found, height: f32) {
        let visuals = ui.visuals().clone();
        let begin = ui.cursor().min;
        let lines = [
            ("as it is", &self.lines.vanilla, theme::side(&visuals, 0), LineStyle::Solid),
            ("fixed everywhere", &self.lines.fix, theme::side(&visuals, 1), LineStyle::dashed_dense()),
            ("mended", &self.lines.mended, theme::legible(&visuals, SIDES[2]), LineStyle::Solid),
        ];
        let mended = found.mended.as_ref().is_some_and(|mended| mended.places == self.mends);
        // Above the plot: within it, they would lie over the lines.
        ui.horizontal_wrapped(|ui| {
            for (name, _, color, style) in &lines {
                if *name != "mended" || mended {
                    let drawn = if *style == LineStyle::Solid { "" } else { " (dashed)" };
                    ui.colored_label(*color, format!("{name}{drawn}"));
                }
            }
        });
        Plot::new("loss where places are mended")
            .height(height)
            .allow_scroll(false)
            .grid_color(paint::grid(&visuals))
            .grid_fade(0.0)
            .x_axis_label("position (tokens)")
            .y_axis_label("loss (nats)")
            .x_axis_formatter(|mark, _| grouped(mark.value.max(0.0) as u64))
            .x_grid_spacer(|input| round_marks(input.bounds, 5.0))
            .show(ui, |plot| {
                for (name, points, color, style) in lines {
                    if name == "mended" && !mended {
                        continue;
                    }
                    for piece in points.split(|[_, y]| y.is_nan()).filter(|piece| !piece.is_empty()) {
                        let line = Line::new(name, PlotPoints::new(piece.to_vec()));
                        plot.line(line.color(color).style(style).width(1.8));
                    }
                }
            });
        let end = eframe::egui::pos2(ui.max_rect().right(), ui.cursor().top());
        data::mark(ui, eframe::egui::Rect::from_min_max(begin, end));
    }
}

/// What was found, in sentences.
fn sentences(ui: &mut Ui, found: &Found) {
    for sentence in found.causes.sentences() {
        let mut letters = sentence.chars();
        let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
        ui.add(Label::new(format!("{first}{}.", letters.as_str())).wrap());
    }
}
