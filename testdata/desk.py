"""The tool-calling workload of the shipped logs: functions, questions and the calls that answer them.

Written for this project; symbols, companies and places are invented.
"""

import json

CURRENCIES = ["VEL", "KRM", "THL", "MRV", "USD", "EUR"]
DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday"]
TOPICS = ["rates", "chip makers", "the Tarvesh election", "freight", "bank results", "grain prices", "bond auctions", "drug trials"]
FILINGS = ["annual", "quarterly", "insider", "prospectus"]


def _tool(name, description, properties, required):
    schema = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_WHOLE = {"type": "integer"}

TOOLS = [
    _tool("get_quote", "Last price of one symbol.", {"symbol": _TEXT}, ["symbol"]),
    _tool("price_history", "Daily closes over some days.", {"symbol": _TEXT, "days": _WHOLE}, ["symbol", "days"]),
    _tool("set_alert", "Tell the desk when a price is crossed.",
          {"symbol": _TEXT, "direction": {"type": "string", "enum": ["above", "below"]}, "price": _NUMBER}, ["symbol", "direction", "price"]),
    _tool("convert_currency", "Convert an amount at the last rate.", {"amount": _NUMBER, "from": _TEXT, "to": _TEXT}, ["amount", "from", "to"]),
    _tool("list_filings", "Filings of a company.", {"symbol": _TEXT, "kind": {"type": "string", "enum": FILINGS}, "limit": _WHOLE}, ["symbol", "kind"]),
    _tool("book_briefing", "Put a briefing on the desk calendar.", {"topic": _TEXT, "day": _TEXT, "hour": _WHOLE}, ["topic", "day"]),
]

SYSTEM = "You are the assistant of a trading desk. Use one of the functions whenever the request needs data or an action."

QUESTIONS = {
    "get_quote": [
        "(What is|What's|How much is) <co> (trading at|at right now|worth per share)?", "Quote <symbol>[ please]", "<symbol> (last|price|now)?",
        "(Give me|Show me|I need) the (last|current|latest) price (of|for) <co> (<symbol>)", "Where (did|does) <symbol> (close|stand)?",
    ],
    "price_history": [
        "(Show|Pull|Get) (me |)<days> days of (closes|prices|history) for <symbol>", "How has <co> (done|moved|traded) over the last <days> days?",
        "<symbol>, past <days> days[ please]", "(Chart|Plot) <symbol> for <days> days", "(I want|Need) the <days>-day (trend|record) of <co> (<symbol>)",
    ],
    "set_alert": [
        "(Alert|Ping|Tell) me (when|if|once) <symbol> (goes|trades|is) <direction> <price>", "Set (a |an )(price |)alert: <symbol> <direction> <price>",
        "(Watch|Keep an eye on) <co> and (shout|warn us) (when|if) it is <direction> <price>", "<symbol> <direction> <price>: (let me know|wake me)",
    ],
    "convert_currency": [
        "(Convert|Change) <amount> <from> (to|into) <to>", "(How much|What) is <amount> <from> in <to>?", "<amount> <from> -> <to>",
        "(We owe|I have|Client pays) <amount> <from>; what is that in <to>?",
    ],
    "list_filings": [
        "(List|Find|Get) (the |)(last |latest |)<limit> <kind> filings (of|from|by) <co>", "(Any|Are there) <kind> filings for <symbol>?",
        "What did <co> file (under|as) <kind>, newest <limit>", "<kind> documents, <symbol>, top <limit>",
    ],
    "book_briefing": [
        "(Book|Schedule|Plan) a briefing (on|about) <topic> (for|on) <day>[ at <hour>:00]", "(Put|Add) <topic> on the calendar for <day>[, <hour>:00]",
        "(Can we|Could we|We should) talk about <topic> on <day> at <hour>?", "Briefing: <topic>, <day> <hour>:00",
    ],
}

WEIGHTS = [("get_quote", 26), ("price_history", 20), ("set_alert", 18), ("convert_currency", 15), ("list_filings", 12), ("book_briefing", 9)]


def _symbol(company):
    letters = [char for char in company.upper() if char.isalpha()]
    return letters[0] + "".join(char for char in letters[1:] if char not in "AEIOU")[:3]


def _ask(draw, expand, companies):
    """Returns one question, and the name and arguments of the call that answers it."""
    name = draw.weighted(WEIGHTS)
    company = draw.pick(companies)
    values = {
        "co": company, "symbol": _symbol(company), "days": draw.pick([5, 10, 20, 30, 60, 90]), "direction": draw.pick(["above", "below"]),
        "price": draw.between(8, 480) + draw.pick([0, 0, 0.5, 0.25]), "amount": draw.pick([100, 250, 1200, 5000, 18000]) + draw.below(90),
        "from": draw.pick(CURRENCIES), "kind": draw.pick(FILINGS), "limit": draw.between(2, 9), "topic": draw.pick(TOPICS), "day": draw.pick(DAYS),
        "hour": draw.between(8, 17),
    }
    values["to"] = draw.pick([code for code in CURRENCIES if code != values["from"]])
    used = set()

    def slot(key):
        used.add(key)
        return str(values[key])

    text = expand(draw, draw.pick(QUESTIONS[name]), slot)
    schema = next(tool["function"]["parameters"] for tool in TOOLS if tool["function"]["name"] == name)
    arguments = {key: values[key] for key in schema["properties"] if key in used or key in schema["required"]}
    return text[:1].upper() + text[1:], name, arguments


def _call(draw, name, arguments):
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "call_%012x" % (draw.bits() >> 16), "type": "function", "function": function}]}


def conversation(draw, expand, companies):
    """Returns request messages, the response message and a client. One in five is the second turn of a conversation."""
    messages = [{"role": "system", "content": SYSTEM}]
    if draw.chance(0.2):
        text, name, arguments = _ask(draw, expand, companies)
        call = _call(draw, name, arguments)
        answer = {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": json.dumps({"ok": True, "value": draw.between(10, 999)})}
        messages += [{"role": "user", "content": text}, call, answer, {"role": "assistant", "content": "Done. Anything else?"}]
    text, name, arguments = _ask(draw, expand, companies)
    messages.append({"role": "user", "content": text})
    return messages, _call(draw, name, arguments), draw.weighted([("desk-chat", 7), ("desk-mobile", 3)])


def broken(draw, line, records):
    """Returns lines that `split` must reject: cut JSON, arguments that are no JSON, no response, a plain-text reply."""
    picks = [json.loads(line(records[draw.below(len(records))])) for _ in range(4)]
    cut = line(picks[0])[:700]
    picks[1]["response"]["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = '{"symbol": '
    picks[2]["response"] = None
    picks[3]["response"]["choices"][0]["message"] = {"role": "assistant", "content": "Which company do you mean?"}
    for i, record in enumerate(picks):
        record["request"]["messages"][-1]["content"] += " (asked again, %d)" % i
    return [cut] + [line(record) for record in picks[1:]]
