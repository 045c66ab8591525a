//! Pseudo-dimension of the logits of an encoding (paper appendix F).
//!
//! The functions are `H = {w(·, ·, d) : d}`, one for each distance, of the variable (q, k). `H` shatters points
//! `x_1 … x_r` if there are thresholds `t_1 … t_r` such that every pattern of signs of `h(x_i) − t_i` is that of some
//! `h ∈ H`; the pseudo-dimension is the largest such `r`.
//!
//! **Finitely many distances.** `r` points need `2^r` functions: `r ≤ log2 |H|`. A window of `W`, or a ceiling, leaves at
//! most `W + 1`. The paper says `d_max + 1`.
//!
//! **NoPE.** One function: it has one pattern on any point, and `r = 0`. The paper says 1.
//!
//! **ALiBi, T5 bias.** `h_d = g + c_d`, with `g = q·k/√D` and numbers `c_d`. Of two such functions one is above the other
//! everywhere, so on two points they cannot have patterns (+, −) and (−, +): `r ≤ 1`, as the paper says.
//!
//! **RoPE.** In the plane of pair `j`, `(R_d q)·k = a_j(q, k) cos dθ_j + b_j(q, k) sin dθ_j`, where `a_j` is the inner
//! product of the planar parts and `b_j` their cross product. So every `h_d` is a combination of `D` fixed functions, and
//! `H` lies in a vector space of dimension `D`, whose pseudo-dimension is `D` (Anthony and Bartlett 1999, theorem 11.4):
//! `r ≤ D`, with `D` the number of rotated coordinates. A part that is not rotated adds one fixed function to all of `H`,
//! which moves thresholds and nothing else. The paper says `2D`.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::encodings::Encoding;

/// Upper bounds on the pseudo-dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PseudoDimension {
    /// From the form of the encoding, for any number of distances.
    pub structure: usize,
    /// `⌊log2 |H|⌋` for the given number of distances.
    pub counting: usize,
    /// As the paper states it.
    pub paper: usize,
}

impl PseudoDimension {
    /// Bounds for `distances` different distances and vectors of `head_dim` coordinates, all rotated in RoPE.
    pub fn of(encoding: &Encoding, head_dim: usize, distances: usize) -> Self {
        let (structure, paper) = match encoding {
            Encoding::None => (0, 1),
            Encoding::Alibi { .. } | Encoding::T5 { .. } => (1, 1),
            Encoding::Rope { .. } => (head_dim, 2 * head_dim),
        };
        Self { structure, counting: distances.max(1).ilog2() as usize, paper }
    }

    /// The smaller of our two.
    pub fn bound(&self) -> usize {
        self.structure.min(self.counting)
    }
}

/// Size of the largest set of points that the functions shatter, searched up to `most`.
///
/// `values` is [points, functions]. A lower bound on the pseudo-dimension over all points; exact for these ones, up to
/// `most`. Cost: `(points · functions)^r · functions` in the worst case, so keep `most` to 3. NaN exceeds no threshold.
pub fn shattered(values: ArrayView2<f64>, most: usize) -> usize {
    let functions: Vec<usize> = (0..values.ncols()).collect();
    (1..=most).take_while(|&size| shatters(values, 0, size, std::slice::from_ref(&functions))).count()
}

/// Whether `size` more points, from `first` on, can be added to those that cut the functions into `cells`, one cell for
/// each pattern so far. Every threshold that matters lies at a value of a function.
fn shatters(values: ArrayView2<f64>, first: usize, size: usize, cells: &[Vec<usize>]) -> bool {
    if size == 0 {
        return true;
    }
    if cells.iter().any(|cell| cell.len() < 1 << size) {
        return false;
    }
    (first..values.nrows()).any(|point| {
        let row = values.row(point);
        row.iter().any(|&threshold| {
            let split = |cell: &Vec<usize>| {
                let (above, below): (Vec<_>, Vec<_>) = cell.iter().partition(|&&f| row[f] > threshold);
                [above, below]
            };
            let cells: Vec<Vec<usize>> = cells.iter().flat_map(split).collect();
            cells.iter().all(|cell| !cell.is_empty()) && shatters(values, point + 1, size - 1, &cells)
        })
    })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::testing::normal;
    use crate::theory::LogitSamples;

    fn found(encoding: &Encoding, head_dim: usize, distances: u64, most: usize) -> usize {
        let vectors = normal(2 * 6, head_dim, 17).mapv(|v| 3.0 * f64::from(v));
        let (queries, keys) = vectors.view().split_at(ndarray::Axis(0), 6);
        let samples = LogitSamples::of(encoding, queries, keys, (0..distances).collect()).expect("fits");
        shattered(samples.values(), most)
    }

    #[test]
    fn sets_of_functions_with_a_known_pseudo_dimension() {
        // All four patterns on two points, all eight on three, and a chain.
        let two = Array2::from_shape_fn((2, 4), |(point, f)| f64::from(f as u32 >> point & 1));
        let three = Array2::from_shape_fn((3, 8), |(point, f)| f64::from(f as u32 >> point & 1));
        let chain = Array2::from_shape_fn((3, 8), |(_, f)| f as f64);
        assert_eq!(
            (shattered(two.view(), 3), shattered(three.view(), 3), shattered(chain.view(), 3)),
            (2, 3, 1)
        );
        // Without the pattern (+, +).
        assert_eq!(shattered(array![[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].view(), 3), 1);
        assert_eq!(shattered(Array2::from_elem((3, 9), 4.0).view(), 3), 0);
        assert_eq!(
            (shattered(Array2::zeros((0, 4)).view(), 3), shattered(Array2::zeros((4, 0)).view(), 3)),
            (0, 0)
        );
        // The last three of four points are the ones that are shattered.
        let mut hidden = Array2::zeros((4, 8));
        hidden.slice_mut(ndarray::s![1.., ..]).assign(&three);
        assert_eq!(shattered(hidden.view(), 3), 3);
    }

    #[test]
    fn pseudo_dimension_of_nope_is_0_and_of_alibi_and_t5_1() {
        assert_eq!(found(&Encoding::None, 4, 32, 2), 0);
        assert_eq!(found(&Encoding::Alibi { slope: 0.1 }, 4, 32, 2), 1);
        let t5 = Encoding::T5 { biases: (0..16).map(|b| f64::from(b * 7 % 5)).collect(), max_distance: 32 };
        assert_eq!(found(&t5, 4, 32, 2), 1);
    }

    #[test]
    fn pseudo_dimension_of_rope_in_one_plane_is_2() {
        // The bound `head_dim` is reached, and a third point is never shattered.
        assert_eq!(found(&Encoding::Rope { base: 1e4 }, 2, 24, 3), 2);
    }

    #[test]
    fn pseudo_dimension_of_rope_in_two_planes_exceeds_2() {
        // θ = 1 and 0.5: more than one plane could do.
        assert_eq!(found(&Encoding::Rope { base: 4.0 }, 4, 32, 3), 3);
    }

    #[test]
    fn few_distances_shatter_few_points() {
        let bound = |distances| PseudoDimension::of(&Encoding::Rope { base: 1e4 }, 64, distances).bound();
        assert_eq!([0, 1, 2, 7, 8, 4096].map(bound), [0, 0, 1, 2, 3, 12]);
        assert_eq!(bound(usize::MAX), 63);
        assert_eq!(found(&Encoding::Rope { base: 1e4 }, 2, 3, 3), 1);
        let alibi = PseudoDimension::of(&Encoding::Alibi { slope: 1.0 }, 64, 4096);
        assert_eq!((alibi.bound(), alibi.paper, alibi.counting), (1, 1, 12));
        assert_eq!(PseudoDimension::of(&Encoding::None, 64, 4096).bound(), 0);
    }
}
