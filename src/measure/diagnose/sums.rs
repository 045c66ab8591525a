//! What a run has counted, apart from what was asked for: a part of a text leaves it on disk, and parts are added.

use lm_infinite_analysis::distance::MassByDistance;
use lm_infinite_analysis::entropy::{EntropyAccumulator, EntropyExcess, EntropyRows};
use lm_infinite_analysis::explosion::{LogitQuantiles, LogitsByDistance, LogitsByLength, UnseenDistances};
use lm_infinite_analysis::{AttentionMaps, HeadMeans};
use lm_infinite_runtime::model::ModelConfig;
use serde::{Deserialize, Serialize};

use super::collector::{HiddenStates, Measurements};
use crate::error::{Error, Result};

/// The accumulators of [`Measurements`] (pooled maps left out, which are for the window alone).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Where reading ended.
    read: u64,
    entropy: EntropyAccumulator,
    logits: LogitsByDistance,
    logits_start: LogitsByDistance,
    logits_last: LogitsByDistance,
    logits_by_length: LogitsByLength,
    unseen_distances: UnseenDistances,
    logit_quantiles: LogitQuantiles,
    entropy_rows: EntropyRows,
    entropy_excess: EntropyExcess,
    maps: AttentionMaps,
    mass_inside: MassByDistance,
    mass_beyond: MassByDistance,
    hidden: Vec<HiddenStates>,
    /// Of older files it is absent; their models had no learned sinks.
    #[serde(default)]
    sink_mass: Option<HeadMeans>,
}

impl Sums {
    /// Refuses sums of another number of layers or heads: before anything is made of the size that `config` says.
    ///
    /// # Errors
    /// As said.
    pub(super) fn check_heads(&self, config: &ModelConfig) -> Result<()> {
        let (layers, heads, _) = self.logits.maxima().dim();
        if (layers, heads) == (config.layers, config.heads) {
            return Ok(());
        }
        let got = format!("{layers} layers × {heads} heads, expected {} × {}", config.layers, config.heads);
        Err(Error::input("sums of a shard", got))
    }
}

impl Measurements {
    /// What was counted.
    pub fn into_sums(self) -> Sums {
        Sums {
            read: self.read,
            entropy: self.entropy,
            logits: self.logits,
            logits_start: self.logits_start,
            logits_last: self.logits_last,
            logits_by_length: self.logits_by_length,
            unseen_distances: self.unseen_distances,
            logit_quantiles: self.logit_quantiles,
            entropy_rows: self.entropy_rows,
            entropy_excess: self.entropy_excess,
            maps: self.maps,
            mass_inside: self.mass_inside,
            mass_beyond: self.mass_beyond,
            hidden: self.hidden,
            sink_mass: self.sink_mass,
        }
    }

    /// Adds what another part of the same text has counted, one that lies after all parts before. `hidden` is the width of
    /// a hidden state.
    ///
    /// # Errors
    /// Sums of another model or of a text of another length.
    pub fn add(&mut self, more: &Sums, hidden: usize) -> Result<()> {
        if more.read > self.plan.tokens {
            let got = format!("{} tokens read, expected at most {}", more.read, self.plan.tokens);
            return Err(Error::input("sums of a shard", got));
        }
        self.read = self.read.max(more.read);
        self.entropy.merge(&more.entropy)?;
        match (&mut self.sink_mass, &more.sink_mass) {
            (Some(own), Some(more)) => own.merge(more)?,
            (None, None) => {}
            (own, _) => {
                let (got, expected) = if own.is_some() { ("none", "some") } else { ("some", "none") };
                return Err(Error::input("learned sinks of a shard", format!("{got}, expected {expected}")));
            }
        }
        self.logits.merge(&more.logits)?;
        self.logits_start.merge(&more.logits_start)?;
        // The last sampled query is that of the last part that has one.
        if more.logits_last.maxima().iter().any(|&most| most != f32::NEG_INFINITY) {
            let (layers, heads) = (self.plan.layers, self.plan.heads);
            for (layer, head) in (0..layers).flat_map(|layer| (0..heads).map(move |head| (layer, head))) {
                self.logits_last.clear(layer, head)?;
            }
        }
        self.logits_last.merge(&more.logits_last)?;
        self.logits_by_length.merge(&more.logits_by_length)?;
        self.unseen_distances.merge(&more.unseen_distances)?;
        self.logit_quantiles.merge(&more.logit_quantiles)?;
        self.entropy_rows.merge(&more.entropy_rows)?;
        self.entropy_excess.merge(&more.entropy_excess)?;
        self.maps.merge(&more.maps)?;
        self.mass_inside.merge(&more.mass_inside)?;
        self.mass_beyond.merge(&more.mass_beyond)?;
        if self.hidden.len() != more.hidden.len() {
            let got = format!("{} sites, expected {}", more.hidden.len(), self.hidden.len());
            return Err(Error::input("hidden states", got));
        }
        for (own, more) in self.hidden.iter_mut().zip(&more.hidden) {
            let last = own.positions.last().copied();
            let mut before = last;
            let ascending =
                more.positions.iter().all(|&at| before.replace(at).is_none_or(|before| before < at));
            if own.site != more.site || more.values.len() != more.positions.len() * hidden || !ascending {
                let got = format!(
                    "{:?} with {} values at {} positions",
                    more.site,
                    more.values.len(),
                    more.positions.len()
                );
                let expected =
                    format!("{:?} with {hidden} values at each, after position {last:?}", own.site);
                return Err(Error::input("hidden states", format!("{got}, expected {expected}")));
            }
            own.positions.extend(&more.positions);
            own.values.extend(&more.values);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lm_infinite_runtime::policy::Region;
    use lm_infinite_runtime::probe::{AttentionRow, HeadStatistics, HiddenSite, KeyRun, Probe};

    use super::super::collector::tests::tiny_config;
    use super::super::{Collector, MeasurementPlan};
    use super::*;

    /// Sums that hold NaN, both infinities, −0 and numbers without a short decimal form.
    fn sums() -> Sums {
        let mut collector = Collector::new(&tiny_config(2), 64);
        let buckets = MeasurementPlan::new(&tiny_config(2), 64).mass_distances.len();
        let statistics = HeadStatistics {
            first_position: 1,
            heads: 2,
            queries: 2,
            buckets,
            entropy: vec![0.1, f32::NAN, -0.0, 1.0 / 3.0],
            start_mass: vec![0.1, 0.2, f32::INFINITY, 0.4],
            bucket_mass: (0..2 * 2 * buckets).map(|i| 1.0 / (i as f32 + 3.0)).collect(),
            max_logit: vec![1.0, f32::NEG_INFINITY, f32::NAN, 1e30],
            ..HeadStatistics::default()
        };
        collector.head_statistics(1, &statistics);
        collector.hidden_state(HiddenSite::Embedding, 3, &[f32::NAN, -0.0, 1e-40, f32::INFINITY]);
        collector.finish().expect("fits").into_sums()
    }

    #[test]
    fn they_come_back_from_disk_bit_for_bit() {
        let sums = sums();
        let bytes = rmp_serde::to_vec(&sums).expect("writes");
        let read: Sums = rmp_serde::from_slice(&bytes).expect("reads");
        assert_eq!(rmp_serde::to_vec(&read).expect("writes"), bytes);
        let bits =
            |sums: &Sums| sums.hidden[0].values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&sums));
        assert_eq!(format!("{read:?}"), format!("{sums:?}"));
        for end in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            assert!(rmp_serde::from_slice::<Sums>(&bytes[..end]).is_err(), "{end}");
        }
    }

    /// Of two parts the later one has the last query, whatever the earlier one's logits were.
    #[test]
    fn the_last_query_and_the_end_are_those_of_the_last_part() {
        let part = |positions: &[u64], logit: f32| {
            let mut collector = Collector::new(&tiny_config(2), 64);
            for &position in positions {
                for (layer, head) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let region = Region::Recent { distance: 0 };
                    let runs = [KeyRun { first_key: position, region, logits: vec![logit] }];
                    collector.attention_row(&AttentionRow { layer, head, position, runs: &runs, sink: None });
                }
            }
            collector.finish().expect("fits")
        };
        let mut joined = part(&[], 0.0);
        for (positions, logit) in [(&[15, 23][..], 9.0), (&[31, 47][..], 2.0), (&[][..], 5.0)] {
            joined.add(&part(positions, logit).into_sums(), 4).expect("the same shape");
        }
        let whole = part(&[47], 2.0);
        assert_eq!(joined.logits_last.maxima(), whole.logits_last.maxima());
        assert_eq!((joined.read, joined.logits.maxima()[[1, 1, 0]]), (48, 9.0));
    }

    #[test]
    fn the_last_sampled_query_is_that_of_the_later_part() {
        let part = |position: u64, logit: f32| {
            let mut collector = Collector::new(&tiny_config(2), 64);
            let logits = vec![logit; 4];
            let region = Region::Recent { distance: 3 };
            let runs = [KeyRun { first_key: position - 3, region, logits }];
            collector.attention_row(&AttentionRow { layer: 0, head: 1, position, runs: &runs, sink: None });
            collector.finish().expect("fits").into_sums()
        };
        let mut whole = Collector::new(&tiny_config(2), 64).finish().expect("empty");
        whole.add(&part(20, 9.0), 4).expect("the first");
        whole.add(&part(40, 1.0), 4).expect("the second");
        let largest =
            |logits: &LogitsByDistance| logits.maxima().iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert_eq!((largest(&whole.logits), largest(&whole.logits_last), whole.read), (9.0, 1.0, 41));
        // A part without a sampled query leaves the one before it.
        let none = Collector::new(&tiny_config(2), 64).finish().expect("empty").into_sums();
        whole.add(&none, 4).expect("the third");
        assert_eq!((largest(&whole.logits_last), whole.read), (1.0, 41));
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let empty = |trained, tokens| Collector::new(&tiny_config(trained), tokens).finish().expect("empty");
        empty(2, 64).add(&sums(), 4).expect("the same shape");
        assert!(empty(2, 64).add(&sums(), 8).is_err(), "a hidden state of 8");
        assert!(empty(2, 4096).add(&sums(), 4).is_err(), "a longer text");
        let mut twice = empty(2, 64);
        twice.add(&sums(), 4).expect("once");
        assert!(twice.add(&sums(), 4).is_err(), "its hidden states are there already");
    }
}
