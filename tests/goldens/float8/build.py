"""Writes this folder: python build.py, with transformers 5, compressed-tensors and torch.

A folder for each case: a random decoder whose matrices are stored as FP8 (E4M3) under scales, as the file's `quantization_config` says.
`logits.npy` [40, 97] is transformers' own answer to the tokens of `../tiny_llama/tokens.npy` from the weights times their scales, in
float64. Weights and scales are multiplied here as DeepSeek-V3's `inference/kernel.py` does (blocks from the first row and column on, the last
one shorter). What the libraries make of the same files is printed: 0 apart, but for scales of BF16, to which compressed-tensors rounds the
products (0.002), and for `blocks`, where transformers divides the matrix evenly by the number of scales.
"""

import json
import pathlib
import shutil

import compressed_tensors
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, CompressedTensorsConfig, FineGrainedFP8Config, LlamaConfig, Qwen3Config

HERE = pathlib.Path(__file__).parent
TOKENS = torch.tensor(np.load(HERE.parent / "tiny_llama" / "tokens.npy").astype(np.int64))[None]
WORDS = {"vocab_size": 97, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None, "max_position_embeddings": 64}
# Widths that blocks of 128 do not divide; rows of 136 are no whole number of 32.
WIDE = WORDS | {
    "hidden_size": 160, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 40,
    "intermediate_size": 136, "tie_word_embeddings": True,
}
NARROW = WORDS | {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 72,
}
LARGEST = 448.0


def compressed(strategy, **weights):
    """A `quantization_config` as compressed-tensors writes it."""
    weights = {
        "actorder": None, "block_structure": None, "dynamic": False, "group_size": None, "num_bits": 8, "observer": "minmax",
        "observer_kwargs": {}, "strategy": strategy, "symmetric": True, "type": "float",
    } | weights
    return {
        "config_groups": {
            "group_0": {
                "input_activations": weights | {"dynamic": True, "observer": None, "strategy": "token", "block_structure": None},
                "output_activations": None, "targets": ["Linear"], "weights": weights,
            },
        },
        "format": "float-quantized", "global_compression_ratio": 1.2, "ignore": ["lm_head"], "kv_cache_scheme": None,
        "quant_method": "compressed-tensors", "quantization_status": "compressed",
    }


# Name: (configuration, `quantization_config`, rows and columns that share a scale (None: all of them), end of the scale's name, type of the
# scales).
CASES = {
    "blocks": (
        Qwen3Config(**WIDE),
        {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]},
        (128, 128), "weight_scale_inv", torch.float32,
    ),
    "whole": (
        LlamaConfig(**NARROW), {"activation_scheme": "dynamic", "quant_method": "fp8", "weight_block_size": None},
        (None, None), "weight_scale_inv", torch.float32,
    ),
    "compressed_tensor": (LlamaConfig(**NARROW), compressed("tensor"), (None, None), "weight_scale", torch.bfloat16),
    "compressed_channel": (LlamaConfig(**NARROW), compressed("channel"), (1, None), "weight_scale", torch.bfloat16),
    "compressed_block": (
        LlamaConfig(**NARROW), compressed("block", block_structure=[8, 8]), (8, 8), "weight_scale", torch.float32,
    ),
}


def quantize(weight, rows, columns, dtype):
    """FP8 values and their scales [row blocks, column blocks]."""
    rows, columns = rows or weight.shape[0], columns or weight.shape[1]
    counts = [-(-weight.shape[0] // rows), -(-weight.shape[1] // columns)]
    stored = torch.zeros_like(weight, dtype=torch.float8_e4m3fn)
    scales = torch.zeros(counts, dtype=dtype)
    for i in range(counts[0]):
        for j in range(counts[1]):
            at = (slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns))
            scales[i, j] = weight[at].abs().max() / LARGEST
            stored[at] = (weight[at] / scales[i, j].float()).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn)
    return stored, scales


def dequantize(stored, scales, rows, columns):
    rows, columns = rows or stored.shape[0], columns or stored.shape[1]
    spread = scales.float().repeat_interleave(rows, 0).repeat_interleave(columns, 1)
    return stored.float() * spread[: stored.shape[0], : stored.shape[1]]


def logits_of(model):
    with torch.no_grad():
        return model.double().eval()(TOKENS).logits[0].numpy()


for name, (config, quantization, (rows, columns), end, dtype) in CASES.items():
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(5)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=1.0 if parameter.dim() == 1 else 0.15)
    model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    written, floats = {}, {}
    for tensor, weight in tensors.items():
        if "_proj." in tensor:
            stored, scales = quantize(weight, rows, columns, dtype)
            written[tensor] = stored
            floats[tensor] = dequantize(stored, scales, rows, columns)
            one = {"whole": [], "compressed_tensor": [1]}.get(name, list(scales.shape))
            written[tensor.removesuffix("weight") + end] = scales.reshape(one)
        else:
            written[tensor] = weight.bfloat16()
            floats[tensor] = written[tensor].float()
    model.load_state_dict(floats, strict=False)
    model.tie_weights()
    np.save(folder / "logits.npy", logits_of(model).astype(np.float32))
    (folder / "generation_config.json").unlink(missing_ok=True)
    save_file(written, folder / "model.safetensors", {"format": "pt"})
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": quantization}, indent=2) + "\n")
    # What the library makes of the same files.
    options = {}
    if quantization["quant_method"] == "fp8":
        options["quantization_config"] = FineGrainedFP8Config(
            dequantize=True, weight_block_size=quantization["weight_block_size"]
        )
    else:
        options["quantization_config"] = CompressedTensorsConfig(run_compressed=False)
    try:
        loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)
        loaded.set_attn_implementation("eager")
        differ = max((loaded.state_dict()[tensor].float() - values).abs().max().item() for tensor, values in floats.items())
        print(name, "weights of the library differ by", differ)
    except Exception as error:
        print(name, "not loaded by the library:", type(error).__name__, str(error)[:200])

versions = {"torch": torch.__version__, "transformers": transformers.__version__, "compressed_tensors": compressed_tensors.__version__}
(HERE / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")
