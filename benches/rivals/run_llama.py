"""Speed of llama.cpp (Python package llama-cpp-python) on one GGUF file, as one JSON object on standard output.

    python run_llama.py MODEL.gguf LENGTH DECODE THREADS

Prefill in batches of 512 tokens (n_batch = n_ubatch), then greedy decoding, one token after another; logits of the last
position only. One process per length, so that peak memory belongs to that length.
"""

import json
import resource
import sys
import time

from llama_cpp import Llama

BATCH = 512
path, length, decode, threads = sys.argv[1], *map(int, sys.argv[2:])
model = Llama(
    path,
    n_ctx=length + decode + 8,
    n_threads=threads,
    n_threads_batch=threads,
    n_batch=BATCH,
    n_ubatch=BATCH,
    logits_all=False,
    verbose=False,
)
# The same tokens as every rival: spread over the vocabulary.
tokens = [(i * 7919 + 13) % model.n_vocab() for i in range(length)]

model.eval(tokens[:64])  # first touch of the mapped weights
model.reset()
begin = time.perf_counter()
model.eval(tokens)
prefill = time.perf_counter() - begin

begin = time.perf_counter()
for _ in range(decode):
    model.eval([model.sample(temp=0.0)])
decoding = time.perf_counter() - begin

print(json.dumps({
    "prefill_tokens_per_second": length / prefill,
    "decode_tokens_per_second": decode / decoding,
    "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
