//! The text form of a policy: `NAME[:key=value,…]`, or several of them joined by `+`.

use std::fmt;

use super::preset::{PRESETS, Preset, Slot};
use super::{AttentionPolicy, PositionScaling, Positions};
use crate::error::{Error, Result};

/// A policy and the text that asked for it, with every default spelled out, but for the two that follow the window: a
/// ceiling (the window) and the distance of retrieved keys (half of it) stand there if they were given, and only then. So a text
/// that is read again, or changed by [`PolicySpec::with`], still knows what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySpec {
    /// E.g. `lm-infinite:start=10,window=2048`, or `lambda:start=10,window=2048+temperature:from=2048`.
    pub label: String,
    /// What it means.
    pub policy: AttentionPolicy,
}

/// One preset of a text, with the keys that were given.
struct Part {
    preset: Preset,
    given: Vec<String>,
}

/// A value as it is written.
enum Value {
    Length(u64),
    Factor(f64),
}

impl Value {
    fn number(&self) -> f64 {
        match *self {
            Self::Length(length) => length as f64,
            Self::Factor(factor) => factor,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(f, "{length}"),
            Self::Factor(factor) => write!(f, "{factor}"),
        }
    }
}

impl PolicySpec {
    /// Reads `NAME[:key=value,…]`. Window and ceiling default to `trained_length`, start to 10 (`streaming-llm`: 4),
    /// factor to 4 (`dynamic-ntk`: 1); k to 5, from_layer to 4 and distance to half the window, as in the paper.
    ///
    /// Presets joined by `+` are one policy where each says something that no other does: which keys are attended, at which
    /// distances, in which scaling of the position encoding, at which temperature.
    ///
    /// # Errors
    /// A name, key or value that is not known, parts that say the same thing twice, a policy that makes no sense.
    pub fn parse(text: &str, trained_length: u64) -> Result<Self> {
        let refuse = |reason: String| Error::Policy { policy: text.to_owned(), reason };
        let parts: Vec<Part> = text
            .split('+')
            .map(|part| Part::parse(part, trained_length))
            .collect::<std::result::Result<_, _>>()
            .map_err(refuse)?;
        let policy = composed(&parts).map_err(refuse)?;
        policy.validate().map_err(|e| match e {
            Error::Policy { reason, .. } => refuse(reason),
            other => other,
        })?;
        let labels: Vec<String> = parts.iter().map(Part::label).collect();
        Ok(Self { label: labels.join("+"), policy })
    }

    /// The preset, or the presets joined by `+`.
    pub fn preset(&self) -> String {
        let names = self.label.split('+').map(|part| part.split(':').next().unwrap_or(part));
        names.collect::<Vec<_>>().join("+")
    }

    /// Every parameter that the presets take, with its value: what [`Self::with`] changes. A key that two of the presets have
    /// is called `preset.key`.
    pub fn parameters(&self) -> Vec<(String, f64)> {
        // Every value stands in the label, or follows from it: the training length has no part in it.
        let parts: Vec<Part> = self.label.split('+').filter_map(|part| Part::parse(part, 1).ok()).collect();
        let mut all = Vec::new();
        for part in &parts {
            let others = || parts.iter().filter(|other| other.preset.name != part.preset.name);
            for &key in part.preset.keys {
                let Some(value) = part.value(key) else { continue };
                let shared = others().any(|other| other.preset.keys.contains(&key));
                let key = if shared { format!("{}.{key}", part.preset.name) } else { key.to_owned() };
                all.push((key, value.number()));
            }
        }
        all
    }

    /// The same with `key` at `value`. Defaults that follow the window follow it here too, as if the text had been written
    /// with this value.
    ///
    /// # Errors
    /// As [`Self::parse`] and [`with_key`].
    pub fn with(&self, key: &str, value: f64, trained_length: u64) -> Result<Self> {
        Self::parse(&with_key(&self.label, key, &value.to_string())?, trained_length)
    }
}

impl Part {
    fn parse(text: &str, trained_length: u64) -> std::result::Result<Self, String> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let Some(mut preset) = Preset::named(name, trained_length) else {
            let known: Vec<_> = PRESETS.iter().map(|(name, _)| *name).collect();
            return Err(format!("no preset `{name}`; known are {}", known.join(", ")));
        };
        let mut given: Vec<String> = Vec::new();
        for part in rest.split(',').filter(|part| !part.is_empty()) {
            let (key, value) =
                part.split_once('=').ok_or_else(|| format!("expected key=value, got `{part}`"))?;
            if !preset.keys.contains(&key) {
                let known = if preset.keys.is_empty() { "none".to_owned() } else { preset.keys.join(", ") };
                return Err(format!("`{name}` has no key `{key}`; it takes {known}"));
            }
            if given.iter().any(|own| own == key) {
                return Err(format!("`{key}` is given twice"));
            }
            given.push(key.to_owned());
            let length = || parse_length(value).map_err(|e| format!("{key}: {e}"));
            match preset.slot(key) {
                Some(Slot::Length(slot)) => *slot = length()?,
                Some(Slot::Optional(slot)) => *slot = Some(length()?),
                Some(Slot::Factor(slot)) => {
                    *slot = value.parse().map_err(|_| format!("{key}: expected a number, got `{value}`"))?;
                }
                None => return Err(format!("`{name}` has no key `{key}`")),
            }
        }
        preset.follow(&given);
        Ok(Self { preset, given })
    }

    /// The value of `key`.
    fn value(&self, key: &str) -> Option<Value> {
        match self.preset.clone().slot(key)? {
            Slot::Length(length) => Some(Value::Length(*length)),
            Slot::Optional(length) => length.map(Value::Length),
            Slot::Factor(factor) => Some(Value::Factor(*factor)),
        }
    }

    fn label(&self) -> String {
        // What follows the window stands there only if it was given.
        let follows = |key: &str| {
            self.preset.policy.window.is_some()
                && ["ceiling", "distance"].contains(&key)
                && !self.given.iter().any(|own| own == key)
        };
        let keys = self.preset.keys.iter().filter(|key| !follows(key));
        let parts: Vec<_> = keys.filter_map(|key| Some(format!("{key}={}", self.value(key)?))).collect();
        if parts.is_empty() {
            self.preset.name.to_owned()
        } else {
            format!("{}:{}", self.preset.name, parts.join(","))
        }
    }
}

/// One policy of all parts.
fn composed(parts: &[Part]) -> std::result::Result<AttentionPolicy, String> {
    let mut whole = AttentionPolicy::default();
    let mut said_by: [Option<&str>; 4] = [None; 4];
    for Part { preset: Preset { name, policy, .. }, .. } in parts {
        let says = [
            ("which keys are attended", policy.window.is_some() || policy.dropped.is_some()),
            (
                "at which distances",
                policy.ceiling.is_some() || policy.remap.is_some() || policy.positions == Positions::InCache,
            ),
            ("how the position encoding is scaled", policy.scaling != PositionScaling::None),
            ("the temperature", policy.temperature.is_some()),
        ];
        for ((what, says), said_by) in says.into_iter().zip(&mut said_by) {
            match said_by.filter(|_| says) {
                Some(other) => return Err(format!("`{other}` and `{name}` both say {what}")),
                None if says => *said_by = Some(name),
                None => {}
            }
        }
        let AttentionPolicy {
            start,
            window,
            ceiling,
            positions,
            retrieved,
            dropped,
            remap,
            temperature,
            scaling,
        } = policy.clone();
        whole = AttentionPolicy {
            start: whole.start.max(start),
            window: whole.window.or(window),
            ceiling: whole.ceiling.or(ceiling),
            positions: if positions == Positions::True { whole.positions } else { positions },
            retrieved: whole.retrieved.or(retrieved),
            dropped: whole.dropped.or(dropped),
            remap: whole.remap.or(remap),
            temperature: whole.temperature.or(temperature),
            scaling: if scaling == PositionScaling::None { whole.scaling } else { scaling },
        };
    }
    Ok(whole)
}

/// The text of a policy with `key` at `value`, whether or not it had the key; every other key stays as it was written. Where
/// several presets are joined, the key is that of the one that takes it, or `preset.key`.
///
/// # Errors
/// A key that two of the joined presets take, without the preset's name.
pub fn with_key(text: &str, key: &str, value: &str) -> Result<String> {
    let mut parts: Vec<String> = text.split('+').map(str::to_owned).collect();
    let name = |part: &str| part.split(':').next().unwrap_or(part).to_owned();
    let (only, key) = match key.split_once('.') {
        Some((preset, key)) if parts.iter().any(|part| name(part) == preset) => (Some(preset), key),
        _ => (None, key),
    };
    let takes = |part: &String| match only {
        Some(only) => name(part) == only,
        None => Preset::named(&name(part), 1).is_some_and(|preset| preset.keys.contains(&key)),
    };
    let taking: Vec<usize> = (0..parts.len()).filter(|&index| takes(&parts[index])).collect();
    if let [first, second, ..] = taking[..] {
        let reason = format!(
            "`{key}` may be that of `{0}` or of `{1}`; say {0}.{key} or {1}.{key}",
            name(&parts[first]),
            name(&parts[second])
        );
        return Err(Error::Policy { policy: text.to_owned(), reason });
    }
    // A preset that does not take the key refuses it when the text is read.
    let part = &mut parts[taking.first().copied().unwrap_or(0)];
    let (preset, rest) = part.split_once(':').unwrap_or((part, ""));
    let is_key = |part: &&str| part.split_once('=').is_some_and(|(own, _)| own == key);
    let others = rest.split(',').filter(|part| !part.is_empty() && !is_key(part)).map(str::to_owned);
    let keys: Vec<String> = others.chain([format!("{key}={value}")]).collect();
    *part = format!("{preset}:{}", keys.join(","));
    Ok(parts.join("+"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{DistanceRemap, DroppedStart, RetrievedKeys, Temperature};

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
    fn retrieved_keys_default_to_the_papers_choice() {
        let policy = |text| PolicySpec::parse(text, 256).expect("valid").policy;
        let retrieved = |text| policy(text).retrieved.expect("retrieved keys");
        assert_eq!(retrieved("lm-infinite-topk"), RetrievedKeys { k: 5, from_layer: 4, distance: 128 });
        assert_eq!(retrieved("lm-infinite-topk:window=512,k=0").distance, 256);
        assert_eq!(retrieved("lm-infinite-topk:distance=7,window=512").distance, 7);
        let at = |layer| policy("lm-infinite-topk").at_layer(layer).retrieved;
        assert!(at(3).is_none() && at(4).is_some());
        assert!(policy("lm-infinite-topk:k=0,from_layer=0").at_layer(9).retrieved.is_none());
    }

    #[test]
    fn parameters_are_all_that_a_preset_takes_and_can_be_changed() {
        for (name, _) in PRESETS {
            let spec = PolicySpec::parse(name, 256).expect("valid");
            assert_eq!(spec.preset(), *name);
            for (key, value) in spec.parameters() {
                assert_eq!(
                    spec.with(&key, value, 256).expect("the same").policy,
                    spec.policy,
                    "{name} {key}"
                );
                let changed = spec.with(&key, value + 1.0, 256).expect("one more");
                let now = changed.parameters();
                assert!(now.contains(&(key.clone(), value + 1.0)), "{name} {key}: {}", changed.label);
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
                let written = PolicySpec::parse(&with_key(text, "window", &value).expect("one window"), 256);
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
        let distance = |spec: &PolicySpec| spec.policy.retrieved.expect("retrieved keys").distance;
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

    #[test]
    fn presets_that_say_different_things_compose() {
        let parse = |text: &str| PolicySpec::parse(text, 256).expect(text);
        let spec = parse("lambda:window=512+self-extend:group=4+temperature");
        assert_eq!(
            spec.label,
            "lambda:start=10,window=512+self-extend:group=4,window=64+temperature:from=256"
        );
        assert_eq!(spec.preset(), "lambda+self-extend+temperature");
        let expected = AttentionPolicy {
            start: 10,
            window: Some(512),
            remap: Some(DistanceRemap::Grouped { group: 4, window: 64 }),
            temperature: Some(Temperature { from: 256 }),
            ..Default::default()
        };
        assert_eq!(spec.policy, expected);
        assert_eq!(parse(&spec.label), spec);
        // The order says nothing about the policy.
        assert_eq!(parse("temperature+self-extend:group=4+lambda:window=512").policy, expected);
        assert_eq!(parse("vanilla+dca").policy, parse("dca").policy);
        assert_eq!(parse("rerope:window=40").policy, parse("ceiling:ceiling=40").policy);
        let ceiling = parse("lm-infinite:window=512,ceiling=256+temperature").policy;
        assert_eq!((ceiling.ceiling, ceiling.temperature), (Some(256), Some(Temperature { from: 256 })));
    }

    #[test]
    fn keys_of_joined_presets_are_told_apart() {
        let spec = PolicySpec::parse("lambda:window=512+self-extend", 256).expect("valid");
        let names: Vec<String> = spec.parameters().into_iter().map(|(key, _)| key).collect();
        assert_eq!(names, ["start", "lambda.window", "group", "self-extend.window"]);
        for (key, value) in spec.parameters() {
            let changed = spec.with(&key, value + 1.0, 256).expect("one more");
            assert!(changed.parameters().contains(&(key.clone(), value + 1.0)), "{key}");
            let others = |spec: &PolicySpec| {
                spec.parameters().into_iter().filter(|(other, _)| *other != key).collect::<Vec<_>>()
            };
            assert_eq!(others(&changed), others(&spec));
        }
        let message = spec.with("window", 7.0, 256).expect_err("two").to_string();
        assert!(message.contains("lambda.window or self-extend.window"), "{message}");
        let message = spec.with("factor", 7.0, 256).expect_err("none").to_string();
        assert!(message.contains("has no key `factor`"), "{message}");
    }

    #[test]
    fn presets_that_say_the_same_thing_do_not_compose() {
        for (text, reason) in [
            ("lambda+window", "both say which keys are attended"),
            ("lm-infinite+rerope", "both say at which distances"),
            ("ceiling+dca", "both say at which distances"),
            ("self-extend+streaming-llm", "both say at which distances"),
            ("pi+yarn", "both say how the position encoding is scaled"),
            ("temperature+temperature", "both say the temperature"),
            ("lambda+", "no preset ``"),
            ("lambda+truncate", "no preset `truncate`"),
            ("self-extend:group=0", "group must be from 1"),
            ("self-extend:window=0", "window must be from 1"),
            ("dca:chunk=8,local=9", "local must be at most the chunk of 8"),
            ("temperature:from=1", "from must be at least 2"),
            ("dynamic-ntk:factor=0", "factor must be a number"),
        ] {
            let message = PolicySpec::parse(text, 256).expect_err(text).to_string();
            assert!(message.contains(reason), "{text}: {message}");
        }
    }
}
