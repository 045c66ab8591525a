"""Speed of llama.cpp (Python package llama-cpp-python) on one GGUF file, as one JSON object on stdout.

    python run_llama.py MODEL.gguf --length 2048 --decode 32 --threads 2 [--batch 512]

Prefill: one evaluation of `length` tokens in batches of `--batch`, logits of the last position only. Decode: greedy, one
token after another, after that prefill. Run one process per length, so that peak RSS belongs to that length.
"""
import argparse
import json
import resource
import time

import llama_cpp
from llama_cpp import Llama

arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
arguments.add_argument("model")
arguments.add_argument("--length", type=int, required=True, help="tokens of the prefill")
arguments.add_argument("--decode", type=int, default=32, help="tokens generated after it")
arguments.add_argument("--threads", type=int, required=True)
arguments.add_argument("--batch", type=int, default=512, help="n_batch and n_ubatch")
a = arguments.parse_args()

model = Llama(
    a.model,
    n_ctx=a.length + a.decode + 8,
    n_threads=a.threads,
    n_threads_batch=a.threads,
    n_batch=a.batch,
    n_ubatch=a.batch,
    logits_all=False,
    verbose=False,
)
# Any token ids do for speed; these are spread over the vocabulary and the same for every rival.
tokens = [(i * 7919 + 13) % model.n_vocab() for i in range(a.length)]

model.eval(tokens[: min(64, a.length)])  # first touch of the mapped weights
model.reset()
begin = time.perf_counter()
model.eval(tokens)
prefill = time.perf_counter() - begin

begin = time.perf_counter()
for _ in range(a.decode):
    model.eval([model.sample(temp=0.0)])
decode = time.perf_counter() - begin

print(json.dumps({
    "rival": f"llama.cpp (llama-cpp-python {llama_cpp.__version__})",
    "length": a.length,
    "prefill_tokens_per_second": a.length / prefill,
    "decode_tokens_per_second": a.decode / decode,
    "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
