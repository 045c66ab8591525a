//! AdamW (Loshchilov & Hutter 2019) with a state that can be saved, which candle-nn's keeps to itself.

use rayon::prelude::*;

use super::options::TrainOptions;
use super::parameters::Parameter;

const EPSILON: f64 = 1e-8;

/// Moments of the gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// Updates so far.
    pub steps: u64,
    /// Running mean of the gradient, per parameter.
    pub first: Vec<Vec<f32>>,
    /// Running mean of its square.
    pub second: Vec<Vec<f32>>,
}

impl AdamW {
    /// No update yet.
    pub fn new(parameters: &[Parameter]) -> Self {
        let zeros: Vec<Vec<f32>> = parameters.iter().map(|p| vec![0.0; p.values.len()]).collect();
        Self { steps: 0, first: zeros.clone(), second: zeros }
    }

    /// Moves `parameters` against `gradients` at the learning rate `rate`.
    ///
    /// `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`, `θ ← θ − rate·(m̂ / (√v̂ + ε) + λθ)`, λ on matrices only.
    pub fn update(
        &mut self,
        options: &TrainOptions,
        rate: f64,
        parameters: &mut [Parameter],
        gradients: &[Vec<f32>],
    ) {
        self.steps += 1;
        let correction = |beta: f64| 1.0 - beta.powf(self.steps as f64);
        let (beta1, beta2) = (options.beta1 as f32, options.beta2 as f32);
        let first_scale = (1.0 / correction(options.beta1)) as f32;
        let second_scale = (1.0 / correction(options.beta2)) as f32;
        let (step, epsilon) = (rate as f32, EPSILON as f32);
        let moments = self.first.par_iter_mut().zip(self.second.par_iter_mut());
        parameters.par_iter_mut().zip(gradients).zip(moments).for_each(
            |((parameter, gradient), (first, second))| {
                let decay = if parameter.is_matrix() { (rate * options.weight_decay) as f32 } else { 0.0 };
                let values = parameter.values.iter_mut().zip(gradient);
                for ((value, g), (m, v)) in values.zip(first.iter_mut().zip(second.iter_mut())) {
                    *m = beta1 * *m + (1.0 - beta1) * g;
                    *v = beta2 * *v + (1.0 - beta2) * g * g;
                    let direction = *m * first_scale / ((*v * second_scale).sqrt() + epsilon);
                    *value -= step * direction + decay * *value;
                }
            },
        );
    }
}

/// Scales `gradients` down to the norm `limit` where they are longer; returns their norm before.
pub fn clip(gradients: &mut [Vec<f32>], limit: f64) -> f64 {
    let square = |values: &Vec<f32>| values.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>();
    let squares: Vec<f64> = gradients.par_iter().map(square).collect();
    let norm = squares.iter().sum::<f64>().sqrt();
    if norm > limit {
        let factor = (limit / norm) as f32;
        gradients
            .par_iter_mut()
            .for_each(|values| lm_infinite_runtime::kernels::elementwise::scale(values, factor));
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_updates_are_those_of_the_formula() {
        let options = TrainOptions { weight_decay: 0.5, beta1: 0.9, beta2: 0.99, ..TrainOptions::default() };
        let parameter = |shape: Vec<usize>| Parameter { name: "p".into(), shape, values: vec![1.0] };
        let mut parameters = vec![parameter(vec![1, 1]), parameter(vec![1])];
        let mut adam = AdamW::new(&parameters);
        // By hand: after the first step m̂ = g and √v̂ = |g|, so the direction is the sign of the gradient.
        adam.update(&options, 0.1, &mut parameters, &[vec![3.0], vec![-3.0]]);
        assert!((parameters[0].values[0] - (1.0 - 0.1 - 0.05)).abs() < 1e-6);
        assert!((parameters[1].values[0] - 1.1).abs() < 1e-6);
        adam.update(&options, 0.1, &mut parameters, &[vec![1.0], vec![1.0]]);
        let m = (0.9f64 * 0.3 + 0.1) / (1.0 - 0.81);
        let v: f64 = (0.99 * 0.09 + 0.01) / (1.0 - 0.9801);
        let expected = 0.85 - 0.1 * m / v.sqrt() - 0.1 * 0.5 * 0.85;
        assert!((f64::from(parameters[0].values[0]) - expected).abs() < 1e-6);
    }

    #[test]
    fn long_gradients_get_the_limit_and_short_ones_stay() {
        let mut gradients = vec![vec![3.0], vec![4.0]];
        assert_eq!(clip(&mut gradients, 10.0), 5.0);
        assert_eq!(gradients, [[3.0], [4.0]]);
        assert_eq!(clip(&mut gradients, 1.0), 5.0);
        assert!((gradients[0][0] - 0.6).abs() < 1e-6 && (gradients[1][0] - 0.8).abs() < 1e-6);
    }
}
