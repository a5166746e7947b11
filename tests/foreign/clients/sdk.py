"""A whole flywheel through NVIDIA's nemo-microservices SDK: every resource made, read, listed to the end, filtered,
changed, cancelled and deleted; training, evaluation and inference between; the errors as the SDK's own classes.
"""

import io
import zipfile

import nemo_microservices
import wire
from nemo_microservices import ConflictError, InternalServerError, NeMoMicroservices, NotFoundError
from nemo_microservices import UnprocessableEntityError

NAMESPACE = "foreign"
VERSION = tuple(int(part) for part in nemo_microservices.__version__.split("."))
client = NeMoMicroservices(base_url=wire.NEMO, inference_base_url=wire.NIM)
once = client.with_options(max_retries=0)


def refused(kind, action):
    """The error of an action that must be refused."""
    try:
        action()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def names(pages):
    """The names of all entities of all pages, which the SDK fetches one by one."""
    return [one.name for one in pages]


def namespaces():
    """Namespaces, in both stores."""
    wire.namespaces(NAMESPACE)
    assert client.namespaces.retrieve(NAMESPACE).id == NAMESPACE
    refused(ConflictError, lambda: client.namespaces.create(id=NAMESPACE))
    made = client.namespaces.create(id="second", description="first words", custom_fields={"owner": "desk"})
    assert (made.description, made.custom_fields) == ("first words", {"owner": "desk"}), made
    assert client.namespaces.update("second", description="other words").description == "other words"
    assert [one.id for one in client.namespaces.list(page_size=1, sort="-created_at")] == ["second", NAMESPACE]
    assert client.namespaces.delete("second").id == "second"
    refused(NotFoundError, lambda: client.namespaces.retrieve("second"))
    refused(UnprocessableEntityError, lambda: client.namespaces.create(id=7))
    # The Data Store has namespaces of its own, for which the SDK has no call.
    stored = f"{wire.DATASTORE}/v1/datastore/namespaces"
    assert [one["namespace"] for one in wire.good(wire.call("GET", stored))["data"]] == [NAMESPACE]
    assert wire.good(wire.call("GET", f"{stored}/{NAMESPACE}"))["namespace"] == NAMESPACE
    wire.good(wire.call("POST", stored, b"namespace=second", "application/x-www-form-urlencoded"))
    wire.good(wire.call("DELETE", f"{stored}/second"))
    assert wire.call("GET", f"{stored}/second")[0] == 404
    wire.good(wire.call("GET", f"{wire.DATASTORE}/v1/health"))


def projects():
    """Projects are not used by a flywheel; they are there."""
    client.projects.create(name="flywheel", namespace=NAMESPACE)
    assert client.projects.retrieve("flywheel", namespace=NAMESPACE).name == "flywheel"
    client.projects.update("flywheel", namespace=NAMESPACE, description="words")
    found = list(client.projects.list(filter={"name": "flywheel"}))
    assert [one.description for one in found] == ["words"], found
    client.projects.delete("flywheel", namespace=NAMESPACE)
    refused(NotFoundError, lambda: client.projects.delete("flywheel", namespace=NAMESPACE))


def datasets():
    """Data sets: files, entities, lists to the end."""
    wire.upload(NAMESPACE, "train", {
        "training/train_data.jsonl": wire.training_rows(0, 90),
        "validation/val_data.jsonl": wire.training_rows(90, 105),
    })
    wire.upload(NAMESPACE, "eval", {"eval_data.jsonl": wire.evaluation_rows(30)})
    for name in ("train", "eval"):
        url = f"hf://datasets/{NAMESPACE}/{name}"
        made = client.datasets.create(name=name, namespace=NAMESPACE, files_url=url, project="flywheel", description="")
        assert (made.files_url, made.project, made.name) == (url, "flywheel", name), made
        assert made.id.startswith("dataset-") and made.created_at, made
    refused(ConflictError, lambda: once.datasets.create(name="train", namespace=NAMESPACE, files_url="hf://x/y"))
    error = refused(UnprocessableEntityError, lambda: client.post("/v1/datasets", cast_to=object, body={"name": "x"}))
    assert error.body["detail"][0]["loc"] == ["body", "files_url"], error.body
    assert client.datasets.update("eval", namespace=NAMESPACE, description="rows").description == "rows"
    assert client.datasets.retrieve("eval", namespace=NAMESPACE).description == "rows"
    for number in range(23):
        client.datasets.create(name=f"many-{number:02}", namespace="many", files_url=f"hf://datasets/many/{number}")
    assert len(names(client.datasets.list(filter={"namespace": "many"}))) == 23
    assert len(names(client.datasets.list())) == 25
    newest = names(client.datasets.list(filter={"namespace": "many"}, sort="-name", page_size=5))
    assert newest == [f"many-{number:02}" for number in reversed(range(23))], newest
    first = client.datasets.list(page=2, page_size=20)
    assert first.pagination.total_results == 25 and len(first.data) == 5, first
    if VERSION >= (1, 3):
        assert len(names(client.datasets.list(search={"name": ["many-1", "eval"]}))) == 11
    refused(NotFoundError, lambda: client.datasets.retrieve("absent", namespace=NAMESPACE))
    assert client.datasets.delete("many-00", namespace="many").message


def deployment():
    """Deployments and their stored configs."""
    nothing = client.deployment.model_deployments.list()
    assert not nothing.data, nothing
    nim = {"image_name": "nvcr.io/nim/student", "image_tag": "1", "gpu": 1, "pvc_size": "25Gi",
           "additional_envs": {"NIM_GUIDED_DECODING_BACKEND": "outlines"}}
    configs = client.deployment.configs
    configs.create(name="stored", namespace=NAMESPACE, model=wire.MODEL, nim_deployment=nim)
    assert configs.retrieve("stored", namespace=NAMESPACE).nim_deployment.image_tag == "1"
    assert configs.update("stored", namespace=NAMESPACE, description="words").description == "words"
    assert names(configs.list(filter={"namespace": NAMESPACE})) == ["stored"]
    deployments = client.deployment.model_deployments
    made = deployments.create(name="student", namespace=NAMESPACE, config=f"{NAMESPACE}/stored")
    assert (made.deployed, made.status_details.status) == (False, "pending"), made
    again = refused(InternalServerError, lambda: once.deployment.model_deployments.create(
        name="student", namespace=NAMESPACE, config={"model": wire.MODEL, "nim_deployment": nim}))
    assert "model deployment already exists" in str(again), again
    wire.until("ready", lambda: deployments.retrieve("student", namespace=NAMESPACE).status_details.status == "ready")
    wire.until("listed", lambda: wire.MODEL in wire.served())
    deployments.create(name="short", namespace=NAMESPACE, config={"model": "other/model", "nim_deployment": nim})
    changed = deployments.update("short", namespace=NAMESPACE, description="words")
    assert changed.description == "words", changed
    assert names(deployments.list(page_size=1)) == ["student", "short"]
    gone = deployments.delete("short", namespace=NAMESPACE)
    assert gone.id == "short" and gone.message, gone
    refused(NotFoundError, lambda: deployments.retrieve("short", namespace=NAMESPACE))
    refused(NotFoundError, lambda: deployments.delete("short", namespace=NAMESPACE))
    configs.delete("stored", namespace=NAMESPACE)
    refused(NotFoundError, lambda: configs.retrieve("stored", namespace=NAMESPACE))


def customization():
    """Targets, configs, and a job that is trained to its end; its id with that of its adapter."""
    targets = client.customization.targets
    assert f"{wire.MODEL.split('/')[1]}@1.0" in names(targets.list())
    targets.create(name="own@1", namespace=NAMESPACE, num_parameters=7, precision="bf16", base_model=wire.MODEL)
    assert targets.retrieve("own@1", namespace=NAMESPACE).status == "ready"
    targets.update("own@1", namespace=NAMESPACE, enabled=False)
    assert targets.retrieve("own@1", namespace=NAMESPACE).enabled is False
    options = {"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1}
    configs = client.customization.configs
    make = {"namespace": NAMESPACE, "max_seq_length": 4096, "training_options": [options]}
    made = configs.create(name="student@v1.0.0+own", target=f"{wire.MODEL}@1.0", **make)
    assert made.training_options[0].finetuning_type == "lora", made
    configs.create(name="closed@v1", target=f"{NAMESPACE}/own@1", **make)
    refused(ConflictError, lambda: once.customization.configs.create(name="closed@v1", **make))
    assert configs.retrieve("student@v1.0.0+own", namespace=NAMESPACE).max_seq_length == 4096
    more = {**options, "finetuning_type": "all_weights"}
    configs.update("student@v1.0.0+own", namespace=NAMESPACE, add_training_options=[more])
    kept = configs.retrieve("student@v1.0.0+own", namespace=NAMESPACE).training_options
    assert [one.finetuning_type for one in kept] == ["lora", "all_weights"], kept
    less = [{"training_type": "sft", "finetuning_type": "all_weights"}]
    configs.update("student@v1.0.0+own", namespace=NAMESPACE, remove_training_options=less, max_seq_length=2048)
    kept = configs.retrieve("student@v1.0.0+own", namespace=NAMESPACE)
    assert (len(kept.training_options), kept.max_seq_length) == (1, 2048), kept
    assert names(configs.list(filter={"finetuning_type": "lora", "namespace": NAMESPACE}, sort="-created_at")) == [
        "closed@v1", "student@v1.0.0+own"]
    return jobs()


def jobs():
    """Training jobs: refused, run, cancelled, listed."""
    jobs = client.customization.jobs
    tuning = {"finetuning_type": "lora", "training_type": "sft", "epochs": 2, "batch_size": 16, "learning_rate": 1e-4,
              "lora": {"adapter_dim": 32, "adapter_dropout": 0.1}}
    order = {"config": f"{NAMESPACE}/student@v1.0.0+own", "dataset": {"name": "train", "namespace": NAMESPACE},
             "hyperparameters": tuning, "output_model": f"{NAMESPACE}/adapter"}
    error = refused(UnprocessableEntityError, lambda: jobs.create(**{**order, "config": f"{NAMESPACE}/student"}))
    assert "Version is not specified in the config URN" in error.body["detail"], error.body
    error = refused(UnprocessableEntityError, lambda: jobs.create(**{**order, "config": f"{NAMESPACE}/closed@v1"}))
    assert "is not enabled for customization" in error.body["detail"], error.body
    error = refused(UnprocessableEntityError, lambda: jobs.create(**{**order, "hyperparameters": {}}))
    assert error.body["detail"][0]["loc"] == ["body", "hyperparameters", "finetuning_type"], error.body
    refused(NotFoundError, lambda: jobs.create(**{**order, "dataset": f"{NAMESPACE}/absent"}))
    made = jobs.create(name="customization-w/x", description="words", **order)
    assert made.id.startswith("cust-") and made.output_model == f"{NAMESPACE}/adapter@{made.id}", made
    assert made.dataset == f"{NAMESPACE}/train" and made.hyperparameters.lora.alpha == 16, made
    wire.until("trained", lambda: jobs.status(made.id).status == "completed")
    status = jobs.status(made.id)
    assert (status.percentage_done, status.epochs_completed) == (100.0, 2), status
    assert status.train_loss is not None and status.val_loss is not None and status.best_epoch, status
    series = status.metrics.metrics
    assert len(series.train_loss) >= 1 and [point.value for point in series.val_loss][-1] == status.val_loss, series
    messages = [entry.message for entry in status.status_logs]
    assert "created" in messages and len(messages) > 3, messages
    assert jobs.retrieve(made.id).status == "completed"
    other = jobs.create(**{**order, "output_model": f"{NAMESPACE}/cancelled", "hyperparameters": {**tuning, "epochs": 500}})
    assert jobs.cancel(other.id).status in ("cancelling", "cancelled")
    wire.until("cancelled", lambda: jobs.retrieve(other.id).status == "cancelled")
    # As clients of an early version ask it; a job that has ended stays as it is.
    assert wire.good(wire.call("POST", f"{wire.NEMO}/v1/customizations/{other.id}/cancel"))["status"] == "cancelled"
    assert {one.id for one in jobs.list(page_size=1)} == {made.id, other.id}
    assert [one.id for one in jobs.list(filter={"status": "completed"})] == [made.id]
    assert [one.id for one in jobs.list(filter={"dataset": "absent"})] == []
    refused(NotFoundError, lambda: jobs.retrieve("cust-absent"))
    assert jobs.container_logs(made.id) is not None
    wire.until("served", lambda: made.output_model in wire.served())
    return made.output_model


def models(adapter):
    """Model entities: the one of the adapter, and one of its own with a key."""
    namespace, name = adapter.split("/")
    found = client.models.retrieve(name, namespace=namespace)
    assert (found.artifact.status, found.peft.finetuning_type) == ("upload_completed", "lora"), found
    assert found.base_model == wire.MODEL, found
    with_lora = names(client.models.list(filter={"base_model": wire.MODEL, "namespace": NAMESPACE}))
    assert name in with_lora, with_lora
    endpoint = {"url": "http://localhost:9/v1", "model_id": "x", "api_key": "secret", "format": "openai"}
    client.models.create(name="outside", namespace=NAMESPACE, api_endpoint=endpoint)
    told = client.models.update("outside", namespace=NAMESPACE, description="words")
    assert (told.description, told.api_endpoint.api_key) == ("words", "******"), told
    assert client.models.delete("outside", namespace=NAMESPACE).id
    refused(NotFoundError, lambda: client.models.retrieve("outside", namespace=NAMESPACE))


def inference(adapter):
    """Answers of the base and of the adapter, whole and streamed."""
    asked, label = wire.messages(1000)
    assert f"[[[{label}]]]" == client.chat.completions.create(model=adapter, messages=asked).choices[0].message.content
    pieces = client.chat.completions.create(model=adapter, messages=asked, stream=True)
    text = "".join(choice.delta.content or "" for piece in pieces for choice in piece.choices)
    assert text == f"[[[{label}]]]", text
    answer = client.completions.create(model=wire.MODEL, prompt="Hello")
    assert answer.choices[0].text, answer
    vectors = client.embeddings.create(model=wire.MODEL, input=["a bid", "an engine"], extra_body={"input_type": "query"})
    assert [one.index for one in vectors.data] == [0, 1] and len(vectors.data[0].embedding) > 1, vectors
    refused(NotFoundError, lambda: client.chat.completions.create(model="absent", messages=asked))


def evaluation(adapter):
    """Stored configs and targets, jobs on the base and the adapter, results, rows, cancel, delete."""
    config, target = wire.evaluation(adapter, NAMESPACE, "eval", 30)
    client.evaluation.configs.create(name="stored", namespace=NAMESPACE, **config)
    client.evaluation.targets.create(name="stored", namespace=NAMESPACE, **target)
    assert client.evaluation.configs.retrieve("stored", namespace=NAMESPACE).type == "custom"
    assert client.evaluation.targets.retrieve("stored", namespace=NAMESPACE).model == adapter
    assert client.evaluation.targets.update("stored", namespace=NAMESPACE, description="words").description == "words"
    changed = client.evaluation.configs.update("stored", path_namespace=NAMESPACE, description="words")
    assert changed.description == "words", changed
    assert names(client.evaluation.configs.list()) == names(client.evaluation.targets.list()) == ["stored"]
    jobs = client.evaluation.jobs
    stored = f"{NAMESPACE}/stored"
    scores = []
    for one in ({"config": stored, "target": stored}, {"config": config, "target": {**target, "model": wire.MODEL}}):
        made = jobs.create(namespace=NAMESPACE, description="words", **one)
        assert made.id.startswith("eval-") and made.status in ("created", "pending", "running", "completed"), made
        wire.until("evaluated", lambda job=made.id: jobs.retrieve(job).status == "completed")
        status = jobs.status(made.id)
        assert (status.progress, status.task_status) == (100.0, {"chat-completion": "completed"}), status
        results = jobs.results(made.id)
        score = results.tasks["chat-completion"].metrics["f1"].scores["f1_score"]
        assert (results.job, score.stats.count) == (made.id, 30), results
        assert abs(score.value - score.stats.mean) < 1e-9, score
        scores.append(score.value)
    assert scores[0] > 0.8, scores
    archive = zipfile.ZipFile(io.BytesIO(jobs.download_results(made.id).read()))
    assert any(name.endswith("results.json") for name in archive.namelist()), archive.namelist()
    assert len(list(jobs.list(page_size=1, filter={"namespace": NAMESPACE}))) == 2
    refused(NotFoundError, lambda: jobs.retrieve("eval-absent"))
    refused(UnprocessableEntityError, lambda: client.post("/v1/evaluation/jobs", cast_to=object, body={}))
    reports(made.id, results)
    jobs.cancel(made.id)
    jobs.delete(made.id)
    refused(NotFoundError, lambda: jobs.retrieve(made.id))
    client.evaluation.configs.delete("stored", namespace=NAMESPACE)
    client.evaluation.targets.delete("stored", namespace=NAMESPACE)


def reports(job, found):
    """Results as entities: that of a job, and one of our own."""
    kept = client.evaluation.results
    assert kept.retrieve(found.id).job == job
    assert [one.id for one in kept.list(filter={"job_id": job})] == [found.id]
    made = kept.create(job="eval-other", namespace=NAMESPACE, tasks={}, description="words")
    assert made.id.startswith("evaluation_result-") and made.description == "words", made
    assert kept.update(made.id, job="eval-other", description="others").description == "others"
    assert made.id in {one.id for one in kept.list(page_size=1)}
    assert kept.delete(made.id).id == made.id
    refused(NotFoundError, lambda: kept.retrieve(made.id))
    log = client.evaluation.jobs.with_raw_response.download_logs(job)
    assert zipfile.ZipFile(io.BytesIO(log.read())).namelist(), log.headers


def live(_):
    """Rows that come with the request, scored while the client waits."""
    metrics = {"em": {"type": "em", "params": {"ground_truth": "{{ item.expected }}"}},
               "check": {"type": "string-check", "params": {"check": ["{{ item.expected }}", "equals", "{{ sample.output_text }}"]}}}
    rows = [{"expected": "yes", "output_text": "yes"}, {"expected": "no", "output_text": "yes"}]
    answer = client.evaluation.live(config={"type": "custom", "tasks": {"t": {"type": "data", "metrics": metrics}}},
                                    target={"type": "rows", "rows": rows})
    assert answer.status == "completed", answer
    assert answer.result.tasks["t"].metrics["em"].scores["em_score"].value == 0.5, answer.result


def judged(adapter):
    """A judge's key never comes back."""
    config, target = wire.evaluation(adapter, NAMESPACE, "eval", 1)
    endpoint = {"url": f"{wire.NIM}/v1/chat/completions", "model_id": wire.MODEL, "api_key": "very-secret"}
    target = {"type": "model", "model": {"api_endpoint": endpoint}}
    made = client.evaluation.jobs.create(namespace=NAMESPACE, config=config, target=target)
    assert made.target.model.api_endpoint.api_key == "******", made.target
    assert "very-secret" not in made.model_dump_json(), made


def cleanup(adapter):
    """Everything goes."""
    namespace, name = adapter.split("/")
    client.models.delete(name, namespace=namespace)
    client.customization.configs.delete("student@v1.0.0+own", namespace=NAMESPACE)
    client.customization.configs.delete("closed@v1", namespace=NAMESPACE)
    client.customization.targets.delete("own@1", namespace=NAMESPACE)
    client.deployment.model_deployments.delete("student", namespace=NAMESPACE)
    wire.until("gone", lambda: wire.served() == [])
    for name in ("train", "eval"):
        client.datasets.delete(name, namespace=NAMESPACE)
        refused(NotFoundError, lambda name=name: client.datasets.delete(name, namespace=NAMESPACE))


def main():
    """All of it, in the order of a flywheel."""
    trained = None
    for step in (namespaces, projects, datasets, deployment, customization, models, inference, evaluation, live, judged, cleanup):
        print(step.__name__, flush=True)
        if step is customization:
            trained = step()
        elif trained is None:
            step()
        else:
            step(trained)


main()
