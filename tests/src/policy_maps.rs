//! Policies that differ by layer and head, in sessions: how a text is cut does not matter, layers can be shared, snapshots go on.

use std::sync::Arc;

use lm_infinite::policy::{AttentionPolicy, PolicyMap, PolicySpec};
use lm_infinite::session::{LayerStates, Session};

use crate::support::{made_up_tokens, score, tied_model};

fn policy(text: &str) -> AttentionPolicy {
    PolicySpec::parse(text, 5).expect("a policy").policy
}

/// Maps that change layers, heads, and both; window 5.
fn maps() -> Vec<PolicyMap> {
    let fix = || policy("lm-infinite:start=2");
    vec![
        PolicyMap::from(policy("vanilla")).with_layer(1, fix()),
        PolicyMap::from(fix()).with_layer(0, policy("vanilla")),
        PolicyMap::from(policy("vanilla")).with_head(1, 3, fix()).with_head(0, 0, policy("window")),
        PolicyMap::from(policy("streaming-llm:start=2"))
            .with_head(0, 1, policy("lm-infinite:start=1,window=9"))
            .with_head(1, 0, policy("ceiling-no-start:start=2")),
    ]
}

#[test]
fn heads_of_one_policy_are_that_policy() {
    let (model, tokens) = (tied_model(), made_up_tokens(600));
    let run = |map: PolicyMap| {
        let mut session = Session::new(model.clone(), map).expect("fits");
        (score(&mut session, &tokens, 600), session.kv_cache_bytes())
    };
    let fix = policy("lm-infinite:start=2");
    let uniform = run(fix.clone().into());
    let mut map = PolicyMap::from(policy("vanilla"));
    for layer in 0..model.config().layers {
        for head in 0..model.config().heads {
            map = map.with_head(layer, head, fix.clone());
        }
    }
    assert_eq!(run(map), uniform);
    let vanilla = run(policy("vanilla").into());
    for map in maps() {
        let (losses, bytes) = run(map.clone());
        assert!(losses != uniform.0 && losses != vanilla.0, "{map}");
        assert!(bytes >= uniform.1 && bytes <= vanilla.1, "{map}: {bytes}");
    }
}

#[test]
fn how_a_text_is_cut_does_not_matter() {
    let (model, tokens) = (tied_model(), made_up_tokens(300));
    for map in maps() {
        for n in [0, 1, 4, 5, 6, 300] {
            let session = || Session::new(model.clone(), map.clone()).expect("fits");
            let whole = score(&mut session(), &tokens[..n], 300);
            assert_eq!(whole.len(), n.saturating_sub(1));
            for cut in [1, 7, 64] {
                let parts = score(&mut session(), &tokens[..n], cut);
                let worst = whole.iter().zip(&parts).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 2e-4, "{map} in chunks of {cut}: {worst} nats");
            }
        }
    }
}

#[test]
fn layers_that_are_shared_give_the_same_losses_bit_for_bit() {
    let model = tied_model();
    for n in [0, 1, 2, 512, 513, 1300] {
        let tokens = made_up_tokens(n);
        let (vanilla, fix) = (policy("vanilla"), policy("lm-infinite:start=2"));
        let mut shared =
            LayerStates::new(model.clone(), Arc::from(tokens.as_slice()), 0).expect("known tokens");
        for layer in 0..=model.config().layers {
            assert_eq!(shared.layer(), layer);
            // Vanilla before this layer, the fix from here on.
            let map = (0..layer)
                .fold(PolicyMap::from(fix.clone()), |map, layer| map.with_layer(layer, vanilla.clone()));
            let mut session = Session::new(model.clone(), map.clone()).expect("fits");
            assert_eq!(shared.losses(&map).expect("runs"), score(&mut session, &tokens, 512), "{map} {n}");
            shared.advance(&vanilla.clone().into()).expect("runs");
        }
    }
}

#[test]
fn a_begin_that_all_policies_read_alike_is_read_once() {
    let model = tied_model();
    let tokens = made_up_tokens(1500);
    let fix = policy("lm-infinite:start=2,window=600");
    let map = PolicyMap::from(policy("vanilla")).with_head(1, 2, fix.clone()).with_layer(0, fix.clone());
    for map in [map, policy("vanilla").into(), fix.into()] {
        let mut session = Session::new(model.clone(), map.clone()).expect("fits");
        let expected = score(&mut session, &tokens, 512);
        for same in [511, 512, 600] {
            let shared = LayerStates::new(model.clone(), Arc::from(tokens.as_slice()), same).expect("tokens");
            let losses = shared.losses(&map).expect("runs");
            assert_eq!(losses.len(), expected.len());
            let worst = expected.iter().zip(&losses).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-5, "{map} after {same}: {worst}");
        }
    }
}

#[test]
fn snapshots_keep_the_policies_of_heads() {
    let (model, tokens) = (tied_model(), made_up_tokens(400));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session.safetensors");
    for map in maps() {
        let mut session = Session::new(model.clone(), map.clone()).expect("fits");
        score(&mut session, &tokens[..300], 64);
        session.save(&path).expect("saves");
        let mut restored = Session::restore(model.clone(), map.clone(), &path).expect("restores");
        assert_eq!(
            score(&mut session, &tokens[300..], 50),
            score(&mut restored, &tokens[300..], 50),
            "{map}"
        );
        let other = Session::restore(model.clone(), policy("vanilla"), &path).expect_err("another policy");
        assert!(other.to_string().contains("layer"), "{other}");
    }
}

#[test]
fn a_head_that_the_model_does_not_have_is_refused() {
    let model = tied_model();
    let map = PolicyMap::from(policy("vanilla")).with_head(0, 99, policy("window"));
    let message = Session::new(model, map).expect_err("no such head").to_string();
    assert!(message.contains("no layer 0, head 99"), "{message}");
}
