//! Hidden states by layer: two principal components of A and B in one frame of reference, and what became of them in numbers.

use eframe::egui::{Color32, Grid, Id, RichText, ScrollArea, Slider, Ui, vec2};
use egui_plot::{GridMark, HoverPosition, MarkerShape, Plot, PlotBounds, PlotPoints, Points};
use lm_infinite::diagnose::{Diagnosis, ProjectedState, RunMeasurement, START_TOKENS, SiteDrift};

use super::memo::Memo;
use super::{NAMES, Shown};
use crate::command::Command;
use crate::tab::View;
use crate::theme;

/// Shades of position.
const SHADES: usize = 12;

/// Of start tokens: the colour of neither A nor B, and not in the ramp.
const START: Color32 = Color32::from_rgb(214, 69, 140);

/// The tab.
struct Features {
    /// Index into the sites.
    site: usize,
    /// Axes linear near 0 and logarithmic beyond.
    asinh: bool,
    clouds: Memo<(usize, bool), Vec<Cloud>>,
}

/// A new one.
pub fn view() -> Box<dyn View> {
    Box::new(Features { site: usize::MAX, asinh: true, clouds: Memo::default() })
}

/// The states of one run at one site, ready to be drawn.
#[derive(Clone, Debug, PartialEq)]
struct Cloud {
    /// By shade of position, without the start tokens.
    later: Vec<Vec<[f64; 2]>>,
    start: Vec<[f64; 2]>,
    /// Of both runs: they share their axes.
    bounds: ([f64; 2], [f64; 2]),
    /// Position of each point drawn, to be read by the pointer.
    positions: Vec<([f64; 2], u64)>,
    /// States that are not finite.
    missing: usize,
}

impl View for Features {
    fn show(&mut self, ui: &mut Ui, shown: &Shown<'_>, _commands: &mut Vec<Command>) {
        let diagnosis = shown.diagnosis;
        let sites = diagnosis.runs.first().map_or(&[][..], |run| &run.drift);
        if sites.is_empty() {
            ui.label("There are no hidden states yet: a frame of reference needs more of the text.");
            return;
        }
        if self.site >= sites.len() {
            // Where start tokens part from the rest.
            self.site = sites.iter().position(|site| site.layer >= 2).unwrap_or(0);
        }
        ScrollArea::vertical().show(ui, |ui| {
            self.controls(ui, sites);
            let (asinh, site) = (self.asinh, self.site);
            let clouds = self.clouds.get(diagnosis, (site, asinh), || clouds(diagnosis, site, asinh));
            let side = ((ui.available_width() - 30.0) / 2.0)
                .min(ui.clip_rect().bottom() - ui.cursor().min.y - 250.0)
                .max(200.0);
            ui.horizontal_top(|ui| {
                for (number, (run, cloud)) in diagnosis.runs.iter().take(2).zip(clouds.iter()).enumerate() {
                    ui.vertical(|ui| {
                        ui.label(
                            RichText::new(format!("{}  {}", NAMES[number], run.policy))
                                .color(theme::side(ui.visuals(), number))
                                .strong(),
                        );
                        let Some(drift) = run.drift.get(site) else { return };
                        plot(ui, number, cloud, drift, asinh, side);
                    });
                }
            });
            legend(ui, diagnosis.tokens);
            numbers(ui, diagnosis, site);
        });
    }
}

impl Features {
    fn controls(&mut self, ui: &mut Ui, sites: &[SiteDrift]) {
        ui.horizontal_wrapped(|ui| {
            let label = ui.label("Layer");
            let name = |at: f64| sites.get(at as usize).map_or_else(String::new, |site| site_name(site.layer));
            ui.add(Slider::new(&mut self.site, 0..=sites.len() - 1).custom_formatter(move |at, _| name(at)))
                .labelled_by(label.id)
                .on_hover_text("Which hidden states: after the embedding, or after a block");
            ui.checkbox(&mut self.asinh, "Logarithmic far out")
                .on_hover_text("Axes are linear up to about 1 and logarithmic beyond (asinh), so that far states do not hide the near");
        });
    }
}

fn site_name(layer: usize) -> String {
    if layer == 0 { "embedding".to_owned() } else { format!("after block {layer}") }
}

/// All runs at one site, in axes that they share.
fn clouds(diagnosis: &Diagnosis, site: usize, asinh: bool) -> Vec<Cloud> {
    let scaled = |at: [f64; 2]| if asinh { at.map(f64::asinh) } else { at };
    let states = |run: &RunMeasurement| -> Vec<ProjectedState> {
        run.drift.get(site).map_or_else(Vec::new, |site| site.states.clone())
    };
    let of = |run: &RunMeasurement| {
        let all = states(run);
        let mut cloud = Cloud {
            later: vec![Vec::new(); SHADES],
            start: Vec::new(),
            bounds: ([-1.0; 2], [1.0; 2]),
            positions: Vec::new(),
            missing: all.iter().filter(|state| state.components.is_none()).count(),
        };
        for (position, at) in all.iter().filter_map(|state| Some((state.position, scaled(state.components?))))
        {
            cloud.positions.push((at, position));
            if position < START_TOKENS {
                cloud.start.push(at);
            } else {
                cloud.later[shade_of(position, diagnosis.tokens)].push(at);
            }
        }
        cloud
    };
    let mut all: Vec<Cloud> = diagnosis.runs.iter().take(2).map(of).collect();
    let bounds = bounds(all.iter().flat_map(|cloud| &cloud.positions).map(|&(at, _)| at));
    all.iter_mut().for_each(|cloud| cloud.bounds = bounds);
    all
}

/// Around all points, with a margin; never empty.
fn bounds(points: impl Iterator<Item = [f64; 2]>) -> ([f64; 2], [f64; 2]) {
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for at in points {
        for axis in 0..2 {
            (low[axis], high[axis]) = (low[axis].min(at[axis]), high[axis].max(at[axis]));
        }
    }
    for axis in 0..2 {
        if low[axis] > high[axis] {
            (low[axis], high[axis]) = (-1.0, 1.0);
        }
        let margin = ((high[axis] - low[axis]) * 0.06).max(0.05);
        (low[axis], high[axis]) = (low[axis] - margin, high[axis] + margin);
    }
    (low, high)
}

fn shade_of(position: u64, tokens: u64) -> usize {
    ((position as f64 / tokens.max(1) as f64 * SHADES as f64) as usize).min(SHADES - 1)
}

/// Early is dark violet, late is yellow.
fn shade(at: usize) -> Color32 {
    super::map::ramp(at as f32 / (SHADES - 1) as f32)
}

fn plot(ui: &mut Ui, number: usize, cloud: &Cloud, drift: &SiteDrift, asinh: bool, side: f32) {
    let percent = |at: usize| 100.0 * drift.explained.get(at).copied().unwrap_or(0.0);
    let original = move |value: f64| if asinh { value.sinh() } else { value };
    let words =
        move |value: f64| format!("{}", (original(value) * 1e3).round() / 1e3).replace('-', "\u{2212}");
    let response = Plot::new(("features", number))
        .width(side)
        .height(side * 0.85)
        .allow_scroll(false)
        .x_axis_label(format!("PC 1 ({:.1} % of the variance)", percent(0)))
        .y_axis_label(format!("PC 2 ({:.1} % of the variance)", percent(1)))
        .x_grid_spacer(move |input| marks(input.bounds, asinh))
        .y_grid_spacer(move |input| marks(input.bounds, asinh))
        .x_axis_formatter(move |mark, _| words(mark.value))
        .y_axis_formatter(move |mark, _| words(mark.value))
        .link_axis(Id::unique("features"), [true, true])
        .label_formatter(|at| match at {
            HoverPosition::NearDataPoint { position, .. } => {
                let near = |(at, _): &&([f64; 2], u64)| {
                    (at[0] - position.x).abs() + (at[1] - position.y).abs() < 1e-9
                };
                let token = cloud.positions.iter().find(near).map(|&(_, position)| position)?;
                let [x, y] = [position.x, position.y].map(original);
                Some(format!("token {token}\nPC 1 {x:.2}, PC 2 {y:.2}"))
            }
            _ => None,
        })
        .default_x_bounds(cloud.bounds.0[0], cloud.bounds.1[0])
        .default_y_bounds(cloud.bounds.0[1], cloud.bounds.1[1])
        .show(ui, |plot| {
            let key = (drift.layer, asinh, drift.states.len());
            let last = Id::unique(("features shown", number));
            // Another layer has another frame; what the reader zoomed into stays otherwise.
            if plot.ctx().data(|data| data.get_temp::<(usize, bool, usize)>(last)) != Some(key) {
                plot.ctx().data_mut(|data| data.insert_temp(last, key));
                plot.set_plot_bounds(PlotBounds::from_min_max(cloud.bounds.0, cloud.bounds.1));
            }
            for (at, points) in cloud.later.iter().enumerate() {
                let series = Points::new(format!("positions {at}"), PlotPoints::from(points.clone()));
                plot.points(series.color(shade(at)).radius(2.4));
            }
            let start = Points::new("start tokens", PlotPoints::from(cloud.start.clone()));
            plot.points(start.color(START).shape(MarkerShape::Diamond).radius(6.0));
        });
    let start = if cloud.start.is_empty() { "" } else { "start tokens as diamonds" };
    response.response.on_hover_text(start);
    if cloud.missing > 0 {
        ui.label(format!("{} states are not finite and not drawn.", cloud.missing));
    }
}

/// Lines of the grid at round numbers: even steps, or with `asinh` 0 and some of 0.5, 1, 2, 5, 10, … on both sides.
fn marks((low, high): (f64, f64), asinh: bool) -> Vec<GridMark> {
    let mark = |(value, step_size)| GridMark { value, step_size };
    if !asinh {
        let least = ((high - low) / 6.0).max(f64::MIN_POSITIVE);
        let decade = 10_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0]
            .into_iter()
            .map(|m| m * decade)
            .find(|&step| step >= least)
            .unwrap_or(10.0 * decade);
        let steps = (low / step).ceil() as i64..=(high / step).floor() as i64;
        return steps.take(50).map(|at| mark((at as f64 * step, step))).collect();
    }
    // As many as have room, the roundest first.
    let gap = (high - low) / 6.0;
    let mut places: Vec<f64> = Vec::new();
    for (multiple, powers) in [(0.0, 0..1), (1.0, 0..9), (5.0, -1..9), (2.0, 0..9)] {
        for value in powers.map(|power| (multiple * 10_f64.powi(power)).asinh()).flat_map(|at| [at, -at]) {
            if value >= low && value <= high && places.iter().all(|place| (place - value).abs() >= gap) {
                places.push(value);
            }
        }
    }
    places.sort_by(f64::total_cmp);
    places.into_iter().map(|value| mark((value, 2.0 * gap))).collect()
}

fn legend(ui: &mut Ui, tokens: u64) {
    ui.horizontal_wrapped(|ui| {
        ui.label("Position: token 0");
        let (rect, _) = ui.allocate_exact_size(vec2(180.0, 12.0), eframe::egui::Sense::hover());
        let step = rect.width() / SHADES as f32;
        for at in 0..SHADES {
            let corner = rect.min + vec2(step * at as f32, 0.0);
            let part = eframe::egui::Rect::from_min_size(corner, vec2(step + 0.5, rect.height()));
            ui.painter().rect_filled(part, 0.0, shade(at));
        }
        ui.label(format!("token {tokens}"));
        ui.colored_label(START, "◆");
        ui.label(format!("the first {START_TOKENS} tokens"));
        ui.weak(
            "Units: spread of A's later tokens within the training length; both policies in A's components.",
        );
    });
}

/// What a number is called, what it is, and how it is written.
type Row = (&'static str, &'static str, fn(&SiteDrift) -> String);

/// The numbers of a layer, A beside B.
fn numbers(ui: &mut Ui, diagnosis: &Diagnosis, site: usize) {
    let rows: [Row; 8] = [
        (
            "start tokens, distance",
            "Of their mean from the later tokens, in units of the spread of these",
            |d| number(d.start_distance),
        ),
        ("farthest start token", "Its distance, in the same units", |d| number(d.farthest_start)),
        ("cosine, start to others", "Mean cosine between a start token and another", |d| {
            number(d.separation.cosine)
        }),
        ("cosine, others", "Mean cosine between two of the others", |d| number(d.separation.cosine_within)),
        (
            "position read out, R²",
            "How well a linear map reads ln(1 + position) out of held-out states within the training length",
            |d| number(d.probe.as_ref().and_then(|probe| probe.r2)),
        ),
        (
            "outside beyond training",
            "Share of the states beyond the training length that lie farther out than 99 % of those within",
            |d| d.outside_share.map_or("–".to_owned(), |share| format!("{:.0} %", 100.0 * share)),
        ),
        ("leaves at token", "From here on most states lie outside", |d| {
            d.leaves_at.map_or("–".to_owned(), |at| at.to_string())
        }),
        (
            "Mahalanobis, within → beyond",
            "Root mean square of the distance in the metric of the later tokens",
            |d| format!("{} → {}", number(d.mahalanobis_inside), number(d.mahalanobis_beyond)),
        ),
    ];
    Grid::new("features numbers").num_columns(3).striped(true).spacing([20.0, 3.0]).show(ui, |ui| {
        ui.weak("");
        for (side, name) in NAMES.iter().enumerate().take(diagnosis.runs.len()) {
            ui.label(RichText::new(*name).color(theme::side(ui.visuals(), side)).strong());
        }
        ui.end_row();
        for (name, help, value) in rows {
            ui.label(name).on_hover_text(help);
            for run in diagnosis.runs.iter().take(2) {
                ui.label(run.drift.get(site).map_or("–".to_owned(), value));
            }
            ui.end_row();
        }
    });
}

fn number(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or("–".to_owned(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_all_points_and_are_never_empty() {
        let (low, high) = bounds([[0.0, 5.0], [10.0, 5.0]].into_iter());
        assert!(low[0] < 0.0 && high[0] > 10.0 && low[1] < 5.0 && high[1] > 5.0);
        assert!(bounds(std::iter::empty()).1[0] > 1.0);
    }

    #[test]
    fn marks_are_round_and_inside() {
        let at = |bounds, asinh: bool| -> Vec<f64> {
            let value = |mark: GridMark| if asinh { mark.value.sinh() } else { mark.value };
            marks(bounds, asinh).into_iter().map(|mark| (value(mark) * 1e6).round() / 1e6).collect()
        };
        assert_eq!(at((-3.0, 9.0), false), [-2.0, 0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(at((-1.0, 4.0), true), [-1.0, 0.0, 1.0, 10.0]);
        assert_eq!(at((-0.7, 1.0), true), [-0.5, 0.0, 0.5, 1.0]);
        assert!(at((0.0, 0.0), false).len() <= 50);
    }

    #[test]
    fn shades_go_from_the_first_to_the_last_token() {
        assert_eq!([0, 4095, 9999].map(|at| shade_of(at, 4096)), [0, SHADES - 1, SHADES - 1]);
        assert_eq!(shade_of(3, 0), SHADES - 1);
        assert_eq!((site_name(0), site_name(3)), ("embedding".to_owned(), "after block 3".to_owned()));
    }
}
