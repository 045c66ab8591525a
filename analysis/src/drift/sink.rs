//! Attention on the start tokens by layer and head: the attention sink.

use serde::{Deserialize, Serialize};

use crate::head_means::HeadMeans;

/// Mean attention of one head on the start tokens, a share of 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadSink {
    /// Layer, from 0.
    pub layer: usize,
    /// Head, from 0.
    pub head: usize,
    /// Over queries inside the training length; `None` without any, and where one is not finite.
    pub inside: Option<f64>,
    /// Over queries from the training length on; `None` as above.
    pub beyond: Option<f64>,
}

/// Strength of the sink on both sides of `trained_length`, for every head.
///
/// `start_mass` is that of [`crate::entropy::EntropyAccumulator`]. `from` leaves out the first queries, which see little
/// else than start tokens; a bin counts where it begins.
pub fn head_sinks(start_mass: &HeadMeans, from: u64, trained_length: u64) -> Vec<HeadSink> {
    let inside = start_mass.means_between(from, trained_length);
    let beyond = start_mass.means_between(trained_length.max(from), u64::MAX);
    let of = |((layer, head), &inside): ((usize, usize), &f64)| HeadSink {
        layer,
        head,
        inside: Some(inside).filter(|mass| mass.is_finite()),
        beyond: Some(beyond[[layer, head]]).filter(|mass| mass.is_finite()),
    };
    inside.indexed_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bins::Bins;

    #[test]
    fn a_sink_that_fades_beyond_the_training_length() {
        let mut mass = HeadMeans::new(1, 2, Bins::linear(16, 8));
        let fading: Vec<f32> = (0..16)
            .map(|i| {
                if i < 4 {
                    1.0
                } else if i < 8 {
                    0.5
                } else {
                    0.25
                }
            })
            .collect();
        mass.push(0, 0, 0, &fading).expect("in range");
        let sinks = head_sinks(&mass, 4, 8);
        assert_eq!(sinks[0], HeadSink { layer: 0, head: 0, inside: Some(0.5), beyond: Some(0.25) });
        assert_eq!(sinks[1], HeadSink { layer: 0, head: 1, inside: None, beyond: None });
        assert_eq!(head_sinks(&mass, 0, 8)[0].inside, Some(0.75));
        assert_eq!(head_sinks(&mass, 0, 16)[0].beyond, None);
    }
}
