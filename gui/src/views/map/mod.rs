//! Attention maps of the chosen head, A and B side by side: the overview of the run at once, and every logit of a place of at
//! most 512 × 512 tokens, read again.

mod layout;
mod model;
mod overview;
mod paint;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use eframe::egui::{
    self, ColorImage, DragValue, Grid, Id, ProgressBar, Rect, Response, RichText, Role, ScrollArea, Sense,
    TextureHandle, TextureOptions, Ui, WidgetInfo,
};
use lm_infinite::attention_window::{AttentionWindow, MOST_SIDE, WindowRequest};
use lm_infinite::diagnose::{Diagnosis, HeadReport};

pub use self::model::{Scale, Sight};
pub use self::paint::ramp;

use self::layout::{Plane, squares};
use self::model::{Reading, extremes, refine};
use self::overview::Overview;
use super::{NAMES, SIDES, Shown, tokens};
use crate::command::{Command, Hover};
use crate::reread::{Question, Reread};
use crate::tab::View;
use crate::theme;

/// A place that was looked at this long is read again.
const PATIENCE: Duration = Duration::from_millis(150);
/// Most queries that are read again in cells of many tokens.
const MOST_POOLED: u64 = 1 << 14;
/// Height of what is above and below the maps.
const AROUND: f32 = 215.0;

/// The tab.
#[derive(Default)]
struct Maps {
    /// `None`: all of the text.
    sight: Option<Sight>,
    scale: Scale,
    /// The text it belongs to: another one is looked at from afar.
    tokens: u64,
    since: Option<(Sight, Instant)>,
    rereads: [Reread; 2],
    pictures: Option<Pictures>,
    /// The marked query that was last brought into sight.
    marked: Option<u64>,
}

/// What the textures were made of, and the textures.
struct Pictures {
    of: Made,
    ends: (f32, f32),
    textures: [TextureHandle; 2],
}

#[derive(PartialEq)]
struct Made {
    diagnosis: ByPointer<Diagnosis>,
    windows: [Option<ByPointer<AttentionWindow>>; 2],
    head: (usize, usize),
    sight: Sight,
    scale: Scale,
    dark: bool,
}

/// Equal if it is the same object. Weak: its address cannot be given to another.
struct ByPointer<T>(Weak<T>);

impl<T> PartialEq for ByPointer<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

/// A new one.
pub fn view() -> Box<dyn View> {
    Box::<Maps>::default()
}

impl View for Maps {
    fn show(&mut self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
        let diagnosis = shown.diagnosis;
        if diagnosis.runs.first().is_none_or(|run| run.arrays.map_mass.is_empty()) {
            ui.label("There is no map yet: no query has been looked at.");
            return;
        }
        let tokens = diagnosis.tokens;
        if self.tokens != tokens {
            (self.tokens, self.sight) = (tokens, None);
        }
        let Some(head) = shown.head.or_else(|| strongest(diagnosis)) else { return };
        self.bring_into_sight(shown.mark, tokens);
        ScrollArea::vertical().show(ui, |ui| {
            self.controls(ui, shown, head, commands);
            let sight = self.sight.unwrap_or(Sight::whole(tokens)).within(tokens);
            self.read_again(ui, shown, head, sight);
            let ([a, b], height) = squares(
                ui.cursor().min,
                ui.available_width(),
                (ui.clip_rect().bottom() - ui.cursor().min.y - AROUND).max(220.0),
            );
            self.make_pictures(ui, diagnosis, head, sight);
            ui.allocate_exact_size(egui::vec2(ui.available_width(), height), Sense::hover());
            for (side, rect) in [a, b].into_iter().enumerate() {
                self.map(ui, shown, head, Plane { rect, sight }, side, commands);
            }
            self.state(ui, shown, head, sight);
            if let Some(pictures) = &self.pictures {
                paint::legend(ui, self.scale, pictures.ends);
            }
            self.readings(ui, shown, head);
        });
    }

    fn is_busy(&self) -> bool {
        let waiting = self.since.is_some_and(|(_, since)| since.elapsed() < PATIENCE);
        waiting || self.rereads.iter().any(|reread| reread.progress().is_some())
    }
}

impl Maps {
    /// A query that was marked elsewhere is looked at from near.
    fn bring_into_sight(&mut self, mark: Option<u64>, tokens: u64) {
        if self.marked == mark {
            return;
        }
        self.marked = mark;
        let sight = self.sight.unwrap_or(Sight::whole(tokens));
        if let Some(query) =
            mark.filter(|query| !(sight.is_close(tokens) && sight.ranges(tokens).0.contains(query)))
        {
            self.sight = Some(Sight::around(query, MOST_SIDE as f64 - 1.0, tokens));
        }
    }

    fn controls(
        &mut self,
        ui: &mut Ui,
        shown: &Shown<'_>,
        (layer, head): (usize, usize),
        commands: &mut Vec<Command>,
    ) {
        let tokens = shown.diagnosis.tokens;
        ui.horizontal_wrapped(|ui| {
            ui.strong(format!("Attention of layer {layer}, head {head}"));
            if shown.head.is_none() {
                ui.weak("(its logits rise most; choose another at the left)");
            }
            ui.separator();
            for scale in Scale::ALL {
                let help = match scale {
                    Scale::Logit => "Colours are logits, as the softmax sees them",
                    Scale::Probability => "Colours are probabilities",
                    Scale::LogProbability => {
                        "Colours are probabilities on a logarithmic scale, from a millionth to 1"
                    }
                };
                ui.selectable_value(&mut self.scale, scale, scale.name()).on_hover_text(help);
            }
        });
        ui.horizontal_wrapped(|ui| {
            let mut sight = self.sight.unwrap_or(Sight::whole(tokens)).within(tokens);
            let before = sight;
            let middle = (0.5, 0.5);
            let button = |ui: &mut Ui, name: &str, help: &str| ui.button(name).on_hover_text(help).clicked();
            if button(ui, "Whole text", "All of the text") {
                sight = Sight::whole(tokens);
            }
            if button(ui, "Zoom in", "Twice as near; the mouse wheel over a map does the same") {
                sight = sight.zoomed(2.0, middle, tokens);
            }
            if button(ui, "Zoom out", "Twice as far; the mouse wheel over a map does the same") {
                sight = sight.zoomed(0.5, middle, tokens);
            }
            let span = MOST_SIDE as f64;
            if button(ui, "Training length", "The 512 tokens around the end of the training length") {
                sight = Sight::around(shown.diagnosis.trained_length, span, tokens);
            }
            if button(ui, "End", "The last 512 tokens") {
                sight = Sight { query: tokens as f64 - span, key: tokens as f64 - span, span }.within(tokens);
            }
            let last = (tokens as f64 - sight.span).max(0.0);
            for (name, value, help) in [
                ("Queries from", &mut sight.query, "First query that is shown"),
                ("Keys from", &mut sight.key, "First key that is shown"),
            ] {
                let label = ui.label(name);
                let field = DragValue::new(value).range(0.0..=last).speed(sight.span / 200.0).max_decimals(0);
                ui.add(field).labelled_by(label.id).on_hover_text(help);
            }
            let label = ui.label("Tokens shown");
            let mut span = sight.span;
            let field = DragValue::new(&mut span)
                .range(8.0..=tokens as f64)
                .speed(sight.span / 100.0)
                .max_decimals(0);
            ui.add(field).labelled_by(label.id).on_hover_text(
                "From side to side; up to 512, every logit is read again, beyond that the largest of squares",
            );
            if span != sight.span {
                sight = sight.zoomed(sight.span / span, middle, tokens);
            }
            if sight != before {
                self.sight = (sight != Sight::whole(tokens)).then_some(sight);
            }
            if let Some(query) = shown.mark
                && ui
                    .button("Unmark")
                    .on_hover_text(format!("Token {query} is marked as query; let it go"))
                    .clicked()
            {
                commands.push(Command::Mark(None));
            }
        });
    }

    /// Has what is in sight read again, once it has been in sight for a moment.
    fn read_again(&mut self, ui: &Ui, shown: &Shown<'_>, at: (usize, usize), sight: Sight) {
        for reread in &mut self.rereads {
            reread.poll();
            reread.keep_only(shown.inputs);
        }
        let tokens = shown.diagnosis.tokens;
        let request = sight.request(at, tokens);
        let (Some(inputs), true) = (shown.inputs, may_be_read(shown.diagnosis, &request)) else {
            self.since = None;
            self.rereads.iter_mut().for_each(Reread::forget);
            return;
        };
        let since = match self.since {
            Some((seen, since)) if seen == sight => since,
            _ => {
                let now = Instant::now();
                self.since = Some((sight, now));
                now
            }
        };
        if let Some(left) = PATIENCE.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) {
            ui.ctx().request_repaint_after(left);
            return;
        }
        for (side, reread) in self.rereads.iter_mut().enumerate().take(inputs.policies.len()) {
            reread.ask(Question { inputs: inputs.clone(), side, request: request.clone() }, ui.ctx());
        }
    }

    /// The answer for one side, if it is of this head under this run.
    fn window(&self, side: usize, (layer, head): (usize, usize)) -> Option<&Arc<AttentionWindow>> {
        self.rereads[side]
            .answer()
            .filter(|window| (window.request.layer, window.request.head) == (layer, head))
    }

    /// Textures, made anew only when something of them is different.
    fn make_pictures(&mut self, ui: &Ui, diagnosis: &Arc<Diagnosis>, head: (usize, usize), sight: Sight) {
        let of = Made {
            diagnosis: ByPointer(Arc::downgrade(diagnosis)),
            windows: [0, 1]
                .map(|side| self.window(side, head).map(|window| ByPointer(Arc::downgrade(window)))),
            head,
            sight,
            scale: self.scale,
            dark: ui.visuals().dark_mode,
        };
        if self.pictures.as_ref().is_some_and(|pictures| pictures.of == of) {
            return;
        }
        let tokens = diagnosis.tokens;
        let size = (sight.span.ceil() as usize).min(MOST_SIDE as usize);
        let cells: Vec<_> = (diagnosis.runs.iter().take(2).enumerate())
            .map(|(side, run)| {
                let overview = Overview { bins: &diagnosis.bins, run, head };
                let mut cells = overview.cells(sight, tokens, size, self.scale);
                if let Some(window) = self.window(side, head) {
                    refine(&mut cells, window, sight, tokens, size, self.scale);
                }
                cells
            })
            .collect();
        let ends = self.scale.ends(extremes(cells.iter().flatten()));
        let image = |side: usize| {
            cells.get(side).map_or_else(ColorImage::default, |cells| paint::image(cells, size, ends, of.dark))
        };
        let textures = match self.pictures.take() {
            Some(Pictures { mut textures, .. }) => {
                textures
                    .iter_mut()
                    .enumerate()
                    .for_each(|(side, texture)| texture.set(image(side), TextureOptions::NEAREST));
                textures
            }
            None => [0, 1].map(|side| {
                ui.ctx().load_texture(format!("attention map {side}"), image(side), TextureOptions::NEAREST)
            }),
        };
        self.pictures = Some(Pictures { of, ends, textures });
    }

    /// One map, and what the pointer does on it.
    fn map(
        &mut self,
        ui: &mut Ui,
        shown: &Shown<'_>,
        head: (usize, usize),
        plane: Plane,
        side: usize,
        commands: &mut Vec<Command>,
    ) {
        let diagnosis = shown.diagnosis;
        let (Some(run), Some(pictures)) = (diagnosis.runs.get(side), &self.pictures) else { return };
        let tokens = diagnosis.tokens;
        let name = RichText::new(format!("{}  {}", NAMES[side], run.policy))
            .color(theme::side(ui.visuals(), side))
            .strong();
        let above = egui::vec2(plane.rect.width(), 18.0);
        let place = Rect::from_min_size(plane.rect.min - egui::vec2(0.0, 20.0), above);
        // Not in the flow of the page: the area of both maps is taken already.
        let mut title = ui.new_child(egui::UiBuilder::new().max_rect(place));
        title.add(egui::Label::new(name).truncate());
        paint::map(
            ui,
            &plane,
            &pictures.textures[side],
            &run.attention.at_layer(head.0),
            diagnosis.trained_length,
            tokens,
        );
        let response = ui.interact(plane.rect, Id::unique(("attention map", side)), Sense::click_and_drag());
        response.widget_info(|| {
            WidgetInfo::labeled(Role::Image, true, format!("Attention map of {}", NAMES[side]))
        });
        self.react(ui, &response, plane, tokens, commands);
        if let Some(query) = shown.mark {
            paint::mark(ui.painter(), &plane, query, SIDES[side]);
        }
        if let Some(hover) = shown.hover {
            paint::crosshair(ui, &plane, hover.position, hover.key);
        }
    }

    fn react(
        &mut self,
        ui: &Ui,
        response: &Response,
        plane: Plane,
        tokens: u64,
        commands: &mut Vec<Command>,
    ) {
        let sight = plane.sight;
        if response.dragged() {
            let by = response.drag_delta();
            let size = plane.rect.size();
            self.sight = Some(sight.moved(f64::from(-by.x / size.x), f64::from(-by.y / size.y), tokens));
        }
        let Some(at) = response.hover_pos() else { return };
        let (wheel, pinch) = ui.input(|input| (input.smooth_scroll_delta().y, input.zoom_delta()));
        let factor = f64::from(pinch) * (f64::from(wheel) / 200.0).exp();
        if (factor - 1.0).abs() > 1e-6 {
            self.sight = Some(sight.zoomed(factor, plane.shares(at), tokens));
            // The wheel is taken: the page does not scroll as well.
            ui.input_mut(|input| input.smooth_scroll_delta = egui::Vec2::ZERO);
        }
        let Some((query, key)) = plane.pair(at, tokens) else { return };
        commands.push(Command::Hover(Hover { position: query, key: Some(key) }));
        if response.double_clicked() {
            self.sight = Some(
                Sight { query: query as f64 - 255.0, key: key as f64 - 255.0, span: 511.0 }.within(tokens),
            );
        } else if response.clicked() {
            // It is in sight already.
            self.marked = Some(query);
            commands.push(Command::Mark(Some(query)));
        }
    }

    /// What is shown, and what is being read.
    fn state(&self, ui: &mut Ui, shown: &Shown<'_>, head: (usize, usize), sight: Sight) {
        let tokens = shown.diagnosis.tokens;
        let pool = sight.pool(tokens);
        ui.horizontal_wrapped(|ui| {
            if (0..shown.diagnosis.runs.len().min(2)).all(|side| self.is_read(shown, head, side, sight)) {
                ui.label(match pool {
                    1 => "Every logit, read again for this place.".to_owned(),
                    pool => format!("Largest logit and probability of {pool} × {pool} tokens, read again for this place."),
                });
            } else {
                if let Some(run) = shown.diagnosis.runs.first() {
                    ui.label(Overview { bins: &shown.diagnosis.bins, run, head }.words());
                }
                if shown.inputs.is_none() {
                    ui.label("Overview only: every logit of a place needs the model, which a result folder does not have.");
                } else if pool > 1 {
                    ui.weak("Zoom in, or double-click a place, to have it read again: every logit from 512 tokens on.");
                }
            }
            for (side, reread) in self.rereads.iter().enumerate() {
                if let Some(share) = reread.progress() {
                    ui.add(ProgressBar::new(share).desired_width(90.0).desired_height(8.0));
                    ui.label(format!("{} is read again", NAMES[side]));
                }
                if let Some(failure) = reread.failure() {
                    ui.label(format!("{}: overview only. {failure}", NAMES[side]));
                }
            }
        });
    }

    /// Whether what is in sight has been read again.
    fn is_read(&self, shown: &Shown<'_>, head: (usize, usize), side: usize, sight: Sight) -> bool {
        let request = sight.request(head, shown.diagnosis.tokens);
        self.window(side, head).is_some_and(|window| window.request == request)
    }

    /// What is to be told of the pair under the pointer.
    fn readings(&self, ui: &mut Ui, shown: &Shown<'_>, head: (usize, usize)) {
        let at = shown.hover.and_then(|hover| Some((hover.position, hover.key?)));
        let Some((query, key)) = at else {
            ui.weak("Point at a map to read a pair; drag to move, wheel to zoom, click to mark the query.");
            return;
        };
        if let Some(inputs) = shown.inputs {
            for (name, position) in [("query", query), ("key", key)] {
                ui.horizontal(|ui| {
                    ui.label(format!("{name} {}", paint::number(position)));
                    let characters = (ui.available_width() / 8.0) as usize;
                    let color = ui.visuals().selection.bg_fill;
                    let text = tokens::in_context(ui, inputs, position, color, characters);
                    ui.label(text);
                });
            }
        } else {
            ui.label(format!("query {}, key {}", paint::number(query), paint::number(key)));
        }
        let distance = query.checked_sub(key).map_or("–".to_owned(), paint::number);
        Grid::new("readings").num_columns(6).striped(true).spacing([18.0, 3.0]).show(ui, |ui| {
            for title in ["", "distance", "effective distance", "region", "logit", "probability"] {
                ui.weak(title);
            }
            ui.end_row();
            for (side, run) in shown.diagnosis.runs.iter().take(2).enumerate() {
                let overview = Overview { bins: &shown.diagnosis.bins, run, head };
                let policy = run.attention.at_layer(head.0);
                let window = self.window(side, head).map(Arc::as_ref);
                let reading = Reading::new(&policy, (query, key), window, overview.at(query, key));
                ui.label(RichText::new(NAMES[side]).color(theme::side(ui.visuals(), side)).strong());
                ui.label(&distance);
                ui.label(reading.effective_distance.map_or("–".to_owned(), paint::number));
                ui.label(reading.region);
                ui.label(reading.logit);
                ui.label(reading.probability);
                ui.end_row();
            }
        });
    }
}

/// Whether it is worth while: every logit always, cells of many tokens only where both runs have been, and where not too much
/// has to be read.
fn may_be_read(diagnosis: &Diagnosis, request: &WindowRequest) -> bool {
    let read = diagnosis.runs.iter().map(|run| run.arrays.nll.len() as u64 + 1).min().unwrap_or(0);
    let many = request.queries.end - request.queries.start > MOST_POOLED;
    request.pool == 1 || (read >= request.queries.end && !many)
}

/// The head whose logits rise most beyond the training length under A, as in the report; the first one if none does.
pub fn strongest(diagnosis: &Diagnosis) -> Option<(usize, usize)> {
    let heads = &diagnosis.runs.first()?.heads;
    let rising = heads.iter().filter_map(|head| Some((HeadReport::logit_rise(head)?, head)));
    let most = rising.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, head)| head);
    most.or(heads.first()).map(|head| (head.layer, head.head))
}
