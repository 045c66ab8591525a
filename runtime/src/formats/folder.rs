//! Names of the files of a Hugging Face folder: what readers open and what a download has to bring.

/// The configuration.
pub const CONFIG_FILE: &str = "config.json";
/// The weights, where one file holds them.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// The list of the files that hold the weights, where there are several.
pub const WEIGHTS_INDEX_FILE: &str = "model.safetensors.index.json";
/// The tokenizer.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// Special tokens and, mostly, the chat template.
pub const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";
/// The tokens that end generation.
pub const GENERATION_CONFIG_FILE: &str = "generation_config.json";
/// The chat template, where it has a file of its own.
pub const TEMPLATE_FILE: &str = "chat_template.jinja";
