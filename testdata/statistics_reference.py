#!/usr/bin/env python3
"""Writes statistics_reference.json beside this file, for the tests of src/score/: classification scores of 1,000 random
label sets by scikit-learn, intervals, tests and powers by statsmodels and scipy, and text scores by rouge_score and the function of
the SQuAD evaluation script.

The label sets are not in the file. Both sides draw them from the same small generator (SplitMix64), see label_set().

Needs scikit-learn 1.x, scipy 1.9 or later, statsmodels 0.14 or later and rouge_score 0.1.2: python3 testdata/statistics_reference.py
"""

import collections
import json
import pathlib
import random
import re
import string

import numpy
from rouge_score import rouge_scorer
from scipy.stats import chi2_contingency, mannwhitneyu, permutation_test
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import normal_power, normal_sample_size_one_tail
from statsmodels.stats.proportion import proportion_confint

LABEL_SETS = 1000
MASK = (1 << 64) - 1


class SplitMix64:
    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % bound


def label_set(number):
    """Classes, then (true class, reply) per row. A reply past the classes is off the taxonomy, and past that unparseable.
    Classes are drawn as the smaller of two numbers, so that the last are rare or missing."""
    draw = SplitMix64(number).below
    classes = [1, 2, 3, 5, 14, 40][draw(6)]
    rows = [1, 2, 7, 30, 100, 300][draw(6)]
    skill, odd = draw(101), [0, 0, 10, 50][draw(4)]
    pairs = []
    for _ in range(rows):
        gold = min(draw(classes), draw(classes))
        said = classes + draw(2) if draw(100) < odd else gold if draw(100) < skill else draw(classes)
        pairs.append((gold, said))
    return pairs


def label_set_scores(number):
    gold, said = map(list, zip(*label_set(number)))
    occur = sorted(set(gold))
    f1 = [f1_score(gold, said, labels=occur, average=kind, zero_division=0) for kind in ("macro", "weighted", "micro")]
    kappa = None if len(set(gold) | set(said)) == 1 else cohen_kappa_score(gold, said)
    return [accuracy_score(gold, said), *f1, kappa]


def intervals():
    for trials in (1, 2, 5, 10, 29, 100, 1000, 20000):
        for hits in sorted({0, 1, trials // 7, trials // 2, trials - 1, trials}):
            wilson = proportion_confint(hits, trials, method="wilson")
            exact = proportion_confint(hits, trials, method="beta")
            yield [hits, trials, *map(float, (*wilson, *exact))]


def mcnemar_cases(rng):
    pairs = [(0, 1), (5, 0), (1, 5), (10, 5), (25, 10), (40, 40), (200, 150), (900, 1000), (0, 60)]
    pairs += [(rng.randrange(60), rng.randrange(60)) for _ in range(40)]
    return [[b, c, float(mcnemar([[7, b], [c, 9]], exact=True).pvalue)] for b, c in pairs if b + c]


def holm_cases(rng):
    families = [[rng.random() ** rng.choice([1, 4]) for _ in range(n)] for n in (1, 2, 3, 5, 8, 20) for _ in range(4)]
    families.append([0.01, 0.01, 0.04, 0.04])
    return [[p, [float(q) for q in multipletests(p, method="holm")[1]]] for p in families]


def power_cases(rng):
    for _ in range(40):
        deviation, difference = rng.uniform(0.05, 0.8), rng.uniform(0.002, 0.1)
        level, wanted = rng.choice([0.05, 0.01, 0.025]), rng.choice([0.8, 0.9])
        rows = rng.randrange(20, 5000)
        power = normal_power(difference / deviation, rows, level, alternative="two-sided")
        # The two-sided sample size without the far tail is the one-tailed one of half the level.
        needed = normal_sample_size_one_tail(difference, wanted, level / 2, deviation)
        yield [deviation, rows, difference, level, wanted, float(power), float(needed)]


def squad_f1(reference, reply):
    """compute_f1 of the SQuAD 2.0 evaluation script."""

    def tokens(text):
        text = "".join(ch for ch in text.lower() if ch not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    gold, said = tokens(reference), tokens(reply)
    same = sum((collections.Counter(gold) & collections.Counter(said)).values())
    if not gold or not said:
        return float(gold == said)
    if same == 0:
        return 0.0
    precision, recall = same / len(said), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def text_cases(rng):
    words = "The a an bank's profit rose 4.5% in Q3, naïve café 決算 M&A e-mail don't U.S. running THE __x__ ß İ".split()
    hard = [("", ""), ("a", ""), ("", "b"), ("the", "a"), ("!?", "..."), ("x", "X."), ("a\x1fb c", "a b c"), ("don't", "dont")]
    hard += [("x½a b", "x½ b"), ("a\u0301 x", "x \u0301"), ("a\u200db", "b"), ("Ⓐa b", "b"), ("the\u203fa b", "b")]
    hard += [("the cat sat on the mat", "on the mat the cat sat"), ("a b c d", "a c b d"), ("決算", "決算")]
    texts = [(" ".join(rng.choices(words, k=rng.randrange(1, 25))),) * 2 for _ in range(20)]
    mixed = [(left, " ".join(rng.sample(left.split(), rng.randrange(1, len(left.split()) + 1)))) for left, _ in texts]
    others = [(left, " ".join(rng.choices(words, k=rng.randrange(1, 25)))) for left, _ in texts]
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    for reference, reply in hard + texts[:3] + mixed + others:
        yield [reference, reply, scorer.score(reference, reply)["rougeL"].fmeasure, squad_f1(reference, reply)]


def quantile_cases(rng):
    for n in (1, 2, 3, 17, 200):
        values = [round(rng.gauss(0, 1), 6) for _ in range(n)]
        yield [values, *map(float, numpy.percentile(values, [2.5, 97.5]))]


def rank_cases(rng):
    tables = [[(30, 0), (0, 30)], [(1, 0), (0, 2)], [(3, 1), (2, 2), (0, 4)], [(0, 1), (5, 5), (1, 0)]]
    for _ in range(30):
        values = rng.randrange(2, 12)
        tables.append([(rng.randrange(rng.choice([2, 8, 60])), rng.randrange(rng.choice([2, 8, 60]))) for _ in range(values)])
    for counts in tables:
        samples = [[value for value, cell in enumerate(counts) for _ in range(cell[which])] for which in (0, 1)]
        if all(samples) and len(set(samples[0] + samples[1])) > 1:
            yield [counts, float(mannwhitneyu(*samples, method="asymptotic").pvalue)]


def deal_cases(rng):
    """p of Pearson's statistic over all ways to deal the rows to two samples of these sizes."""
    tables = [[(3, 0), (0, 3)], [(2, 0), (2, 0), (0, 2), (0, 2)], [(1, 1), (1, 1), (2, 2)], [(4, 1), (0, 3)]]
    while len(tables) < 16:
        counts = [(rng.randrange(4), rng.randrange(4)) for _ in range(rng.randrange(2, 6))]
        sizes = [sum(cell[which] for cell in counts) for which in (0, 1)]
        if min(sizes) >= 2 and sum(sizes) <= 13 and all(map(sum, counts)):
            tables.append(counts)
    for counts in tables:
        samples = [[label for label, cell in enumerate(counts) for _ in range(cell[which])] for which in (0, 1)]

        def statistic(first, second):
            table = [[list(sample).count(label) for label in range(len(counts))] for sample in (first, second)]
            return chi2_contingency(table, correction=False).statistic

        every = permutation_test(samples, statistic, n_resamples=10**9, alternative="greater", vectorized=False)
        yield [counts, float(every.pvalue)]


def main():
    rng = random.Random(20261127)
    tables = {
        "label_sets": [label_set_scores(number) for number in range(LABEL_SETS)],
        "intervals": list(intervals()),
        "mcnemar": mcnemar_cases(rng),
        "holm": holm_cases(rng),
        "power": list(power_cases(rng)),
        "texts": list(text_cases(rng)),
        "quantiles": list(quantile_cases(rng)),
        "ranks": list(rank_cases(random.Random(1))),
        "deals": list(deal_cases(random.Random(2))),
    }
    lines = [f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for name, rows in tables.items()]
    out = pathlib.Path(__file__).with_name("statistics_reference.json")
    out.write_text("{" + ",\n".join(lines) + "}\n", encoding="ascii")
    print({name: len(rows) for name, rows in tables.items()}, out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
