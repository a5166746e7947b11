"""Compares the embedded evaluator with the one that NeMo Helix ships, row by row.

    evaluators.py HELIX_URL DFWFD_BINARY LOGS_FOLDER [WORKLOAD]

Both evaluate the shipped workloads: the same rows, templates and metrics, the same models. The models are the students
of `dfwfd serve`, which Helix reaches as an external provider through its inference gateway. Prints one line per
workload, model and score, and ends with 1 when a row differs that ALLOWED does not explain.
"""

import io
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STUDENT = "dfwfd/ngram-small"
NUMBER = {"description": "Continuous numeric metric value.", "title": "ContinuousScore", "type": "number"}
ANSWER = "{{ item.response.choices[0].message.content | trim }}"
CALLS = "{{ item.response.choices[0].message.tool_calls | tojson }}"
JUDGE_TEMPLATE = {
    "messages": [{"role": "user", "content": "{{ item.request.messages[-1].content }}\nRIGHT CALLS\n{{ item.response.choices[0].message.tool_calls }}\n"
                  "CALLS THAT WERE MADE\n{{ sample.response.choices[0].message.tool_calls | default([], true) }}\n"
                  "End with RATING: 1 or RATING: 0."}],
    "temperature": 0.01,
}
RATING = r"(?is).*RATING:\s*([01])"

# What a judge may say. A request always gets the same of these, so both evaluators have to read it.
VERDICTS = ["RATING: 1", "RATING: 0", "They are equal.\n\nRATING: 1", "**RATING:** 1", "rating:0", "RATING: 7", "RATING: 10",
            "RATING: 0, no, RATING: 1", "RATING: 1\nRATING: 0\n", "<think>RATING: 1</think>\nRATING: 0", "I cannot tell.", ""]

# Scores that are known to differ, each with its reason.
ALLOWED = {}


class Metric:
    """One metric in both dialects, and how the scores of the two are called."""

    def __init__(self, v1, helix, names):
        self.v1, self.helix, self.names = v1, helix, names


def text_metrics():
    rouge = ["rouge_1_score", "rouge_2_score", "rouge_3_score", "rouge_L_score"]
    same = dict.fromkeys
    yield "f1", Metric({"type": "f1", "params": {"ground_truth": ANSWER}}, {"type": "f1", "reference": ANSWER}, {"f1_score": "f1"})
    yield "em", Metric({"type": "em", "params": {"ground_truth": ANSWER}}, {"type": "exact-match", "reference": ANSWER},
                       {"em_score": "exact-match"})
    yield "bleu", Metric({"type": "bleu", "params": {"references": [ANSWER]}}, {"type": "bleu", "references": [ANSWER]},
                         {"sentence": "sentence"})
    yield "rouge", Metric({"type": "rouge", "params": {"ground_truth": ANSWER}}, {"type": "rouge", "reference": ANSWER},
                          {name: name for name in rouge})
    for name, operation in (("equals", "equals"), ("contains", "contains"), ("starts", "startswith")):
        check = ["{{ sample.output_text }}", operation, ANSWER]
        yield name, Metric({"type": "string-check", "params": {"check": check}},
                           {"type": "string-check", "left_template": check[0], "operation": operation, "right_template": check[2]},
                           {"string-check": "string-check"})


def tool_metrics(judge):
    names = ["function_name_accuracy", "function_name_and_args_accuracy"]
    yield "tools", Metric({"type": "tool-calling", "params": {"tool_calls_ground_truth": CALLS}},
                          {"type": "tool-calling", "reference": CALLS}, {name: name for name in names})
    score = {"type": "int", "parser": {"type": "regex", "pattern": RATING}}
    yield "judge", Metric(
        {"type": "llm-judge", "params": {"model": {"api_endpoint": {"url": judge, "model_id": "judge"}},
                                         "template": JUDGE_TEMPLATE, "scores": {"rating": score}}},
        {"type": "llm-judge", "model": {"url": judge, "name": "judge"}, "prompt_template": JUDGE_TEMPLATE,
         "scores": [{"name": "rating", "minimum": 0, "maximum": 1,
                     "parser": {"type": "regex", "pattern": RATING, "method": "search"}}]},
        {"rating": "rating"})


def call(method, url, body=None, accept=(200, 201, 202, 204), raw=False):
    """Sends JSON and returns the status with the answer, read as JSON unless `raw`."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            status, content = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, content = error.code, error.read()
    if status not in accept:
        sys.exit(f"{method} {url}: {status} {content[:600].decode(errors='replace')}")
    return status, content if raw else json.loads(content or b"null")


def wait(what, probe, seconds=900):
    """Returns the first answer of `probe` that is not None."""
    end = time.time() + seconds
    while time.time() < end:
        found = probe()
        if found is not None:
            return found
        time.sleep(0.5)
    sys.exit(f"{what}: not there after {seconds} s")


class Embedded:
    """`dfwfd serve` with a student and its adapter, trained on the run's data."""

    def __init__(self, binary, logs, folder, workload):
        self.folder = folder
        variables = folder / "serve.env"
        self.server = subprocess.Popen([binary, "serve", "--port", "0", "--env-file", str(variables)],
                                       stdout=subprocess.DEVNULL, cwd=folder)
        wait("dfwfd serve", lambda: variables.exists() or None, 20)
        environment = dict(line.split("=", 1) for line in variables.read_text().splitlines() if "=" in line)
        self.nemo = environment["DFWFD__NMP_CONFIG__NEMO_BASE_URL"]
        self.nim = environment["DFWFD__NMP_CONFIG__NIM_BASE_URL"]
        (folder / "flywheel.yaml").write_text(
            f"nims: [{{model_name: {STUDENT}, customization_enabled: true, gpus: 1, "
            f"customizer_configs: {{target: {STUDENT}@1.0, gpus: 1}}}}]\nevaluation_config: {{workload_type: auto}}\n")
        done = subprocess.run([binary, "run", "--logs", str(logs), "--workload", workload, "--format", "json"], cwd=folder,
                              env={**os.environ, **environment}, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"dfwfd run ended with {done.returncode}: {done.stderr[-2000:]}")
        report = json.loads(done.stdout)
        self.adapter = report["candidates"][0]["training"]["adapter"]
        self.dataset = f"hf://datasets/dfwfd/dfwfd-{report['run']}-eval/eval_data.jsonl"
        self.rows = [json.loads(line) for line in
                     (folder / f".dfwfd/runs/{report['run']}/eval/eval_data.jsonl").read_text().splitlines()]
        call("POST", f"{self.nemo}/v1/deployment/model-deployments", {
            "name": "evaluators", "namespace": "dfwfd",
            "config": {"model": STUDENT, "nim_deployment": {"image_name": "student", "image_tag": "1", "gpu": 1}}})
        wait("the student", lambda: set(self.served()) >= {STUDENT, self.adapter} or None, 60)

    def served(self):
        return [model["id"] for model in call("GET", f"{self.nim}/v1/models")[1]["data"]]

    def evaluate(self, model, template, metrics):
        """Returns a dictionary of scores for each row, None where the row or the score failed."""
        config = {"type": "custom", "params": {"parallelism": 4}, "tasks": {"chat": {
            "type": "chat-completion", "dataset": {"files_url": self.dataset}, "params": {"template": template},
            "metrics": {name: metric.v1 for name, metric in metrics.items()}}}}
        jobs = f"{self.nemo}/v1/evaluation/jobs"
        job = call("POST", jobs, {"namespace": "dfwfd", "target": {"type": "model", "model": model}, "config": config})[1]["id"]

        def ended():
            answer = call("GET", f"{jobs}/{job}")[1]
            if answer["status"] == "failed":
                sys.exit(f"the embedded evaluator failed: {answer['status_details']}")
            return answer if answer["status"] == "completed" else None

        wait(f"embedded evaluation of {model}", ended)
        archive = zipfile.ZipFile(io.BytesIO(call("GET", f"{jobs}/{job}/download-results", raw=True)[1]))
        name = next(name for name in archive.namelist() if name.endswith("results.json"))
        rows = json.loads(archive.read(name))["chat"]
        return [Row(row["item"], row["sample"].get("output_text"), {
            f"{metric}.{score}": row.get("metrics", {}).get(metric, {}).get("scores", {}).get(score, {}).get("value")
            for metric in metrics for score in metrics[metric].names}) for row in rows]

    def close(self):
        self.server.terminate()
        self.server.wait(10)


class Judge(BaseHTTPRequestHandler):
    """A judge at an OpenAI-compatible endpoint. Its verdict depends on the user's text alone: ids of calls are random."""

    def log_message(self, *_):
        """Is silent."""

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        text = question.partition("RIGHT CALLS")[0]
        verdict = VERDICTS[zlib.crc32(text.encode()) % len(VERDICTS)]
        message = {"role": "assistant", "content": verdict}
        body = json.dumps({"id": "j", "object": "chat.completion", "created": 0, "model": "judge",
                           "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                           "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Row:
    """One row as an evaluator tells it."""

    def __init__(self, item, reply, scores):
        # A reply that only calls tools has no text: null with Helix, empty in v1's archive.
        self.item, self.reply, self.scores = item, reply or "", scores
        self.key = json.dumps(item, sort_keys=True)


class Helix:
    """The real platform, with the embedded one as an external provider."""

    def __init__(self, url, workspace, embedded):
        self.workspace, self.url = workspace, url
        call("POST", f"{url}/apis/entities/v2/workspaces", {"name": workspace})
        models = f"{url}/apis/models/v2/workspaces/{workspace}"
        call("POST", f"{models}/providers", {"name": "students", "host_url": embedded.nim})

        def discovered():
            served = call("GET", f"{models}/providers/students")[1].get("served_models") or []
            names = {one["served_model_name"]: one["model_entity_id"] for one in served}
            return names if {STUDENT, embedded.adapter} <= set(names) else None

        self.entities = wait("Helix's look at the provider", discovered, 60)
        self.gateway = f"{url}/apis/inference-gateway/v2/workspaces/{workspace}/openai/-/v1/chat/completions"
        self.rows = embedded.rows

    def evaluate(self, name, model, template, metrics):
        """Like `Embedded.evaluate`. A job has one metric of a type, so every metric has a job of its own.

        The rows stand in the job: out of a file they would come through Arrow, which gives every object the members of all
        others, as nulls, and so changes requests and the arguments of tool calls."""
        jobs = f"{self.url}/apis/evals/v2/workspaces/{self.workspace}/evaluate/jobs"
        for metric_name, metric in metrics.items():
            outputs = [{"name": score, "description": None, "required": True, "value_json_schema": NUMBER}
                       for score in metric.names.values()]
            bundle = {"bundle_kind": "metric-bundle", "bundle_format_version": "v1", "metric_type": metric.helix["type"],
                      "metadata": {}, "secrets": {}, "outputs": outputs,
                      "payload": {"kind": "inline", "metric": metric.helix}}
            call("POST", jobs, {"name": f"{name}-{metric_name}", "spec": {
                "dataset": self.rows,
                "target": {"url": self.gateway, "name": self.entities[model]}, "prompt_template": template,
                "params": {"parallelism": 4, "ignore_request_failure": True, "inference": {"max_tokens": 512}},
                "metrics": [bundle]}})
        found = {}
        for metric_name, metric in metrics.items():
            job = f"{jobs}/{name}-{metric_name}"

            def ended():
                answer = call("GET", f"{job}/status")[1]
                return answer["status"] if answer["status"] in ("completed", "error", "cancelled") else None

            if wait(job, ended) == "error":
                log = call("GET", f"{job}/logs?limit=40")[1]
                # All rows NaN counts as an error there, though the rows are written.
                print(f"Helix ends {name}-{metric_name} with error; its log ends: "
                      f"{[line['message'] for line in log['data']][-3:]}", file=sys.stderr)
            status, content = call("GET", f"{job}/results/row-scores/download", accept=(200, 404), raw=True)
            for line in content.splitlines() if status == 200 else ():
                row = json.loads(line)
                told = Row(row["item"], (row.get("sample") or {}).get("output_text"), {})
                entry = found.setdefault(told.key, told)
                values = {one["name"]: one["value"] for outputs in (row.get("metrics") or {}).values() for one in outputs or ()}
                for v1, helix in metric.names.items():
                    entry.scores[f"{metric_name}.{v1}"] = values.get(helix)
        return list(found.values())


def is_nothing(value):
    """Tells whether a row has no score: null with the embedded platform, the text `NaN` with Helix."""
    return value in (None, "NaN") or (isinstance(value, float) and math.isnan(value))


def compare(workload, model, ours, theirs):
    """Prints what the two say of each score, and returns the number of differences that nothing explains."""
    theirs = {row.key: row for row in theirs}
    unexplained = 0
    replies = sum(row.reply != theirs[row.key].reply for row in ours if row.key in theirs)
    missing = sum(row.key not in theirs for row in ours)
    print(f"{workload}, {model}: {len(ours)} rows, {missing} of them not with Helix, {replies} other replies")
    unexplained += replies + missing
    for score in sorted(ours[0].scores):
        different = []
        for row in ours:
            other = theirs.get(row.key)
            if other is None:
                continue
            left, right = row.scores[score], other.scores.get(score)
            same = is_nothing(left) and is_nothing(right) or not is_nothing(left) and not is_nothing(right) and abs(left - right) < 1e-9
            if not same:
                different.append((left, right, row))
        reason = ALLOWED.get((workload, score))
        values = [row.scores[score] for row in ours if not is_nothing(row.scores[score])]
        mean = sum(values) / len(values) if values else math.nan
        note = "" if not different else f" ({reason})" if reason else " (NOT EXPLAINED)"
        print(f"  {score}: mean {mean:.4f} over {len(values)}, {len(different)} rows differ{note}")
        for left, right, row in different[:3]:
            print(f"    embedded {left}, Helix {right}: reply {row.reply!r}")
        unexplained += 0 if reason else len(different)
    return unexplained


def main():
    helix_url, binary, logs = sys.argv[1].rstrip("/"), str(Path(sys.argv[2]).resolve()), Path(sys.argv[3]).resolve()
    unexplained = 0
    judges = ThreadingHTTPServer(("127.0.0.1", 0), Judge)
    threading.Thread(target=judges.serve_forever, daemon=True).start()
    judge = f"http://127.0.0.1:{judges.server_address[1]}/v1/chat/completions"
    for workload, file in (("news_classifier", "news_logs.jsonl"), ("desk_assistant", "tools_logs.jsonl")):
        if workload not in (sys.argv[4:] or [workload]):
            continue
        with tempfile.TemporaryDirectory() as folder:
            embedded = Embedded(binary, logs / file, Path(folder), workload)
            try:
                template = {"messages": "{{ item.request.messages | tojson }}"}
                if file.startswith("tools"):
                    template |= {"tools": "{{ item.request.tools | tojson }}", "tool_choice": "auto"}
                    metrics = dict(tool_metrics(judge))
                else:
                    metrics = dict(text_metrics())
                helix = Helix(helix_url, f"evaluators-{os.getpid()}-{file.split('_')[0]}", embedded)
                for label, model in (("base", STUDENT), ("customized", embedded.adapter)):
                    ours = embedded.evaluate(model, template, metrics)
                    theirs = helix.evaluate(label, model, template, metrics)
                    unexplained += compare(workload, label, ours, theirs)
            finally:
                embedded.close()
    print(f"{unexplained} differences that nothing explains")
    sys.exit(bool(unexplained))


if __name__ == "__main__":
    main()
