//! The tables of a result folder: CSV with a header row, units in the names, an empty cell where there is no value.

use std::fmt::Write;

use lm_infinite_analysis::BandCurve;

use crate::diagnose::{Diagnosis, RunMeasurement};

/// Every table: file name and content.
pub fn all(diagnosis: &Diagnosis) -> [(&'static str, String); 5] {
    [
        ("nll_by_position.csv", nll(diagnosis)),
        ("logits_by_distance.csv", logits(diagnosis)),
        (
            "entropy_by_length.csv",
            curve(diagnosis, "context_tokens,entropy_mean_nats,entropy_std_nats", |run| &run.curves.entropy),
        ),
        (
            "start_mass_by_position.csv",
            curve(diagnosis, "position_tokens,start_mass_mean,start_mass_std", |run| &run.curves.start_mass),
        ),
        ("drift_pca.csv", states(diagnosis)),
    ]
}

fn nll(diagnosis: &Diagnosis) -> String {
    let mut table = Table::new("policy,from_token,to_token,nll_nats,non_finite_tokens");
    let runs = diagnosis.runs.iter().map(|run| (run.policy.as_str(), &run.buckets));
    for (policy, buckets) in runs.chain([("reference", &diagnosis.reference)]) {
        for bucket in buckets {
            let nll = cell(bucket.nll);
            table.row(policy, &format!("{},{},{nll},{}", bucket.from, bucket.to, bucket.non_finite));
        }
    }
    table.text
}

fn logits(diagnosis: &Diagnosis) -> String {
    let mut table =
        Table::new("policy,queries,keys,distance_tokens,prefix_max_logit_mean,prefix_max_logit_std");
    for run in &diagnosis.runs {
        let curves = &run.curves;
        for (queries, curve) in [
            ("sampled,after_start", &curves.logits),
            ("sampled,start", &curves.logits_start),
            ("last,all", &curves.logits_last),
        ] {
            rows(curve, |row| table.row(&run.policy, &format!("{queries},{row}")));
        }
    }
    table.text
}

fn curve(diagnosis: &Diagnosis, columns: &str, of: fn(&RunMeasurement) -> &BandCurve) -> String {
    let mut table = Table::new(&format!("policy,{columns}"));
    for run in &diagnosis.runs {
        rows(of(run), |row| table.row(&run.policy, row));
    }
    table.text
}

fn states(diagnosis: &Diagnosis) -> String {
    let mut table =
        Table::new("policy,blocks_passed,position_tokens,pc1_spreads,pc2_spreads,distance_spreads");
    for run in &diagnosis.runs {
        for site in &run.drift {
            for state in &site.states {
                let component = |i: usize| cell(state.components.map(|components| components[i]));
                let (pc1, pc2, distance) = (component(0), component(1), cell(state.distance));
                table.row(&run.policy, &format!("{},{},{pc1},{pc2},{distance}", site.layer, state.position));
            }
        }
    }
    table.text
}

fn rows(curve: &BandCurve, mut row: impl FnMut(&str)) {
    for ((x, &mean), &std) in curve.x.iter().zip(&curve.mean).zip(&curve.std) {
        row(&format!("{x},{},{}", cell(mean), cell(std)));
    }
}

fn cell(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

struct Table {
    text: String,
}

impl Table {
    fn new(header: &str) -> Self {
        Self { text: format!("{header}\n") }
    }

    /// A row whose first cell is a policy; policies hold commas, so it is quoted.
    fn row(&mut self, policy: &str, rest: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "\"{}\",{rest}", policy.replace('"', "\"\""));
    }
}
