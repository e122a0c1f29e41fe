"""What a Python exception in a spec file means to who wrote the file, and what to write instead.

`ADVICE` is a table: a type of exception, and a function that looks at the exception and at the line of the file that
raised it. The first that knows what to say is believed; a new mistake is a new function here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable

from optgen.errors import Problem

Advise = Callable[[BaseException, str], "str | None"]
"""From an exception and the text of its line to what to write instead; None if it is not known."""


def problem(error: BaseException, line: str, known: Iterable[str] = ()) -> Problem:
    """What went wrong while a spec file ran.

    Parameters
    ----------
    error : BaseException
        What was raised.
    line : str
        The text of the line of the file that had to do with it; empty if there is none.
    known : iterable of str
        Names that the file could have meant: its own, and those of the language.
    """
    if isinstance(error, SyntaxError):
        return Problem(f"it is not Python: {error.msg}", _first(error, line) or "mend the line", line or None)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, NameError):
        near = difflib.get_close_matches(error.name or _quoted(error), list(known), n=2)
        if near:
            return Problem(what, f"did you mean {' or '.join(near)}?", line or None)
    return Problem(what, _first(error, line) or _OTHERWISE, line or None)


def _first(error: BaseException, line: str) -> str | None:
    said = (advise(error, line) for kind, advise in ADVICE if isinstance(error, kind))
    return next((fix for fix in said if fix is not None), None)


def _quoted(error: BaseException) -> str:
    """The name that Python's message has in quotes."""
    found = re.search(r"'(\w+)'", str(error))
    return found.group(1) if found else ""


def _undeclared(error: BaseException, _: str) -> str:
    name = _quoted(error)
    return (
        f'declare it, {name} = hyper("{name}", default, domain, meaning) or state("{name}") or local("{name}"),'
        " or import it from optgen, optgen.hypers or sympy"
    )


def _not_imported(_: BaseException, __: str) -> str:
    return "install what it imports, or correct the name; a sibling file is imported as `from .name import …`"


def _no_attribute(_: BaseException, __: str) -> str:
    return "correct the name after the dot; the value of a state after the step is `m.next`"


def _nested_too_deeply(_: BaseException, __: str) -> str:
    return "name parts of the expression: Let(part, …) with part = local('part')"


def _stops(_: BaseException, __: str) -> str:
    return "take out what ends the program: a spec file only declares"


ADVICE: tuple[tuple[type[BaseException], Advise], ...] = (
    (NameError, _undeclared),
    (ImportError, _not_imported),
    (AttributeError, _no_attribute),
    (RecursionError, _nested_too_deeply),
    (SystemExit, _stops),
)
"""From the particular to the general."""
_OTHERWISE = "mend what this line does; a spec file is plain Python, and its equations are SymPy expressions"
