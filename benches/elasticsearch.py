#!/usr/bin/env python3
"""Measures `dfwfd load` and `dfwfd split` against the Python client of Elasticsearch, and `load` against a sink that keeps nothing.

    cargo build --release
    python3 -m venv venv && venv/bin/pip install 'elasticsearch>=9,<10'
    venv/bin/python benches/elasticsearch.py --url "$(scripts/search-server.sh start es9)" [--records 200000] [--rounds 5] [--bare]
    scripts/search-server.sh stop es9

Each round writes the same log twice, into new indices with the mapping of `load`: with `helpers.bulk` and its defaults, and with
`load`. It then reads the records of one workload twice: with `helpers.scan` and its defaults, which returns dictionaries, and with
`split`, which also checks records and removes duplicates. Timed are the call of the client, the whole process of `load`, and the reading
that `split` reports with -v. Another column has the whole process of `split`. The ratio of a round is that of its two rates. Prints all
rounds and the medians.

With --bare the client writes into an index that does not exist, like a script that only calls `helpers.bulk`. The server then
creates a mapping of its own and indexes every text.

With --sink both write to a sink instead of a server. The sink reads each request and answers that its records were added, so that the
time is that of the writers alone. Needs Python 3.9 on Linux or macOS.

Fails only if a record is lost, or if the datasets differ from those that `split` makes of the file.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIGURATION = """\
nmp_config: {platform: embedded}
nims:
  - model_name: dfwfd/ngram-small
data_split_config: {eval_size: 100}
"""
WORKLOAD = "news_classifier"
MAPPINGS = {
    "dynamic": False,
    "properties": {
        "workload_id": {"type": "keyword"},
        "client_id": {"type": "keyword"},
        "timestamp": {"type": "date", "format": "epoch_second||strict_date_optional_time"},
        "request": {"type": "object", "enabled": False},
        "response": {"type": "object", "enabled": False},
    },
}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a server without authentication")
    parser.add_argument("--sink", action="store_true", help="measure against a sink instead")
    parser.add_argument("--bare", action="store_true", help="let the server make the client's index")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", choices=["short", "long"], default="short")
    parser.add_argument("--folder", help="folder to work in [default: a temporary one]")
    parser.add_argument("--dfwfd", default="target/release/dfwfd")
    return parser.parse_args()


class Bench:
    def __init__(self, chosen, folder):
        self.folder, self.dfwfd = folder, os.path.abspath(chosen.dfwfd)
        self.log = os.path.join(folder, "log.jsonl")
        with open(self.log, "wb") as file:
            maker = os.path.join(HERE, "make_logs.py")
            subprocess.run([sys.executable, maker, chosen.shape, str(chosen.records)], stdout=file, check=True)
        with open(os.path.join(folder, "flywheel.yaml"), "w", encoding="utf-8") as file:
            file.write(CONFIGURATION)

    def run(self, url, index, *arguments):
        """Runs a command and returns its seconds, peak megabytes and counts."""
        command = [self.dfwfd, "--config", "flywheel.yaml", "--state-dir", "state", "--format", "json", "-v", *arguments]
        environment = {**os.environ, "ELASTICSEARCH_URL": url, "ES_COLLECTION_NAME": index}
        started = time.perf_counter()
        with open(os.path.join(self.folder, "said.json"), "w+b") as said, open(os.path.join(self.folder, "told"), "w+") as told:
            process = subprocess.Popen(command, stdout=said, stderr=told, cwd=self.folder, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            told.seek(0)
            log = told.read()
            if process.returncode != 0:
                sys.exit("%s ended with %d\n%s" % (" ".join(command), process.returncode, log))
            said.seek(0)
            unit = 1e6 if sys.platform == "darwin" else 1e3
            counts = json.load(said)["data"]
            reading = re.search(r"the records are read .*seconds=([0-9.e-]+)", log)
            return seconds, usage.ru_maxrss / unit, {**counts, "seconds": float(reading[1]) if reading else None}

    def datasets(self, name):
        root, found = os.path.join(self.folder, name), {}
        for folder, _, files in os.walk(root):
            for file in files:
                with open(os.path.join(folder, file), "rb") as stream:
                    found[os.path.relpath(os.path.join(folder, file), root)] = hashlib.sha256(stream.read()).hexdigest()
        del found["manifest.json"]
        return found


def actions(path, index):
    """Yields the bulk actions of a simple script: one for each line that is an object."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield {"_index": index, "_source": record}


def client_of(url):
    # This file has the same name as the client's package.
    sys.path = [folder for folder in sys.path if os.path.abspath(folder) != HERE]
    from elasticsearch import Elasticsearch, helpers, __versionstr__

    return Elasticsearch(url, request_timeout=120), helpers, __versionstr__


def client_writes(url, index, log, bare):
    client, helpers, version = client_of(url)
    started = time.perf_counter()
    if bare != "bare":
        client.indices.create(index=index, mappings=MAPPINGS)
    sent, _ = helpers.bulk(client, actions(log, index))
    client.indices.refresh(index=index)
    return {"seconds": time.perf_counter() - started, "records": sent, "version": version}


def client_reads(url, index):
    client, helpers, _ = client_of(url)
    started = time.perf_counter()
    query = {"query": {"term": {"workload_id": WORKLOAD}}}
    read = sum(1 for hit in helpers.scan(client, index=index, query=query) if hit["_source"]["request"])
    return {"seconds": time.perf_counter() - started, "records": read}


def other(*arguments):
    """Runs this file in another process and returns its output. Keeps this process small, because a child's peak starts at its parent's."""
    said = subprocess.run([sys.executable, os.path.abspath(__file__), *arguments], stdout=subprocess.PIPE, check=True)
    return json.loads(said.stdout)


def asked(method, url):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
            return json.load(answer)
    except urllib.error.HTTPError:
        return None


def against_client(chosen, bench):
    theirs, ours, kept = ("dfwfd-bench-" + name for name in ("client", "load", "kept"))
    url = chosen.url.rstrip("/")
    bench.run(url, ours, "split", "--logs", bench.log, "--workload", WORKLOAD, "--out", "wanted")
    rows = []
    try:
        for index in (theirs, ours, kept):
            asked("DELETE", "%s/%s" % (url, index))
        bench.run(url, kept, "load", bench.log)
        print("round  bulk s  load s  ratio  load MB |  scan s  read s  ratio  split s  split MB", flush=True)
        for number in range(chosen.rounds):
            bulk = other("client-writes", url, theirs, bench.log, "bare" if chosen.bare else "same")
            asked("DELETE", "%s/%s" % (url, theirs))

            load, load_peak, counts = bench.run(url, ours, "load", bench.log)
            stored = asked("GET", "%s/%s/_count" % (url, ours))["count"]
            if counts["read"] != chosen.records or counts["added"] != stored:
                sys.exit("load: %s, and the index holds %d" % (counts, stored))
            asked("DELETE", "%s/%s" % (url, ours))

            scan = other("client-reads", url, kept)
            split, split_peak, counts = bench.run(url, kept, "split", "--workload", WORKLOAD, "--out", "found")
            if counts["read"] != scan["records"] or bench.datasets("found") != bench.datasets("wanted"):
                sys.exit("split: %s, and the client has read %d" % (counts, scan["records"]))
            shutil.rmtree(os.path.join(bench.folder, "found"))
            rates = bulk["records"] / bulk["seconds"], stored / load, scan["records"] / scan["seconds"], counts["read"] / counts["seconds"]
            rows.append((*rates, rates[1] / rates[0], rates[3] / rates[2], load_peak, split_peak))
            print("%5d %7.2f %7.2f %6.2f %8.0f | %7.2f %7.2f %6.2f %8.2f %9.0f" % (
                number + 1, bulk["seconds"], load, rows[-1][4], load_peak,
                scan["seconds"], counts["seconds"], rows[-1][5], split, split_peak), flush=True)
    finally:
        for index in (theirs, ours, kept):
            asked("DELETE", "%s/%s" % (url, index))
    print("Python client %s, %d lines of %.0f MB, medians:" % (bulk["version"], chosen.records, os.path.getsize(bench.log) / 1e6))
    middle = [statistics.median(column) for column in zip(*rows)]
    print("records/s: bulk %.0f, load %.0f, ratio %.2f; scan %.0f, read %.0f, ratio %.2f; peak MB: load %.0f, split %.0f" % (
        middle[0], middle[1], middle[4], middle[2], middle[3], middle[5], max(r[6] for r in rows), max(r[7] for r in rows)))


class Sink:
    """A server that counts the records of bulk requests and answers that each was added."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        buffer, filled = bytearray(64 << 20), 0
        view = memoryview(buffer)
        while True:
            while (end := buffer.find(b"\r\n\r\n", 0, filled)) < 0:
                got = connection.recv_into(view[filled:])
                if not got:
                    return
                filled += got
            head = bytes(buffer[:end]).decode().lower()
            length = head.partition("content-length: ")[2].partition("\r\n")[0]
            start = end + 4
            stop = start + int(length or 0)
            while filled < stop:
                filled += connection.recv_into(view[filled:])
            answer = self.answer(head, buffer, start, stop)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-elastic-product: Elasticsearch\r\n"
                               b"content-length: %d\r\n\r\n%s" % (len(answer), answer))
            rest = bytes(buffer[stop:filled])
            buffer[:len(rest)] = rest
            filled = len(rest)

    def answer(self, head, buffer, start, stop):
        path = head.split(" ")[1].partition("?")[0]
        if path.endswith("/_bulk"):
            records = buffer.count(b"\n", start, stop) // 2
            action = b"create" if buffer[start:start + 9] == b'{"create"' else b"index"
            item = b'{"%s":{"_id":"1","status":201}}' % action
            return b'{"errors":false,"items":[' + b",".join([item] * records) + b"]}"
        if path.endswith("/_mapping"):
            return json.dumps({"i": {"mappings": MAPPINGS}}).encode()
        return b'{"version":{"number":"9.2.0"}}'


def against_sink(chosen, bench):
    rows = []
    print("round  bulk s  load s  ratio  load documents/s  peak MB", flush=True)
    for number in range(chosen.rounds):
        # Another process, so that the work of this one does not slow the sink.
        sink = subprocess.Popen([sys.executable, os.path.abspath(__file__), "serve-sink"], stdout=subprocess.PIPE, text=True)
        url = sink.stdout.readline().strip()
        seconds, peak, counts = bench.run(url, "i", "load", bench.log)
        bulk = other("client-writes", url, "i", bench.log, "bare")
        sink.kill()
        sink.wait()
        if counts["read"] != chosen.records:
            sys.exit("load: %s" % counts)
        rates = bulk["records"] / bulk["seconds"], counts["added"] / seconds
        rows.append((rates[1] / rates[0], *rates, peak))
        print("%5d %7.2f %7.2f %6.2f %17.0f %8.0f" % (number + 1, bulk["seconds"], seconds, rows[-1][0], rates[1], peak), flush=True)
    middle = [statistics.median(column) for column in zip(*rows)]
    print("Python client %s, medians, documents/s: bulk %.0f, load %.0f, ratio %.2f; peak %.0f MB" % (
        bulk["version"], middle[1], middle[2], middle[0], max(r[3] for r in rows)))


def main():
    if sys.argv[1:] == ["serve-sink"]:
        sink = Sink()
        print(sink.url, flush=True)
        threading.Event().wait()
    if sys.argv[1:2] == ["client-writes"]:
        return print(json.dumps(client_writes(*sys.argv[2:])))
    if sys.argv[1:2] == ["client-reads"]:
        return print(json.dumps(client_reads(*sys.argv[2:])))
    chosen = options()
    if not chosen.sink and not chosen.url:
        sys.exit("name a server with --url, or give --sink")
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        bench = Bench(chosen, folder)
        against_sink(chosen, bench) if chosen.sink else against_client(chosen, bench)


if __name__ == "__main__":
    main()
