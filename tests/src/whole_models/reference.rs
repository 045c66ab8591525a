//! A decoder once more, slowly: one token after the other in f64, attention by the dense specification. It shares with the runtime
//! what [`ModelConfig`] and [`ModelWeights`] mean, and no arithmetic.

use lm_infinite::attention::dense::{RowForm, dense};
use lm_infinite::model::config::{Mlp, ModelConfig, Norm, PositionConfig, Residual, RopeLayout, Routing};
use lm_infinite::model::weights::{
    ExpertWeights, FeedForward, LayerWeights, Linear, Matrix, MlpWeights, ModelWeights, NormWeights,
    WeightType,
};
use lm_infinite::policy::{AttentionPolicy, PolicyMap, PositionScaling, Region, RetrievedKeys, region};
use lm_infinite::position::PositionEncoding;

/// Steps of the integral of the normal distribution.
const STEPS: usize = 200;

/// What [`read`] returns.
pub struct Reading {
    /// After every token, [tokens][vocabulary].
    pub logits: Vec<Vec<f64>>,
    /// Every choice between a key that was retrieved last and the next one that was not.
    pub choices: Vec<Choice>,
}

/// Who retrieves: layer, head, position of the query.
pub type Chooser = (usize, usize, usize);

/// The last of the keys that a query retrieved, and the first of those that it did not.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Layer, head and query.
    pub by: Chooser,
    /// Positions of the two keys.
    pub keys: [usize; 2],
    /// Their logits, before a soft cap.
    pub logits: [f64; 2],
    /// How many keys, with values that differ, have a logit within [`ROUNDING`] of the chosen one's, itself included.
    pub near: usize,
}

/// Which of two keys a query retrieves is a matter of rounding where their logits differ by less than this: 16 units in the last place of
/// an f32 of 10, which logits reach. Keys and queries are products of hidden states that are off by a few such units themselves.
pub const ROUNDING: f64 = 16.0 * 9.536_743_164_062_5e-7;

impl Choice {
    /// By how much the chosen key is ahead.
    pub fn gap(&self) -> f64 {
        self.logits[0] - self.logits[1]
    }

    /// Is it a matter of rounding, and does it matter?
    pub fn is_open(&self) -> bool {
        self.gap() < ROUNDING && self.near > 1
    }
}

/// Reads `tokens` under `policies`; the queries in `otherwise` take the second key of their [`Choice`] in place of the first.
pub fn read(
    config: &ModelConfig,
    weights: &ModelWeights,
    policies: &PolicyMap,
    tokens: &[u32],
    otherwise: &[Chooser],
) -> Reading {
    let mut choices = Vec::new();
    let mut states: Vec<Vec<f64>> = tokens
        .iter()
        .enumerate()
        .map(|(position, &token)| embedded(config, weights, position, token))
        .collect();
    for (index, layer) in weights.layers.iter().enumerate() {
        let normed: Vec<Vec<f64>> =
            states.iter().map(|state| normed(config, layer.attention_norm.as_ref(), state)).collect();
        let (attended, chosen) = attention(config, index, layer, policies, &normed, otherwise);
        choices.extend(chosen);
        for ((state, normed), attended) in states.iter_mut().zip(&normed).zip(&attended) {
            let attended =
                update(config, layer.attention_post_norm.as_ref(), linear(&layer.output, attended));
            let read = match (config.residual, &layer.mlp_norm) {
                (Residual::Sequential, norm) => {
                    add(state, &attended);
                    self::normed(config, norm.as_ref(), state)
                }
                (Residual::Parallel, Some(norm)) => self::normed(config, Some(norm), state),
                (Residual::Parallel, None) => normed.clone(),
            };
            if config.residual == Residual::Parallel {
                add(state, &attended);
            }
            let out = match &layer.feed_forward {
                FeedForward::Dense(weights) => mlp(config.mlp, weights, &read),
                FeedForward::Experts(weights) => experts(config, weights, &read),
            };
            add(state, &update(config, layer.mlp_post_norm.as_ref(), out));
        }
    }
    let logits = states.iter().map(|state| head(config, weights, state)).collect();
    Reading { logits, choices }
}

fn embedded(config: &ModelConfig, weights: &ModelWeights, position: usize, token: u32) -> Vec<f64> {
    let multiplier = f64::from(config.multipliers.embedding);
    let mut state: Vec<f64> =
        row(&weights.embedding, token as usize).iter().map(|x| x * multiplier).collect();
    if let Some(positions) = &weights.position_embedding {
        add(&mut state, &row(positions, position));
    }
    match &weights.embedding_norm {
        Some(norm) => normed(config, Some(norm), &state),
        None => state,
    }
}

fn head(config: &ModelConfig, weights: &ModelWeights, state: &[f64]) -> Vec<f64> {
    let multiplier = f64::from(config.multipliers.logits);
    let normed: Vec<f64> =
        normed(config, Some(&weights.final_norm), state).iter().map(|x| x * multiplier).collect();
    let mut logits = product(&weights.head, &normed);
    if let Some(bias) = &weights.head_bias {
        logits.iter_mut().zip(bias).for_each(|(logit, &bias)| *logit += f64::from(bias));
    }
    if let Some(cap) = config.soft_caps.logits.map(f64::from) {
        logits.iter_mut().for_each(|logit| *logit = cap * (*logit / cap).tanh());
    }
    logits
}

/// What attention gives every token, all heads side by side, before the output matrix; and [`Reading::choices`].
fn attention(
    config: &ModelConfig,
    index: usize,
    layer: &LayerWeights,
    policies: &PolicyMap,
    normed: &[Vec<f64>],
    otherwise: &[Chooser],
) -> (Vec<Vec<f64>>, Vec<Choice>) {
    let &ModelConfig { heads, kv_heads, head_dim, .. } = config;
    let kind = config.position_at(index);
    let own_positions = config.layer_positions.get(index).is_some_and(Option::is_some);
    let scaling = if own_positions { PositionScaling::None } else { policies.default_policy().scaling };
    let norms = layer.query_key_norm.as_ref();
    // [tokens][heads · head_dim]
    let project = |of: &Linear, norm: Option<&Vec<f32>>, multiplier: f32| -> Vec<Vec<f64>> {
        let one = |x: &Vec<f64>| {
            let mut out = linear(of, x);
            if let Some(most) = config.clip_qkv.map(f64::from) {
                out.iter_mut().for_each(|value| *value = value.clamp(-most, most));
            }
            if let Some(weight) = norm {
                out = head_norm(config, weight, &out);
            }
            out.iter_mut().for_each(|value| *value *= f64::from(multiplier));
            if let PositionConfig::Rope { dim, layout: RopeLayout::Interleaved, .. } = kind {
                out = out.chunks(head_dim).flat_map(|head| half_split(head, *dim)).collect();
            }
            out
        };
        normed.iter().map(one).collect()
    };
    let queries = project(&layer.query, norms.map(|norms| &norms[0]), config.multipliers.queries);
    let keys = project(&layer.key, norms.map(|norms| &norms[1]), 1.0);
    let values: Vec<Vec<f64>> = normed
        .iter()
        .map(|x| {
            let mut out = linear(&layer.value, x);
            if let Some(most) = config.clip_qkv.map(f64::from) {
                out.iter_mut().for_each(|value| *value = value.clamp(-most, most));
            }
            out
        })
        .collect();
    let of_head = |all: &[Vec<f64>], head: usize| -> Vec<f64> {
        all.iter().flat_map(|token| token[head * head_dim..][..head_dim].iter().copied()).collect()
    };
    let (mut attended, mut choices) = (vec![vec![0.0; heads * head_dim]; normed.len()], Vec::new());
    for head in 0..heads {
        let kv_head = head / (heads / kv_heads);
        let policy = policies.at(index, head).within(config.own_window(index));
        let form = RowForm {
            soft_cap: config.soft_caps.attention.map(f64::from),
            sink: layer.sinks.as_ref().map(|sinks| f64::from(sinks[head])),
        };
        let (keys, values) = (of_head(&keys, kv_head), of_head(&values, kv_head));
        for (position, attended) in attended.iter_mut().enumerate() {
            let seen = position + 1;
            let positions: Vec<u64> = (0..seen as u64).collect();
            let (encoding, _) = PositionEncoding::at(kind, heads, scaling, position as u64)
                .expect("a scaling that is defined");
            let query = &queries[position][head * head_dim..][..head_dim];
            let inputs = (query, &keys[..seen * head_dim], &values[..seen * head_dim]);
            let choice = policy.retrieved.and_then(|retrieved| {
                choice(inputs, &positions, (index, head, position), &policy, retrieved, &encoding)
            });
            // Without the chosen key, the next one is the last of the largest.
            let row = match choice.filter(|choice| otherwise.contains(&choice.by)) {
                Some(choice) => {
                    let all_but = |all: &[f64]| {
                        let at = choice.keys[0] * head_dim;
                        [&all[..at], &all[at + head_dim..]].concat()
                    };
                    let (keys, values) = (all_but(inputs.1), all_but(inputs.2));
                    let mut positions = positions.clone();
                    positions.remove(choice.keys[0]);
                    dense((query, &keys, &values), &positions, head, &policy, &encoding, form)
                }
                None => dense(inputs, &positions, head, &policy, &encoding, form),
            };
            attended[head * head_dim..][..head_dim].copy_from_slice(&row.output);
            choices.extend(choice);
        }
    }
    (attended, choices)
}

/// What `by` retrieves last, and what it would retrieve next; `None` where there are no more keys than it may retrieve.
fn choice(
    inputs: (&[f64], &[f64], &[f64]),
    positions: &[u64],
    by: Chooser,
    policy: &AttentionPolicy,
    retrieved: RetrievedKeys,
    encoding: &PositionEncoding,
) -> Option<Choice> {
    let (_, head, query) = by;
    let everything =
        AttentionPolicy { retrieved: Some(RetrievedKeys { k: u64::MAX, ..retrieved }), ..policy.clone() };
    // Of the logits before a soft cap.
    let all = dense(inputs, positions, head, &everything, encoding, RowForm::default()).logits;
    let between =
        |&key: &usize| matches!(region(query as u64, key as u64, &everything), Region::Retrieved { .. });
    let mut keys: Vec<usize> = (0..positions.len()).filter(between).collect();
    keys.sort_by(|&a, &b| all[b].total_cmp(&all[a]));
    let &[kept, left] = keys.get(retrieved.k as usize - 1..=retrieved.k as usize)? else { return None };
    // Keys of one token in the first layer are equal, and so are their values: whichever is taken makes no difference.
    let head_dim = inputs.1.len() / positions.len();
    let value = |key: usize| &inputs.2[key * head_dim..][..head_dim];
    let mut near: Vec<&[f64]> = Vec::new();
    for &key in keys.iter().filter(|&&key| (all[key] - all[kept]).abs() < ROUNDING) {
        if !near.contains(&value(key)) {
            near.push(value(key));
        }
    }
    Some(Choice { by, keys: [kept, left], logits: [all[kept], all[left]], near: near.len() })
}

/// Pairs `(2j, 2j + 1)` of the first `dim` values as `(j, j + dim/2)`.
fn half_split(head: &[f64], dim: usize) -> Vec<f64> {
    let even = (0..dim / 2).map(|j| head[2 * j]);
    let odd = (0..dim / 2).map(|j| head[2 * j + 1]);
    even.chain(odd).chain(head[dim..].iter().copied()).collect()
}

/// What is added to the residual stream.
fn update(config: &ModelConfig, post_norm: Option<&NormWeights>, x: Vec<f64>) -> Vec<f64> {
    let x = normed(config, post_norm, &x);
    x.iter().map(|x| x * f64::from(config.multipliers.residual)).collect()
}

/// `x` itself without weights.
fn normed(config: &ModelConfig, weights: Option<&NormWeights>, x: &[f64]) -> Vec<f64> {
    let Some(NormWeights { weight, bias }) = weights else { return x.to_vec() };
    let mut out = normalized(config.norm, x);
    out.iter_mut().zip(weight).for_each(|(x, &weight)| *x *= f64::from(weight));
    if let Some(bias) = bias {
        out.iter_mut().zip(bias).for_each(|(x, &bias)| *x += f64::from(bias));
    }
    out
}

fn normalized(norm: Norm, x: &[f64]) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = match norm {
        Norm::Rms { .. } => 0.0,
        Norm::Layer { .. } => x.iter().sum::<f64>() / n,
    };
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let root = (variance + f64::from(norm.epsilon())).sqrt();
    x.iter().map(|x| (x - mean) / root).collect()
}

/// Queries or keys of a token: RMS over as many values as there are weights, LayerNorm over each head.
fn head_norm(config: &ModelConfig, weight: &[f32], x: &[f64]) -> Vec<f64> {
    let width = match config.norm {
        Norm::Rms { .. } => weight.len(),
        Norm::Layer { .. } => config.head_dim,
    };
    let normalized = x.chunks(width).flat_map(|part| normalized(config.norm, part));
    normalized.zip(weight.iter().cycle()).map(|(x, &weight)| x * f64::from(weight)).collect()
}

fn mlp(kind: Mlp, MlpWeights { gate, up, down }: &MlpWeights, x: &[f64]) -> Vec<f64> {
    let up = linear(up, x);
    let inner: Vec<f64> = match gate {
        Some(gate) => linear(gate, x).iter().zip(&up).map(|(&gate, &up)| gated(kind, gate, up)).collect(),
        None => up.iter().map(|&up| activated(kind, up)).collect(),
    };
    linear(down, &inner)
}

fn gated(kind: Mlp, gate: f64, up: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match kind {
        Mlp::SwiGlu => gate * sigmoid(gate) * up,
        Mlp::SwiGluBounded => {
            let (gate, up) = (gate.min(7.0), up.clamp(-7.0, 7.0));
            (up + 1.0) * gate * sigmoid(1.702 * gate)
        }
        Mlp::GeGluTanh => gelu_tanh(gate) * up,
        Mlp::Gelu | Mlp::GeluTanh => panic!("{kind:?} has no gate"),
    }
}

fn activated(kind: Mlp, x: f64) -> f64 {
    match kind {
        Mlp::Gelu => x * (0.5 + x.signum() * half_normal(x.abs().min(12.0))),
        Mlp::GeluTanh => gelu_tanh(x),
        Mlp::SwiGlu | Mlp::SwiGluBounded | Mlp::GeGluTanh => panic!("{kind:?} has a gate"),
    }
}

fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
}

/// The integral of the normal density from 0 to `x`, by Simpson's rule.
fn half_normal(x: f64) -> f64 {
    let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let step = x / STEPS as f64;
    let weight = |at: usize| if at == 0 || at == STEPS { 1.0 } else { (2 + 2 * (at % 2)) as f64 };
    (0..=STEPS).map(|at| weight(at) * density(at as f64 * step)).sum::<f64>() * step / 3.0
}

fn experts(config: &ModelConfig, ExpertWeights { router, experts }: &ExpertWeights, x: &[f64]) -> Vec<f64> {
    let of = config.experts.expect("a configuration with experts");
    let logits = linear(router, x);
    let mut order: Vec<usize> = (0..of.count).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let chosen = &order[..of.per_token];
    let total: f64 = match of.routing {
        Routing::OfChosen => chosen.iter().map(|&expert| logits[expert].exp()).sum(),
        Routing::OfAll => logits.iter().map(|logit| logit.exp()).sum(),
    };
    let mut out = vec![0.0; config.hidden];
    for &expert in chosen {
        let weight = logits[expert].exp() / total;
        let one: Vec<f64> = mlp(config.mlp, &experts[expert], x).iter().map(|x| x * weight).collect();
        add(&mut out, &one);
    }
    out
}

fn add(to: &mut [f64], what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += what);
}

fn linear(Linear { weight, bias }: &Linear, x: &[f64]) -> Vec<f64> {
    let mut out = product(weight, x);
    if let Some(bias) = bias {
        out.iter_mut().zip(bias).for_each(|(out, &bias)| *out += f64::from(bias));
    }
    out
}

fn product(matrix: &Matrix, x: &[f64]) -> Vec<f64> {
    let dot = |row: Vec<f64>| row.iter().zip(x).map(|(a, b)| a * b).sum();
    (0..matrix.rows()).map(|at| dot(row(matrix, at))).collect()
}

fn row(matrix: &Matrix, at: usize) -> Vec<f64> {
    assert_eq!(matrix.weight_type(), WeightType::F32, "fixtures are of f32");
    let bytes = &matrix.bytes()[at * matrix.row_bytes()..][..matrix.row_bytes()];
    bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
}
