"""Random conversations and random small templates, from a seed."""
import json

TEXTS = ["Hi", "", "  padded \n", "Zürich 你好 🙂\u3000", "a\nb\n\n c", "<think>\nhm\n</think>\n\nanswer", '"quoted" \\ back', "x</think>y",
         "{{ no }} {% tag %}", "<script>&amp;'", "Straße ÉCOLE", "<tool_response>1</tool_response>"]
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": 'Name of the "city"'}, "unit": {"type": "string", "enum": ["c", "f"]}, "days": {"type": "integer", "default": 3}},
        "required": ["city"]}}},
    {"type": "function", "function": {"name": "search", "description": "Überall suchen\nzwei Zeilen", "parameters": {"type": "object", "properties": {
        "q": {"type": ["string", "null"]}, "tags": {"type": "array", "items": {"type": "string"}}, "any": {"type": "array"},
        "deep": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}}}, "return": {"type": "string"}}},
    {"type": "function", "function": {"name": "nothing", "description": "", "parameters": {"type": "object", "properties": {}}}}]
ARGUMENTS = [{"city": "Zürich", "unit": "c"}, {}, {"q": 'a "b"', "tags": ["x", "y"], "deep": {"x": 1.5}}, {"n": 3, "f": 1e-7, "t": True, "z": None}]


def content(random):
    text = lambda: random.choice(TEXTS)
    kind = random.random()
    if kind < 0.8:
        return text()
    if kind < 0.9:
        return [{"type": "text", "text": text()} for _ in range(random.randint(1, 3))] + [{"type": "image"}] * random.randint(0, 1)
    return None


def tool_calls(random):
    calls = []
    for i in range(random.choice([1, 1, 2])):
        arguments = random.choice(ARGUMENTS)
        function = {"name": random.choice(["weather", "search"]), "arguments": arguments if random.random() < 0.8 else json.dumps(arguments)}
        calls.append({"id": f"call{i:05}", "type": "function", "function": function} if random.random() < 0.9 else function)
    return calls


def conversation(random):
    """The variables of one rendering: messages as the OpenAI interface has them, tools, documents and switches."""
    messages = []
    if random.random() < 0.5:
        messages.append({"role": random.choice(["system"] * 5 + ["developer"]), "content": content(random)})
    turns = random.randint(1, 4)
    for turn in range(turns):
        messages.append({"role": "user", "content": content(random)})
        if turn == turns - 1 and random.random() < 0.6:
            break
        answer = {"role": "assistant", "content": content(random)}
        if random.random() < 0.3:
            answer[random.choice(["reasoning_content", "thinking"])] = random.choice(TEXTS)
        messages.append(answer)
        if random.random() < 0.35:
            answer["tool_calls"] = tool_calls(random)
            for call in answer["tool_calls"]:
                messages.append({"role": "tool", "content": random.choice([content(random), {"result": 3, "ok": True}]), "tool_call_id": call.get("id")})
            if random.random() < 0.7:
                messages.append({"role": "assistant", "content": random.choice(TEXTS)})
    out = {"messages": messages, "add_generation_prompt": random.random() < 0.6, "bos_token": random.choice(["<s>", ""]), "eos_token": "</s>",
           "tools": random.choice([None, None, TOOLS[:1], TOOLS, [TOOLS[1]["function"]], []])}
    if random.random() < 0.3:
        out["documents"] = [{"title": "T", "text": "body"}, {"doc_id": 7, "title": "Ü"}]
    for switch in ("enable_thinking", "controls"):
        if random.random() < 0.3:
            out[switch] = random.random() < 0.5
    return out


class RandomTemplate:
    """Expressions, statements and white space that mean something together, more often than not."""
    VARIABLES = {"a": 3, "b": -2, "f": 2.5, "s": "Hello wörld", "t": "", "n": None, "yes": True, "xs": [3, 1, 2], "words": ["b", "A", "c", "a"],
                 "d": {"k": 1, "items": [1, 2], "nest": {"x": "y"}}, "ms": [{"role": "user", "content": " hi "}, {"role": "tool", "content": None}]}

    def __init__(self, random):
        self.random = random
        self.loops = 0

    def one(self, *options):
        return self.random.choice(options)

    def expression(self, depth=0):
        e = lambda: self.expression(depth + 1)
        if depth > 3 or self.random.random() < 0.3:
            return self.one("a", "b", "f", "s", "t", "n", "yes", "xs", "words", "d", "ms", "missing", "1", "0", "7", "2.5", "true", "none", "''", "'x y'", '"q\\n\'"',
                            "[1, 'a']", "(1, 2)", "{'k': 2, 'z': [1]}", "d.k", "d['nest'].x", "d.items", "ms[0].role", "ms[-1]['content']", "xs[1]", "s[2]", "xs[9]", "x")
        return self.one(
            lambda: f"{e()} {self.one('+', '-', '*', '/', '//', '%', '~', '~', '==', '!=', '<', '>=', 'and', 'or', 'in', 'not in')} {e()}",
            lambda: f"({e()})", lambda: f"not {e()}", lambda: f"-{e()}", lambda: f"{e()} ** 2",
            lambda: f"{e()} if {e()} else {e()}", lambda: f"({e()} if {e()})",
            lambda: f"{e()} is {self.one('', 'not ')}{self.one('defined', 'none', 'string', 'mapping', 'iterable', 'number', 'integer', 'odd', 'sequence', 'boolean', 'true', 'upper', 'undefined', 'in xs', 'divisibleby(2)', 'eq 3')}",
            lambda: f"({e()}) | {self.filter()}", lambda: f"({e()}) | {self.filter()}", lambda: f"({e()}).{self.method()}",
            lambda: f"{self.one('s', 't', 'xs', 'words', 'ms', '(1, 2)', 'missing', 'a')}[{self.one('0', '-1', '1:', ':2', '::-1', '1:-1', '-2:', ':', '0:9:2')}]",
            lambda: f"[{e()}, {e()}]", lambda: f"range({self.one('a', '3', '1, 4', '5, 0, -2')}) | list")()

    def filter(self):
        return self.one("trim", "upper", "lower", "title", "capitalize", "length", "first", "last", "list", "join", "join(', ')", "sort", "sort(reverse=true)", "unique | list",
                        "reverse | list", "string", "int", "float", "abs", "round", "round(1)", "tojson", "tojson(indent=2)", "default('d')", "d('d', true)", "replace('l', 'L')",
                        "map('upper') | list", "map(attribute='role') | list", "selectattr('role', 'equalto', 'user') | list", "select('string') | list", "reject('none') | list",
                        "rejectattr('content') | list", "sum", "min", "max", "dictsort", "items | list", "indent(2)", "indent(2, true)", "wordcount", "batch(2) | list", "escape", "safe",
                        "round(0, 'floor')", "select | list", "map('default', 0) | list")

    def method(self):
        return self.one("strip()", "upper()", "split()", "split('l')", "split(' ', 1)", "startswith('H')", "endswith(('x', 'd'))", "replace('o', '0')", "lstrip('H')", "rstrip('d ')",
                        "title()", "find('l')", "get('k')", "get('zz', 5)", "keys() | list", "items() | list", "values() | list", "splitlines()", "join(words)", "rsplit('l', 1)",
                        "count('l')", "isdigit()", "capitalize()", "k", "role", "items", "0")

    def tag(self, text):
        return "{%" + self.one("", "", "-", "+") + f" {text} " + self.one("", "", "-", "+") + "%}"

    def text(self):
        return self.one("", " ", "\n", "  \n  ", "x", "\n\n", " y ", "é\n", "{", "%}", "\t", "{# c #}", "{#- c -#}\n", "\n  {# c #}\n", "{% raw %} {{ r }} {% endraw %}\n")

    def body(self, depth):
        return "".join(self.text() + self.statement(depth + 1) + self.text() for _ in range(self.random.randint(1, 3)))

    def statement(self, depth):
        if depth > 3 or self.random.random() < 0.45:
            return "{{" + self.one("", "-", " ") + " " + self.expression() + " " + self.one("", "-", " ") + "}}"
        kind = self.random.randrange(9)
        if kind < 2:
            middle = self.tag("elif " + self.expression()) + self.body(depth) if self.random.random() < 0.3 else ""
            other = self.tag("else") + self.body(depth) if self.random.random() < 0.5 else ""
            return self.tag("if " + self.expression()) + self.body(depth) + middle + other + self.tag("endif")
        if kind < 4:
            head = self.one("x in xs", "x in words", "x in s", "x, y in d.items()", "x in range(4)", "x in missing", "x in [1, none, 'q'] if x", "x in d", "x in ms", "(x, y) in [(1, 2), (3, 4)]")
            self.loops += 1
            inside = self.body(depth) + self.one("", "", "{{ loop.index }}", "{{ loop.first }}{{ loop.last }}{{ loop.revindex0 }}", "{{ loop.cycle('u', 'v') }}", "{{ loop.previtem }}",
                                                 "{{ loop.changed(x) }}", self.tag("break"), self.tag("if loop.index == 2") + self.tag("continue") + self.tag("endif") + "z")
            self.loops -= 1
            other = self.tag("else") + self.body(depth) if self.random.random() < 0.3 else ""
            return self.tag("for " + head) + inside + other + self.tag("endfor")
        if kind == 4:
            # Not names that are read elsewhere: jinja2 takes a name that is set later for undefined before, but only within loops.
            return self.tag(f"set {self.one('x', 'u')} = {self.expression()}") + "{{ u }}"
        if kind == 5:
            return self.tag("set u" + self.one("", " | upper", " | trim")) + self.body(depth) + self.tag("endset") + "[{{ u }}]"
        if kind == 6:
            return self.tag("set ns = namespace(v=0)") + self.tag("for i in xs") + self.tag("set ns.v = ns.v + i") + self.tag("endfor") + "{{ ns.v }}"
        if kind == 7:
            return self.tag("macro m(p, q=2)") + "{{ p }}/{{ q }}" + self.body(depth) + self.tag("endmacro") + "{{ m(" + self.one("1", "1, 3", "q=5, p=s", "", "xs[0], q=a") + ") }}"
        return self.tag("filter " + self.one("upper", "trim", "replace(' ', '_')")) + self.body(depth) + self.tag("endfilter")
