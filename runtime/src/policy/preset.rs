//! Presets by name: what each sets, and the keys that change it.

use super::{
    AttentionPolicy, DistanceRemap, DroppedStart, LongRopeFactors, PositionScaling, Positions, RetrievedKeys,
    Temperature,
};

/// Every preset: name and what it does.
pub const PRESETS: &[(&str, &str)] = &[
    ("vanilla", "attention as the model was trained"),
    ("window", "only the most recent keys"),
    ("lambda", "recent keys and start tokens, true distances"),
    ("ceiling", "all keys, distances capped"),
    ("no-start", "all keys but start tokens farther than the training length, true distances"),
    ("ceiling-no-start", "the same, distances capped"),
    ("lm-infinite", "recent keys and start tokens, distances capped at the window"),
    ("lm-infinite-topk", "lm-infinite, and the k keys in between with the largest logits"),
    ("streaming-llm", "recent keys and start tokens, distances counted among the kept keys"),
    ("rerope", "all keys, distances capped at ReRoPE's window: a ceiling by its other name"),
    ("self-extend", "all keys, distances beyond a window counted in groups of tokens"),
    ("dca", "all keys, distances counted within chunks: dual chunk attention"),
    ("temperature", "queries multiplied by ln n / ln from, n the number of keys"),
    ("pi", "position interpolation"),
    ("ntk", "NTK-aware change of RoPE's base"),
    ("dynamic-ntk", "the same, for the length that is being read"),
    ("yarn", "YaRN"),
    ("longrope", "the checkpoint's own long factors at every length"),
];

/// A preset with its defaults for a training length, before any key is given.
#[derive(Clone, Debug)]
pub(super) struct Preset {
    pub(super) name: &'static str,
    /// The keys it takes, in the order of its label.
    pub(super) keys: &'static [&'static str],
    pub(super) policy: AttentionPolicy,
}

/// A value that a key changes.
pub(super) enum Slot<'a> {
    Length(&'a mut u64),
    /// `None`: not set, or what follows the window.
    Optional(&'a mut Option<u64>),
    Factor(&'a mut f64),
}

/// Its factor unless one is given.
const FACTOR: f64 = 4.0;

impl Preset {
    /// The preset called `name`; `None` where there is none.
    pub(super) fn named(name: &str, trained_length: u64) -> Option<Self> {
        let (name, _) = PRESETS.iter().find(|(known, _)| *known == name)?;
        let mut policy = AttentionPolicy::default();
        let keys: &[&str] = match *name {
            "window" => {
                policy.window = Some(trained_length);
                &["window"]
            }
            "lambda" => {
                (policy.start, policy.window) = (10, Some(trained_length));
                &["start", "window"]
            }
            "ceiling" => {
                policy.ceiling = Some(trained_length);
                &["ceiling"]
            }
            "no-start" => {
                policy.dropped = Some(DroppedStart { tokens: 10, beyond: trained_length });
                &["start", "beyond"]
            }
            "ceiling-no-start" => {
                policy.dropped = Some(DroppedStart { tokens: 10, beyond: trained_length });
                policy.ceiling = Some(trained_length);
                &["start", "beyond", "ceiling"]
            }
            "lm-infinite" => {
                (policy.start, policy.window) = (10, Some(trained_length));
                &["start", "window", "ceiling"]
            }
            "lm-infinite-topk" => {
                (policy.start, policy.window) = (10, Some(trained_length));
                // The distance follows once the window is known.
                policy.retrieved = Some(RetrievedKeys { k: 5, from_layer: 4, distance: 0 });
                &["start", "window", "ceiling", "k", "from_layer", "distance"]
            }
            "streaming-llm" => {
                policy.positions = Positions::InCache;
                (policy.start, policy.window) = (4, Some(trained_length));
                &["start", "window"]
            }
            "rerope" => {
                policy.ceiling = Some((trained_length / 2).max(1));
                &["window"]
            }
            "self-extend" => {
                let window = (trained_length / 4).max(1);
                policy.remap = Some(DistanceRemap::Grouped { group: 8, window });
                &["group", "window"]
            }
            "dca" => {
                // Three quarters of the training length, as published; what is left of it is local.
                let chunk = (trained_length - trained_length / 4).max(1);
                policy.remap = Some(DistanceRemap::Chunked { chunk, local: (trained_length / 4).max(1) });
                &["chunk", "local"]
            }
            "temperature" => {
                policy.temperature = Some(Temperature { from: trained_length });
                &["from"]
            }
            "pi" => {
                policy.scaling = PositionScaling::Linear { factor: FACTOR };
                &["factor"]
            }
            "ntk" => {
                policy.scaling = PositionScaling::Ntk { factor: FACTOR };
                &["factor"]
            }
            "dynamic-ntk" => {
                policy.scaling = PositionScaling::DynamicNtk { factor: 1.0, original_length: trained_length };
                &["factor"]
            }
            "yarn" => {
                policy.scaling = PositionScaling::yarn(FACTOR, trained_length);
                &["factor"]
            }
            "longrope" => {
                policy.scaling = PositionScaling::LongRope { factors: LongRopeFactors::Long };
                &[]
            }
            // vanilla
            _ => &[],
        };
        Some(Self { name, keys, policy })
    }

    /// What `key`, one of [`Self::keys`], changes.
    pub(super) fn slot(&mut self, key: &str) -> Option<Slot<'_>> {
        let policy = &mut self.policy;
        Some(match (self.name, key) {
            ("rerope", "window") => Slot::Optional(&mut policy.ceiling),
            ("self-extend" | "dca", _) => match policy.remap.as_mut()? {
                DistanceRemap::Grouped { group: first, window: second }
                | DistanceRemap::Chunked { chunk: first, local: second } => {
                    Slot::Length(if key == self.keys[0] { first } else { second })
                }
            },
            ("no-start" | "ceiling-no-start", "start") => Slot::Length(&mut policy.dropped.as_mut()?.tokens),
            (_, "beyond") => Slot::Length(&mut policy.dropped.as_mut()?.beyond),
            (_, "start") => Slot::Length(&mut policy.start),
            (_, "window") => Slot::Optional(&mut policy.window),
            (_, "ceiling") => Slot::Optional(&mut policy.ceiling),
            (_, "k") => Slot::Length(&mut policy.retrieved.as_mut()?.k),
            (_, "from_layer") => Slot::Length(&mut policy.retrieved.as_mut()?.from_layer),
            (_, "distance") => Slot::Length(&mut policy.retrieved.as_mut()?.distance),
            (_, "from") => Slot::Length(&mut policy.temperature.as_mut()?.from),
            _ => match &mut policy.scaling {
                PositionScaling::Linear { factor }
                | PositionScaling::Ntk { factor }
                | PositionScaling::DynamicNtk { factor, .. }
                | PositionScaling::Yarn { factor, .. }
                | PositionScaling::Llama3 { factor, .. } => Slot::Factor(factor),
                PositionScaling::None | PositionScaling::LongRope { .. } => return None,
            },
        })
    }

    /// Sets what follows the window, unless it was `given`.
    pub(super) fn follow(&mut self, given: &[String]) {
        let is_given = |key: &str| given.iter().any(|own| own == key);
        if self.keys.contains(&"ceiling") && self.policy.ceiling.is_none() {
            self.policy.ceiling = self.policy.window;
        }
        if let (Some(retrieved), Some(window)) = (&mut self.policy.retrieved, self.policy.window)
            && !is_given("distance")
        {
            retrieved.distance = (window / 2).max(1);
        }
    }
}
