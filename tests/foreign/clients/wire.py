"""What the scripts share: calls over plain HTTP for the steps of a flywheel that the client under test does not cover,
and small training and evaluation data. No assertion about a client.
"""

import base64
import json
import sys
import urllib.error
import urllib.request

NEMO, NIM, DATASTORE = (sys.argv[1:] + ["", "", ""])[:3]

MODEL = "dfwfd/ngram-small"
LABELS = {
    "Earnings": ["profit beat forecasts", "quarterly revenue rose", "net income doubled"],
    "Merger": ["agreed a takeover", "made a bid for a rival", "buys its supplier"],
    "Product": ["launches a new phone", "unveils an engine", "ships its first chip"],
}
SYSTEM = "Name the event class of the headline. The classes:\n" + "".join(f"- {name}\n" for name in LABELS)


def call(method, url, body=None, kind="application/json"):
    """One call; the status and what the JSON says."""
    data = None
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    try:
        return status, json.loads(text) if text else None
    except ValueError:
        return status, text


def good(answer):
    """The body of an answer that must be a success."""
    status, body = answer
    assert 200 <= status < 300, (status, body)
    return body


def until(what, probe, reads=50):
    """Asks until the answer is something. The platform moves by being asked, so few reads are enough and none waits."""
    for _ in range(reads):
        found = probe()
        if found:
            return found
    raise AssertionError(f"{what}: not within {reads} reads")


def messages(number):
    """The question of row `number` and its label."""
    label = list(LABELS)[number % 3]
    text = f"Company {number * 37 % 101} {LABELS[label][number // 3 % 3]}"
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}], label


def lines(rows):
    """Rows as a JSONL file, without a newline at the end."""
    return "\n".join(json.dumps(row) for row in rows).encode()


def training_rows(first, last):
    """A training file."""
    rows = []
    for number in range(first, last):
        asked, label = messages(number)
        rows.append({"messages": [*asked, {"role": "assistant", "content": f"[[[{label}]]]"}]})
    return lines(rows)


def evaluation_rows(count):
    """An evaluation file."""
    rows = []
    for number in range(count):
        asked, label = messages(number)
        answer = {"choices": [{"message": {"role": "assistant", "content": f"[[[{label}]]]"}}]}
        rows.append({"request": {"model": "teacher", "messages": asked}, "response": answer})
    return lines(rows)


def namespaces(name):
    """Makes a namespace in both stores."""
    good(call("POST", f"{NEMO}/v1/namespaces", {"id": name}))
    form = "application/x-www-form-urlencoded"
    assert call("POST", f"{DATASTORE}/v1/datastore/namespaces", f"namespace={name}".encode(), form)[0] == 201


def upload(namespace, name, files):
    """Makes a data set repository with these files."""
    good(call("POST", f"{DATASTORE}/v1/hf/api/repos/create", {"name": name, "organization": namespace, "type": "dataset"}))
    commit = [{"key": "header", "value": {"summary": "Upload", "description": ""}}]
    for path, content in files.items():
        value = {"content": base64.b64encode(content).decode(), "path": path, "encoding": "base64"}
        commit.append({"key": "file", "value": value})
    body = b"".join(json.dumps(line).encode() + b"\n" for line in commit)
    good(call("POST", f"{DATASTORE}/v1/hf/api/datasets/{namespace}/{name}/commit/main", body, "application/x-ndjson"))


def register(namespace, name):
    """Registers a repository as a data set."""
    body = {"name": name, "namespace": namespace, "files_url": f"hf://datasets/{namespace}/{name}"}
    return good(call("POST", f"{NEMO}/v1/datasets", body))


def deploy(namespace, name="student"):
    """Deploys the model and waits until it answers."""
    nim = {"image_name": "nvcr.io/nim/student", "image_tag": "1", "gpu": 1, "pvc_size": "25Gi"}
    body = {"name": name, "namespace": namespace, "config": {"model": MODEL, "nim_deployment": nim}}
    good(call("POST", f"{NEMO}/v1/deployment/model-deployments", body))
    where = f"{NEMO}/v1/deployment/model-deployments/{namespace}/{name}"
    until("ready", lambda: good(call("GET", where))["status_details"]["status"] == "ready")
    until("listed", lambda: MODEL in served())


def served():
    """The ids that the NIM proxy lists."""
    return [model["id"] for model in good(call("GET", f"{NIM}/v1/models"))["data"]]


TRAINING_OPTIONS = [{"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1}]


def train(namespace, dataset):
    """Trains an adapter on a data set and waits until it is served; its id."""
    config = {"name": "student@v1", "namespace": namespace, "target": f"{MODEL}@1.0", "max_seq_length": 4096,
              "training_options": TRAINING_OPTIONS}
    good(call("POST", f"{NEMO}/v1/customization/configs", config))
    body = {"config": f"{namespace}/student@v1", "dataset": f"{namespace}/{dataset}", "output_model": f"{namespace}/adapter",
            "hyperparameters": {"finetuning_type": "lora", "training_type": "sft", "epochs": 2, "batch_size": 16}}
    job = good(call("POST", f"{NEMO}/v1/customization/jobs", body))

    def ended():
        status = good(call("GET", f"{NEMO}/v1/customization/jobs/{job['id']}/status"))
        assert status["status"] in ("created", "pending", "running", "completed"), status
        return status["status"] == "completed"

    until("trained", ended)
    until("served", lambda: job["output_model"] in served())
    return job["output_model"]


def evaluation(model, namespace, dataset, limit):
    """The config and the target of an evaluation."""
    task = {
        "type": "chat-completion",
        "dataset": {"files_url": f"hf://datasets/{namespace}/{dataset}/eval_data.jsonl", "limit": limit},
        "params": {"template": {"messages": "{{ item.request.messages | tojson }}"}},
        "metrics": {"f1": {"type": "f1", "params": {
            "ground_truth": "{{ item.response.choices[0].message.content | trim }}"}}},
    }
    return {"type": "custom", "tasks": {"chat-completion": task}}, {"type": "model", "model": model}


def evaluate(model, namespace, dataset, limit):
    """Evaluates a model; its F1."""
    config, target = evaluation(model, namespace, dataset, limit)
    job = good(call("POST", f"{NEMO}/v1/evaluation/jobs", {"namespace": namespace, "config": config, "target": target}))
    where = f"{NEMO}/v1/evaluation/jobs/{job['id']}"

    def ended():
        status = good(call("GET", where))
        assert status["status"] in ("created", "pending", "running", "completed"), status
        return status["status"] == "completed"

    until("evaluated", ended)
    results = good(call("GET", f"{where}/results"))
    return results["tasks"]["chat-completion"]["metrics"]["f1"]["scores"]["f1_score"]["value"]
