//! How long reading takes, from what it took so far: a token costs the same wherever it stands, but for the keys that it attends
//! to. Without a window these grow with the text, and the time with its square.

use std::time::Duration;

use lm_infinite::diagnose::{pooled_bytes, pooled_side};
use lm_infinite::evaluate::ReferenceWindows;
use lm_infinite::model::ModelConfig;
use lm_infinite::policy::PolicySpec;

/// Places at which attended keys are counted.
const COUNTED: u64 = 64;
/// What the number of multiplications tells counts like this many chunks whose keys differ by their mean.
const TRUST: f64 = 2.0;
/// A key costs no more than so many times what its multiplications alone would.
const MOST: f64 = 30.0;

/// Sums over what was read.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// Of products of tokens, pairs of query and key, and seconds: xx, xy, yy, xt, yt.
    sums: [f64; 5],
    tokens: f64,
    pairs: f64,
    seconds: f64,
    /// Chunks that were read.
    chunks: f64,
    /// How often a token was read, over all policies and windows of the reference.
    reads: f64,
}

/// Seconds of a token, and of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rates {
    token: f64,
    pair: f64,
}

impl Pace {
    /// The tokens from `from` to `to` were read under all policies in this time.
    pub fn record(
        &mut self,
        config: &ModelConfig,
        policies: &[PolicySpec],
        from: u64,
        to: u64,
        time: Duration,
    ) {
        let (x, y, t) = ((to - from) as f64, pairs(config, policies, from, to), time.as_secs_f64());
        for (sum, more) in self.sums.iter_mut().zip([x * x, x * y, y * y, x * t, y * t]) {
            *sum += more;
        }
        (self.tokens, self.pairs, self.seconds) = (self.tokens + x, self.pairs + y, self.seconds + t);
        let windows = ReferenceWindows::of(config, to);
        self.reads = policies.len() as f64 + windows.length as f64 / windows.stride.max(1) as f64;
        self.chunks += 1.0;
    }

    /// Seconds that the tokens from `from` to `to` will take under these policies; `None` before anything was read.
    pub fn seconds(&self, config: &ModelConfig, policies: &[PolicySpec], from: u64, to: u64) -> Option<f64> {
        let rates = self.rates(config)?;
        let tokens = to.saturating_sub(from) as f64;
        Some(tokens * rates.token + pairs(config, policies, from, to) * rates.pair)
    }

    fn rates(&self, config: &ModelConfig) -> Option<Rates> {
        if self.tokens <= 0.0 || self.seconds <= 0.0 {
            return None;
        }
        // By the number of multiplications alone.
        let head = (config.hidden * config.vocabulary) as f64;
        let pair_cost = 2.0 * (config.heads * config.head_dim) as f64;
        let token_cost = self.reads * (config.block_parameters() as f64 + head);
        let each = self.seconds / (self.tokens * token_cost + self.pairs * pair_cost);
        let counted = Rates { token: each * token_cost, pair: each * pair_cost };
        let [xx, xy, yy, xt, yt] = self.sums;
        let determinant = xx * yy - xy * xy;
        if determinant <= 1e-9 * xx * yy {
            return Some(counted);
        }
        let measured = ((xx * yt - xy * xt) / determinant).clamp(0.0, MOST * counted.pair);
        // The more the numbers of keys differed, the more what was measured counts.
        let (spread, trust) = (determinant / xx, TRUST * (self.pairs / self.chunks).powi(2));
        let pair = (spread * measured + trust * counted.pair) / (spread + trust);
        let token = ((self.seconds - pair * self.pairs) / self.tokens).max(0.0);
        Some(Rates { token, pair })
    }
}

/// Pairs of query and key that the queries from `from` to `to` attend to, over all policies and layers.
fn pairs(config: &ModelConfig, policies: &[PolicySpec], from: u64, to: u64) -> f64 {
    let count = to.saturating_sub(from);
    let places = COUNTED.min(count);
    let of_policy = |spec: &PolicySpec| {
        let layers = (0..config.layers).map(|layer| config.policy_at(&spec.policy, layer));
        layers.map(|policy| keys(&policy, from, count, places)).sum::<f64>()
    };
    policies.iter().map(of_policy).sum()
}

/// Keys of `count` queries from `from` on, counted in the middle of each of `places` parts.
fn keys(policy: &lm_infinite::policy::AttentionPolicy, from: u64, count: u64, places: u64) -> f64 {
    let part = count as f64 / places.max(1) as f64;
    let middle = |place: u64| from + ((place as f64 + 0.5) * part) as u64;
    (0..places).map(|place| policy.attended_keys(middle(place)) as f64 * part).sum()
}

/// Bytes that reading takes beside the model: keys and values as far as they are kept, tokens, losses and the copy of them that is
/// shown, and the maps of every head.
pub fn bytes(config: &ModelConfig, policies: &[PolicySpec], tokens: u64) -> u64 {
    let position = (2 * config.kv_heads * config.head_dim * config.kv.bytes()) as u64;
    let kept = |spec: &PolicySpec| -> u64 {
        let layers = (0..config.layers).map(|layer| config.policy_at(&spec.policy, layer));
        let all = |policy: &lm_infinite::policy::AttentionPolicy| policy.retrieved.is_some();
        layers
            .map(|policy| policy.kept_keys().filter(|_| !all(&policy)).unwrap_or(tokens).min(tokens))
            .fold(0, u64::saturating_add)
    };
    let caches = policies.iter().map(|spec| kept(spec).saturating_mul(position)).fold(0, u64::saturating_add);
    let runs = policies.len() as u64;
    let per_token = 4 + 2 * 4 * (runs + 1);
    let heads = config.layers * config.heads;
    let maps = runs * pooled_bytes(heads, pooled_side(heads));
    caches.saturating_add(tokens.saturating_mul(per_token)).saturating_add(maps)
}

#[cfg(test)]
mod tests {
    use lm_infinite::{checkpoint, hub};

    use super::*;

    fn config() -> ModelConfig {
        checkpoint::load("tiny-rope", &hub::Cache::open().expect("a folder")).expect("embedded").config
    }

    fn policies(all: &[&str]) -> Vec<PolicySpec> {
        all.iter().map(|text| PolicySpec::parse(text, 256).expect("a policy")).collect()
    }

    /// Seconds of the queries from `from` to `to`, one by one.
    fn true_seconds(config: &ModelConfig, policies: &[PolicySpec], from: u64, to: u64) -> f64 {
        let keys = |query: u64| -> f64 {
            policies.iter().map(|spec| (config.layers as u64 * spec.policy.attended_keys(query)) as f64).sum()
        };
        (from..to).map(|query| 1e-4 + 2e-8 * keys(query)).sum()
    }

    fn read(config: &ModelConfig, policies: &[PolicySpec], to: u64) -> Pace {
        let mut pace = Pace::default();
        for from in (0..to).step_by(512) {
            let time = Duration::from_secs_f64(true_seconds(config, policies, from, from + 512));
            pace.record(config, policies, from, from + 512, time);
        }
        pace
    }

    #[test]
    fn the_time_of_attention_without_a_window_grows_with_the_square() {
        let config = config();
        let both = policies(&["vanilla", "lm-infinite"]);
        let pace = read(&config, &both, 65_536);
        let (told, wanted) = (
            pace.seconds(&config, &both, 65_536, 262_144).expect("known"),
            true_seconds(&config, &both, 65_536, 262_144),
        );
        assert!((told / wanted - 1.0).abs() < 0.1, "{told} of {wanted}");
        let linear = true_seconds(&config, &both, 0, 65_536) * 3.0;
        assert!(wanted > 2.0 * linear, "the square counts: {wanted} and {linear}");
        // What was read under these policies says what others take.
        let windows = policies(&["window", "lm-infinite"]);
        let (told, wanted) = (
            pace.seconds(&config, &windows, 0, 65_536).expect("known"),
            true_seconds(&config, &windows, 0, 65_536),
        );
        assert!((told / wanted - 1.0).abs() < 0.3, "{told} of {wanted}");
    }

    #[test]
    fn before_keys_differ_their_multiplications_count() {
        let config = config();
        let both = policies(&["vanilla", "lm-infinite"]);
        assert_eq!(Pace::default().seconds(&config, &both, 0, 100), None);
        let pace = read(&config, &both, 512);
        let told = |to| pace.seconds(&config, &both, 512, to).expect("known");
        assert!(
            told(1024) > 0.0 && told(65_536) > 2.0 * 127.0 * told(1024),
            "{} {}",
            told(1024),
            told(65_536)
        );
        assert_eq!(told(512), 0.0);
        // Under windows, time is in proportion.
        let windows = policies(&["window", "lm-infinite"]);
        let pace = read(&config, &windows, 8192);
        let told = |to| pace.seconds(&config, &windows, 8192, to).expect("known");
        assert!((told(16_384) / told(12_288) - 2.0).abs() < 1e-3);
    }

    #[test]
    fn memory_grows_with_the_text_where_keys_are_kept() {
        let config = config();
        let of = |policy: &str, tokens| bytes(&config, &policies(&[policy]), tokens) as f64;
        let grown = |policy: &str| of(policy, 2_000_000) - of(policy, 1_000_000);
        let position = (config.layers * 2 * config.kv_heads * config.head_dim * 4) as f64;
        assert_eq!(grown("vanilla"), 1e6 * (position + 20.0));
        assert_eq!(grown("lm-infinite"), 1e6 * 20.0);
        assert_eq!(grown("lm-infinite-topk") > 1e6 * 20.0, config.layers > 4);
        assert_eq!(bytes(&config, &policies(&["vanilla"]), u64::MAX), u64::MAX);
    }
}
