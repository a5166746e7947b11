#!/usr/bin/env python3
"""Writes synthetic logs for measuring `split` and `load`. The same arguments give the same bytes.

    make_logs.py short 1000000 > short.jsonl    1 M records of about 760 bytes
    make_logs.py long   300000 > long.jsonl     300 k records of about 3.1 kB, most of it a long instruction

14 classes from 19 % to 0.3 %, three workloads (news_classifier has 60 % of the records), 8 % duplicates,
1 % broken lines.
"""
import json
import random
import sys

CLASSES = {
    "Stock Price Movement": 19.0, "Earnings": 15.0, "Analyst Rating": 13.0, "Macro Data": 11.0, "Deals": 9.0,
    "Guidance": 8.0, "Products": 7.0, "Management": 5.5, "Legal": 4.5, "Dividends": 3.5, "Financing": 2.2,
    "Regulation": 1.3, "Labour": 0.7, "Accidents": 0.3,
}
WORKLOADS = [("news_classifier", 60), ("support_router", 30), ("tagger", 10)]
STEMS = "ald bren cor dun els fan gral hest irv jun kel lor mond nar ost pel quin rath sel tor ulm var wen yarr zol".split()
ENDS = ["", "a", "en", "ing", "ia", "or", "us", "ed", "is", "ex"]


def main():
    shape, count = sys.argv[1], int(sys.argv[2])
    rng = random.Random(20240601)
    vocabulary = [a + b + c for a in STEMS for b in STEMS for c in ENDS]
    rng.shuffle(vocabulary)
    labels, weights = list(CLASSES), list(CLASSES.values())
    listing = "\n".join("- " + label for label in labels)
    instruction = "Name the event of the headline. Answer with one label in [[[ ]]].\n"
    if shape == "long":
        instruction += " ".join(rng.choices(vocabulary, k=270)) + "\n" + listing
    out = sys.stdout
    recent = []
    for n in range(count):
        workload = rng.choices([w for w, _ in WORKLOADS], [w for _, w in WORKLOADS])[0]
        if recent and rng.random() < 0.08:
            headline, label = rng.choice(recent)
        else:
            label = rng.choices(labels, weights)[0]
            headline = " ".join(rng.choices(vocabulary, k=rng.randint(12, 22)))
            headline = headline.capitalize() + f" {rng.randint(1, 99)}%" + rng.choice(["", " \u2013 caf\u00e9", ' "quoted"', "\n"])
            if len(recent) < 5000:
                recent.append((headline, label))
            else:
                recent[rng.randrange(5000)] = (headline, label)
        record = {
            "timestamp": 1700000000 + n // 3,
            "workload_id": workload,
            "client_id": f"desk-{rng.randint(1, 5)}",
            "request": {
                "model": "teacher-70b",
                "messages": [
                    {"role": "system", "content": instruction},
                    {"role": "user", "content": headline},
                ],
                "temperature": 0.0,
                "max_tokens": 64,
            },
            "response": {
                "id": f"chatcmpl-{rng.getrandbits(64):016x}",
                "object": "chat.completion",
                "created": 1700000000 + n // 3,
                "model": "teacher-70b",
                "choices": [{
                    "index": 0,
                    "message": {"role": "assistant", "content": f"[[[{label}]]]", "tool_calls": None},
                    "finish_reason": "stop",
                    "logprobs": None,
                }],
                "usage": {"prompt_tokens": 120, "completion_tokens": 8, "total_tokens": 128},
            },
        }
        line = json.dumps(record, ensure_ascii=rng.random() < 0.5)
        if rng.random() < 0.01:
            line = rng.choice([line[: len(line) // 2], "", line + line, "null", line.replace('"messages"', '"message"')])
        out.write(line + "\n")


if __name__ == "__main__":
    main()
