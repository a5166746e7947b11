"""Stand-in for the containers of a model deployment: an OpenAI-compatible server on 127.0.0.1 in place of vLLM or NIM.

It serves a base model and the adapters that the platform lists for it, under the names that vLLM gives them next to
NVIDIA's LoRA sidecar (`workspace--adapter`). The base answers `unknown`. An adapter answers with the training row whose
last user message is nearest to the question, tool calls included, so that a client sees which of the two it has asked.
A base that is asked to judge tool calls rates 1 if the names of the calls are the right ones, otherwise 0.
"""

import asyncio
import json
import os
import re
import threading
import time
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROWS_FILE = "stand_in_rows.json"
UNTRAINED_ANSWER = "unknown"


def words(text):
    """Returns the set of lower-case words of a text."""
    return set(re.findall(r"\w+", str(text).lower()))


def last_user_text(messages):
    """Returns the content of the last user message, or an empty text."""
    for message in reversed(messages or []):
        if message.get("role") == "user":
            return message.get("content") or ""
    return ""


def untrained(messages):
    """Returns the answer of a base model: a rating if it is asked as a judge."""
    question = last_user_text(messages)
    right, _, made = question.partition("CALLS THAT WERE MADE")
    if not made:
        return UNTRAINED_ANSWER
    names = [sorted(re.findall(r"""["']name["']: *["'](\w+)""", calls)) for calls in (right.partition("RIGHT CALLS")[2], made)]
    return f"The names of the calls decide (stand-in).\nRATING: {int(names[0] == names[1])}"


def nearest(rows, question):
    """Returns the message of the row that shares the largest part of its words with the question (Jaccard)."""
    asked = words(question)

    def similarity(row):
        known = set(row["words"])
        return len(asked & known) / max(1, len(asked | known))

    return max(rows, key=similarity)["message"]


class Platform:
    """Reads from the platform's own API."""

    def __init__(self, base_url):
        self.base_url = base_url

    def get(self, path):
        """Returns the body of a GET."""
        token = os.environ.get("HELIX_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.base_url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def model(self, workspace, name):
        return json.loads(self.get(f"/apis/models/v2/workspaces/{workspace}/models/{name}"))

    def served_model(self, workspace, deployment):
        """Returns workspace and name of the model entity that a deployment serves."""
        models = f"/apis/models/v2/workspaces/{{}}/{{}}/{{}}"
        found = json.loads(self.get(models.format(workspace, "deployments", deployment)))
        config_workspace, config = split_reference(found["config"], workspace)
        config = json.loads(self.get(models.format(config_workspace, "deployment-configs", config)))
        reference = config.get("model_entity_id")
        if not reference:
            spec = config.get("model_spec") or {}
            reference = f"{spec.get('model_namespace') or workspace}/{spec.get('model_name')}"
        return split_reference(reference, workspace)

    def adapter_rows(self, workspace, fileset):
        owner, name = split_reference(fileset, workspace)
        return json.loads(self.get(f"/apis/files/v2/workspaces/{owner}/filesets/{name}/-/{ROWS_FILE}"))


def split_reference(reference, workspace):
    """Splits `workspace/name`; a bare name belongs to the given workspace."""
    owner, _, name = reference.rpartition("/")
    return owner or workspace, name


class ModelServer:
    """Serves one base model and its enabled adapters."""

    def __init__(self, platform, workspace, model):
        self.platform, self.workspace, self.model = platform, workspace, model
        self.adapters = {}
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def base_name(self):
        return f"{self.workspace}/{self.model}"

    def names(self):
        """Looks at the platform's adapters, as the LoRA sidecar does, and returns all names that are served."""
        with self.lock:
            self.refresh()
            return [self.base_name, *self.adapters]

    def refresh(self):
        try:
            listed = self.platform.model(self.workspace, self.model).get("adapters") or []
        except OSError:
            return
        enabled = {f"{one.get('workspace', self.workspace)}--{one['name']}": one
                   for one in listed if one.get("enabled", True)}
        for name in set(self.adapters) - set(enabled):
            del self.adapters[name]
        for name, adapter in enabled.items():
            version = (adapter["fileset"], adapter.get("updated_at"))
            if self.adapters.get(name, (None, None))[0] == version:
                continue
            try:
                self.adapters[name] = (version, self.platform.adapter_rows(self.workspace, adapter["fileset"]))
            except (OSError, ValueError) as error:
                print(f"stand-in: the files of adapter {name} cannot be read: {error}", flush=True)

    def answer(self, name, messages):
        """Returns the assistant's message, or None for a model that is not served."""
        with self.lock:
            rows = self.adapters.get(name, (None, None))[1]
        if rows:
            return completed(nearest(rows, last_user_text(messages)))
        return {"role": "assistant", "content": untrained(messages), "tool_calls": []} if name == self.base_name else None

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def completed(message):
    """Turns the answer of a training row into the message of a chat completion: arguments of tool calls become text."""
    calls = []
    for call in message.get("tool_calls") or []:
        arguments = call["function"]["arguments"]
        calls.append({"id": f"chatcmpl-tool-{uuid.uuid4().hex}", "type": "function", "function": {
            "name": call["function"]["name"],
            "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments)}})
    return {"role": "assistant", "content": message.get("content") or "", "tool_calls": calls}


def handler_of(models):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            """Keeps the platform's log free of every request."""

        def send(self, status, body):
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def stream(self, common, message, reason, usage):
            """Sends a reply word by word, as server-sent events in chunks."""
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            deltas = [{"role": "assistant", "content": ""}]
            deltas += [{"content": word} for word in re.findall(r"\s*\S+", message["content"])]
            deltas += [{"tool_calls": [{"index": at, **call}]} for at, call in enumerate(message["tool_calls"])]
            events = [{**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
            events.append({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
            events += [{**common, "choices": [], "usage": usage}] if usage else []
            for data in [*map(json.dumps, events), "[DONE]"]:
                event = f"data: {data}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

        def do_GET(self):
            if not self.path.startswith("/v1/models"):
                return self.send(200, {"status": "ok"})
            base = models.base_name
            entries = [{"id": name, "object": "model", "created": 0, "owned_by": "stand-in", "root": base,
                        "parent": None if name == base else base} for name in models.names()]
            return self.send(200, {"object": "list", "data": entries})

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            name = request.get("model", "")
            message = models.answer(name, request.get("messages"))
            if not self.path.endswith("/chat/completions") or message is None:
                missing = f"The model `{name}` does not exist."
                return self.send(404, {"error": {"message": missing, "type": "NotFoundError", "code": 404}})
            reason = "tool_calls" if message["tool_calls"] else "stop"
            prompt, reply = len(words(request.get("messages"))), len(words(message["content"])) + 1
            usage = {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply}
            common = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": name}
            if request.get("stream"):
                is_told = (request.get("stream_options") or {}).get("include_usage")
                return self.stream({**common, "object": "chat.completion.chunk"}, message, reason, is_told and usage)
            return self.send(200, {**common, "object": "chat.completion", "usage": usage,
                                   "choices": [{"index": 0, "message": message, "finish_reason": reason}]})

    return Handler


def install(base_url, backend_name):
    """Registers the stand-in as a backend of the deployments plugin."""
    from nemo_deployments_plugin.backends import registry
    from nemo_deployments_plugin.backends.base import (
        BackendStatusUpdate, DeploymentBackend, LogResult, VolumeStatusUpdate)
    from nemo_deployments_plugin.types import Endpoint

    platform = Platform(base_url)
    containers = {}
    pulled = BackendStatusUpdate(status="SUCCEEDED", status_message="Nothing to pull (stand-in)", exit_code=0)

    def state_of(server):
        if server is None:
            return pulled
        return BackendStatusUpdate(status="READY", status_message="Serving (stand-in)",
                                   endpoints=[Endpoint(name="http", url=server.url)])

    def start(workspace, name):
        server = None
        if not name.endswith("-puller"):
            owner, model = platform.served_model(workspace, name.removesuffix("-server"))
            server = ModelServer(platform, owner, model)
        containers[workspace, name] = server
        return state_of(server)

    class Containers(DeploymentBackend):
        """Runs the containers of deployments: the one that pulls weights has nothing to do, the other one serves."""

        def shutdown(self):
            """Ends with its process."""

        async def create_deployment(self, *, workspace, name, config_name, labels, backend_config, auth_context=None):
            return await asyncio.to_thread(start, workspace, name)

        async def read_status(self, *, workspace, name):
            if (workspace, name) not in containers:
                return BackendStatusUpdate(status="LOST", status_message="There is no such container (stand-in)")
            return state_of(containers[workspace, name])

        async def delete_deployment(self, workspace, name):
            server = containers.pop((workspace, name), None)
            if server:
                await asyncio.to_thread(server.close)
            return BackendStatusUpdate(status="SUCCEEDED", status_message="Removed (stand-in)")

        async def list_managed_deployment_names(self):
            return [f"{workspace}/{name}" for workspace, name in containers]

        async def get_logs(self, *, workspace, name, tail=100):
            return LogResult(lines=[])

        async def create_volume(self, *, workspace, name, size, access_modes, backend_config):
            return VolumeStatusUpdate(status="BOUND")

        async def read_volume_status(self, *, workspace, name, backend_config=None):
            return VolumeStatusUpdate(status="BOUND")

        async def delete_volume(self, workspace, name, *, backend_config=None):
            return VolumeStatusUpdate(status="RELEASED")

    registry.BACKEND_CLASSES[backend_name] = Containers
