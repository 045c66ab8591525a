//! Analyses attention logits that were captured in another framework: no model is needed here.
//!
//! `cargo run --release --example captured_arrays -- logits.npy 1024`, with an f32 array of shape
//! [layers, heads, tokens, tokens] (query by key, scaled, before the softmax, −inf where masked) and the training length.
//! `numpy.save("logits.npy", logits)` writes one. Without arguments it makes an array of its own.

use lm_infinite::analysis::Bins;
use lm_infinite::analysis::entropy::EntropyRows;
use lm_infinite::analysis::explosion::{LogitsByDistance, RangeRule};
use ndarray::{Array4, s};

/// Two heads with a training length of 64: the logits of one grow from there on, those of the other do not.
fn made_up() -> Array4<f32> {
    Array4::from_shape_fn((1, 2, 256, 256), |(_, head, query, key)| match query.checked_sub(key) {
        None => f32::NEG_INFINITY,
        Some(distance) if head == 0 && distance > 64 => 2.0 + 0.05 * (distance - 64) as f32,
        Some(distance) => 2.0 - 0.02 * distance.min(64) as f32,
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (logits, trained_length) = match (arguments.next(), arguments.next()) {
        (Some(path), Some(length)) => (ndarray_npy::read_npy::<_, Array4<f32>>(path)?, length.parse()?),
        (None, None) => (made_up(), 64),
        _ => return Err("expected a .npy file and the training length".into()),
    };
    let (layers, heads, queries, keys) = logits.dim();
    if queries != keys || queries == 0 {
        return Err(format!("expected [layers, heads, tokens, tokens], got {:?}", logits.shape()).into());
    }
    let tokens = queries as u64;
    let bins = Bins::linear(tokens, (tokens / 16).max(1));
    let mut by_distance = LogitsByDistance::new(layers, heads, bins.clone());
    let mut entropy = EntropyRows::new(layers, heads, bins);
    for layer in 0..layers {
        for head in 0..heads {
            for query in 0..queries {
                // What a causal mask leaves.
                let row = logits.slice(s![layer, head, query, ..=query]).to_vec();
                by_distance.push(layer, head, query as u64, 0, &row)?;
                entropy.push(layer, head, query as u64, &row)?;
            }
        }
    }
    println!("{tokens} tokens, training length {trained_length}");
    for (index, range) in by_distance.ranges(trained_length, &RangeRule::default()).iter().enumerate() {
        let said = match &range.first_break {
            Some(broken) => format!("leave their range at distance {}", broken.at),
            None => "stay in their range".to_owned(),
        };
        println!("L{} H{}: logits {said}", index / heads, index % heads);
    }
    let curves = entropy.over_heads(tokens);
    println!("context  entropy (nats, mean over heads)  ln n");
    for ((position, mean, _), (_, most, _)) in curves.entropy.points().zip(curves.maximum.points()) {
        println!("{position:>7}  {mean:>31.2}  {most:.2}");
    }
    Ok(())
}
