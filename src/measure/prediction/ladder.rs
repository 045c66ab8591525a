//! The lengths that are predicted, and which of them a token of a longer context is taken from.

/// Lengths of the first octave beyond the training length, where models begin to fail, and of every later one.
const FIRST_OCTAVE: u32 = 8;
const LATER_OCTAVES: u32 = 2;
/// Of the last two lengths the first is left out where their ratio is below this.
const NEAREST: f64 = 1.07;

/// Ascending lengths, evenly spaced on a logarithmic scale: the training length, and longer ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    lengths: Vec<u64>,
}

impl Ladder {
    /// From `trained` tokens up to `longest`, which is the last length; `trained` alone where that is no longer.
    pub fn new(trained: u64, longest: u64) -> Self {
        let mut lengths = vec![trained];
        for step in 1.. {
            let octaves = match step {
                0..=FIRST_OCTAVE => f64::from(step) / f64::from(FIRST_OCTAVE),
                _ => 1.0 + f64::from(step - FIRST_OCTAVE) / f64::from(LATER_OCTAVES),
            };
            let length = (trained as f64 * octaves.exp2()).round() as u64;
            if length >= longest || octaves > 64.0 {
                break;
            }
            if length > lengths[lengths.len() - 1] {
                lengths.push(length);
            }
        }
        if longest > trained {
            // One that is nearer than lengths are in the first octave says nothing new.
            let near = |&last: &u64| last > trained && (longest as f64) < last as f64 * NEAREST;
            if lengths.last().is_some_and(near) {
                lengths.pop();
            }
            lengths.push(longest);
        }
        Self { lengths }
    }

    /// The lengths, the training length first.
    pub fn lengths(&self) -> &[u64] {
        &self.lengths
    }

    /// Which of the first `known` lengths a token at `position` stands nearest to the end of, by ratio; within the training
    /// length the first.
    pub fn nearest(&self, position: u64, known: usize) -> usize {
        let at = (position + 1) as f64;
        let apart = |length: u64| (length as f64 / at).ln().abs();
        if position < self.lengths[0] {
            return 0;
        }
        let known = known.clamp(1, self.lengths.len());
        (0..known).min_by(|&a, &b| apart(self.lengths[a]).total_cmp(&apart(self.lengths[b]))).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_dense_in_the_first_octave_and_end_where_they_were_asked_to() {
        let ladder = Ladder::new(256, 4096);
        let lengths = ladder.lengths();
        assert_eq!(lengths[..3], [256, 279, 304]);
        assert_eq!(lengths[8..], [512, 724, 1024, 1448, 2048, 2896, 4096]);
        assert!(lengths.is_sorted());
        assert_eq!(Ladder::new(256, 300).lengths(), [256, 279, 300]);
        assert_eq!(Ladder::new(256, 280).lengths(), [256, 280]);
        for longest in [0, 255, 256] {
            assert_eq!(Ladder::new(256, longest).lengths(), [256]);
        }
        // Of a training length of a few tokens no length comes twice.
        let tiny = Ladder::new(2, 64);
        assert!(tiny.lengths().windows(2).all(|pair| pair[0] < pair[1]), "{tiny:?}");
    }

    #[test]
    fn a_token_is_taken_from_the_nearest_length_that_is_known() {
        let ladder = Ladder::new(256, 4096);
        assert_eq!([0, 100, 255].map(|at| ladder.nearest(at, 9)), [0, 0, 0]);
        assert_eq!([278, 303, 511, 4095].map(|at| ladder.nearest(at, 9)), [1, 2, 8, 8]);
        assert_eq!(ladder.nearest(4095, 15), 14);
        assert_eq!([ladder.nearest(511, 1), ladder.nearest(511, 0)], [0, 0]);
    }
}
