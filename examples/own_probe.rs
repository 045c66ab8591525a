//! A probe of one's own: how much of its attention each head gives to the first token, within the training length and
//! beyond it.
//!
//! `cargo run --release --example own_probe`

use std::sync::Arc;

use lm_infinite::policy::PolicySpec;
use lm_infinite::probe::{HeadStatistics, Probe, ProbePlan, StatisticsPlan};
use lm_infinite::session::{Decoder, Session};
use lm_infinite::{checkpoint, hub, text};

/// Sums of the probability on the first token, `[layer][head]`, within the training length and beyond.
struct FirstToken {
    plan: ProbePlan,
    trained_length: u64,
    sums: Vec<Vec<[f64; 2]>>,
    queries: [u64; 2],
}

impl Probe for FirstToken {
    fn plan(&self) -> &ProbePlan {
        &self.plan
    }

    fn head_statistics(&mut self, layer: usize, statistics: &HeadStatistics) {
        for query in 0..statistics.queries {
            let beyond = usize::from(statistics.first_position + query as u64 >= self.trained_length);
            for (head, sums) in self.sums[layer].iter_mut().enumerate() {
                sums[beyond] += f64::from(statistics.start_mass[head * statistics.queries + query]);
            }
            self.queries[beyond] += u64::from(layer == 0);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let loaded = checkpoint::load("tiny-rope", &hub::Cache::open()?)?;
    let config = loaded.config.clone();
    let mut tokens = loaded.tokenizer.encode(text::EMBEDDED_TEXT)?;
    tokens.truncate(4 * config.trained_length as usize);

    // Statistics are taken inside the attention pass, in memory that does not grow with the text.
    let statistics = StatisticsPlan { start_tokens: 1, distance_edges: Vec::new(), tile: None };
    let mut probe = FirstToken {
        plan: ProbePlan { statistics: Some(statistics), ..ProbePlan::default() },
        trained_length: config.trained_length,
        sums: vec![vec![[0.0; 2]; config.heads]; config.layers],
        queries: [0; 2],
    };
    let policy = PolicySpec::parse("vanilla", config.trained_length)?.policy;
    let mut session = Session::new(Arc::new(Decoder::new(loaded.config, loaded.weights)?), policy)?;
    session.feed(&tokens, Some(&mut probe))?;

    println!("probability on the first token, within the training length → beyond");
    for (layer, heads) in probe.sums.iter().enumerate() {
        for (head, sums) in heads.iter().enumerate() {
            let mean = |part: usize| sums[part] / probe.queries[part] as f64;
            println!("L{layer} H{head}  {:.3} → {:.3}", mean(0), mean(1));
        }
    }
    Ok(())
}
