//! A window of one head's attention, read again: every logit of some queries on some keys, exact at any length, or the largest
//! of squares of them.
//!
//! Nothing of the first reading is needed. With a window, the attention of layer `l` depends on the start tokens and on
//! at most `(l + 1) · window` tokens before the query (as for shards of a long run), so only these are fed. Without a
//! window everything before the query is, up to [`MOST_REREAD`] tokens.

use std::ops::Range;
use std::sync::Arc;

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::kernels::elementwise::raise;
use crate::policy::{AttentionPolicy, Region, region};
use crate::probe::{AttentionRow, PositionSet, Probe, ProbePlan};
use crate::session::Decoder;
use crate::session::Session;

/// Most rows of a window, and most columns of a window of more than one row.
pub const MOST_SIDE: u64 = 512;

/// Most tokens that are read again for one window.
pub const MOST_REREAD: u64 = 1 << 15;

/// Tokens between two looks at whether the answer is still wanted.
const CHUNK: usize = 64;

/// Which part of the attention is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowRequest {
    /// Layer, from 0.
    pub layer: usize,
    /// Query head, from 0.
    pub head: usize,
    /// Positions of the queries.
    pub queries: Range<u64>,
    /// Positions of the keys.
    pub keys: Range<u64>,
    /// Queries and keys from side to side of one tile; 1 for every logit.
    pub pool: u64,
}

/// The attention that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionWindow {
    /// What was asked for.
    pub request: WindowRequest,
    /// The policy in this layer.
    pub policy: AttentionPolicy,
    /// Largest logit of a tile, as the softmax sees it; −inf where no key is attended, NaN where one is not a number.
    /// [queries / pool, keys / pool]
    pub logits: Array2<f32>,
    /// Logarithm of the largest probability of a tile, in nats, of the softmax over all keys of a query, those outside the window
    /// too; NaN in a row that is not finite. [queries / pool, keys / pool]
    pub log_probabilities: Array2<f32>,
}

impl WindowRequest {
    /// Refuses what is outside the text or the model, or too large.
    pub fn validate(&self, decoder: &Decoder, tokens: u64) -> Result<()> {
        let refuse = |reason: String| Err(Error::input("attention window", reason));
        let config = decoder.config();
        if self.layer >= config.layers || self.head >= config.heads {
            return refuse(format!("no layer {}, head {} in the model", self.layer, self.head));
        }
        for (name, range) in [("queries", &self.queries), ("keys", &self.keys)] {
            if range.is_empty() || range.end > tokens {
                return refuse(format!("{name} {range:?} of a text of {tokens} tokens"));
            }
        }
        if self.pool == 0 {
            return refuse("tiles of no token".to_owned());
        }
        let (queries, keys) = self.shape();
        if queries > MOST_SIDE || (queries > 1 && keys > MOST_SIDE) {
            return refuse(format!("{queries} × {keys} tiles are more than {MOST_SIDE} × {MOST_SIDE}"));
        }
        Ok(())
    }

    /// Rows and columns.
    fn shape(&self) -> (u64, u64) {
        let tiles = |range: &Range<u64>| (range.end - range.start).div_ceil(self.pool);
        (tiles(&self.queries), tiles(&self.keys))
    }

    /// Where reading has to begin, after the start tokens; 0 for the beginning of the text.
    ///
    /// # Errors
    /// More than [`MOST_REREAD`] tokens to read.
    pub fn begin(&self, policy: &AttentionPolicy) -> Result<u64> {
        // Layers below the one with retrieved keys may still be read from a halo, those after it depend on everything.
        let looks_back = (0..=self.layer).any(|layer| policy.at_layer(layer).retrieved.is_some());
        let begin = match policy.window.filter(|_| !looks_back) {
            Some(window) => {
                let begin = self.queries.start.saturating_sub(window.saturating_mul(self.layer as u64 + 1));
                if begin > policy.start { begin } else { 0 }
            }
            None => 0,
        };
        let tokens = self.queries.end - begin;
        if tokens <= MOST_REREAD {
            return Ok(begin);
        }
        let why = if begin > 0 || policy.window.is_some() && !looks_back {
            format!("layers × window before the query are {tokens} tokens")
        } else {
            format!("under this policy a query depends on all {tokens} tokens before it")
        };
        Err(Error::input("attention window", format!("{why}; at most {MOST_REREAD} are read again")))
    }
}

impl AttentionWindow {
    /// Reads the window. `watch` is told the tokens read and to read, and ends it by answering false: then there is no window.
    ///
    /// # Errors
    /// [`WindowRequest::validate`], [`WindowRequest::begin`], [`Session::new`].
    pub fn read(
        decoder: &Arc<Decoder>,
        policy: &AttentionPolicy,
        tokens: &[u32],
        request: &WindowRequest,
        watch: &dyn Fn(u64, u64) -> bool,
    ) -> Result<Option<Self>> {
        request.validate(decoder, tokens.len() as u64)?;
        let begin = request.begin(policy)?;
        // The window of a policy with unused retrieved keys can be skipped in, its offloaded keys cannot.
        let retrieved = policy.retrieved.filter(|_| begin == 0);
        let mut session = Session::new(decoder.clone(), AttentionPolicy { retrieved, ..policy.clone() })?;
        if begin > 0 {
            session.feed(&tokens[..policy.start as usize], None)?;
            session.skip_to(begin)?;
        }
        let mut rows = Rows::new(request, decoder.config().policy_at(policy, request.layer));
        let end = request.queries.end as usize;
        let total = end as u64 - begin;
        let mut at = begin as usize;
        while at < end {
            if !watch(at as u64 - begin, total) {
                return Ok(None);
            }
            // Chunks end where the queries begin, so that rows are asked of none before.
            let first = request.queries.start as usize;
            let stop = if at < first { first } else { end };
            let chunk = &tokens[at..stop.min(at + CHUNK)];
            rows.plan.rows.at =
                if at < first { Vec::new() } else { (at as u64..(at + chunk.len()) as u64).collect() };
            session.feed(chunk, Some(&mut rows))?;
            at += chunk.len();
        }
        Ok(Some(rows.window))
    }

    /// Largest logit of the tile of a pair; `None` outside the window.
    pub fn logit(&self, query: u64, key: u64) -> Option<f32> {
        self.logits.get(self.index(query, key)?).copied()
    }

    /// Its largest probability: 0 where no key is attended, NaN in a row that is not finite.
    pub fn probability(&self, query: u64, key: u64) -> Option<f32> {
        self.log_probabilities.get(self.index(query, key)?).map(|log| log.exp())
    }

    /// Where a key stands for a query, and the distance that the position encoding was given.
    pub fn region(&self, query: u64, key: u64) -> Region {
        region(query, key, &self.policy)
    }

    fn index(&self, query: u64, key: u64) -> Option<(usize, usize)> {
        let WindowRequest { queries, keys, pool, .. } = &self.request;
        let tile =
            |at: u64, range: &Range<u64>| range.contains(&at).then(|| ((at - range.start) / pool) as usize);
        Some((tile(query, queries)?, tile(key, keys)?))
    }
}

/// The probe that fills a window.
struct Rows {
    plan: ProbePlan,
    window: AttentionWindow,
}

impl Rows {
    fn new(request: &WindowRequest, policy: AttentionPolicy) -> Self {
        let (rows, columns) = request.shape();
        let nothing = Array2::from_elem((rows as usize, columns as usize), f32::NEG_INFINITY);
        let plan = ProbePlan {
            rows: PositionSet::default(),
            row_head: Some((request.layer, request.head)),
            ..ProbePlan::default()
        };
        let window = AttentionWindow {
            request: request.clone(),
            policy,
            logits: nothing.clone(),
            log_probabilities: nothing,
        };
        Self { plan, window }
    }
}

impl Probe for Rows {
    fn plan(&self) -> &ProbePlan {
        &self.plan
    }

    fn attention_row(&mut self, row: &AttentionRow<'_>) {
        let WindowRequest { queries, keys, pool, .. } = &self.window.request;
        if !queries.contains(&row.position) {
            return;
        }
        let all = log_sum_exp(row.runs.iter().flat_map(|run| &run.logits).copied().chain(row.sink));
        let index = ((row.position - queries.start) / pool) as usize;
        let mut logits = self.window.logits.row_mut(index);
        let mut log_probabilities = self.window.log_probabilities.row_mut(index);
        for run in row.runs {
            let end = run.first_key + run.logits.len() as u64;
            for key in run.first_key.max(keys.start)..end.min(keys.end) {
                let logit = run.logits[(key - run.first_key) as usize];
                let column = ((key - keys.start) / pool) as usize;
                raise(&mut logits[column], logit);
                raise(&mut log_probabilities[column], logit - all);
            }
        }
    }
}

/// In nats; NaN if a logit is NaN or +inf.
fn log_sum_exp(logits: impl Iterator<Item = f32> + Clone) -> f32 {
    let most = logits.clone().fold(f32::NEG_INFINITY, |most, l| if l.is_nan() { l } else { most.max(l) });
    let sum: f64 = logits.map(|logit| f64::from(logit - most).exp()).sum();
    (f64::from(most) + sum.ln()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicySpec;

    const TOKENS: u64 = 1200;

    /// Rows of one head as one whole run without gaps reports them.
    struct Whole {
        plan: ProbePlan,
        /// query, key, logit
        logits: Vec<(u64, u64, f32)>,
    }

    impl Probe for Whole {
        fn plan(&self) -> &ProbePlan {
            &self.plan
        }

        fn attention_row(&mut self, row: &AttentionRow<'_>) {
            for run in row.runs {
                let keys = run.first_key..;
                self.logits.extend(keys.zip(&run.logits).map(|(key, &logit)| (row.position, key, logit)));
            }
        }
    }

    fn model() -> (Arc<Decoder>, Vec<u32>) {
        let loaded =
            crate::checkpoint::load("tiny-rope", &crate::hub::Cache::open().expect("a folder")).expect("it");
        let text = include_str!("../assets/text/sample.txt");
        let tokens = loaded.tokenizer.encode(&text[..8000]).expect("tokens")[..TOKENS as usize].to_vec();
        (Arc::new(Decoder::new(loaded.config, loaded.weights).expect("a whole model")), tokens)
    }

    fn policy(text: &str) -> AttentionPolicy {
        PolicySpec::parse(text, 256).expect("a policy").policy
    }

    #[test]
    fn a_window_read_again_is_the_whole_runs() {
        let (decoder, tokens) = model();
        for text in [
            "vanilla",
            "window:window=64",
            "lambda:window=64",
            "lm-infinite:window=64",
            "streaming-llm:window=64",
            "lm-infinite-topk:window=64,from_layer=2",
        ] {
            let policy = policy(text);
            for (layer, head) in [(0, 1), (2, 3), (5, 0)] {
                for (queries, keys) in
                    [(1100..1120, 1050..1150), (1000..1003, 0..90), (0..9, 0..20), (777..778, 0..1200)]
                {
                    let request =
                        WindowRequest { layer, head, queries: queries.clone(), keys: keys.clone(), pool: 1 };
                    let window = AttentionWindow::read(&decoder, &policy, &tokens, &request, &|_, _| true)
                        .expect("runs")
                        .expect("nobody stopped it");
                    let rows = PositionSet { at: queries.clone().collect(), ..PositionSet::default() };
                    let plan = ProbePlan { rows, row_head: Some((layer, head)), ..ProbePlan::default() };
                    let mut whole = Whole { plan, logits: Vec::new() };
                    let mut session = Session::new(decoder.clone(), policy.clone()).expect("fits");
                    session.feed(&tokens[..queries.end as usize], Some(&mut whole)).expect("runs");
                    let what = format!("{text}, layer {layer}, queries {queries:?}");
                    let mut expected = Array2::from_elem(window.logits.dim(), f32::NEG_INFINITY);
                    for &(query, key, logit) in whole.logits.iter().filter(|(_, key, _)| keys.contains(key)) {
                        expected[[(query - queries.start) as usize, (key - keys.start) as usize]] = logit;
                    }
                    for (got, wanted) in window.logits.iter().zip(&expected) {
                        assert!(got == wanted || (got - wanted).abs() < 2e-3, "{what}: {got} {wanted}");
                    }
                    for query in queries {
                        let row = whole.logits.iter().filter(|row| row.0 == query);
                        let all = log_sum_exp(row.clone().map(|row| row.2));
                        for &(_, key, logit) in row.filter(|(_, key, _)| keys.contains(key)) {
                            let got = window.probability(query, key).expect("inside").ln();
                            assert!((got - (logit - all)).abs() < 2e-3, "{what}: {got} {logit} {all}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn cells_of_many_tokens_have_the_largest_of_all_of_them() {
        let (decoder, tokens) = model();
        let policy = policy("lm-infinite:window=64");
        let read = |pool| {
            let request = WindowRequest { layer: 2, head: 1, queries: 901..1100, keys: 703..1103, pool };
            let window = AttentionWindow::read(&decoder, &policy, &tokens, &request, &|_, _| true);
            window.expect("runs").expect("a window")
        };
        let (every, pooled) = (read(1), read(16));
        assert_eq!(pooled.logits.dim(), (13, 25));
        for (name, every, pooled) in [
            ("logits", &every.logits, &pooled.logits),
            ("probabilities", &every.log_probabilities, &pooled.log_probabilities),
        ] {
            for ((row, column), &got) in pooled.indexed_iter() {
                let tiles = every.indexed_iter().filter(|((i, j), _)| (i / 16, j / 16) == (row, column));
                let most = tiles.fold(f32::NEG_INFINITY, |most, (_, &value)| most.max(value));
                assert_eq!(got, most, "{name} {row} {column}");
            }
        }
        assert_eq!(pooled.logit(1099, 1102), pooled.logits.last().copied());
        assert_eq!((pooled.logit(900, 800), pooled.logit(950, 1103)), (None, None));
        let mut most = 1.0;
        raise(&mut most, f32::NAN);
        raise(&mut most, 2.0);
        assert!(most.is_nan(), "once not a number, never one again");
    }

    #[test]
    fn only_the_halo_is_read_and_it_can_be_stopped() {
        let (decoder, tokens) = model();
        let request = WindowRequest { layer: 2, head: 0, queries: 1100..1110, keys: 1000..1100, pool: 1 };
        assert_eq!(request.begin(&policy("lm-infinite:window=64")).expect("short"), 1100 - 3 * 64);
        assert_eq!(request.begin(&policy("lm-infinite")).expect("short"), 1100 - 3 * 256);
        assert_eq!(request.begin(&policy("lm-infinite-topk:from_layer=3")).expect("short"), 1100 - 3 * 256);
        assert_eq!(request.begin(&policy("lm-infinite-topk:from_layer=2")).expect("short"), 0);
        assert_eq!(request.begin(&policy("vanilla")).expect("short"), 0);
        let seen = std::cell::RefCell::new(Vec::new());
        let watch = |read, total| {
            seen.borrow_mut().push((read, total));
            read < 128
        };
        let policy = policy("lm-infinite:window=64");
        let stopped = AttentionWindow::read(&decoder, &policy, &tokens, &request, &watch).expect("runs");
        assert!(stopped.is_none());
        assert_eq!(*seen.borrow(), [(0, 202), (64, 202), (128, 202)]);
    }

    #[test]
    fn probabilities_of_a_row_add_up_and_regions_are_the_policys() {
        let (decoder, tokens) = model();
        let request = WindowRequest { layer: 3, head: 2, queries: 900..901, keys: 0..TOKENS, pool: 1 };
        let policy = policy("lm-infinite:window=64");
        let window = AttentionWindow::read(&decoder, &policy, &tokens, &request, &|_, _| true)
            .expect("runs")
            .expect("a window");
        let sum: f32 = (0..TOKENS).filter_map(|key| window.probability(900, key)).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        assert_eq!(window.region(900, 3), Region::Start { distance: 64 });
        assert_eq!(window.region(900, 890), Region::Recent { distance: 10 });
        assert_eq!((window.region(900, 500), window.probability(900, 500)), (Region::Masked, Some(0.0)));
        assert_eq!((window.region(900, 901), window.logit(901, 0)), (Region::Future, None));
    }

    #[test]
    fn what_is_too_much_is_refused_in_words() {
        let (decoder, tokens) = model();
        let ask = |layer, queries, keys, text| {
            let request = WindowRequest { layer, head: 0, queries, keys, pool: 1 };
            AttentionWindow::read(&decoder, &policy(text), &tokens, &request, &|_, _| false).map(|_| ())
        };
        for (outcome, words) in [
            (ask(6, 0..1, 0..1, "vanilla"), "no layer 6"),
            (ask(0, 5..5, 0..1, "vanilla"), "queries 5..5"),
            (ask(0, 0..1, 0..1201, "vanilla"), "keys 0..1201"),
            (ask(0, 0..513, 0..1, "vanilla"), "513 × 1 tiles"),
            (ask(0, 0..2, 0..513, "vanilla"), "2 × 513 tiles"),
        ] {
            let message = outcome.expect_err(words).to_string();
            assert!(message.contains(words), "{message}");
        }
        let far = WindowRequest { layer: 5, head: 0, queries: 999_000..999_100, keys: 0..9, pool: 1 };
        let message = |text| far.begin(&policy(text)).expect_err(text).to_string();
        assert!(message("vanilla").contains("depends on all 999100 tokens"));
        assert!(message("lm-infinite:window=16k").contains("layers × window"));
        assert_eq!(far.begin(&policy("lm-infinite")).expect("a window"), 999_000 - 6 * 256);
    }

    #[test]
    fn rows_that_are_not_finite_have_no_probability() {
        assert!(log_sum_exp([1.0, f32::NAN].into_iter()).is_nan());
        assert!(log_sum_exp([f32::INFINITY, 0.0].into_iter()).is_nan());
        assert!((log_sum_exp([0.0, 0.0].into_iter()) - std::f32::consts::LN_2).abs() < 1e-6);
    }
}
