//! `generate`: a prompt goes on, streamed.

use lm_infinite_runtime::generate::Generator;
use lm_infinite_runtime::sampler::{Sampler, SamplingParams};
use lm_infinite_runtime::session::Session;
use lm_infinite_runtime::tokenizer::ChatMessage;
use serde_json::json;

use super::args::{Cli, Generate};
use super::inputs::{self, Model};
use super::output::{Output, say};
use crate::error::Error;

/// The messages that the chat template is given, if one is asked for.
fn conversation(args: &Generate) -> anyhow::Result<Option<Vec<ChatMessage>>> {
    let mut messages = match &args.messages {
        Some(path) => ChatMessage::read_all(path)?,
        None if args.chat || args.system.is_some() => {
            vec![ChatMessage::new("user", inputs::prompt(args.prompt.as_deref(), &args.text)?)]
        }
        None => return Ok(None),
    };
    if let Some(system) = &args.system {
        let twice = messages.iter().any(|message| message.role == "system");
        anyhow::ensure!(!twice, "--system: the conversation has a system message already");
        messages.insert(0, ChatMessage::new("system", system));
    }
    Ok(Some(messages))
}

/// Runs the command.
pub fn run(args: &Generate, cli: &Cli, output: &Output) -> anyhow::Result<()> {
    let mut model = Model::load_to_run(&args.model)?;
    if args.policy.is_none() {
        model.loaded.notes.extend(model.unfollowed(&["lm-infinite"]));
    }
    say(&model.loaded.notes);
    let model = model.with_precision(args.precision);
    let policy = args.policy.clone().map_or_else(|| model.followed(&["lm-infinite"]), |policy| vec![policy]);
    let spec = model.policies(&policy, &[])?.remove(0);
    let tokenizer = &model.loaded.tokenizer;
    let tokens = match conversation(args)? {
        Some(messages) => {
            let template = model.loaded.chat_template.as_ref().ok_or_else(|| {
                Error::unsupported("--chat", format!("the model {} has no chat template", model.loaded.name))
            })?;
            tokenizer.encode_without_bos(&template.render(&messages, true)?)?
        }
        None => tokenizer.encode(&inputs::prompt(args.prompt.as_deref(), &args.text)?)?,
    };
    let sampler = Sampler::new(SamplingParams {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        seed: cli.seed,
    })?;
    let stop: Vec<u32> = tokenizer.stop_tokens().collect();
    let session = Session::new(model.decoder.clone(), spec.policy)?;
    let mut generator = Generator::new(session, &tokens, sampler, &stop)?;
    let mut stream = tokenizer.stream_after(&tokens);
    let (mut text, mut count) = (String::new(), 0u64);
    while count < args.tokens {
        let Some(token) = generator.next().transpose()? else { break };
        count += 1;
        let piece = stream.push(token)?;
        output.stream(&piece)?;
        text.push_str(&piece);
    }
    let rest = stream.finish()?;
    output.stream(&rest)?;
    text.push_str(&rest);
    output.write(
        "",
        &json!({
            "model": model.loaded.name,
            "notes": model.loaded.notes,
            "policy": spec.label,
            "precision": model.decoder.precision(),
            "prompt_tokens": tokens.len(),
            "tokens": count,
            "text": text,
            "kv_cache_bytes": generator.session().kv_cache_bytes(),
        }),
    )
}
