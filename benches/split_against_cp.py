#!/usr/bin/env python3
"""Measures `dfwfd split` against `cp` of its input: wall time and peak memory.

    cargo build --release
    python3 benches/split_against_cp.py [--records 1000000] [--rounds 3] [--folder DIR] [--dfwfd target/release/dfwfd]

Creates two logs with make_logs.py: *short* with --records records of about 760 bytes, and *long* with three tenths as many records
of about 3.1 kB. By default that is 1.7 GB, and the datasets need about as much again. Each round copies the log and splits it, so
that both meet the same page cache. Prints the medians. Needs Python 3.9 on Linux or macOS.

Fails only if `split` has not read every line of the log.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIGURATION = """\
nmp_config: {platform: embedded}
nims:
  - model_name: dfwfd/ngram-small
data_split_config: {eval_size: 100}
"""


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="folder to work in [default: a temporary one]")
    parser.add_argument("--dfwfd", default="target/release/dfwfd")
    return parser.parse_args()


def measured(command, stdout):
    """Runs a command and returns its seconds and peak megabytes."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=stdout)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit("%s ended with %d" % (" ".join(command), process.returncode))
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return seconds, usage.ru_maxrss / unit


def compare(shape, records, folder, chosen):
    log = os.path.join(folder, shape + ".jsonl")
    with open(log, "wb") as file:
        subprocess.run([sys.executable, os.path.join(HERE, "make_logs.py"), shape, str(records)], stdout=file, check=True)
    with open(log, "rb") as file:
        lines = sum(1 for _ in file)
    config = os.path.join(folder, "flywheel.yaml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(CONFIGURATION)
    copy, out, said = (os.path.join(folder, name) for name in ("copy", "datasets", "said.json"))
    split = [os.path.abspath(chosen.dfwfd), "--config", config, "--state-dir", os.path.join(folder, "state"), "--format", "json",
             "-q", "split", "--logs", log, "--workload", "news_classifier", "--out", out]
    copies, splits, peaks = [], [], []
    for _ in range(chosen.rounds):
        copies.append(measured(["cp", log, copy], None)[0])
        os.remove(copy)
        with open(said, "wb") as file:
            seconds, peak = measured(split, file)
        splits.append(seconds)
        peaks.append(peak)
        shutil.rmtree(out)
    with open(said, encoding="utf-8") as file:
        read = json.load(file)["data"]["read"]
    if read != lines:
        sys.exit("%s: %d of %d lines were read" % (shape, read, lines))
    size = os.path.getsize(log) / 1e6
    os.remove(log)
    once, twice = statistics.median(copies), statistics.median(splits)
    print("%-6s %8d %8.0f %8.2f %8.2f %8.2f %8.0f" % (shape, lines, size, once, twice, twice / once, max(peaks)), flush=True)


def main():
    chosen = options()
    print("log       lines       MB     cp s  split s    ratio  peak MB", flush=True)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        compare("short", chosen.records, folder, chosen)
        compare("long", chosen.records * 3 // 10, folder, chosen)


if __name__ == "__main__":
    main()
