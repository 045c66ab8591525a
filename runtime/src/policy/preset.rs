//! Presets by name, and the text form of a policy: `NAME[:key=value,…]`.

use std::fmt;

use super::{AttentionPolicy, DroppedStart, Middle, PositionScaling, Positions};
use crate::error::{Error, Result};

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
    ("pi", "position interpolation"),
    ("ntk", "NTK-aware change of RoPE's base"),
    ("yarn", "YaRN"),
];

/// A policy and the text that asked for it, with every default spelled out, but for the two that follow the window: a
/// ceiling (the window) and the distance of retrieved keys (half of it) stand there if they were given, and only then. So a text
/// that is read again, or changed by [`PolicySpec::with`], still knows what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySpec {
    /// E.g. `lm-infinite:start=10,window=2048`.
    pub label: String,
    /// What it means.
    pub policy: AttentionPolicy,
}

impl PolicySpec {
    /// Reads `NAME[:key=value,…]`. Window and ceiling default to `trained_length`, start to 10 (`streaming-llm`: 4),
    /// factor to 4; k to 5, from_layer to 4 and distance to half the window, as in the paper.
    pub fn parse(text: &str, trained_length: u64) -> Result<Self> {
        let refuse = |reason: String| Error::Policy { policy: text.to_owned(), reason };
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let mut policy = AttentionPolicy::default();
        let default_factor = 4.0;
        let keys: &[&str] = match name {
            "vanilla" => &[],
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
                policy.middle = Some(Middle { k: 5, from_layer: 4, distance: 0 });
                &["start", "window", "ceiling", "k", "from_layer", "distance"]
            }
            "streaming-llm" => {
                policy.positions = Positions::InCache;
                (policy.start, policy.window) = (4, Some(trained_length));
                &["start", "window"]
            }
            "pi" => {
                policy.scaling = PositionScaling::Linear { factor: default_factor };
                &["factor"]
            }
            "ntk" => {
                policy.scaling = PositionScaling::Ntk { factor: default_factor };
                &["factor"]
            }
            "yarn" => {
                policy.scaling = PositionScaling::Yarn {
                    factor: default_factor,
                    original_length: trained_length,
                    beta_fast: 32.0,
                    beta_slow: 1.0,
                };
                &["factor"]
            }
            _ => {
                let known: Vec<_> = PRESETS.iter().map(|(name, _)| *name).collect();
                return Err(refuse(format!("no preset `{name}`; known are {}", known.join(", "))));
            }
        };
        let mut seen = Vec::new();
        for part in rest.split(',').filter(|part| !part.is_empty()) {
            let (key, value) =
                part.split_once('=').ok_or_else(|| refuse(format!("expected key=value, got `{part}`")))?;
            if !keys.contains(&key) {
                let known = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
                return Err(refuse(format!("`{name}` has no key `{key}`; it takes {known}")));
            }
            if seen.contains(&key) {
                return Err(refuse(format!("`{key}` is given twice")));
            }
            seen.push(key);
            let length = || crate::policy::parse_length(value).map_err(|e| refuse(format!("{key}: {e}")));
            let mut unused = Middle { k: 0, from_layer: 0, distance: 0 };
            let middle = policy.middle.as_mut().unwrap_or(&mut unused);
            let mut kept = DroppedStart { tokens: 0, beyond: 0 };
            let dropped = policy.dropped.as_mut();
            let drops = dropped.is_some();
            let dropped = dropped.unwrap_or(&mut kept);
            match key {
                "start" if drops => dropped.tokens = length()?,
                "beyond" => dropped.beyond = length()?,
                "start" => policy.start = length()?,
                "window" => policy.window = Some(length()?),
                "ceiling" => policy.ceiling = Some(length()?),
                "k" => middle.k = length()?,
                "from_layer" => middle.from_layer = length()?,
                "distance" => middle.distance = length()?,
                _ => {
                    let given: f64 = value
                        .parse()
                        .map_err(|_| refuse(format!("factor: expected a number, got `{value}`")))?;
                    match &mut policy.scaling {
                        PositionScaling::Linear { factor }
                        | PositionScaling::Ntk { factor }
                        | PositionScaling::Yarn { factor, .. }
                        | PositionScaling::Llama3 { factor, .. } => *factor = given,
                        PositionScaling::None => unreachable!("only scaled presets take a factor"),
                    }
                }
            }
        }
        if keys.contains(&"ceiling") && policy.ceiling.is_none() {
            policy.ceiling = policy.window;
        }
        if let (Some(middle), Some(window)) = (&mut policy.middle, policy.window)
            && !seen.contains(&"distance")
        {
            middle.distance = (window / 2).max(1);
        }
        policy.validate().map_err(|e| match e {
            Error::Policy { reason, .. } => refuse(reason),
            other => other,
        })?;
        Ok(Self { label: label(name, keys, &seen, &policy), policy })
    }
}

impl PolicySpec {
    /// The preset.
    pub fn preset(&self) -> &str {
        self.label.split_once(':').map_or(self.label.as_str(), |(name, _)| name)
    }

    /// Every parameter that the preset takes, with its value: what [`Self::with`] changes.
    pub fn parameters(&self) -> Vec<(&'static str, f64)> {
        let policy = &self.policy;
        let middle = |part: fn(Middle) -> u64| policy.middle.map(|middle| part(middle) as f64);
        let factor = match policy.scaling {
            PositionScaling::Linear { factor }
            | PositionScaling::Ntk { factor }
            | PositionScaling::Yarn { factor, .. }
            | PositionScaling::Llama3 { factor, .. } => Some(factor),
            PositionScaling::None => None,
        };
        let capped = policy.ceiling.map(|ceiling| ceiling as f64);
        let window = policy.window.map(|window| window as f64);
        // Only `window` keeps no start tokens.
        let kept = window.filter(|_| self.preset() != "window").map(|_| policy.start as f64);
        let dropped = policy.dropped.map(|dropped| (dropped.tokens as f64, dropped.beyond as f64));
        let all = [
            ("start", dropped.map(|dropped| dropped.0).or(kept)),
            ("window", window),
            ("beyond", dropped.map(|dropped| dropped.1)),
            ("ceiling", capped),
            ("k", middle(|middle| middle.k)),
            ("from_layer", middle(|middle| middle.from_layer)),
            ("distance", middle(|middle| middle.distance)),
            ("factor", factor),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    /// The same with `key` at `value`. Defaults that follow the window follow it here too, as if the text had been written
    /// with this value.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn with(&self, key: &str, value: f64, trained_length: u64) -> Result<Self> {
        Self::parse(&with_key(&self.label, key, &value.to_string()), trained_length)
    }
}

/// The text of a policy with `key` at `value`, whether or not it had the key; every other key stays as it was written.
pub fn with_key(text: &str, key: &str, value: &str) -> String {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let is_key = |part: &&str| part.split_once('=').is_some_and(|(own, _)| own == key);
    let others = rest.split(',').filter(|part| !part.is_empty() && !is_key(part)).map(str::to_owned);
    let parts: Vec<String> = others.chain([format!("{key}={value}")]).collect();
    format!("{name}:{}", parts.join(","))
}

/// `given` are the keys that were asked for.
fn label(name: &str, keys: &[&str], given: &[&str], policy: &AttentionPolicy) -> String {
    // What follows the window stands there only if it was given.
    let follows = |key: &str| policy.window.is_some() && ["ceiling", "distance"].contains(&key);
    let value = |key: &str| match key {
        _ if follows(key) && !given.contains(&key) => None,
        "start" => Some(policy.dropped.map_or(policy.start, |dropped| dropped.tokens).to_string()),
        "beyond" => policy.dropped.map(|dropped| dropped.beyond.to_string()),
        "window" => policy.window.map(|w| w.to_string()),
        "ceiling" => policy.ceiling.map(|c| c.to_string()),
        "k" => policy.middle.map(|middle| middle.k.to_string()),
        "from_layer" => policy.middle.map(|middle| middle.from_layer.to_string()),
        "distance" => policy.middle.map(|middle| middle.distance.to_string()),
        _ => match policy.scaling {
            PositionScaling::Linear { factor }
            | PositionScaling::Ntk { factor }
            | PositionScaling::Yarn { factor, .. }
            | PositionScaling::Llama3 { factor, .. } => Some(factor.to_string()),
            PositionScaling::None => None,
        },
    };
    let parts: Vec<_> = keys.iter().filter_map(|key| value(key).map(|v| format!("{key}={v}"))).collect();
    if parts.is_empty() { name.to_owned() } else { format!("{name}:{}", parts.join(",")) }
}

/// Reads a length in tokens: `4096`, `32k` (·1024), `200M` (·10⁶), `1G` (·10⁹).
///
/// `k` follows the field's habit for context lengths (8k = 8192); `M` and `G` that for corpus sizes.
pub fn parse_length(text: &str) -> std::result::Result<u64, String> {
    let (digits, unit) = match text.chars().last() {
        Some('k' | 'K') => (&text[..text.len() - 1], 1024),
        Some('M') => (&text[..text.len() - 1], 1_000_000),
        Some('G') => (&text[..text.len() - 1], 1_000_000_000),
        _ => (text, 1),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("expected a length such as 4096, 32k, 200M or 1G, got `{text}`"))?;
    number.checked_mul(unit).ok_or_else(|| format!("`{text}` is larger than 2^64"))
}

impl fmt::Display for AttentionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "start={}", self.start)?;
        if let Some(window) = self.window {
            write!(f, ",window={window}")?;
        }
        if let Some(ceiling) = self.ceiling {
            write!(f, ",ceiling={ceiling}")?;
        }
        if self.positions == Positions::InCache {
            write!(f, ",positions=in-cache")?;
        }
        if let Some(DroppedStart { tokens, beyond }) = self.dropped {
            write!(f, ",dropped={tokens},beyond={beyond}")?;
        }
        if let Some(Middle { k, from_layer, distance }) = self.middle {
            write!(f, ",k={k},from_layer={from_layer},distance={distance}")?;
        }
        match self.scaling {
            PositionScaling::None => Ok(()),
            PositionScaling::Linear { factor } => write!(f, ",pi={factor}"),
            PositionScaling::Ntk { factor } => write!(f, ",ntk={factor}"),
            PositionScaling::Yarn { factor, .. } => write!(f, ",yarn={factor}"),
            PositionScaling::Llama3 { factor, .. } => write!(f, ",llama3={factor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_come_from_the_trained_length() {
        let spec = PolicySpec::parse("lm-infinite", 8192).expect("valid");
        assert_eq!(spec.label, "lm-infinite:start=10,window=8192");
        assert_eq!(
            (spec.policy.start, spec.policy.window, spec.policy.ceiling),
            (10, Some(8192), Some(8192))
        );
        let spec = PolicySpec::parse("lm-infinite:window=2k", 8192).expect("valid");
        assert_eq!((spec.policy.window, spec.policy.ceiling), (Some(2048), Some(2048)));
        let spec = PolicySpec::parse("streaming-llm", 8192).expect("valid");
        assert_eq!((spec.policy.start, spec.policy.positions), (4, Positions::InCache));
    }

    #[test]
    fn start_tokens_are_dropped_where_a_window_would_drop_them() {
        let spec = PolicySpec::parse("ceiling-no-start:start=4", 256).expect("valid");
        assert_eq!(spec.label, "ceiling-no-start:start=4,beyond=256,ceiling=256");
        assert_eq!(spec.policy.dropped, Some(DroppedStart { tokens: 4, beyond: 256 }));
        assert_eq!((spec.policy.start, spec.policy.window, spec.policy.ceiling), (0, None, Some(256)));
        let both = AttentionPolicy { window: Some(9), ..spec.policy.clone() };
        assert!(both.validate().is_err());
        // What was written before there was such a field reads as before, and without it nothing else is written.
        let older =
            r#"{"start":0,"window":null,"ceiling":null,"positions":"true","scaling":{"kind":"none"}}"#;
        let read: AttentionPolicy = serde_json::from_str(older).expect("an older policy");
        assert_eq!(
            (&read, serde_json::to_string(&read).expect("JSON")),
            (&AttentionPolicy::default(), older.into())
        );
        let text = serde_json::to_string(&spec.policy).expect("JSON");
        assert_eq!(serde_json::from_str::<AttentionPolicy>(&text).expect("the same"), spec.policy);
    }

    #[test]
    fn every_preset_reads_back_its_own_label() {
        for (name, _) in PRESETS {
            let spec = PolicySpec::parse(name, 256).expect("valid");
            assert_eq!(PolicySpec::parse(&spec.label, 999).expect("valid").policy.window, spec.policy.window);
        }
    }

    #[test]
    fn middle_keys_default_to_the_papers_choice() {
        let policy = |text| PolicySpec::parse(text, 256).expect("valid").policy;
        let middle = |text| policy(text).middle.expect("retrieved keys");
        assert_eq!(middle("lm-infinite-topk"), Middle { k: 5, from_layer: 4, distance: 128 });
        assert_eq!(middle("lm-infinite-topk:window=512,k=0").distance, 256);
        assert_eq!(middle("lm-infinite-topk:distance=7,window=512").distance, 7);
        let at = |layer| policy("lm-infinite-topk").at_layer(layer).middle;
        assert!(at(3).is_none() && at(4).is_some());
        assert!(policy("lm-infinite-topk:k=0,from_layer=0").at_layer(9).middle.is_none());
    }

    #[test]
    fn parameters_are_all_that_a_preset_takes_and_can_be_changed() {
        for (name, _) in PRESETS {
            let spec = PolicySpec::parse(name, 256).expect("valid");
            assert_eq!(&spec.preset(), name);
            for (key, value) in spec.parameters() {
                assert_eq!(spec.with(key, value, 256).expect("the same").policy, spec.policy, "{name} {key}");
                let changed = spec.with(key, value + 1.0, 256).expect("one more");
                let now = changed.parameters();
                assert!(now.contains(&(key, value + 1.0)), "{name} {key}: {}", changed.label);
            }
        }
        let spec = PolicySpec::parse("lm-infinite", 256).expect("valid");
        let wider = spec.with("window", 300.0, 256).expect("valid");
        assert_eq!((wider.policy.window, wider.policy.ceiling), (Some(300), Some(300)));
        let capped =
            spec.with("ceiling", 99.0, 256).expect("valid").with("window", 300.0, 256).expect("valid");
        assert_eq!((capped.policy.window, capped.policy.ceiling), (Some(300), Some(99)));
        assert!(spec.with("window", 0.0, 256).is_err() && spec.with("window", 0.5, 256).is_err());
    }

    #[test]
    fn what_follows_the_window_follows_it_wherever_it_is_changed_unless_it_was_given() {
        let parse = |text: &str| PolicySpec::parse(text, 256).expect("valid");
        for text in [
            "window",
            "lambda:start=3",
            "lm-infinite",
            "lm-infinite:ceiling=256",
            "lm-infinite:ceiling=40,window=90",
            "lm-infinite-topk",
            "lm-infinite-topk:distance=128",
            "lm-infinite-topk:distance=9,k=3,ceiling=100",
            "streaming-llm",
        ] {
            for window in [64, 256, 300] {
                let value = window.to_string();
                let written = PolicySpec::parse(&with_key(text, "window", &value), 256);
                let before = parse(text);
                let read_again = PolicySpec::parse(&before.label, 999).expect("its own label");
                assert_eq!(read_again, before, "{text}");
                for changed in [&before, &read_again] {
                    match (&written, changed.with("window", window as f64, 256)) {
                        (Ok(written), Ok(changed)) => assert_eq!(&changed, written, "{text} {window}"),
                        (Err(_), Err(error)) => assert!(error.to_string().contains("distance"), "{error}"),
                        (written, changed) => panic!("{text} {window}: {written:?} but {changed:?}"),
                    }
                }
            }
        }
        let distance = |spec: &PolicySpec| spec.policy.middle.expect("retrieved keys").distance;
        let narrow = parse("lm-infinite-topk").with("window", 64.0, 256).expect("valid");
        assert_eq!((distance(&narrow), narrow.policy.ceiling), (32, Some(64)));
        let given = parse("lm-infinite-topk:distance=128");
        assert_eq!(distance(&given.with("window", 300.0, 256).expect("valid")), 128);
        let message = given.with("window", 64.0, 256).expect_err("beyond the window").to_string();
        assert!(message.contains("distance of retrieved keys is 128, beyond the window of 64"), "{message}");
        let fixed = parse("lm-infinite").with("ceiling", 256.0, 256).expect("valid");
        assert_eq!(fixed.with("window", 300.0, 256).expect("valid").policy.ceiling, Some(256));
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for (text, reason) in [
            ("window:window=0", "window must be at least 1"),
            ("vanilla:start=4", "has no key `start`"),
            ("window:window=4,window=5", "given twice"),
            ("no-start:start=0", "must be at least 1"),
            ("no-start:beyond=0", "beyond must be at least 1"),
            ("no-start:window=9", "has no key `window`"),
            ("ceiling-no-start:ceiling=0", "ceiling must be at least 1"),
            ("window:window", "expected key=value"),
            ("window:window=-1", "expected a length"),
            ("pi:factor=nan", "factor must be a number"),
            ("pi:factor=0.5", "factor must be a number"),
            ("window:window=99999999999G", "larger than 2^64"),
            ("window:window=400000G", "larger than any cache"),
            ("truncated", "no preset"),
            ("lm-infinite-topk:window=64,distance=65", "beyond the window of 64"),
        ] {
            let message = PolicySpec::parse(text, 256).expect_err(text).to_string();
            assert!(message.contains(reason), "{text}: {message}");
        }
    }

    #[test]
    fn lengths_take_units() {
        assert_eq!(parse_length("32k"), Ok(32768));
        assert_eq!(parse_length("200M"), Ok(200_000_000));
        assert!(parse_length("").is_err() && parse_length("k").is_err() && parse_length("é").is_err());
    }
}
