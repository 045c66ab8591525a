//! From a name, file or folder to a decoder: one reader for each format and family fills [`crate::model`].

mod check;
mod gguf_folder;
mod inspect;
mod load;
mod reader_gguf;
mod reader_hf;
mod reader_llama;

pub use inspect::{Inspection, TensorGroup, TokenizerSummary, inspect};
pub use load::{LoadedModel, load};
