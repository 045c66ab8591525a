//! The figures that are curves: loss, logits, entropy and start mass.

use lm_infinite_analysis::BandCurve;
use lm_infinite_analysis::nll::NllBucket;

use super::canvas::Point;
use super::lines::{LineFigure, Series, widths};
use super::subject::subject;
use super::theme::look;
use crate::diagnose::{Diagnosis, HeadBand, RunMeasurement, START_TOKENS, head_name};
use crate::words::grouped;

/// Buckets in the running median of the loss: unlike a mean, it keeps a step where it is.
const SMOOTHED: usize = 5;
/// Runs up to which the single buckets are drawn too, pale; those of more would only cover each other.
const DRAWN_RAW: usize = 2;
/// Crosses for losses that are not finite, at most.
const CROSSES: usize = 60;

/// Bands that are drawn at most; more would only cover each other.
const BANDS: usize = 2;

/// What a curve is of.
fn over_heads(diagnosis: &Diagnosis) -> String {
    match diagnosis.runs.first().map(|run| run.heads.as_slice()) {
        Some([head]) => head_name((head.layer, head.head)),
        _ if diagnosis.runs.len() > BANDS => {
            "mean over heads; bands: 10 % to 90 % of them, first and last policy".to_owned()
        }
        _ => "mean over heads; bands: 10 % to 90 % of them".to_owned(),
    }
}

/// Loss by token position (paper Figs. 3–5).
pub fn nll(diagnosis: &Diagnosis) -> LineFigure {
    let buckets = diagnosis.runs.first().map_or(&diagnosis.reference, |run| &run.buckets);
    let widths = widths(buckets.iter().map(|bucket| (bucket.from, bucket.to)));
    let of = match widths.as_slice() {
        [] => "tokens".to_owned(),
        [(_, width)] => format!("{} tokens", grouped(*width)),
        [(_, first), .., (_, last)] => {
            format!(
                "{} to {} tokens (marks along the axis: their number changes)",
                grouped(*first),
                grouped(*last)
            )
        }
    };
    let raw = diagnosis.runs.len() <= DRAWN_RAW;
    let series = |(index, run): (usize, &RunMeasurement)| Series {
        name: run.policy.clone(),
        look: Some(look(index)),
        pieces: running_median(&run.buckets),
        band: Vec::new(),
        raw: if raw { pieces(&run.buckets, |at| run.buckets[at].nll) } else { Vec::new() },
        crosses: crosses(&run.buckets),
        not_finite_from: run.first_non_finite.map(|at| at as f64),
    };
    let name = "the same text in windows of the training length";
    let reference = Series {
        not_finite_from: diagnosis.reference_first_non_finite.map(|at| at as f64),
        ..Series::new(name, None, running_median(&diagnosis.reference))
    };
    let not_finite = diagnosis.runs.iter().any(|run| run.buckets.iter().any(|bucket| bucket.non_finite > 0));
    let crosses = if not_finite { "; ×: not finite" } else { "" };
    let pale = if raw { "; pale: the means" } else { "" };
    LineFigure {
        title: format!("Loss by token position, {}", subject(diagnosis)),
        note: format!("Running median of {SMOOTHED} means of {of}{pale}{crosses}"),
        x_label: "token position".into(),
        y_label: "NLL (nats per token)".into(),
        x_end: diagnosis.tokens,
        distances: false,
        asinh: false,
        y_holds: None,
        widths,
        trained_length: diagnosis.trained_length,
        repeated_from: diagnosis.repeated_from,
        series: diagnosis.runs.iter().enumerate().map(series).chain([reference]).collect(),
    }
}

/// Prefix maximum of the logit against distance (paper Fig. 1a), on keys after the start tokens.
pub fn logits(diagnosis: &Diagnosis) -> LineFigure {
    LineFigure {
        title: format!("Largest attention logit up to a distance, {}", subject(diagnosis)),
        note: format!(
            "Keys after the first {START_TOKENS}, sampled queries; a window ends its line; {}",
            over_heads(diagnosis)
        ),
        x_label: "distance between query and key (tokens)".into(),
        y_label: "attention logit".into(),
        // The axis is one of distances.
        repeated_from: None,
        distances: true,
        ..bands(diagnosis, |run| &run.curves.logits, RunMeasurement::logit_band)
    }
}

/// The same on the start tokens, the only keys that a bounded policy still sees far away.
pub fn logits_start(diagnosis: &Diagnosis) -> LineFigure {
    LineFigure {
        title: format!("Largest logit on the first {START_TOKENS} tokens, {}", subject(diagnosis)),
        note: format!("Sampled queries; {}", over_heads(diagnosis)),
        x_label: "distance between query and key (tokens)".into(),
        y_label: "attention logit".into(),
        // The axis is one of distances.
        repeated_from: None,
        distances: true,
        ..bands(diagnosis, |run| &run.curves.logits_start, RunMeasurement::start_logit_band)
    }
}

/// Entropy against context length (paper Fig. 1b), with its bound ln n.
pub fn entropy(diagnosis: &Diagnosis) -> LineFigure {
    let mut figure = bands(diagnosis, |run| &run.curves.entropy, RunMeasurement::entropy_band);
    let end = diagnosis.tokens.max(2) as f64;
    // Close together where the logarithm bends.
    let bound =
        (0..=400).map(|i| end * (f64::from(i) / 400.0).powi(6)).map(|n| (n.max(1.0), n.max(1.0).ln()));
    figure.series.push(Series::new("ln n (uniform over all n keys)", None, vec![bound.collect()]));
    LineFigure {
        title: format!("Attention entropy against context length, {}", subject(diagnosis)),
        note: format!("Entropy over the attended keys; {}", over_heads(diagnosis)),
        x_label: "context length n (tokens)".into(),
        y_label: "attention entropy (nats)".into(),
        widths: position_widths(diagnosis),
        y_holds: Some(0.0),
        ..figure
    }
}

/// Entropy of the first policy's sampled queries against what their logits alone say of it (appendix D).
pub fn entropy_bounds(diagnosis: &Diagnosis) -> LineFigure {
    let figure = bands(diagnosis, |run| &run.curves.entropy, |_| Vec::new());
    let run = diagnosis.runs.first();
    let all = run.map(|run| &run.curves.entropy_bounds);
    let curves = all.map_or(Vec::new(), |all| {
        vec![
            ("entropy", &all.entropy),
            ("upper bound: ln n", &all.maximum),
            ("lower bound: ln n \u{2212} (max \u{2212} min)", &all.spread),
            ("lower bound of Proposition 2: ln n \u{2212} 2B", &all.magnitude),
            ("no bound, an estimate: ln n \u{2212} σ²/2", &all.gaussian),
        ]
    });
    let series = |(index, (name, curve)): (usize, (&str, &BandCurve))| Series {
        not_finite_from: curve.not_finite_from.map(|at| at as f64),
        ..Series::new(name, Some(look(index)), without_gaps(curve))
    };
    LineFigure {
        title: format!("Entropy, and what the logits alone say of it, {}", subject(diagnosis)),
        note: format!(
            "{}, sampled queries, mean over all heads, ever farther apart; below 0 a lower bound says nothing",
            run.map_or("", |run| run.policy.as_str())
        ),
        x_label: "context length n (tokens)".into(),
        y_label: "nats".into(),
        asinh: true,
        y_holds: Some(0.0),
        series: curves.into_iter().enumerate().map(series).collect(),
        ..figure
    }
}

/// Probability on the start tokens against position.
pub fn start_mass(diagnosis: &Diagnosis) -> LineFigure {
    let figure = bands(diagnosis, |run| &run.curves.start_mass, RunMeasurement::start_mass_band);
    LineFigure {
        title: format!("Attention on the first {START_TOKENS} tokens, {}", subject(diagnosis)),
        note: format!("Share of a query's attention; {}", over_heads(diagnosis)),
        x_label: "position of the query (tokens)".into(),
        y_label: "attention probability".into(),
        widths: position_widths(diagnosis),
        y_holds: Some(0.0),
        ..figure
    }
}

/// Where the bins of entropy and start mass change their width.
fn position_widths(diagnosis: &Diagnosis) -> Vec<(u64, u64)> {
    let edges = diagnosis.bins.positions.lower();
    let ends = edges.iter().skip(1).copied().chain([diagnosis.tokens]);
    widths(edges.iter().copied().zip(ends))
}

/// A curve for each run, and for the first and the last the band of its heads, unless it is of one.
fn bands<'a>(
    diagnosis: &'a Diagnosis,
    curve: impl Fn(&'a RunMeasurement) -> &'a BandCurve,
    heads: impl Fn(&'a RunMeasurement) -> Vec<HeadBand>,
) -> LineFigure {
    let last = diagnosis.runs.len().saturating_sub(1);
    let band =
        |index: usize, run: &'a RunMeasurement| match (index == 0 || index == last) && run.heads.len() > 1 {
            true => heads(run).iter().map(|band| (band.x, band.low, band.high)).collect(),
            false => Vec::new(),
        };
    let series = |(index, run): (usize, &'a RunMeasurement)| Series {
        band: band(index, run),
        not_finite_from: curve(run).not_finite_from.map(|at| at as f64),
        ..Series::new(run.policy.clone(), Some(look(index)), without_gaps(curve(run)))
    };
    LineFigure {
        title: String::new(),
        note: String::new(),
        x_label: String::new(),
        y_label: String::new(),
        x_end: diagnosis.tokens,
        distances: false,
        asinh: false,
        y_holds: None,
        widths: Vec::new(),
        trained_length: diagnosis.trained_length,
        repeated_from: diagnosis.repeated_from,
        series: diagnosis.runs.iter().enumerate().map(series).collect(),
    }
}

/// A curve in pieces: none reaches over a bin without a value.
fn without_gaps(curve: &BandCurve) -> Vec<Vec<Point>> {
    let points: Vec<Option<Point>> =
        curve.x.iter().zip(&curve.mean).map(|(&x, mean)| mean.map(|mean| (x, mean))).collect();
    let pieces = points.split(Option::is_none).map(|piece| piece.iter().copied().flatten().collect());
    pieces.filter(|piece: &Vec<Point>| !piece.is_empty()).collect()
}

/// The values of buckets at their middles, in pieces without gaps.
fn pieces(buckets: &[NllBucket], value: impl Fn(usize) -> Option<f64>) -> Vec<Vec<Point>> {
    let mut pieces = vec![Vec::new()];
    for (at, bucket) in buckets.iter().enumerate() {
        match (value(at), pieces.last_mut()) {
            (Some(nll), Some(piece)) => piece.push(((bucket.from + bucket.to) as f64 / 2.0, nll)),
            _ => pieces.push(Vec::new()),
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn running_median(buckets: &[NllBucket]) -> Vec<Vec<Point>> {
    pieces(buckets, |at| {
        let around = at.saturating_sub(SMOOTHED / 2)..(at + SMOOTHED / 2 + 1).min(buckets.len());
        let mut near: Vec<f64> = buckets[around].iter().filter_map(|bucket| bucket.nll).collect();
        near.sort_by(f64::total_cmp);
        let middle = near.get((near.len().max(1) - 1) / 2..near.len() / 2 + 1)?;
        buckets[at].nll.map(|_| middle.iter().sum::<f64>() / middle.len() as f64)
    })
}

fn crosses(buckets: &[NllBucket]) -> Vec<f64> {
    let broken: Vec<_> = buckets.iter().filter(|bucket| bucket.non_finite > 0).collect();
    let every = broken.len().div_ceil(CROSSES).max(1);
    broken.iter().step_by(every).map(|bucket| (bucket.from + bucket.to) as f64 / 2.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(values: &[Option<f64>]) -> Vec<NllBucket> {
        let bucket = |(at, &nll): (usize, &Option<f64>)| NllBucket {
            from: at as u64 * 2,
            to: at as u64 * 2 + 2,
            nll,
            non_finite: u64::from(nll.is_none()),
            first_non_finite: nll.is_none().then_some(at as u64 * 2),
        };
        values.iter().enumerate().map(bucket).collect()
    }

    #[test]
    fn a_curve_breaks_where_values_are_not_finite() {
        let buckets = buckets(&[Some(1.0), Some(3.0), None, Some(5.0)]);
        assert_eq!(running_median(&buckets), [vec![(1.0, 2.0), (3.0, 3.0)], vec![(7.0, 4.0)]]);
        assert_eq!(crosses(&buckets), [5.0]);
    }

    #[test]
    fn many_crosses_are_thinned() {
        assert!(crosses(&buckets(&[None; 1000])).len() <= CROSSES);
        assert!(running_median(&buckets(&[None; 3])).is_empty() && running_median(&[]).is_empty());
    }
}
