//! Memory of bounded policies does not depend on the length of the input.

use serde_json::Value;

use crate::support::{decoder, faq_text, program, session, slow_tests, smollm2, tiny};

#[test]
fn a_bounded_cache_holds_start_and_window_and_no_more() {
    let decoder = decoder(&tiny("tied"));
    let tokens: Vec<u32> = (0..300).map(|i| i * 31 % 97).collect();
    for (policy, most) in [
        ("lm-infinite:start=4,window=16", 20),
        ("lambda:start=4,window=16", 20),
        ("streaming-llm:start=4,window=16", 20),
        ("window:window=16", 16),
    ] {
        for chunk in [1, 7, 300] {
            let mut session = session(&decoder, policy);
            let mut bytes_when_full = None;
            for part in tokens.chunks(chunk) {
                session.feed(part, None).expect("tokens of the vocabulary");
                let (held, seen) = (session.kv_cache_entries(), session.position());
                assert!(held <= most, "{policy}, chunks of {chunk}: {held} entries after {seen} tokens");
                assert_eq!(held, most.min(seen), "{policy}, chunks of {chunk}: entries after {seen} tokens");
                if held == most {
                    let bytes = session.kv_cache_bytes();
                    assert_eq!(
                        *bytes_when_full.get_or_insert(bytes),
                        bytes,
                        "{policy}: bytes after {seen} tokens"
                    );
                }
            }
            assert!(bytes_when_full.is_some(), "{policy}: the cache was never full");
        }
    }
}

#[test]
fn a_vanilla_cache_holds_everything() {
    let decoder = decoder(&tiny("tied"));
    let mut session = session(&decoder, "vanilla");
    let mut last = 0;
    for seen in 1..=5 {
        session.feed(&[7; 100], None).expect("tokens of the vocabulary");
        assert_eq!(session.kv_cache_entries(), 100 * seen);
        assert!(session.kv_cache_bytes() >= last);
        last = session.kv_cache_bytes();
    }
    // Two layers, keys and values, two heads of width 16, at least two bytes a number.
    assert!(last >= 500 * 2 * 2 * 2 * 16 * 2, "{last} bytes cannot hold 500 tokens");
}

#[test]
fn peak_memory_is_flat_from_4k_to_64k_tokens() {
    if !slow_tests() {
        eprintln!("skipped: takes minutes; set LM_INFINITE_SLOW_TESTS=1");
        return;
    }
    let (Some(_), Some(text)) = (smollm2(), faq_text()) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("faq.txt");
    // The same text for both, long enough for 64k tokens, so that only the number of tokens differs.
    std::fs::write(&file, text.chars().take(400_000).collect::<String>()).expect("written");
    let [short, long] = ["4k", "64k"].map(|tokens| {
        let output = program()
            .args(["perplexity", "--model", "smollm2", "--policy", "lm-infinite:window=1024", "--json"])
            .args(["--tokens", tokens, "--text"])
            .arg(&file)
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        json["runs"][0]["peak_rss_bytes"].as_u64().expect("peak_rss_bytes")
    });
    assert!(short > 50_000_000, "peak memory of {short} bytes is less than the weights");
    let grown = long as i64 - short as i64;
    eprintln!("peak memory at 4k: {short}, at 64k: {long} bytes");
    assert!(grown < 20_000_000, "peak memory grew by {grown} bytes");
}
