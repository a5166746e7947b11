"""The openai client against the NIM proxy: models, chat whole and streamed, completions, embeddings, errors; base and
adapter, one caller and many.
"""

import asyncio

import wire
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

NAMESPACE = "foreign"
BASE = f"{wire.NIM}/v1"
client = OpenAI(base_url=BASE, api_key="nothing", max_retries=0)


def refused(kind, action):
    """The error of an action that must be refused."""
    try:
        action()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def nothing_served():
    """Before anything is deployed."""
    for state in ("ready", "live"):
        wire.good(wire.call("GET", f"{BASE}/health/{state}"))
    assert list(client.models.list()) == []
    error = refused(NotFoundError, lambda: ask(wire.MODEL, "Hello"))
    assert "does not exist" in str(error), error


def flywheel():
    """A deployment and an adapter that was trained for it."""
    wire.namespaces(NAMESPACE)
    wire.upload(NAMESPACE, "train", {"training/rows.jsonl": wire.training_rows(0, 105)})
    wire.register(NAMESPACE, "train")
    wire.deploy(NAMESPACE)
    adapter = wire.train(NAMESPACE, "train")
    listed = {model.id: model for model in client.models.list()}
    assert set(listed) == {wire.MODEL, adapter}, listed
    assert (listed[adapter].object, listed[adapter].root) == ("model", wire.MODEL), listed
    wire.upload(NAMESPACE, "eval", {"eval_data.jsonl": wire.evaluation_rows(30)})
    assert wire.evaluate(adapter, NAMESPACE, "eval", 30) > 0.8
    return adapter


def ask(model, text, **more):
    """One question."""
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **more)


def chat(adapter):
    """Chat, whole and streamed."""
    asked, label = wire.messages(2000)
    answer = client.chat.completions.create(model=adapter, messages=asked, temperature=0, max_tokens=20, seed=1)
    assert answer.choices[0].message.content == f"[[[{label}]]]", answer
    assert (answer.choices[0].finish_reason, answer.object) == ("stop", "chat.completion"), answer
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0, answer
    assert answer.model == adapter
    assert len(ask(adapter, "a bid", n=3).choices) == 3
    chunks = list(ask(wire.MODEL, "Hello", stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant", chunks[0]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == ask(wire.MODEL, "Hello").choices[0].message.content, text
    ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert ends[-1] == "stop" and set(ends[:-1]) == {None}, ends
    assert chunks[-1].usage.completion_tokens > 0 and len(text.split()) > 1 and len(chunks) > 4, chunks
    parts = [{"role": "user", "content": [{"type": "text", "text": "a takeover"}]}]
    assert client.chat.completions.create(model=adapter, messages=parts).choices[0].message.content


def tools():
    """Tool calls, whole and put together from a stream, by hand and by the client's own helper."""
    function = {"name": "get_quote", "description": "Last price of a symbol.", "parameters": {"type": "object"}}
    order = {"model": wire.MODEL, "messages": [{"role": "user", "content": "What quote has it?"}],
             "tools": [{"type": "function", "function": function}], "tool_choice": "required"}
    whole = client.chat.completions.create(**order).choices[0].message.tool_calls
    chunks = list(client.chat.completions.create(**order, stream=True))
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert calls[0].id and calls[0].type == "function" and all(call.index == 0 for call in calls), calls
    name = "".join(call.function.name or "" for call in calls)
    arguments = "".join(call.function.arguments or "" for call in calls)
    assert [(name, arguments)] == [(call.function.name, call.function.arguments) for call in whole], (calls, whole)
    assert chunks[-1].choices[0].finish_reason == "stop", chunks[-1]
    with client.chat.completions.stream(**order) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion().choices[0].message
    assert "tool_calls.function.arguments.done" in kinds, kinds
    assert [call.function.name for call in final.tool_calls] == ["get_quote"] and not final.content, final


def completions(adapter):
    """Text completions, whole and streamed."""
    answer = client.completions.create(model=adapter, prompt=["agreed a takeover", "unveils an engine"])
    assert [choice.index for choice in answer.choices] == [0, 1], answer
    whole = client.completions.create(model=wire.MODEL, prompt="Hello").choices[0].text
    chunks = list(client.completions.create(model=wire.MODEL, prompt="Hello", stream=True))
    assert whole == "".join(choice.text for chunk in chunks for choice in chunk.choices), chunks


def embeddings():
    """Vectors, packed (as this client asks by itself) and as numbers."""
    packed = client.embeddings.create(model=wire.MODEL, input=["a bid", "an engine"])
    plain = client.embeddings.create(model=wire.MODEL, input=["a bid", "an engine"], encoding_format="float")
    for one, other in zip(packed.data, plain.data, strict=True):
        assert max(abs(a - b) for a, b in zip(one.embedding, other.embedding, strict=True)) < 1e-6
    assert abs(sum(number * number for number in plain.data[0].embedding) - 1) < 1e-4
    short = client.embeddings.create(model=wire.MODEL, input="a bid", dimensions=16)
    assert len(short.data[0].embedding) == 16


def errors():
    """What is refused, in the words of the errors' classes."""
    refused(NotFoundError, lambda: ask("absent", "Hello"))
    refused(NotFoundError, lambda: client.embeddings.create(model="absent", input="x"))
    refused(BadRequestError, lambda: client.chat.completions.create(model=wire.MODEL, messages=[]))
    refused(BadRequestError, lambda: client.chat.completions.create(model=wire.MODEL, messages="words"))
    refused(BadRequestError, lambda: ask(wire.MODEL, "x", n=0))
    refused(BadRequestError, lambda: client.completions.create(model=wire.MODEL, prompt=[1, 2]))
    refused(BadRequestError, lambda: client.embeddings.create(model=wire.MODEL, input=[]))


def many(adapter):
    """200 questions at a time."""

    async def all_of_them():
        async with AsyncOpenAI(base_url=BASE, api_key="nothing", max_retries=0) as several:
            asked = [wire.messages(number) for number in range(200)]
            calls = [several.chat.completions.create(model=adapter, messages=one) for one, _ in asked]
            answers = await asyncio.gather(*calls)
            right = sum(f"[[[{label}]]]" == answer.choices[0].message.content
                        for (_, label), answer in zip(asked, answers, strict=True))
            assert right >= 190, right

    asyncio.run(all_of_them())


nothing_served()
trained = flywheel()
for step in (chat, completions, many):
    print(step.__name__, flush=True)
    step(trained)
tools()
embeddings()
errors()
