//! The map of one policy less that of another: of the two that are held against each other, of one run or of two.

use std::sync::Arc;

use eframe::egui::{Color32, ColorImage, Context, TextureHandle, TextureOptions, Ui, Visuals};
use lm_infinite::attention_window::{AttentionWindow, WindowRequest};
use lm_infinite::diagnose::{Diagnosis, Head};
use lm_infinite::policy::AttentionPolicy;

use super::file::{self, Part};
use super::paint::{BESIDE, NOT_FINITE, bar, masked, swatches};
use super::pictures::{ByPointer, side_of, tiles};
use super::viewport::{Scale, Tile, Viewport};
use crate::export::Place;
use crate::theme;
use crate::views::diverging::{EVEN, diverging};
use crate::views::pair::{Pair, Row};
use crate::views::shown::Shown;
use crate::window_query::{Question, WindowQuery};

/// The difference, with what is computed for it of earlier runs.
#[derive(Default)]
pub struct Difference {
    queries: [WindowQuery; 2],
    made: Option<Made>,
}

struct Made {
    of: Key,
    tiles: Vec<Tile>,
    /// The largest difference on screen, up or down.
    most: f32,
    /// What is shown was computed for this place, under both.
    exact: bool,
    texture: TextureHandle,
}

#[derive(PartialEq)]
struct Key {
    diagnosis: ByPointer<Diagnosis>,
    pair: Pair,
    version: u64,
    windows: Option<[ByPointer<AttentionWindow>; 2]>,
    head: Head,
    viewport: Viewport,
    scale: Scale,
    dark: bool,
}

/// Why there is no difference of maps, in words.
pub fn refusal(shown: &Shown<'_>) -> Option<String> {
    let (rows, pair) = (shown.rows(), shown.pair);
    if let Some(row) = pair.rows().into_iter().find(|&row| rows.run(row).is_none()) {
        return Some(format!("There is no {}.", row.words()));
    }
    let other = pair.rows().into_iter().find_map(|row| rows.other_heads(row));
    other.map(|words| format!("No difference of maps: {words}."))
}

impl Difference {
    /// Has the place that is shown computed under the policies of earlier runs; those of the run on screen are computed for their maps.
    pub fn ask(&mut self, ctx: &Context, shown: &Shown<'_>, request: Option<&WindowRequest>) {
        for (query, row) in self.queries.iter_mut().zip(shown.pair.rows()) {
            query.poll();
            let source = shown.source(row).filter(|_| matches!(row, Row::Earlier(_)));
            query.keep_only(source.map(|(inputs, _)| inputs));
            let Some(((inputs, side), request)) = source.zip(request) else {
                query.forget();
                continue;
            };
            if request.queries.end.max(request.keys.end) <= inputs.tokens.len() as u64 {
                let question = Question { inputs: inputs.clone(), side, request: request.clone() };
                query.ask(question, theme::wake(ctx));
            }
        }
    }

    /// What was computed under the first (0) or the second (1), of an earlier run.
    pub fn window(&self, place: usize, (layer, head): Head) -> Option<&Arc<AttentionWindow>> {
        let answer = self.queries.get(place)?.answer();
        answer.filter(|window| (window.request.layer, window.request.head) == (layer, head))
    }

    /// Makes the picture anew where something of it is different. `here` has what was computed under the policies of the run on screen.
    pub fn update(
        &mut self,
        ctx: &Context,
        shown: &Shown<'_>,
        here: impl Fn(usize) -> Option<Arc<AttentionWindow>>,
        (head, viewport, scale): (Head, Viewport, Scale),
    ) {
        if refusal(shown).is_some() {
            self.made = None;
            return;
        }
        let (rows, pair) = (shown.rows(), shown.pair);
        let of = |place: usize| match pair.row(place) {
            Row::Here(side) => here(side),
            Row::Earlier(_) => self.window(place, head).cloned(),
        };
        // An exact number less a bound would be neither.
        let windows = of(0).zip(of(1)).filter(|(a, b)| a.request == b.request);
        let windows = windows.map(|(a, b)| [a, b]);
        let dark = ctx.global_style().visuals.dark_mode;
        let key = Key {
            diagnosis: ByPointer::new(shown.diagnosis),
            pair,
            version: shown.version,
            windows: windows.as_ref().map(|windows| windows.each_ref().map(ByPointer::new)),
            head,
            viewport,
            scale,
            dark,
        };
        if self.made.as_ref().is_some_and(|made| made.of == key) {
            return;
        }
        let of = |place: usize| {
            let row = pair.row(place);
            let diagnosis = match row {
                Row::Here(_) => shown.diagnosis.as_ref(),
                Row::Earlier(earlier) => rows.compared(earlier.kept)?.diagnosis.as_ref(),
            };
            let window = windows.as_ref().map(|windows| &windows[place]);
            Some(tiles(diagnosis, rows.run(row)?, window, head, viewport, scale))
        };
        let Some((a, b)) = of(0).zip(of(1)) else { return };
        let tiles: Vec<_> = a.iter().zip(&b).map(|(&a, &b)| less(a, b, scale)).collect();
        let most = most(&tiles);
        let size = side_of(viewport);
        let image =
            ColorImage::new([size, size], tiles.iter().map(|&tile| color(tile, most, pair, dark)).collect());
        let request = viewport.request(head, shown.diagnosis.tokens);
        let exact = windows.is_some_and(|windows| windows[0].request == request);
        let texture = match self.made.take() {
            Some(Made { mut texture, .. }) => {
                texture.set(image, TextureOptions::NEAREST);
                texture
            }
            None => ctx.load_texture("difference of attention maps", image, TextureOptions::NEAREST),
        };
        self.made = Some(Made { of: key, tiles, most, exact, texture });
    }

    /// The picture.
    pub fn texture(&self) -> Option<&TextureHandle> {
        self.made.as_ref().map(|made| &made.texture)
    }

    /// As it is written.
    pub fn place(&self, shown: &Shown<'_>, visuals: &Visuals) -> Option<Place> {
        let Made { of: Key { head, viewport, scale, dark, pair, .. }, tiles, most, exact, .. } =
            self.made.as_ref()?;
        let part = Part {
            head: *head,
            viewport: *viewport,
            scale: *scale,
            exact: *exact,
            tokens: shown.diagnosis.tokens,
        };
        let color = |tile: Tile| color(tile, *most, *pair, *dark);
        let lines_of = Self::policy(shown, head.0)?;
        Some(file::difference(shown, &part, (tiles, *most), color, &lines_of, visuals))
    }

    /// Whether something is being computed.
    pub fn is_busy(&self) -> bool {
        self.queries.iter().any(|query| query.progress().is_some())
    }

    /// The rule of the second, whose lines are drawn.
    pub fn policy(shown: &Shown<'_>, layer: usize) -> Option<AttentionPolicy> {
        let run = shown.rows().run(shown.pair.second)?;
        Some(shown.diagnosis.config.policy_at(&run.attention, layer))
    }

    /// The colours with their numbers, and what they are of.
    pub fn legend(&self, ui: &mut Ui, pair: Pair, scale: Scale) {
        let Some(made) = &self.made else { return };
        let [first, second] = pair.rows().map(Row::name);
        let unit = match scale {
            Scale::Logit => "logits",
            Scale::Probability => "probabilities",
            Scale::LogProbability => "powers of ten of the probability",
        };
        let digits = if scale == Scale::Probability { 2 } else { 1 };
        let row = ui.horizontal_wrapped(|ui| {
            ui.label(format!("{second} +{:.digits$}", made.most));
            bar(ui, BESIDE + 60.0, |share| diverging(f64::from(share), pair));
            ui.label(format!("{first} +{:.digits$}", made.most));
            swatches(ui, if scale == Scale::Probability { "by neither" } else { "not by both" });
        });
        let of = if made.exact {
            ""
        } else {
            " The largest of each tile is held against that of the other, as far as it was gathered."
        };
        row.response.on_hover_text(format!(
            "{} in {unit}: more under {first} to the right, more under {second} to the left. Grey: not attended by both, or by neither.{of}",
            pair.name()
        ));
    }
}

/// One tile less another. What is not attended has the probability 0; it has no logit.
fn less(a: Tile, b: Tile, scale: Scale) -> Tile {
    match (a, b) {
        (Tile::Future, _) | (_, Tile::Future) => Tile::Future,
        (Tile::NotFinite, _) | (_, Tile::NotFinite) => Tile::NotFinite,
        (Tile::Unseen, _) | (_, Tile::Unseen) => Tile::Unseen,
        (Tile::Value(a), Tile::Value(b)) => Tile::Value(a - b),
        (Tile::Value(a), Tile::Masked) if scale == Scale::Probability => Tile::Value(a),
        (Tile::Masked, Tile::Value(b)) if scale == Scale::Probability => Tile::Value(-b),
        (Tile::Masked, _) | (_, Tile::Masked) => Tile::Masked,
    }
}

fn most(tiles: &[Tile]) -> f32 {
    tiles.iter().fold(0.0, |most, tile| match tile {
        Tile::Value(value) => most.max(value.abs()),
        _ => most,
    })
}

fn color(tile: Tile, most: f32, pair: Pair, dark: bool) -> Color32 {
    match tile {
        Tile::Future | Tile::Unseen => Color32::TRANSPARENT,
        Tile::Masked => masked(dark),
        Tile::NotFinite => NOT_FINITE,
        Tile::Value(_) if most <= 0.0 => EVEN,
        Tile::Value(value) => diverging(0.5 + 0.5 * f64::from(value / most), pair),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::SIDES;

    #[test]
    fn what_one_alone_attends_to_has_a_probability_and_no_logit() {
        use Tile::{Future, Masked, NotFinite, Unseen, Value};
        assert_eq!(less(Value(3.0), Value(1.0), Scale::Logit), Value(2.0));
        for (scale, first, second) in [
            (Scale::Probability, Value(0.5), Value(-0.5)),
            (Scale::Logit, Masked, Masked),
            (Scale::LogProbability, Masked, Masked),
        ] {
            assert_eq!(less(Value(0.5), Masked, scale), first);
            assert_eq!(less(Masked, Value(0.5), scale), second);
            assert_eq!(less(Masked, Masked, scale), Masked);
            assert_eq!(less(NotFinite, Masked, scale), NotFinite);
            assert_eq!(less(Value(1.0), Unseen, scale), Unseen);
            assert_eq!(less(Future, NotFinite, scale), Future);
        }
    }

    #[test]
    fn colours_are_those_of_the_two_and_light_where_both_are_alike() {
        let pair = Pair::here(0, 1);
        let of = |value: f32, most: f32| color(Tile::Value(value), most, pair, false);
        assert_eq!(
            [of(2.0, 2.0), of(-2.0, 2.0), of(0.0, 2.0), of(0.0, 0.0)],
            [SIDES[0], SIDES[1], EVEN, EVEN]
        );
        assert_eq!(most(&[Tile::Masked, Tile::Value(-3.0), Tile::Value(2.0)]), 3.0);
        assert_eq!(color(Tile::NotFinite, 1.0, pair, true), NOT_FINITE);
    }
}
