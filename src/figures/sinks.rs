//! What learned sinks take of every head's attention, layers downwards and heads across.

use super::heat_map::{HeatMap, Panel};
use super::subject::subject;
use crate::diagnose::{Diagnosis, HeadReport, RunMeasurement};

/// The first policy within and beyond the training length, and the last one beyond it; `None` where heads have no learned sinks.
pub(super) fn learned_sinks(diagnosis: &Diagnosis) -> Option<HeatMap> {
    let (layers, heads) = (diagnosis.config.layers, diagnosis.config.heads);
    let first = diagnosis.runs.first()?;
    let last = diagnosis.runs.last().filter(|last| last.policy != first.policy);
    type Mass = fn(&HeadReport) -> Option<f64>;
    let (inside, beyond): (Mass, Mass) = (|head| head.sink_mass_inside, |head| head.sink_mass_beyond);
    let panel = |run: &RunMeasurement, words: &str, mass: Mass| {
        let mut cells = vec![vec![None; heads]; layers];
        for head in &run.heads {
            if let Some(cell) = cells.get_mut(head.layer).and_then(|row| row.get_mut(head.head)) {
                *cell = mass(head);
            }
        }
        let is_empty = cells.iter().flatten().all(Option::is_none);
        (!is_empty).then(|| Panel { name: format!("{}, {words} the training length", run.policy), cells })
    };
    let panels = [
        panel(first, "within", inside),
        panel(first, "beyond", beyond),
        last.and_then(|last| panel(last, "beyond", beyond)),
    ];
    let panels: Vec<Panel> = panels.into_iter().flatten().collect();
    let names = |of: &str, count: usize| (0..count).map(|at| format!("{of}{at}")).collect();
    (!panels.is_empty()).then(|| HeatMap {
        title: format!("{}: attention that goes to the learned sink", subject(diagnosis)),
        note: "Per cent of a query's attention, mean over queries.".into(),
        x_label: "head".into(),
        y_label: "layer".into(),
        x: names("H", heads),
        y: names("L", layers),
        panels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::synthetic;

    #[test]
    fn there_are_panels_where_heads_have_sinks() {
        let mut diagnosis = synthetic::diagnosis(128, 256, &["vanilla", "window", "lm-infinite"]);
        assert_eq!(learned_sinks(&diagnosis), None);
        for (index, run) in diagnosis.runs.iter_mut().enumerate() {
            for head in &mut run.heads {
                head.sink_mass_inside = Some(0.1);
                head.sink_mass_beyond = (index != 1).then_some(head.layer as f64 / 10.0);
            }
        }
        let map = learned_sinks(&diagnosis).expect("sinks");
        let names: Vec<&str> = map.panels.iter().map(|panel| panel.name.as_str()).collect();
        assert_eq!(names.len(), 3);
        assert!(names[0].starts_with("vanilla") && names[0].contains("within"));
        assert!(names[2].starts_with("lm-infinite") && names[2].contains("beyond"));
        assert_eq!(map.panels[1].cells.len(), diagnosis.config.layers);
        assert!(map.panels[1].cells[1].iter().all(|&cell| cell == Some(0.1)));
        // A text that does not reach beyond.
        diagnosis.runs.truncate(1);
        diagnosis.runs[0].heads.iter_mut().for_each(|head| head.sink_mass_beyond = None);
        assert_eq!(learned_sinks(&diagnosis).expect("sinks").panels.len(), 1);
        diagnosis.runs.clear();
        assert_eq!(learned_sinks(&diagnosis), None);
    }
}
