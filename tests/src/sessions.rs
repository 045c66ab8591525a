//! Sessions: how a text is cut does not matter; snapshots go on bit for bit; a gap is not noticed; threads change nothing.

use lm_infinite::policy::PolicySpec;
use lm_infinite::probe::{
    AttentionRow, CounterfactualLogits, CounterfactualPlan, HeadStatistics, HiddenSite, PositionSet, Probe,
    ProbePlan, StatisticsPlan,
};
use lm_infinite::session::Session;

use crate::families::Stored;
use crate::support::{decoder, made_up_tokens, score, session, session_with, tied_model};

const POLICIES: [&str; 9] = [
    "vanilla",
    "window:window=5",
    "lambda:start=2,window=5",
    "ceiling:ceiling=5",
    "no-start:start=2,beyond=5",
    "ceiling-no-start:start=2,beyond=5",
    "lm-infinite:start=2,window=5",
    "streaming-llm:start=2,window=5",
    "lm-infinite-topk:start=2,window=5,k=3,from_layer=1",
];

#[test]
fn one_shot_equals_chunks_equals_token_by_token() {
    let model = tied_model();
    // Longer than a pass of 512 tokens, so that "one shot" is cut inside as well.
    let tokens = made_up_tokens(700);
    for policy in POLICIES {
        let whole = score(&mut session(&model, policy), &tokens, tokens.len());
        assert_eq!(whole.len(), tokens.len() - 1);
        for cut in [1, 7, 64, 513] {
            let parts = score(&mut session(&model, policy), &tokens, cut);
            let worst = whole.iter().zip(&parts).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-4, "{policy} in chunks of {cut}: {worst} nats");
        }
    }
}

#[test]
fn losses_agree_with_the_logits() {
    let (model, tokens) = (tied_model(), made_up_tokens(30));
    let mut scored = session(&model, "lm-infinite:start=2,window=5");
    let losses = score(&mut scored, &tokens, 30);
    let mut fed = session(&model, "lm-infinite:start=2,window=5");
    assert!(fed.logits().is_none(), "nothing was fed");
    for (i, &token) in tokens.iter().enumerate() {
        if let Some(logits) = fed.logits() {
            let lse = logits.iter().map(|&w| f64::from(w).exp()).sum::<f64>().ln();
            let expected = lse - f64::from(logits[token as usize]);
            assert!((f64::from(losses[i - 1]) - expected).abs() < 1e-4, "token {i}");
        }
        fed.feed(&[token], None).expect("a known token");
    }
}

#[test]
fn with_bounded_distances_a_billion_skipped_tokens_change_nothing() {
    let (model, tokens) = (tied_model(), made_up_tokens(60));
    for policy in ["lm-infinite:start=2,window=5", "streaming-llm:start=2,window=5", "window:window=5"] {
        let far = |position: u64| {
            let mut session = session(&model, policy);
            session.feed(&tokens[..2], None).expect("known tokens");
            session.skip_to(position).expect("a gap");
            score(&mut session, &tokens[2..], 9)
        };
        assert_eq!(far(1_000), far(1_000_000_000), "{policy}");
    }
}

#[test]
fn a_context_that_is_composed_of_its_own_parts_is_the_text() {
    let (model, tokens) = (tied_model(), made_up_tokens(700));
    for policy in ["vanilla", "ceiling:ceiling=5", "lambda:start=2,window=650"] {
        let whole = score(&mut session(&model, policy), &tokens, 400);
        let mut read = session(&model, policy);
        read.feed(&tokens[..400], None).expect("known tokens");
        let mut composed = session(&model, policy);
        for part in [0..150, 150..400] {
            let passage = read.passage(part).expect("held");
            composed.append(&passage, 0..passage.len()).expect("the same model");
        }
        let losses = composed.score(&tokens[400..], None).expect("known tokens");
        // Of the first token nothing predicts anything.
        assert_eq!(losses.first_position, 401, "{policy}");
        assert_eq!(losses.nll, whole[400..], "{policy}");
    }
    let mut windowed = session(&model, "window:window=5");
    windowed.feed(&tokens[..20], None).expect("known tokens");
    assert!(windowed.passage(14..20).is_err(), "one has left the window");
    let passage = windowed.passage(15..20).expect("held");
    assert!(windowed.append(&passage, 3..6).is_err(), "it has 5 tokens");
}

/// A session that holds more than its layers attend to reads as any other, and gives passages that are longer than windows.
#[test]
fn what_a_session_holds_beyond_its_windows_changes_nothing() {
    let tokens = made_up_tokens(90);
    let family = |name: &str| decoder(Stored::read(name).write().path());
    for (model, policy) in [
        (tied_model(), "window:window=5"),
        (tied_model(), "lambda:start=3,window=7"),
        (tied_model(), "lm-infinite-topk:start=2,window=6,k=3,from_layer=1"),
        (family("gemma2"), "vanilla"),
        (family("mixtral"), "vanilla"),
    ] {
        let policy = PolicySpec::parse(policy, 16).expect("a policy").policy;
        let losses = session_with(&model, policy.clone()).score(&tokens, None).expect("known tokens");
        for held in [0, 1, 6, 40, 1000] {
            for cut in [1, 7, 90] {
                let mut holding = Session::holding(model.clone(), policy.clone(), held).expect("a policy");
                let got = score(&mut holding, &tokens, cut);
                for (got, want) in got.iter().zip(&losses.nll) {
                    assert!((got - want).abs() < 1e-4, "{policy} {held} {cut}: {got} {want}");
                }
                let last = 90 - held.min(90);
                let passage = holding.passage(last..90).expect("held");
                assert_eq!(passage.len() as u64, held.min(90));
            }
        }
    }
}

#[test]
fn an_unknown_token_is_refused_and_nothing_is_lost() {
    let model = tied_model();
    let mut session = session(&model, "vanilla");
    session.feed(&[1, 2, 3], None).expect("known tokens");
    let message = session.feed(&[4, 97], None).expect_err("not in the vocabulary").to_string();
    assert!(message.contains("97"), "{message}");
    assert_eq!(session.position(), 3);
    session.feed(&[4], None).expect("goes on");
}

#[test]
fn losses_know_the_positions_of_their_tokens() {
    let model = tied_model();
    let mut session = session(&model, "window:window=5");
    let positions = |session: &mut Session, tokens: &[u32]| -> Vec<u64> {
        session
            .score(tokens, None)
            .expect("known tokens")
            .by_position()
            .map(|(position, _)| position)
            .collect()
    };
    // The first token of a text has no loss, nor has the first after a gap.
    assert_eq!(positions(&mut session, &[1]), [0u64; 0]);
    assert_eq!(positions(&mut session, &[2, 3]), [1, 2]);
    assert_eq!(positions(&mut session, &[4]), [3]);
    session.skip_to(100).expect("a gap");
    assert_eq!(positions(&mut session, &[5, 6, 7]), [101, 102]);
}

#[test]
fn empty_input_is_nothing() {
    let model = tied_model();
    let mut session = session(&model, "lm-infinite:start=2,window=5");
    assert!(session.score(&[], None).expect("nothing").nll.is_empty());
    session.feed(&[], None).expect("nothing");
    assert_eq!((session.position(), session.kv_cache_bytes()), (0, 0));
}

/// Counts what it is told and keeps the last row.
struct Witness {
    plan: ProbePlan,
    statistics: usize,
    rows: Vec<(usize, usize, u64, usize)>,
    hidden: Vec<(HiddenSite, u64)>,
    /// Layer, head, position, and the logits at their own and at other distances.
    counterfactual: Vec<(usize, usize, u64, Vec<f32>)>,
}

impl Probe for Witness {
    fn plan(&self) -> &ProbePlan {
        &self.plan
    }

    fn head_statistics(&mut self, _layer: usize, statistics: &HeadStatistics) {
        self.statistics += statistics.queries;
    }

    fn attention_row(&mut self, row: &AttentionRow<'_>) {
        let keys = row.runs.iter().map(|run| run.logits.len()).sum();
        self.rows.push((row.layer, row.head, row.position, keys));
    }

    fn counterfactual_logits(&mut self, seen: &CounterfactualLogits<'_>) {
        let logits = seen.actual.iter().chain(seen.logits).copied().collect();
        self.counterfactual.push((seen.layer, seen.head, seen.position, logits));
    }

    fn hidden_state(&mut self, site: HiddenSite, position: u64, values: &[f32]) {
        assert_eq!(values.len(), 24);
        self.hidden.push((site, position));
    }
}

#[test]
fn a_probe_sees_what_it_asked_for_and_does_not_change_the_run() {
    let (model, tokens) = (tied_model(), made_up_tokens(50));
    let policy = "lm-infinite:start=2,window=5";
    let mut witness = Witness {
        plan: ProbePlan {
            statistics: Some(StatisticsPlan { start_tokens: 2, distance_edges: vec![0, 4], tile: None }),
            rows: PositionSet { at: vec![0, 30], ..Default::default() },
            row_head: None,
            counterfactual: None,
            hidden_positions: PositionSet { below: 2, every: Some(20), at: vec![] },
            hidden_sites: vec![HiddenSite::Embedding, HiddenSite::AfterBlock(1)],
        },
        statistics: 0,
        rows: Vec::new(),
        hidden: Vec::new(),
        counterfactual: Vec::new(),
    };
    let mut watched = session(&model, policy);
    let seen: Vec<f32> = tokens
        .chunks(11)
        .flat_map(|chunk| watched.score(chunk, Some(&mut witness)).expect("known tokens").nll)
        .collect();
    let unseen = score(&mut session(&model, policy), &tokens, 11);
    assert_eq!(seen, unseen);
    assert_eq!(witness.statistics, 2 * tokens.len(), "both layers, every query");
    let expected_rows: Vec<_> = [(0, 1), (30, 7)]
        .iter()
        .flat_map(|&(p, keys)| (0..2).flat_map(move |l| (0..4).map(move |h| (l, h, p, keys))))
        .collect();
    assert_eq!(witness.rows, expected_rows);
    let sites = [HiddenSite::Embedding, HiddenSite::AfterBlock(1)];
    for site in sites {
        let positions: Vec<u64> =
            witness.hidden.iter().filter(|(s, _)| *s == site).map(|(_, p)| *p).collect();
        assert_eq!(positions, [0, 1, 20, 40]);
    }
}

/// However the text is cut, and also where the cache has turned over.
#[test]
fn logits_at_other_distances_do_not_depend_on_chunks() {
    let (model, tokens) = (tied_model(), made_up_tokens(50));
    let seen = |policy: &str, chunk: usize| {
        let plan = CounterfactualPlan {
            queries: PositionSet { at: vec![9, 20, 21, 49], ..Default::default() },
            seen: 12,
            start_tokens: 2,
            keys: 4,
            distances: 3,
        };
        let mut witness = Witness {
            plan: ProbePlan { counterfactual: Some(plan), ..Default::default() },
            statistics: 0,
            rows: Vec::new(),
            hidden: Vec::new(),
            counterfactual: Vec::new(),
        };
        let mut session = session(&model, policy);
        for chunk in tokens.chunks(chunk) {
            session.score(chunk, Some(&mut witness)).expect("known tokens");
        }
        witness.counterfactual
    };
    // Query 9 has no key at an unseen distance. Keys 0 and 1 have all others beside them but in a window.
    for (policy, keys) in
        [("vanilla", 6), ("lambda:start=2,window=12", 2), ("lm-infinite:start=2,window=12", 0)]
    {
        let whole = seen(policy, 50);
        let places: Vec<_> =
            whole.iter().map(|&(layer, head, position, _)| (layer, position, head)).collect();
        let expected: Vec<_> = (0..2)
            .flat_map(|layer| {
                [20, 21, 49].into_iter().flat_map(move |at| (0..4).map(move |head| (layer, at, head)))
            })
            .collect();
        assert_eq!(places, if keys == 0 { Vec::new() } else { expected }, "{policy}");
        assert!(whole.iter().all(|(.., logits)| logits.len() == keys * 5), "{policy}");
        for chunk in [1, 7] {
            let mut parts = seen(policy, chunk);
            // Layer by layer within a chunk, chunk by chunk.
            parts.sort_by_key(|&(layer, head, position, _)| (layer, position, head));
            assert_eq!(parts.len(), whole.len());
            for (part, whole) in parts.iter().zip(&whole) {
                assert_eq!((part.0, part.1, part.2), (whole.0, whole.1, whole.2));
                let close = part.3.iter().zip(&whole.3).all(|(a, b)| (a - b).abs() < 1e-4);
                assert!(close, "{policy} {part:?} {whole:?}");
            }
        }
    }
}
