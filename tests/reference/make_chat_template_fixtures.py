#!/usr/bin/env python3
"""Makes the reference data in tests/fixtures/chat_templates: what the templates there make of conversations
(cases.json in the folder of each), and what expressions and statements give (language.json).

The templates are our own, in the styles that models have. They are rendered by jinja2 in the environment that
transformers' apply_chat_template renders in (utils/chat_template_utils.py of 5.23), which is set up here again, so that
jinja2 is all that is needed:  pip install jinja2==3.1.6
"""

import copy
import datetime
import json
import pathlib
import re

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "chat_templates"
NOW = datetime.datetime(2024, 7, 9, 13, 5, 0)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


class Generation(jinja2.ext.Extension):
    """The blocks that transformers marks the model's own words with."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("call"), [], [], body).set_lineno(line)

    @jinja2.pass_eval_context
    def call(self, context, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


class Namespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        attributes = dict(*args[1:], **kwargs)
        Namespace.check(*attributes)
        jinja2.utils.Namespace.__init__(args[0], attributes)

    def __setitem__(self, name, value):
        Namespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(*names):
        if any(name.startswith("_") for name in names):
            raise jinja2.exceptions.SecurityError("an underscore")


class Dict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)


ENVIRONMENT = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
)
ENVIRONMENT.filters["tojson"] = tojson
ENVIRONMENT.globals.update(
    raise_exception=raise_exception,
    strftime_now=NOW.strftime,
    dict=Dict(),
    namespace=Namespace,
)


def render(template, variables):
    """The text, or None where the template fails."""
    try:
        # Some filters of jinja2 change lists that they are given.
        return ENVIRONMENT.from_string(template).render(**copy.deepcopy(variables))
    except Exception:
        return None


def apply(template, messages, options):
    chat = []
    for message in messages:
        message = {key: value for key, value in message.items() if value is not None}
        names = ("reasoning_content", "thinking", "reasoning")
        reasoning = next((message[name] for name in names if message.get(name) is not None), None)
        if reasoning is not None:
            message = {"thinking": reasoning, **message, "reasoning_content": reasoning}
        chat.append(message)
    variables = {**TOKENS, **options.get("variables", {})}
    variables |= {
        "messages": chat,
        "tools": options.get("tools"),
        "documents": options.get("documents"),
        "add_generation_prompt": options.get("add_generation_prompt", False),
    }
    return render(template, variables)


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, arguments, id="abcdef123"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(text, id="abcdef123"):
    return {"role": "tool", "content": text, "tool_call_id": id}


SYSTEM = {"role": "system", "content": "Be brief.  \n"}
CONVERSATIONS = [
    [user("Hi there")],
    [user("  Grüße 你好 😀\u00a0é \n\n")],
    [user("<|im_end|> </s> {{ x }} 'single' \"double\" \\n")],
    [SYSTEM, user("Hi")],
    [SYSTEM, user("Hi"), assistant(" Hello!\n"), user("How are you?"), assistant("Fine."), user("Good")],
    [user("a"), user("b")],
    [user([{"type": "text", "text": "Look at"}, {"type": "image"}, {"type": "text", "text": " this"}])],
    [user("1+1?"), assistant("<think>\nwe add\n</think>\n\n2"), user("2+2?")],
    [user("1+1?"), assistant("2", reasoning_content="we add\n"), user("2+2?"), assistant("4", thinking="again")],
    [SYSTEM, user("Weather?"), assistant(None, tool_calls=[call("get_weather", {"city": "Paris", "days": 2})])],
    [
        user("Weather?"),
        assistant("Let me see", tool_calls=[call("get_weather", {"city": "Größe\n", "f": 1.5, "n": None, "l": [1, "b"], "d": {}})]),
        result('{"temp": 21}'),
        assistant("It is 21."),
        user("thanks"),
    ],
    [
        user("Both?"),
        assistant("", tool_calls=[call("get_weather", {"city": "Rome"}, "aaaaaaaa1"), call("now", {}, "aaaaaaaa2")]),
        result("21", "aaaaaaaa1"),
        result({"hour": 12}, "aaaaaaaa2"),
    ],
    [user("x"), assistant("", tool_calls=[call("now", {}, "short")])],
    [user("first"), {"role": "stop", "content": ""}, user("never")],
    [{"role": "critic", "content": "Hm"}],
    [{"role": "user"}],
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tells the \"weather\"\nin a city: <b>&</b> Größe",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "The city"},
                    "units": {"type": "string", "enum": ["C", "F"], "default": "C"},
                    "days": {"type": ["integer", "null"]},
                    "Deep": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
                    "more": {"type": "object"},
                },
                "required": ["city"],
            },
            "return": {"type": "string"},
        },
    },
    {"type": "function", "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}},
]
DOCUMENTS = [{"title": "b", "text": "second\ntext, which is longer than that"}, {"title": "A", "text": "first"}]
OPTIONS = [
    {},
    {"add_generation_prompt": True},
    {"add_generation_prompt": True, "tools": TOOLS},
    {"tools": [], "documents": DOCUMENTS, "variables": {"enable_thinking": True, "date_string": "1 Jan 2000"}},
    {"add_generation_prompt": True, "variables": {"enable_thinking": False, "thinking": False, "eos_token": "<end>"}},
]

VARIABLES = {
    "i": 7, "n": -3, "f": 2.5, "big": 123456789012, "s": "Hello World", "e": "", "t": "  a,b,,c \n x ", "u": "Grüße 你好 😀é",
    "b": True, "none_": None, "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "mix": [1, "a", None, 2.5, True, [1, 2], {"k": "v"}],
    "d": {"b": 1, "a": "x", "C": [1, 2], "items": 5}, "q": "it's \"q\" \\ \n\t<&>", "num": " 42 ", "fl": "3.75",
    "us": [{"n": "bob", "age": 5, "r": "user"}, {"n": "Al", "age": 3, "r": "system"}, {"n": "cy", "r": "user", "age": 9}],
}
FILTERS = """trim length join join(',') join('-',attribute='n') list first last upper lower title capitalize string int int(9)
float abs round round(1) round(1,'floor') round(0,'ceil') sort|list sort(reverse=true) sort(attribute='age') dictsort
dictsort(by='value') dictsort(reverse=true) unique|list reverse|list tojson tojson(indent=2) tojson(sort_keys=true)
tojson(ensure_ascii=true) tojson(separators=(',',':')) items|list indent indent(2,true) safe escape batch(2,'x')|list
slice(2)|list groupby('r')|list sum sum(attribute='age') min max max(attribute='n') map(attribute='n')|list
map('upper')|list map(attribute='zz',default='q')|list select('string')|list reject('none')|list
selectattr('r','equalto','user')|list rejectattr('age','gt',4)|list default('D') default('D',true) replace('l','L')
wordcount truncate(7) truncate(5,true) urlencode center(15) nothing_such""".split()
METHODS = """strip() lstrip() rstrip() strip('Hd ') split() split(',') split(None,1) rsplit(None,1) splitlines()
startswith('H') endswith(('a','d')) replace('l','L',1) replace('','-') upper() title() capitalize() swapcase() find('o')
rfind('o') count('l') isdigit() isalpha() isupper() join(ls) zfill(15) partition('l') removeprefix('He') items() keys()
values() get('a') get('zz',3) index(1) count(1) append(1) pop() update({}) setdefault __class__ __class__.mro""".split()
TESTS = """defined undefined none string number integer float boolean true mapping sequence iterable callable odd
divisibleby(2) eq(7) gt(5) in(ls) sameas(none) lower upper nothing_such""".split()
OPERATIONS = "+ - * / // % ** ~ == != < >= in and or".split()
SLICES = "[0] [-1] [9] [1:] [:-1] [::-1] [1:9:2] [-2:] ['a'] ['items'] [none]".split()
STATEMENTS = [
    "{% set x = 1 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{% set x, y = l[:2] %}{{ y }}{{ x }}",
    "{% set x, y = l %}",
    "{% set x %}a {{ i }}{% endset %}[{{ x }}]",
    "{% set x | upper | replace('A', '-') %}aba{% endset %}{{ x }}",
    "{% if e %}1{% elif n < 0 %}2{% else %}3{% endif %}",
    "{% for k, v in d.items() %}{{ loop.index }}{{ k }}={{ v }}{{ ', ' if not loop.last }}{% endfor %}",
    "{% for x in [] %}a{% else %}b{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}",
    "{% for x in range(9) %}{% if x is odd %}{% continue %}{% endif %}{% if x > 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% continue %}{% else %}else{% endfor %}",
    "{% for x in ls %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{{ loop.cycle(1, 2) }}{{ loop.changed(x) }}{{ loop.revindex }} {% endfor %}",
    "{% for x in [1, [2, [3]]] recursive %}{{ loop(x) if x is iterable else x }}{{ loop.depth }}{% endfor %}",
    "{% macro m(a, b=a, *c) %}{% endmacro %}",
    "{% macro m(a, b='d') %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1) }}{{ m(1, 2, 3) }}{{ m(b=1, c=2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}|{{ m(1) }}{{ m(1, 2) }}",
    "{% macro m(x) %}[{{ caller(x) }}]{% endmacro %}{% call(y) m(i) %}{{ y }}{{ s }}{% endcall %}",
    "{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% set x = 1 %}{{ m() }}{% for x in l %}{{ m() }}{% endfor %}",
    "{% macro m(n) %}{{ n }}{{ m(n - 1) if n > 0 }}{% endmacro %}{{ m(5) }}",
    "{% filter upper %}a{{ s }}{% endfilter %}",
    "{% with a = 1, b = i %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% raw %}{{ x }}{% endraw %} {% raw -%}  a {%- endraw %} b",
    "  {%- if true %} a {% endif +%}\n  b\n  {% if true %}\n  c\n  {% endif %}\nd\n",
    "a\n  {# comment #}\nb {#- x -#} c\n  {{ 1 }}\n\n",
    "{% generation %}{% set x = 1 %}{{ x }}{% endgeneration %}{{ x }}",
    "{{ undefined_thing }}|{{ undefined_thing is defined }}|{{ d.zz }}|{{ undefined_thing | length }}",
    "{{ undefined_thing.x }}",
    "{{ raise_exception('no ' ~ i) }}",
    "{{ strftime_now('%Y-%m-%d %H:%M:%S %A %B %a %b %d %j %p %I %y %%') }}",
    "{{ strftime_now('%-d %e %-m') }}",
    "{{ 'a' 'b' \"c\\n\\x41\\u00e9\\'\" }}",
    "{{ -1|abs }} {{ 2**3**2 }} {{ -2**2 }} {{ 7 // -2 }} {{ 7 % -3 }} {{ 1 < 2 < 3 }} {{ not 1 in l }} {{ 1 if 0 }}",
    "{{ 1_000 + 0x1F + 0b11 + 1.5e3 }}",
    "{{ 1e16 }} {{ 1e15 }} {{ 0.1 + 0.2 }} {{ 1e-5 }} {{ 1/3 }} {{ 100.0 }} {{ 2.0 ** 70 }}",
    "{{ 5 | string ~ [1.0, 'a\"', \"it's\", none, true, (1,), {'k': 'v'}] }}",
    "{{ '%5.1f|%-5d|%05d|%s|%r|%x|%%' % (f, i, i, s, s, 255) }}",
    "{{ '{} {:>5} {:<4}| {:,} {:.2f} {!r} {a[b]} {{}}'.format(1, 'x', 2, 1234567, f, 'y', a=d) }}",
    "{{ dict(a=1, **d) }}{{ dict([('x', 1)]) }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{% set j = joiner('|') %}{{ j() }}x{{ j() }}",
    "{% for g in us | groupby('r') %}{{ g.grouper }}:{{ g.list | map(attribute='n') | join(',') }};{% endfor %}",
    "{{ ('<' | safe) + '<' }}{{ ('a' | safe) ~ '<' }}{{ '<' | e }}",
    "{% include 'x' %}", "{% nothing_such %}", "{{ 1 +", "{% if 1 %}", "{{ (1 }}", "{{ 'a }}", "{# a", "{% for x in %}", "{% break %}",
    "{{ 1 | }}", "{{ [1, 2 }}", "{% set 1 = 2 %}", "{% endfor %}", "{{ a b }}", "{{ f(a=1, 2) }}", "{% macro m(a=1, b) %}{% endmacro %}",
]


def language():
    cases = list(STATEMENTS)
    for name in [*VARIABLES, "undefined_thing"]:
        cases += [f"{{{{ {name} | {one} }}}}" for one in FILTERS]
        cases += [f"{{{{ {name}.{one} }}}}" for one in METHODS]
        cases += [f"{{{{ {name} is {one} }}}}" for one in TESTS]
        cases += [f"{{{{ {name}{one} }}}}" for one in SLICES]
        for other in ("i", "f", "s", "ls", "none_"):
            cases += [f"{{{{ {name} {one} {other} }}}}" for one in OPERATIONS]
    results = []
    for case in cases:
        text = render(case, VARIABLES)
        # Objects show addresses there, integers are larger than 64 bits, or numbers are complex.
        if text is not None and re.search(r" at 0x|<bound method|\d{20}|\dj\)", text):
            continue
        results.append([case, text])
    return {"variables": VARIABLES, "cases": results}


def main():
    for folder in sorted(FIXTURES.iterdir()):
        if not folder.is_dir():
            continue
        template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
        cases = [
            {"messages": messages, "options": options, "text": apply(template, messages, options)}
            for messages in CONVERSATIONS
            for options in OPTIONS
        ]
        text = json.dumps({"tokens": TOKENS, "cases": cases}, ensure_ascii=False, separators=(",", ":"))
        (folder / "cases.json").write_text(text.replace('{"messages"', '\n{"messages"') + "\n", encoding="utf-8")
        print(folder.name, len(cases), sum(case["text"] is not None for case in cases))
    data = language()
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace('],["', '],\n["')
    (FIXTURES / "language.json").write_text(text + "\n", encoding="utf-8")
    print("language", len(data["cases"]), sum(case[1] is not None for case in data["cases"]))


if __name__ == "__main__":
    main()
