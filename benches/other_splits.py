#!/usr/bin/env python3
"""Does the steps of `dfwfd split` with other tools, for benches/split_against_others.py.

    other_splits.py duckdb LOG OUT    DuckDB on two threads, with the types of the fields given (needs the package duckdb)
    other_splits.py python LOG OUT    json and scikit-learn, as the flywheel blueprint does it (needs the package scikit-learn)
    other_splits.py python-nogc LOG OUT    the same without the cyclic garbage collector

Each reads the log, selects the workload news_classifier, keeps the newest record of each request, and writes eval.jsonl (100 rows),
validation.jsonl (a tenth of the rest) and train.jsonl, divided by class. Neither forms groups, checks fields, hashes files or says
which lines were refused.
"""
import gc
import json
import os
import sys

WORKLOAD, EVAL, VALIDATION = "news_classifier", 100, 0.1


def with_duckdb(log, out):
    import duckdb

    base = duckdb.connect()
    base.execute("SET threads = 2")
    base.execute("CREATE TABLE rows AS WITH read AS (SELECT timestamp, request.messages AS messages, "
                 "response.choices[1].message.content AS answer FROM read_json(?, format = 'newline_delimited', "
                 "ignore_errors = true, columns = {timestamp: 'BIGINT', workload_id: 'VARCHAR', "
                 "request: 'STRUCT(messages STRUCT(role VARCHAR, content VARCHAR)[])', "
                 "response: 'STRUCT(choices STRUCT(message STRUCT(content VARCHAR))[])'}) "
                 "WHERE workload_id = ? AND len(request.messages) > 0 AND answer IS NOT NULL), "
                 "newest AS (SELECT *, row_number() OVER (PARTITION BY hash(messages) ORDER BY timestamp DESC) AS nth FROM read) "
                 "SELECT messages, answer, row_number() OVER (PARTITION BY answer ORDER BY hash(messages)) "
                 "/ count(*) OVER (PARTITION BY answer) AS place FROM newest WHERE nth = 1", [log, WORKLOAD])
    count = base.execute("SELECT count(*) FROM rows").fetchone()[0]
    cut = EVAL / count
    cuts = {"eval": (0, cut), "validation": (cut, cut + VALIDATION * (1 - cut)), "train": (cut + VALIDATION * (1 - cut), 1)}
    for name, (low, high) in cuts.items():
        path = os.path.join(out, name + ".jsonl")
        base.execute("COPY (SELECT list_append(messages, {'role': 'assistant', 'content': answer}) AS messages FROM rows "
                     "WHERE place > %.17g AND place <= %.17g) TO '%s' (FORMAT json)" % (low, high, path.replace("'", "''")))


def with_python(log, out):
    from sklearn.model_selection import train_test_split

    newest = {}
    with open(log, encoding="utf-8") as lines:
        for line in lines:
            try:
                record = json.loads(line)
                if record["workload_id"] != WORKLOAD:
                    continue
                messages, answer = record["request"]["messages"], record["response"]["choices"][0]["message"]["content"]
                key = json.dumps(messages, sort_keys=True)
            except (ValueError, KeyError, TypeError, IndexError):
                continue
            if key not in newest or newest[key]["timestamp"] <= record["timestamp"]:
                newest[key] = {"timestamp": record["timestamp"], "messages": messages, "answer": answer}
    rows = list(newest.values())
    labels = [row["answer"] for row in rows]
    rest, measured, labels, _ = train_test_split(rows, labels, test_size=EVAL, stratify=labels, random_state=42)
    train, validation = train_test_split(rest, test_size=VALIDATION, stratify=labels, random_state=42)
    for name, chosen in (("eval", measured), ("validation", validation), ("train", train)):
        with open(os.path.join(out, name + ".jsonl"), "w", encoding="utf-8") as file:
            for row in chosen:
                file.write(json.dumps({"messages": row["messages"] + [{"role": "assistant", "content": row["answer"]}]}) + "\n")


def main():
    tool, log, out = sys.argv[1:]
    os.makedirs(out, exist_ok=True)
    if tool == "python-nogc":
        gc.disable()
    (with_duckdb if tool == "duckdb" else with_python)(log, out)


if __name__ == "__main__":
    main()
