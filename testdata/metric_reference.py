#!/usr/bin/env python3
"""Writes metric_reference.json beside this file: BLEU by sacrebleu, ROUGE by rouge_score, stems by the stemmer that
rouge_score uses, and numbers as Python reads them, for the tests of src/embedded/evaluator/metrics/.

Needs sacrebleu 2 and rouge_score 0.1: python3 testdata/metric_reference.py
"""

import json
import math
import pathlib
import random
import re

import sacrebleu
from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer

# A candidate and its references.
HARD = [
    ("", [""]),
    ("", ["a b c"]),
    ("a b c", [""]),
    ("the cat sat on the mat", ["the cat sat on the mat"]),
    ("the the the the the the the", ["the cat is on the mat", "there is a cat on the mat"]),
    ("it is a guide to action which ensures that the military always obeys the commands of the party",
     ["It is a guide to action that ensures that the military will forever heed Party commands",
      "It is the guiding principle which guarantees the military forces always being under the command of the Party",
      "It is the practical guide for the army always to heed the directions of the party"]),
    ("up", ["up"]),
    ("up", ["Up"]),
    ("up and away", ["up"]),
    ("shares rose 3.5% to $1,234.56, a record-high.", ["Shares rose 3.5 % to $1,234.56, a record high ."]),
    ("AT&amp;T &lt;T&gt; &quot;buys&quot; Time-\nWarner", ['AT&T <T> "buys" TimeWarner']),
    ("10-K filed 2024-05-01 (amended); see p.12.", ["10 - K filed 2024 - 05 - 01 ( amended ) ; see p. 12 ."]),
    ("don't stop", ["do n't stop"]),
    ("<skipped> text", ["text"]),
    ("line one\nline two  ", ["line one line two"]),
    ("日本 の 株 は 上がる", ["日本 の 株 は 下がる"]),
    ("Ünïcode naïve café", ["unicode naive cafe"]),
    ("ÉCLAIR İstanbul Kelvin \u212a", ["éclair i\u0307stanbul kelvin k"]),
    ("a\u00a0b\u2003c\x1cd", ["a b c d"]),
    ("!?.,;:", ["!?.,;:"]),
    ("...", ["x"]),
    ("🚀 to the moon 🚀", ["🚀 to the moon"]),
    ("a b c d", ["a b c d e f g h i j", "a b c"]),
    ("a b c", ["a b", "a b c d"]),
    ("one two three four five", ["five four three two one"]),
    ("None", ["none"]),
    ("x_y {a} [b] `c` ~d^e|f\\g", ["x_y { a } [ b ] ` c ` ~ d ^ e | f \\ g"]),
    ("skies dying lying tying news innings outings cannings howe proceed exceed succeed",
     ["sky die lie tie new inning outing canning howes proceeds exceeding succeeded"]),
]

WORDS = """running runs ran easily fairly flies died agreed owned humbled sized meeting stating siezing itemization sensational
traditional reference colonizer plotted caresses ponies ties caress cats feed plastered bled motoring sing conflated troubled
hopping tanned falling hissing fizzed failing filing happy sky enjoy spy relational conditional rational valenci hesitanci
digitizer conformabli radically differently vilely analogously vietnamization predication operator feudalism decisiveness
hopefulness callousness formality sensitivity sensibility triplicate formative formalize electricity electrical hopeful goodness
revival allowance inference airliner gyroscopic adjustable defensible irritant replacement adjustment dependent adoption
homologou communism activate angularity homologous effective bowdlerize probate rate cease controll roll analogy archaeology
apologize apologi hopefully carefully sssed yyyy syzygy toy ivy oats trees troubles private oaten orrery by y tree tr ee
dividends splitting quarterly earnings acquisitions offerings upgraded downgrades restructuring 10ks 2024ing a1s 33s eed ied
ies used using use aed oing ated bled sized ional eli logi geologi ions station nation onion ally totally really royally
""".split()

NUMBERS = ["", "none", "7", "a 3 then 4.5", "-2", "+8", "3-2", "1,234.56", "1.2.3", "..5", "5.", "1e-5", "x=.5%", "٣٤", "१.५", "𝟜𝟚", "- 3", "v2.0.1 is 10"]


def number(text):
    found = re.findall(r"[+-]?[\.\d]*\d+", text)
    try:
        return float(found[-1]) if found else None
    except ValueError:
        return None


def pairs():
    yield from HARD
    draw = random.Random(7)
    vocabulary = WORDS[:40] + ["the", "a", "of", ",", ".", "3.5", "U.S.", "10-K", "rate,", "é"]
    for _ in range(60):
        text = lambda: " ".join(draw.choices(vocabulary[: draw.choice([4, 12, 50])], k=draw.randint(1, 14)))
        yield text(), [text() for _ in range(draw.randint(1, 3))]


def main():
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rouge3", "rougeL"], use_stemmer=True)
    stemmer = PorterStemmer()
    cases = []
    for candidate, references in pairs():
        rouge = scorer.score(references[0], candidate)
        cases.append({
            "candidate": candidate,
            "references": references,
            "bleu": sacrebleu.sentence_bleu(candidate, references).score,
            "rouge": [rouge[kind].fmeasure for kind in ("rouge1", "rouge2", "rouge3", "rougeL")],
        })
    # Corpora: the cases from one place to another, against their first references.
    corpora = []
    for start, end in [(0, len(cases)), (0, 3), (3, 4), (6, 8), (8, 20), (20, 50)]:
        part = cases[start:end]
        score = sacrebleu.corpus_bleu([c["candidate"] for c in part], [[c["references"][0] for c in part]]).score
        corpora.append({"start": start, "end": end, "bleu": score})
    reference = {
        "made_by": f"sacrebleu {sacrebleu.__version__}, rouge_score 0.1.2",
        "cases": cases,
        "corpora": corpora,
        "stems": {word: stemmer.stem(word) for word in sorted(set(WORDS))},
        "numbers": [[text, number(text)] for text in NUMBERS],
    }
    assert all(math.isfinite(case["bleu"]) for case in cases)
    path = pathlib.Path(__file__).with_name("metric_reference.json")
    path.write_text(json.dumps(reference, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
