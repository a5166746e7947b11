#!/usr/bin/env python3
"""Writes template_reference.json beside this file: the output of Jinja2 for evaluation templates, for the tests of
src/embedded/evaluator/templates.rs.

A template that is one expression alone is evaluated and keeps its type; what holds `tojson` and gives text is read back as
JSON where it is JSON; everything else is printed. Undefined is an error everywhere.

Needs jinja2 3: python3 testdata/template_reference.py
"""

import json
import pathlib

import jinja2

ITEM = {
    "request": {
        "messages": [
            {"role": "system", "content": "You're \"it\"\n\ttwo\\lines"},
            {"role": "user", "content": "é <a> & 'b' 🚀 \u200b\u00a0\u00ad\u2028\x07\x7f"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "required": ["a"]}}}],
        "z": 1,
        "a": 2,
    },
    "response": {
        "choices": [
            {"message": {"content": "  [[[Up]]] \n", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "set_alert", "arguments": {
                    "symbol": "AB'C", "price": 30.5, "above": True, "note": None, "days": [1, 2.0, -3], "empty": {}}}},
            ]}},
        ],
    },
    "none": None, "yes": True, "no": False, "n": 3, "negative": -7, "text": "text", "blank": "  ", "empty": "",
    "f": 1.0, "small": 1e-05, "smaller": 1.5e-07, "tenth": 0.1, "large": 1e16, "larger": 1.25e+22, "nearly": 1234567890123456.0,
    "minus_zero": -0.0, "big": 9007199254740993,
    "list": ["x", "y's", 'z"s', "both ' and \""], "numbers": [3, 1.5, 2], "nested": [[], {}, [[None]], {"k": {"é": "日本"}}],
    "prompt": "from item", "items_": {"b": 1, "a": [True, False]}, "lines": "one\ntwo\n",
}

SAMPLE = {
    "output_text": "Down",
    "prompt": "from sample",
    "response": {"choices": [{"message": {"content": None, "tool_calls": []}}], "usage": {"prompt_tokens": 12}},
}

PATHS = [
    "item.none", "item.yes", "item.no", "item.n", "item.negative", "item.text", "item.blank", "item.empty", "item.f",
    "item.small", "item.smaller", "item.tenth", "item.large", "item.larger", "item.nearly", "item.minus_zero", "item.big",
    "item.list", "item.numbers", "item.nested", "item.items_", "item.lines", "item.request", "item.request.messages",
    "item.request.messages[0]", "item.request.messages[1].content", "item.request.tools",
    "item.response.choices[0].message.tool_calls", "item.response.choices[-1]['message'].content",
    "item.response.choices[0].message.tool_calls[0].function.arguments", "sample.output_text", "output_text", "prompt",
    "sample.response", "sample.response.choices[0].message.tool_calls", "sample.response.choices[0].message.content", "n",
    "item.absent", "absent", "item.list[99]", "item.absent.deeper", "item.none.deeper", "item.list.absent", "sample.absent",
]

# Templates around a path. {} is the path.
SHAPES = [
    "{{{{ {} }}}}",
    "{{{{{}}}}}",
    "x {{{{ {} }}}} y",
    "{{{{ {} | tojson }}}}",
    "x {{{{ {} | tojson }}}}",
    "{{{{ {} | trim }}}}",
    "x{{{{ {} | trim }}}}",
    "{{{{ {} | string }}}}",
    "{{{{ '<' ~ {} ~ '>' }}}}",
    "{{{{ {} | default('d') }}}}",
    "x {{{{ {} | default([], true) }}}}",
    "{{{{ {} | upper }}}}",
]

OTHERS = [
    "", "plain", "  plain  ", "{{ item.n }}{{ item.n }}", " {{ item.n }}", "{{ item.n }}\n", "{{- item.yes -}}", "x {{- item.n -}} y",
    "{{ item.list | join('-') }}/{{ item.list | length }}", "{{ item.numbers | join(', ') }}", "{{ item.nested | join('|') }}",
    "{{ item.list | join }}", "{{ item.request.messages | join(',', attribute='role') }}",
    "{% for x in item.list %}{{ x }};{% endfor %}", "{% for x in item.nested %}{{ x }};{% endfor %}",
    "{% for k, v in item.items_.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in item.items_ %}{{ k }}{% endfor %}",
    "{% if item.yes %}a{% else %}b{% endif %}", "{% if item.request.tools %}tools{% endif %}", "{% if item.nested[0] %}a{% else %}b{% endif %}",
    "{% if item.absent is defined %}a{% else %}b{% endif %}", "{% if item.none is none %}a{% endif %}",
    "{% if item.absent %}a{% else %}b{% endif %}", "{# a comment #}x", "{% set y = item.n %}{{ y }}{{ y + 1 }}",
    "{{ item.text | upper }} {{ item.text | lower }} {{ item.text | replace('t', 'T') }} {{ item.text | capitalize }}",
    "x {{ item.n | replace('3', 'three') }}", "x {{ item.list | replace('x', 'w') }}", "x {{ item.none | lower }}",
    "{{ item.list[1:] }}", "x {{ item.list[1:3] }}", "x {{ item.list | first }} {{ item.list | last }}", "x {{ item.numbers | sort }}",
    "{{ item.numbers | sort }}", "x {{ item.numbers | sum }}", "x {{ item.list + item.numbers }}", "x {{ item.numbers | max }}",
    "x {{ [1, 'a', None, true, 1.0] }}", "x {{ {'a': 1, \"b'\": 'c'} }}", "x {{ (item.n, 'a') | list }}", "{{ [item.n, item.text] }}",
    "{{ item.n + 1 }}", "{{ item.n / 2 }}", "{{ 4 / 2 }}", "{{ 7 // 2 }}", "{{ -7 % 3 }}", "{{ 2 ** 10 }}", "{{ item.f + 1 }}", "x {{ item.n * 1.5 }}",
    "{{ item.n == 3 }}", "x {{ item.n == 3.0 }} {{ item.n > 2 and item.yes }}", "{{ not item.yes }}", "x {{ 'x' in item.list }}",
    "{{ 'a' if item.yes else 'b' }}", "{{ 'b' if item.no else 'a' }}", "{{ item['request']['z'] }}", "{{ item.request['messages'][0]['role'] }}",
    "x {{ item.text.upper() }} {{ item.blank.strip() }}| {{ item.text.startswith('te') }} {{ item.text.replace('t', 'd') }}",
    "x {{ item.items_.get('b') }} {{ item.items_.get('zz') }} {{ item.items_.get('zz', 'd') }}", "{{ item.items_.keys() | list }}",
    "x {{ item.lines.split('\\n') }}", "x {{ item.items_ | length }} {{ item.text | length }}", "x {{ item.items_ | items | list }}",
    "x {{ item.items_ | dictsort }}", "{{ item.request | tojson(indent=2) }}", "x {{ item.items_ | tojson(indent=2) }}", "x {{ item.nested | tojson(2) }}",
    "x {{ item.text | tojson }} {{ item.small | tojson }} {{ item.large | tojson }} {{ item.f | tojson }}",
    "[{{ item.n }}, {{ item.items_ | tojson }}]", "{\"a\": {{ item.request.messages | tojson }}}", "  {{ item.list|tojson }}\n",
    "{{ item.request.messages | tojson | length }}", "{{ (item.list | tojson) ~ '' }}", "{{ '{{' }}", "{{ item.text | e }}", "{{ '<b>' | escape }}",
    "{{ item.numbers | int }}", "{{ '12' | int }}", "{{ '1.50' | float }}", "{{ 2.345 | round(2) }}", "x {{ 3.7 | int }} {{ item.f | int }}",
    "{{ unclosed", "{{ item.n | no_such_filter }}", "{% if %}", "{{ item.text() }}", "{{ item.n + item.text }}", "{% for x in item.absent %}{{ x }}{% endfor %}",
    "{{ item.none | length }}", "{% raw %}{{ x }}{% endraw %}", "{{ item.text[0] }}{{ item.text[-1] }}", "{{ item.text * 2 }}", "x {{ item.list[0] ~ item.n ~ item.none }}",
    "<{{ item.request.messages[1].content }}>", "x {{ sample.response.choices[0].message.tool_calls | default([], true) }}",
    "CALLS\n{{ item.response.choices[0].message.tool_calls }}\n\nMADE\n{{ sample.response.choices[0].message.tool_calls }}",
]

ENVIRONMENT = jinja2.Environment(undefined=jinja2.StrictUndefined)


def rendered(template):
    context = {**ITEM, **SAMPLE, "item": ITEM, "sample": SAMPLE}
    lone = template.count("{{") == 1 == template.count("}}") and "{%" not in template and "{#" not in template
    if lone and template.startswith("{{") and template.endswith("}}"):
        expression = template[2:-2].removeprefix("-").removesuffix("-")
        value = ENVIRONMENT.compile_expression(expression, undefined_to_none=False)(**context)
        if isinstance(value, jinja2.Undefined):
            raise jinja2.UndefinedError("undefined")
    else:
        value = ENVIRONMENT.from_string(template).render(**context)
    if "tojson" in template and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return str(value)
    return str(value) if isinstance(value, str) else value


def main():
    cases = []
    for template in [shape.format(path) for path in PATHS for shape in SHAPES] + OTHERS:
        try:
            value = rendered(template)
            json.dumps(value)
            cases.append({"template": template, "value": value})
        except Exception as error:  # On any error the row has no score.
            cases.append({"template": template, "error": type(error).__name__})
    reference = {"made_by": f"jinja2 {jinja2.__version__}", "item": ITEM, "sample": SAMPLE, "cases": cases}
    path = pathlib.Path(__file__).with_name("template_reference.json")
    lines = ",\n".join("  " + json.dumps(case, ensure_ascii=True) for case in cases)
    head = json.dumps({key: reference[key] for key in ("made_by", "item", "sample")}, ensure_ascii=True)
    path.write_text(f'{head[:-1]},\n "cases": [\n{lines}\n]}}\n')
    print(f"{len(cases)} cases, {sum('error' in case for case in cases)} errors")


if __name__ == "__main__":
    main()
