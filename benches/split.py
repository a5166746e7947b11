#!/usr/bin/env python3
"""Measures `dfwfd split` against `cp` of the same file, in alternating rounds.

    cargo build --release
    benches/make_logs.py short 1000000 > /tmp/short.jsonl
    benches/split.py /tmp/short.jsonl [ROUNDS]

Prints the median wall time of both, their ratio, and the peak memory of `split`. Absolute times drift between sittings:
quote the ratio.
"""
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

DFWFD = pathlib.Path(__file__).resolve().parent.parent / "target/release/dfwfd"


def timed(command):
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def main():
    logs = pathlib.Path(sys.argv[1]).resolve()
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(dir=logs.parent) as folder:
        config = pathlib.Path(folder, "flywheel.yaml")
        config.write_text("nmp_config: {platform: embedded}\ndata_split_config: {eval_size: 1000}\n")
        out, copy = pathlib.Path(folder, "out"), pathlib.Path(folder, "copy.jsonl")
        split, copied = [], []
        for _ in range(rounds):
            copied.append(timed(["cp", logs, copy]))
            copy.unlink()
            split.append(timed([DFWFD, "-q", "--config", config, "split", "--logs", logs,
                                "--workload", "news_classifier", "--out", out]))
            shutil.rmtree(out)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    a, b = statistics.median(split), statistics.median(copied)
    print(f"split {a:.2f} s, cp {b:.2f} s, ratio {a / b:.2f}, peak {peak:.0f} MB, {rounds} rounds")


if __name__ == "__main__":
    main()
