//! A generation as a file: all that repeats it, and what came.

use serde_json::{Value, json};

use super::{Conversation, Generated, Prompt, Request};

/// As JSON. Of a conversation, `messages` of a policy is what `lm-infinite generate --messages` takes.
pub fn json(request: &Request, generated: &Generated, conversation: Option<&Conversation>) -> String {
    let Request { inputs, prompt, tokens, sampling } = request;
    let begun = match prompt {
        Prompt::Text(tokens) => json!({ "text": inputs.settings.text_name(), "tokens": tokens }),
        Prompt::Own(text) => json!({ "typed": text }),
        Prompt::Chat(_) => json!("conversation"),
    };
    let messages = |side: usize| -> Option<Vec<Value>> {
        let message = |message: lm_infinite::tokenizer::ChatMessage| json!({ "role": message.role, "content": message.content });
        Some(conversation?.messages(side).into_iter().map(message).collect())
    };
    let policies = inputs.policies.iter().enumerate().filter_map(|(side, spec)| {
        let continued = generated.get(side)?;
        // JSON has no number that is not finite.
        let nll: Vec<_> =
            continued.pieces.iter().map(|piece| Some(piece.nll).filter(|nll| nll.is_finite())).collect();
        let mut policy = json!({
            "policy": spec.label,
            "prompt_tokens": continued.prompt,
            "text": continued.text(),
            "nll": nll,
        });
        if let (Some(messages), Value::Object(map)) = (messages(side), &mut policy) {
            map.insert("messages".to_owned(), messages.into());
        }
        Some(policy)
    });
    let all = json!({
        "model": inputs.model,
        "prompt": begun,
        "most_tokens": tokens,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "policies": policies.collect::<Vec<_>>(),
    });
    format!("{all:#}\n")
}
