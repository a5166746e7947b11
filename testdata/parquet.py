#!/usr/bin/env python3
"""Writes the files in parquet/, which only `dfwfd` with the feature `parquet` reads. Needs pyarrow (written with 26.0)."""

import datetime
import decimal
import json
import pathlib

import pyarrow
import pyarrow.parquet

FOLDER = pathlib.Path(__file__).parent / "parquet"
SYSTEM = "Name the event class of the headline. Answer as [[[class]]]."
CLASSES = [("Earnings", "profit beat forecasts"), ("Merger", "agreed a takeover"), ("Product", "unveils an engine")]
START = datetime.datetime(2024, 5, 1, 10, tzinfo=datetime.timezone.utc)


def word(number):
    letters = "Q"
    while True:
        letters += chr(97 + number % 26)
        number //= 26
        if number == 0:
            return letters


def headlines(count):
    for number in range(count):
        label, phrase = CLASSES[number % 3]
        yield number, label, f"{word(number)} Corp {phrase}"


def records(count):
    for number, label, text in headlines(count):
        yield {
            "timestamp": START + datetime.timedelta(seconds=number, microseconds=500),
            "workload_id": "news",
            "client_id": "desk" if number % 2 else None,
            "request": {
                "model": "teacher",
                "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}],
            },
            "response": {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"[[[{label}]]]"}}]},
            "latency_ms": 12.5,
        }


def write(name, table, codec="NONE", **options):
    pyarrow.parquet.write_table(table, FOLDER / f"{name}.parquet", compression=codec, store_schema=False, **options)


def of(rows, **kinds):
    """Makes a table of rows, some columns with a type of their own."""
    rows = list(rows)
    columns = {name: pyarrow.array([row[name] for row in rows], kinds.get(name)) for name in rows[0]}
    return pyarrow.table(columns)


def as_text(row):
    return row | {"request": json.dumps(row["request"]), "response": json.dumps(row["response"])}


FOLDER.mkdir(exist_ok=True)
rows = list(records(40))
for row in rows[:3]:
    row["response"] = None
utc = pyarrow.timestamp("us", "UTC")
write("structs", of(rows, timestamp=utc), "SNAPPY", row_group_size=16)
(FOLDER / "structs.jsonl").write_text(
    "".join(
        json.dumps({key: value.isoformat() if key == "timestamp" else value for key, value in row.items() if value is not None}) + "\n"
        for row in rows
    )
)
# Times without a zone, in nanoseconds, as pandas writes them.
write("texts", of(map(as_text, rows), timestamp=pyarrow.timestamp("ns")), "ZSTD")
write("chat", of({"messages": row["request"]["messages"] + [row["response"]["choices"][0]["message"]]} for row in rows[3:]), "LZ4")
write("langfuse", of({"traceId": "t", "startTime": row["timestamp"], "input": row["request"], "output": row["response"]} for row in rows), "GZIP")
write("table", of({"headline": text, "event": number % 3, "timestamp": START} for number, label, text in headlines(40)), "GZIP")
odd = [
    {
        "request": {"messages": [{"role": "user", "content": "Which values?"}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": "[[[These]]]"}}]},
        "timestamp": decimal.Decimal("1714557600.250"),
        "date": datetime.date(2024, 2, 29),
        "early": datetime.date(1969, 12, 31),
        "price": decimal.Decimal("-0.05"),
        "whole": decimal.Decimal("7"),
        "nan": float("nan"),
        "text": b"caf\xc3\xa9",
        "bytes": b"\xff\x00",
        "map": [("a", 1), ("b", None)],
        "list": [1, None, 3],
        "big": 2**63,
        "clock": datetime.time(12, 30),
        "yes": True,
    }
]
write("odd", of(odd, map=pyarrow.map_(pyarrow.string(), pyarrow.int32()), big=pyarrow.uint64()))
write("brotli", of(rows[:2]), "BROTLI")
