"""A dense reference of attention policies on Llama-family decoders, in PyTorch: the source of the goldens.

Obvious and slow on purpose. For every query i and key j it evaluates whether j is attended and which distance the
rotary encoding is given, as two [queries, keys] tables made from the policy's definition. It shares no code with the
Rust program. `check.py` holds it against `transformers` and against the published numbers.
"""

import dataclasses
import json
import math
import pathlib
import re

import numpy as np
import torch


@dataclasses.dataclass
class Policy:
    """What a method changes about attention. `in_cache` counts a start key's distance among the keys that are kept."""

    label: str
    start: int = 0
    window: int | None = None
    ceiling: int | None = None
    in_cache: bool = False
    linear: float = 1.0
    ntk: float = 1.0
    # Dynamic NTK: its factor and the trained length, None without.
    dynamic: tuple | None = None
    # Divisors of the frequencies, and what queries and keys are multiplied by.
    divisors: torch.Tensor | None = None
    magnitude: float = 1.0
    # Self-Extend: (group, neighbor window). Dual chunk attention: (chunk, local).
    grouped: tuple | None = None
    chunked: tuple | None = None
    # Start tokens (number, distance) that are not attended from that distance on.
    dropped: tuple | None = None
    # Keys from which on queries grow with ln n.
    temperature: int | None = None
    # From block `from_layer` on, also the `k` keys between start and window with the largest logits, all at `distance`.
    k: int = 0
    from_layer: int = 0
    distance: int = 0

    @staticmethod
    def parse(label, trained=None):
        """Reads `NAME:key=value,…`, several joined by `+`; every key must be written out."""
        policy = Policy(label)
        for part in label.split("+"):
            name, _, rest = part.partition(":")
            keys = dict(item.split("=") for item in rest.split(",") if item)
            number = {key: int(value) for key, value in keys.items() if key != "factor"}
            factor = float(keys.get("factor", 1))
            if name in ("window", "lambda", "lm-infinite", "lm-infinite-topk", "streaming-llm"):
                policy.start, policy.window = number.get("start", 0), number["window"]
            if name in ("ceiling", "ceiling-no-start"):
                policy.ceiling = number["ceiling"]
            if name.startswith("lm-infinite"):
                policy.ceiling = number.get("ceiling", policy.window)
            if name == "lm-infinite-topk":
                policy.k, policy.from_layer, policy.distance = number["k"], number["from_layer"], number["distance"]
            if name.endswith("no-start"):
                policy.dropped = number["start"], number["beyond"]
            policy.in_cache |= name == "streaming-llm"
            if name == "rerope":
                policy.ceiling = number["window"]
            if name == "self-extend":
                policy.grouped = number["group"], number["window"]
            if name == "dca":
                policy.chunked = number["chunk"], number["local"]
            if name == "temperature":
                policy.temperature = number["from"]
            if name == "pi":
                policy.linear = factor
            if name == "ntk":
                policy.ntk = factor
            if name == "dynamic-ntk":
                policy.dynamic = factor, trained
        return policy

    def attended(self, i, j):
        """Boolean table: does the query at i see the key at j?"""
        seen = j <= i
        if self.window is not None:
            seen = seen & ((i - j < self.window) | (j < self.start))
        if self.dropped is not None:
            seen = seen & ~((j < self.dropped[0]) & (i - j >= self.dropped[1]))
        return seen

    def distances(self, i, j):
        """The distance that the rotary encoding is given, as a table, for policies that change it by position."""
        if self.grouped is not None:
            group, window = self.grouped
            far = i // group - j // group + window - window // group
            return torch.where(i - j < window, i - j, far)
        chunk, local = self.chunked
        query = torch.where(
            i // chunk == j // chunk,
            i % chunk,
            torch.where(i // chunk - j // chunk == 1, (chunk + i % chunk).clamp(max=chunk + local - 1), chunk + local - 1),
        )
        return query - j % chunk

    def query_scale(self, i, layer):
        """What the queries at positions i [queries] are multiplied by."""
        if self.temperature is None:
            return torch.ones(len(i), dtype=torch.float64)
        row, j = i[:, None], torch.arange(int(i.max()) + 1)[None]
        keys = self.attended(row, j).sum(-1)
        if self.k and layer >= self.from_layer:
            middle = ((row - j >= self.window) & (j >= self.start)).sum(-1)
            keys = keys + middle.clamp(max=self.k)
        return (keys.double().log() / math.log(self.temperature)).clamp(min=1)


@dataclasses.dataclass
class Model:
    """A decoder in float64 or float32. `pairs` lists the two dimensions that each rotation turns: [2, head_dim / 2]."""

    heads: int
    kv_heads: int
    head_dim: int
    layers: int
    epsilon: float
    theta: float
    pairs: torch.Tensor
    weights: dict  # role, or `layer.role`, -> tensor

    # Roles of a layer's tensors: (ours, GGUF's, Hugging Face's).
    ROLES = [
        ("attention_norm", "attn_norm", "input_layernorm"),
        ("query", "attn_q", "self_attn.q_proj"),
        ("key", "attn_k", "self_attn.k_proj"),
        ("value", "attn_v", "self_attn.v_proj"),
        ("output", "attn_output", "self_attn.o_proj"),
        ("mlp_norm", "ffn_norm", "post_attention_layernorm"),
        ("gate", "ffn_gate", "mlp.gate_proj"),
        ("up", "ffn_up", "mlp.up_proj"),
        ("down", "ffn_down", "mlp.down_proj"),
    ]

    @classmethod
    def from_gguf(cls, path, dtype):
        """A GGUF file of architecture `llama`; quantized tensors are dequantized. Rotations turn (2j, 2j + 1)."""
        import gguf

        reader = gguf.GGUFReader(path)
        field = lambda key: reader.fields[f"llama.{key}"].contents()
        stored = {
            tensor.name: torch.from_numpy(np.array(gguf.dequantize(tensor.data, tensor.tensor_type))).to(dtype)
            for tensor in reader.tensors
        }
        heads = field("attention.head_count")
        weights = {
            "embedding": stored["token_embd.weight"],
            "final_norm": stored["output_norm.weight"],
            "head": stored.get("output.weight", stored["token_embd.weight"]),
        }
        for layer in range(field("block_count")):
            for ours, theirs, _ in cls.ROLES:
                weights[f"{layer}.{ours}"] = stored[f"blk.{layer}.{theirs}.weight"]
        head_dim = field("embedding_length") // heads
        return cls(
            heads, field("attention.head_count_kv"), head_dim, field("block_count"),
            field("attention.layer_norm_rms_epsilon"), field("rope.freq_base"),
            torch.arange(head_dim).reshape(-1, 2).T, weights,
        )

    @classmethod
    def from_hf(cls, folder, dtype):
        """A Hugging Face folder of a Llama or Qwen2 without RoPE scaling. Rotations turn (j, j + head_dim / 2)."""
        from safetensors.torch import load_file

        folder = pathlib.Path(folder)
        config = json.loads((folder / "config.json").read_text())
        stored = {}
        for shard in sorted(folder.glob("*.safetensors")):
            stored |= {name: tensor.to(dtype) for name, tensor in load_file(shard).items()}
        embedding = stored["model.embed_tokens.weight"]
        weights = {
            "embedding": embedding,
            "final_norm": stored["model.norm.weight"],
            "head": stored.get("lm_head.weight", embedding),
        }
        for layer in range(config["num_hidden_layers"]):
            for ours, _, theirs in cls.ROLES:
                for kind, suffix in (("weight", ""), ("bias", "_bias")):
                    name = f"model.layers.{layer}.{theirs}.{kind}"
                    if name in stored:
                        weights[f"{layer}.{ours}{suffix}"] = stored[name]
        heads = config["num_attention_heads"]
        head_dim = config.get("head_dim") or config["hidden_size"] // heads
        return cls(
            heads, config["num_key_value_heads"], head_dim, config["num_hidden_layers"],
            config["rms_norm_eps"], config["rope_theta"],
            torch.arange(head_dim).reshape(2, -1), weights,
        )

    def frequencies(self, policy, position=0):
        """Radians per token of each rotation, in float64, for the query at `position` and all keys that it attends to."""
        ntk = policy.ntk
        if policy.dynamic is not None and position >= policy.dynamic[1]:
            factor, trained = policy.dynamic
            length = (position // trained + 1) * trained
            ntk = factor * length / trained - (factor - 1)
        base = self.theta * ntk ** (self.head_dim / (self.head_dim - 2))
        exponent = torch.arange(0, self.head_dim, 2, dtype=torch.float64) / self.head_dim
        frequencies = base**-exponent / policy.linear
        return frequencies if policy.divisors is None else frequencies / policy.divisors

    def rotate(self, x, positions, frequencies):
        """x [heads, n, head_dim] turned to positions [n], or all of it to one position; angles in float64."""
        angles = torch.as_tensor(positions).double().reshape(-1, 1) * frequencies
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        first, second = x[..., self.pairs[0]], x[..., self.pairs[1]]
        turned = torch.empty_like(x)
        turned[..., self.pairs[0]] = first * cos - second * sin
        turned[..., self.pairs[1]] = first * sin + second * cos
        return turned

    def logits_of_block(self, q, k, i, policy, layer):
        """Scaled attention logits [heads, queries, keys] of queries q at positions i [queries]; −inf where not attended."""
        if policy.dynamic is not None:
            # One query at a time: every one may have its own frequencies.
            rows = [self.logits_at(q[:, t : t + 1], k, i[t : t + 1], policy, layer) for t in range(len(i))]
            return torch.cat(rows, 1)
        return self.logits_at(q, k, i, policy, layer)

    def logits_at(self, q, k, i, policy, layer):
        """The same of queries that share their frequencies."""
        frequencies = self.frequencies(policy, int(i[0]))
        q = q * policy.query_scale(i, layer)[None, :, None].to(q.dtype) * policy.magnitude**2
        n = k.shape[1]
        j = torch.arange(n)[None]
        dots = lambda q_at, k_at: (
            self.rotate(q, q_at, frequencies) @ self.rotate(k, k_at, frequencies).transpose(1, 2)
        ) / math.sqrt(self.head_dim)
        logits = dots(i, j[0])
        row = i[:, None]
        if policy.in_cache:
            changed = (row - j >= policy.window) & (j < policy.start)
            cached = i.clamp(max=policy.start + policy.window - 1)
            logits = torch.where(changed, dots(cached, j[0]), logits)
        elif policy.grouped is not None or policy.chunked is not None:
            # Pair by pair: every one at its own distance.
            distance = policy.distances(row, j)
            for d in distance.unique().tolist():
                logits = torch.where(distance == d, dots(d, 0), logits)
        elif policy.ceiling is not None:
            changed = row - j > policy.ceiling
            logits = torch.where(changed, dots(policy.ceiling, 0), logits)
        logits = logits.masked_fill(~policy.attended(row, j), -math.inf)
        if policy.k and layer >= policy.from_layer:
            middle = (row - j >= policy.window) & (j >= policy.start)
            found = dots(policy.distance, 0).masked_fill(~middle, -math.inf)
            best = found.topk(min(policy.k, n), -1).indices
            chosen = torch.zeros_like(found, dtype=torch.bool).scatter(-1, best, True) & middle
            logits = torch.where(chosen, found, logits)
        return logits

    @torch.no_grad()
    def run(self, tokens, policy, start_tokens=None, distance_edges=(), block=256):
        """One pass over `tokens`.

        Returns final hidden states after the last norm [n, hidden], and, where `start_tokens` is given, a dict of
        `max_logit`, `lse`, `entropy`, `start_mass` [layers, heads, n] and `bucket_mass` [layers, heads, n, buckets].
        """
        w, n, group = self.weights, len(tokens), self.heads // self.kv_heads
        norm = lambda x, gain: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * gain
        x = w["embedding"][tokens]
        layers = []
        for layer in range(self.layers):
            linear = lambda h, role: h @ w[f"{layer}.{role}"].T + w.get(f"{layer}.{role}_bias", 0)
            split = lambda y, count: y.view(n, count, self.head_dim).transpose(0, 1)
            h = norm(x, w[f"{layer}.attention_norm"])
            q = split(linear(h, "query"), self.heads)
            k = split(linear(h, "key"), self.kv_heads).repeat_interleave(group, 0)
            v = split(linear(h, "value"), self.kv_heads).repeat_interleave(group, 0)
            mixed, blocks = [], []
            for begin in range(0, n, block):
                i = torch.arange(begin, min(begin + block, n))
                # Later keys are never attended by these queries.
                keys = slice(0, int(i[-1]) + 1)
                logits = self.logits_of_block(q[:, i], k[:, keys], i, policy, layer)
                lse = logits.logsumexp(-1, keepdim=True)
                p = (logits - lse).exp()
                mixed.append(p @ v[:, keys])
                if start_tokens is not None:
                    blocks.append(statistics(logits, lse, p, i, start_tokens, distance_edges))
            joined = torch.cat(mixed, 1).transpose(0, 1).reshape(n, -1)
            x = x + linear(joined, "output")
            h = norm(x, w[f"{layer}.mlp_norm"])
            x = x + linear(torch.nn.functional.silu(linear(h, "gate")) * linear(h, "up"), "down")
            if blocks:
                layers.append({key: torch.cat([b[key] for b in blocks], 1) for key in blocks[0]})
        stats = {key: torch.stack([l[key] for l in layers]) for key in layers[0]} if layers else None
        return norm(x, w["final_norm"]), stats

    @torch.no_grad()
    def nll(self, hidden, tokens, block=512):
        """Nats of tokens 1..n, each given all before it."""
        parts = []
        for begin in range(0, len(tokens) - 1, block):
            end = min(begin + block, len(tokens) - 1)
            logits = hidden[begin:end] @ self.weights["head"].T
            parts.append(torch.nn.functional.cross_entropy(logits, tokens[begin + 1 : end + 1], reduction="none"))
        return torch.cat(parts)


def statistics(logits, lse, p, i, start_tokens, distance_edges):
    """Statistics of attention rows: logits and p [heads, queries, keys], lse [heads, queries, 1], positions i [queries]."""
    finite = torch.where(logits.isinf(), torch.zeros_like(logits), logits)
    j = torch.arange(logits.shape[2])[None]
    distance = i[:, None] - j
    upper = list(distance_edges[1:]) + [math.inf]
    buckets = [
        (p * ((distance >= low) & (distance < high))).sum(-1) for low, high in zip(distance_edges, upper)
    ] if distance_edges else []
    return {
        "max_logit": logits.max(-1).values,
        "lse": lse[..., 0],
        "entropy": lse[..., 0] - (p * finite).sum(-1),
        "start_mass": (p * (j < start_tokens)).sum(-1),
        "bucket_mass": torch.stack(buckets, -1) if buckets else p.new_zeros(*p.shape[:2], 0),
    }


def gguf_tokenizer(path):
    """Tokenizer of a GGUF file of type `gpt2` with the `smollm` splitter, built from the file's own vocabulary."""
    import gguf
    from tokenizers import Tokenizer, models, pre_tokenizers

    fields = gguf.GGUFReader(path).fields
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    vocabulary = {text: index for index, text in enumerate(fields["tokenizer.ggml.tokens"].contents())}
    merges = [tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def file_name(label):
    """A policy's label as a file name."""
    return re.sub(r"[^a-z0-9]+", "-", label)
