#!/usr/bin/env python3
"""Measures `dfwfd split` against other tools on the same log: wall time and peak memory.

    cargo build --release
    python3 benches/split_against_others.py [--tools cp,duckdb,python,python-nogc] [--records 1000000] [--rounds 3]
                                            [--folder DIR] [--dfwfd target/release/dfwfd]

Creates two logs with make_logs.py: *short* with --records records of about 760 bytes, and *long* with three tenths as many records
of about 3.1 kB. By default that is 1.7 GB, and the datasets need about as much again. Each round runs `split` and then each tool, so that all meet the same page cache. Prints the medians, and of each tool the median of its
ratio to the `split` of its round. `cp` copies the log; the others are in other_splits.py and need their packages in this Python. Needs
Python 3.9 on Linux or macOS.

Fails only if a tool fails, or if `split` has not read every line of the log.
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
    parser.add_argument("--tools", default="cp", help="names, with commas between them")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="folder to work in [default: a temporary one]")
    parser.add_argument("--dfwfd", default="target/release/dfwfd")
    parser.add_argument("--flags", default="", help="further flags of `dfwfd split`")
    return parser.parse_args()


def measured(command, stdout=None):
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


def remove(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.remove(path)


def split(log, out, folder, chosen):
    """Runs `dfwfd split`, and returns what it took and how many lines it read."""
    said = os.path.join(folder, "said.json")
    command = [os.path.abspath(chosen.dfwfd), "--config", os.path.join(folder, "flywheel.yaml"), "--state-dir",
               os.path.join(folder, "state"), "--format", "json", "-q", "split", "--logs", log, "--workload", "news_classifier",
               "--out", out, *chosen.flags.split()]
    with open(said, "wb") as file:
        took = measured(command, file)
    with open(said, encoding="utf-8") as file:
        return took, json.load(file)["data"]["read"]


def compare(shape, records, folder, chosen):
    log, out = (os.path.join(folder, name) for name in (shape + ".jsonl", "out"))
    with open(log, "wb") as file:
        subprocess.run([sys.executable, os.path.join(HERE, "make_logs.py"), shape, str(records)], stdout=file, check=True)
    with open(log, "rb") as file:
        lines = sum(1 for _ in file)
    with open(os.path.join(folder, "flywheel.yaml"), "w", encoding="utf-8") as file:
        file.write(CONFIGURATION)
    took = {tool: [] for tool in ["split", *chosen.tools.split(",")]}
    for _ in range(chosen.rounds):
        for tool in took:
            if tool == "split":
                figures, read = split(log, out, folder, chosen)
                if read != lines:
                    sys.exit("%s: %d of %d lines were read" % (shape, read, lines))
            elif tool == "cp":
                figures = measured(["cp", log, out])
            else:
                figures = measured([sys.executable, os.path.join(HERE, "other_splits.py"), tool, log, out])
            took[tool].append(figures)
            remove(out)
    size = os.path.getsize(log) / 1e6
    os.remove(log)
    for tool, figures in took.items():
        ratio = statistics.median(one[0] / other[0] for one, other in zip(figures, took["split"]))
        print("%-6s %8d %6.0f  %-12s %8.2f %9.0f %12.2f" % (
            shape, lines, size, tool, statistics.median(seconds for seconds, _ in figures), max(peak for _, peak in figures), ratio),
            flush=True)


def main():
    chosen = options()
    print("log       lines     MB  tool           wall s   peak MB  times split", flush=True)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        compare("short", chosen.records, folder, chosen)
        compare("long", chosen.records * 3 // 10, folder, chosen)


if __name__ == "__main__":
    main()
