//! The timeline: the text from its first token to its last, with what has been read, the training length, where losses begin to
//! rise, and the cursor and the range that all tiles follow.

pub mod cursor;
mod model;
mod paint;

use std::ops::Range;

use eframe::egui::{self, DragValue, Id, Label, Response, RichText, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use lm_infinite::diagnose::Head;

use self::cursor::Cursor;
use self::model::{Loss, losses, row};
use self::paint::Strip;
use super::caption::Caption;
use super::map::viewport::Tile;
use super::memo::Memo;
use super::pair::Pair;
use super::shown::{Hidden, Shown};
use super::strongest::strongest;
use super::{data, tokens};
use crate::command::Command;
use crate::notes::Mark;
use crate::theme;
use crate::words::grouped;

/// Heights of the strips: numbers and marks, losses, and a row of attention for each of so many policies at most.
const RULER: f32 = 15.0;
const LOSSES: f32 = 15.0;
const ROW: f32 = 8.0;
const ROWS: usize = 4;
/// Room left of the strips for their names.
const LEFT: f32 = 62.0;
/// A range that is shorter than this on screen was a click.
const CLICK: f32 = 3.0;

/// The head and the query whose rows are shown, and what is not.
type Asked = (Option<Head>, Option<u64>, Hidden);

/// What the strips show, computed before a frame.
#[derive(Default)]
pub struct Timeline {
    losses: Memo<(Pair, u64), Vec<Loss>>,
    rows: Memo<Asked, Vec<Row>>,
}

/// What a token attends to under one policy.
struct Row {
    side: usize,
    query: u64,
    tiles: Vec<Tile>,
}

impl Timeline {
    /// Computes what another diagnosis, head or cursor asks for.
    pub fn update(&mut self, shown: &Shown<'_>) {
        let diagnosis = shown.diagnosis;
        let (rows, pair) = (shown.rows(), shown.pair);
        self.losses.update(diagnosis, (pair, shown.version), || {
            losses(rows.nll(pair.first).unwrap_or_default(), rows.nll(pair.second), diagnosis.tokens)
        });
        let head = shown.head.or_else(|| strongest(diagnosis));
        self.rows.update(diagnosis, (head, shown.mark, shown.hidden), || match (head, shown.mark) {
            (Some(head), Some(query)) => {
                let tiles = |side: usize| row(diagnosis, &diagnosis.runs[side], head, query);
                sides(shown).into_iter().map(|side| Row { side, query, tiles: tiles(side) }).collect()
            }
            _ => Vec::new(),
        });
    }

    /// Draws it.
    pub fn show(
        &self,
        ui: &mut Ui,
        shown: &Shown<'_>,
        caption: &Caption,
        (playing, marks): (bool, &[Mark]),
        commands: &mut Vec<Command>,
    ) {
        ui.horizontal(|ui| self.words(ui, shown, caption, playing, commands));
        let tokens = shown.diagnosis.tokens.max(1);
        let rows = sides(shown).len();
        let height = RULER + LOSSES + ROW * rows as f32 + 2.0;
        let (area, _) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
        let strip = |top: f32, height: f32| {
            let rect = egui::Rect::from_min_size(
                pos2(area.left() + LEFT, area.top() + top),
                vec2(area.width() - LEFT - 4.0, height),
            );
            Strip { rect, tokens }
        };
        let (ruler, below) = (strip(0.0, RULER), strip(RULER, height - RULER));
        data::mark(ui, area);
        self.draw(ui, shown, &ruler, strip);
        marks.iter().for_each(|mark| paint::flag(ui, &ruler, mark.token));
        range(ui, &ruler, shown.range.clone(), commands);
        cursor(ui, &below, shown, commands);
        paint::cursor(ui, &strip(0.0, height), shown.mark, shown.hover.map(|hover| hover.position));
    }

    fn draw(&self, ui: &Ui, shown: &Shown<'_>, ruler: &Strip, strip: impl Fn(f32, f32) -> Strip) {
        let diagnosis = shown.diagnosis;
        paint::ruler(ui, ruler, diagnosis.trained_length);
        let all = strip(RULER, LOSSES + ROW * sides(shown).len() as f32 + 2.0);
        ui.painter().rect_filled(all.rect, 0.0, ui.visuals().extreme_bg_color);
        let pair = shown.rows().run(shown.pair.second).map(|_| shown.pair);
        let name = pair.map_or("loss A".to_owned(), |pair| format!("loss {}", pair.name()));
        paint::name(ui, &strip(RULER, LOSSES), &name, ui.visuals().text_color());
        if let Some(losses) = self.losses.value() {
            paint::losses(ui, &strip(RULER, LOSSES), losses, pair);
        }
        if shown.mark.is_none() {
            paint::hint(
                ui,
                &strip(RULER + LOSSES, all.rect.height() - LOSSES),
                "Drag here: the cursor, and what its token attends to",
            );
        }
        for (at, row) in self.rows.value().into_iter().flatten().enumerate() {
            let place = strip(RULER + LOSSES + 2.0 + ROW * at as f32, ROW);
            paint::tiles(ui, &place, &row.tiles);
            let side = theme::name(row.side);
            paint::name(ui, &place, &format!("attends {side}"), theme::side(ui.visuals(), row.side));
            let response =
                ui.interact(place.rect, Id::unique(("row of attention", row.side)), Sense::hover());
            let name = format!("Under {side} token {} attends to", grouped(row.query));
            response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
        }
        let runs = diagnosis.runs.iter().enumerate();
        for (side, run) in runs.filter(|(side, _)| !shown.hidden.has(*side)) {
            if let Some(onset) = run.loss.onset {
                let [low, high] = onset.interval;
                paint::onset(ui, ruler, [low, onset.at, high], theme::side(ui.visuals(), side));
            }
        }
        paint::trained(ui, &all, diagnosis.trained_length);
        paint::range(ui, ruler, &all, shown.range.as_ref());
    }

    /// Play, the cursor as a number, its token, and what is on screen.
    fn words(
        &self,
        ui: &mut Ui,
        shown: &Shown<'_>,
        caption: &Caption,
        playing: bool,
        commands: &mut Vec<Command>,
    ) {
        ui.spacing_mut().item_spacing.x = 5.0;
        let name = if playing { "Stop playing" } else { "Play" };
        let help = "Moves the cursor through the text, or the range: how a row of attention grows (P)";
        if ui.button(name).on_hover_text(help).clicked() {
            commands.push(Command::Play(!playing));
        }
        let last = shown.diagnosis.tokens.saturating_sub(1);
        let mut token = shown.mark.unwrap_or(shown.diagnosis.trained_length.min(last));
        ui.label("Token");
        let field = ui.add(DragValue::new(&mut token).range(0..=last).speed(1.0));
        field.widget_info(|| WidgetInfo::labeled(Role::SpinButton, true, "Cursor"));
        let field = field.on_hover_text("The cursor: every tile follows it");
        if field.changed() {
            commands.push(Command::Cursor(Cursor { token: Some(token), moving: field.dragged() }));
        }
        if let Some(mark) = shown.mark {
            if let Some(inputs) = shown.inputs {
                let token =
                    ui.label(RichText::new(format!("“{}”", tokens::text(inputs, mark))).monospace().strong());
                if let Some(bytes) = tokens::bytes_words(inputs, mark) {
                    token.on_hover_text(bytes);
                }
            }
            if ui.button("Let go").on_hover_text("No token is marked").clicked() {
                commands.push(Command::Cursor(Cursor { token: None, moving: false }));
            }
        }
        if let Some(range) = &shown.range {
            ui.label(format!("Range {} to {}", grouped(range.start), grouped(range.end - 1)));
            if ui.button("No range").on_hover_text("All of the text").clicked() {
                commands.push(Command::Range(None));
            }
        }
        let words = onsets(shown);
        ui.add(Label::new(&words)).on_hover_text("Where the loss begins to rise, with its 95 % interval");
        caption.show(ui);
    }
}

/// The policies that have a row of attention: the first ones that are drawn.
fn sides(shown: &Shown<'_>) -> Vec<usize> {
    let drawn = (0..shown.diagnosis.runs.len()).filter(|&side| !shown.hidden.has(side));
    drawn.take(ROWS).collect()
}

/// Where the loss of every policy begins to rise, in words.
fn onsets(shown: &Shown<'_>) -> String {
    let runs = shown.diagnosis.runs.iter().enumerate().filter(|(side, _)| !shown.hidden.has(*side));
    let onset = |(side, run): (usize, &lm_infinite::diagnose::RunMeasurement)| {
        let onset = run.loss.onset?;
        let ([low, high], at) = (onset.interval.map(grouped), grouped(onset.at));
        Some(format!("{} rises at {at} ({low} to {high})", theme::name(side)))
    };
    runs.filter_map(onset).collect::<Vec<_>>().join("; ")
}

/// Clicks and drags on the strips move the cursor.
fn cursor(ui: &Ui, strip: &Strip, shown: &Shown<'_>, commands: &mut Vec<Command>) {
    let response = ui.interact(strip.rect, Id::unique("timeline cursor"), Sense::click_and_drag());
    let at = shown.mark.map_or(0.0, |mark| mark as f64);
    response.widget_info(|| WidgetInfo::slider(true, at, "Timeline"));
    if let Some(at) = response.interact_pointer_pos().filter(|_| response.clicked() || response.dragged()) {
        let token = Some(strip.token(at.x));
        commands.push(Command::Cursor(Cursor { token, moving: response.dragged() }));
    } else if response.drag_stopped() {
        commands.push(Command::Cursor(Cursor { token: shown.mark, moving: false }));
    }
    if let Some(at) = response.hover_pos() {
        let position = strip.token(at.x);
        commands.push(Command::Hover(super::shown::Hover { position, key: None }));
    }
}

/// A drag on the numbers chooses a range, a click lets it go.
fn range(ui: &Ui, strip: &Strip, shown: Option<Range<u64>>, commands: &mut Vec<Command>) {
    let response = ui.interact(strip.rect, Id::unique("timeline range"), Sense::click_and_drag());
    response.widget_info(|| WidgetInfo::labeled(Role::ScrollBar, true, "Timeline, range"));
    let chosen = dragged(ui, &response, strip);
    if let Some(range) = chosen.filter(|range| shown.as_ref() != Some(range)) {
        commands.push(Command::Range(Some(range)));
    } else if response.clicked() {
        commands.push(Command::Range(None));
    }
    response.on_hover_text("Drag to choose a range, click to let it go");
}

fn dragged(ui: &Ui, response: &Response, strip: &Strip) -> Option<Range<u64>> {
    let to = response.interact_pointer_pos().filter(|_| response.dragged())?;
    let from = ui.input(|input| input.pointer.press_origin())?;
    let ends = [from.x, to.x].map(|x| strip.token(x));
    let range = ends[0].min(ends[1])..ends[0].max(ends[1]) + 1;
    ((from.x - to.x).abs() > CLICK).then_some(range)
}
