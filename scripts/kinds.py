#!/usr/bin/env python3
"""Trains small models of each kind of attention and diagnoses them: the tables of docs/which-kind-fails-how.md.

    python3 scripts/kinds.py PROGRAM CORPUS WORK [--seeds 0,1] [--table docs/results/kinds/kinds.csv]

PROGRAM is `lm-infinite`, CORPUS the folder of `python3 runtime/assets/text/build_texts.py CORPUS`, WORK keeps models and results:
what is there already is not done again. Rows that the tables have of other seeds stay. Beside the table: `causes.csv`, `start.csv` (how
many start tokens cost what, where layers have windows of their own) and `seeds.csv`, all of them over seeds.
"""

import argparse
import csv
import json
import math
import pathlib
import statistics
import subprocess

TEXTS = ["factbook.txt", "bible.txt", "sqlite.txt", "postgresql.txt"]
SHAPE = "--length 128 --layers 4 --hidden 96 --heads 4 --tokens 3M --threads 2".split()
KINDS = {
    "llama": ["--family", "llama"],
    "gptj": ["--family", "gptj"],
    "mpt": ["--family", "mpt"],
    "gemma2": ["--family", "gemma2"],
    "gpt-oss": ["--family", "gpt-oss"],
    "gpt-oss-closed": ["--family", "gpt-oss", "--closed-sinks"],
    "gpt-neox": ["--family", "gpt-neox"],
}
# Three million tokens, 16 segments of 128 a step.
STEPS = 1465
# The fix and its parts, and windows of three quarters of the training length: few tokens of a segment attend to all of it.
POLICIES = ["vanilla", "window", "lambda", "ceiling", "lm-infinite", "window:window=96", "lm-infinite:window=96"]
# Kinds with windows of their own, and LM-Infinite with less start tokens.
WINDOWED = ["gemma2", "gpt-oss", "gpt-oss-closed"]
STARTS = ["vanilla", "lm-infinite:start=1", "lm-infinite:start=4", "lm-infinite"]
# The 0.975 quantile of Student's t with one degree of freedom, two, …
STUDENT = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622]


def train(options, name, work, seed):
    folder = work / name
    if (folder / "training.csv").exists() and finished(folder):
        return
    if (folder / "training.safetensors").exists():
        command = [options.program, "train", "--resume", folder]
    else:
        texts = [part for text in TEXTS for part in ("--text", options.corpus / text)]
        command = [options.program, "train", *texts, *SHAPE, "--seed", seed, *KINDS[name.rsplit("-", 1)[0]], "--out", folder]
    subprocess.run([str(part) for part in command], check=True)


def finished(folder):
    """Was the last step made?"""
    return int(lines(folder / "training.csv")[-1]["step"]) == STEPS


def lines(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def diagnose(options, name, work, policies=POLICIES, kind="diagnosis"):
    out = work / f"{name}-{kind}"
    if not (out / "diagnosis.json").exists():
        reading = ["--tokens", "2k", *(part for policy in policies for part in ("--policy", policy))]
        command = [options.program, "diagnose", "--model", work / name, *reading, "--out", out]
        subprocess.run([str(part) for part in command], check=True)
    return json.loads((out / "diagnosis.json").read_text()), lines(out / "heads.csv")


def mean(values):
    numbers = [float(value) for value in values if value]
    return sum(numbers) / len(numbers) if numbers else None


def rows(kind, seed, held_out, diagnosis, heads):
    for run in diagnosis["runs"]:
        loss, factors = run["loss"], run["factors"]
        logits, entropy = factors["logits"], factors["entropy"]
        own = [head for head in heads if run["policy"] == head["policy"]]
        of = loss["effect"]
        onset = loss["onset"] or {"at": None, "interval": [None, None]}
        excess = logits.get("largest_excess")
        yield {
            "kind": kind, "seed": seed, "policy": run["policy"], "held_out": held_out, "reference": diagnosis["reference_nll"],
            "nll": run["nll"], "outcome": loss["outcome"], "excess": of["mean"], "excess_low": of["low"], "excess_high": of["high"],
            "n": of["n"], "from": loss["from"], "onset": onset["at"],
            "onset_low": onset["interval"][0], "onset_high": onset["interval"][1], "logits": logits["outcome"],
            "logits_at": logits["at"], "logits_excess": excess and excess["effect"]["mean"], "logits_heads": logits.get("heads_exceeding"),
            "entropy": entropy["outcome"], "entropy_at": entropy["at"], "entropy_excess": entropy.get("effect"),
            "entropy_low": (entropy.get("interval") or [None])[0], "entropy_high": (entropy.get("interval") or [None])[-1],
            "start_mass": entropy.get("start_mass"),
            "sink_inside": mean(head["sink_mass_inside"] for head in own),
            "sink_beyond": mean(head["sink_mass_beyond"] for head in own),
        }


def causes(kind, seed, out):
    """Of what vanilla costs more than LM-Infinite; nothing where there is nothing to explain."""
    path = out / "causes_shares.csv"
    for row in lines(path) if path.exists() else []:
        if row["excess"] == "vanilla" and row["effect"] in ["total", "distances", "keys"]:
            numbers = {name: float(row[name]) if row[name] else "" for name in ["nats", "nats_low", "nats_high", "share", "share_low", "share_high"]}
            yield {"kind": kind, "seed": seed, "cause": row["effect"], "n": row["tokens"], **numbers}


def starts(kind, seed, diagnosis):
    """What LM-Infinite costs, by the number of start tokens."""
    for run in diagnosis["runs"]:
        of = run["loss"]["effect"]
        yield {
            "kind": kind, "seed": seed, "policy": run["policy"], "outcome": run["loss"]["outcome"], "excess": of["mean"],
            "excess_low": of["low"], "excess_high": of["high"], "n": of["n"],
        }


def over_seeds(table):
    """Mean, interval (Student's t over trainings) and extremes of the excess of each kind and policy."""
    groups = {}
    for row in table:
        groups.setdefault((row["kind"], row["policy"]), []).append(row)
    for (kind, policy), rows in groups.items():
        values = [float(row["excess"]) for row in rows]
        middle = statistics.fmean(values)
        half = STUDENT[len(values) - 2] * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        outcomes = [row["outcome"] for row in rows]
        yield {
            "kind": kind, "policy": policy, "seeds": len(values), "mean": middle, "low": middle - half, "high": middle + half,
            "least": min(values), "most": max(values), **{word: outcomes.count(word) for word in ["fails", "holds", "undecided"]},
        }


def of_other_seeds(path, seeds):
    return [row for row in lines(path) if row["seed"] not in seeds] if path.exists() else []


def write(path, all_rows):
    if not all_rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(all_rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()} for row in all_rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--table", type=pathlib.Path, default=pathlib.Path("docs/results/kinds/kinds.csv"))
    options = parser.parse_args()
    options.program = options.program.resolve()
    seeds = options.seeds.split(",")
    places = [options.table, options.table.with_name("causes.csv"), options.table.with_name("start.csv")]
    table, of_causes, of_starts = tables = [of_other_seeds(place, seeds) for place in places]
    for seed in seeds:
        for kind in KINDS:
            name = f"{kind}-{seed}"
            train(options, name, options.work, seed)
            held_out = float(lines(options.work / name / "training.csv")[-1]["held_out"])
            diagnosis, heads = diagnose(options, name, options.work)
            table += rows(kind, seed, held_out, diagnosis, heads)
            of_causes += causes(kind, seed, options.work / f"{name}-diagnosis")
            if kind in WINDOWED:
                of_starts += starts(kind, seed, diagnose(options, name, options.work, STARTS, "starts")[0])
            for place, rows_of in zip(places, tables):
                write(place, rows_of)
            write(options.table.with_name("seeds.csv"), list(over_seeds(table)))


main()
