#!/usr/bin/env python3
"""Holds predictions against what was measured.

    tests/judge_prediction.py FOLDER…    prints a table, and over all folders what they say together

Each folder is one of `lm-infinite diagnose --predict N --tokens N --policy vanilla --out FOLDER`: the prediction reads nothing
beyond the training length, the run beside it does. Standard library alone.

Of every length that was predicted the measured values are means over the positions that are nearest to it, by ratio.
"""

import json
import random
import sys
from pathlib import Path


def mean(values):
    return sum(values) / len(values) if values else float("nan")


def nearest(lengths, position):
    return min(lengths, key=lambda length: max(length, position) / min(length, position))


def by_length(lengths, points, begin):
    """Means of points (position, value) from `begin` on, by the nearest length."""
    groups = {length: [] for length in lengths}
    for position, value in points:
        if position >= begin and value is not None and position <= lengths[-1]:
            groups[nearest(lengths, position)].append(value)
    return {length: mean(values) for length, values in groups.items() if values}


def error(predicted, measured):
    """Mean absolute difference, and mean difference, of values that both have."""
    pairs = [(predicted[at], measured[at]) for at in predicted if at in measured and predicted[at] is not None]
    return mean([abs(a - b) for a, b in pairs]), mean([a - b for a, b in pairs]), len(pairs)


def ranks(values):
    order = sorted(range(len(values)), key=values.__getitem__)
    result = [0.0] * len(values)
    for at in range(len(values)):
        same = [rank for rank, index in enumerate(order) if values[index] == values[at]]
        result[at] = mean(same)
    return result


def correlation(a, b):
    a, b = ranks(a), ranks(b)
    middle = (mean(a), mean(b))
    cross = sum((x - middle[0]) * (y - middle[1]) for x, y in zip(a, b))
    size = (sum((x - middle[0]) ** 2 for x in a) * sum((y - middle[1]) ** 2 for y in b)) ** 0.5
    return cross / size if size else float("nan")


def interval(a, b):
    """Of a rank correlation: 95 % of bootstrap replicates over the pairs."""
    draw, found = random.Random(0), []
    for _ in range(2000):
        picked = [draw.randrange(len(a)) for _ in a]
        value = correlation([a[at] for at in picked], [b[at] for at in picked])
        if value == value:
            found.append(value)
    found.sort()
    return found[int(0.025 * len(found))], found[int(0.975 * len(found))]


def judge(folder):
    predicted = json.loads((folder / "predicted.json").read_text())
    measured = json.loads((folder / "diagnosis.json").read_text())
    run = next(run for run in measured["runs"] if run["policy"] == "vanilla")
    trained = predicted["trained_length"]
    beyond = [at for at in predicted["lengths"] if at["length"] > trained]
    lengths = [at["length"] for at in beyond]

    def value(at, name):
        return at[name]["mean"] if at[name] else None

    pairs = zip(run["buckets"], measured["reference"])
    loss = [((a["from"] + a["to"]) / 2, a["nll"] - b["nll"]) for a, b in pairs if a["nll"] and b["nll"]]
    measured_loss = by_length(lengths, loss, trained)
    loss_error = error({at["length"]: value(at, "loss") for at in beyond}, measured_loss)
    curve = run["curves"]["entropy"]
    measured_entropy = by_length(lengths, zip(curve["x"], curve["mean"]), trained)
    entropy_error = error({at["length"]: value(at, "entropy") for at in beyond}, measured_entropy)
    points = {
        name: dict(zip(of["x"], of["mean"]))
        for name, of in (("predicted", predicted["logits_by_distance"]), ("measured", run["curves"]["logits"]))
    }
    far = {name: {x: y for x, y in of.items() if x >= trained} for name, of in points.items()}
    logit_error = error(far["predicted"], {x: y for x, y in far["measured"].items() if y is not None})

    def exceeds(head, names):
        return any(head.get(name) and head[name]["exceeds"] for name in names)

    named = {}
    for kind, of_prediction, of_run in (
        ("logits", ("logits", "logits_on_start"), ("logit_excess", "start_logit_excess")),
        ("entropy", ("entropy",), ("entropy_excess",)),
    ):
        both = [
            (exceeds(a, of_prediction), exceeds(b, of_run)) for a, b in zip(predicted["heads"], run["heads"])
        ]
        named[kind] = (sum(a == b for a, b in both), len(both), sum(a for a, _ in both), sum(b for _, b in both))
    onset = {"measured": run["loss"]["onset"], "predicted": predicted["onset"]}
    return {
        "model": folder.name,
        "trained": trained,
        "length": predicted["length"],
        "outcomes": (run["loss"]["outcome"], predicted["outcome"]),
        "onsets": (onset["measured"], onset["predicted"]),
        "end": (measured_loss.get(lengths[-1]), value(beyond[-1], "loss")),
        "loss": loss_error,
        "mean": (mean(list(measured_loss.values())),),
        "entropy": entropy_error,
        "logits": logit_error,
        "named": named,
    }


def at(onset):
    return f"{onset['at']:,} ({onset['interval'][0]:,} to {onset['interval'][1]:,})" if onset else "—"


def main():
    folders = [Path(name) for name in sys.argv[1:]]
    if not folders:
        sys.exit(__doc__)
    results = [judge(folder) for folder in folders]
    print(
        "| model | trained | to | loss | onset, measured | predicted | rise at the end, measured | predicted "
        "| error of the loss | of the entropy | of the logits | heads named rightly: logits | entropy |"
    )
    print("|---" * 13 + "|")
    for r in results:
        outcomes = r["outcomes"][0] if r["outcomes"][0] == r["outcomes"][1] else " / ".join(r["outcomes"])
        end = [f"{value:+.2f}" if value is not None else "—" for value in r["end"]]
        named = [f"{right} of {count}" for right, count, *_ in r["named"].values()]
        print(
            f"| {r['model']} | {r['trained']} | {r['length']:,} | {outcomes} | {at(r['onsets'][0])} | {at(r['onsets'][1])} "
            f"| {end[0]} | {end[1]} | {r['loss'][0]:.2f} | {r['entropy'][0]:.2f} | {r['logits'][0]:.2f} "
            f"| {named[0]} | {named[1]} |"
        )
    print()
    same = sum(r["outcomes"][0] == r["outcomes"][1] for r in results)
    print(f"outcome of the loss: {same} of {len(results)} the same")
    both = [r for r in results if all(r["onsets"])]
    if len(both) > 2:
        # In training lengths: otherwise longer training lengths alone would make the order.
        for name, unit in (("in tokens", lambda r: 1), ("in training lengths", lambda r: r["trained"])):
            pairs = [[r["onsets"][i]["at"] / unit(r) for r in both] for i in (0, 1)]
            low, high = interval(*pairs)
            print(f"rank correlation of onsets {name}: {correlation(*pairs):.2f} ({low:.2f} to {high:.2f}, n = {len(both)})")
        ratio = sorted(r["onsets"][1]["at"] / r["onsets"][0]["at"] for r in both)
        print(f"predicted by measured onset: median {ratio[len(ratio) // 2]:.2f}, {ratio[0]:.2f} to {ratio[-1]:.2f}")
    pairs = [[r["end"][i] for r in results if None not in r["end"]] for i in (0, 1)]
    if len(pairs[0]) > 2:
        low, high = interval(*pairs)
        print(f"rank correlation of rises at the end: {correlation(*pairs):.2f} ({low:.2f} to {high:.2f}, n = {len(pairs[0])})")
    for name in ("loss", "entropy", "logits"):
        errors = [r[name][0] for r in results if r[name][0] == r[name][0]]
        biases = [r[name][1] for r in results if r[name][1] == r[name][1]]
        print(f"error of the {name}: {mean(errors):.2f} in the mean over {len(errors)} models, {mean(biases):+.2f} of it on one side")
    for kind in ("logits", "entropy"):
        right, count, predicted, measured = (sum(r["named"][kind][i] for r in results) for i in range(4))
        print(f"heads named rightly, {kind}: {right} of {count} ({predicted} were predicted to exceed, {measured} do)")


if __name__ == "__main__":
    main()
