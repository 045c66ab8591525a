"""Writes this folder: python build.py, with transformers 5.

Each case is a `config.json` with something that people's files have, over the weights of a folder of `../tiny_llama`, or
over weights stored in another way. `NAME.logits.npy` is transformers' own answer, float64 weights, to the tokens of
`../tiny_llama/tokens.npy`.
"""

import json
import pathlib
import shutil
import tempfile

import numpy as np
import peft
import torch
import transformers
from safetensors.torch import load_file, save_file
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
TINY = HERE.parent / "tiny_llama"
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
ABSENT = object()

# Name: (folder of the weights, fields that differ from its configuration).
CONFIGS = {
    "mistral_window": ("tied", {"model_type": "mistral", "sliding_window": 8}),
    "mistral_without_window": ("tied", {"model_type": "mistral", "sliding_window": None}),
    "mistral_layer_types": (
        "tied",
        {"model_type": "mistral", "sliding_window": 5, "layer_types": ["full_attention", "sliding_attention"]},
    ),
    "llama_window_ignored": ("tied", {"sliding_window": 8}),
    "qwen2_window_from_layer_1": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1, "layer_types": ABSENT},
    ),
    "qwen2_window_in_layer_0": (
        "qwen2",
        {
            "use_sliding_window": True, "sliding_window": 6, "max_window_layers": 0,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
    "qwen2_window_not_used": (
        "qwen2", {"use_sliding_window": False, "sliding_window": 6, "max_window_layers": 0, "layer_types": ABSENT},
    ),
    "yarn_attention_factor": ("tied", {"rope_scaling": YARN | {"attention_factor": 1.0}}),
    "yarn_mscale": ("tied", {"rope_scaling": YARN | {"mscale": 0.7, "mscale_all_dim": 1.3}}),
    "yarn_mscale_alone": ("tied", {"rope_scaling": YARN | {"mscale": 0.7}}),
    "yarn_exact_bounds": ("tied", {"rope_scaling": YARN | {"beta_fast": 3, "beta_slow": 0.5, "truncate": False}}),
    "yarn_betas": ("tied", {"rope_scaling": YARN | {"beta_fast": 3, "beta_slow": 0.5}}),
    "yarn_length_at_the_top": (
        "tied",
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}, "original_max_position_embeddings": 64},
    ),
    "yarn_length_absent": ("tied", {"rope_scaling": {"type": "yarn", "factor": 4.0}}),
    "llama3_length_absent": (
        "tied",
        {"rope_scaling": {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}},
    ),
    "scaling_beside_parameters": (
        "tied",
        {
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "rope_scaling": {"type": "linear", "factor": 2.0},
        },
    ),
    "theta_in_parameters": (
        "tied", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}, "rope_theta": ABSENT},
    ),
    "theta_at_the_top_beside_parameters": (
        "tied", {"rope_parameters": {"rope_type": "linear", "factor": 2.0}, "rope_theta": 500.0},
    ),
    "theta_absent": ("tied", {"rope_theta": ABSENT}),
    "partial_rotary_ignored": ("tied", {"partial_rotary_factor": 0.5}),
    "swish": ("tied", {"hidden_act": "swish"}),
    "epsilon_absent": ("tied", {"rms_norm_eps": ABSENT}),
    "infinity_in_a_field_that_nobody_reads": ("tied", {"time_step_limit": [0.0, float("inf")]}),
}


def stored_otherwise():
    """Name: (folder of the configuration, fields, tensors)."""
    tied = load_file(TINY / "tied" / "model.safetensors")
    half = {name: tensor.half() for name, tensor in tied.items()}
    head = torch.randn(half["model.embed_tokens.weight"].shape, generator=torch.Generator().manual_seed(1)) * 0.3
    only_head = {name: tensor for name, tensor in half.items() if "embed_tokens" not in name}
    return {
        "head_alone": ("tied", {}, only_head | {"lm_head.weight": half["model.embed_tokens.weight"].clone()}),
        "head_that_differs": ("tied", {}, half | {"lm_head.weight": head.half()}),
        "head_stored_twice": ("tied", {}, half | {"lm_head.weight": half["model.embed_tokens.weight"].clone()}),
        "without_prefix": ("tied", {}, {name.removeprefix("model."): tensor for name, tensor in half.items()}),
    }


def configuration(base, fields):
    config = json.loads((TINY / base / "config.json").read_text()) | fields
    if fields.get("model_type") == "mistral":
        config["architectures"] = ["MistralForCausalLM"]
    return {key: value for key, value in config.items() if value is not ABSENT}


def answer(config, weights, tokens):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "config.json").write_text(json.dumps(config))
        if isinstance(weights, dict):
            save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        else:
            shutil.copy(weights, folder / "model.safetensors")
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
    with torch.no_grad():
        return model(tokens[None]).logits[0].numpy().astype(np.float32)


def write_adapters(tokens):
    """Two adapters for `tied`, as PEFT writes and reads them."""
    for name, options in {
        "adapter": dict(r=3, lora_alpha=12, target_modules=["q_proj", "v_proj", "down_proj"]),
        "adapter_rslora": dict(r=4, lora_alpha=6, use_rslora=True, target_modules="all-linear"),
    }.items():
        base = AutoModelForCausalLM.from_pretrained(TINY / "tied", dtype=torch.float32, attn_implementation="eager")
        model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **options))
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for key, parameter in sorted(model.named_parameters()):
                if "lora_" in key:
                    parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        shutil.rmtree(HERE / name, ignore_errors=True)
        model.save_pretrained(HERE / name)
        (HERE / name / "README.md").unlink(missing_ok=True)
        config = json.loads((HERE / name / "adapter_config.json").read_text()) | {"base_model_name_or_path": "tied"}
        (HERE / name / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")
        again = AutoModelForCausalLM.from_pretrained(TINY / "tied", dtype=torch.float64, attn_implementation="eager")
        with torch.no_grad():
            logits = PeftModel.from_pretrained(again, HERE / name).double()(tokens[None]).logits[0]
        np.save(HERE / f"{name}.logits.npy", logits.numpy().astype(np.float32))
        gap = np.abs(logits.numpy() - np.load(TINY / "tied" / "logits.npy")).max()
        print(f"{name}: max |Δlogit| to `tied` {gap:.2f}")


def main():
    tokens = torch.from_numpy(np.load(TINY / "tokens.npy").astype(np.int64))
    plain = np.load(TINY / "tied" / "logits.npy")
    cases = []
    for name, (base, fields) in CONFIGS.items():
        config = configuration(base, fields)
        (HERE / f"{name}.config.json").write_text(json.dumps(config, indent=1) + "\n")
        logits = answer(config, TINY / base / "model.safetensors", tokens)
        np.save(HERE / f"{name}.logits.npy", logits)
        cases.append({"name": name, "weights": f"tiny_llama/{base}/model.safetensors"})
        print(f"{name}: max |Δlogit| to `tied` {np.abs(logits - plain).max():.2f}")
    for name, (base, fields, tensors) in stored_otherwise().items():
        config = configuration(base, fields)
        (HERE / f"{name}.config.json").write_text(json.dumps(config, indent=1) + "\n")
        tensors = {key: tensor.contiguous() for key, tensor in tensors.items()}
        save_file(tensors, HERE / f"{name}.safetensors", metadata={"format": "pt"})
        logits = answer(config, tensors, tokens)
        np.save(HERE / f"{name}.logits.npy", logits)
        cases.append({"name": name, "weights": f"config_fields/{name}.safetensors"})
        print(f"{name}: max |Δlogit| to `tied` {np.abs(logits - plain).max():.2f}")
    write_adapters(tokens)
    (HERE / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    print(f"transformers {transformers.__version__}, peft {peft.__version__}, torch {torch.__version__}, numpy {np.__version__}")


main()
