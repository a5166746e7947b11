#!/usr/bin/env python3
"""Writes the shipped sample logs: news_logs.jsonl, tools_logs.jsonl, notes_logs.jsonl and headlines_sample.csv.

    python3 testdata/generate.py [FOLDER]        (default: the folder of this file)

Needs Python 3.9 or newer and nothing else. The output depends only on SEED and the constants below, byte for byte. The random
generator is our own (SplitMix64): the standard library promises no stable stream for choices and shuffles.
"""

import csv
import io
import json
import os
import sys

sys.dont_write_bytecode = True
import desk  # noqa: E402
import notes  # noqa: E402
import phrases  # noqa: E402

SEED = 20250106

# news_logs.jsonl
NEWS_DISTINCT = 1370       # distinct headlines
MIXED_SHARE = 0.08         # headlines that honestly fit several classes
NOISE_SHARE = 0.02         # headlines that the teacher got wrong
CLEAN_BELOW = 45           # classes with fewer headlines get no mixed and no wrong ones: they are hard enough
NEIGHBOUR_NOISE = 0.75     # wrong headlines that get the label of a neighbouring class (the rest: of any class)
ASIDE_SHARE = 0.25         # headlines with a side remark, drawn without regard to their class
PREFIX_SHARE = 0.07
SUFFIX_SHARE = 0.10
TITLE_CASE_SHARE = 0.15
DUPLICATES = 100           # later requests with the same text and label
CONFLICTS = 8              # later requests with the same text and another label
NEAR_DUPLICATES = 20       # later requests with other digits in the text and the same label
COMPANIES = 420

# tools_logs.jsonl
TOOL_RECORDS = 288
TOOL_DUPLICATES = 9

# notes_logs.jsonl
NOTE_RECORDS = 260

# headlines_sample.csv
CSV_ROWS = 100

START = 1736121600         # 2025-01-06T00:00:00Z
TEACHER = "desk/large-instruct-70b"
MASK = (1 << 64) - 1


class Draw:
    """SplitMix64 (Steele, Lea, Flood 2014) and the few draws that the generator needs."""

    def __init__(self, seed, stream):
        self.state = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03) & MASK

    def bits(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, n):
        return self.bits() % n

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def chance(self, share):
        return self.bits() < share * 2.0**64

    def pick(self, items):
        return items[self.below(len(items))]

    def weighted(self, pairs):
        at = self.below(sum(weight for _, weight in pairs))
        for item, weight in pairs:
            if at < weight:
                return item
            at -= weight
        raise AssertionError("weights are positive")

    def shuffled(self, items):
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items


# ---- frames to text ----

def expand(draw, frame, slots):
    """Returns the text of one frame: (a|b) chooses one, [a] is optional, <slot> is the value of slots(name)."""
    text, rest = _sequence(draw, frame, 0, "", slots)
    assert rest == len(frame), frame
    return text


def _sequence(draw, frame, at, stops, slots):
    out = []
    while at < len(frame) and frame[at] not in stops:
        char = frame[at]
        if char == "(":
            options, at = _options(frame, at + 1)
            out.append(expand(draw, draw.pick(options), slots))
        elif char == "[":
            inner, at = _sequence(draw, frame, at + 1, "]", slots)
            at += 1
            if draw.chance(0.5):
                out.append(inner)
        elif char == "<":
            end = frame.index(">", at)
            out.append(slots(frame[at + 1:end]))
            at = end + 1
        else:
            out.append(char)
            at += 1
    return "".join(out), at


def _options(frame, at):
    options, start, depth = [], at, 0
    while True:
        char = frame[at]
        if char == "(":
            depth += 1
        elif char == ")" and depth == 0:
            return options + [frame[start:at]], at + 1
        elif char == ")":
            depth -= 1
        elif char == "|" and depth == 0:
            options.append(frame[start:at])
            start = at + 1
        at += 1


def invented_companies(draw, count):
    names = []
    while len(names) < count:
        middle = draw.pick(phrases.MIDDLES) if draw.chance(0.6) else ""
        name = draw.pick(phrases.STEMS) + middle + draw.pick(phrases.ENDS) + draw.pick(phrases.SUFFIX_WORDS)
        if name not in names:
            names.append(name)
    return names


class Newsroom:
    """Draws headlines."""

    def __init__(self, draw, companies):
        self.draw = draw
        self.companies = companies

    def slot(self, name):
        draw = self.draw
        if name in ("co", "co2"):
            return draw.pick(self.companies)
        if name == "person":
            first, last = draw.pick(phrases.FIRST_NAMES), draw.pick(phrases.LAST_NAMES)
            return last if draw.chance(0.3) else first + " " + last
        if name == "pct":
            number = str(draw.between(1, 24)) if draw.chance(0.6) else "%d.%d" % (draw.between(0, 12), draw.between(1, 9))
            return number + ("%" if draw.chance(0.85) else " percent")
        if name == "money":
            sign = draw.pick(["$", "$", "$", "€", "£", ""])
            unit = draw.pick([" million", " mln", "M", " billion", " bln", "B"])
            number = str(draw.between(2, 950)) if "m" in unit.lower() else "%d.%d" % (draw.between(1, 28), draw.below(10))
            return sign + number + unit
        if name in ("eps", "price"):
            whole = draw.between(0, 4) if name == "eps" else draw.between(6, 480)
            return draw.pick(["$", "$", "€"]) + ("%d.%02d" % (whole, draw.below(100)) if name == "eps" else str(whole))
        if name == "n":
            return str(draw.pick([2, 3, 4, 5, 6, 8, 10, 12, 20, 25, 40, 50, 75, 120, 300]))
        if name == "n1":
            return str(draw.between(1, 3))
        if name == "year":
            return str(draw.between(2024, 2028))
        return expand(draw, draw.pick(phrases.SLOTS[name]), self.slot)

    def headline(self, label, mixed_share):
        """Returns a headline whose right label is `label`. A mixed headline has several right labels."""
        draw = self.draw
        mixed = [(frame, weights[label]) for frame, weights in phrases.MIXED if label in weights]
        if draw.chance(mixed_share) and mixed:
            frame = draw.weighted(mixed)
        else:
            frame = draw.pick(phrases.FRAMES[label])
        text = expand(draw, frame, self.slot)
        if draw.chance(ASIDE_SHARE):
            text += ("" if text.endswith(",") else draw.pick([" ", " ", ", "])) + expand(draw, draw.pick(phrases.ASIDES), self.slot)
        if draw.chance(PREFIX_SHARE):
            text = expand(draw, draw.pick(phrases.PREFIXES), self.slot) + text
        if draw.chance(SUFFIX_SHARE):
            text += expand(draw, draw.pick(phrases.SUFFIXES), self.slot)
        text = " ".join(text.replace(" ,", ",").split())
        if draw.chance(TITLE_CASE_SHARE):
            text = " ".join(word[:1].upper() + word[1:] for word in text.split(" "))
        return text[:1].upper() + text[1:]

    def misread(self, answer):
        """Returns the true class of a text that the teacher labelled `answer`."""
        if self.draw.chance(NEIGHBOUR_NOISE):
            return self.draw.pick(phrases.NEIGHBOURS[answer])
        return self.draw.pick([name for name, _, _ in phrases.CLASSES if name != answer])


def quotas(total):
    """Returns the rows per class, by the largest remainder of the shares."""
    whole = sum(share for _, share, _ in phrases.CLASSES)
    exact = [(name, total * share / whole) for name, share, _ in phrases.CLASSES]
    counts = {name: int(value) for name, value in exact}
    by_rest = sorted(exact, key=lambda pair: (-(pair[1] - int(pair[1])), pair[0]))
    for name, _ in by_rest[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def labelled_headlines(draw, companies, total):
    """Returns distinct (text, label) pairs in random order."""
    room, seen, pairs = Newsroom(draw, companies), set(), []
    for label, count in quotas(total).items():
        mixed_share, noise_share = (MIXED_SHARE, NOISE_SHARE) if count >= CLEAN_BELOW else (0.0, 0.0)
        wrong = {i for i in range(count) if draw.chance(noise_share)}
        for i in range(count):
            text = None
            while text is None or text in seen:
                text = room.headline(room.misread(label) if i in wrong else label, mixed_share)
            seen.add(text)
            pairs.append((text, label))
    return draw.shuffled(pairs)


# ---- records ----

SYSTEM = (
    "You sort financial news for a trading desk. Read the headline and decide which one event it reports.\n"
    "Classes:\n" + "\n".join("- %s: %s" % (name, text) for name, _, text in phrases.CLASSES) + "\n"
    "Answer with the class name in triple square brackets, such as [[[%s]]], and nothing else." % phrases.CLASSES[0][0]
)


def tokens(value):
    return max(1, len(json.dumps(value, ensure_ascii=False)) // 4)


def completion(draw, stamp, message, request, finish):
    asked, said = tokens(request["messages"]) + tokens(request.get("tools", "")), tokens(message)
    return {
        "id": "chatcmpl-%016x%08x" % (draw.bits(), draw.bits() >> 32),
        "object": "chat.completion",
        "created": stamp,
        "model": TEACHER,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
    }


def news_record(draw, stamp, text, answer):
    request = {
        "model": TEACHER,
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Headline: " + text}],
        "temperature": 0.0,
        "max_tokens": 64,
    }
    return {
        "timestamp": stamp,
        "workload_id": "news_classifier",
        "client_id": draw.weighted([("desk-equities", 6), ("desk-credit", 2), ("research-api", 2)]),
        "request": request,
        "response": completion(draw, stamp, {"role": "assistant", "content": answer}, request, "stop"),
    }


def spoken(draw, label):
    """Returns the response as a real teacher writes it: mostly as asked, sometimes with other case, blanks or a remark."""
    style = draw.weighted([("plain", 93), ("blanks", 2), ("lower", 1), ("double", 2), ("remark", 2)])
    if style == "blanks":
        return "[[[ %s ]]]" % label
    if style == "lower":
        return "[[[%s]]]" % label.lower()
    if style == "double":
        return "[[%s]]" % label
    if style == "remark":
        return draw.pick(["The headline is best filed here: [[[%s]]]", "Answer:\n[[[%s]]]", "[[[%s]]]\n"]) % label
    return "[[[%s]]]" % label


def with_other_digits(draw, text):
    return "".join(str(draw.between(1, 9)) if char.isdigit() else char for char in text)


def line(record):
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def broken_news(draw, clock, room):
    """Returns lines that `split` must reject, each with its fault."""
    def fresh():
        return news_record(draw, next(clock), room.headline("Deals", 0.0), "[[[Deals]]]")

    lines = [line(fresh())[: draw.between(200, 900)] for _ in range(3)]
    for _ in range(2):
        record = fresh()
        del record["response"]
        lines.append(line(record))
    for content in (None, None, "I cannot tell which event this headline reports.", "This could be several things; please send the article."):
        record = fresh()
        record["response"]["choices"][0]["message"]["content"] = content
        lines.append(line(record))
    record = fresh()
    record["request"]["messages"] = []
    lines.append(line(record))
    record = fresh()
    record["response"]["choices"] = []
    lines.append(line(record))
    lines.append('"a string where a record should be"')
    return lines


def ticking(draw):
    stamp = START
    while True:
        stamp += draw.between(400, 18000)
        yield stamp


def inserted(draw, base, extras, after):
    """Returns `base` with each extra inserted at a random place behind position after(i)."""
    slots = {}
    for i, extra in enumerate(extras):
        first = after(i)
        slots.setdefault(draw.between(first + 1, len(base)), []).append(extra)
    out = []
    for i in range(len(base) + 1):
        out.extend(slots.get(i, []))
        out.extend(base[i:i + 1])
    return out


def news_log(companies):
    draw = Draw(SEED, 1)
    pairs = labelled_headlines(draw, companies, NEWS_DISTINCT)
    answers = [spoken(draw, label) for _, label in pairs]
    again = draw.shuffled(range(len(pairs) - 1))
    with_digits = [i for i in again if any(char.isdigit() for char in pairs[i][0])]
    extras, origins = [], []
    for i in again[:DUPLICATES]:
        extras.append((pairs[i][0], answers[i]))
        origins.append(i)
    for i in again[DUPLICATES:DUPLICATES + CONFLICTS]:
        extras.append((pairs[i][0], "[[[%s]]]" % draw.pick(phrases.NEIGHBOURS[pairs[i][1]])))
        origins.append(i)
    taken = set(again[:DUPLICATES + CONFLICTS])
    for i in [i for i in with_digits if i not in taken][:NEAR_DUPLICATES]:
        extras.append((with_other_digits(draw, pairs[i][0]), answers[i]))
        origins.append(i)
    rows = inserted(draw, [(text, answers[i]) for i, (text, _) in enumerate(pairs)], extras, lambda i: origins[i])
    clock = ticking(draw)
    lines = [line(news_record(draw, next(clock), text, answer)) for text, answer in rows]
    room = Newsroom(draw, companies)
    return inserted(draw, lines, broken_news(draw, clock, room), lambda _: 0)


def tools_log(companies):
    draw = Draw(SEED, 2)
    clock = ticking(draw)
    base, seen = [], set()
    while len(base) < TOOL_RECORDS:
        messages, message, client = desk.conversation(draw, expand, companies)
        if messages[-1]["content"] in seen:
            continue
        seen.add(messages[-1]["content"])
        base.append((messages, message, client))
    extras = [base[i] for i in draw.shuffled(range(len(base) - 1))[:TOOL_DUPLICATES]]
    records = []
    for messages, message, client in inserted(draw, base, extras, lambda i: base.index(extras[i])):
        stamp = next(clock)
        request = {"model": TEACHER, "messages": messages, "tools": desk.TOOLS, "temperature": 0.0}
        finish = "tool_calls" if "tool_calls" in message else "stop"
        response = completion(draw, stamp, message, request, finish)
        records.append({"timestamp": stamp, "workload_id": "desk_assistant", "client_id": client, "request": request, "response": response})
    lines = [line(record) for record in records]
    return inserted(draw, lines, desk.broken(draw, line, records), lambda _: 0)


def notes_log(companies):
    draw = Draw(SEED, 4)
    clock = ticking(draw)
    lines, seen = [], set()
    while len(lines) < NOTE_RECORDS:
        text, summary = notes.note(draw, expand, companies)
        if text in seen:
            continue
        seen.add(text)
        stamp = next(clock)
        messages = [{"role": "system", "content": notes.SYSTEM}, {"role": "user", "content": text}]
        request = {"model": TEACHER, "messages": messages, "temperature": 0.2}
        response = completion(draw, stamp, {"role": "assistant", "content": summary}, request, "stop")
        lines.append(line({"timestamp": stamp, "workload_id": "desk_notes", "client_id": "desk-chat", "request": request, "response": response}))
    return lines


def headlines_csv(companies):
    draw = Draw(SEED, 3)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["headline", "label"])
    writer.writerows(labelled_headlines(draw, companies, CSV_ROWS))
    return out.getvalue()


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    companies = invented_companies(Draw(SEED, 0), COMPANIES)
    files = {
        "news_logs.jsonl": "\n".join(news_log(companies)) + "\n",
        "tools_logs.jsonl": "\n".join(tools_log(companies)) + "\n",
        "notes_logs.jsonl": "\n".join(notes_log(companies)) + "\n",
        "headlines_sample.csv": headlines_csv(companies),
    }
    for name, text in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8", newline="") as file:
            file.write(text)


if __name__ == "__main__":
    main()
