"""Runs rivals in turn on one GGUF file and prints one table. `run.sh` prepares everything and calls this.

Every measurement is a process of its own. Rounds go through all rivals at every length, A B C A B C, so that a noisy
machine disturbs all of them; medians are printed. A rival that fails at a length shows a dash, and why on standard error.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

WINDOW_POLICY = "lm-infinite:start=10,window=2048"


def commands(a, length):
    """Rivals as (name, command, environment) at one length."""
    ours = lambda policy, precision, kv: [
        a.ours, "bench", "--json", "--model", a.model, "--threads", str(a.threads), "--policy", policy, "--kv", kv,
        "--lengths", str(length), "--decode", str(a.decode), "--rounds", "1", "--precision", precision,
    ]
    rivals = []
    if a.llama_python:
        here = os.path.dirname(os.path.abspath(__file__))
        script = os.path.join(here, "run_llama.py")
        numbers = [str(length), str(a.decode), str(a.threads)]
        rivals.append(("llama.cpp", [a.llama_python, script, a.model, *numbers], {}))
    for name, program in a.candle:
        threads = {"RAYON_NUM_THREADS": str(a.threads)}
        rivals.append((name, [program, a.model, str(length), str(a.decode)], threads))
    # As measurements run, and as `generate` does; llama.cpp holds keys and values as f16.
    for precision, kv in [("exact", "f32"), ("fast", "f16")]:
        for policy in ["vanilla", WINDOW_POLICY]:
            rivals.append((f"lm-infinite, {policy}, {precision}, {kv}", ours(policy, precision, kv), {}))
    return rivals


def measure(name, command, environment, length, limit):
    """The rival's own JSON, or nothing where it fails or takes longer than `limit` seconds."""
    try:
        done = subprocess.run(
            command, env=os.environ | environment, capture_output=True, text=True, timeout=limit, check=True
        )
    except subprocess.TimeoutExpired:
        print(f"{name} at {length}: stopped after {limit} s", file=sys.stderr)
        return None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{name} at {length}: exit {error.returncode}: {reason}", file=sys.stderr)
        return None
    answer = json.loads(done.stdout)
    return answer["runs"][0] if "runs" in answer else answer


def table(names, lengths, results):
    """Markdown: a row a rival, a column a length and quantity."""
    columns = [
        ("prefill", "prefill_tokens_per_second", lambda x: f"{x:.0f}"),
        ("decode @", "decode_tokens_per_second", lambda x: f"{x:.1f}"),
        ("peak MB @", "peak_rss_bytes", lambda x: f"{x / 1e6:.0f}"),
    ]
    head = [f"{title}{'' if title.endswith('@') else ' '}{length}" for title, _, _ in columns for length in lengths]
    print("| tokens/s | " + " | ".join(head) + " |")
    print("|---" * (len(head) + 1) + "|")
    for name in names:
        cells = []
        for _, key, show in columns:
            for length in lengths:
                values = [run[key] for run in results.get((name, length), [])]
                cells.append(show(statistics.median(values)) if values else "–")
        print(f"| {name} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--ours", required=True, help="the program lm-infinite")
    parser.add_argument("--llama-python", help="a Python that has llama-cpp-python")
    parser.add_argument("--candle", action="append", nargs=2, default=[], metavar=("NAME", "PROGRAM"))
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 2048, 8192])
    parser.add_argument("--decode", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=int, default=900, help="seconds for one measurement")
    parser.add_argument("--out", help="also write every single measurement as JSON")
    a = parser.parse_args()

    results, names, failed = {}, [], set()
    for round_ in range(a.rounds):
        for length in a.lengths:
            for name, command, environment in commands(a, length):
                names += [name] if name not in names else []
                if (name, length) in failed:
                    continue
                print(f"round {round_ + 1}/{a.rounds}: {name} at {length}", file=sys.stderr)
                run = measure(name, command, environment, length, a.limit)
                if run is None:
                    failed.add((name, length))
                else:
                    results.setdefault((name, length), []).append(run)
    print(f"{a.threads} threads, medians of {a.rounds} rounds, {a.decode} tokens decoded after each prefill\n")
    table(names, a.lengths, results)
    if a.out:
        flat = [{"rival": name, "length": length, "rounds": runs} for (name, length), runs in results.items()]
        with open(a.out, "w", encoding="utf-8") as file:
            json.dump(flat, file, indent=1)


main()
