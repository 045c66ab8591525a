//! The tables of a result folder: CSV with a header row, units in the names, an empty cell where there is no value.

use lm_infinite_analysis::BandCurve;
use lm_infinite_analysis::explosion::Extent;
use lm_infinite_analysis::nll::NllBucket;

use crate::diagnose::{Diagnosis, HeadEffect, RunMeasurement};

/// Every table: file name and content.
pub fn all(diagnosis: &Diagnosis) -> [(&'static str, String); 10] {
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
        (
            "logits_by_length.csv",
            curve(diagnosis, "position_tokens,largest_logit_mean,largest_logit_std", |run| {
                &run.curves.logits_by_length
            }),
        ),
        ("logit_quantiles.csv", quantiles(diagnosis)),
        ("entropy_bounds.csv", bounds(diagnosis)),
        ("heads.csv", heads(diagnosis)),
        ("drift_pca.csv", states(diagnosis)),
        ("drift_by_layer.csv", layers(diagnosis)),
    ]
}

fn nll(diagnosis: &Diagnosis) -> String {
    let mut table = Table::of_losses();
    let runs = diagnosis.runs.iter().map(|run| (run.policy.as_str(), &run.buckets));
    for (policy, buckets) in runs.chain([("reference", &diagnosis.reference)]) {
        for bucket in buckets {
            table.bucket(policy, bucket);
        }
    }
    table.text()
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
    table.text()
}

fn curve(diagnosis: &Diagnosis, columns: &str, of: fn(&RunMeasurement) -> &BandCurve) -> String {
    let mut table = Table::new(&format!("policy,{columns}"));
    for run in &diagnosis.runs {
        rows(of(run), |row| table.row(&run.policy, row));
    }
    table.text()
}

fn quantiles(diagnosis: &Diagnosis) -> String {
    let mut table =
        Table::new("policy,from_distance_tokens,logit_q01,logit_q25,logit_q50,logit_q75,logit_q99");
    for run in &diagnosis.runs {
        for quantile in &run.curves.logit_quantiles {
            let cells: Vec<_> = (0..5).map(|i| cell(quantile.logits.map(|logits| logits[i]))).collect();
            table.row(&run.policy, &format!("{},{}", quantile.from, cells.join(",")));
        }
    }
    table.text()
}

/// Entropy of sampled queries beside what follows from their logits alone.
fn bounds(diagnosis: &Diagnosis) -> String {
    let mut table = Table::new(
        "policy,position_tokens,entropy_nats,effective_keys,ln_n_nats,ln_n_minus_2b_nats,ln_n_minus_range_nats,\
         ln_n_minus_half_variance_nats",
    );
    for run in &diagnosis.runs {
        let all = &run.curves.entropy_bounds;
        let curves =
            [&all.entropy, &all.effective_keys, &all.maximum, &all.magnitude, &all.spread, &all.gaussian];
        for (at, x) in all.entropy.x.iter().enumerate().filter(|&(at, _)| all.entropy.mean[at].is_some()) {
            let cells: Vec<_> =
                curves.iter().map(|curve| cell(curve.mean.get(at).copied().flatten())).collect();
            table.row(&run.policy, &format!("{x},{}", cells.join(",")));
        }
    }
    table.text()
}

fn heads(diagnosis: &Diagnosis) -> String {
    let mut table = Table::new(
        "policy,layer,head,logit_low_inside,logit_high_inside,logit_low_outside,logit_high_outside,\
         logit_excess,logit_excess_low,logit_excess_high,logit_break_position_tokens,\
         start_logit_high_inside,start_logit_high_outside,\
         start_logit_excess,start_logit_excess_low,start_logit_excess_high,start_logit_break_position_tokens,\
         entropy_inside_nats,entropy_outside_nats,\
         entropy_excess_nats,entropy_excess_low,entropy_excess_high,entropy_break_position_tokens,effective_keys_inside,effective_keys_beyond,start_mass_inside,start_mass_beyond,\
         sink_mass_inside,sink_mass_beyond,\
         mean_distance_inside_tokens,mean_distance_beyond_tokens,non_finite_queries,first_non_finite_position_tokens",
    );
    for run in &diagnosis.runs {
        for head in &run.heads {
            let extent = |extent: Option<Extent>| {
                [extent.map(|e| f64::from(e.low)), extent.map(|e| f64::from(e.high))]
            };
            let at = |at: Option<u64>| at.map(|at| at as f64);
            let effect = |head: Option<HeadEffect>| {
                let effect = head.map(|head| head.effect);
                [effect.map(|of| of.mean), effect.map(|of| of.low), effect.map(|of| of.high)]
            };
            let mut values = Vec::new();
            values.extend(extent(head.logits_inside));
            values.extend(extent(head.logits_outside));
            values.extend(effect(head.logit_excess));
            values.push(at(head.logits_break));
            values.push(extent(head.start_logits_inside)[1]);
            values.push(extent(head.start_logits_outside)[1]);
            values.extend(effect(head.start_logit_excess));
            values.push(at(head.start_logits_break));
            values.push(head.entropy.map(|entropy| entropy.inside));
            values.push(head.entropy.and_then(|entropy| entropy.outside));
            values.extend(effect(head.entropy_excess));
            values.push(at(head.entropy_break));
            values.extend([head.effective_keys_inside, head.effective_keys_beyond]);
            values.extend([head.start_mass_inside, head.start_mass_beyond]);
            values.extend([head.sink_mass_inside, head.sink_mass_beyond]);
            values.extend([head.mean_distance_inside, head.mean_distance_beyond]);
            values.extend([Some(head.non_finite_queries as f64), at(head.first_non_finite)]);
            let cells: Vec<_> = values.into_iter().map(cell).collect();
            table.row(&run.policy, &format!("{},{},{}", head.layer, head.head, cells.join(",")));
        }
    }
    table.text()
}

fn layers(diagnosis: &Diagnosis) -> String {
    let mut table = Table::new(
        "policy,blocks_passed,start_distance_spreads,farthest_start_spreads,start_cosine,cosine_within,\
         mahalanobis_inside,mahalanobis_beyond,outside_share,leaves_at_token,position_probe_r2,position_probe_held_out",
    );
    for run in &diagnosis.runs {
        for site in &run.drift {
            let values = [
                site.start_distance,
                site.farthest_start,
                site.separation.cosine,
                site.separation.cosine_within,
                site.mahalanobis_inside,
                site.mahalanobis_beyond,
                site.outside_share,
                site.leaves_at.map(|at| at as f64),
                site.probe.as_ref().and_then(|probe| probe.r2),
                site.probe.as_ref().map(|probe| probe.held_out as f64),
            ];
            table.row(&run.policy, &format!("{},{}", site.layer, values.map(cell).join(",")));
        }
    }
    table.text()
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
    table.text()
}

fn rows(curve: &BandCurve, mut row: impl FnMut(&str)) {
    for ((x, &mean), &std) in curve.x.iter().zip(&curve.mean).zip(&curve.std) {
        row(&format!("{x},{},{}", cell(mean), cell(std)));
    }
}

fn cell(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A table being written.
pub(super) struct Table(csv::Writer<Vec<u8>>);

impl Table {
    /// With this header, names separated by commas.
    pub fn new(header: &str) -> Self {
        let mut table = Self(csv::WriterBuilder::new().flexible(true).from_writer(Vec::new()));
        table.record(header.split(','));
        table
    }

    fn record<'a>(&mut self, cells: impl Iterator<Item = &'a str>) {
        // Writing to memory cannot fail, and rows may have any number of cells.
        let _ = self.0.write_record(cells);
    }

    /// The table as text.
    pub fn text(self) -> String {
        // What was written are strings, to memory.
        String::from_utf8(self.0.into_inner().unwrap_or_default()).unwrap_or_default()
    }

    /// Of losses in buckets: a row is a [`Self::bucket`].
    pub fn of_losses() -> Self {
        Self::new("policy,from_token,to_token,nll_nats,non_finite_tokens,first_non_finite_token")
    }

    /// A row with the loss of one bucket: an empty cell where a token's loss is not finite.
    pub fn bucket(&mut self, policy: &str, bucket: &NllBucket) {
        let NllBucket { from, to, nll, non_finite, first_non_finite } = bucket;
        let first = first_non_finite.map(|at| at.to_string()).unwrap_or_default();
        self.row(policy, &format!("{from},{to},{},{non_finite},{first}", cell(*nll)));
    }

    /// A row: a policy, whose name may hold commas, and the other cells, separated by commas.
    pub fn row(&mut self, policy: &str, rest: &str) {
        self.record(std::iter::once(policy).chain(rest.split(',')));
    }
}
