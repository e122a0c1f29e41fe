"""What a Python exception in a spec file means to who wrote the file, and what to write instead.

`ADVICE` is a table of mistakes: the type of the exception, what its message and the line of the file match, and what to
write. The first row that matches is believed; a new mistake is a new row. Names are looked up, not listed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from optgen.errors import Problem

_CHOICE = "write Piecewise((value, condition), (other, True)), from sympy"
_NAMED = "name parts of the expression: Let(part, …) with part = local('part')"
_CALLS = {
    "Let": "write Let(target, value)",
    "Optimizer": 'write Optimizer("my_rule", title="MyRule", step=(Let(theta.next, …), …), reference="…")',
    "Schedule": 'write Schedule("my_schedule", value in t and lr, title="MySchedule")',
    "hyper": 'write hyper("kappa", 0.1, Interval(0, 1), "what it does")',
    "state": 'write state("m"), or state("m v") for two; space=ROW and init=1 may follow',
    "local": 'write local("m_hat"), or local("m_hat v_hat") for two',
}
_ATTRIBUTES = {
    "grad": "write g: the gradient has a name of its own",
    "next_": "write m.next",
    "prev": "leave it out: m itself is the old value, m.next the new one",
    "old": "leave it out: m itself is the old value, m.next the new one",
    "mean": "write TensorMean(…), RowMean(…), ColMean(…) or ModelMean(…), from optgen",
    "sum": "write TensorSum(…), RowSum(…), ColSum(…) or ModelSum(…), from optgen",
    "max": "write TensorMax(…), RowMax(…), ColMax(…) or ModelMax(…), from optgen",
    "min": "write -TensorMax(-x), or with another of RowMax, ColMax and ModelMax, from optgen",
    "dot": "write TensorSum(a*b), from optgen",
    "norm": "write Norm(…), RowNorm(…), ColNorm(…) or ModelNorm(…), from optgen",
    "shape": "write n_rows, n_cols or numel, from optgen",
    "size": "write numel, from optgen: how many elements a tensor has",
    "numel": "write numel, from optgen: how many elements a tensor has",
    "T": "leave it out: an equation is that of one element",
    "data": "leave it out: a symbol stands for the value",
    "item": "leave it out: a symbol stands for the value",
    "real": "leave it out: all values are real",
}
_NEXT = {
    "Local": "leave it out: a local has the value of this step alone; what is kept from step to step is a state",
    "Next": "leave it out: it is the new value already",
    **dict.fromkeys(
        ("Grad", "StepCount", "Hyper"), "leave it out: it is handed to the step, which gives it no new value"
    ),
}
"""What to write for ``.next`` of what has none, by its type."""
_SYMBOLS = "Theta|State|Grad|StepCount|Local|Hyper|Next|Extent|Result"


@dataclass(frozen=True)
class Row:
    """A mistake."""

    kind: type[BaseException]  # what is raised
    says: str  # a pattern in its message
    # What to write; ``{0}`` is the group of the patterns, ``{sympy}`` what SymPy has for a function of that name
    fix: str
    line: str = ""  # a pattern in the line of the file

    def advise(self, error: BaseException, line: str) -> str | None:
        """What to write; None if it was another mistake."""
        said, written = re.search(self.says, str(error)), re.search(self.line, line)
        if not isinstance(error, self.kind) or said is None or written is None:
            return None
        if "{" not in self.fix:
            return self.fix
        (name,) = (*said.groups(), *written.groups())
        return self.fix.format(name, sympy=_in_sympy(name))


_UNDECIDED = "cannot determine truth value"
_NO_NUMBER = "Cannot convert|Cannot round|cannot be interpreted as an integer|expected a sequence of integers"
_CONDITION = (
    r"'(?:Strict\w+Than|GreaterThan|LessThan|Equality|Unequality|And|Or|Not)'|^Relational cannot"
    r"|argument '[^']*[<>=][^']*' is not comparable"
)
_LIBRARY = r"\b(?:np|numpy|math|torch|jnp|tf)\.(\w+)\("
_BLOCK = r"(?:if|elif|else|while|for|with|def|class)\b"

ADVICE: tuple[Row, ...] = (
    # A choice that Python was to make.
    Row(TypeError, _UNDECIDED, "write {sympy}", _LIBRARY),
    Row(TypeError, _UNDECIDED, "write Max(…) or Min(…), from sympy", r"\b(?:max|min)\("),
    Row(TypeError, _UNDECIDED, "write Or(*(…)) or And(*(…)), from sympy", r"\b(?:any|all)\("),
    Row(TypeError, _UNDECIDED, _CHOICE, r"\bif\b.*\belse\b"),
    Row(
        TypeError,
        _UNDECIDED,
        f"{_CHOICE}: what t or an element decides is decided at every step",
        r"^(?:el)?if\b|^while\b",
    ),
    Row(TypeError, _UNDECIDED, "write And(a, b), Or(a, b) or Not(a), from sympy", r"\b(?:and|or|not)\b"),
    Row(TypeError, _UNDECIDED, "put each comparison in parentheses, (a > 0) & (b < 1), or write And, Or, Not", "[&|~]"),
    Row(TypeError, _UNDECIDED, "write And(low < x, x < high), from sympy", "[<>]=?[^<>=]+[<>]=?"),
    Row(TypeError, _UNDECIDED, f"{_CHOICE}; for the larger of two, Max"),
    Row(SyntaxError, "expected 'else'", _CHOICE),
    # Functions of other libraries.
    Row(TypeError, "", "write Norm(g), from optgen", r"linalg\.norm\("),
    Row(TypeError, r"^loop of ufunc .* no callable (\w+) method", "write {sympy}"),
    Row(TypeError, _NO_NUMBER, "write {sympy}", _LIBRARY),
    *(
        Row(TypeError, _NO_NUMBER, "leave out {0}(): what a symbol stands for is known at the step; floor rounds", line)
        for line in (r"\b(int|float|complex|round|range|bool)\(", r"\b(\w+)\(")
    ),
    # Symbols that were taken for arrays, functions or text.
    Row(TypeError, "'Let' object is not callable", "write a comma between the two: step=(Let(…), Let(…))"),
    Row(TypeError, "'Next' object is not callable", "write m.next, without parentheses"),
    Row(TypeError, rf"'(?:{_SYMBOLS}|Add|Mul|Pow)' object is not callable", "write a product with *: lr*(m + g)"),
    Row(
        TypeError,
        "indices must be integers or slices, not",
        f"{_CHOICE}, with Eq(t, 1) say for a condition: Python takes one of a list at once",
    ),
    Row(
        KeyError,
        "",
        f"{_CHOICE}, with Eq(t, 1) say for a condition: Python looks into a dict at once",
        r"\[.*\]",
    ),
    Row(
        TypeError,
        "is not subscriptable|object does not support item",
        "leave out the index: an equation is that of one element, and RowSum(g), TensorMax(g), … are over many",
    ),
    Row(TypeError, r"has no len\(\)", "write numel, n_rows or n_cols, from optgen"),
    Row(
        TypeError,
        "non-iterable (?:State|Local)",
        'one name makes one symbol: m = state("m"), and m, v = state("m v") two',
    ),
    Row(TypeError, "non-iterable Hyper", "declare one at a time, each with its default: a = hyper(…); b = hyper(…)"),
    Row(ValueError, "values to unpack", 'name as many as there are: m, v = state("m v")', r"\b(?:state|local)\("),
    Row(
        TypeError,
        r"'\w*Mat\w+'",
        "leave out the matrix: an equation is that of one element, and RowSum, ColSum go over many",
    ),
    Row(TypeError, r" for @", "write TensorSum(a*b) for the product of two as vectors; there is none of matrices"),
    Row(TypeError, "", "write ** for a power: g**2", r"\^"),
    Row(TypeError, r"for (?:<<|>>|divmod|//)", "write floor(a/b), from sympy"),
    Row(TypeError, "format string", "leave the text out: equations hold symbols and numbers", ""),
    # Conditions for numbers, and numbers for conditions.
    Row(TypeError, "ExprCondPair|Second argument must be a Boolean|At least one .* pair", _CHOICE),
    Row(TypeError, "bool or Boolean", _CHOICE, r"\bITE\("),
    Row(TypeError, "iterable", "write TensorSum(g), RowSum(g), … for what goes over many elements"),
    Row(TypeError, r"(?:Equality|Unequality|Than)\.__new__", "write both sides: Eq(a, b)"),
    Row(
        Exception,
        _CONDITION,
        "write Piecewise((1, condition), (0, True)), from sympy, for 1 where it holds and 0 elsewhere",
    ),
    Row(
        TypeError,
        r"[Bb]oolean|for [&|]",
        "put each comparison in parentheses, (a > 0) & (b < 1), or write And, Or, Not",
    ),
    Row(Exception, "non-real|is not comparable", "leave out I: all values are real"),
    Row(TypeError, r"'bool'", "write 1 for True and 0 for False"),
    Row(
        TypeError,
        r"unsupported operand|can't multiply sequence|can only concatenate|bad operand",
        "build equations of symbols and numbers: what is None, text, a list or an object is neither",
    ),
    Row(ZeroDivisionError, "", "divide by something that is not 0"),
    # Arguments.
    *(Row(TypeError, rf"^{name}(?:\.__init__)?\(\)", fix) for name, fix in _CALLS.items()),
    Row(TypeError, "expected space to be one of", "import it from optgen, without quotes: space=ROW"),
    Row(TypeError, "^normal takes", "give it a seed: normal(seed), with from optgen.hypers import seed"),
    Row(TypeError, r"^(\w+) takes (?:exactly|at least)", "give it one expression: {0}(g**2)"),
    Row(ValueError, "^Unknown options", "give it one expression; RowSum(g), ColSum(g), TensorSum(g) say over what"),
    Row(ValueError, "^SympifyError: ['\"]", "leave out the quotes: text is no expression"),
    Row(
        ValueError,
        "^SympifyError",
        "build equations of symbols and numbers: what is None, a list or a function is neither",
    ),
    Row(AttributeError, "^cannot (?:assign to|delete) field", "make another: a rule never changes"),
    Row(TypeError, "with_default", "write lr.with_default(1e-2)"),
    # What is not Python.
    Row(SyntaxError, "", "`lambda` is a word of Python's own: call it lambd or lambda_", r"\blambda\b(?![\w\s,*=]*:)"),
    Row(
        SyntaxError,
        "",
        "`{0}` is a word of Python's own: call it {0}_",
        r"\b(is|in|as|from|with|del|global|pass)\s*=[^=]",
    ),
    Row(SyntaxError, "forgot a comma", "write a comma between the two: step=(Let(…), Let(…))"),
    Row(SyntaxError, "cannot contain assignment", "write a comma: Let(target, value)", r"\bLet\("),
    Row(SyntaxError, "", "write m.next for the new value of m", r"^[^'\"]*\b\w+'\s*(?:[=,)*+/-]|$)"),
    Row(SyntaxError, "expected ':'", "write a colon after it"),
    Row(
        SyntaxError, "decimal literal|invalid syntax", "write a product with *: 2*g", rf"^(?!{_BLOCK}).*\d\s*[A-Za-z_(]"
    ),
    Row(
        SyntaxError,
        "invalid (?:non-printable )?character",
        'type it plainly: - for minus, * for times, " for quotes, <=',
    ),
    Row(SyntaxError, "unterminated triple", "close the quotes: three of them"),
    Row(SyntaxError, "unterminated string", "close the quotes on the same line"),
    Row(SyntaxError, "never closed|unexpected EOF", "close the bracket"),
    Row(SyntaxError, "does not match|unmatched", "close brackets in the order in which they were opened"),
    Row(SyntaxError, "indent", "start the line where the others start"),
    Row(SyntaxError, "outside function", "leave it out: a spec file only declares"),
    Row(SyntaxError, "", "mend the line"),
    Row(RecursionError, "", _NAMED),
    Row(AssertionError, "", _NAMED, r"^(?!assert\b)"),  # SymPy's, of choices inside of choices that it multiplies out
    Row(SystemExit, "", "take out what ends the program: a spec file only declares"),
)
"""From the particular to the general."""
_OTHERWISE = "mend what this line does; a spec file is plain Python, and its equations are SymPy expressions"
_IN_SYMPY = {
    **dict.fromkeys(("maximum", "fmax", "relu"), "Max(a, b), from sympy"),
    **dict.fromkeys(("minimum", "fmin"), "Min(a, b), from sympy"),
    **dict.fromkeys(("clip", "clamp"), "Max(low, Min(high, x)), from sympy"),
    **dict.fromkeys(("abs", "fabs", "absolute"), "Abs(x), from sympy"),
    **dict.fromkeys(("pow", "power", "float_power"), "a**b"),
    **dict.fromkeys(("isnan", "isinf", "isfinite", "nan_to_num"), "finite(x), from optgen: 1 for a number, else 0"),
    "where": "Piecewise((a, condition), (b, True)), from sympy",
    "square": "x**2",
    "ceil": "ceiling(x), from sympy",
    "rsqrt": "1/sqrt(x), with from sympy import sqrt",
    "reciprocal": "1/x",
    **dict.fromkeys(("add", "sub", "mul", "div"), "a + b, a - b, a*b or a/b"),
    "hypot": "sqrt(a**2 + b**2), from sympy",
}
_SIBLINGS = r"optgen_specs_\d+\."
"""What the files of a folder are called while one of them is loaded."""
_SYNONYMS = {
    "learning_rate": "lr",
    "alpha_t": "lr",
    "eta": "lr",
    "betas": "beta1",
    "epsilon": "eps",
    "wd": "weight_decay",
    "mu": "momentum",
    "nesterov_momentum": "momentum",
}
"""What hyperparameters are called elsewhere."""
_HOMES = ("optgen", "optgen.hypers", "optgen.combinators", "optgen.properties", "sympy")
_GREEK = frozenset({"beta", "gamma", "zeta", "Chi"})  # SymPy has functions of these names, which no rule means


def problem(error: BaseException, line: str, known: Iterable[str] = ()) -> Problem:
    """What went wrong while a spec file ran, in a line of it (empty if in none).

    The names that are known, the file's own and those of the language, are what it could have meant.
    """
    if isinstance(error, SyntaxError):
        what = f"it is not Python: {error.msg}"
    else:
        message = re.sub(r" \([^()]*\.py\)$", "", str(error))  # where a module is says nothing of the mistake
        message = re.sub(_SIBLINGS, ".", message).removeprefix(f"{type(error).__name__}: ")
        what = f"{type(error).__name__}: {message}" if message else type(error).__name__
    named = {NameError: _undeclared, ImportError: _not_imported, AttributeError: _no_attribute}
    fix = next((advise(error, known, line) for kind, advise in named.items() if isinstance(error, kind)), None)
    rows = (row.advise(error, line) for row in ADVICE)
    return Problem(what, fix or next((said for said in rows if said), _OTHERWISE), line or None)


def _undeclared(error: BaseException, known: Iterable[str], line: str) -> str:
    name = _quoted(error)
    called = re.search(_LIBRARY, line)
    if called and called.group().startswith(f"{name}."):
        return f"write {_in_sympy(called.group(1))}"
    near = _close(name, known)
    return (
        _import_of(name)
        or _meant([*near, *_close(name, _names("optgen.hypers"))])
        or (f'declare it: {name} = state("{name}"), local("{name}") or hyper("{name}", default, domain, meaning)')
    )


def _not_imported(error: BaseException, _: Iterable[str], __: str) -> str:
    found = re.search(r"cannot import name '(\w+)' from '([\w.]+)'", str(error))
    if found:
        name, module = found.groups()
        if re.match(_SIBLINGS, module):
            last = module.rpartition(".")[2]
            return f"correct the name: {last}.py has none, or not yet, where it imports this file too"
        near = _meant(_close(name, _names(module)))
        return near or _import_of(name) or _of_specs(name) or f"correct the name: {module} has none that is like it"
    module = _quoted(error)
    package, _, last = module.rpartition(".")
    if re.match(_SIBLINGS, module):
        return _of_specs(last) or f"correct the name: there is no {last}.py beside this file"
    if package.startswith("optgen") or difflib.get_close_matches(module, ["optgen"]):
        close = _close(last or module, [home.rpartition(".")[2] for home in _HOMES])
        return _meant([f"optgen.{x}" if x != "optgen" else x for x in close]) or f"import from {', '.join(_HOMES[:-1])}"
    return f"install {module}, or correct the name; a sibling file is imported as `from .{module} import …`"


def _of_specs(name: str) -> str | None:
    """How to import a rule that comes with optgen, which may be called as its class is."""
    module = f"optgen.specs.{name.lower()}"
    return f"rules that come with optgen are in optgen.specs: from {module} import …" if find_spec(module) else None


def _no_attribute(error: BaseException, _: Iterable[str], __: str) -> str | None:
    if "has no attribute" not in str(error):
        return None
    owner, name, *_rest = (*re.findall(r"'([\w.]+)'", str(error)), "", "")
    if owner in _HOMES:
        near = _meant(_close(name, _names(owner)))
        return near or _import_of(name) or f"correct the name: {owner} has none that is like it"
    if name in _ATTRIBUTES:
        return _ATTRIBUTES[name]
    if name == "next" and owner in _NEXT:
        return _NEXT[owner]
    if name.rstrip("_") in _IN_SYMPY:
        return f"write {_IN_SYMPY[name.rstrip('_')]}"
    if difflib.get_close_matches(name, ["next"]):
        return "did you mean .next?"
    if name in _names("sympy"):
        return f"write {name}(…), with from sympy import {name}"
    return "leave it out: a symbol has a name, .next if it keeps its value, and what SymPy can do with it"


def _in_sympy(name: str) -> str:
    """What SymPy or the language has in place of a function of another library."""
    if name in _IN_SYMPY or name not in _names("sympy"):
        return _IN_SYMPY.get(name, "it with functions of SymPy, whose arguments are symbols")
    return f"{name}(…), with from sympy import {name}"


def _import_of(name: str) -> str | None:
    """How to import a name that there is, here or under another name."""
    if name in _SYNONYMS:
        return f"it is called {_SYNONYMS[name]} here: from optgen.hypers import {_SYNONYMS[name]}"
    homes = (home for home in _HOMES if name in _names(home) and not (home == "sympy" and name in _GREEK))
    home = next(homes, None)
    return f"import it: from {home} import {name}" if home else None


def _names(module: str) -> list[str]:
    return [name for name in dir(import_module(module)) if not name.startswith("_")]


def _close(name: str, known: Iterable[str]) -> list[str]:
    others = sorted(set(known) - {name})
    longer = [other for other in others if other.startswith(f"{name}_")]
    return longer[:2] or difflib.get_close_matches(name, others, n=2, cutoff=0.7)


def _meant(names: Iterable[str]) -> str | None:
    found = list(dict.fromkeys(names))[:2]
    return f"did you mean {' or '.join(found)}?" if found else None


def _quoted(error: BaseException) -> str:
    """The name that Python's message has in quotes."""
    found = re.search(r"'([\w.]+)'", str(error))
    return found.group(1) if found else ""
