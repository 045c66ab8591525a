//! The model card that a training writes: what the model is, from what, and what for.

use super::checkpoint::Header;
use super::family::TrainPosition;

/// The card as Markdown.
pub fn markdown(header: &Header, parameters: usize, corpus_tokens: usize) -> String {
    let options = &header.options;
    let shape = &options.shape;
    let position = match shape.position {
        TrainPosition::Rope if shape.family.turns_a_quarter() => {
            format!("RoPE over a quarter of each head, base {}", shape.rope_base)
        }
        TrainPosition::Rope => format!("RoPE, base {}", shape.rope_base),
        TrainPosition::Alibi => "ALiBi".to_owned(),
        TrainPosition::None => "none (NoPE)".to_owned(),
    };
    let windows = match shape.window {
        Some(window) => format!("\n| window of the layers 0, 2, … | {window} tokens |"),
        None => String::new(),
    };
    let sinks = match (shape.config().learned_sinks, shape.closed_sinks) {
        (false, _) => "",
        (true, false) => "\n| learned sinks | one in each head |",
        (true, true) => "\n| learned sinks | closed: none is attended to |",
    };
    let mut sources: Vec<String> = Vec::new();
    for source in &header.sources {
        let name =
            std::path::Path::new(&source.path).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let times = header.sources.iter().filter(|other| *other == source).count();
        let times = if times > 1 { format!(", {times} times") } else { String::new() };
        let line = format!("* `{name}`{times}, SHA-256 `{}`", source.sha256);
        if !sources.contains(&line) {
            sources.push(line);
        }
    }
    let held_out = header
        .log
        .last()
        .map_or("not measured".into(), |line| format!("{:.4} nats per token", line.held_out));
    let tokens = header.step * (options.batch * shape.length) as u64;
    format!(
        "# A small decoder, trained with `lm-infinite train`

| | |
|---|---|
| parameters | {parameters} |
| family | `{}` |
| position encoding | {position} |{windows}{sinks}
| shape | {} layers of {} heads, {} key/value heads, width {}, MLP {} |
| vocabulary | {} tokens, byte-level BPE, trained on the same texts |
| training length | {} tokens, a BOS first |
| steps | {} of {}, {} segments each |
| tokens | {tokens} read, {corpus_tokens} different ones in the texts |
| retrieval documents (pass keys, repeated passages) | {} % of the segments |
| optimizer | AdamW, learning rate {} (cosine), weight decay {}, seed {} |
| time | {:.0} minutes |
| held-out loss | {held_out} |

## Texts
{}

## Intended use
To study length failure: what attention does past the training length, and what changes it. It is far too small to be asked
for facts or advice, and its texts have the views of their time and authors.
",
        shape.family.model_type(),
        shape.layers,
        shape.heads,
        shape.kv_heads,
        shape.hidden,
        shape.intermediate,
        shape.vocabulary,
        shape.length,
        header.step,
        options.steps,
        options.batch,
        100.0 * options.passkey,
        options.learning_rate,
        options.weight_decay,
        options.seed,
        header.seconds / 60.0,
        sources.join("\n"),
    )
}
