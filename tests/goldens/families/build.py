"""Writes this folder, or the cases that are named: python build.py [CASE]…, with transformers 5.

A folder for each case: a random decoder as transformers writes it (float32), and its own answers with float64 weights:
`logits.npy` [40, 97] to the tokens of `../tiny_llama/tokens.npy`, and `greedy.npy`, the 40 tokens that it takes to be the
likeliest behind the first eight of them.
"""

import json
import pathlib
import shutil
import sys

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

HERE = pathlib.Path(__file__).parent
TOKENS = torch.tensor(np.load(HERE.parent / "tiny_llama" / "tokens.npy").astype(np.int64))[None]
WORDS = {"vocab_size": 97, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
# Heads that are no power of two.
NEOX = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 80, "max_position_embeddings": 16}
FALCON = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 6, "max_position_embeddings": 16}
MPT = {"d_model": 48, "n_heads": 6, "n_layers": 2, "max_seq_len": 64}
QWEN3 = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "intermediate_size": 40, "max_position_embeddings": 16,
}
GEMMA = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "intermediate_size": 40, "max_position_embeddings": 64,
}
# Every second layer looks back seven tokens; heads of 8 whose logits are divided by the root of 20.
GEMMA2 = GEMMA | {"num_hidden_layers": 3, "sliding_window": 7, "query_pre_attn_scalar": 20, "attn_logit_softcapping": 2.0}
GEMMA3 = GEMMA | {
    "num_hidden_layers": 4, "sliding_window": 7, "query_pre_attn_scalar": 20,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 50000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
    },
}
LLAMA_LIKE = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 40,
    "max_position_embeddings": 64,
}

# Heads of 8, of which RoPE turns a part.
PARTLY = LLAMA_LIKE | {"hidden_size": 32}

# transformers passes `alibi_bias_max` over, and always takes 8; llm-foundry, which trained MPT, does not.
OTHER_SLOPES = {"mpt_other_slopes": 4}

# transformers' eager path adds Falcon's biases twice, once within the causal mask.
ATTENTION = {"falcon_rw": "sdpa"}

# Name: (model type, fields).
CASES = {
    "llama": ("LlamaConfig", LLAMA_LIKE),
    "mistral": ("MistralConfig", LLAMA_LIKE | {"head_dim": 8, "sliding_window": 9}),
    "qwen2": ("Qwen2Config", LLAMA_LIKE | {"tie_word_embeddings": True}),
    "gptj": ("GPTJConfig", {"n_embd": 48, "n_layer": 2, "n_head": 3, "rotary_dim": 8, "n_positions": 64}),
    "mpt": ("MptConfig", MPT | {"attn_config": {"clip_qkv": 0.7, "alibi_bias_max": 8, "attn_impl": "torch"}}),
    "mpt_other_slopes": ("MptConfig", MPT | {"attn_config": {"alibi_bias_max": 4}}),
    "gpt_neox": ("GPTNeoXConfig", NEOX),
    "gpt_neox_sequential": (
        "GPTNeoXConfig",
        NEOX | {
            "use_parallel_residual": False, "attention_bias": False, "hidden_act": "gelu_new",
            "rope_parameters": {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5},
        },
    ),
    "falcon_7b": ("FalconConfig", FALCON),
    "falcon_40b": ("FalconConfig", FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon_one_norm": (
        "FalconConfig", FALCON | {"new_decoder_architecture": True, "num_kv_heads": 3, "num_ln_in_parallel_attn": 1, "bias": True},
    ),
    "falcon_sequential": ("FalconConfig", FALCON | {"multi_query": False, "parallel_attn": False, "bias": True}),
    # Four heads, whose slopes are powers of two: transformers rounds biases to bfloat16, and these stay as they are.
    "falcon_rw": (
        "FalconConfig",
        FALCON | {"num_attention_heads": 4, "alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
    ),
    "gpt2": ("GPT2Config", {"n_embd": 48, "n_layer": 2, "n_head": 3, "n_positions": 64}),
    "gpt2_untied": (
        "GPT2Config",
        {
            "n_embd": 24, "n_layer": 2, "n_head": 4, "n_inner": 56, "n_positions": 50, "activation_function": "gelu",
            "tie_word_embeddings": False,
        },
    ),
    "bloom": ("BloomConfig", {"hidden_size": 48, "n_layer": 2, "n_head": 6, "seq_length": 16}),
    "qwen3": ("Qwen3Config", QWEN3),
    "qwen3_tied_bias": ("Qwen3Config", QWEN3 | {"tie_word_embeddings": True, "attention_bias": True}),
    "gemma": ("GemmaConfig", GEMMA),
    "gemma2": ("Gemma2Config", GEMMA2 | {"final_logit_softcapping": 4.0}),
    "gemma3_text": ("Gemma3TextConfig", GEMMA3),
    "gemma3": (
        "Gemma3Config",
        {
            "text_config": WORDS | GEMMA3 | {"final_logit_softcapping": 9.0},
            "vision_config": {
                "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 28,
                "patch_size": 14,
            },
        },
    ),
    "gpt_oss": (
        "GptOssConfig",
        {
            "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
            "intermediate_size": 32, "num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": 7,
            "max_position_embeddings": 512,
            "rope_parameters": {
                "rope_type": "yarn", "rope_theta": 1000.0, "factor": 16.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
                "original_max_position_embeddings": 32,
            },
        },
    ),
    "mixtral": (
        "MixtralConfig",
        LLAMA_LIKE | {"intermediate_size": 20, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 9},
    ),
    "qwen3_moe": (
        "Qwen3MoeConfig",
        QWEN3 | {
            "num_hidden_layers": 3, "mlp_only_layers": [1], "moe_intermediate_size": 12, "num_experts": 6, "num_experts_per_tok": 3,
            "norm_topk_prob": False,
        },
    ),
    "qwen3_moe_normed": (
        "Qwen3MoeConfig",
        QWEN3 | {"moe_intermediate_size": 12, "num_experts": 6, "num_experts_per_tok": 3, "norm_topk_prob": True},
    ),
    "granite": (
        "GraniteConfig",
        LLAMA_LIKE | {
            "embedding_multiplier": 3.0, "attention_multiplier": 0.2, "residual_multiplier": 0.7, "logits_scaling": 1.7,
            "attention_bias": True,
        },
    ),
    "olmo2": ("Olmo2Config", LLAMA_LIKE),
    "smollm3": (
        "SmolLM3Config",
        LLAMA_LIKE | {"num_hidden_layers": 4, "no_rope_layers": [1, 0, 1, 0], "use_sliding_window": True, "sliding_window": 9},
    ),
    "phi3": ("Phi3Config", LLAMA_LIKE | {"sliding_window": 9}),
    # Within the first training length: beyond, transformers changes the factors of all tokens at once.
    "phi3_longrope": (
        "Phi3Config",
        PARTLY | {
            "max_position_embeddings": 128, "original_max_position_embeddings": 64, "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "longrope", "rope_theta": 500.0, "partial_rotary_factor": 0.75,
                "short_factor": [1.0, 1.3, 2.0], "long_factor": [1.5, 4.0, 9.0],
            },
        },
    ),
    "phi": (
        "PhiConfig",
        {
            "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96,
            "max_position_embeddings": 64,
        },
    ),
    "stablelm": ("StableLmConfig", PARTLY | {"use_qkv_bias": True}),
    "stablelm_parallel": (
        "StableLmConfig",
        PARTLY | {
            "use_parallel_residual": True, "qk_layernorm": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5},
        },
    ),
    "cohere": ("CohereConfig", LLAMA_LIKE | {"logit_scale": 0.7}),
    "cohere_norms": (
        "CohereConfig",
        PARTLY | {"logit_scale": 1.3, "use_qk_norm": True, "attention_bias": True, "layer_norm_eps": 1e-4},
    ),
    "cohere2": ("Cohere2Config", LLAMA_LIKE | {"logit_scale": 0.7, "num_hidden_layers": 5, "sliding_window": 7}),
    "glm": ("GlmConfig", LLAMA_LIKE | {"head_dim": 8}),
    "glm4": (
        "Glm4Config",
        LLAMA_LIKE | {
            "head_dim": 8, "attention_bias": False,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.75},
        },
    ),
}


def draw(model):
    """Weights large enough that attention, norms and biases all show in the logits."""
    for name, parameter in model.named_parameters():
        size = 0.35 if parameter.ndim in (2, 3) and "bias" not in name else 0.2
        from_one = parameter.ndim == 1 and name.endswith("weight") and "gemma" not in model.config.model_type
        middle = 1.0 if from_one else 0.0
        parameter.data = middle + size * torch.randn(parameter.shape)


def answers(folder):
    """Logits, the likeliest tokens, and by how much the likeliest was ahead at its closest."""
    attention = ATTENTION.get(folder.name, "eager")
    stored = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float64, attn_implementation=attention, experts_implementation="eager"
    ).eval()
    if folder.name in OTHER_SLOPES:
        build = build_mpt_alibi_tensor
        of = lambda heads, length, alibi_bias_max=None, device=None: build(heads, length, OTHER_SLOPES[folder.name], device)
        stored.transformer.build_mpt_alibi_tensor = of
    with torch.no_grad():
        logits, text, margin = stored(TOKENS, use_cache=False).logits[0], TOKENS[:, :8], np.inf
        for _ in range(40):
            best = stored(text, use_cache=False).logits[0, -1].topk(2)
            margin = min(margin, (best.values[0] - best.values[1]).item())
            text = torch.cat([text, best.indices[None, :1]], dim=1)
    return logits, text[0, 8:], margin


def main():
    for name in sys.argv[1:] or CASES:
        kind, fields = CASES[name]
        config = getattr(transformers, kind)(**WORDS | fields)
        folder = HERE / name
        # Weights whose text no rounding to float32 can change.
        for attempt in range(100):
            torch.manual_seed(100 * sum(map(ord, name)) + attempt)
            model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", experts_implementation="eager").eval()
            draw(model)
            shutil.rmtree(folder, ignore_errors=True)
            model.save_pretrained(folder)
            (folder / "generation_config.json").unlink(missing_ok=True)
            logits, text, margin = answers(folder)
            if margin > 3e-3:
                break
        np.save(folder / "logits.npy", logits.float().numpy())
        np.save(folder / "greedy.npy", text.numpy().astype(np.uint32))
        size = (folder / "model.safetensors").stat().st_size
        print(f"{name}: {size} bytes, logits to {logits.abs().max():.1f}, least margin {margin:.1e}")
    versions = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    (HERE / "versions.json").write_text(json.dumps(versions) + "\n")


main()
