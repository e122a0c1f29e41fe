"""Whatever Python a spec file raises ends in an error at its line, with its text and what to do."""

import pytest

from optgen.loader import load

HEAD = "from optgen import *\nfrom optgen.hypers import lr\n"
SAID = {
    "x = lrr*g": ("name 'lrr' is not defined", "did you mean lr?"),
    "speed = 1\nx = sped*g": ("name 'sped' is not defined", "did you mean speed"),
    "x = zzz*g": ("name 'zzz' is not defined", 'zzz = hyper("zzz", default, domain, meaning)'),
    "x = (": ("it is not Python", "mend the line"),
    "  x = 1": ("it is not Python: unexpected indent", "mend the line"),
    "x = g.nxt": ("has no attribute 'nxt'", "correct the name after the dot"),
    "exit()": ("SystemExit", "take out what ends the program"),
    "import nosuch": ("No module named 'nosuch'", "from .name import"),
    "def f(x): return f(x)\nf(1)": ("RecursionError", "name parts of the expression"),
    "x = 1/0": ("ZeroDivisionError", "mend what this line does"),
    "assert False": ("AssertionError", "mend what this line does"),
    "class Odd(Exception): pass\nraise Odd('this')": ("Odd: this", "mend what this line does"),
}


@pytest.mark.parametrize("text", SAID, ids=str)
def test_an_exception_becomes_an_error_at_its_line(tmp_path, text):
    path = tmp_path / "wrong.py"
    path.write_text(HEAD + text + "\n")
    (error,) = load([path]).errors
    what, fix = SAID[text]
    (problem,) = error.problems
    assert what in problem.what
    assert fix in problem.fix
    assert problem.equation
    assert problem.equation in text
    assert error.location.line >= 3
    assert "`python`" not in str(error)


@pytest.mark.parametrize("data", [b"x = '\xff'\n", b"x = 1\0\n", b"\xff\xfe", "é".encode("latin-1")])
def test_a_file_that_is_no_text_is_refused_in_words(tmp_path, data):
    path = tmp_path / "wrong.py"
    path.write_bytes(data)
    (error,) = load([path]).errors
    assert "it is not Python" in str(error)
