//! What the tile of causes is told to do, and its lines.

use std::sync::Arc;

use lm_infinite::causes::Place;

use crate::mending::{Found, Mends};

/// Points of a line, at most.
const POINTS: usize = 48;

/// What the reader does.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// So many tokens are looked into.
    Tokens(u64),
    /// Look for causes.
    Start,
    /// End; what was found stays.
    Stop,
    /// Mend a layer or a head, or do not any more.
    Toggle(Place),
    /// Mend these.
    Mend(Mends),
    /// Search a small set that suffices.
    Search,
    /// Give that search up.
    StopSearch,
}

/// Mean losses of pieces of a text: position and nats, gaps where one is not finite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lines {
    /// As the model is.
    pub vanilla: Vec<[f64; 2]>,
    /// With the fix everywhere.
    pub fix: Vec<[f64; 2]>,
    /// With the fix where the reader mends.
    pub mended: Vec<[f64; 2]>,
}

impl Lines {
    /// Of what is known.
    pub fn new(found: &Found) -> Self {
        let from = found.causes.from;
        let line = |losses: &Arc<[f32]>| pieces(losses, from);
        let mended = found.mended.as_ref();
        Self {
            vanilla: line(&found.vanilla),
            fix: line(&found.fix),
            mended: mended.map_or_else(Vec::new, |mended| line(&mended.losses)),
        }
    }
}

/// Means of pieces of one size; the losses are of tokens from `from` on.
fn pieces(losses: &[f32], from: u64) -> Vec<[f64; 2]> {
    let size = losses.len().div_ceil(POINTS).max(1);
    let piece = |(at, part): (usize, &[f32])| {
        let mean = part.iter().map(|&nll| f64::from(nll)).sum::<f64>() / part.len() as f64;
        let middle = from as f64 + (at * size) as f64 + part.len() as f64 / 2.0;
        [middle, if mean.is_finite() { mean } else { f64::NAN }]
    };
    losses.chunks(size).enumerate().map(piece).collect()
}

/// Mean of losses in nats; `None` where one is not finite, or there is none.
pub fn mean(losses: &[f32]) -> Option<f64> {
    let sum = losses.iter().map(|&nll| f64::from(nll)).sum::<f64>();
    Some(sum / losses.len() as f64).filter(|mean| mean.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_means_with_gaps() {
        assert_eq!(pieces(&[1.0, 3.0], 10), [[10.5, 1.0], [11.5, 3.0]]);
        let long: Vec<f32> = (0..1200).map(|at| if at == 5 { f32::NAN } else { 2.0 }).collect();
        let pieces = pieces(&long, 256);
        assert_eq!((pieces.len(), pieces[1]), (POINTS, [256.0 + 37.5, 2.0]));
        assert!(pieces[0][1].is_nan() && super::pieces(&[], 3).is_empty());
        assert_eq!((mean(&[1.0, 3.0]), mean(&[]), mean(&[f32::INFINITY])), (Some(2.0), None, None));
    }
}
