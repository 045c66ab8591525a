//! What stands behind attention in a block: an MLP, or experts of which each token goes through some.

use crate::kernels::elementwise::{gelu, gelu_tanh, gelu_tanh_multiply, silu_multiply, swiglu_bounded};
use crate::kernels::linear;
use crate::model::config::{Mlp, ModelConfig, Routing};
use crate::model::weights::{ExpertWeights, MlpWeights};

/// `x` ([tokens, hidden]) through one MLP into `out` ([tokens, hidden]); `gate` and `up` are room for [tokens, intermediate] each.
pub(super) fn mlp(kind: Mlp, weights: &MlpWeights, x: &[f32], [gate, up, out]: [&mut [f32]; 3]) {
    let MlpWeights { gate: gates, up: ups, down } = weights;
    match (gates, kind) {
        (Some(gates), Mlp::GeGluTanh | Mlp::GeluTanh) => {
            linear::gated(gates, ups, gelu_tanh_multiply, x, gate, up)
        }
        (Some(gates), Mlp::SwiGluBounded) => linear::gated(gates, ups, swiglu_bounded, x, gate, up),
        (Some(gates), Mlp::SwiGlu | Mlp::Gelu) => linear::gated(gates, ups, silu_multiply, x, gate, up),
        (None, Mlp::GeluTanh | Mlp::GeGluTanh) => linear::activated(ups, gelu_tanh, x, gate),
        (None, Mlp::Gelu | Mlp::SwiGlu | Mlp::SwiGluBounded) => linear::activated(ups, gelu, x, gate),
    }
    linear::forward(&[down], gate, &mut [out]);
}

/// `x` ([tokens, hidden]) through the experts of each token into `out` ([tokens, hidden]): `Σ weight · expert(x)`, summed in the order of
/// the experts, so that how tokens are cut does not change it but for the rounding of products.
pub(super) fn experts(config: &ModelConfig, weights: &ExpertWeights, x: &[f32], out: &mut [f32]) {
    let ExpertWeights { router, experts } = weights;
    // Weights with experts were checked against a configuration that has them.
    let Some(of) = config.experts else { return };
    let hidden = config.hidden;
    let tokens = x.len() / hidden;
    let mut logits = vec![0.0; tokens * of.count];
    linear::forward(&[router], x, &mut [&mut logits]);
    let mut seats: Vec<Vec<(usize, f32)>> = vec![Vec::new(); of.count];
    for (token, logits) in logits.chunks_exact(of.count).enumerate() {
        for (expert, weight) in chosen(logits, of.per_token, of.routing) {
            seats[expert].push((token, weight));
        }
    }
    out.fill(0.0);
    let (mut gathered, mut gate, mut up, mut update) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (expert, seats) in experts.iter().zip(&seats).filter(|(_, seats)| !seats.is_empty()) {
        gathered.clear();
        seats.iter().for_each(|&(token, _)| gathered.extend_from_slice(&x[token * hidden..][..hidden]));
        for (buffer, width) in
            [(&mut gate, of.intermediate), (&mut up, of.intermediate), (&mut update, hidden)]
        {
            buffer.resize(seats.len() * width, 0.0);
        }
        mlp(config.mlp, expert, &gathered, [&mut gate, &mut up, &mut update]);
        for (&(token, weight), update) in seats.iter().zip(update.chunks_exact(hidden)) {
            let out = &mut out[token * hidden..][..hidden];
            out.iter_mut().zip(update).for_each(|(out, update)| *out = weight.mul_add(*update, *out));
        }
    }
}

/// The `count` experts with the largest of `logits`, of equal ones the earlier, in order, and what their outputs are multiplied by. Of
/// a token with a logit that is not a number all weights are NaN.
fn chosen(logits: &[f32], count: usize, routing: Routing) -> Vec<(usize, f32)> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    // A stable sort: equal ones stay in order.
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order.truncate(count);
    order.sort_unstable();
    let weight = |logit: f32, max: f32| f64::from(logit - max).exp();
    let max = logits
        .iter()
        .fold(f32::NEG_INFINITY, |max, &logit| if logit.is_nan() { logit } else { max.max(logit) });
    let total: f64 = match routing {
        Routing::OfChosen => order.iter().map(|&expert| weight(logits[expert], max)).sum(),
        Routing::OfAll => logits.iter().map(|&logit| weight(logit, max)).sum(),
    };
    order.into_iter().map(|expert| (expert, (weight(logits[expert], max) / total) as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_chosen_and_the_earlier_of_equal_ones() {
        let experts = |logits: &[f32], count| {
            chosen(logits, count, Routing::OfChosen).into_iter().map(|(expert, _)| expert).collect::<Vec<_>>()
        };
        assert_eq!(experts(&[0.0, 3.0, -1.0, 2.0], 2), [1, 3]);
        assert_eq!(experts(&[1.0; 4], 2), [0, 1]);
        assert_eq!(experts(&[f32::NEG_INFINITY, 0.0], 1), [1]);
        assert_eq!(experts(&[0.0, 1.0], 2), [0, 1]);
    }

    #[test]
    fn weights_are_of_the_chosen_or_of_all() {
        let logits = [0.0, 2f32.ln(), 5f32.ln()];
        let weights =
            |routing| chosen(&logits, 2, routing).into_iter().map(|(_, weight)| weight).collect::<Vec<_>>();
        let close = |got: Vec<f32>, want: [f32; 2]| got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close(weights(Routing::OfChosen), [2.0 / 7.0, 5.0 / 7.0]));
        assert!(close(weights(Routing::OfAll), [2.0 / 8.0, 5.0 / 8.0]));
        for broken in [f32::NAN, f32::INFINITY] {
            let weights = chosen(&[0.0, broken, 1.0], 2, Routing::OfChosen);
            assert!(weights.iter().any(|(_, weight)| weight.is_nan()), "{weights:?}");
        }
    }
}
