//! Attention in a block: from the normed stream to what the heads have attended, before the output projection.

use rayon::prelude::*;

use super::decoder::{Decoder, Pass, multiply};
use crate::attention::{Inputs, Shape, attend_heads, attention_row, counterfactual};
use crate::cache::KvCache;
use crate::error::{Error, Result};
use crate::kernels::elementwise::{clamp, layer_norm, rms_norm, to_half_split};
use crate::kernels::linear;
use crate::model::config::{Norm, PositionConfig, RopeLayout};
use crate::model::kv_type::KvType;
use crate::model::weights::LayerWeights;
use crate::policy::PositionScaling;
use crate::position::PositionEncoding;
use crate::probe::{
    AttentionRow, CounterfactualLogits, CounterfactualPlan, HeadStatistics, Probe, ProbePlan,
};

impl Decoder {
    /// Queries or keys of some tokens, normalized as [`ModelConfig::query_key_norm`] says.
    fn normalize_heads(&self, x: &[f32], weight: &[f32], out: &mut [f32]) {
        let epsilon = match self.config().norm {
            Norm::Rms { epsilon } => return rms_norm(x, weight, epsilon, out),
            Norm::Layer { epsilon } => epsilon,
        };
        let head_dim = self.config().head_dim;
        let of_heads = x.chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim));
        for ((x, out), weight) in of_heads.zip(weight.chunks_exact(head_dim).cycle()) {
            layer_norm(x, weight, None, epsilon, out);
        }
    }

    /// Rounds the keys or values of block `index` to what is held.
    fn held(&self, name: &str, index: usize, numbers: &mut [f32]) -> Result<()> {
        let kv = self.config().kv;
        if let Some(beyond) = kv.beyond(numbers) {
            let other = if kv == KvType::F16 { "bf16 or f32" } else { "f32" };
            return Err(Error::unsupported(
                format!("{beyond} in a {name} of block {index}, held as {kv},"),
                format!("it is beyond the largest number of {kv}; hold keys and values as {other} (`--kv`)"),
            ));
        }
        kv.round(numbers);
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call site; a struct would name the same seven things again"
    )]
    pub(super) fn attention(
        &self,
        index: usize,
        layer: &LayerWeights,
        normed: &[f32],
        cache: &mut KvCache,
        pass: &Pass<'_>,
        plan: &ProbePlan,
        probe: &mut Option<&mut dyn Probe>,
    ) -> Result<Vec<f32>> {
        let tokens = normed.len() / self.config().hidden;
        let Shape { heads, kv_heads, head_dim } = self.shape();
        let mut queries = vec![0.0; tokens * heads * head_dim];
        let mut keys = vec![0.0; tokens * kv_heads * head_dim];
        let mut values = vec![0.0; keys.len()];
        linear::forward(
            &[&layer.query, &layer.key, &layer.value],
            normed,
            &mut [&mut queries, &mut keys, &mut values],
        );
        if let Some(most) = self.config().clip_qkv {
            [&mut queries, &mut keys, &mut values].into_iter().for_each(|all| clamp(all, most));
        }
        if let Some(weights) = &layer.query_key_norm {
            for (heads, weight) in [&mut queries, &mut keys].into_iter().zip(weights) {
                let projected = heads.clone();
                self.normalize_heads(&projected, weight, heads);
            }
        }
        multiply(&mut queries, self.config().multipliers.queries);
        if let PositionConfig::Rope { dim, layout: RopeLayout::Interleaved, .. } =
            *self.config().position_at(index)
        {
            let mut spare = vec![0.0; dim];
            for head in queries.chunks_exact_mut(head_dim).chain(keys.chunks_exact_mut(head_dim)) {
                to_half_split(head, dim, &mut spare);
            }
        }
        // As they are held, so that it does not matter which tokens are read together.
        for (name, held) in [("key", &mut keys), ("value", &mut values)] {
            self.held(name, index, held)?;
        }
        let (policies, (encoding, table)) = (&pass.policies[index], pass.encodings[index]);
        let of = |which: usize| Inputs {
            shape: self.shape(),
            queries: &queries,
            keys: &keys,
            values: &values,
            first_position: cache.next_position(),
            cache: &*cache,
            policy: &policies.distinct()[which],
            encoding,
            table,
            soft_cap: self.config().soft_caps.attention,
            sinks: layer.sinks.as_deref(),
        };
        let mut attended = vec![0.0; queries.len()];
        let mut statistics = HeadStatistics::default();
        for which in 0..policies.distinct().len() {
            let watched = plan.statistics.as_ref().map(|plan| (plan, &mut statistics));
            attend_heads(&of(which), &|head| policies.index(head) == which, &mut attended, watched);
        }
        if let Some(probe) = probe.as_deref_mut() {
            if plan.statistics.is_some() {
                probe.head_statistics(index, &statistics);
            }
            let first_position = cache.next_position();
            let asked = |t: &usize| plan.rows.contains(first_position + *t as u64);
            let wanted = |&head: &usize| plan.row_head.is_none_or(|only| only == (index, head));
            let heads: Vec<usize> = (0..heads).filter(wanted).collect();
            for t in (0..tokens).filter(asked) {
                let row = |&head: &usize| attention_row(&of(policies.index(head)), head, t);
                let rows: Vec<_> = heads.par_iter().map(row).collect();
                let position = first_position + t as u64;
                for (&head, runs) in heads.iter().zip(&rows) {
                    let sink = layer.sinks.as_ref().map(|sinks| sinks[head]);
                    probe.attention_row(&AttentionRow { layer: index, head, position, runs, sink });
                }
            }
        }
        if let (Some(wanted), Some(probe)) = (&plan.counterfactual, probe.as_deref_mut()) {
            let inputs = |head: usize| of(policies.index(head));
            let place = (index, cache.next_position(), tokens);
            self.report_counterfactual(place, encoding, &inputs, wanted, probe)?;
        }
        cache.append(&keys, &values)?;
        Ok(attended)
    }

    /// Reports the logits of queries of a chunk of `tokens` tokens from `first_position` at other distances, in order of position
    /// and head. `inputs` is what a head is given.
    fn report_counterfactual<'a>(
        &self,
        (layer, first_position, tokens): (usize, u64, usize),
        encoding: &PositionEncoding,
        inputs: &(dyn Fn(usize) -> Inputs<'a> + Sync),
        plan: &CounterfactualPlan,
        probe: &mut dyn Probe,
    ) -> Result<()> {
        let asked = (0..tokens).filter(|&t| plan.queries.contains(first_position + t as u64));
        let heads = self.config().heads;
        let places: Vec<(usize, usize)> = asked.flat_map(|t| (0..heads).map(move |head| (head, t))).collect();
        if places.is_empty() {
            return Ok(());
        }
        let kind = self.config().position_at(layer);
        let (trained, _) = PositionEncoding::at(kind, heads, PositionScaling::None, 0)?;
        let trained = trained.at_magnitude_of(encoding);
        let of = |&(head, t): &(usize, usize)| counterfactual(&inputs(head), &trained, (head, t), plan);
        let all: Vec<_> = places.par_iter().map(of).collect();
        for ((head, t), seen) in places.into_iter().zip(all) {
            let Some(seen) = seen else { continue };
            probe.counterfactual_logits(&CounterfactualLogits {
                layer,
                head,
                position: first_position + t as u64,
                keys: &seen.keys,
                actual: &seen.actual,
                distances: &seen.distances,
                logits: &seen.logits,
            });
        }
        Ok(())
    }
}
