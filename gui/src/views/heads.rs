//! The head grid: layers downwards, heads across, coloured by a measure of A, of B, or of their difference.

use eframe::egui::{Color32, ComboBox, Key, Rect, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use lm_infinite::diagnose::{Diagnosis, HeadReport, RunMeasurement};

use super::NAMES;

/// What colours a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Largest logit on any key.
    MaxLogit,
    /// How far the largest logit beyond the training length lies above that within it.
    LogitRise,
    /// Largest mean entropy, in nats.
    Entropy,
    /// Mean probability on the start tokens, beyond the training length where there is a beyond.
    StartMass,
    /// Mean distance that attention reaches, in tokens.
    MeanDistance,
    /// First distance or position out of range.
    FirstBreak,
}

impl Measure {
    /// All, in the order of the menu.
    pub const ALL: [Self; 6] = [
        Self::LogitRise,
        Self::MaxLogit,
        Self::Entropy,
        Self::StartMass,
        Self::MeanDistance,
        Self::FirstBreak,
    ];

    /// What it is called, with its unit.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxLogit => "largest logit",
            Self::LogitRise => "rise of the largest logit",
            Self::Entropy => "largest entropy (nats)",
            Self::StartMass => "mass on start tokens",
            Self::MeanDistance => "mean distance (tokens)",
            Self::FirstBreak => "first break (tokens)",
        }
    }

    /// Of one head; `None` where it has none.
    pub fn of(self, run: &RunMeasurement, head: &HeadReport) -> Option<f64> {
        let entropy = head.entropy.map(|growth| growth.outside.unwrap_or(growth.inside).max(growth.inside));
        match self {
            Self::MaxLogit => {
                let arrays = [&run.arrays.max_logit, &run.arrays.max_logit_start];
                let bins = arrays[0].dim().2;
                let cells = arrays.into_iter().flat_map(|array| {
                    (0..bins).filter_map(|bin| array.get([head.layer, head.head, bin]).copied())
                });
                let most = cells.filter(|logit| logit.is_finite()).fold(f32::NEG_INFINITY, f32::max);
                Some(f64::from(most)).filter(|logit| logit.is_finite())
            }
            Self::LogitRise => head.logit_rise().map(f64::from),
            Self::Entropy => entropy,
            Self::StartMass => head.start_mass_beyond.or(head.start_mass_inside),
            Self::MeanDistance => head.mean_distance_beyond.or(head.mean_distance_inside),
            Self::FirstBreak => {
                let entropy = head.entropy.and_then(|growth| growth.exceeds_from);
                let logits = [head.logits_break, head.start_logits_break].into_iter().flatten().min();
                [logits.map(|at| at as f64), entropy].into_iter().flatten().reduce(f64::min)
            }
        }
    }
}

/// Whose heads are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first policy.
    A,
    /// The second.
    B,
    /// A less B.
    Difference,
}

/// What is chosen in the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What colours a head.
    pub measure: Measure,
    /// Whose.
    pub side: Side,
    /// The head that the other views show; `None` for all heads.
    pub head: Option<(usize, usize)>,
}

impl Default for Choice {
    fn default() -> Self {
        Self { measure: Measure::LogitRise, side: Side::A, head: None }
    }
}

impl Choice {
    /// The head one step away, within `layers` × `heads`; the first if none is chosen.
    pub fn moved(self, layers: usize, heads: usize, down: isize, right: isize) -> Option<(usize, usize)> {
        let step = |at: usize, by: isize, count: usize| at.saturating_add_signed(by).min(count.max(1) - 1);
        match self.head {
            None => (layers * heads > 0).then_some((0, 0)),
            Some((layer, head)) => Some((step(layer, down, layers), step(head, right, heads))),
        }
    }
}

/// The values of the grid, `[layers][heads]`.
pub fn values(diagnosis: &Diagnosis, choice: Choice) -> Vec<Vec<Option<f64>>> {
    let (layers, heads) = (diagnosis.config.layers, diagnosis.config.heads);
    let of = |side: usize, at: usize| {
        let run = diagnosis.runs.get(side)?;
        choice.measure.of(run, run.heads.get(at)?)
    };
    let value = |at: usize| match choice.side {
        Side::A => of(0, at),
        Side::B => of(1, at),
        Side::Difference => Some(of(0, at)? - of(1, at)?),
    };
    (0..layers).map(|layer| (0..heads).map(|head| value(layer * heads + head)).collect()).collect()
}

/// Draws the grid and its menus; clicks and arrow keys change `choice`.
pub fn show(ui: &mut Ui, diagnosis: &Diagnosis, choice: &mut Choice) {
    ui.horizontal_wrapped(|ui| {
        ui.strong("Heads");
        ComboBox::from_id_salt("measure").selected_text(choice.measure.name()).show_ui(ui, |ui| {
            for measure in Measure::ALL {
                ui.selectable_value(&mut choice.measure, measure, measure.name());
            }
        });
        for (side, name) in [(Side::A, NAMES[0]), (Side::B, NAMES[1]), (Side::Difference, "A − B")] {
            ui.selectable_value(&mut choice.side, side, name);
        }
        if ui.add_enabled(choice.head.is_some(), eframe::egui::Button::new("All heads")).clicked() {
            choice.head = None;
        }
    });
    let values = values(diagnosis, *choice);
    let finite = values.iter().flatten().flatten().copied();
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let (layers, heads) = (values.len(), values.first().map_or(0, Vec::len));
    if layers * heads == 0 {
        ui.label("no heads");
        return;
    }
    let width = ((ui.available_width() - 28.0) / heads as f32).clamp(3.0, 54.0);
    let height = (ui.available_height() * 0.62 / layers as f32).clamp(3.0, 34.0);
    let size = vec2(28.0 + width * heads as f32, height * layers as f32);
    let (area, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| eframe::egui::WidgetInfo::labeled(eframe::egui::Role::Grid, true, "Head grid"));
    let origin = area.min + vec2(28.0, 0.0);
    let cell = |layer: usize, head: usize| {
        let corner = origin + vec2(width * head as f32, height * layer as f32);
        Rect::from_min_size(corner, vec2(width, height)).shrink(if width > 8.0 { 1.0 } else { 0.0 })
    };
    let painter = ui.painter();
    for (layer, row) in values.iter().enumerate() {
        if height >= 11.0 || layer % 5 == 0 {
            let at = pos2(area.min.x, cell(layer, 0).center().y);
            let font = eframe::egui::FontId::proportional(11.0);
            painter.text(at, eframe::egui::Align2::LEFT_CENTER, layer, font, ui.visuals().weak_text_color());
        }
        for (head, value) in row.iter().enumerate() {
            let color =
                value.map_or(ui.visuals().faint_bg_color, |value| shade((value - low) / (high - low)));
            painter.rect_filled(cell(layer, head), 2.0, color);
            if choice.head == Some((layer, head)) {
                let stroke = Stroke::new(2.5, ui.visuals().strong_text_color());
                painter.rect_stroke(cell(layer, head), 2.0, stroke, StrokeKind::Outside);
            }
        }
    }
    let under = |at: eframe::egui::Pos2| {
        let (x, y) = ((at.x - origin.x) / width, (at.y - origin.y) / height);
        (x >= 0.0 && y >= 0.0 && (x as usize) < heads && (y as usize) < layers)
            .then_some((y as usize, x as usize))
    };
    if response.clicked() {
        if let Some(head) = response.interact_pointer_pos().and_then(under) {
            choice.head = Some(head);
        }
        response.request_focus();
    }
    if let Some((layer, head)) = response.hover_pos().and_then(under) {
        response.clone().on_hover_ui_at_pointer(|ui| describe(ui, diagnosis, layer, head));
    }
    let typing = ui.ctx().memory(|memory| memory.focused().is_some_and(|id| id != response.id));
    if !typing {
        let arrows =
            [(Key::ArrowDown, 1, 0), (Key::ArrowUp, -1, 0), (Key::ArrowRight, 0, 1), (Key::ArrowLeft, 0, -1)];
        for (key, down, right) in arrows {
            if ui.input(|input| input.key_pressed(key)) {
                choice.head = choice.moved(layers, heads, down, right);
            }
        }
    }
    let range =
        if low <= high { format!("dark: {high:.2}, light: {low:.2}") } else { "not measured yet".to_owned() };
    ui.small(format!("{range}. Rows are layers. Click or arrow keys choose a head for the curves."));
    match choice.head {
        None => ui.label("Curves: mean over all heads"),
        Some((layer, head)) => ui.strong(format!("Curves: layer {layer}, head {head}")),
    };
    if let Some((layer, head)) = choice.head {
        describe(ui, diagnosis, layer, head);
    }
}

/// Everything about one head.
fn describe(ui: &mut Ui, diagnosis: &Diagnosis, layer: usize, head: usize) {
    eframe::egui::Grid::new(("head", layer, head)).num_columns(3).spacing([12.0, 2.0]).show(ui, |ui| {
        ui.label(format!("layer {layer}, head {head}"));
        for name in NAMES.iter().take(diagnosis.runs.len()) {
            ui.strong(*name);
        }
        ui.end_row();
        for measure in Measure::ALL {
            ui.label(measure.name());
            for run in diagnosis.runs.iter().take(2) {
                let report = run.heads.iter().find(|report| (report.layer, report.head) == (layer, head));
                let value = report.and_then(|report| measure.of(run, report));
                ui.label(value.map_or("–".to_owned(), |value| format!("{value:.2}")));
            }
            ui.end_row();
        }
    });
}

/// From light green (0) over teal to dark violet (1): lightness falls evenly, so that it also reads in grey.
fn shade(share: f64) -> Color32 {
    const STOPS: [[f32; 3]; 4] =
        [[208.0, 235.0, 180.0], [70.0, 178.0, 140.0], [59.0, 82.0, 139.0], [68.0, 1.0, 84.0]];
    let at = if share.is_finite() { share.clamp(0.0, 1.0) as f32 * (STOPS.len() - 1) as f32 } else { 0.0 };
    let low = (at as usize).min(STOPS.len() - 2);
    let part = at - low as f32;
    let mix =
        |channel: usize| (STOPS[low][channel] + (STOPS[low + 1][channel] - STOPS[low][channel]) * part) as u8;
    Color32::from_rgb(mix(0), mix(1), mix(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrow_keys_stay_in_the_grid() {
        let at = |head| Choice { head, ..Choice::default() };
        assert_eq!(at(None).moved(3, 4, 1, 0), Some((0, 0)));
        assert_eq!(at(Some((0, 0))).moved(3, 4, -1, -1), Some((0, 0)));
        assert_eq!(at(Some((2, 3))).moved(3, 4, 1, 1), Some((2, 3)));
        assert_eq!(at(Some((1, 1))).moved(3, 4, 1, 0), Some((2, 1)));
        assert_eq!(at(None).moved(0, 0, 1, 0), None);
    }

    #[test]
    fn shades_grow_darker_and_take_any_number() {
        let light = |share: f64| shade(share).to_array()[..3].iter().map(|&c| u32::from(c)).sum::<u32>();
        assert!((0..10).all(|i| light(f64::from(i) / 10.0) > light(f64::from(i + 1) / 10.0)));
        assert_eq!((shade(f64::NAN), shade(-3.0)), (shade(0.0), shade(0.0)));
    }
}
