//! Hidden states by layer: two principal components of every policy in one frame of reference, and what became of them in numbers.

pub mod cloud;

use eframe::egui::{Color32, Context, Grid, Id, RichText, ScrollArea, Slider, Ui, vec2};
use egui_plot::{HoverPosition, MarkerShape, Plot, PlotBounds, PlotPoints, Points};
use lm_infinite::diagnose::{Diagnosis, RunMeasurement, START_TOKENS, SiteDrift};

use self::cloud::{Cloud, Controls, SHADES, clouds, marks};
use super::curves::paint::grid;
use super::data;
use super::memo::Memo;
use super::pane::Pane;
use super::reach::{not_yet, to_go};
use super::shown::Shown;
use crate::command::Command;
use crate::theme;
use crate::words::grouped;

/// Of start tokens: the colour of neither A nor B, and not in the ramp.
const START: Color32 = Color32::from_rgb(214, 69, 140);

/// Smallest plot, and the size from which its axes have room for all of their names.
const SMALLEST: f32 = 180.0;
const ROOMY: f32 = 260.0;

/// The tab.
struct Features {
    controls: Controls,
    clouds: Memo<(usize, bool), Vec<Cloud>>,
}

/// An empty one.
pub fn pane() -> Box<dyn Pane> {
    Box::new(Features { controls: Controls { site: None, asinh: true }, clouds: Memo::default() })
}

fn sites(diagnosis: &Diagnosis) -> &[SiteDrift] {
    diagnosis.runs.first().map_or(&[][..], |run| &run.drift)
}

impl Pane for Features {
    fn obey(&mut self, command: &Command) {
        if let Command::Features(controls) = command {
            self.controls = *controls;
        }
    }

    fn update(&mut self, _ctx: &Context, shown: &Shown<'_>) {
        let sites = sites(shown.diagnosis);
        // At first where start tokens part from the rest.
        let first = || sites.iter().position(|site| site.layer >= 2).unwrap_or(0);
        let site = self.controls.site.filter(|&site| site < sites.len()).unwrap_or_else(first);
        self.controls.site = (!sites.is_empty()).then_some(site);
        let asinh = self.controls.asinh;
        self.clouds.update(shown.diagnosis, (site, asinh), || clouds(shown.diagnosis, site, asinh));
    }

    fn show(&self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
        let diagnosis = shown.diagnosis;
        let (Some(site), Some(clouds)) = (self.controls.site, self.clouds.value()) else {
            ui.label("There are no hidden states yet: a frame of reference needs more of the text.");
            return;
        };
        ScrollArea::vertical().show(ui, |ui| {
            let mut controls = self.controls;
            controls_ui(ui, sites(diagnosis), &mut controls);
            if controls != self.controls {
                commands.push(Command::Features(controls));
            }
            let side = ((ui.available_width() - 30.0) / 2.0)
                .min(ui.clip_rect().bottom() - ui.cursor().min.y - 250.0)
                .max(SMALLEST);
            let runs = diagnosis.runs.iter().zip(clouds).enumerate();
            let runs: Vec<_> = runs.filter(|(side, _)| !shown.hidden.has(*side)).collect();
            for pair in runs.chunks(2) {
                ui.horizontal_top(|ui| plots(ui, pair, shown, site, self.controls.asinh, side));
            }
            legend(ui, diagnosis.tokens);
            numbers(ui, diagnosis, site);
        });
    }
}

/// The plots of two policies, side by side.
fn plots(
    ui: &mut Ui,
    pair: &[(usize, (&RunMeasurement, &Cloud))],
    shown: &Shown<'_>,
    site: usize,
    asinh: bool,
    side: f32,
) {
    for &(number, (run, cloud)) in pair {
        ui.vertical(|ui| {
            let name = format!("{}  {}", theme::name(number), run.policy);
            ui.label(RichText::new(name).color(theme::side(ui.visuals(), number)).strong());
            let Some(drift) = run.drift.get(site) else { return };
            plot(ui, number, (cloud, drift), shown, asinh, side);
        });
    }
}

fn controls_ui(ui: &mut Ui, sites: &[SiteDrift], controls: &mut Controls) {
    ui.horizontal_wrapped(|ui| {
        let label = ui.label("Layer");
        let name = |at: f64| sites.get(at as usize).map_or_else(String::new, |site| site_name(site.layer));
        let mut site = controls.site.unwrap_or(0);
        ui.add(Slider::new(&mut site, 0..=sites.len().saturating_sub(1)).custom_formatter(move |at, _| name(at)))
            .labelled_by(label.id)
            .on_hover_text("Which hidden states: after the embedding, or after a block");
        controls.site = Some(site);
        ui.checkbox(&mut controls.asinh, "Logarithmic far out")
            .on_hover_text("Axes are linear up to about 1 and logarithmic beyond (asinh), so that far states do not hide the near");
    });
}

fn site_name(layer: usize) -> String {
    if layer == 0 { "embedding".to_owned() } else { format!("after block {layer}") }
}

/// Early is dark violet, late is yellow.
fn shade(at: usize) -> Color32 {
    theme::ramp(at as f32 / (SHADES - 1) as f32)
}

fn plot(
    ui: &mut Ui,
    number: usize,
    (cloud, drift): (&Cloud, &SiteDrift),
    shown: &Shown<'_>,
    asinh: bool,
    side: f32,
) {
    let (ink, ring) = (ui.visuals().strong_text_color(), ui.visuals().selection.stroke.color);
    let percent = |at: usize| 100.0 * drift.explained.get(at).copied().unwrap_or(0.0);
    let original = move |value: f64| if asinh { value.sinh() } else { value };
    let words =
        move |value: f64| format!("{}", (original(value) * 1e3).round() / 1e3).replace('-', "\u{2212}");
    let of = if side < ROOMY { "" } else { " of the variance" };
    let response = Plot::new(("features", number))
        .width(side)
        .height(side * 0.85)
        .allow_scroll(false)
        .grid_color(grid(ui.visuals()))
        .grid_fade(0.0)
        .x_axis_label(format!("PC 1 ({:.1} %{of})", percent(0)))
        .y_axis_label(format!("PC 2 ({:.1} %{of})", percent(1)))
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
            if let Some(range) = &shown.range {
                let inside = Points::new("in the range", PlotPoints::from(cloud.within(range)));
                plot.points(inside.color(ring).filled(false).shape(MarkerShape::Circle).radius(3.5));
            }
            if let Some(at) = shown.mark.and_then(|mark| cloud.nearest(mark)) {
                let nearest = Points::new("nearest to the cursor", PlotPoints::from(vec![at]));
                plot.points(nearest.color(ink).filled(false).shape(MarkerShape::Circle).radius(8.0));
            }
        });
    data::mark(ui, response.response.rect);
    let start = if cloud.start.is_empty() { "" } else { "start tokens as diamonds" };
    response.response.on_hover_text(start);
    if cloud.missing > 0 {
        ui.label(format!("{} states are not finite and not drawn.", cloud.missing));
    }
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
        ui.label(format!("token {}", grouped(tokens)));
        ui.colored_label(START, "◆");
        ui.label(format!("the first {START_TOKENS} tokens"));
        ui.weak(
            "Units: spread of A's later tokens within the training length; both policies in A's components (PC), with their shares of \
             the variance.",
        );
    });
}

/// What a number is called, what it is, and how it is written.
type Row = (&'static str, &'static str, fn(&SiteDrift) -> String);

/// The last so many numbers need states beyond the training length.
const BEYOND: usize = 3;

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
    ScrollArea::horizontal()
        .id_salt("features numbers")
        .show(ui, |ui| numbers_ui(ui, diagnosis, site, &rows));
}

fn numbers_ui(ui: &mut Ui, diagnosis: &Diagnosis, site: usize, rows: &[Row]) {
    Grid::new("features numbers")
        .num_columns(1 + diagnosis.runs.len())
        .striped(true)
        .spacing([20.0, 3.0])
        .show(ui, |ui| {
            ui.weak("");
            for side in 0..diagnosis.runs.len() {
                ui.label(RichText::new(theme::name(side)).color(theme::side(ui.visuals(), side)).strong());
            }
            ui.end_row();
            for (at, &(name, help, value)) in rows.iter().enumerate() {
                ui.label(name).on_hover_text(help);
                for run in &diagnosis.runs {
                    let words = run.drift.get(site).map_or("–".to_owned(), value);
                    match to_go(diagnosis, run).filter(|_| at + BEYOND >= rows.len()) {
                        Some(left) => ui.label(words.replace('–', "not yet")).on_hover_text(not_yet(left)),
                        None => ui.label(words),
                    };
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
    fn sites_are_named_by_their_block() {
        assert_eq!((site_name(0), site_name(3)), ("embedding".to_owned(), "after block 3".to_owned()));
    }
}
