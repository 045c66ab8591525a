//! Small valid files of every kind that this program reads.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use lm_infinite::policy::PolicySpec;
use serde_json::{Value as Json, json};

use crate::fixtures::{GgufFile, GgufTensor, TinyConfig, TinyLlama, Value, Vocabulary};

/// Policies whose sessions are saved.
pub const POLICIES: [&str; 4] = [
    "vanilla",
    "lm-infinite:start=2,window=4",
    "streaming-llm:start=1,window=4",
    "lm-infinite-topk:start=2,window=4,k=2,from_layer=0,distance=2",
];

/// A model so small that thousands are read in a second.
pub fn tiny(model_type: &'static str, tied: bool) -> TinyLlama {
    let config = TinyConfig {
        model_type,
        hidden: 32,
        layers: 1,
        heads: 2,
        kv_heads: 1,
        head_dim: 16,
        intermediate: 32,
        tied,
        trained_length: 16,
        ..TinyConfig::default()
    };
    TinyLlama::with_vocabulary(config, Vocabulary::small(), 7)
}

/// GGUF files: plain and quantized, every kind of vocabulary.
pub fn gguf() -> Vec<Vec<u8>> {
    let template = "{% for m in messages %}[{{ m['role'] }}]{{ m.content | trim }}{% endfor %}";
    let mut plain = tiny("llama", false).gguf(GgmlDType::F32);
    plain.set("tokenizer.chat_template", template);
    plain.set("general.name", "Tiny");
    let mut quantized = tiny("qwen2", true).gguf(GgmlDType::Q4_0);
    quantized.set("tokenizer.ggml.pre", "qwen2");
    let mut half = tiny("llama", true).gguf(GgmlDType::F16);
    half.set("tokenizer.ggml.pre", "llama-bpe");
    half.set("llama.rope.scaling.type", "linear");
    half.set("llama.rope.scaling.factor", Value::F32(2.0));
    let mut pieces = tiny("llama", true).gguf(GgmlDType::Q8_0);
    sentencepiece(&mut pieces);
    let mut divided = in_blocks(&tiny("llama", true), &[20, 39]);
    divided.tensors.push(GgufTensor {
        name: "rope_freqs.weight".into(),
        dimensions: vec![8],
        type_id: 0,
        data: (1..=8).flat_map(|divisor: u8| f32::from(divisor).to_le_bytes()).collect(),
        offset: None,
    });
    divided.set("tokenizer.ggml.pre", "deepseek-llm");
    let config = TinyConfig { hidden: 256, ..tiny("llama", true).config };
    let wide = TinyLlama::with_vocabulary(config, Vocabulary::small(), 7);
    let mut wide = in_blocks(&wide, &[16, 17, 18, 19, 21, 22, 23, 29, 34, 35]);
    wide.set("tokenizer.ggml.pre", "falcon");
    [plain, quantized, half, pieces, divided, wide].iter().map(GgufFile::bytes).collect()
}

/// A model whose matrices have GGML's types of these numbers in turn, where their rows are whole blocks. All bits are 0 but
/// one of each scale.
fn in_blocks(model: &TinyLlama, type_ids: &[u32]) -> GgufFile {
    let mut file = model.gguf(GgmlDType::F32);
    let mut types = type_ids.iter().cycle();
    for tensor in file.tensors.iter_mut().filter(|tensor| tensor.dimensions.len() == 2) {
        let type_id = *types.next().expect("a cycle");
        // Values and bytes of a block, and the byte of it that holds the exponent of the scale.
        let (values, bytes, scale) = match type_id {
            16 => (256, 66, 1),
            17 => (256, 74, 1),
            18 => (256, 98, 1),
            19 => (256, 50, 1),
            20 => (32, 18, 1),
            21 => (256, 110, 1),
            22 => (256, 82, 1),
            23 => (256, 136, 1),
            29 => (256, 56, 55),
            34 => (256, 54, 53),
            35 => (256, 66, 65),
            39 => (32, 17, 0),
            other => panic!("{other} is no block type"),
        };
        if tensor.dimensions[0] % values == 0 {
            let mut block = vec![0; bytes];
            block[scale] = 0x20;
            let count = tensor.dimensions.iter().product::<u64>() / values;
            (tensor.type_id, tensor.data) = (type_id, block.repeat(count as usize));
        }
    }
    file
}

/// The two parts of a GGUF model.
pub fn split_gguf() -> [Vec<u8>; 2] {
    let parts = tiny("llama", true).gguf(GgmlDType::F32).split(2);
    [parts[0].bytes(), parts[1].bytes()]
}

/// Puts a SentencePiece vocabulary in the place of a byte-level one of the same size.
fn sentencepiece(file: &mut GgufFile) {
    let count = Vocabulary::small().tokens.len();
    let mut tokens: Vec<String> =
        ["<unk>", "<s>", "</s>", "<tool>", "▁", "t", "h", "e", "▁t", "he", "▁the", "▁▁", "é"]
            .map(str::to_owned)
            .into();
    let mut types = vec![2, 3, 3, 4, 1, 1, 1, 1, 1, 1, 1, 1, 5];
    tokens.extend((0..count - tokens.len()).map(|byte| format!("<0x{byte:02X}>")));
    types.resize(count, 6);
    file.set("tokenizer.ggml.model", "llama");
    file.set("tokenizer.ggml.scores", Value::Floats((0..count).map(|id| -(id as f32)).collect()));
    file.set("tokenizer.ggml.tokens", Value::Texts(tokens));
    file.set("tokenizer.ggml.token_type", Value::Ints(types));
    file.set("tokenizer.ggml.bos_token_id", 1);
    file.set("tokenizer.ggml.eos_token_id", 2);
    file.set("tokenizer.ggml.unknown_token_id", 0);
    file.set("tokenizer.ggml.add_space_prefix", Value::Bool(true));
}

/// Weights of a Hugging Face folder.
pub fn safetensors() -> Vec<Vec<u8>> {
    ["F32", "BF16", "F16"].map(|dtype| tiny("llama", true).safetensors(dtype).bytes()).into()
}

/// Texts of JSON files.
fn json_files(files: &[Json]) -> Vec<Vec<u8>> {
    files.iter().map(|file| file.to_string().into_bytes()).collect()
}

/// `config.json` of models with the weights of `tiny("llama", true)`.
pub fn config() -> Vec<Vec<u8>> {
    let plain = tiny("llama", true).config_json();
    let with = |key: &str, value: Json| {
        let mut config = plain.clone();
        config[key] = value;
        config
    };
    let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 16,
                        "low_freq_factor": 1.0, "high_freq_factor": 4.0});
    let yarn = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16});
    json_files(&[
        plain.clone(),
        with("rope_scaling", json!({"type": "linear", "factor": 2.0})),
        with("rope_scaling", llama3),
        with("rope_scaling", yarn),
        with("position_embedding_type", json!("alibi")),
        with("eos_token_id", json!([1, 2])),
        with("model_type", json!("mistral")),
    ])
}

/// `tokenizer.json`: byte-level, and both forms of SentencePiece.
pub fn tokenizer() -> Vec<Vec<u8>> {
    let vocabulary = Vocabulary::small();
    let bytes = vocabulary.tokenizer_json();
    let model = json!({"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                       "vocab": {"<unk>": 0, "<s>": 1, "▁": 2, "t": 3, "h": 4, "e": 5, "▁t": 6, "he": 7, "▁the": 8},
                       "merges": [["h", "e"], ["▁", "t"], ["▁t", "he"]]});
    let decoder = json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
    let legacy = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null, "decoder": decoder, "model": model,
        "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens":
            {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}});
    let mut metaspace = legacy.clone();
    metaspace["normalizer"] = Json::Null;
    metaspace["pre_tokenizer"] =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false});
    metaspace["decoder"] =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false});
    let mut split = bytes.clone();
    split["normalizer"] = json!({"type": "NFC"});
    split["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": r" ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"},
         "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]});
    json_files(&[bytes, legacy, metaspace, split])
}

/// `tokenizer_config.json`.
pub fn tokenizer_config() -> Vec<Vec<u8>> {
    let plain = tiny("llama", true).vocabulary.tokenizer_config();
    let several = json!({"bos_token": "<|start|>", "add_bos_token": false, "chat_template": [
        {"name": "default", "template": "{{ bos_token }}{{ messages[0].content }}"},
        {"name": "tool_use", "template": "{{ tools }}"}]});
    json_files(&[plain, several, json!({})])
}

/// `generation_config.json`.
pub fn generation_config() -> Vec<Vec<u8>> {
    json_files(&[json!({"bos_token_id": 0, "eos_token_id": 1}), json!({"eos_token_id": [1, 2, 3]})])
}

/// Where all goldens are.
pub fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

/// A file of `goldens/side_files/`.
pub fn golden(name: &str) -> PathBuf {
    goldens().join("side_files").join(name)
}

/// Its content.
pub fn golden_file(name: &str) -> Vec<Vec<u8>> {
    vec![std::fs::read(golden(name)).expect("a golden")]
}

/// A file of `goldens/unigram/`, unpacked.
pub fn golden_model(name: &str) -> Vec<u8> {
    let path = goldens().join(format!("unigram/{name}.model.gz"));
    let mut model = Vec::new();
    let file = std::fs::File::open(path).expect("a golden");
    flate2::read::GzDecoder::new(file).read_to_end(&mut model).expect("unpacks");
    model
}

/// A field of bytes of a Protocol Buffers message.
pub fn bytes_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).ok().filter(|length| *length < 0x80).expect("a short field");
    [&[number << 3 | 2, length], bytes].concat()
}

/// `tokenizer.model`: a trained one, and one of a few pieces.
pub fn sentencepiece_models() -> Vec<Vec<u8>> {
    let piece = |text: &str, score: f32, kind: u8| {
        let mut piece = bytes_field(1, text.as_bytes());
        piece.push(2 << 3 | 5);
        piece.extend(score.to_le_bytes());
        piece.extend([3 << 3, kind]);
        bytes_field(1, &piece)
    };
    let pieces = [
        piece("<unk>", 0.0, 2),
        piece("<s>", 0.0, 3),
        piece("</s>", 0.0, 3),
        piece("<|endoftext|>", 0.0, 4),
        piece("▁", -1.0, 1),
        piece("t", -2.0, 1),
        piece("h", -2.0, 1),
        piece("e", -2.0, 1),
        piece("▁t", -3.0, 5),
        piece("he", -4.0, 1),
        piece("▁the", -5.0, 1),
    ];
    // BPE; no spaces taken away.
    let few = [pieces.concat(), bytes_field(2, &[3 << 3, 2]), bytes_field(3, &[4 << 3, 0])].concat();
    let unigram = ["rules", "bytes", "unused"].map(golden_model);
    [golden_file("tokenizer.model"), vec![few], unigram.to_vec()].concat()
}

/// `added_tokens.json`.
pub fn added_tokens() -> Vec<Vec<u8>> {
    json_files(&[json!({"<s>": 400, "é日": 401, " the": 402}), json!({"the": 7})])
}

/// `special_tokens_map.json`.
pub fn special_tokens() -> Vec<Vec<u8>> {
    let token =
        json!({"content": "<pad>", "lstrip": true, "rstrip": false, "single_word": true, "normalized": true});
    json_files(&[
        json!({"bos_token": "<s>", "eos_token": "</s>", "pad_token": token}),
        json!({"unk_token": "<unk>", "additional_special_tokens": ["é", token], "mask_token": false}),
    ])
}

/// `tokenizer_config.json` with tokens.
pub fn added_tokens_decoder() -> Vec<Vec<u8>> {
    let token = |text: &str| json!({"content": text, "lstrip": true, "rstrip": true, "special": true});
    let decoder = json!({"600": token("<|endoftext|>"), "1": token("<s>"), "700": token("the")});
    json_files(&[
        json!({"added_tokens_decoder": decoder, "tokenizer_class": "LlamaTokenizerFast", "legacy": false}),
        json!({"add_prefix_space": false, "add_bos_token": false, "eos_token": "<|endoftext|>"}),
    ])
}

/// Conversations.
pub fn messages() -> Vec<Vec<u8>> {
    json_files(&[
        json!([{"role": "system", "content": "é"}, {"role": "user", "content": "\\ \"a\" \n"}]),
        json!([{"content": "", "role": "assistant"}]),
    ])
}

/// Chat templates.
pub fn templates() -> Vec<Vec<u8>> {
    [
        "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] | trim }}{{ eos_token }}\n{% endfor %}\
         {% if add_generation_prompt %}<|assistant|>\n{% endif %}",
        "{{ bos_token }}{%- for message in messages -%}{%- if loop.index0 % 2 != 0 -%}\
         {{ raise_exception('Conversation roles must alternate') }}{%- endif -%}[INST] \
         {{ message.content.strip() }} [/INST]{%- endfor -%}",
        "{%- set ns = namespace(found=false, text='') -%}{%- for m in messages | reverse -%}{%- set ns.text = ns.text ~ \
         m.content.split(' ')[0].upper() -%}{%- endfor -%}{{ ns.text[:5] }}{{ strftime_now('%d %b %Y') | length }}",
        "{% macro part(m, n=3) %}{{ m.role * n }}{{ '%05d' | format(n) }}{{ m | tojson(indent=2) }}{% endmacro %}\
         {{ part(messages[0]) }}{{ range(10) | join(', ') }}{{ 'abc'.replace('b', 'x').center(9) }}",
        "{% for m in messages %}{% generation %}{{ '%s: %5d%%|%r' % (m.role, loop.index, m) }}{% endgeneration %}{% break %}{% endfor %}\
         {{ '%(a)06.2f' % {'a': 7 % 3} }}{{ 'a,b'.rsplit(',', maxsplit=1) | tojson(indent=1, sort_keys=true) }}{{ tools is none }}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// Policies and lengths.
pub fn policies() -> Vec<Vec<u8>> {
    let texts = [
        "vanilla",
        "window:window=2048",
        "lambda:start=10,window=2k",
        "ceiling:ceiling=4096",
        "lm-infinite:start=10,window=2048,ceiling=1G",
        "lm-infinite-topk:start=4,window=512,k=5,from_layer=4,distance=256",
        "streaming-llm:start=4,window=1M",
        "pi:factor=4",
        "ntk:factor=2.5",
        "yarn:factor=8",
    ];
    for text in texts {
        PolicySpec::parse(text, 4096).expect("a valid policy");
    }
    texts.map(|text| text.as_bytes().to_vec()).into()
}

/// Plain texts, with what makes texts hard.
pub fn texts() -> Vec<Vec<u8>> {
    [
        "One document.\nTwo lines é 日本 🦀.\n\n\nAnother one.\n\n\n\n\nA third\r\n\r\n\r\none.\r\n",
        "\u{feff}a",
        "x\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// JSON lines.
pub fn json_lines() -> Vec<Vec<u8>> {
    [
        "{\"text\": \"one \\u00e9\"}\n\n{\"text\": \"two\\n\\n\\nparts\", \"id\": 7}\n",
        "{\"id\": [1], \"text\": \"a\"}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// The same packed by gzip.
pub fn gzipped(files: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let packed = |bytes: &Vec<u8>| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).and_then(|()| packer.finish()).expect("packs")
    };
    files.iter().map(packed).collect()
}

/// Texts packed by Zstandard: the library that we read them with writes them too.
pub fn zstandard(files: &[Vec<u8>]) -> Vec<Vec<u8>> {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    files.iter().map(|bytes| compress_to_vec(bytes.as_slice(), CompressionLevel::Fastest)).collect()
}

/// A dataset of questions.
pub fn qasper() -> Vec<Vec<u8>> {
    vec![
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/qasper/two-articles.json"))
            .expect("read"),
    ]
}
