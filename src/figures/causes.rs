//! Causes of a failure: shares of the excess as bars with intervals, and what the fix restores in each layer and head as colours.

use lm_infinite_analysis::causes::{Cause, Share};
use lm_infinite_analysis::effect::MeanEffect;

use super::axes::Axis;
use super::canvas::{Align, Canvas, text_width};
use super::subject::subject;
use super::theme::{GRID, INK, LABEL, MUTED, ON_DARK, ON_LIGHT, TICK, TITLE, look, ramp};
use crate::causes::{Causes, Places, Restored};
use crate::diagnose::Diagnosis;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 168.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 74.0;
const BAR: f64 = 34.0;
const HEADING: f64 = 40.0;
const BELOW: f64 = 66.0;
/// Half of the height of an end of an interval.
const CAP: f64 = 6.0;

/// Shares of the excess.
pub struct SharesFigure {
    title: String,
    groups: Vec<Group>,
}

/// One excess, and who has a share of it.
struct Group {
    name: String,
    bars: Vec<(Cause, Share)>,
}

impl SharesFigure {
    /// `None` where nothing is shared.
    pub fn new(diagnosis: &Diagnosis) -> Option<Self> {
        let effects = diagnosis.causes.as_ref()?.factorial.effects?;
        let mut groups = Vec::new();
        if let Some([distances, keys]) = effects.vanilla.shares {
            groups.push(Group {
                name: format!("vanilla, start tokens kept: {}", nats(&effects.vanilla.excess)),
                bars: vec![(Cause::Distances, distances), (Cause::Keys, keys)],
            });
        }
        if let Some(shares) = effects.shares {
            groups.push(Group {
                name: format!("start tokens dropped as well: {}", nats(&effects.total)),
                bars: Cause::ALL.map(|cause| (cause, *shares.get(cause))).to_vec(),
            });
        }
        let title = format!("Causes of the excess loss, {}", subject(diagnosis));
        (!groups.is_empty()).then_some(Self { title, groups })
    }

    /// Width and height, in pixels at scale 1.
    pub fn size(&self) -> (u32, u32) {
        let rows: f64 = self.groups.iter().map(Group::height).sum();
        (WIDTH as u32, (TOP + rows + BELOW) as u32)
    }

    /// Draws everything.
    pub fn draw(&self, canvas: &mut dyn Canvas) {
        canvas.text(&self.title, (24.0, 24.0), TITLE, INK, Align::Left);
        let note = "Shapley shares of the loss above lm-infinite, with 95 % intervals; they add up to 100 %";
        canvas.text(note, (24.0, 47.0), TICK, MUTED, Align::Left);
        let ends = self.groups.iter().flat_map(|group| &group.bars).flat_map(|(_, share)| share.interval);
        let (low, high) = ends.fold((0.0_f64, 1.0_f64), |(low, high), end| (low.min(end), high.max(end)));
        let axis = Axis::new("", 100.0 * low, 100.0 * high, 6.0);
        let x = |share: f64| LEFT + (WIDTH - LEFT - RIGHT) * axis.share(100.0 * share);
        let bottom = f64::from(self.size().1) - BELOW;
        let ticks = axis.ticks();
        for (value, text) in &ticks {
            canvas.text(text, (x(value / 100.0), bottom + 14.0), TICK, INK, Align::Center);
        }
        let mut top = TOP;
        for group in &self.groups {
            canvas.text(&group.name, (24.0, top + HEADING / 2.0), LABEL, INK, Align::Left);
            let (from, to) = (top + HEADING, top + HEADING + BAR * group.bars.len() as f64);
            for (value, _) in &ticks {
                let (x, color) = (x(value / 100.0), if *value == 0.0 { INK } else { GRID });
                canvas.line(&[(x, from), (x, to)], color, 1.0, 1.2, &[]);
            }
            for (row, (cause, share)) in group.bars.iter().enumerate() {
                let y = top + HEADING + BAR * (row as f64 + 0.5);
                let look = look(Cause::ALL.iter().position(|of| of == cause).unwrap_or(0));
                canvas.text(&cause.to_string(), (LEFT - 10.0, y), LABEL, INK, Align::Right);
                let (from, to) = (x(share.share.min(0.0)), x(share.share.max(0.0)));
                canvas.rect((from, y - BAR * 0.34), (to, y + BAR * 0.34), look.color, 0.75);
                let [low, high] = share.interval.map(x);
                canvas.line(&[(low, y), (high, y)], INK, 1.0, 1.6, &[]);
                for end in [low, high] {
                    canvas.line(&[(end, y - CAP), (end, y + CAP)], INK, 1.0, 1.6, &[]);
                }
                canvas.text(&share.to_string(), (WIDTH - RIGHT + 16.0, y), LABEL, INK, Align::Left);
            }
            top += group.height();
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        canvas.text("share of the excess loss (%)", (middle, bottom + 40.0), LABEL, INK, Align::Center);
    }
}

impl Group {
    fn height(&self) -> f64 {
        HEADING + BAR * self.bars.len() as f64 + 8.0
    }
}

fn nats(effect: &MeanEffect) -> String {
    format!("{:+.2} nats ({:.2} to {:.2})", effect.mean, effect.low, effect.high)
}

const CELL: (f64, f64) = (50.0, 26.0);
const MAP_LEFT: f64 = 76.0;
const MAP_TOP: f64 = 104.0;
/// Between heads and the columns of whole layers.
const APART: f64 = 16.0;

/// What the fix restores, layers downwards and heads across.
pub struct PlacesFigure<'a> {
    title: String,
    causes: &'a Causes,
    places: &'a Places,
    heads: usize,
}

impl<'a> PlacesFigure<'a> {
    /// `None` where no layer was measured.
    pub fn new(diagnosis: &'a Diagnosis) -> Option<Self> {
        let causes = diagnosis.causes.as_ref()?;
        let places = causes.places.as_ref().filter(|places| !places.layers.is_empty())?;
        let heads = places.heads.iter().map(|effect| effect.head + 1).max().unwrap_or(0);
        let title = format!("Where the fix restores the loss, {}", subject(diagnosis));
        Some(Self { title, causes, places, heads })
    }

    /// Left edge of a column: a head, then all heads of a layer, then all layers but this one.
    fn left(&self, column: usize) -> f64 {
        let apart = if column >= self.heads && self.heads > 0 { APART } else { 0.0 };
        // The last two have names instead of numbers.
        let wide = column.saturating_sub(self.heads) as f64 * CELL.0 * 0.8;
        MAP_LEFT + column as f64 * CELL.0 + apart + wide
    }

    fn right(&self, column: usize) -> f64 {
        self.left(column) + if column < self.heads { CELL.0 } else { 1.8 * CELL.0 }
    }

    fn notes(&self) -> [String; 2] {
        let lightest = format!("{:.0}", 100.0 * self.most());
        [
            format!("Share of the excess loss (%); dark is 0 or less, the lightest green {lightest} %"),
            if self.causes.smallest_fix.is_some() {
                "Framed: the set whose fix together restores 95 %".to_owned()
            } else {
                String::new()
            },
        ]
    }

    /// Width and height, in pixels at scale 1.
    pub fn size(&self) -> (u32, u32) {
        let notes = self.notes();
        let texts = [(self.title.as_str(), TITLE), (&notes[0], TICK), (&notes[1], TICK)];
        let widest = texts.into_iter().map(|(text, size)| text_width(text, size) + 48.0).fold(0.0, f64::max);
        let width = (self.right(self.heads + 1) + 24.0).max(widest).max(420.0);
        (width as u32, (MAP_TOP + self.places.layers.len() as f64 * CELL.1 + 62.0) as u32)
    }

    /// The largest share.
    fn most(&self) -> f64 {
        let layers = self.places.layers.iter().flat_map(|effect| [effect.restored, effect.lost]);
        let heads = self.places.heads.iter().map(|effect| effect.restored);
        let shares = layers.chain(heads).flatten().map(|restored| restored.share.share);
        shares.fold(0.01, f64::max)
    }

    /// Draws everything.
    pub fn draw(&self, canvas: &mut dyn Canvas) {
        canvas.text(&self.title, (24.0, 24.0), TITLE, INK, Align::Left);
        for (row, note) in self.notes().iter().enumerate() {
            canvas.text(note, (24.0, 47.0 + 20.0 * row as f64), TICK, MUTED, Align::Left);
        }
        let bottom = MAP_TOP + self.places.layers.len() as f64 * CELL.1;
        for (row, effect) in self.places.layers.iter().enumerate() {
            let y = MAP_TOP + (row as f64 + 0.5) * CELL.1;
            canvas.text(&format!("L{}", effect.layer), (MAP_LEFT - 9.0, y), TICK, INK, Align::Right);
            self.cell(canvas, self.heads, row, effect.restored);
            self.cell(canvas, self.heads + 1, row, effect.lost);
        }
        for effect in &self.places.heads {
            self.cell(canvas, effect.head, effect.layer, effect.restored);
        }
        for place in self.causes.smallest_fix.iter().flat_map(|fix| &fix.places) {
            let column = place.head.unwrap_or(self.heads);
            let (left, right) = (self.left(column) + 1.5, self.right(column) - 1.5);
            let (top, low) = (
                MAP_TOP + place.layer as f64 * CELL.1 + 1.5,
                MAP_TOP + (place.layer + 1) as f64 * CELL.1 - 1.5,
            );
            let frame = [(left, top), (right, top), (right, low), (left, low), (left, top)];
            canvas.line(&frame, ON_DARK, 1.0, 4.0, &[]);
            canvas.line(&frame, ON_LIGHT, 1.0, 2.0, &[]);
        }
        let centre = |column: usize| (self.left(column) + self.right(column)) / 2.0;
        for head in 0..self.heads {
            canvas.text(&format!("H{head}"), (centre(head), bottom + 14.0), TICK, INK, Align::Center);
        }
        for (column, name) in [(self.heads, "all heads"), (self.heads + 1, "lost without")] {
            canvas.text(name, (centre(column), bottom + 14.0), TICK, INK, Align::Center);
        }
        if self.heads > 0 {
            let middle = (self.left(0) + self.right(self.heads - 1)) / 2.0;
            canvas.text("fix in one head", (middle, bottom + 38.0), LABEL, INK, Align::Center);
        }
        canvas.text("fix in one layer", (centre(self.heads), bottom + 38.0), LABEL, INK, Align::Center);
        canvas.text_upwards("layer", (24.0, (MAP_TOP + bottom) / 2.0), LABEL, INK);
    }

    fn cell(&self, canvas: &mut dyn Canvas, column: usize, row: usize, restored: Option<Restored>) {
        let (left, right) = (self.left(column), self.right(column));
        let top = MAP_TOP + row as f64 * CELL.1;
        let (from, to) = ((left + 0.5, top + 0.5), (right - 0.5, top + CELL.1 - 0.5));
        let Some(Restored { share, .. }) = restored else {
            canvas.rect(from, to, GRID, 1.0);
            return;
        };
        let part = share.share / self.most();
        canvas.rect(from, to, ramp(part), 1.0);
        let ink = if part < 0.6 { ON_DARK } else { ON_LIGHT };
        let text = match (100.0 * share.share).round() {
            0.0 => "0".to_owned(),
            percent => format!("{percent:.0}").replace('-', "\u{2212}"),
        };
        let middle = ((left + right) / 2.0, top + CELL.1 / 2.0);
        canvas.text(&text, middle, TICK, ink, Align::Center);
    }
}
