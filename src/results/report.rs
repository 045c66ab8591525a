//! `report.html`: what was run, what broke first and where, every figure with how to read it, the numbers as tables.
//!
//! One file that needs no other and no script. Figures are the SVG files beside it, inlined.

use std::fs;
use std::path::{Path, PathBuf};

use lm_infinite_analysis::effect::MeanEffect;
use minijinja::Environment;
use serde::Serialize;
use serde_json::json;

use super::RunInfo;
use super::captions::{CAUSES, Caption, FIGURES, PREDICTED};
use super::marks::Mark;
use super::store::save;
use crate::diagnose::{
    Diagnosis, ENTROPY_FACTOR_MARGIN, HEAD_ENTROPY_MARGIN, HEAD_LOGIT_MARGIN, HeadEffect, HeadReport,
    RunMeasurement, START_APART, SiteDrift, first_broken, head_name,
};
use crate::error::{Error, Result};
use crate::figures::dark_rules;
use crate::words::grouped;

const TEMPLATE: &str = include_str!("report.html");
/// What a mean of no finite loss, or of no tokens, is shown as.
const NOTHING: &str = "–";

/// A figure whose SVG is larger than this is not put into the page, which names its file instead: a model of thousands of
/// heads would make a page that no browser opens.
const LARGEST_FIGURE: usize = 6 << 20;

/// Heads that the table of heads names, per run.
const HEADS_SHOWN: usize = 8;

#[derive(Serialize)]
struct Figure {
    title: &'static str,
    caption: String,
    svg: Option<String>,
    file: String,
}

#[derive(Serialize)]
struct Run {
    policy: String,
    /// The policy's name, and what it sets, so that tables can put one under the other.
    family: String,
    parameters: String,
    nll: String,
    perplexity: String,
    /// What the loss rises by beyond the training length, and its interval.
    excess: String,
    interval: String,
    loss: Mark,
    /// That it fails before it is not finite, where it does.
    finite_part: Option<String>,
    factors: [Mark; 3],
    first: String,
    speed: String,
    cache: String,
    heads_broken: usize,
    heads: Vec<Vec<String>>,
    layers: Vec<Vec<String>>,
}

/// One line of the table of losses: a segment of positions, and the mean loss there of the reference and of each run.
#[derive(Serialize)]
struct Segment {
    from: String,
    to: String,
    beyond: bool,
    losses: Vec<String>,
}

/// Writes `report.html` into `folder`, with the figures that lie there. Returns its path.
pub fn write(folder: &Path, diagnosis: &Diagnosis, info: &RunInfo) -> Result<PathBuf> {
    let figures = [inlined(folder, &PREDICTED)?, inlined(folder, &CAUSES)?, inlined(folder, &FIGURES)?];
    let path = folder.join("report.html");
    save(&path, &render(diagnosis, info, &figures).map_err(|e| Error::io(&path)(std::io::Error::other(e)))?)?;
    Ok(path)
}

/// Those of `named` that lie in `folder`.
fn inlined(folder: &Path, named: &[Caption]) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for &(name, title, caption) in named {
        let path = folder.join(name).with_extension("svg");
        if path.exists() {
            let svg = fs::read_to_string(&path).map_err(Error::io(&path))?;
            let file = format!("{name}.svg");
            let caption = caption
                .replace("{logit_margin}", &format!("{HEAD_LOGIT_MARGIN:?}"))
                .replace("{entropy_margin}", &format!("{HEAD_ENTROPY_MARGIN:?}"));
            figures.push(Figure {
                title,
                caption,
                svg: Some(svg).filter(|svg| svg.len() <= LARGEST_FIGURE),
                file,
            });
        }
    }
    Ok(figures)
}

fn render(
    diagnosis: &Diagnosis,
    info: &RunInfo,
    [predicted, causes, figures]: &[Vec<Figure>; 3],
) -> std::result::Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    // The extension turns escaping on; figures alone are marked as safe, and escape their own texts.
    environment.add_template("report.html", TEMPLATE)?;
    let runs: Vec<Run> = diagnosis.runs.iter().map(|run| describe(run, diagnosis)).collect();
    let data = json!({
        "model": diagnosis.model,
        "tokens": grouped(diagnosis.tokens),
        "trained": grouped(diagnosis.trained_length),
        "times": format!("{:.3}", diagnosis.tokens as f64 / diagnosis.trained_length.max(1) as f64)
            .trim_end_matches('0').trim_end_matches('.'),
        "margin": diagnosis.loss_margin,
        "entropy_margin": ENTROPY_FACTOR_MARGIN,
        "head_entropy_margin": HEAD_ENTROPY_MARGIN,
        "head_logit_margin": HEAD_LOGIT_MARGIN,
        "start_apart": START_APART,
        "reference": loss(diagnosis.reference_nll),
        "context": diagnosis.reference_window.map_or(String::new(), |windows| windows.words(diagnosis.tokens)),
        "bias": diagnosis.reference_bias.map(|bias| bias.words()),
        "goes_beyond": diagnosis.tokens > diagnosis.trained_length,
        "heads": diagnosis.config.heads * diagnosis.config.layers,
        "layers": diagnosis.config.layers,
        "runs": runs,
        "segments": segments(diagnosis),
        "causes": diagnosis.causes.as_ref().map(crate::causes::Causes::sentences),
        "cause_figures": causes,
        "predicted": diagnosis.predicted.as_ref().map(crate::prediction::Predicted::sentences),
        "predicted_figures": predicted,
        "figures": figures,
        "info": info,
        "notes": diagnosis.notes,
        "dark_figures": dark_rules("figure svg"),
        "command": info.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    });
    environment.get_template("report.html")?.render(minijinja::value::Serde(&data))
}

fn describe(run: &RunMeasurement, diagnosis: &Diagnosis) -> Run {
    let (family, parameters) = run.policy.split_once(':').unwrap_or((&run.policy, ""));
    Run {
        policy: run.policy.clone(),
        family: family.to_owned(),
        parameters: parameters.replace(',', ", "),
        nll: loss(run.nll),
        perplexity: run
            .perplexity
            .map_or(NOTHING.into(), |p| if p < 1e4 { format!("{p:.2}") } else { format!("{p:.2e}") }),
        excess: run.loss.effect.map_or(NOTHING.into(), |effect| format!("{:+.3}", effect.mean)),
        interval: run
            .loss
            .effect
            .map_or(String::new(), |effect| format!("{:+.2} to {:+.2}", effect.low, effect.high)),
        loss: Mark::of_loss(run, diagnosis.loss_margin),
        finite_part: run.loss.finite_part.map(|part| part.words()),
        factors: run.factors.verdicts().map(|(name, verdict)| Mark::of_factor(name, verdict)),
        first: first_broken(&run.order, run.loss.outcome, run.factors.any_undecided()),
        speed: grouped(run.prefill_tokens_per_second.round() as u64),
        cache: format!("{:.2}", run.kv_cache_bytes as f64 / 1e6),
        heads_broken: run.heads.iter().filter(|head| head.broke()).count(),
        heads: heads(run),
        layers: layers(run),
    }
}

/// The heads that left what training showed most: by what unseen distances add to their logits, then by what unseen numbers of
/// keys add to their entropy.
fn heads(run: &RunMeasurement) -> Vec<Vec<String>> {
    let mut broken: Vec<_> = run.heads.iter().filter(|head| head.broke()).collect();
    let of = |value: Option<f64>| value.unwrap_or(f64::NEG_INFINITY);
    let logits = |head: &HeadReport| of(head.largest_logit_excess());
    let entropy = |head: &HeadReport| of(head.entropy_excess.map(|excess| excess.effect.mean));
    broken.sort_by(|a, b| logits(b).total_cmp(&logits(a)).then(entropy(b).total_cmp(&entropy(a))));
    let row = |head: &&HeadReport| {
        let effect = |head: Option<HeadEffect>, decimals: usize| match head {
            Some(HeadEffect { effect: MeanEffect { mean, low, high, .. }, exceeds, from, .. }) => {
                let mark = if exceeds { "*" } else { "" };
                let from = from.map_or(String::new(), |from| format!(", from {}", grouped(from)));
                format!("{mean:+.decimals$}{mark} ({low:+.decimals$} to {high:+.decimals$}){from}")
            }
            None => NOTHING.to_owned(),
        };
        let pair = |inside: Option<f64>, beyond: Option<f64>, decimals: usize| match (inside, beyond) {
            (Some(inside), Some(beyond)) => format!("{inside:.decimals$} → {beyond:.decimals$}"),
            _ => NOTHING.to_owned(),
        };
        vec![
            head_name((head.layer, head.head)),
            effect(head.logit_excess, 1),
            effect(head.start_logit_excess, 1),
            effect(head.entropy_excess, 2),
            pair(head.effective_keys_inside, head.effective_keys_beyond, 0),
            pair(head.start_mass_inside, head.start_mass_beyond, 2),
        ]
    };
    broken.iter().take(HEADS_SHOWN).map(row).collect()
}

/// Hidden states of a run, one line per site.
fn layers(run: &RunMeasurement) -> Vec<Vec<String>> {
    let number = |value: Option<f64>, decimals: usize| {
        value.map_or(NOTHING.into(), |value| format!("{value:.decimals$}"))
    };
    let row = |site: &SiteDrift| {
        vec![
            if site.layer == 0 { "embedding".to_owned() } else { format!("after block {}", site.layer) },
            number(site.farthest_start, 1),
            number(site.separation.cosine, 2),
            number(site.separation.cosine_within, 2),
            number(site.mahalanobis_inside, 2),
            number(site.mahalanobis_beyond, 2),
            number(site.outside_share.map(|share| share * 100.0), 1),
            number(site.probe.as_ref().and_then(|probe| probe.r2), 2),
        ]
    };
    run.drift.iter().map(row).collect()
}

/// Mean losses over segments that double from half of the training length on.
fn segments(diagnosis: &Diagnosis) -> Vec<Segment> {
    let (trained, tokens) = (diagnosis.trained_length.max(2), diagnosis.tokens);
    let mut edges = vec![1, trained / 2];
    while edges.last().is_some_and(|&edge| edge < tokens) {
        edges.push(edges[edges.len() - 1].saturating_mul(2));
    }
    let mut all = vec![&diagnosis.reference_per_token];
    all.extend(diagnosis.runs.iter().map(|run| &run.arrays.nll));
    edges
        .windows(2)
        .map(|edge| (edge[0], edge[1].min(tokens)))
        .filter(|(from, to)| from < to)
        .map(|(from, to)| {
            // The loss of token t is the entry t − 1.
            let part = |nll: &Vec<f32>| {
                let part = nll.get(from as usize - 1..(to as usize - 1).min(nll.len())).unwrap_or_default();
                let broken = part.iter().filter(|loss| !loss.is_finite()).count();
                if broken > 0 {
                    return format!("not finite ({})", grouped(broken as u64));
                }
                let sum: f64 = part.iter().map(|&loss| f64::from(loss)).sum();
                loss((!part.is_empty()).then(|| sum / part.len() as f64))
            };
            Segment {
                from: grouped(from),
                to: grouped(to),
                beyond: from >= trained,
                losses: all.iter().map(|nll| part(nll)).collect(),
            }
        })
        .collect()
}

fn loss(nll: Option<f64>) -> String {
    nll.map_or(NOTHING.into(), |nll| format!("{nll:.3}"))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::synthetic;
    use crate::results::Source;

    fn html(model: &str, policies: &[&str], tokens: u64) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let mut diagnosis = synthetic::diagnosis(128, tokens, policies);
        diagnosis.model = model.into();
        let info = RunInfo::new(
            vec!["lm-infinite".into(), "diagnose".into(), "--text".into(), "my book's.txt".into()],
            Source { name: model.into(), sha256: None },
            Source { name: "text".into(), sha256: Some("00ff".into()) },
            tokens,
            [],
            7,
        );
        crate::figures::draw_all(&diagnosis, folder.path()).expect("draws");
        let path = write(folder.path(), &diagnosis, &info).expect("writes");
        fs::read_to_string(path).expect("was written")
    }

    #[test]
    fn it_holds_every_figure_and_policy_and_needs_nothing_else() {
        let html = html("made-up", &["vanilla", "lm-infinite:window=64"], 512);
        // All but that of learned sinks, which this model has not.
        assert_eq!(html.matches("<svg").count(), FIGURES.len() - 1);
        assert!(html.matches("lm-infinite:start=10,window=64").count() >= 3);
        assert!(html.contains("'my book'\\''s.txt'") || html.contains("&#x27;my book"), "the command");
        for outside in ["<script", "src=", "href=\"http", "url(", "@import"] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("prefers-color-scheme"));
    }

    #[test]
    fn the_worst_heads_come_first_and_only_broken_ones() {
        let diagnosis = synthetic::diagnosis(128, 512, &["vanilla", "lm-infinite:window=64"]);
        let shown = heads(&diagnosis.runs[0]);
        let broken = diagnosis.runs[0].heads.iter().filter(|head| head.broke()).count();
        assert!(broken > 1 && shown.len() == broken.min(HEADS_SHOWN), "{broken}");
        let largest = diagnosis.runs[0]
            .heads
            .iter()
            .max_by(|a, b| a.largest_logit_excess().partial_cmp(&b.largest_logit_excess()).expect("finite"));
        let largest = largest.expect("heads");
        assert_eq!(shown[0][0], head_name((largest.layer, largest.head)));
        assert!(heads(&diagnosis.runs[1]).len() < HEADS_SHOWN);
    }

    #[test]
    fn names_cannot_break_out() {
        let html = html("<script>alert(1)</script>", &["vanilla"], 256);
        assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"));
    }

    #[test]
    fn it_is_written_for_almost_nothing() {
        assert!(html("m", &[], 256).contains("</html>"));
        assert!(html("m", &["vanilla"], 1).contains("</html>"));
    }

    #[test]
    fn segments_double_and_cover_every_token_once() {
        let mut diagnosis = synthetic::diagnosis(128, 600, &["vanilla"]);
        diagnosis.reference_per_token = (1..600).map(|token| token as f32).collect();
        let shown: Vec<_> =
            segments(&diagnosis).into_iter().map(|s| (s.from, s.to, s.beyond, s.losses[0].clone())).collect();
        let row = |from: u32, to: u32, beyond| {
            let mean = f64::from(from + to - 1) / 2.0;
            (from.to_string(), to.to_string(), beyond, format!("{mean:.3}"))
        };
        assert_eq!(
            shown,
            [
                row(1, 64, false),
                row(64, 128, false),
                row(128, 256, true),
                row(256, 512, true),
                row(512, 600, true)
            ]
        );
    }

    #[test]
    fn no_segment_passes_over_a_loss_that_is_not_finite() {
        let mut diagnosis = synthetic::diagnosis(128, 600, &["vanilla"]);
        diagnosis.runs[0].arrays.nll = vec![1.5; 599];
        diagnosis.runs[0].arrays.nll[130] = f32::NAN;
        let losses: Vec<_> = segments(&diagnosis).into_iter().map(|s| s.losses[1].clone()).collect();
        assert_eq!(losses, ["1.500", "1.500", "not finite (1)", "1.500", "1.500"]);
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(["a=b,c", "", "a b", "it's"].map(quoted), ["a=b,c", "''", "'a b'", "'it'\\''s'"]);
    }
}
