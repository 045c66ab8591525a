#!/usr/bin/env python3
"""Holds the losses of trained folders against those of transformers: python3 scripts/trained.py PROGRAM FOLDER…, with transformers 5.

Of every folder that `train` wrote the first tokens of the built-in text, as many as its training length, with float64 weights there.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

SAMPLE = pathlib.Path(__file__).parent.parent / "runtime/assets/text/sample.txt"


def main():
    program, *folders = sys.argv[1:]
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    for folder in folders:
        with tempfile.TemporaryDirectory() as work:
            text, losses = pathlib.Path(work) / "text.txt", pathlib.Path(work) / "losses.npy"
            text.write_text(SAMPLE.read_text()[:1500])
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float64, attn_implementation="eager", experts_implementation="eager"
            ).eval()
            length = AutoTokenizer.from_pretrained(folder).model_max_length
            words = AutoTokenizer.from_pretrained(folder)(text.read_text(), add_special_tokens=False).input_ids
            tokens = torch.tensor([0, *words][:length])
            with torch.no_grad():
                logits = model(tokens[None], use_cache=False).logits[0, :-1]
            theirs = -torch.log_softmax(logits, -1)[torch.arange(len(tokens) - 1), tokens[1:]]
            command = ["perplexity", "--model", folder, "--text", text, "--policy", "vanilla", "--tokens", len(tokens), "--per-token", losses]
            subprocess.run([str(part) for part in [program, *command]], check=True, capture_output=True)
            ours = np.load(losses).ravel()
            farthest = np.abs(ours - theirs.numpy()).max()
            print(f"{folder}: {model.config.model_type}, {len(ours)} losses, mean {ours.mean():.4f}, farthest apart {farthest:.1e} nats")


main()
