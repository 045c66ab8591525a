//! Attention maps of the heads that tell most: queries downwards, keys across, one column per policy.

use ndarray::Array4;

use super::canvas::{Align, Canvas, Point};
use super::subject::subject;
use super::theme::{Color, INK, LABEL, LOST, MASKED, MUTED, ON_DARK, ON_LIGHT, TICK, TITLE, ramp};
use crate::diagnose::{Diagnosis, Head, HeadReport, RunMeasurement, head_name};
use crate::words::grouped;

const PANEL: f64 = 160.0;
const GAP: f64 = 12.0;
/// Above the maps of a head: its name, and why it was chosen.
const NAME: f64 = 34.0;
const LEFT: f64 = 24.0;
const TOP: f64 = 110.0;
const BOTTOM: f64 = 118.0;
const SMALL: f64 = 12.5;
/// Width of the first token.
const FIRST: f64 = 3.0;
/// Probabilities below this are drawn like this.
const LEAST: f64 = 1e-4;
/// Shades of the scale: neighbours of one shade are drawn as one rectangle.
const SHADES: f64 = 24.0;

/// Maps of a few heads under every policy.
#[derive(Clone, Debug)]
pub struct MapsFigure<'a> {
    diagnosis: &'a Diagnosis,
    /// Why the head was chosen, and the head.
    heads: Vec<(&'static str, Head)>,
}

impl<'a> MapsFigure<'a> {
    /// The head whose logits rise most at unseen distances under the first policy, the one whose entropy does at unseen numbers of keys, and
    /// the one that rests most on the start tokens. `None` if there is no map.
    pub fn new(diagnosis: &'a Diagnosis) -> Option<Self> {
        let first = diagnosis.runs.first().filter(|run| !run.arrays.map_mass.is_empty())?;
        let most = |why, of: fn(&HeadReport) -> Option<f64>| {
            let valued = first.heads.iter().filter_map(|head| Some((of(head)?, head)));
            let (_, head) = valued.max_by(|a, b| a.0.total_cmp(&b.0))?;
            Some((why, (head.layer, head.head)))
        };
        let chosen = [
            most("unseen distances raise its logits most", HeadReport::largest_logit_excess),
            most("unseen numbers of keys raise its entropy most", |head| {
                head.entropy_excess.map(|excess| excess.effect.mean)
            }),
            most("most on start tokens", |head| head.start_mass_inside),
        ];
        let mut heads: Vec<(_, Head)> = match first.heads.as_slice() {
            [only] => vec![("", (only.layer, only.head))],
            _ => Vec::new(),
        };
        for (why, head) in chosen.into_iter().flatten() {
            if !heads.iter().any(|&(_, other)| other == head) {
                heads.push((why, head));
            }
        }
        (!heads.is_empty()).then_some(Self { diagnosis, heads })
    }

    /// Width and height, in pixels at scale 1.
    pub fn size(&self) -> (u32, u32) {
        let (columns, rows) = (self.diagnosis.runs.len() as f64, self.heads.len() as f64);
        let width = (LEFT + columns * (PANEL + GAP) + 12.0).max(800.0);
        (width as u32, (TOP + rows * (NAME + PANEL + GAP) + BOTTOM) as u32)
    }

    /// Draws everything.
    pub fn draw(&self, canvas: &mut dyn Canvas) {
        let title = format!("Where heads look, {}", subject(self.diagnosis));
        canvas.text(&title, (24.0, 24.0), TITLE, INK, Align::Left);
        let note = format!(
            "Probability of sampled queries on bins of keys, bright is much; dashed: distance of the training length, {}",
            grouped(self.diagnosis.trained_length)
        );
        canvas.text(&note, (24.0, 47.0), TICK, MUTED, Align::Left);
        for (column, run) in self.diagnosis.runs.iter().enumerate() {
            let center = LEFT + column as f64 * (PANEL + GAP) + PANEL / 2.0;
            let (name, keys) = run.policy.split_once(':').unwrap_or((&run.policy, ""));
            canvas.text(name, (center, TOP - 28.0), LABEL, INK, Align::Center);
            canvas.text(&keys.replace(',', ", "), (center, TOP - 10.0), 11.5, MUTED, Align::Center);
        }
        for (row, &(why, head)) in self.heads.iter().enumerate() {
            let top = TOP + row as f64 * (NAME + PANEL + GAP);
            let name = match why {
                "" => head_name(head),
                why => format!("{}: {why}", head_name(head)),
            };
            canvas.text(&name, (LEFT, top + NAME - 15.0), LABEL, INK, Align::Left);
            for (column, run) in self.diagnosis.runs.iter().enumerate() {
                let left = LEFT + column as f64 * (PANEL + GAP);
                self.draw_map(canvas, (left, top + NAME), run, head);
            }
        }
        let below = TOP + self.heads.len() as f64 * (NAME + PANEL + GAP);
        let tokens = grouped(self.diagnosis.tokens);
        canvas.text("0", (LEFT, below + 2.0), SMALL, MUTED, Align::Left);
        canvas.text(&tokens, (LEFT + PANEL, below + 2.0), SMALL, MUTED, Align::Right);
        canvas.text(
            "across: position of the key (tokens); down: position of the query, the same scale",
            (LEFT, below + 24.0),
            SMALL,
            INK,
            Align::Left,
        );
        draw_scale(canvas, (LEFT, below + 44.0));
    }

    fn draw_map(&self, canvas: &mut dyn Canvas, (left, top): Point, run: &RunMeasurement, at: Head) {
        let bins = &self.diagnosis.bins;
        let tokens = self.diagnosis.tokens.max(1) as f64;
        let x = |key: u64| left + (key as f64 / tokens).min(1.0) * PANEL;
        let edges: Vec<f64> = bins.map_keys.lower().iter().map(|&key| x(key)).chain([left + PANEL]).collect();
        let mut above = 0;
        for (row, &query) in bins.map_queries.iter().enumerate() {
            let (from, to) = (top + above as f64 / tokens * PANEL, top + (query + 1) as f64 / tokens * PANEL);
            above = query + 1;
            // Its first bin has the first key, which every query may see.
            if run.arrays.map_logit.get([at.0, at.1, row, 0]).is_some_and(|logit| logit.is_nan()) {
                canvas.rect((left, from), (x(query + 1), to), LOST, 0.6);
                continue;
            }
            let color = |bin: usize| {
                let of = |array: &Array4<f32>| array.get([at.0, at.1, row, bin]).copied().unwrap_or(f32::NAN);
                let attended = of(&run.arrays.map_logit) > f32::NEG_INFINITY;
                if attended { paint(shade(f64::from(of(&run.arrays.map_mass)))) } else { MASKED }
            };
            // The key of the query itself ends the row.
            let end = x(query + 1);
            let bins = edges[..edges.len() - 1].partition_point(|&edge| edge < end);
            let mut bin = 0;
            while bin < bins {
                let (begin, same) = (bin, color(bin));
                while bin < bins && color(bin) == same {
                    bin += 1;
                }
                let right = edges[bin].min(end).max(edges[begin] + 0.5);
                canvas.rect((edges[begin], from), (right, to), same, 1.0);
            }
            // The first token, on which attention rests, is less than a column of pixels.
            if end > left + 3.0 * FIRST {
                canvas.rect((left, from), (left + FIRST, to), color(0), 1.0);
            }
        }
        let (right, bottom) = (left + PANEL, top + PANEL);
        let frame = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        canvas.line(&frame, MUTED, 1.0, 1.0, &[]);
        let trained = self.diagnosis.trained_length as f64 / tokens;
        if trained < 1.0 {
            let line = [(left, top + trained * PANEL), (left + (1.0 - trained) * PANEL, bottom)];
            // Dark under light: seen on every colour.
            canvas.line(&line, ON_LIGHT, 0.8, 2.8, &[4.0, 3.0]);
            canvas.line(&line, ON_DARK, 1.0, 1.3, &[4.0, 3.0]);
        }
    }
}

fn draw_scale(canvas: &mut dyn Canvas, (left, top): Point) {
    let width = 360.0;
    for step in 0..SHADES as u32 {
        let at = |step: u32| left + width * f64::from(step) / SHADES;
        canvas.rect((at(step), top), (at(step + 1) + 0.3, top + 13.0), paint(step), 1.0);
    }
    let decades = -LEAST.log10();
    for decade in 0..=decades as i32 {
        let x = left + width * f64::from(decade) / decades;
        let text = match decades as i32 - decade {
            0 => "1".to_owned(),
            power => format!("0.{}1", "0".repeat(power as usize - 1)),
        };
        canvas.line(&[(x, top + 13.0), (x, top + 17.0)], INK, 1.0, 1.0, &[]);
        canvas.text(&text, (x, top + 26.0), SMALL, INK, Align::Center);
    }
    canvas.text("probability", (left + width + 16.0, top + 6.0), SMALL, INK, Align::Left);
    canvas.rect((left + width + 120.0, top), (left + width + 140.0, top + 13.0), MASKED, 1.0);
    let (a, b) = (left + width + 120.0, left + width + 140.0);
    let frame = [(a, top), (b, top), (b, top + 13.0), (a, top + 13.0), (a, top)];
    canvas.line(&frame, MUTED, 1.0, 1.0, &[]);
    canvas.text("not attended", (b + 8.0, top + 6.0), SMALL, INK, Align::Left);
    let (a, b) = (b + 110.0, b + 130.0);
    canvas.rect((a, top), (b, top + 13.0), LOST, 0.6);
    canvas.text("not finite", (b + 8.0, top + 6.0), SMALL, INK, Align::Left);
}

/// Shade of a probability, on a logarithmic scale.
fn shade(mass: f64) -> u32 {
    let share = 1.0 - mass.max(LEAST).log10() / LEAST.log10();
    ((share * SHADES) as u32).min(SHADES as u32 - 1)
}

/// Bright is much, as in the window and in every other figure.
fn paint(shade: u32) -> Color {
    ramp((f64::from(shade) + 0.5) / SHADES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::synthetic;

    #[test]
    fn shades_rise_with_the_logarithm_of_the_probability() {
        assert_eq!((shade(1.0), shade(0.0), shade(1e-9), shade(LEAST)), (23, 0, 0, 0));
        assert!(shade(0.1) - shade(0.01) == shade(0.01) - shade(0.001));
        let lightness = |shade: u32| paint(shade).iter().map(|&c| u32::from(c)).sum::<u32>();
        assert!((0..23).all(|shade| lightness(shade) < lightness(shade + 1)));
    }

    #[test]
    fn heads_are_chosen_by_what_they_show_and_none_twice() {
        let diagnosis = synthetic::diagnosis(128, 512, &["vanilla", "lm-infinite"]);
        let figure = MapsFigure::new(&diagnosis).expect("maps");
        let excesses = diagnosis.runs[0].heads.iter().filter_map(HeadReport::largest_logit_excess);
        let largest = excesses.fold(0.0, f64::max);
        let (_, (layer, head)) = figure.heads[0];
        let chosen = diagnosis.runs[0].heads.iter().find(|h| (h.layer, h.head) == (layer, head)).expect("it");
        assert_eq!(chosen.largest_logit_excess(), Some(largest));
        let mut heads: Vec<_> = figure.heads.iter().map(|&(_, head)| head).collect();
        heads.sort_unstable();
        heads.dedup();
        assert_eq!(heads.len(), figure.heads.len());
        assert!(MapsFigure::new(&synthetic::diagnosis(128, 512, &[])).is_none());
    }
}
