"""What a spec says in words, and what its file is called, is never code in a module that is made of it."""

import ast

import pytest

from optgen import Let, Optimizer, Schedule, g, hyper, pipeline, t, theta
from optgen.targets import TARGETS, schedules
from optgen.targets.base import Origin

NASTY = {
    "quotes": '"""\nimport os\n"""',
    "four quotes": '""""',
    "an odd quote at the end": 'ends in "',
    "two quotes at the end": 'ends in ""',
    "single quotes": "'''\nimport os\n'''",
    "a backslash at the end": "ends in \\",
    "a backslash before quotes": '\\"""\nimport os\n\\"""',
    "escapes": "\\N{BULLET} \\x41 \\u0041 \\777 \\q",
    "newlines": "one\nimport os\r\nimport os\rimport os",
    "line ends of Unicode": "one\u2028import os\u2029import os\x85import os\x0bimport os\x0cimport os",
    "a null": "one\0import os",
    "control characters": "".join(map(chr, range(32))),
    "text from right to left": "\u202eimport os\u202c \u2066import os\u2069",
    "a surrogate": "\ud800",
    "other alphabets": "Адам, 亚当, آدم, é, 🙂, no\u00a0break",
    "braces": "{theta} {0} {{}} %s %(x)s $x",
    "a comment": "# type: ignore  # noqa",
    "indented": "    import os",
    "a very long word": "a" * 5000,
    "a very long text": "ab " * 5000,
    "spaces": " \n\t ",
}
PLAIN = "plain"


def modules(prose, file):
    """The texts that are made of a rule and of a schedule, with prose wherever there is some."""
    rate = hyper("rate", 0.1, meaning=prose)
    about = {"reference": prose, "description": prose}
    rule = Optimizer("rule", title="Rule", step=(Let(theta.next, theta - rate * g),), **about)
    schedule = Schedule("fall", rate / t, **about)
    origin = Origin("0", file, "0")
    return [*(pipeline.source(rule, target, origin) for target in TARGETS.values()), schedules.source(schedule, origin)]


def code(text):
    """What a module does: its syntax without docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


@pytest.mark.parametrize("what", NASTY)
def test_prose_stays_prose(what):
    texts = modules(NASTY[what], f"specs/{NASTY[what]}.py")
    for text, plain in zip(texts, modules(PLAIN, PLAIN), strict=True):
        assert code(text) == code(plain)
        assert text.encode("utf-8")
        assert all(char.isprintable() or char == "\n" for char in text)
        assert text.splitlines()[1] == plain.splitlines()[1]


def test_prose_can_be_read_in_the_docstrings():
    for text in modules('of "Adam" \\ in C:\\new, \u00e9', "rule.py"):
        assert 'of "Adam" \\ in C:\\new, \u00e9' in ast.get_docstring(ast.parse(text))
