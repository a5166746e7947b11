#!/usr/bin/env python3
"""Log the traffic of an OpenAI client as records that `dfwfd load` reads.

Wrap the client once. Every chat completion is then appended to a JSONL file, one record per line:

    from openai import OpenAI
    from log_openai import logged

    client = logged(OpenAI(), "production.jsonl", workload_id="news_classifier", client_id="desk-7")
    client.chat.completions.create(model="gpt-4o-mini", messages=[...])

Run as a program, it sends one prompt and logs it (OPENAI_API_KEY, and OPENAI_BASE_URL for another endpoint):

    python3 log_openai.py --log production.jsonl --workload news_classifier --model gpt-4o-mini "Is this news? ..."
    dfwfd load production.jsonl

Needs Python 3.9 and the `openai` package (version 1 or newer). Requests with `stream=True` are passed on without being
logged. The file holds full requests and responses, so take care where you keep it.
"""

import argparse
import json
import os
import threading
import time

_LOCK = threading.Lock()

# Arguments of the SDK that concern the transport, not the request that the model sees.
_TRANSPORT = {"extra_headers", "extra_query", "extra_body", "timeout"}


def _plain(value):
    """Return a value of the SDK (a pydantic model, or a container of them) as plain JSON data."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _given(value):
    """Return true if the argument was given. The SDK marks the others."""
    return type(value).__name__ not in {"NotGiven", "Omit"}


def record(request, response, workload_id, client_id, started, latency):
    """Return a log record: the request that was sent and the ChatCompletion that came back."""
    sent = {key: _plain(value) for key, value in request.items() if key not in _TRANSPORT and _given(value)}
    sent.update(request.get("extra_body") or {})
    return {
        "timestamp": int(started),
        "workload_id": workload_id,
        "client_id": client_id,
        "request": sent,
        "response": _plain(response),
        "latency_ms": round(latency * 1000),
    }


def append(path, entry):
    """Append one record as one line, in one write, so that lines of several processes never mix."""
    line = (json.dumps(entry, ensure_ascii=False, default=str) + "\n").encode("utf-8")
    with _LOCK:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line)
        finally:
            os.close(file)


def logged(client, path, workload_id, client_id):
    """Make `chat.completions.create` of the client append a record to `path`. Return the client."""
    completions = client.chat.completions
    create = completions.create

    def create_and_log(**request):
        started, begun = time.time(), time.perf_counter()
        response = create(**request)
        if not request.get("stream"):
            latency = time.perf_counter() - begun
            append(path, record(request, response, workload_id, client_id, started, latency))
        return response

    completions.create = create_and_log
    return client


def main():
    """Send one prompt and log it."""
    parser = argparse.ArgumentParser(description="Send one prompt and log it as a record for dfwfd.")
    parser.add_argument("prompt")
    parser.add_argument("--log", default="production.jsonl", help="JSONL file to append to")
    parser.add_argument("--workload", default="news_classifier", help="workload_id of the record")
    parser.add_argument("--client", default="log_openai", help="client_id of the record")
    parser.add_argument("--model", required=True)
    parser.add_argument("--system", help="system prompt")
    arguments = parser.parse_args()

    from openai import OpenAI

    messages = [{"role": "system", "content": arguments.system}] if arguments.system else []
    messages.append({"role": "user", "content": arguments.prompt})
    client = logged(OpenAI(), arguments.log, arguments.workload, arguments.client)
    response = client.chat.completions.create(model=arguments.model, messages=messages, temperature=0)
    print(response.choices[0].message.content)


if __name__ == "__main__":
    main()
