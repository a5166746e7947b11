"""Reads a run with MLflow's own client: read_back.py URL EXPERIMENT FOLDER. Prints what it finds as JSON, files of FOLDER included."""

import json
import sys

from mlflow.data import get_source
from mlflow.tracking import MlflowClient

url, experiment, folder = sys.argv[1:]
client = MlflowClient(url)
found = client.get_experiment_by_name(experiment)
runs = []
for run in client.search_runs([found.experiment_id]):
    files = {}
    # The client would have to read other places itself.
    is_proxied = run.info.artifact_uri.startswith("mlflow-artifacts:")
    for file in client.list_artifacts(run.info.run_id) if is_proxied else []:
        with open(client.download_artifacts(run.info.run_id, file.path, folder), encoding="utf-8") as opened:
            files[file.path] = opened.read()
    history = {
        key: [[point.step, point.value] for point in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }
    datasets = [
        {
            "name": one.dataset.name,
            "digest": one.dataset.digest,
            "path": get_source(one.dataset).uri,
            "profile": json.loads(one.dataset.profile),
            "context": {tag.key: tag.value for tag in one.tags}["mlflow.data.context"],
        }
        for one in run.inputs.dataset_inputs
    ]
    info = run.info
    runs.append(
        {
            "name": info.run_name,
            "status": info.status,
            "seconds": (info.end_time - info.start_time) / 1000,
            "params": run.data.params,
            "tags": run.data.tags,
            "history": history,
            "datasets": datasets,
            "files": files,
        }
    )
print(json.dumps(runs))
