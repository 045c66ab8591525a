//! The windows of a checkpoint's own attention, and the training length that follows from them.

use crate::model::config::ModelConfig;
use crate::note::Note;

/// Puts `windows` (one per layer; the file calls them `field`) into `config`, whose training length is the number of positions
/// until now. Where every layer has a window, no longer distance was ever seen, and the training length is the longest of them.
pub(super) fn set_windows(config: &mut ModelConfig, field: &str, windows: Vec<Option<u64>>) -> Option<Note> {
    let layers = windows.len();
    let windowed: Vec<u64> = windows.iter().copied().flatten().collect();
    let longest = *windowed.iter().max()?;
    let positions = config.trained_length;
    if windowed.len() == layers {
        config.trained_length = longest.min(positions);
    }
    config.sliding_windows = windows;
    let places = match windowed.len() {
        all if all == layers => "in every layer".to_owned(),
        some => format!("in {some} of {layers} layers"),
    };
    let shortest = windowed.iter().min().copied().unwrap_or(longest);
    let length = if shortest == longest { longest.to_string() } else { format!("{shortest} to {longest}") };
    let said = format!(
        "the model's own attention reaches {length} tokens back {places}: `vanilla` does so, and under every other policy the \
         smaller window holds; start tokens that a policy keeps are seen beyond it, which training never showed these layers. \
         The training length is {} tokens; the checkpoint has {positions} positions",
        config.trained_length
    );
    Some(Note::new(field, said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::KvType;
    use crate::model::config::{Mlp, Multipliers, Norm, PositionConfig, Residual, SoftCaps};

    fn config() -> ModelConfig {
        ModelConfig {
            architecture: "mistral".into(),
            vocabulary: 8,
            hidden: 4,
            layers: 3,
            heads: 1,
            kv_heads: 1,
            head_dim: 4,
            intermediate: 4,
            norm: Norm::Rms { epsilon: 1e-6 },
            mlp: Mlp::SwiGlu,
            residual: Residual::Sequential,
            clip_qkv: None,
            query_key_norm: false,
            layer_positions: Vec::new(),
            multipliers: Multipliers::default(),
            learned_sinks: false,
            experts: None,
            soft_caps: SoftCaps::default(),
            position: PositionConfig::None,
            tied_embeddings: true,
            trained_length: 32_768,
            sliding_windows: Vec::new(),
            kv: KvType::F32,
        }
    }

    #[test]
    fn the_training_length_is_the_longest_distance_that_was_seen() {
        for (windows, trained) in [
            (vec![Some(4096); 3], 4096),
            (vec![Some(4096), None, Some(4096)], 32_768),
            (vec![Some(40_000); 3], 32_768),
            (vec![Some(100), Some(200), Some(300)], 300),
        ] {
            let mut config = config();
            let note = set_windows(&mut config, "sliding_window", windows.clone()).expect("a note");
            assert_eq!((config.trained_length, &config.sliding_windows), (trained, &windows));
            assert!(
                note.said.contains(&trained.to_string()) && note.said.contains("32768 positions"),
                "{note}"
            );
        }
        let mut full = config();
        assert_eq!(set_windows(&mut full, "sliding_window", vec![None; 3]), None);
        assert_eq!(full, config());
    }
}
