//! A diagnosis: every run over the same text, side by side, with all that its figures and tables need.

use lm_infinite_analysis::entropy::EntropyCurves;
use lm_infinite_analysis::nll::{Break, BreakOrder, NllBucket};
use lm_infinite_analysis::{BandCurve, Bins, PooledMaps};
use lm_infinite_runtime::model::ModelConfig;
use lm_infinite_runtime::note::Note;
use lm_infinite_runtime::policy::AttentionPolicy;
use ndarray::{Array3, Array4};
use serde::{Deserialize, Serialize};

use super::drift::SiteDrift;
use super::factors::Factors;
use super::heads::HeadReport;
use super::loss::{LOSS_MARGIN, LossVerdict};
use crate::causes::Causes;
use crate::error::Result;
use crate::evaluate::ReferenceWindows;
use crate::prediction::Predicted;
use crate::reference_bias::ReferenceBias;

/// All runs of one model over one text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Name of the model.
    pub model: String,
    /// Its shape.
    pub config: ModelConfig,
    /// Length of the text, in tokens.
    pub tokens: u64,
    /// Position of the first token that was drawn from the text's documents, behind its end: from here on it repeats.
    #[serde(default)]
    pub repeated_from: Option<u64>,
    /// What there is to say of the text.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// L_pretrain.
    pub trained_length: u64,
    /// A loss that rises by more than this above [`Self::reference`], token by token, fails; in nats.
    #[serde(default = "loss_margin")]
    pub loss_margin: f64,
    /// The windows in which the reference was read; `None` in results of older versions, where they begin half of the
    /// training length apart.
    #[serde(default)]
    pub reference_window: Option<ReferenceWindows>,
    /// Where these windows are coarse: what that does to the reference, if it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_bias: Option<ReferenceBias>,
    /// Loss by position of the model on the same text when it never goes past its training length
    /// ([`evaluate_in_segments`](crate::evaluate::evaluate_in_segments)).
    pub reference: Vec<NllBucket>,
    /// Its mean, in nats per predicted token; `None` where one is not finite.
    pub reference_nll: Option<f64>,
    /// Tokens of the reference whose loss is not finite. Where there are any, no loss is held against it.
    #[serde(default)]
    pub reference_non_finite_tokens: u64,
    /// The first of them.
    #[serde(default)]
    pub reference_first_non_finite: Option<u64>,
    /// Bins of the curves and arrays.
    pub bins: BinEdges,
    /// One per policy, in the order asked for.
    pub runs: Vec<RunMeasurement>,
    /// Causes of the failure, where they were looked for. Kept beside the JSON form, which leaves them out.
    #[serde(skip)]
    pub causes: Option<Causes>,
    /// What was predicted from windows of the training length, where that was asked for. Kept beside the JSON form, which leaves it
    /// out.
    #[serde(skip)]
    pub predicted: Option<Predicted>,
    /// Loss of tokens 1..n of the reference, in nats. [n − 1] Kept beside the JSON form, which leaves it out.
    #[serde(skip)]
    pub reference_per_token: Vec<f32>,
}

/// Lower edges of bins; the last of each is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BinEdges {
    /// Query positions of entropy and start mass.
    pub positions: Bins,
    /// Distances of logits.
    pub logit_distances: Bins,
    /// Distances of probability mass.
    pub mass_distances: Bins,
    /// Queries of the attention maps.
    pub map_queries: Vec<u64>,
    /// Key positions of the attention maps.
    pub map_keys: Bins,
}

/// What one policy did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunMeasurement {
    /// The policy as written.
    pub policy: String,
    /// What it means.
    pub attention: AttentionPolicy,
    /// Mean loss, in nats per predicted token; `None` if one is not finite.
    pub nll: Option<f64>,
    /// `exp(nll)`.
    pub perplexity: Option<f64>,
    /// Tokens whose loss is NaN or infinite.
    #[serde(default)]
    pub non_finite_tokens: u64,
    /// Position of the first of them.
    #[serde(default)]
    pub first_non_finite: Option<u64>,
    /// What became of the loss.
    #[serde(default)]
    pub loss: LossVerdict,
    /// Loss by position.
    pub buckets: Vec<NllBucket>,
    /// Where the loss fails: [`LossVerdict::onset`]; its `nll` is the mean from there on, above the reference, its `threshold`
    /// the margin. A loss that is not finite breaks at that token, wherever it is, or where it fails before.
    pub breaks: Option<Break>,
    /// Tokens fed per second, everything included.
    pub prefill_tokens_per_second: f64,
    /// Largest resident memory of the process, where the system tells.
    pub peak_rss_bytes: Option<u64>,
    /// Bytes of the key/value cache at the end.
    pub kv_cache_bytes: u64,
    /// Which factor broke where.
    pub factors: Factors,
    /// In which order they and the loss broke.
    pub order: BreakOrder,
    /// Every head, by layer.
    pub heads: Vec<HeadReport>,
    /// Means over heads.
    pub curves: Curves,
    /// Hidden states, one entry per site.
    pub drift: Vec<SiteDrift>,
    /// Values per token and per head; kept beside the JSON form, which leaves them out.
    #[serde(skip)]
    pub arrays: RunArrays,
}

/// Mean ± std over all layers and heads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// Prefix maximum of the logit against distance, over all sampled queries, on keys after the start tokens.
    pub logits: BandCurve,
    /// The same on the start tokens.
    pub logits_start: BandCurve,
    /// The same for the last sampled query alone, on all keys (Fig. 1a).
    pub logits_last: BandCurve,
    /// Mean over queries of the largest logit of a row, against the position of the query.
    pub logits_by_length: BandCurve,
    /// Quantiles of the logits of sampled queries on all keys, all heads together, against distance.
    pub logit_quantiles: Vec<LogitQuantile>,
    /// Entropy against context length, in nats (Fig. 1b).
    pub entropy: BandCurve,
    /// Effective number of attended keys, e^H, against context length.
    pub effective_keys: BandCurve,
    /// Entropy of sampled queries and what their logits alone say of it (appendix D).
    pub entropy_bounds: EntropyCurves<BandCurve>,
    /// Probability on the start tokens against position.
    pub start_mass: BandCurve,
}

/// Quantiles of the logit in one bin of distance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogitQuantile {
    /// Lower edge of the bin, in tokens.
    pub from: u64,
    /// The quantiles of [`LogitQuantile::SHARES`]; `None` where no key was attended.
    pub logits: Option<[f64; 5]>,
}

impl LogitQuantile {
    /// Shares of the logits below each quantile.
    pub const SHARES: [f64; 5] = [0.01, 0.25, 0.5, 0.75, 0.99];

    pub(super) fn all(seen: &lm_infinite_analysis::explosion::LogitQuantiles) -> Result<Vec<Self>> {
        let mut quantiles = Vec::new();
        for share in Self::SHARES {
            quantiles.push(seen.pooled(share)?);
        }
        let of = |(bin, &from): (usize, &u64)| {
            let all: Option<Vec<f64>> = quantiles.iter().map(|quantile| quantile[bin]).collect();
            Self { from, logits: all.and_then(|all| all.try_into().ok()) }
        };
        let mut all: Vec<Self> = seen.bins().lower().iter().enumerate().map(of).collect();
        // A run that was stopped has nothing at the distances that were planned for.
        all.truncate(all.iter().rposition(|bin| bin.logits.is_some()).map_or(0, |last| last + 1));
        Ok(all)
    }
}

/// What is too large for JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunArrays {
    /// Loss of tokens 1..n, in nats. [n − 1]
    pub nll: Vec<f32>,
    /// Largest logit per bin of distance, all sampled queries, keys after the start tokens; −inf where none was attended.
    /// [layers, heads, bins]
    pub max_logit: Array3<f32>,
    /// The same on the start tokens. [layers, heads, bins]
    pub max_logit_start: Array3<f32>,
    /// The same for the last sampled query alone, on all keys. [layers, heads, bins]
    pub max_logit_last: Array3<f32>,
    /// Largest logit of any query per bin of its position, on all keys; −inf where nothing was seen. [layers, heads, bins]
    pub max_logit_by_length: Array3<f32>,
    /// Mean entropy per bin of position, in nats; NaN where nothing was seen. [layers, heads, bins]
    pub entropy: Array3<f32>,
    /// Mean probability on the start tokens per bin of position. [layers, heads, bins]
    pub start_mass: Array3<f32>,
    /// Mean mass per bin of distance, queries within the training length. [layers, heads, bins]
    pub mass_inside: Array3<f32>,
    /// Mean mass per bin of distance, queries beyond it; NaN if there are none. [layers, heads, bins]
    pub mass_beyond: Array3<f32>,
    /// Largest logit of sampled queries per bin of key position; −inf where none was attended.
    /// [layers, heads, queries, bins]
    pub map_logit: Array4<f32>,
    /// Probability there; NaN for a query without a finite row. [layers, heads, queries, bins]
    pub map_mass: Array4<f32>,
    /// Largest logit and probability of every query in squares of tokens, where they were gathered
    /// ([`Collector::with_pooled_maps`](super::Collector::with_pooled_maps)); not kept in result folders.
    pub pooled: Option<PooledMaps>,
}

fn loss_margin() -> f64 {
    LOSS_MARGIN
}
