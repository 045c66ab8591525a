//! Hidden states of all runs in one frame of reference, so that policies can be compared.
//!
//! The frame is fitted once per site, to the states of the first run within the training length: principal components
//! of all of them, and the region (mean and spread) of those after the first 64 tokens. Its radius is the 99th
//! percentile of the distance of its own members: beyond it lies 1 % of the states within the training length. Mahalanobis distances are to the same
//! members.
//!
//! The states are sampled: a few hundred at any length. What is computed of them costs the square of their number times their
//! width, never the cube of the width.

use lm_infinite_analysis::drift::{
    Mahalanobis, Pca, ProbeResult, ProbeRule, Separation, Shrinkage, StartSeparation, StateRegion,
};
use lm_infinite_analysis::effect::{MeanEffect, block_length};
use lm_infinite_analysis::{NonFinite, Proportion};
use lm_infinite_runtime::probe::HiddenSite;
use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::collector::{HiddenStates, Measurements};
use super::onset::TokenOnset;
use super::outcome::SEED;
use super::plan::{FIRST_POSITIONS, START_TOKENS};
use crate::error::Result;

/// Fewest states that make a region.
const LEAST_REFERENCE: usize = 8;

/// Distance from which a start token counts as in a region of its own, in units of the spread of the others.
pub(crate) const START_APART: f64 = 3.0;

/// Sampled positions over which states count as having left their region, if more than half of them are outside.
const LEAVING_RUN: usize = 16;

/// Penalty of the position probe, stronger than its default: here are a few hundred states, about as many as directions.
const RIDGE: f64 = 0.03;

/// The hidden states of one run at one site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteDrift {
    /// Blocks that the states have passed: 0 is the embedding.
    pub layer: usize,
    /// Share of the variance of the reference states along each component.
    pub explained: Vec<f64>,
    /// Spread of the reference region, in the units of the hidden states.
    pub rms: f64,
    /// 99th percentile of the distance of the reference states, in units of `rms`.
    pub radius: f64,
    /// Distance of the mean of the start tokens to the reference region, in units of `rms`.
    pub start_distance: Option<f64>,
    /// Distance of the farthest start token, in units of `rms`.
    pub farthest_start: Option<f64>,
    /// 95 % interval of that distance: how well the spread of the others is known.
    #[serde(default)]
    pub farthest_interval: Option<[f64; 2]>,
    /// Start tokens that lie more than 3 times the spread away.
    #[serde(default)]
    pub starts_apart: usize,
    /// Share of the sampled states beyond the training length that lie outside `radius`; within it, 0.01 do.
    pub outside_share: Option<f64>,
    /// That share with its 95 % interval, of as many independent states as there are blocks of correlated ones.
    #[serde(default)]
    pub outside: Option<Proportion>,
    /// First sampled position from which most states lie outside `radius`.
    pub leaves_at: Option<u64>,
    /// The same, with the sampled position before it.
    #[serde(default)]
    pub leaves: Option<TokenOnset>,
    /// Share of the states from there on that lie outside, with its interval.
    #[serde(default)]
    pub outside_since: Option<Proportion>,
    /// Root mean square of the Mahalanobis distance of the states after the first 64 within the training length. In the
    /// run that the frame is fitted to it is near 1.
    pub mahalanobis_inside: Option<f64>,
    /// The same of the states beyond it.
    pub mahalanobis_beyond: Option<f64>,
    /// Distance and cosine of the start tokens to the other states within the training length.
    pub separation: Separation,
    /// How well a linear map reads the position out of the states within the training length.
    pub probe: Option<ProbeResult>,
    /// Sampled states with a value that is not finite. What would be a mean or a maximum over one is `None`.
    #[serde(default)]
    pub non_finite: NonFinite,
    /// All sampled states.
    pub states: Vec<ProjectedState>,
}

/// One hidden state in the frame of reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectedState {
    /// Position in the text.
    pub position: u64,
    /// First two principal components, in units of the region's `rms`; `None` if the state is not finite.
    pub components: Option<[f64; 2]>,
    /// Distance to the reference region, in units of `rms`; `None` if not finite.
    pub distance: Option<f64>,
}

/// Frame of reference of one site.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    site: HiddenSite,
    pca: Pca,
    region: StateRegion,
    radius: f64,
    /// 95 % interval of the squared spread, in units of its estimate.
    spread: Option<[f64; 2]>,
    mahalanobis: Mahalanobis,
    trained_length: u64,
}

impl Frame {
    /// Fits the frames of all sites that have enough finite states within the training length.
    pub fn fit_all(measured: &Measurements) -> Result<Vec<Self>> {
        let trained = measured.plan.trained_length;
        let fit = |states: &HiddenStates| Self::fit(states, trained).transpose();
        measured.hidden.par_iter().filter_map(fit).collect()
    }

    fn fit(states: &HiddenStates, trained_length: u64) -> Result<Option<Self>> {
        let Some(values) = states.view() else { return Ok(None) };
        let rows = |from: u64, to: u64| {
            let finite = |row: usize| values.row(row).iter().all(|value| value.is_finite());
            let inside = |&row: &usize| (from..to).contains(&states.positions[row]) && finite(row);
            (0..states.positions.len()).filter(inside).collect::<Vec<_>>()
        };
        let rest = rows(FIRST_POSITIONS, trained_length);
        if rest.len() < LEAST_REFERENCE {
            return Ok(None);
        }
        let rest = values.select(Axis(0), &rest);
        let region = StateRegion::fit(rest.view())?;
        let mut distances = region.distances(rest.view())?;
        let squares: Vec<f64> = distances.iter().map(|distance| distance * distance).collect();
        let spread = MeanEffect::of(&squares, SEED).map(|effect| [effect.low, effect.high]);
        distances.sort_by(f64::total_cmp);
        let radius = distances[(distances.len() * 99).div_ceil(100) - 1];
        let mahalanobis = Mahalanobis::fit(rest.view(), Shrinkage::Oracle)?;
        let pca = Pca::fit(values.select(Axis(0), &rows(0, trained_length)).view(), 2)?;
        Ok(Some(Self { site: states.site, pca, region, radius, spread, mahalanobis, trained_length }))
    }

    /// The states of a run in this frame; `None` if the run has none at this site.
    pub fn measure(&self, measured: &Measurements) -> Result<Option<SiteDrift>> {
        let Some(states) = measured.hidden.iter().find(|states| states.site == self.site) else {
            return Ok(None);
        };
        let Some(values) = states.view() else { return Ok(None) };
        let unit = if self.region.rms > 0.0 { self.region.rms } else { 1.0 };
        let projected = self.pca.project(values)?;
        let distances = self.region.distances(values)?;
        let mut all: Vec<_> = (states.positions.iter().zip(projected.rows()).zip(&distances))
            .map(|((&position, at), &distance)| ProjectedState {
                position,
                components: Some([at[0] / unit, at[1] / unit]).filter(|at| at.iter().all(|c| c.is_finite())),
                distance: Some(distance).filter(|d| d.is_finite()),
            })
            .collect();
        all.sort_by_key(|state| state.position);
        let starts: Vec<usize> =
            (0..states.positions.len()).filter(|&i| states.positions[i] < START_TOKENS).collect();
        let start = self.region.distance_of_mean(values.select(Axis(0), &starts).view());
        // NaN is a state that is not finite; where the region has no width, distances are infinite.
        let known = starts.iter().all(|&i| !distances[i].is_nan());
        let farthest = starts.iter().map(|&i| distances[i]).filter(|d| d.is_finite()).reduce(f64::max);
        let farthest = farthest.filter(|_| known);
        // A state that is no longer finite has left every region.
        let outside = |state: &ProjectedState| state.distance.is_none_or(|distance| distance > self.radius);
        let beyond: Vec<_> = all.iter().filter(|state| state.position >= self.trained_length).collect();
        let share = |states: &[&ProjectedState]| outside_share(states.iter().map(|state| outside(state)));
        let later: Vec<_> = all.iter().filter(|state| state.position >= FIRST_POSITIONS).collect();
        let leaves = later.windows(LEAVING_RUN).find(|run| {
            outside(run[0]) && 2 * run.iter().filter(|state| outside(state)).count() > LEAVING_RUN
        });
        let leaves = leaves.map(|run| run[0].position);
        let since: Vec<_> =
            later.iter().copied().filter(|state| leaves.is_some_and(|at| state.position >= at)).collect();
        let before = later
            .iter()
            .map(|state| state.position)
            .take_while(|&at| leaves.is_some_and(|leaves| at < leaves))
            .last();
        let interval = |distance: f64| {
            let [low, high] = self.spread.filter(|[low, _]| *low > 0.0)?;
            Some([distance / high.sqrt(), distance / low.sqrt()])
        };
        let within = |from: u64, to: u64| {
            let rows = (0..states.positions.len()).filter(|&i| (from..to).contains(&states.positions[i]));
            rows.collect::<Vec<_>>()
        };
        let white = self.mahalanobis.distances(values)?;
        let rms = |rows: Vec<usize>| {
            let sum: f64 = rows.iter().map(|&i| white[i] * white[i]).sum();
            Some((sum / rows.len() as f64).sqrt()).filter(|rms| rms.is_finite())
        };
        let inside = within(0, self.trained_length);
        let positions: Vec<u64> = inside.iter().map(|&i| states.positions[i]).collect();
        let of_inside = values.select(Axis(0), &inside);
        let mut separation = StartSeparation::new(values.ncols(), START_TOKENS);
        separation.push(&positions, of_inside.view())?;
        Ok(Some(SiteDrift {
            mahalanobis_inside: rms(within(FIRST_POSITIONS, self.trained_length)),
            mahalanobis_beyond: rms(within(self.trained_length, u64::MAX)),
            separation: separation.result(),
            probe: probe(&positions, of_inside.view())?,
            layer: depth(self.site),
            explained: self.pca.explained.clone(),
            rms: self.region.rms,
            radius: self.radius,
            start_distance: start.ok().filter(|d| d.is_finite() && known),
            farthest_start: farthest,
            farthest_interval: farthest.and_then(interval),
            starts_apart: starts.iter().filter(|&&i| distances[i] > START_APART).count(),
            outside_share: share(&beyond).map(|share| share.share),
            outside: share(&beyond),
            leaves_at: leaves,
            leaves: leaves.map(|at| TokenOnset { at, interval: [before.unwrap_or(at), at] }),
            outside_since: share(&since),
            non_finite: states.non_finite(),
            states: all,
        }))
    }
}

/// Share of the states, in order of position, that lie outside; neighbours are alike, so that a block of them counts as one in
/// the interval. `None` without a state.
fn outside_share(outside: impl Iterator<Item = bool>) -> Option<Proportion> {
    let values: Vec<f64> = outside.map(|outside| f64::from(u8::from(outside))).collect();
    let share = values.iter().sum::<f64>() / values.len() as f64;
    Proportion::of_share(share, values.len().div_ceil(block_length(&values)) as u64)
}

/// The position probe of a few states of any width. `None` without a finite state to fit it to.
fn probe(positions: &[u64], states: ArrayView2<f32>) -> Result<Option<ProbeResult>> {
    let rule = ProbeRule { ridge: RIDGE, ..ProbeRule::default() };
    match ProbeResult::of_states(rule, positions, states) {
        Err(lm_infinite_analysis::Error::NoData { .. }) => Ok(None),
        found => Ok(Some(found?)),
    }
}

impl HiddenStates {
    /// [positions, hidden]; `None` if nothing was reported, or states of unequal widths.
    fn view(&self) -> Option<ArrayView2<'_, f32>> {
        let hidden = self.values.len().checked_div(self.positions.len())?;
        ArrayView2::from_shape((self.positions.len(), hidden), &self.values).ok()
    }
}

fn depth(site: HiddenSite) -> usize {
    match site {
        HiddenSite::Embedding => 0,
        HiddenSite::AfterBlock(block) => block + 1,
    }
}
