//! The values that are trained, by name.

use candle_core::{Device, Var};
use lm_infinite_runtime::random;
use rand_distr::{Distribution, Normal};

use super::layout::{Array, Layout, Start};
use crate::error::Result;

/// One array of trained values.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Role, e.g. `layers.0.qkv`.
    pub name: String,
    /// [outputs, inputs] of a matrix, `[width]` of a norm, a bias or sinks.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

impl Parameter {
    /// Is this a matrix? Only matrices decay.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() == 2
    }

    /// Values per row.
    pub fn columns(&self) -> usize {
        if self.is_matrix() { self.shape[1] } else { 1 }
    }
}

/// All parameters of `layout` before the first step, seeded.
pub fn initial(layout: &Layout, seed: u64) -> Vec<Parameter> {
    let mut random = random::expanded(seed);
    let one = |Array { name, shape, start }: &Array| {
        let count = shape.iter().product();
        let values = match *start {
            Start::Normal(deviation) => {
                let normal = Normal::new(0.0, deviation).expect("a deviation above 0");
                (0..count).map(|_| normal.sample(&mut random)).collect()
            }
            Start::Constant(value) => vec![value; count],
        };
        Parameter { name: name.clone(), shape: shape.clone(), values }
    };
    layout.arrays.iter().map(one).collect()
}

/// The parameters as leaves of a graph.
pub fn variables(parameters: &[Parameter]) -> Result<Vec<Var>> {
    parameters.iter().map(|p| Ok(Var::from_slice(&p.values, p.shape.as_slice(), &Device::Cpu)?)).collect()
}

/// Number of trained values.
pub fn count(parameters: &[Parameter]) -> usize {
    parameters.iter().map(|p| p.values.len()).sum()
}
