//! The text itself, every token coloured by its loss or by the attention of one token to it. Only the lines on screen are laid
//! out.

pub mod colors;
pub mod failure;
mod legend;
mod lines;
mod menus;
mod paint;
mod search;
mod ticks;

use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use eframe::egui::{Color32, Context, ProgressBar, RichText, Role, ScrollArea, Stroke, Ui, WidgetInfo, vec2};
use lm_infinite::attention_window::{AttentionWindow, WindowRequest};

use self::colors::{Change, Colors, Controls, attention_colors, difference_color, loss, loss_color};
use self::lines::Lines;
use self::paint::Look;
use self::search::Search;
use self::ticks::Ticks;
use super::data;
use super::letters::{NEIGHBOURS, has_bytes};
use super::most::{Key as MostKey, of_row};
use super::pane::Pane;
use super::shown::{Hover, Shown};
use super::strongest::strongest;
use super::tokens;
use crate::command::Command;
use crate::inputs::Inputs;
use crate::text_tokens::State;
use crate::theme;
use crate::window_query::{Question, WindowQuery};

/// Time between two frames that may go into breaking lines.
const BREAKING: Duration = Duration::from_millis(3);
/// A token that was pointed at this long is meant.
const PATIENCE: Duration = Duration::from_millis(200);
/// Tokens between two looks at the clock.
const PIECE: usize = 512;

/// The tab.
#[derive(Default)]
struct Text {
    controls: Controls,
    of: Option<Arc<Inputs>>,
    /// Letters that fit into a line, once one frame has been drawn.
    columns: Option<usize>,
    lines: Option<Lines>,
    /// Of every token of the vocabulary.
    widths: Vec<Option<Width>>,
    queries: [WindowQuery; 2],
    /// To be scrolled to, once its line is known.
    wanted: Option<u64>,
    /// The range that was last scrolled to.
    range: Option<Range<u64>>,
    /// The mark that was last scrolled to.
    marked: Option<u64>,
    /// Where the pointer rests, and since when.
    pointed: Option<(u64, Instant)>,
    /// Whose attention is shown: the marked token, or the one that the pointer rests on.
    source: Option<u64>,
    search: Search,
    /// What that token looks at most, of the window that it was computed from.
    most: (Weak<AttentionWindow>, Vec<MostKey>),
}

/// An empty one.
pub fn pane() -> Box<dyn Pane> {
    Box::<Text>::default()
}

impl Pane for Text {
    fn obey(&mut self, command: &Command) {
        let Command::Text(change) = command else { return };
        match change {
            Change::Controls(controls) => self.controls = controls.clone(),
            Change::GoTo(token) => self.wanted = Some(*token),
            Change::Scrolled(token) => self.wanted = self.wanted.filter(|wanted| wanted != token),
            Change::Columns(columns) => self.columns = Some(*columns),
            Change::Marked(token) => self.marked = Some(*token),
        }
    }

    fn update(&mut self, ctx: &Context, shown: &Shown<'_>) {
        let Some(inputs) = shown.inputs else { return };
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, inputs)) {
            // What is looked for in one text may be looked for in the next.
            let controls = Controls { typed: String::new(), ..self.controls.clone() };
            *self = Self { controls, of: Some(inputs.clone()), columns: self.columns, ..Self::default() };
        }
        if self.range != shown.range {
            self.range = shown.range.clone();
            self.wanted = shown.range.as_ref().map(|range| range.start);
        }
        if self.marked != shown.mark {
            self.marked = shown.mark;
            self.wanted = shown.mark;
        }
        self.attention(ctx, shown);
        self.search.poll();
        self.search.ask(inputs, &self.controls.search, theme::wake(ctx));
        self.break_lines(ctx, inputs);
    }

    fn show(&self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
        let Some(inputs) = shown.inputs else {
            ui.label("A result folder holds measurements, but neither the text nor the model. Press Run to read a text.");
            return;
        };
        let mut controls = self.controls.clone();
        let found = self.search.places().map(Vec::as_slice);
        ui.horizontal_wrapped(|ui| menus::show(ui, shown, found, &mut controls, commands));
        if controls != self.controls {
            commands.push(Command::Text(Change::Controls(controls)));
        }
        ui.horizontal_wrapped(|ui| legend::show(ui, shown, self.controls.colors, self.source));
        self.state(ui);
        self.reading(ui, shown, inputs);
        self.looked_at_ui(ui, inputs, commands);
        ui.separator();
        self.lines_ui(ui, shown, inputs, commands);
    }

    fn is_busy(&self) -> bool {
        let read = self.lines.as_ref().map_or(0, Lines::done);
        let total = self.of.as_ref().map_or(0, |inputs| settled(inputs) as u64);
        read < total
            || self.search.is_running()
            || self.queries.iter().any(|query| query.progress().is_some())
    }
}

impl Text {
    /// Has the attention of the marked token computed.
    fn attention(&mut self, ctx: &Context, shown: &Shown<'_>) {
        self.queries.iter_mut().for_each(WindowQuery::poll);
        for (place, query) in self.queries.iter_mut().enumerate() {
            query.keep_only(shown.source(shown.pair.row(place)).map(|(inputs, _)| inputs));
        }
        self.take_most();
        let Some(place) = self.controls.colors.attention_place() else { return };
        self.choose_source(ctx, shown);
        let of = shown.source(shown.pair.row(place));
        let wanted = (self.source, shown.head.or_else(|| strongest(shown.diagnosis)), of);
        let (Some(query), Some((layer, head)), Some((inputs, side))) = wanted else { return };
        if query >= inputs.tokens.len() as u64 {
            return;
        }
        let request = WindowRequest { layer, head, queries: query..query + 1, keys: 0..query + 1, pool: 1 };
        self.queries[place].ask(Question { inputs: inputs.clone(), side, request }, theme::wake(ctx));
    }

    /// Tells the keys with most attention of an answer that has come.
    fn take_most(&mut self) {
        let answer = self.controls.colors.attention_place().and_then(|place| self.queries[place].answer());
        match answer {
            Some(answer) if self.most.0.upgrade().is_some_and(|of| Arc::ptr_eq(&of, answer)) => {}
            Some(answer) => self.most = (Arc::downgrade(answer), of_row(answer)),
            None => self.most = Default::default(),
        }
    }

    /// The marked token, else the one that the pointer has rested on.
    fn choose_source(&mut self, ctx: &Context, shown: &Shown<'_>) {
        if shown.mark.is_some() {
            (self.source, self.pointed) = (shown.mark, None);
            return;
        }
        let Some(position) = shown.hover.map(|hover| hover.position) else { return };
        match self.pointed {
            Some((pointed, since)) if pointed == position => {
                match PATIENCE.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) {
                    Some(left) => ctx.request_repaint_after(left),
                    None => self.source = Some(position),
                }
            }
            _ => {
                self.pointed = Some((position, Instant::now()));
                ctx.request_repaint_after(PATIENCE);
            }
        }
    }

    /// Breaks some more lines; all anew for another width.
    fn break_lines(&mut self, ctx: &Context, inputs: &Inputs) {
        let Some(columns) = self.columns else { return };
        let again = self.lines.as_ref().is_none_or(|lines| lines.columns() != columns);
        if again {
            // The place in the text stays.
            self.wanted = self.wanted.or(self.marked);
        }
        let lines = match &mut self.lines {
            Some(lines) if !again => lines,
            place => place.insert(Lines::new(columns)),
        };
        let start = Instant::now();
        while (lines.done() as usize) < settled(inputs) && start.elapsed() < BREAKING {
            let from = lines.done() as usize;
            let ids = inputs.tokens.range(from..settled(inputs).min(from + PIECE));
            let mut letters = None;
            for (at, &id) in ids.iter().enumerate() {
                if let Some((width, ends)) = width(&mut self.widths, inputs, id) {
                    lines.push(usize::from(width), ends);
                    continue;
                }
                let letters = letters.get_or_insert_with(|| tokens::row(inputs, from..from + ids.len()));
                let text = letters[at].marked();
                lines.push(text.chars().count(), text.ends_with('\n'));
            }
        }
        if (lines.done() as usize) < settled(inputs) {
            ctx.request_repaint();
        }
    }

    /// The lines on screen.
    fn lines_ui(&self, ui: &mut Ui, shown: &Shown<'_>, inputs: &Inputs, commands: &mut Vec<Command>) {
        let look = Look::new(ui);
        let columns = look.columns(ui);
        if self.columns != Some(columns) {
            commands.push(Command::Text(Change::Columns(columns)));
        }
        let Some(lines) = &self.lines else { return };
        let whole = ui.available_rect_before_wrap();
        data::mark(ui, whole);
        let (text, beside) = whole.split_left_right_at_x(whole.right() - ticks::WIDTH);
        let marked = Ticks { found: self.found(), looked_at: self.looked_at(), mark: shown.mark };
        if let Some(token) = marked.show(ui, beside.shrink2(vec2(1.0, 0.0)), lines, shown.diagnosis.tokens) {
            commands.push(Command::Text(Change::GoTo(token)));
        }
        ui.set_max_width(text.width() - 2.0);
        let mut area = ScrollArea::vertical().auto_shrink(false);
        if let Some((token, line)) = self.wanted.and_then(|token| Some((token, lines.line(token)?))) {
            let above = line as f32 * look.height - ui.available_height() / 3.0;
            area = area.vertical_scroll_offset(above.max(0.0));
            commands.push(Command::Text(Change::Scrolled(token)));
        }
        ui.spacing_mut().item_spacing.y = 0.0;
        let (ink, dark) = (ui.visuals().text_color(), ui.visuals().dark_mode);
        let strong = ui.visuals().strong_text_color();
        let found = Stroke::new(1.5, ui.visuals().selection.stroke.color);
        let hover = shown.hover.map(|hover| hover.position);
        area.show_rows(ui, look.height, lines.len(), |ui, rows| {
            for line in rows {
                let color = |position| self.color(shown, position, ink, dark);
                let tokens = lines.tokens(line);
                let inside = |range: &Range<u64>| range.start < tokens.end && tokens.start < range.end;
                let look = Look { strong: shown.range.as_ref().is_some_and(inside), ..look.clone() };
                let mut framed = self.found_in(&tokens, found);
                framed.extend(hover.map(|at| (at..at + 1, Stroke::new(1.0, strong))));
                framed.extend(shown.mark.map(|at| (at..at + 1, Stroke::new(2.0, strong))));
                let pointed = paint::line(ui, &look, inputs, tokens, color, &framed);
                let Some(position) = pointed.token else { continue };
                commands.push(Command::Hover(Hover { position, key: None }));
                if pointed.clicked {
                    commands.push(Command::Text(Change::Marked(position)));
                    commands.push(Command::Mark(Some(position)));
                }
            }
        });
    }

    fn found(&self) -> &[Range<u64>] {
        self.search.places().map_or(&[], Vec::as_slice)
    }

    /// Places in a line that were found.
    fn found_in(&self, tokens: &Range<u64>, stroke: Stroke) -> Vec<(Range<u64>, Stroke)> {
        let found = self.found();
        let first = found.partition_point(|place| place.end <= tokens.start);
        let inside = found[first..].iter().take_while(|place| place.start < tokens.end);
        inside.map(|place| (place.clone(), stroke)).collect()
    }

    /// The keys with most attention, where attention is shown.
    fn looked_at(&self) -> &[MostKey] {
        if self.window().is_some() { &self.most.1 } else { &[] }
    }

    /// The keys with most attention, as a list that leads there.
    fn looked_at_ui(&self, ui: &mut Ui, inputs: &Inputs, commands: &mut Vec<Command>) {
        let keys = self.looked_at();
        if keys.is_empty() {
            return;
        }
        ui.horizontal_wrapped(|ui| {
            ui.weak("looks at");
            for key in keys {
                let token = tokens::text(inputs, key.position);
                let words = format!("{:.2} “{token}”", key.probability);
                let link = ui.link(RichText::new(words).monospace().size(11.5));
                let name = format!("Looks at token {}", key.position);
                link.widget_info(|| WidgetInfo::labeled(Role::Link, true, &name));
                if link.on_hover_text(format!("token {}: a click goes there", key.position)).clicked() {
                    commands.push(Command::Text(Change::GoTo(key.position)));
                }
            }
        });
    }

    /// What is being computed.
    fn state(&self, ui: &mut Ui) {
        let Some(query) = self.controls.colors.attention_place().map(|place| &self.queries[place]) else {
            return;
        };
        ui.horizontal_wrapped(|ui| {
            if let Some(share) = query.progress() {
                ui.add(ProgressBar::new(share).desired_width(120.0).desired_height(8.0));
                ui.label("The attention of this token is being computed …");
            }
            if let Some(failure) = query.failure() {
                ui.colored_label(
                    theme::bad(ui.visuals()),
                    format!("The attention of this token could not be computed. {failure}"),
                );
            }
        });
    }

    /// One line about the token under the pointer, or the marked one.
    fn reading(&self, ui: &mut Ui, shown: &Shown<'_>, inputs: &Inputs) {
        let at = shown.hover.map(|hover| hover.position).or(shown.mark);
        ui.horizontal_wrapped(|ui| {
            let Some(position) = at else {
                ui.weak("Point at a token to read its losses.");
                return;
            };
            ui.label(format!("token {position}"));
            ui.label(RichText::new(format!("“{}”", tokens::text(inputs, position))).monospace().strong());
            if let Some(bytes) = tokens::bytes_words(inputs, position) {
                ui.weak(bytes);
            }
            let runs = shown.diagnosis.runs.iter().enumerate();
            for (side, run) in runs.filter(|(side, _)| !shown.hidden.has(*side)) {
                let words =
                    loss(&run.arrays.nll, position).map_or("–".to_owned(), |nll| format!("{nll:.3} nats"));
                ui.label(
                    RichText::new(format!("{} {words}", theme::name(side)))
                        .color(theme::side(ui.visuals(), side)),
                );
            }
            if let Some(window) = self.window() {
                let probability = window.probability(window.request.queries.start, position);
                if let Some(probability) = probability {
                    ui.label(format!("probability {probability:.4}"));
                }
            }
        });
    }

    fn window(&self) -> Option<&AttentionWindow> {
        let window = self.queries[self.controls.colors.attention_place()?].answer()?;
        (Some(window.request.queries.start) == self.source).then_some(window)
    }

    /// Background and ink of a token.
    fn color(&self, shown: &Shown<'_>, position: u64, ink: Color32, dark: bool) -> (Color32, Color32) {
        let (rows, pair) = (shown.rows(), shown.pair);
        let nll = |row| rows.nll(row).and_then(|nll| loss(nll, position));
        let fill = match self.controls.colors {
            Colors::First => nll(pair.first).map(|nll| loss_color(nll, pair.color(0))),
            Colors::Second => nll(pair.second).map(|nll| loss_color(nll, pair.color(1))),
            Colors::Difference => {
                nll(pair.first).zip(nll(pair.second)).map(|(a, b)| difference_color(a - b, pair))
            }
            Colors::AttentionFirst | Colors::AttentionSecond => {
                let window = self.window();
                let query = window.map(|window| window.request.queries.start);
                let probability =
                    window.zip(query).and_then(|(window, query)| window.probability(query, position));
                return match probability {
                    Some(probability) if probability >= 1e-4 || probability.is_nan() => {
                        attention_colors(probability, dark)
                    }
                    _ => (Color32::TRANSPARENT, ink),
                };
            }
        };
        (fill.unwrap_or(Color32::TRANSPARENT), ink)
    }
}

/// Characters of a token and whether a line ends after it; of bytes that may be a part of a letter its neighbours tell.
type Width = Option<(u8, bool)>;

/// Tokens whose letters are known: those of the last ones may go on in tokens that are not made yet.
fn settled(inputs: &Inputs) -> usize {
    let known = inputs.tokens.len();
    if inputs.tokens.state() == State::Going { known.saturating_sub(NEIGHBOURS) } else { known }
}

/// That of a token, looked up once for every token of the vocabulary.
fn width(widths: &mut Vec<Option<Width>>, inputs: &Inputs, id: u32) -> Width {
    let at = id as usize;
    if widths.len() <= at {
        widths.resize(at + 1, None);
    }
    *widths[at].get_or_insert_with(|| {
        let raw = inputs.tokenizer.token_text(id).unwrap_or_else(|| "?".to_owned());
        let count = raw.chars().count();
        (!has_bytes(&raw)).then(|| (u8::try_from(count).unwrap_or(u8::MAX), raw.ends_with('\n')))
    })
}
