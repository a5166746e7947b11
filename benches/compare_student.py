#!/usr/bin/env python3
"""Compares the embedded platform's students with scikit-learn on the same rows of a CSV file of labelled texts.

    cargo build --release
    python3 benches/compare_student.py CSV [--seeds 10] [--eval-size 150] [--dfwfd target/release/dfwfd]

Needs Python 3.9 and scikit-learn. The file has a column `headline` (or --text-column) and a column `label`. `dfwfd load` loads
it once. For each seed, `dfwfd run` splits, trains and evaluates both students. Then scikit-learn's LogisticRegression(C=10) learns
the bare texts of the run's training rows (sublinear TF-IDF over word 1-2-grams and char_wb 2-5-grams) and answers its eval rows.
Writes only to a temporary folder.

Exits with 1 if the large student's mean macro F1 is more than --margin points (1.5) below scikit-learn's, otherwise with 0.
"""

import argparse
import csv
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

STUDENTS = ("dfwfd/ngram-small", "dfwfd/ngram-large")
WORKLOAD = "compare_student"
CONFIGURATION = """\
nmp_config:
  platform: embedded
logs:
  source: local
data_split_config:
  eval_size: {eval_size}
nims:
""" + "".join(
    """\
  - model_name: {0}
    gpus: 1
    customization_enabled: true
    customizer_configs:
      target: {0}@1.0
      gpus: 1
""".format(name) for name in STUDENTS
)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", help="CSV file of texts and labels")
    parser.add_argument("--text-column", default="headline")
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--seeds", type=int, default=10, help="number of runs, with seeds 1, 2, ... [default: 10]")
    parser.add_argument("--eval-size", type=int, default=150, help="eval rows per run [default: 150]")
    parser.add_argument("--margin", type=float, default=1.5, help="allowed deficit in points of macro F1 [default: 1.5]")
    parser.add_argument("--dfwfd", default="target/release/dfwfd", help="the binary [default: target/release/dfwfd]")
    return parser.parse_args()


def dfwfd(binary, folder, *arguments):
    """Runs a command and returns the JSON that it prints."""
    command = [os.path.abspath(binary), "--config", os.path.join(folder, "flywheel.yaml"), "--state-dir",
               os.path.join(folder, "state"), "--format", "json", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit("%s ended with %d\n%s%s" % (" ".join(command), done.returncode, done.stdout, done.stderr))
    return json.loads(done.stdout)


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def asked_and_said(row):
    """Returns the last user message and the reply of a training row ({messages}) or an eval row ({request, response})."""
    if "request" in row:
        messages, reply = row["request"]["messages"], row["response"]["choices"][0]["message"]["content"]
    else:
        messages, reply = row["messages"][:-1], row["messages"][-1]["content"]
    return [message["content"] for message in messages if message["role"] == "user"][-1], reply


class Texts:
    """Finds the bare texts of the CSV file in prompts."""

    def __init__(self, path, column):
        with open(path, encoding="utf-8-sig", newline="") as file:
            texts = {row[column].strip() for row in csv.DictReader(file)}
        self.exact = texts
        self.longest_first = sorted(texts, key=len, reverse=True)

    def bare(self, prompt):
        if prompt.strip() in self.exact:
            return prompt.strip()
        found = next((text for text in self.longest_first if text and text in prompt), None)
        return found if found is not None else sys.exit("cannot find a text of the CSV file in %r" % prompt)

    def read(self, path):
        """Returns the bare texts and label keys of a dataset file."""
        texts, labels = [], []
        for row in rows(path):
            prompt, reply = asked_and_said(row)
            texts.append(self.bare(prompt))
            labels.append(re.findall(r"\[\[+(.*?)\]\]+", reply)[-1].strip().lower())
        return texts, labels


def macro_f1(gold, said):
    from sklearn.metrics import f1_score
    return f1_score(gold, said, labels=sorted(set(gold)), average="macro", zero_division=0)


def baseline(train, evaluation):
    """Returns macro F1 and training seconds of scikit-learn."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union
    features = make_union(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)),
        TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 5)),
    )
    model = make_pipeline(features, LogisticRegression(C=10, max_iter=1000))
    started = time.perf_counter()
    model.fit(*train)
    seconds = time.perf_counter() - started
    return macro_f1(evaluation[1], model.predict(evaluation[0])), seconds


def of_run(report, model):
    """Returns base and customized macro F1 of one candidate of a run's report."""
    candidate = next(candidate for candidate in report["candidates"] if candidate["model"] == model)
    return [candidate["evaluations"][kind]["scores"]["macro_f1"]["value"] for kind in ("base", "customized")]


def main():
    chosen = options()
    texts = Texts(chosen.csv, chosen.text_column)
    columns = ["scikit-learn"] + [name.split("/")[1] + kind for name in STUDENTS for kind in (" base", "")]
    table = []
    print("seed  train  eval  " + "  ".join("%16s" % column for column in columns))
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "flywheel.yaml"), "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(eval_size=chosen.eval_size))
        dfwfd(chosen.dfwfd, folder, "load", os.path.abspath(chosen.csv), "--workload", WORKLOAD,
              "--text-column", chosen.text_column, "--label-column", chosen.label_column)
        for seed in range(1, chosen.seeds + 1):
            report = dfwfd(chosen.dfwfd, folder, "run", "--workload", WORKLOAD, "--set", "data_split_config.random_seed=%d" % seed)
            data = os.path.join(folder, "state", "runs", report["run"])
            train = texts.read(os.path.join(data, "train", "training", "train_data.jsonl"))
            evaluation = texts.read(os.path.join(data, "eval", "eval_data.jsonl"))
            line = [baseline(train, evaluation)[0]] + [score for name in STUDENTS for score in of_run(report, name)]
            table.append(line)
            print("%4d  %5d  %4d  " % (seed, len(train[0]), len(evaluation[0])) + "  ".join("%16.4f" % score for score in line))
    means = [statistics.mean(column) for column in zip(*table)]
    print("mean               " + "  ".join("%16.4f" % mean for mean in means))
    lead = 100 * (means[-1] - means[0])
    print("large student minus scikit-learn: %+.2f points of macro F1 over %d seeds (allowed: -%.1f)" % (lead, chosen.seeds, chosen.margin))
    return 0 if lead >= -chosen.margin else 1


if __name__ == "__main__":
    sys.exit(main())
