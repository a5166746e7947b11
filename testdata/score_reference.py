#!/usr/bin/env python3
"""Writes score_reference.json beside this file: classification scores of random and hard cases by scikit-learn, and Wilson
intervals as roots of the equation that defines them, for the tests of src/score/. In a case, gold and said are places in
labels; said is null for an unparseable reply and -1 for a label that is not on the list.

Needs scikit-learn (any 1.x): python3 testdata/score_reference.py
"""

import json
import math
import pathlib
import random

from scipy.optimize import brentq
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

UNPARSEABLE = "\x00unparseable"
OFF = "\x00off"


def reference(name, labels, gold, said):
    """said: a label, None (unparseable) or False (off the taxonomy)."""
    predicted = [UNPARSEABLE if s is None else OFF if s is False else s for s in said]
    occur = sorted(set(gold))
    shown = [label for label in labels if label in set(gold) | set(predicted)]
    precision, recall, f1, support = precision_recall_fscore_support(
        gold, predicted, labels=shown, average=None, zero_division=0
    )
    one_class = len(set(gold) | set(predicted)) == 1
    average = {
        kind: f1_score(gold, predicted, labels=occur, average=kind, zero_division=0)
        for kind in ("macro", "weighted", "micro")
    }
    matrix = confusion_matrix(gold, predicted, labels=shown + [OFF, UNPARSEABLE])
    return {
        "name": name,
        "labels": labels,
        "gold": [labels.index(g) for g in gold],
        "said": [None if s is None else -1 if s is False else labels.index(s) for s in said],
        "accuracy": accuracy_score(gold, predicted),
        "macro_f1": average["macro"],
        "weighted_f1": average["weighted"],
        "micro_f1": average["micro"],
        "kappa": None if one_class else cohen_kappa_score(gold, predicted),
        "classes": [
            [label, p, r, f, int(s), predicted.count(label)]
            for label, p, r, f, s in zip(shown, precision, recall, f1, support)
        ],
        "confusion": [[int(n) for n in row] for row in matrix[: len(shown)]],
    }


def random_case(rng, index):
    classes = rng.choice([1, 2, 3, 5, 13, 40])
    rows = rng.choice([1, 2, 7, 50, 100, 400])
    labels = [f"class {i:02d}" for i in range(classes)]
    weights = [rng.random() ** 3 + 0.01 for _ in labels]
    skill, odd = rng.random(), rng.choice([0.0, 0.0, 0.1, 0.5])
    gold = rng.choices(labels, weights, k=rows)
    said = []
    for truth in gold:
        if rng.random() < odd:
            said.append(rng.choice([None, False]))
        elif rng.random() < skill:
            said.append(truth)
        else:
            said.append(rng.choice(labels))
    return reference(f"random {index}", labels, gold, said)


def hard_cases():
    yield reference("all right", ["a", "b", "c"], ["a", "b", "c", "a"], ["a", "b", "c", "a"])
    yield reference("all wrong", ["a", "b"], ["a", "b", "a"], ["b", "a", "b"])
    yield reference("one row", ["a", "b"], ["a"], ["a"])
    yield reference("one class, all right", ["a"], ["a"] * 5, ["a"] * 5)
    yield reference("one class, some unparseable", ["a"], ["a"] * 5, ["a", None, "a", False, "a"])
    yield reference("every reply unparseable", ["a", "b"], ["a", "b", "b"], [None] * 3)
    yield reference("every reply off the taxonomy", ["a", "b"], ["a", "b", "b"], [False] * 3)
    yield reference("a class is never predicted", ["a", "b", "c"], ["a", "b", "c", "c"], ["a", "b", "a", "b"])
    yield reference("a class is only predicted", ["a", "b", "c"], ["a", "b", "a", "b"], ["a", "c", "c", "b"])
    yield reference("two classes are only predicted", ["a", "b", "c", "d"], ["a", "a"], ["c", "d"])
    yield reference("a label on the list occurs nowhere", ["a", "b", "z"], ["a", "b", "b"], ["b", "b", "a"])
    yield reference("always the majority", ["a", "b", "c"], ["a"] * 90 + ["b"] * 8 + ["c"] * 2, ["a"] * 100)
    yield reference("a rare class right once", ["a", "b"], ["a"] * 99 + ["b"], ["a"] * 99 + ["b"])
    words = ["Übernahme", "決算", "M&A / Fusión", "naïve [x]", "é", "e\u0301"]
    yield reference("unicode", sorted(words), words * 3, words * 2 + words[1:] + words[:1])
    yield reference("empty label", ["", "a"], ["", "a", "a"], ["", "", "a"])


def wilson(successes, trials):
    """Both ends as the roots of (p - p0)^2 = z^2 p0 (1 - p0) / n, found by bisection, not by the closed form."""
    z = 1.959963984540054
    p = successes / trials
    gap = lambda p0: (p - p0) ** 2 - z * z * p0 * (1 - p0) / trials
    # The search starts beside the ends of [0, 1], where the gap has a root of its own when p is 0 or 1.
    low = 0.0 if successes == 0 else brentq(gap, 1e-300, min(p, 1 - 1e-9), xtol=1e-16, rtol=8.9e-16)
    high = 1.0 if successes == trials else brentq(gap, max(p, 1e-9), 1 - 1e-16, xtol=1e-16, rtol=8.9e-16)
    return [low, high]


def main():
    rng = random.Random(20260301)
    cases = list(hard_cases()) + [random_case(rng, index) for index in range(36)]
    trials = [1, 2, 3, 10, 29, 100, 1000, 123457]
    proportions = [
        [k, n, *wilson(k, n)] for n in trials for k in sorted({0, 1, n // 3, n // 2, n - 1, n}) if 0 <= k <= n
    ]
    out = pathlib.Path(__file__).with_name("score_reference.json")
    lines = [json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases]
    body = '{"cases": [\n' + ",\n".join(lines) + '\n],\n"wilson": ' + json.dumps(proportions) + "}\n"
    out.write_text(body, encoding="utf-8")
    assert not any(math.isnan(case["accuracy"]) for case in cases)
    print(f"{len(cases)} cases, {len(proportions)} proportions -> {out.name}")


if __name__ == "__main__":
    main()
