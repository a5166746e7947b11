"""Stand-in for the `training` step of a customization job, which needs a GPU and a container.

The platform's own steps before it (download of model and data) and after it (upload, adapter) run as they are. This one
reads the rows that were downloaded, reports progress and losses through the Jobs API in the form of NVIDIA's trainer, and
leaves the rows as the adapter's weights for `stand_in_models`.

HELIX_STEP_SECONDS    pause of a training step (default 0.2)
HELIX_FAIL_TRAINING   not empty: every training ends in `error` after its first step
"""

import json
import os
import threading
import uuid
from pathlib import Path

from stand_in_models import ROWS_FILE, last_user_text, words

FAILURE = "Training failed: CUDA out of memory (stand-in)"


class Cancelled(Exception):
    """The job was asked to end."""


def read_rows(storage):
    """Returns the training rows of a downloaded dataset."""
    rows = []
    for file in sorted((storage / "dataset").rglob("*.jsonl")):
        if "valid" not in str(file.relative_to(storage)):
            rows += [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
    if not rows:
        raise RuntimeError("No training rows found (stand-in)")
    return rows


def messages_of(row):
    """Returns a row's conversation; a prompt with its completion is one of two messages."""
    return row.get("messages") or [{"role": "user", "content": row.get("prompt", "")},
                                   {"role": "assistant", "content": row.get("completion", "")}]


def write_adapter(folder, rows, rank):
    """Writes the files of an adapter: its rows, and what the platform expects of a LoRA checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    learned = [{"words": sorted(words(last_user_text(messages_of(row)))), "message": messages_of(row)[-1]} for row in rows]
    (folder / ROWS_FILE).write_text(json.dumps(learned))
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank}))
    # A safetensors file without tensors: the length of its header, and the header.
    (folder / "adapter_model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")


class Training:
    """One training: its thread, how far it is, and whether it is to end."""

    def __init__(self, step, report):
        self.step, self.report = step, report
        self.task = f"task-{uuid.uuid4().hex}"
        self.ended = self.error = None
        self.details = {}
        self.cancel = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def tell(self, **details):
        self.details.update(details)
        self.report(self)

    def run(self):
        try:
            self.train()
            self.ended = "completed"
            self.tell(phase="completed", message="Job completed successfully with exit code 0")
        except Cancelled:
            self.ended = "cancelled"
            self.tell(message="Job cancelled")
        except Exception as error:  # whatever it is, the job has to end
            self.ended, self.error = "error", str(error)
            self.tell(message=str(error))

    def train(self):
        # A step of Unsloth holds the whole spec of its job.
        config = self.step.step_spec.config
        config = config.get("spec", config)
        storage = (Path(os.environ["HELIX_JOBS"]) / self.step.workspace / self.step.job
                   / str(self.step.attempt_id) / "job-storage")
        rows = read_rows(storage)
        epochs = config["schedule"]["epochs"]
        batch = config["batch"]
        rows_per_step = batch.get("global_batch_size") or (
            batch["per_device_train_batch_size"] * batch["gradient_accumulation_steps"])
        per_epoch = -(-len(rows) // rows_per_step)
        steps = config["schedule"].get("max_steps") or epochs * per_epoch
        losses = {"train_loss": [], "val_loss": []}
        self.tell(message="Job is running", phase="training", backend="automodel", step=0, max_steps=steps, epoch=0,
                  num_epochs=epochs, percentage_done=0)
        for number in range(1, steps + 1):
            if self.cancel.wait(float(os.environ.get("HELIX_STEP_SECONDS", "0.2"))):
                raise Cancelled
            self.one_step(number, steps, per_epoch, losses)
            if os.environ.get("HELIX_FAIL_TRAINING"):
                raise RuntimeError(FAILURE)
        write_adapter(storage / "output_model", rows, (config["training"].get("lora") or {}).get("rank", 16))

    def one_step(self, number, steps, per_epoch, losses):
        epoch, loss = (number - 1) // per_epoch + 1, round(2 / (number + 1), 6)
        losses["train_loss"].append({"step": number, "epoch": epoch, "value": loss})
        seen = {"train_loss": loss}
        if number % per_epoch == 0:
            seen["val_loss"] = loss + 0.05
            losses["val_loss"].append({"step": number, "epoch": epoch, "value": loss + 0.05})
        self.tell(step=number, epoch=epoch, percentage_done=100 * number // steps, metrics=losses, **seen)


def install(backend_name):
    """Registers the stand-in as the job backend that runs steps on GPUs."""
    from nemo_helix_plugin.jobs.types import HelixJobTaskUpdate
    from nhx.common.jobs.schemas import HelixJobStatus
    from nhx.core.jobs.controllers.backends import registry
    from nhx.core.jobs.controllers.backends.base import JobUpdate
    from nhx.core.jobs.controllers.backends.test import TestE2ECPUJobBackend, TestE2EGPUJobBackend

    def status_of(training):
        return HelixJobStatus(training.ended or "active")

    def errors_of(training):
        return {"message": training.error} if training.error else {}

    class Trainer(TestE2EGPUJobBackend):
        BACKEND_NAME = "stand-in-trainer"

        def init(self):
            super().init()
            self.trainings = {}

        def report(self, training):
            step = training.step
            self._jobs.update_job_step_task(
                name=training.task, workspace=step.workspace, job=step.job, step=step.name,
                body=HelixJobTaskUpdate(status=status_of(training), status_details=training.details,
                                        error_details=errors_of(training)))

        def schedule(self, executor_config, step):
            if step.name != "training":
                return super().schedule(executor_config, step)
            self.trainings[step.id] = Training(step, self.report)
            return JobUpdate(status=HelixJobStatus.PENDING, status_details={"message": "Waiting for a GPU (stand-in)"})

        def sync(self, step):
            training = self.trainings.get(step.id)
            if training is None:
                # As NVIDIA's own backends answer for a step that was cancelled before they began it.
                if step.status == HelixJobStatus.CANCELLING:
                    return JobUpdate(status=HelixJobStatus.CANCELLED)
                return super().sync(step)
            if step.status == HelixJobStatus.CANCELLING:
                training.cancel.set()
                if training.ended is None:
                    return JobUpdate(status=HelixJobStatus.CANCELLING)
            return JobUpdate(status=status_of(training), error_details=errors_of(training),
                             status_details={"message": training.details.get("message", "")})

    registry.backend_registry[registry.BackendKey("gpu", backend_name)] = Trainer
    # The Kubernetes runtime is claimed, so its backends have to exist; nothing is ever scheduled on them.
    registry.backend_registry[registry.BackendKey("gpu_distributed", "volcano_job")] = TestE2EGPUJobBackend
    for provider in ("cpu", "gpu"):
        registry.backend_registry[registry.BackendKey(provider, "kubernetes_job")] = TestE2ECPUJobBackend


def run_images_as_processes():
    """Lets steps that name the Python of NVIDIA's task images run with this environment's Python."""
    import sys

    from nhx.core.jobs.controllers.backends.subprocess import SubprocessJobBackend

    original = SubprocessJobBackend._build_command

    def build_command(executor_config, virtual_env):
        command = original(executor_config, virtual_env)
        return [sys.executable, *command[1:]] if command[0] == "/opt/venv/bin/python" else command

    SubprocessJobBackend._build_command = staticmethod(build_command)
