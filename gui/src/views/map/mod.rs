//! Attention maps of the chosen head, one for each policy: the overview of the run at once, and every logit of a place of at
//! most 512 × 512 tokens, computed for that place.

mod difference;
mod file;
pub mod layout;
mod model;
pub mod overview;
pub mod paint;
mod pictures;
mod readings;
mod toolbar;
pub mod viewport;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eframe::egui::{
    self, Context, Id, Label, ProgressBar, Rect, Response, RichText, Role, ScrollArea, Sense, Ui, Visuals,
    WidgetInfo, vec2,
};
use lm_infinite::attention_window::{AttentionWindow, MOST_SIDE, WindowRequest};

use self::difference::Difference;
use self::layout::{Plane, figure, places};
use self::overview::Overview;
use self::pictures::Pictures;
use self::viewport::{Controls, Viewport};
use super::data;
use super::pane::Pane;
use super::shown::{Hover, Shown};
use super::strongest::strongest;
use crate::command::Command;
use crate::export::{Place, ShownMap};
use crate::tab::Tab;
use crate::theme;
use crate::window_query::{Question, WindowQuery};
use crate::words::grouped;

/// A place that was looked at this long is computed.
const PATIENCE: Duration = Duration::from_millis(150);
/// Most queries that are computed in tiles of many tokens.
const MOST_POOLED: u64 = 1 << 14;
/// Height of what is below the maps, and of the readings of a pair.
const AROUND: f32 = 62.0;
const READINGS: f32 = 120.0;
/// Height of a row of a legend, and the width from which one is enough.
const LEGEND: f32 = 22.0;
const NARROW: f32 = 345.0;

/// The tab.
#[derive(Default)]
struct Maps {
    controls: Controls,
    /// The text it belongs to: another one is looked at from afar.
    tokens: u64,
    since: Option<(Viewport, Instant)>,
    /// The range that was last brought into view.
    range: Option<Range<u64>>,
    /// One for each policy that can be asked.
    queries: Vec<WindowQuery>,
    pictures: Pictures,
    difference: Difference,
}

/// An empty one.
pub fn pane() -> Box<dyn Pane> {
    Box::<Maps>::default()
}

/// The policies whose maps a tile has: A, C and so on, or B, D and so on; in a narrow window all.
fn sides(shown: &Shown<'_>) -> Vec<usize> {
    let first = usize::from(shown.tab == Tab::MapB);
    let sides = (first..shown.diagnosis.runs.len()).step_by(if shown.narrow { 1 } else { 2 });
    sides.filter(|&side| !shown.hidden.has(side)).collect()
}

/// The head that is shown, where there is a map of one.
fn shown_head(shown: &Shown<'_>) -> Option<(usize, usize)> {
    let run = shown.diagnosis.runs.first().filter(|run| !run.arrays.map_mass.is_empty());
    run.and_then(|_| shown.head.or_else(|| strongest(shown.diagnosis)))
}

impl Pane for Maps {
    fn obey(&mut self, command: &Command) {
        if let Command::Map(controls) = command {
            self.controls = *controls;
        }
    }

    fn update(&mut self, ctx: &Context, shown: &Shown<'_>) {
        let Some(head) = shown_head(shown) else { return };
        let tokens = shown.diagnosis.tokens;
        if self.tokens != tokens {
            (self.tokens, self.controls.viewport, self.range) = (tokens, None, None);
        }
        if self.range != shown.range {
            self.range = shown.range.clone();
            self.controls.viewport = shown.range.as_ref().map(|range| Viewport::of(range).within(tokens));
        }
        // While the cursor moves, what is shown stays: it is the cursor's row that moves.
        if !shown.moving {
            self.bring_into_view(shown.mark, tokens);
        }
        let viewport = self.viewport();
        self.compute(ctx, shown, head, viewport);
        let sides = 0..shown.diagnosis.runs.len();
        let windows: Vec<_> = sides.map(|side| self.window(side, head).cloned()).collect();
        self.pictures.update(ctx, shown.diagnosis, &windows, head, viewport, self.controls.scale);
        if self.controls.difference {
            let here = |side: usize| windows.get(side).cloned().flatten();
            self.difference.update(ctx, shown, here, (head, viewport, self.controls.scale));
        }
    }

    fn show(&self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
        let Some(head) = shown_head(shown) else {
            ui.label("There is no map yet: no query has been looked at.");
            return;
        };
        let sides = sides(shown);
        ScrollArea::vertical().show(ui, |ui| {
            let mut controls = self.controls;
            toolbar::show(ui, shown, head, &mut controls, commands);
            let viewport = self.viewport();
            let below = if shown.inspected { AROUND } else { AROUND + READINGS };
            let legends = 1.0 + f32::from(self.shows_difference(shown));
            // In a narrow tile each legend has two rows.
            let rows = legends * if ui.available_width() < NARROW { 2.0 } else { 1.0 };
            let below = below + LEGEND * (rows - 1.0);
            let area = vec2(ui.available_width(), ui.clip_rect().bottom() - ui.cursor().min.y - below);
            let columns = if shown.narrow { 2 } else { 1 };
            let difference = self.shows_difference(shown);
            let count = sides.len() + usize::from(difference);
            let (rects, height) = places(ui.cursor().min, area, count, columns);
            ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
            let own = sides.iter().map(|&side| Some(side));
            for (of, rect) in own.chain(difference.then_some(None)).zip(rects) {
                data::mark(ui, figure(rect));
                self.map(ui, shown, head, Plane { rect, viewport }, of, &mut controls, commands);
            }
            if controls != self.controls {
                commands.push(Command::Map(controls));
            }
            self.state(ui, shown, head, viewport, &sides);
            if let Some(from) = shown.diagnosis.repeated_from {
                ui.weak(format!("Dotted lines: the text repeats from token {}.", grouped(from)));
            }
            if let Some(ends) = self.pictures.ends() {
                paint::legend(ui, self.controls.scale, ends);
            }
            if difference {
                self.difference.legend(ui, shown.pair, self.controls.scale);
            }
            if !shown.inspected {
                self.readings(ui, shown, head);
            }
        });
    }

    fn inspect(&self, ui: &mut Ui, shown: &Shown<'_>) {
        if let Some(head) = shown_head(shown) {
            self.readings(ui, shown, head);
        }
    }

    fn places(&self, shown: &Shown<'_>) -> Vec<ShownMap> {
        let sides = 0..shown.diagnosis.runs.len();
        let sides = sides.filter(|&side| !shown.hidden.has(side) && self.pictures.texture(side).is_some());
        let differs = self.controls.difference && difference::refusal(shown).is_none();
        let differs = differs && self.difference.texture().is_some();
        let difference = differs.then_some(ShownMap::Difference(shown.pair));
        let maps = sides.map(ShownMap::Side).chain(difference);
        shown_head(shown).map_or_else(Vec::new, |_| maps.collect())
    }

    fn place(&self, shown: &Shown<'_>, map: ShownMap, visuals: &Visuals) -> Option<Place> {
        let ShownMap::Side(side) = map else { return self.difference.place(shown, visuals) };
        let (head, run, viewport) = (shown_head(shown)?, shown.diagnosis.runs.get(side)?, self.viewport());
        let window = self.window(side, head);
        let exact = self.is_computed(shown, head, side, viewport);
        let (scale, ends) = (self.controls.scale, self.pictures.ends());
        let of = file::OnScreen { side, run, window, exact, head, viewport, scale, ends };
        Some(file::place(shown, &of, visuals))
    }

    fn is_busy(&self) -> bool {
        let waiting = self.since.is_some_and(|(_, since)| since.elapsed() < PATIENCE);
        waiting || self.difference.is_busy() || self.queries.iter().any(|query| query.progress().is_some())
    }
}

impl Maps {
    /// Whether this tile has the map of the difference.
    fn shows_difference(&self, shown: &Shown<'_>) -> bool {
        self.controls.difference && shown.tab != Tab::MapB && difference::refusal(shown).is_none()
    }

    fn viewport(&self) -> Viewport {
        self.controls.viewport.unwrap_or(Viewport::whole(self.tokens)).within(self.tokens)
    }

    /// A query that was marked elsewhere is looked at from near.
    fn bring_into_view(&mut self, mark: Option<u64>, tokens: u64) {
        if self.controls.marked == mark {
            return;
        }
        self.controls.marked = mark;
        let viewport = self.viewport();
        let seen = |query: &u64| viewport.is_close(tokens) && viewport.ranges(tokens).0.contains(query);
        if let Some(query) = mark.filter(|query| !seen(query)) {
            self.controls.viewport = Some(Viewport::around(query, MOST_SIDE as f64 - 1.0, tokens));
        }
    }

    /// Has the place that is shown computed, once it has been shown for a moment.
    fn compute(&mut self, ctx: &Context, shown: &Shown<'_>, at: (usize, usize), viewport: Viewport) {
        self.queries
            .resize_with(shown.inputs.map_or(0, |inputs| inputs.policies.len()), WindowQuery::default);
        for query in &mut self.queries {
            query.poll();
            query.keep_only(shown.inputs);
        }
        let request = viewport.request(at, shown.diagnosis.tokens);
        let (Some(inputs), true) = (shown.inputs, may_be_computed(shown, &request)) else {
            self.since = None;
            self.queries.iter_mut().for_each(WindowQuery::forget);
            self.difference.ask(ctx, shown, None);
            return;
        };
        let since = match self.since {
            Some((seen, since)) if seen == viewport => since,
            _ => {
                let now = Instant::now();
                self.since = Some((viewport, now));
                now
            }
        };
        if let Some(left) = PATIENCE.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) {
            ctx.request_repaint_after(left);
            return;
        }
        for (side, query) in self.queries.iter_mut().enumerate() {
            let question = Question { inputs: inputs.clone(), side, request: request.clone() };
            query.ask(question, theme::wake(ctx));
        }
        self.difference.ask(ctx, shown, self.controls.difference.then_some(&request));
    }

    /// The answer for one side, if it is of this head under this run.
    fn window(&self, side: usize, (layer, head): (usize, usize)) -> Option<&Arc<AttentionWindow>> {
        let answer = self.queries.get(side)?.answer();
        answer.filter(|window| (window.request.layer, window.request.head) == (layer, head))
    }

    /// One map, and what the pointer does on it.
    #[expect(clippy::too_many_arguments, reason = "one map of the view, with all that it is made of")]
    fn map(
        &self,
        ui: &mut Ui,
        shown: &Shown<'_>,
        head: (usize, usize),
        plane: Plane,
        side: Option<usize>,
        controls: &mut Controls,
        commands: &mut Vec<Command>,
    ) {
        let diagnosis = shown.diagnosis;
        let run = side.and_then(|side| diagnosis.runs.get(side));
        let (texture, policy) = match (side, run) {
            (Some(side), Some(run)) => {
                let policy = diagnosis.config.policy_at(&run.attention, head.0);
                (self.pictures.texture(side), Some(policy))
            }
            _ => (self.difference.texture(), Difference::policy(shown, head.0)),
        };
        let Some((texture, policy)) = texture.zip(policy) else { return };
        let tokens = diagnosis.tokens;
        let called = side.map_or_else(|| shown.pair.name(), |side| theme::name(side).to_owned());
        let color = |ui: &Ui| match side {
            Some(side) => theme::side(ui.visuals(), side),
            None => ui.visuals().strong_text_color(),
        };
        let name = match run {
            Some(run) => format!("{called}  {}", run.policy),
            None => format!("{called}, lines of {}", shown.pair.second.name()),
        };
        let name = RichText::new(name).color(color(ui)).strong();
        let above = egui::vec2(plane.rect.width(), 18.0);
        let place = Rect::from_min_size(plane.rect.min - egui::vec2(0.0, 20.0), above);
        // Not in the flow of the page: the area of all maps is taken already.
        let mut title = ui.new_child(egui::UiBuilder::new().max_rect(place));
        title.add(egui::Label::new(name).truncate());
        let marks = (diagnosis.trained_length, diagnosis.repeated_from);
        paint::map(ui, &plane, texture, &policy, marks, tokens);
        let response =
            ui.interact(plane.rect, Id::unique(("attention map", side, shown.tab)), Sense::click_and_drag());
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("Attention map of {called}")));
        react(ui, &response, plane, tokens, controls, commands);
        if let Some(query) = shown.mark {
            paint::mark(ui.painter(), &plane, query, color(ui));
        }
        if let Some(hover) = shown.hover {
            paint::crosshair(ui, &plane, hover.position, hover.key);
        }
    }

    /// What is shown, and what is being computed.
    fn state(
        &self,
        ui: &mut Ui,
        shown: &Shown<'_>,
        head: (usize, usize),
        viewport: Viewport,
        sides: &[usize],
    ) {
        let pool = viewport.pool(shown.diagnosis.tokens);
        let mut words = Vec::new();
        if sides.iter().all(|&side| self.is_computed(shown, head, side, viewport)) {
            words.push(match pool {
                1 => "Every logit, computed for this place.".to_owned(),
                pool => {
                    format!(
                        "Largest logit and probability of {pool} × {pool} tokens, computed for this place."
                    )
                }
            });
        } else {
            if let Some(run) = shown.diagnosis.runs.first() {
                words.push(Overview { bins: &shown.diagnosis.bins, run, head }.words());
            }
            let more = if shown.inputs.is_none() {
                "Overview only: every logit of a place needs the model, which a result folder does not have."
            } else if pool > 1 {
                "Zoom in, or double-click a place, to have it computed: every logit from 512 tokens on."
            } else {
                ""
            };
            words.push(more.to_owned());
        }
        let asked = |side: &usize| Some((*side, self.queries.get(*side)?));
        ui.horizontal(|ui| {
            for (side, query) in sides.iter().filter_map(asked) {
                if let Some(share) = query.progress() {
                    ui.add(ProgressBar::new(share).desired_width(60.0).desired_height(8.0));
                    words.insert(0, format!("{} is being computed.", theme::name(side)));
                }
                if let Some(failure) = query.failure() {
                    words.insert(0, format!("{}: overview only. {failure}", theme::name(side)));
                }
            }
            let words = words.join(" ");
            ui.add(Label::new(&words).truncate()).on_hover_text(words);
        });
    }

    /// Whether the place that is shown has been computed.
    fn is_computed(&self, shown: &Shown<'_>, head: (usize, usize), side: usize, viewport: Viewport) -> bool {
        let request = viewport.request(head, shown.diagnosis.tokens);
        self.window(side, head).is_some_and(|window| window.request == request)
    }
}

/// Drags move, the wheel zooms, a click marks the query, a double click goes near.
fn react(
    ui: &Ui,
    response: &Response,
    plane: Plane,
    tokens: u64,
    controls: &mut Controls,
    commands: &mut Vec<Command>,
) {
    let viewport = plane.viewport;
    if response.dragged() {
        let by = response.drag_delta();
        let size = plane.rect.size();
        let (across, down) = (f64::from(-by.x / size.x), f64::from(-by.y / size.y));
        controls.viewport = Some(viewport.moved(across, down, tokens));
    }
    let Some(at) = response.hover_pos() else { return };
    let (wheel, pinch) = ui.input(|input| (input.smooth_scroll_delta().y, input.zoom_delta()));
    let factor = f64::from(pinch) * (f64::from(wheel) / 200.0).exp();
    if (factor - 1.0).abs() > 1e-6 {
        controls.viewport = Some(viewport.zoomed(factor, plane.shares(at), tokens));
        // The wheel is taken: the page does not scroll as well.
        ui.input_mut(|input| input.smooth_scroll_delta = egui::Vec2::ZERO);
    }
    let Some((query, key)) = plane.pair(at, tokens) else { return };
    commands.push(Command::Hover(Hover { position: query, key: Some(key) }));
    if response.double_clicked() {
        let near = Viewport { query: query as f64 - 255.0, key: key as f64 - 255.0, span: 511.0 };
        controls.viewport = Some(near.within(tokens));
    } else if response.clicked() {
        // It is in view already.
        controls.marked = Some(query);
        commands.push(Command::Mark(Some(query)));
    }
}

/// Whether it is worth while: every logit always, once its tokens are known, tiles of many tokens only where both runs have been, and where not too much
/// has to be computed.
fn may_be_computed(shown: &Shown<'_>, request: &WindowRequest) -> bool {
    let diagnosis = shown.diagnosis;
    let known = shown.inputs.map_or(0, |inputs| inputs.tokens.len() as u64);
    let read = diagnosis.runs.iter().map(|run| run.arrays.nll.len() as u64 + 1).min().unwrap_or(0);
    let many = request.queries.end - request.queries.start > MOST_POOLED;
    let end = request.queries.end.max(request.keys.end);
    end <= known && (request.pool == 1 || (read >= request.queries.end && !many))
}
