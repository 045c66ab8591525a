//! Random numbers that are the same in every version, on every machine: ChaCha with 12 rounds, a published algorithm, and a
//! stream of its own for each purpose.
//!
//! `rand`'s `StdRng` may be another generator in its next version; what a seed means would change with it. A stream here is
//! keyed by SHA-256 of its purpose, the user's seed and the indices of what is drawn, so no two of them share numbers, and
//! neighbouring seeds have nothing in common. What is built on a stream, `rand`'s ranges and shuffles and `rand_distr`'s normal
//! deviates, may change with their versions too: a test holds drawn values against written ones.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

/// The generator, and the version of how seeds become streams here, for `run.json`.
pub const GENERATOR: &str = "ChaCha12, streams 1";

/// A stream of random numbers.
pub type Stream = ChaCha12Rng;

/// What random numbers are for. The names are part of the streams' keys: a new name is another stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The next token, by temperature.
    Sampling,
    /// Documents of a text, drawn with replacement behind its end.
    Documents,
    /// Key and place of a passkey prompt. Indices: length, depth, sample.
    Passkey,
    /// Texts that verdicts are calibrated on. Indices: kind, copy.
    Calibration,
    /// Sets of heads or layers that are fixed at random. Indices: draw.
    Intervention,
    /// What is hidden in the prompts of needle tasks. Indices: task, length, sample.
    Needles,
    /// Weights of a model of a published shape. Indices: tensor, piece of it.
    Weights,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Sampling => "sampling",
            Self::Documents => "documents",
            Self::Passkey => "passkey",
            Self::Calibration => "calibration",
            Self::Intervention => "intervention",
            Self::Needles => "needles",
            Self::Weights => "weights",
        }
    }
}

/// The stream for `purpose` under the user's `seed`, of the thing with these indices.
pub fn stream(purpose: Purpose, seed: u64, indices: &[u64]) -> Stream {
    let mut hash = Sha256::new();
    hash.update(purpose.name());
    // No name has this byte, so what follows is never taken for a part of one.
    hash.update([0]);
    for number in std::iter::once(&seed).chain(indices) {
        hash.update(number.to_le_bytes());
    }
    Stream::from_seed(hash.finalize().into())
}

/// The one stream of a whole job, for training (initial weights; the data of a step) and for places in a text. Its key is
/// `seed` expanded by `rand_core`'s rule, as it was when the built-in models were trained and the results in the documents
/// were measured, so that both can be made again.
pub fn expanded(seed: u64) -> Stream {
    Stream::seed_from_u64(seed)
}

/// A number from 0 to below 1: the upper 53 bits of the next 64, divided by 2^53.
pub fn unit(stream: &mut Stream) -> f64 {
    (stream.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::Rng;
    use rand::seq::{IndexedRandom, SliceRandom};
    use rand_distr::{Distribution, Normal};

    use super::*;

    /// The numbers were computed by another program from the algorithms of ChaCha12, rand 0.9 and rand_distr 0.5.
    ///
    /// If this fails after an update of rand, rand_chacha or rand_distr, the update changes what seeds mean: results would not
    /// be repeated. Keep the older version, or write the drawing down here.
    #[test]
    fn draws_are_those_that_were_written_down() {
        let mut drawn = stream(Purpose::Sampling, 0, &[]);
        assert_eq!([drawn.next_u64(), drawn.next_u64()], [0x40b3_65d6_10d5_5e85, 0x98e9_3766_f267_1342]);
        let mut drawn = stream(Purpose::Passkey, 3, &[1024, 7]);
        let whole: Vec<u64> = (0..3).map(|_| drawn.random_range(1..=10_000_000)).collect();
        assert_eq!(
            (whole, drawn.random_range(0.0..=1.0)),
            (vec![5_310_945, 4_226_939, 1_907_411], 0.453_653_952_244_601_5)
        );
        let mut drawn = expanded(7);
        let normal = Normal::new(0.0_f32, 0.02).expect("a deviation above 0");
        let values: Vec<u32> = (0..3).map(|_| normal.sample(&mut drawn).to_bits()).collect();
        assert_eq!(values, [0xbcaa_fac6, 0xbc3c_fd1c, 0xbc69_1055]);
        let mut order: Vec<u8> = (0..8).collect();
        order.shuffle(&mut drawn);
        let chosen: Vec<u8> = order.choose_multiple(&mut drawn, 3).copied().collect();
        assert_eq!(
            (order, chosen, drawn.random_bool(0.25)),
            (vec![1, 0, 3, 5, 2, 6, 4, 7], vec![5, 2, 3], false)
        );
        assert_eq!((drawn.random_range(0..1000_usize), unit(&mut drawn)), (596, 0.743_574_055_418_246_7));
    }

    /// RFC 8439's block function with 12 rounds, of a key and nonce of zeros (draft-strombergson-chacha-test-vectors, TC1).
    #[test]
    fn the_generator_is_chacha_with_12_rounds() {
        let mut bytes = [0; 8];
        Stream::from_seed([0; 32]).fill_bytes(&mut bytes);
        assert_eq!(bytes, [0x9b, 0xf4, 0x9a, 0x6a, 0x07, 0x55, 0xf9, 0x53]);
    }

    #[test]
    fn no_two_streams_share_numbers() {
        let purposes = [Purpose::Sampling, Purpose::Passkey, Purpose::Intervention];
        let mut seen = BTreeSet::new();
        let mut streams = 0;
        for purpose in purposes {
            for seed in 0..5 {
                for indices in [&[][..], &[0], &[1], &[0, 0], &[0, 1], &[1, 0], &[256]] {
                    streams += 1;
                    let mut drawn = stream(purpose, seed, indices);
                    seen.extend((0..4).map(|_| drawn.next_u64()));
                }
            }
        }
        assert_eq!(seen.len(), 4 * streams);
    }

    #[test]
    fn units_are_even_and_below_one() {
        let mut drawn = stream(Purpose::Sampling, 1, &[]);
        let all: Vec<f64> = (0..40_000).map(|_| unit(&mut drawn)).collect();
        assert!(all.iter().all(|unit| (0.0..1.0).contains(unit)));
        for tenth in 0..10 {
            let count = all.iter().filter(|&&unit| (unit * 10.0) as usize == tenth).count();
            assert!((3700..4300).contains(&count), "{tenth}: {count}");
        }
    }
}
