"""Writes a GGUF file of a published Llama shape with random weights, so that rivals can be timed on it without a download.

    python random_gguf.py llama-2-7b q4_0 FILE.gguf [LAYERS]

With LAYERS it has so many of the shape's layers, from the first on: widths that would not fit into memory can be timed. Needs the
packages gguf and numpy. The weights mean nothing, and neither does the vocabulary; shapes, types and the order of the
tensors are those of a real file. The seed is fixed.
"""

import sys

import gguf
import numpy as np

# Hidden, layers, heads, key/value heads, intermediate, vocabulary, base of RoPE.
SHAPES = {
    "llama-2-7b": (4096, 32, 32, 32, 11008, 32000, 1e4),
    "mistral-7b": (4096, 32, 32, 8, 14336, 32000, 1e4),
    "llama-3-8b": (4096, 32, 32, 8, 14336, 128256, 5e5),
    "llama-2-70b": (8192, 80, 64, 8, 28672, 32000, 1e4),
    "tinyllama-1.1b": (2048, 22, 32, 4, 5632, 32000, 1e4),
}
# Type, numbers in a block, bytes of a block, where its scales (halves) stand.
TYPES = {
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, 32, 18, [0]),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, 32, 34, [0]),
    "q4_k": (gguf.GGMLQuantizationType.Q4_K, 256, 144, [0, 2]),
    "bf16": (gguf.GGMLQuantizationType.BF16, 1, 2, []),
}

shape, kind, path, *cut = sys.argv[1:]
hidden, layers, heads, kv_heads, intermediate, vocabulary, base = SHAPES[shape]
layers = min([layers, *map(int, cut)])
raw_type, block, size, scales = TYPES[kind]
random = np.random.default_rng(0)


def matrix(rows, columns):
    """Random blocks, [rows, bytes of a row], of numbers of about 0.02."""
    if kind == "bf16":
        values = random.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.02)
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    blocks = random.integers(0, 256, (rows, columns // block, size), dtype=np.uint8)
    scale = np.float16(0.02 / {"q4_0": 4.6, "q8_0": 74, "q4_k": 150}[kind])
    for at in scales:
        blocks[:, :, at : at + 2] = np.frombuffer(scale.tobytes(), np.uint8)
    return blocks.reshape(rows, -1)


writer = gguf.GGUFWriter(path, "llama")
writer.add_name(f"random {shape}")
writer.add_context_length(8192)
writer.add_embedding_length(hidden)
writer.add_block_count(layers)
writer.add_feed_forward_length(intermediate)
writer.add_head_count(heads)
writer.add_head_count_kv(kv_heads)
writer.add_rope_dimension_count(hidden // heads)
writer.add_rope_freq_base(base)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_vocab_size(vocabulary)
writer.add_tokenizer_model("llama")
# Three control tokens, the bytes, and words that mean nothing.
special = ["<unk>", "<s>", "</s>"]
tokens = special + [f"<0x{byte:02X}>" for byte in range(256)]
tokens += [f"▁word{at}" for at in range(vocabulary - len(tokens))]
writer.add_token_list(tokens)
writer.add_token_scores([-float(at) for at in range(vocabulary)])
writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (vocabulary - 259))
writer.add_bos_token_id(1)
writer.add_eos_token_id(2)

tensors = [("token_embd.weight", vocabulary, hidden)]
for layer in range(layers):
    width = kv_heads * (hidden // heads)
    tensors += [
        (f"blk.{layer}.{name}.weight", rows, columns)
        for name, rows, columns in [
            ("attn_q", hidden, hidden),
            ("attn_k", width, hidden),
            ("attn_v", width, hidden),
            ("attn_output", hidden, hidden),
            ("ffn_gate", intermediate, hidden),
            ("ffn_up", intermediate, hidden),
            ("ffn_down", hidden, intermediate),
        ]
    ]
tensors.append(("output.weight", vocabulary, hidden))
for name, rows, columns in tensors:
    row = columns // block * size
    writer.add_tensor_info(name, (rows, row), np.dtype(np.uint8), rows * row, raw_dtype=raw_type)
norms = [f"blk.{layer}.{name}_norm.weight" for layer in range(layers) for name in ("attn", "ffn")]
for name in [*norms, "output_norm.weight"]:
    writer.add_tensor_info(name, (hidden,), np.dtype(np.float32), 4 * hidden)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_ti_data_to_file()
for _, rows, columns in tensors:
    writer.write_tensor_data(matrix(rows, columns))
for _ in [*norms, "output_norm.weight"]:
    writer.write_tensor_data(np.ones(hidden, np.float32))
writer.close()
