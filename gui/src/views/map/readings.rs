//! What is told of the pair under the pointer.

use std::sync::Arc;

use eframe::egui::{Grid, RichText, ScrollArea, Ui};
use lm_infinite::diagnose::Head;

use super::Maps;
use super::model::Reading;
use super::overview::Overview;
use crate::theme;
use crate::views::pair::Row;
use crate::views::shown::Shown;
use crate::views::tokens;
use crate::words::grouped;

impl Maps {
    /// What is known of a pair under one policy.
    fn reading(&self, shown: &Shown<'_>, head: Head, pair: (u64, u64), row: Row) -> Option<Reading> {
        let (run, diagnosis) = (shown.rows().run(row)?, shown.diagnosis);
        let (bins, window) = match row {
            Row::Here(side) => (&diagnosis.bins, self.window(side, head)),
            Row::Earlier(earlier) => {
                let place = usize::from(shown.pair.second == row);
                (&shown.rows().compared(earlier.kept)?.diagnosis.bins, self.difference.window(place, head))
            }
        };
        let policy = diagnosis.config.policy_at(&run.attention, head.0);
        let coarse = Overview { bins, run, head }.at(pair.0, pair.1);
        Some(Reading::new(&policy, pair, window.map(Arc::as_ref), coarse))
    }

    /// What is known of the pair under the pointer.
    pub(super) fn readings(&self, ui: &mut Ui, shown: &Shown<'_>, head: (usize, usize)) {
        let at = shown.hover.and_then(|hover| Some((hover.position, hover.key?)));
        let Some((query, key)) = at else {
            ui.weak("Point at a map to read a pair; drag to move, wheel to zoom, click to mark the query.");
            return;
        };
        if let Some(inputs) = shown.inputs {
            for (name, position) in [("query", query), ("key", key)] {
                ui.horizontal(|ui| {
                    ui.label(format!("{name} {}", grouped(position)));
                    let characters = (ui.available_width() / 8.0) as usize;
                    let color = ui.visuals().selection.bg_fill;
                    let text = tokens::in_context(ui, inputs, position, color, characters);
                    ui.label(text);
                });
            }
        } else {
            ui.label(format!("query {}, key {}", grouped(query), grouped(key)));
        }
        let distance = query.checked_sub(key).map_or("–".to_owned(), grouped);
        let grid = |ui: &mut Ui| {
            for title in ["", "distance", "effective distance", "region", "logit", "probability"] {
                ui.weak(title);
            }
            ui.end_row();
            let here = (0..shown.diagnosis.runs.len()).map(Row::Here);
            let earlier = shown.pair.rows().into_iter().filter(|row| matches!(row, Row::Earlier(_)));
            for row in here.chain(earlier.filter(|_| self.shows_difference(shown))) {
                let Some(reading) = self.reading(shown, head, (query, key), row) else { continue };
                let color = theme::side(ui.visuals(), row.side());
                ui.label(RichText::new(row.name()).color(color).strong());
                ui.label(&distance);
                ui.label(reading.effective_distance.map_or("–".to_owned(), grouped));
                ui.label(reading.region);
                ui.label(reading.logit);
                ui.label(reading.probability);
                ui.end_row();
            }
        };
        ScrollArea::horizontal().id_salt("readings").show(ui, |ui| {
            Grid::new("readings").num_columns(6).striped(true).spacing([18.0, 3.0]).show(ui, grid);
        });
    }
}
