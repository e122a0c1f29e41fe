"""What stands beside equations: defaults that follow from other hyperparameters, and what is to be evaluated.

Both are expressions of the language, so what an equation must not have they must not have either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sympy import Piecewise, S

from optgen.errors import Problem
from optgen.language.constants import wrong_numbers
from optgen.language.grammar import misformed


def wrong_beside(what: str, value: Any) -> Iterator[Problem]:
    """What is wrong with an expression, which is called something, as an expression; the first kind of it."""
    found = [(problem.what, problem.fix) for problem in misformed("", value)]
    if not found and any(choice.args[-1].args[1] is not S.true for choice in value.atoms(Piecewise)):
        found = [("a Piecewise does not end in True", "end it with (value, True), so that it has a value always")]
    for said, fix in found or wrong_numbers(value):
        yield Problem(f"{what}: {said}", fix)
