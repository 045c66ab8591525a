//! The decoder: one chunk of tokens through all blocks.

use std::sync::{Arc, OnceLock};

use super::check::check;
use super::feed_forward;
use crate::attention::Shape;
use crate::cache::KvCache;
use crate::error::{Error, Result};
use crate::kernels::dequantize::rows_to_f32;
use crate::kernels::elementwise::{add, layer_norm, rms_norm, scale};
use crate::kernels::precision::Precision;
use crate::kernels::{linear, packed};
use crate::model::config::{ModelConfig, Norm, Residual};
use crate::model::identity::{self, ModelDigest};
use crate::model::weights::{FeedForward, LayerWeights, ModelWeights, NormWeights};
use crate::policy::LayerPolicies;
use crate::position::{PositionEncoding, RotaryTable};
use crate::probe::{HiddenSite, Probe, ProbePlan};

/// A decoder-only transformer: what it is, and its weights.
#[derive(Clone, Debug)]
pub struct Decoder {
    config: ModelConfig,
    weights: ModelWeights,
    /// Digest of the tokenizer whose tokens it reads, where that is known.
    tokenizer_sha256: Option<String>,
    /// Computed when it is first asked for, once for all copies.
    weights_sha256: Arc<OnceLock<String>>,
}

/// How attention is to be done in one pass.
pub(crate) struct Pass<'a> {
    /// Who sees whom, in each layer.
    pub policies: &'a [LayerPolicies],
    /// How distance enters a logit, in each layer, and the angles, for RoPE.
    pub encodings: Vec<(&'a PositionEncoding, Option<&'a RotaryTable>)>,
}

/// What a block computes in, for a number of tokens.
pub(crate) struct Buffers {
    /// [tokens, hidden]
    normed: Vec<f32>,
    /// [tokens, hidden]
    update: Vec<f32>,
    /// [tokens, intermediate]
    gate: Vec<f32>,
    /// [tokens, intermediate]
    up: Vec<f32>,
}

impl Buffers {
    /// For the blocks of `decoder` over `tokens` tokens.
    pub(crate) fn new(decoder: &Decoder, tokens: usize) -> Self {
        let zeros = |width: usize| vec![0.0; tokens * width];
        // Where every layer has experts, the width of an MLP is a number that nothing was held against.
        let is_dense = |layer: &LayerWeights| matches!(layer.feed_forward, FeedForward::Dense(_));
        let has_mlp = decoder.weights.layers.iter().any(is_dense);
        let (hidden, intermediate) =
            (decoder.config.hidden, if has_mlp { decoder.config.intermediate } else { 0 });
        Self {
            normed: zeros(hidden),
            update: zeros(hidden),
            gate: zeros(intermediate),
            up: zeros(intermediate),
        }
    }
}

/// Runs `work` on a thread of the pool. Each of the hundreds of parallel loops of a pass would be handed over to it otherwise, and
/// waited for.
fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() { work() } else { rayon::scope(|_| work()) }
}

impl Decoder {
    /// Puts configuration and weights together.
    ///
    /// # Errors
    /// Where a weight's shape does not fit the configuration.
    pub fn new(config: ModelConfig, weights: ModelWeights) -> Result<Self> {
        check(&config, &weights)?;
        Ok(Self { config, weights, tokenizer_sha256: None, weights_sha256: Arc::default() })
    }

    /// The same decoder, which knows that its tokens are those of the tokenizer with this digest: then a snapshot of a
    /// session is refused under any other tokenizer. [`LoadedModel::decoder`](crate::checkpoint::LoadedModel::decoder) does this.
    #[must_use]
    pub fn with_tokenizer_sha256(self, sha256: String) -> Self {
        Self { tokenizer_sha256: Some(sha256), ..self }
    }

    /// The same decoder, which multiplies its weights with `precision`, as far as their formats and the processor allow; without this
    /// call exactly. Fast, weights are packed, which takes as much memory as they do; that of a mapped file is given back. Losses take the exact weights of the
    /// head, and experts are chosen exactly.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        if precision == Precision::Fast {
            for matrix in self.weights.matrices_mut() {
                if let Some(packed) = packed::packed(matrix) {
                    *matrix = matrix.clone().with_packed(Arc::new(packed));
                }
            }
        }
        self
    }

    /// How exactly it multiplies.
    pub fn precision(&self) -> Precision {
        if self.weights.head.packed().is_some()
            || self.weights.layers.iter().any(|layer| layer.output.weight.packed().is_some())
        {
            Precision::Fast
        } else {
            Precision::Exact
        }
    }

    /// Which model this is. The first call reads all weights, on all threads.
    pub fn digest(&self) -> ModelDigest {
        ModelDigest {
            weights: self.weights_sha256.get_or_init(|| identity::of_weights(&self.weights)).clone(),
            configuration: identity::of_configuration(&self.config),
            tokenizer: self.tokenizer_sha256.clone(),
        }
    }

    /// What the decoder is.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Its weights.
    pub fn weights(&self) -> &ModelWeights {
        &self.weights
    }

    /// Heads of each attention layer.
    pub fn shape(&self) -> Shape {
        let ModelConfig { heads, kv_heads, head_dim, .. } = self.config;
        Shape { heads, kv_heads, head_dim }
    }

    /// Feeds `tokens` after what `caches` (one per layer) hold, appends to them, and returns the hidden states after
    /// the final norm, [tokens, hidden].
    ///
    /// # Errors
    /// A token that is not in the vocabulary; then nothing was changed. Old keys that cannot be written to their file; then
    /// `caches` must not be used any more.
    pub(crate) fn forward(
        &self,
        tokens: &[u32],
        caches: &mut [KvCache],
        pass: &Pass<'_>,
        probe: Option<&mut dyn Probe>,
    ) -> Result<Vec<f32>> {
        in_pool(|| self.forward_here(tokens, caches, pass, probe))
    }

    /// [`Self::forward`] on this thread.
    fn forward_here(
        &self,
        tokens: &[u32],
        caches: &mut [KvCache],
        pass: &Pass<'_>,
        mut probe: Option<&mut dyn Probe>,
    ) -> Result<Vec<f32>> {
        let plan = probe.as_ref().map(|probe| probe.plan().clone()).unwrap_or_default();
        let first_position = caches.first().map_or(0, KvCache::next_position);
        let mut stream = self.embed(tokens, first_position)?;
        let hidden = self.config.hidden;
        report_hidden(&mut probe, &plan, HiddenSite::Embedding, first_position, &stream, hidden);
        let mut buffers = Buffers::new(self, tokens.len());
        for (index, cache) in caches.iter_mut().enumerate().take(self.weights.layers.len()) {
            self.block(index, &mut stream, cache, pass, (&plan, &mut probe), &mut buffers)?;
            report_hidden(&mut probe, &plan, HiddenSite::AfterBlock(index), first_position, &stream, hidden);
        }
        Ok(self.finish(&stream))
    }

    /// Refuses `tokens` tokens from position `first` on where the model has an embedding of each position and none of theirs.
    ///
    /// # Errors
    /// Names the first position that has none.
    pub(crate) fn check_positions(&self, first: u64, tokens: usize) -> Result<()> {
        match self.config.most_tokens() {
            Some(most) if first.saturating_add(tokens as u64) > most => Err(Error::unsupported(
                format!("a token at position {}", most.max(first)),
                format!(
                    "the model has no position embedding beyond {most} tokens: its positions are learned, one by one; read the text \
                     in parts of at most {most} tokens (`truncate` where a task is done)"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Rows of the embedding for tokens from position `first` on, with those of their positions where these are learned, normalized
    /// where the model does so, [tokens, hidden].
    ///
    /// # Errors
    /// A token that is not in the vocabulary; as [`Self::check_positions`].
    pub(crate) fn embed(&self, tokens: &[u32], first: u64) -> Result<Vec<f32>> {
        self.check_positions(first, tokens.len())?;
        let ModelConfig { hidden, vocabulary, .. } = self.config;
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(Error::input(
                format!("token {token}"),
                format!("the vocabulary has {vocabulary} entries"),
            ));
        }
        let mut stream = vec![0.0; tokens.len() * hidden];
        for (&token, row) in tokens.iter().zip(stream.chunks_exact_mut(hidden)) {
            rows_to_f32(&self.weights.embedding, token as usize, row);
        }
        multiply(&mut stream, self.config.multipliers.embedding);
        if let Some(positions) = &self.weights.position_embedding {
            let mut row = vec![0.0; hidden];
            for (position, stream) in (first as usize..).zip(stream.chunks_exact_mut(hidden)) {
                rows_to_f32(positions, position, &mut row);
                add(stream, &row);
            }
        }
        if let Some(norm) = &self.weights.embedding_norm {
            let embedded = stream.clone();
            self.norm(&embedded, norm, &mut stream);
        }
        Ok(stream)
    }

    /// One block: `stream` ([tokens, hidden]) after what `cache` holds, to which keys and values are appended.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub(crate) fn block(
        &self,
        index: usize,
        stream: &mut [f32],
        cache: &mut KvCache,
        pass: &Pass<'_>,
        (plan, probe): (&ProbePlan, &mut Option<&mut dyn Probe>),
        buffers: &mut Buffers,
    ) -> Result<()> {
        let layer = &self.weights.layers[index];
        let Buffers { normed, update, gate, up } = buffers;
        match &layer.attention_norm {
            Some(norm) => self.norm(stream, norm, normed),
            None => normed.copy_from_slice(stream),
        }
        let attended = self.attention(index, layer, normed, cache, pass, plan, probe)?;
        linear::forward(&[&layer.output], &attended, &mut [&mut *update]);
        self.finish_update(update, layer.attention_post_norm.as_ref());
        let sequential = self.config.residual == Residual::Sequential;
        if sequential {
            add(stream, update);
        }
        match &layer.mlp_norm {
            Some(norm) => self.norm(stream, norm, normed),
            None if sequential => normed.copy_from_slice(stream),
            None => {}
        }
        if !sequential {
            add(stream, update);
        }
        match &layer.feed_forward {
            FeedForward::Dense(weights) => {
                feed_forward::mlp(self.config.mlp, weights, normed, [gate, up, update])
            }
            FeedForward::Experts(weights) => feed_forward::experts(&self.config, weights, normed, update),
        }
        self.finish_update(update, layer.mlp_post_norm.as_ref());
        add(stream, update);
        Ok(())
    }

    /// What attention or MLP adds to the residual stream, normalized and multiplied where the model does so.
    fn finish_update(&self, update: &mut [f32], post_norm: Option<&NormWeights>) {
        if let Some(norm) = post_norm {
            let raw = update.to_vec();
            self.norm(&raw, norm, update);
        }
        multiply(update, self.config.multipliers.residual);
    }

    /// The final norm of `stream`, and the multiplier of the logits, [tokens, hidden].
    pub(crate) fn finish(&self, stream: &[f32]) -> Vec<f32> {
        let mut normed = vec![0.0; stream.len()];
        self.norm(stream, &self.weights.final_norm, &mut normed);
        multiply(&mut normed, self.config.multipliers.logits);
        normed
    }

    /// Logits of the next token from a hidden state (`[hidden]`); `[vocabulary]`.
    pub fn logits(&self, hidden: &[f32]) -> Vec<f32> {
        let mut logits = vec![0.0; self.config.vocabulary];
        linear::logits(self.head(), hidden, &mut logits);
        logits
    }

    /// Negative log-likelihood, in nats, of `targets[i]` after hidden state `i` of `hidden` ([targets, hidden]).
    pub fn nll(&self, hidden: &[f32], targets: &[u32]) -> Vec<f32> {
        let parts = linear::log_sum_exp_and_target(self.head(), hidden, targets);
        parts.into_iter().map(|(log_sum_exp, target)| log_sum_exp - target).collect()
    }

    fn head(&self) -> linear::Head<'_> {
        let ModelWeights { head, head_bias, .. } = &self.weights;
        linear::Head { matrix: head, bias: head_bias.as_deref(), soft_cap: self.config.soft_caps.logits }
    }

    fn norm(&self, x: &[f32], NormWeights { weight, bias }: &NormWeights, out: &mut [f32]) {
        match self.config.norm {
            Norm::Rms { epsilon } => rms_norm(x, weight, epsilon, out),
            Norm::Layer { epsilon } => layer_norm(x, weight, bias.as_deref(), epsilon, out),
        }
    }
}

/// `x · factor`; nothing is done, and nothing rounded, by 1.
pub(super) fn multiply(x: &mut [f32], factor: f32) {
    if factor != 1.0 {
        scale(x, factor);
    }
}

fn report_hidden(
    probe: &mut Option<&mut dyn Probe>,
    plan: &ProbePlan,
    site: HiddenSite,
    first_position: u64,
    stream: &[f32],
    hidden: usize,
) {
    let Some(probe) = probe.as_deref_mut() else { return };
    if plan.hidden_sites.contains(&site) {
        for (position, state) in (first_position..).zip(stream.chunks_exact(hidden)) {
            if plan.hidden_positions.contains(position) {
                probe.hidden_state(site, position, state);
            }
        }
    }
}
