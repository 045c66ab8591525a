"""Writes the tiny models and goldens of this folder: python build.py, or python build.py --policies for `policies/` alone.

Models come from `transformers` with seeded random weights, wide enough that attention is far from uniform. `logits.npy`
is transformers' own answer with float64 weights. The files under `policies/` come from ../dense.py in float64, which is
checked here against transformers on every model without RoPE scaling.
"""

import json
import pathlib
import shutil
import sys

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import dense  # noqa: E402

SEED = 20230816
VOCABULARY = 97
TOKENS = 40
# Shorter than the tokens, so that the scaled encodings are used past it.
TRAINED = 16
SHAPE = dict(
    vocab_size=VOCABULARY, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, max_position_embeddings=TRAINED, rms_norm_eps=1e-5, rope_theta=10000.0,
    bos_token_id=None, eos_token_id=96, attn_implementation="eager",
)
SCALED = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {
        "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": TRAINED,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": TRAINED},
    # transformers reads the whole of a text with the long factors if it is longer than the trained length.
    "longrope": {
        "rope_type": "longrope", "factor": 4.0,
        "short_factor": [1.0, 1.02, 1.05, 1.1, 1.2, 1.3, 1.5, 1.7],
        "long_factor": [1.0, 1.1, 1.4, 2.0, 2.8, 3.6, 4.3, 5.0],
    },
}
POLICIES = [
    "vanilla",
    "window:window=5",
    "lambda:start=2,window=5",
    "lm-infinite:start=2,window=5",
    "lm-infinite:start=3,window=7,ceiling=4",
    "ceiling:ceiling=5",
    "streaming-llm:start=2,window=5",
    "pi:factor=4",
    "ntk:factor=4",
    "no-start:start=2,beyond=5",
    "ceiling-no-start:start=2,beyond=5,ceiling=5",
    "rerope:window=6",
    "self-extend:group=3,window=5",
    "dca:chunk=6,local=4",
    "temperature:from=4",
    "dynamic-ntk:factor=2",
    "lambda:start=2,window=9+self-extend:group=2,window=4",
    "lambda:start=2,window=9+dca:chunk=5,local=3",
    "lm-infinite:start=2,window=9,ceiling=5+temperature:from=4",
    "self-extend:group=3,window=5+temperature:from=4",
    "lm-infinite-topk:start=2,window=5,k=3,from_layer=1,distance=3+temperature:from=4",
    "dynamic-ntk:factor=1+lambda:start=2,window=9",
]
STATISTICS = ["max_logit", "lse", "entropy", "start_mass"]
START_TOKENS = 2
DISTANCE_EDGES = (0, 1, 4, 16)


def randomize(model):
    """Seeded weights: matrices N(0, 0.3²), norms 1 + N(0, 0.2²), biases N(0, 0.5²)."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = torch.randn(parameter.shape, generator=generator)
            if name.endswith("bias"):
                parameter.copy_(0.5 * values)
            elif "norm" in name:
                parameter.copy_(1 + 0.2 * values)
            else:
                parameter.copy_(0.3 * values)
    return model


def logits(model, tokens):
    """transformers' logits [tokens, vocabulary] with float64 weights (its norms and angles stay in float32)."""
    with torch.no_grad():
        return model.double()(tokens[None]).logits[0].numpy().astype(np.float32)


def tokenizer():
    """One token per printable ASCII character, then `<unk>` and `<eos>`: 97 in all."""
    vocabulary = {chr(32 + index): index for index in range(95)} | {"<unk>": 95, "<eos>": 96}
    return Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))


def cast(folder, dtype):
    """Rewrites the folder's weights in another type."""
    path = folder / "model.safetensors"
    save_file({name: tensor.to(dtype) for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    for key in ("torch_dtype", "dtype"):
        if key in config:
            config[key] = str(dtype).removeprefix("torch.")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    tokens = torch.randint(0, VOCABULARY, (TOKENS,), generator=torch.Generator().manual_seed(SEED))
    np.save(HERE / "tokens.npy", tokens.numpy().astype(np.uint32))
    llama, qwen = LlamaForCausalLM, Qwen2ForCausalLM
    cases = {
        "tied": (llama, LlamaConfig(**SHAPE, tie_word_embeddings=True), {}),
        "untied_sharded": (llama, LlamaConfig(**SHAPE, tie_word_embeddings=False), dict(max_shard_size="40kB")),
        "bf16": (llama, LlamaConfig(**SHAPE, tie_word_embeddings=False), dict(dtype=torch.bfloat16)),
        "f16": (llama, LlamaConfig(**SHAPE, tie_word_embeddings=True), dict(dtype=torch.float16)),
        "qwen2": (qwen, Qwen2Config(**SHAPE | dict(head_dim=6), tie_word_embeddings=True), {}),
    }
    for name, (family, config, options) in cases.items():
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        model = randomize(family(config).float())
        dtype = options.pop("dtype", None)
        model.save_pretrained(folder, safe_serialization=True, **options)
        (folder / "generation_config.json").unlink(missing_ok=True)
        if dtype:
            cast(folder, dtype)
        tokenizer().save(str(folder / "tokenizer.json"))
        answer = logits(family.from_pretrained(folder, torch_dtype=torch.float64, attn_implementation="eager"), tokens)
        np.save(folder / "logits.npy", answer)
        reference = dense.Model.from_hf(folder, torch.float64)
        hidden, _ = reference.run(tokens, dense.Policy.parse("vanilla"))
        gap = np.abs((hidden @ reference.weights["head"].T).numpy() - answer).max()
        print(f"{name}: dense against transformers, max |Δlogit| {gap:.1e} of {np.abs(answer).max():.1f}")
        assert gap < 1e-4
    write_scaled(tokens)
    write_policies()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, numpy {np.__version__}")


def write_scaled(tokens):
    """Writes the folders of RoPE scalings."""
    for name, scaling in SCALED.items():
        # These share the weights of `tied`: only the configuration differs.
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        config = json.loads((HERE / "tied" / "config.json").read_text()) | {"rope_scaling": scaling}
        config["max_position_embeddings"] = 4 * TRAINED
        if name == "longrope":
            # Where Phi-3 has it, and where transformers looks for it.
            config["original_max_position_embeddings"] = TRAINED
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        model = LlamaForCausalLM(LlamaConfig(**config, attn_implementation="eager")).double()
        missing, unexpected = model.load_state_dict(
            {k: v.double() for k, v in load_file(HERE / "tied" / "model.safetensors").items()}, strict=False
        )
        assert missing == ["lm_head.weight"] and not unexpected
        model.tie_weights()
        answer = logits(model, tokens)
        np.save(folder / "logits.npy", answer)
        if name == "longrope":
            np.save(folder / "logits_within.npy", logits(model, tokens[:TRAINED]))
        print(f"{name}: max |Δlogit| to unscaled {np.abs(answer - np.load(HERE / 'tied' / 'logits.npy')).max():.2f}")


def write_policies():
    """Writes `policies/`."""
    tokens = torch.from_numpy(np.load(HERE / "tokens.npy").astype(np.int64))
    reference = dense.Model.from_hf(HERE / "tied", torch.float64)
    target = HERE / "policies"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    summary = []
    for label in POLICIES:
        hidden, statistics = reference.run(tokens, dense.Policy.parse(label, TRAINED), START_TOKENS, DISTANCE_EDGES)
        nll = reference.nll(hidden, tokens)
        name = dense.file_name(label)
        single = lambda x: x.numpy().astype(np.float32)
        np.save(target / f"{name}.nll.npy", single(nll))
        np.save(target / f"{name}.statistics.npy", single(torch.stack([statistics[s] for s in STATISTICS])))
        np.save(target / f"{name}.buckets.npy", single(statistics["bucket_mass"]))
        summary.append({"policy": label, "file": name, "nll": round(nll.mean().item(), 6)})
        print(f"{label}: {nll.mean().item():.4f}")
    (target / "index.json").write_text(json.dumps(summary, indent=1) + "\n")


if "--policies" in sys.argv:
    write_policies()
else:
    main()
