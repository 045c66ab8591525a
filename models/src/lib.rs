//! Two small decoders as data, so that a failure past the training length can be seen without any file: each is the name and
//! the content of every file of its Hugging Face folder. A crate of their own, because a registry takes at most 10 MB for one.

/// Name and content of each file of a Hugging Face folder.
pub type Folder = &'static [(&'static str, &'static [u8])];

macro_rules! folder {
    ($name:literal) => {
        &[
            ("config.json", include_bytes!(concat!("../", $name, "/config.json"))),
            ("model.safetensors", include_bytes!(concat!("../", $name, "/model.safetensors"))),
            ("tokenizer.json", include_bytes!(concat!("../", $name, "/tokenizer.json"))),
            ("tokenizer_config.json", include_bytes!(concat!("../", $name, "/tokenizer_config.json"))),
        ]
    };
}

/// 1.3M parameters, attention with linear biases, training length 256.
pub static TINY_ALIBI: Folder = folder!("tiny-alibi");

/// 1.3M parameters, no position encoding, training length 256.
pub static TINY_NOPE: Folder = folder!("tiny-nope");
