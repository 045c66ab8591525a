//! Names of the files of a Hugging Face folder: what readers open and what a download has to bring.

/// The configuration.
pub const CONFIG_FILE: &str = "config.json";
/// The weights, where one file holds them.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// The list of the files that hold the weights, where there are several.
pub const WEIGHTS_INDEX_FILE: &str = "model.safetensors.index.json";
/// What an adapter is, where one lies in the folder.
pub const ADAPTER_CONFIG_FILE: &str = "adapter_config.json";
/// The weights of an adapter.
pub const ADAPTER_FILE: &str = "adapter_model.safetensors";
/// The tokenizer.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// Special tokens and, mostly, the chat template.
pub const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";
/// The tokens that end generation.
pub const GENERATION_CONFIG_FILE: &str = "generation_config.json";
/// The chat template, where it has a file of its own.
pub const TEMPLATE_FILE: &str = "chat_template.jinja";
/// The same in the file of a processor.
pub const TEMPLATE_JSON_FILE: &str = "chat_template.json";
/// Special tokens, as older versions of transformers wrote them.
pub const SPECIAL_TOKENS_FILE: &str = "special_tokens_map.json";
/// Tokens beside the vocabulary, as older versions of transformers wrote them.
pub const ADDED_TOKENS_FILE: &str = "added_tokens.json";
/// The vocabulary of SentencePiece.
pub const SENTENCEPIECE_FILE: &str = "tokenizer.model";
/// The vocabulary of byte-level BPE without its merges.
pub const VOCABULARY_FILE: &str = "vocab.json";
/// The merges of byte-level BPE.
pub const MERGES_FILE: &str = "merges.txt";
