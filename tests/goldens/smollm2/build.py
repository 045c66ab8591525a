"""Writes the goldens of this folder: python build.py MODEL.gguf FAQ.txt [--long]

FAQ.txt is the text that tests/goldens/smollm2/faq_text.py writes. Everything is float64 except `--long`, which is
float32 for time.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import dense  # noqa: E402

# (tokens, policies)
SHORT = (600, [
    "vanilla",
    "ceiling:ceiling=128",
    "lm-infinite:start=10,window=128",
    "lambda:start=10,window=128",
    "streaming-llm:start=4,window=128",
    "window:window=128",
    "lm-infinite-topk:start=10,window=128,k=5,from_layer=4,distance=64",
])
MEDIUM = (2048, [
    "vanilla",
    "lm-infinite:start=10,window=512",
    "window:window=512",
    "lm-infinite-topk:start=10,window=512,k=5,from_layer=4,distance=256",
])
LONG = (12288, ["vanilla", "lm-infinite:start=10,window=2048"])
LONG_BUCKET = 1024
STATISTICS = ["max_logit", "lse", "entropy", "start_mass"]

arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
arguments.add_argument("model")
arguments.add_argument("text")
arguments.add_argument("--long", action="store_true", help="only the means over 12,288 tokens")
a = arguments.parse_args()

ids = dense.gguf_tokenizer(a.model).encode(open(a.text, encoding="utf-8").read()[:200_000]).ids
model = dense.Model.from_gguf(a.model, torch.float32 if a.long else torch.float64)
runs = []
for count, labels in [LONG] if a.long else [SHORT, MEDIUM]:
    tokens = torch.tensor(ids[:count])
    assert len(tokens) == count
    for label in labels:
        begin = time.time()
        with_statistics = count == SHORT[0]
        hidden, statistics = model.run(tokens, dense.Policy.parse(label), 10 if with_statistics else None)
        nll = model.nll(hidden, tokens)
        run = {"policy": label, "tokens": count, "nll": round(nll.mean().item(), 6)}
        if a.long:
            # Entry t of `nll` belongs to token t + 1.
            edges = range(0, count, LONG_BUCKET)
            run["buckets"] = [
                {"from": e, "to": e + LONG_BUCKET, "nll": round(nll[max(e - 1, 0) : e + LONG_BUCKET - 1].mean().item(), 6)}
                for e in edges
            ]
        else:
            name = f"{dense.file_name(label)}-{count}"
            np.save(HERE / f"{name}.nll.npy", nll.numpy().astype(np.float32))
        if with_statistics:
            # [statistic, layer, head]: the mean over queries.
            means = np.stack([statistics[s].mean(-1).numpy() for s in STATISTICS]).astype(np.float32)
            np.save(HERE / f"{name}.statistics.npy", means)
        runs.append(run)
        print(f"{label}, {count} tokens: {run['nll']:.5f} ({time.time() - begin:.0f} s)", flush=True)
out = HERE / ("long.json" if a.long else "means.json")
out.write_text(json.dumps(runs, indent=1) + "\n")
