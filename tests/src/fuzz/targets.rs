//! What is fuzzed: everything that reads files or texts of users, used as the program uses it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use lm_infinite::checkpoint;
use lm_infinite::hub::Cache;
use lm_infinite::policy::{PolicySpec, parse_length, region};
use lm_infinite::session::{Decoder, Session};
use lm_infinite::tokenizer::{ChatMessage, ChatTemplate};
use lm_infinite::{qasper, text};

use super::uses::{MODEL, check_model, check_tokenizer, own_folder, rendered};
use super::{Outcome, Target, checkpoints, file, results, seeds};

/// Bytes that texts may take: what is read, and what it becomes.
const TEXT: [usize; 2] = [4 << 20, 16];

/// Bytes that a zstd archive may take besides: its frames say how far back they refer, and the library accepts 100 MiB.
const WINDOW: usize = 104 << 20;

/// Context length of the policies that are parsed.
const TRAINED: u64 = 4096;

/// All targets; their files lie under `folder`.
///
/// # Errors
/// Where `folder` cannot be written.
pub fn all(folder: &Path) -> std::io::Result<Vec<Target>> {
    let mut targets = models(folder)?;
    targets.extend(checkpoints::targets(folder)?);
    targets.extend(tokenizers(folder)?);
    targets.push(words("policy", seeds::policies(), check_policy));
    targets.extend(texts(folder)?);
    targets.push(snapshots(folder)?);
    targets.extend(results::targets(folder)?);
    Ok(targets)
}

/// A target that reads words; bytes that are no UTF-8 are replaced, as no caller can have them.
fn words(
    name: &'static str,
    files: Vec<Vec<u8>>,
    mut check: impl FnMut(&str) -> Outcome + Send + 'static,
) -> Target {
    let check = move |input: &[u8]| check(&String::from_utf8_lossy(input));
    Target { name, files, check: Box::new(check), allowance: TEXT }
}

fn models(folder: &Path) -> std::io::Result<Vec<Target>> {
    let gguf = own_folder(folder, "gguf")?.join("model.gguf");
    let mut targets = vec![file("gguf", gguf, seeds::gguf(), MODEL, check_model)];
    for (name, of_folder, files) in [
        ("safetensors", "model.safetensors", seeds::safetensors()),
        ("config", "config.json", seeds::config()),
        ("tokenizer", "tokenizer.json", seeds::tokenizer()),
        ("tokenizer-config", "tokenizer_config.json", seeds::tokenizer_config()),
        ("generation-config", "generation_config.json", seeds::generation_config()),
    ] {
        let folder = own_folder(folder, name)?;
        seeds::tiny("llama", true).write_folder(&folder, "F32");
        let whole = folder.clone();
        targets.push(file(name, folder.join(of_folder), files, MODEL, move |_| check_model(&whole)));
    }
    for (name, family) in [
        ("config-gptj", "gptj"),
        ("config-mpt", "mpt"),
        ("config-gpt-neox", "gpt_neox"),
        ("config-falcon", "falcon_40b"),
        ("config-bloom", "bloom"),
        ("config-qwen3", "qwen3"),
        ("config-gemma", "gemma"),
        ("config-gemma2", "gemma2"),
        ("config-gemma3", "gemma3_text"),
        ("config-gemma3-images", "gemma3"),
        ("config-granite", "granite"),
        ("config-olmo2", "olmo2"),
        ("config-smollm3", "smollm3"),
        ("config-phi3", "phi3_longrope"),
        ("config-phi", "phi"),
        ("config-stablelm", "stablelm_parallel"),
        ("config-cohere", "cohere_norms"),
        ("config-cohere2", "cohere2"),
        ("config-glm4", "glm4"),
    ] {
        let folder = own_folder(folder, name)?;
        let goldens = seeds::goldens();
        let of_family = goldens.join("families").join(family);
        std::fs::copy(of_family.join("model.safetensors"), folder.join("model.safetensors"))?;
        std::fs::copy(goldens.join("tiny_llama/tied/tokenizer.json"), folder.join("tokenizer.json"))?;
        let files = vec![std::fs::read(of_family.join("config.json"))?];
        let whole = folder.clone();
        targets.push(file(name, folder.join("config.json"), files, MODEL, move |_| check_model(&whole)));
    }
    for (name, mutated) in [("gguf-split", 0), ("gguf-split-second", 1)] {
        let folder = own_folder(folder, name)?;
        let parts = seeds::split_gguf();
        let path = |part: usize| folder.join(format!("tiny-{:05}-of-00002.gguf", part + 1));
        std::fs::write(path(1 - mutated), &parts[1 - mutated])?;
        let (first, files) = (path(0), vec![parts[mutated].clone()]);
        targets.push(file(name, path(mutated), files, MODEL, move |_| check_model(&first)));
    }
    let sharded = own_folder(folder, "index")?;
    seeds::tiny("llama", true).write_sharded_folder(&sharded, "F32", 2);
    let index = sharded.join("model.safetensors.index.json");
    let files = vec![std::fs::read(&index)?];
    targets.push(file("index", index, files, MODEL, move |_| check_model(&sharded)));
    let template = own_folder(folder, "template")?;
    let path = template.join("chat_template.jinja");
    targets.push(file("template", path, seeds::templates(), TEMPLATE, move |_| check_template(&template)));
    Ok(targets)
}

/// Vocabularies without a `tokenizer.json`, the files beside them, and conversations.
fn tokenizers(folder: &Path) -> std::io::Result<Vec<Target>> {
    let mut targets = Vec::new();
    for (name, of_folder, base, files) in [
        ("sentencepiece", "tokenizer.model", &["tokenizer.model"][..], seeds::sentencepiece_models()),
        ("vocabulary", "vocab.json", &["vocab.json", "merges.txt"], seeds::golden_file("vocab.json")),
        ("merges", "merges.txt", &["vocab.json", "merges.txt"], seeds::golden_file("merges.txt")),
        ("added-tokens", "added_tokens.json", &["tokenizer.json"], seeds::added_tokens()),
        ("special-tokens", "special_tokens_map.json", &["tokenizer.model"], seeds::special_tokens()),
        (
            "added-tokens-decoder",
            "tokenizer_config.json",
            &["tokenizer.model"],
            seeds::added_tokens_decoder(),
        ),
    ] {
        let folder = own_folder(folder, name)?;
        for file in base {
            std::fs::copy(seeds::golden(file), folder.join(file))?;
        }
        let whole = folder.clone();
        targets.push(file(name, folder.join(of_folder), files, MODEL, move |_| check_tokenizer(&whole)));
    }
    let messages = own_folder(folder, "messages")?.join("messages.json");
    let check = |path: &Path| match ChatMessage::read_all(path) {
        Ok(messages) => Outcome::Accepted(format!("{messages:?}")),
        Err(error) => Outcome::refused(error),
    };
    targets.push(file("messages", messages, seeds::messages(), TEXT, check));
    Ok(targets)
}

/// Bytes that a template may take: it is a program, so the limits of its interpreter decide, not its length.
const TEMPLATE: [usize; 2] = [64 << 20, 64];

fn check_template(folder: &Path) -> Outcome {
    match ChatTemplate::from_folder(folder) {
        Ok(Some(template)) => Outcome::Accepted(rendered(&template)),
        Ok(None) => panic!("there is a template"),
        Err(error) => Outcome::refused(error),
    }
}

/// A policy that is accepted can be asked about any pair, and its own words mean the same.
fn check_policy(text: &str) -> Outcome {
    let length = parse_length(text).map(|length| length.to_string()).unwrap_or_else(|error| error);
    let spec = match PolicySpec::parse(text, TRAINED) {
        Ok(spec) => spec,
        Err(error) => return Outcome::Refused(format!("{error}, {length}")),
    };
    spec.policy.validate().expect("what is parsed is valid");
    let again = PolicySpec::parse(&spec.label, TRAINED).expect("a policy's own label is read");
    assert_eq!((&again.policy, &again.label), (&spec.policy, &spec.label));
    let mut told = format!("{} {:?}", spec.label, spec.policy);
    for (i, j) in
        [(0, 0), (1, 0), (4095, 9), (5000, 4999), (u64::MAX, 0), (u64::MAX, u64::MAX), (1 << 40, 1 << 39)]
    {
        let _ = write!(told, " {:?} {:?}", region(i, j, &spec.policy), spec.policy.spans(i));
    }
    let _ = write!(told, " {:?}", spec.policy.kept_keys());
    Outcome::Accepted(told)
}

fn texts(folder: &Path) -> std::io::Result<Vec<Target>> {
    let folder = own_folder(folder, "texts")?;
    let (plain, lines) = (seeds::texts(), seeds::json_lines());
    let mut targets = Vec::new();
    for (name, files, window) in [
        ("text.txt", plain.clone(), 0),
        ("text.jsonl", lines.clone(), 0),
        ("text.txt.gz", seeds::gzipped(&plain), 0),
        ("text.jsonl.zst", seeds::zstandard(&lines), WINDOW),
    ] {
        let allowance = [TEXT[0] + window, TEXT[1]];
        targets.push(file(name, folder.join(name), files, allowance, check_text));
    }
    let questions = |path: &Path| match qasper::read(path) {
        Ok(questions) => Outcome::Accepted(format!("{questions:?}")),
        Err(error) => Outcome::refused(error),
    };
    targets.push(file("qasper", folder.join("qasper.json"), seeds::qasper(), TEXT, questions));
    Ok(targets)
}

fn check_text(path: &Path) -> Outcome {
    match text::read_text(path.to_str().expect("the folder of the harness is UTF-8")) {
        Ok(text) => Outcome::Accepted(text),
        Err(error) => Outcome::refused(error),
    }
}

/// Sessions under four policies, each resumed under all of them.
fn snapshots(folder: &Path) -> std::io::Result<Target> {
    let folder = own_folder(folder, "snapshot")?;
    seeds::tiny("llama", true).write_folder(&folder, "F32");
    let loaded =
        checkpoint::load(folder.to_str().expect("UTF-8"), &Cache::at("no-cache")).expect("a valid model");
    let decoder = Arc::new(Decoder::new(loaded.config, loaded.weights).expect("a whole model"));
    let policies = seeds::POLICIES.map(|text| PolicySpec::parse(text, 16).expect("a policy").policy);
    let path = folder.join("session.safetensors");
    let mut files = Vec::new();
    for policy in &policies {
        for tokens in [3, 11] {
            let mut session = Session::new(decoder.clone(), policy.clone()).expect("a session");
            session.feed(&vec![5; tokens], None).expect("tokens");
            session.save(&path).expect("saved");
            files.push(std::fs::read(&path)?);
        }
    }
    let check = move |path: &Path| {
        let mut reasons = String::new();
        for policy in &policies {
            match Session::restore(decoder.clone(), policy.clone(), path) {
                Ok(session) => return went_on(session),
                Err(error) => reasons += &error.to_string(),
            }
        }
        Outcome::Refused(reasons)
    };
    Ok(file("snapshot", path, files, MODEL, check))
}

fn went_on(mut session: Session) -> Outcome {
    let before = session.position();
    match session.score(&[1, 2, 3], None) {
        Ok(losses) => {
            assert_eq!(session.position(), before + 3, "three tokens more");
            let logits: Vec<u32> =
                session.logits().unwrap_or_default().iter().map(|logit| logit.to_bits()).collect();
            Outcome::Accepted(format!("{before} {losses:?} {logits:?}"))
        }
        Err(error) => Outcome::refused(error),
    }
}
