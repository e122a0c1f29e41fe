"""Whatever Python a spec file raises ends in an error at its line, with its text and what to do."""

import pytest

from optgen.errors import SpecError
from optgen.loader import load_file

HEAD = """\
import math
import numpy as np
from sympy import Eq, Max, Piecewise, oo, sqrt
from optgen import Let, Optimizer, g, hyper, local, state, t, theta
from optgen.hypers import lr
m, v = state("m v")
"""
UNDECIDED = "cannot determine truth value of Relational"
NO_FLOAT = "Cannot convert"
SAID = {
    # Python is to decide what only the step can.
    "x = g if g > 0 else 0": (UNDECIDED, "write Piecewise((value, condition), (other, True))"),
    "x = g if g > 0": ("expected 'else'", "write Piecewise((value, condition), (other, True))"),
    "if g > 0: x = 1": (UNDECIDED, "write Piecewise((value, condition), (other, True))"),
    "while t < 3: x = 1": (UNDECIDED, "is decided at every step"),
    "assert g > 0": (UNDECIDED, "write Piecewise"),
    "x = bool(g > 0)": (UNDECIDED, "write Piecewise"),
    "x = max(g, 0)": (UNDECIDED, "write Max(…) or Min(…), from sympy"),
    "x = min([g, theta])": (UNDECIDED, "write Max(…) or Min(…), from sympy"),
    "x = Piecewise((g, g > 0 and t > 1), (0, True))": (UNDECIDED, "write And(a, b), Or(a, b) or Not(a)"),
    "x = g > 0 or t > 1": (UNDECIDED, "write And(a, b), Or(a, b) or Not(a)"),
    "x = not g > 0": (UNDECIDED, "write And(a, b), Or(a, b) or Not(a)"),
    "x = Piecewise((g, 0 < g < 1), (0, True))": (UNDECIDED, "write And(low < x, x < high)"),
    "x = g > 0 & theta < 1": ("unsupported operand", "put each comparison in parentheses"),
    "x = Piecewise((1, t == 1), (2, True))": ("t == 1 is False before the rule runs", "write Eq(t, 1)"),
    "same = t != 1": ("t != 1 is True before the rule runs", "write Ne(t, 1)"),
    "x = m if t % 2 == 0 else v": ("t % 2 == 0 is False before", "write Eq(t % 2, 0)"),
    "x = Piecewise((g, g < oo), (0, True))": ("g < oo is True before the rule runs", "write finite(x)"),
    "x = g and theta": ("g counts as true before the rule runs", "write a condition, Ne(g, 0) say"),
    "x = m.next or g": ("m.next counts as true before the rule runs", "Ne(m.next, 0)"),
    "x = not t - 1": ("t - 1 counts as true before the rule runs", "Ne(t - 1, 0)"),
    "x = m if momentum else g": ("name 'momentum' is not defined", "import it"),
    "x = m if lr else g": ("lr counts as true before the rule runs", "Ne(lr, 0)"),
    "if t % 2:\n    x = 1": ("t % 2 counts as true before the rule runs", "Ne(t % 2, 0)"),
    "x = [k for k in (1, 2) if g]": ("g counts as true", "Ne(g, 0)"),
    "x = Piecewise((m, t in (1, 2)), (g, True))": (
        "t in (1, 2) is False before the rule runs",
        "write Or(Eq(t, …), Eq",
    ),
    "x = m if t not in {1, 2} else g": ("t not in {1, 2} is True before", "write And(Ne(t, …), Ne"),
    "x = g if any(t == k for k in (1, 2)) else m": ("t == k is False before the rule runs", "write Eq(t, k)"),
    "x = g if not any(t == k for k in range(1, 4)) else m": ("t == k is False", "write Eq(t, k)"),
    "x = sum([g if t != k else m for k, _ in ((1, g), (2, m))])": ("t != k is True", "write Ne(t, k)"),
    "x = next((x for k, x in {1: g, 2: m}.items() if t == k), v)": ("t == k is False", "write Eq(t, k)"),
    "for k in (1, 2):\n    x = g if t == k else m": ("t == k is False before", "write Eq(t, k)"),
    "WARM = 100\nx = g if t == WARM else m": ("t == WARM is False before", "write Eq(t, WARM)"),
    "def f():\n    if t == K: return g\nK = 1": ("t == K is False before", "write Eq(t, K)"),
    "match t:\n    case 1 | 2: x = g\n    case _: x = m": ("t == 1 is False before", "write Eq(t, 1)"),
    "x = g if t.equals(1) else m": ("t == 1 is False before", "write Eq(t, 1)"),
    "x = {1: g}.get(t, m)": ("a dict has no key t before the rule runs", "write Piecewise((…, Eq(t, 1)), …"),
    "CASES = {0: g, 1: m}\nx = CASES.get(t % 2, v)": ("has no key t % 2 before", "Eq(t % 2, 0)"),
    "x = g if g.is_positive else m": (
        "g.is_positive is not known before the rule runs",
        "write a condition, g > 0 say",
    ),
    "x = g if not t.is_even else m": ("t.is_even is not known before", "in Piecewise, And, Or or Not"),
    "x = any(Eq(t, k) for k in (1, 2))": (UNDECIDED, "write Or(*(…)) or And(*(…)), from sympy"),
    "x = {1: g}[t]": ("KeyError: t", "with Eq(t, 1) say for a condition: Python looks into a dict at once"),
    "x = [g, m][t]": ("indices must be integers", "Python takes one of a list at once"),
    "x = abs(g)*int(t)": (NO_FLOAT, "leave out int()"),
    # Functions of other libraries.
    "x = np.sqrt(g)": ("no callable sqrt method", "write sqrt(…), with from sympy import sqrt"),
    "x = np.exp(g**2)": ("no callable exp method", "from sympy import exp"),
    "x = np.sign(g)": (UNDECIDED, "from sympy import sign"),
    "x = np.maximum(g, 0)": (UNDECIDED, "write Max(a, b), from sympy"),
    "x = np.where(g > 0, g, 0)": (UNDECIDED, "write Piecewise((a, condition), (b, True)), from sympy"),
    "x = np.clip(g, -1, 1)": (UNDECIDED, "write Max(low, Min(high, x)), from sympy"),
    "x = np.linalg.norm(g)": ("no callable sqrt method", "write Norm(g), from optgen"),
    "x = np.sum(g**2)": ("is of one element alone", "write TensorSum(g ** 2), from optgen"),
    "x = np.mean(g)": ("is of one element alone", "write TensorMean(g), from optgen"),
    "x = np.dot(g, g)": ("is of one element alone", "write TensorSum(a*b), from optgen"),
    "x = np.min(g)": ("is of one element alone", "write -TensorMax(-(g)), from optgen"),
    "x = np.var(g)": ("is of one element alone", "with TensorMean"),
    "x = np.prod(g)": ("is of one element alone", "write exp(TensorSum(log(g)))"),
    "x = np.median(g)": ("is of one element alone", "TensorMean(g) is the mean"),
    "x = math.sqrt(g)": (NO_FLOAT, "from sympy import sqrt"),
    "x = math.pow(g, 2)": (NO_FLOAT, "write a**b"),
    "x = math.isnan(g)": (NO_FLOAT, "write finite(x), from optgen"),
    "x = float(g)": (NO_FLOAT, "leave out float()"),
    "x = int(t)": (NO_FLOAT, "leave out int()"),
    "x = round(g)": ("Cannot round", "leave out round()"),
    "x = range(t)": ("cannot be interpreted", "leave out range()"),
    "x = math.ceil(g)": (NO_FLOAT, "write ceiling(x), from sympy"),
    "x = torch.sqrt(g)": ("name 'torch' is not defined", "write sqrt(…), with from sympy import sqrt"),
    "x = jnp.where(g > 0, g, 0)": ("name 'jnp' is not defined", "write Piecewise((a, condition), (b, True))"),
    # Names.
    "x = Let(k.next, g)": ("name 'k' is not defined", 'declare it: k = state("k"), local("k") or hyper("k"'),
    "x = beta1*g": ("name 'beta1' is not defined", "import it: from optgen.hypers import beta1"),
    "x = sin(g)": ("name 'sin' is not defined", "import it: from sympy import sin"),
    "x = Norm(g)": ("name 'Norm' is not defined", "import it: from optgen import Norm"),
    "x = ema(g)": ("name 'ema' is not defined", "import it: from optgen.combinators import ema"),
    "x = learning_rate*g": ("name 'learning_rate' is not defined", "from optgen.hypers import lr"),
    "x = sqr(g)": ("name 'sqr' is not defined", "did you mean sqrt?"),
    "x = gamma*g": ("name 'gamma' is not defined", "from optgen.hypers import gamma"),
    "x = zeta*g": ("name 'zeta' is not defined", "declare it"),
    "speed = 1\nx = sped*g": ("name 'sped' is not defined", "did you mean speed"),
    "lambda = hyper('lambda', 0.1)": ("it is not Python", "call it lambd or lambda_"),
    "x = lambda*g": ("it is not Python", "call it lambd or lambda_"),
    "is = state('is')": ("it is not Python", "call it is_"),
    "from optgen import Optimzer": ("cannot import name 'Optimzer' from 'optgen'", "did you mean Optimizer?"),
    "from optgen import sqrt": ("cannot import name 'sqrt'", "import it: from sympy import sqrt"),
    "from optgen import beta2": ("cannot import name 'beta2'", "import it: from optgen.hypers import beta2"),
    "from optgen.hypers import learning_rate": ("cannot import name", "from optgen.hypers import lr"),
    "from optgen.combinators import clip": ("cannot import name", "did you mean clip_global_norm or clip_unit_norm"),
    "from sympy import Picewise": ("cannot import name", "did you mean Piecewise?"),
    "from optgen import adam": ("cannot import name", "from optgen.specs.adam import …"),
    "from optgen import AdamW": ("cannot import name", "from optgen.specs.adamw import …"),
    "from .nosuch import m": ("No module named '.nosuch'", "there is no nosuch.py beside this file"),
    "from .adam import m": ("No module named '.adam'", "from optgen.specs.adam import …"),
    "from optgen.hyper import lr": ("No module named 'optgen.hyper'", "did you mean optgen.hypers?"),
    "import optgem": ("No module named 'optgem'", "did you mean optgen?"),
    "import nosuch": ("No module named 'nosuch'", "from .nosuch import"),
    # Symbols that are taken for something else.
    "m.next = g": ("gives Python a value, not the step", "write Let(m.next, …)"),
    "theta.next = theta - lr*g": ("gives Python a value, not the step", "write Let(theta.next, …)"),
    "lr.default = 0.1": ("would change it in every rule that has it", "write lr = lr.with_default(…)"),
    "m.init = 1": ("would change it in every rule that has it", "declare one of your own"),
    "theta.space = 'row'": ("would change it in every rule that has it", "declare one of your own"),
    "r = Optimizer('r', 'R', (Let(theta.next, -g),))\nr.title = 'S'": ("cannot assign to field", "make another"),
    "h = local('h')\nx = h.next": (
        "'Local' object has no attribute 'next'",
        "a local has the value of this step alone",
    ),
    "x = m.next.next": ("'Next' object has no attribute 'next'", "it is the new value already"),
    "x = t.next": ("'StepCount' object has no attribute 'next'", "handed to the step"),
    "x = g.next": ("'Grad' object has no attribute 'next'", "handed to the step"),
    "x = lr.next": ("'Hyper' object has no attribute 'next'", "handed to the step"),
    "x = m.next()": ("'Next' object is not callable", "write m.next, without parentheses"),
    "x = lr(m + g)": ("'Hyper' object is not callable", "write a product with *"),
    "x = m.nxt": ("has no attribute 'nxt'", "did you mean .next?"),
    "x = m.prev": ("has no attribute 'prev'", "m itself is the old value"),
    "x = theta.grad": ("has no attribute 'grad'", "write g"),
    "x = g.mean()": ("has no attribute 'mean'", "write TensorMean(…)"),
    "x = (g**2).sum()": ("has no attribute 'sum'", "write TensorSum(…)"),
    "x = g.norm()": ("has no attribute 'norm'", "write Norm(…)"),
    "x = g.sqrt()": ("has no attribute 'sqrt'", "from sympy import sqrt"),
    "x = g.abs()": ("has no attribute 'abs'", "write Abs(x), from sympy"),
    "x = g.clamp(-1, 1)": ("has no attribute 'clamp'", "write Max(low, Min(high, x)), from sympy"),
    "x = g.pow(2)": ("has no attribute 'pow'", "write a**b"),
    "x = m.mul_(0.9).add_(g)": ("has no attribute 'mul_'", "write a + b, a - b, a*b or a/b"),
    "x = g.dot(g)": ("has no attribute 'dot'", "write TensorSum(a*b)"),
    "x = g.min()": ("has no attribute 'min'", "write -TensorMax(-x)"),
    "x = g.shape": ("has no attribute 'shape'", "write n_rows, n_cols or numel"),
    "x = g.nosuch": ("has no attribute 'nosuch'", "leave it out"),
    "import optgen.hypers as h; x = h.learn": ("has no attribute 'learn'", "correct the name"),
    "x = g[0]": ("is not subscriptable", "leave out the index"),
    "x = len(g)": ("has no len()", "write numel"),
    "for x in g: pass": ("not iterable", "write TensorSum(g)"),
    "x = sum(g)": ("not iterable", "write TensorSum(g)"),
    "x, y = g": ("cannot unpack", "write TensorSum(g)"),
    "m, = state('m')": ("cannot unpack", 'm = state("m")'),
    "m, v, s = state('m v')": ("values to unpack", 'm, v = state("m v")'),
    "from sympy import Matrix; x = g*Matrix([g, g])": ("'Grad' and 'MutableDenseMatrix'", "leave out the matrix"),
    "from sympy import ITE; x = ITE(g > 0, g, -g)": ("expecting bool", "write Piecewise("),
    "a, b = hyper('a b', 1)": ("cannot unpack", "declare one at a time"),
    "x = g @ g": ("unsupported operand", "write TensorSum(a*b)"),
    "x = g^2": ("unsupported operand", "write ** for a power"),
    "x = g + 'a'": ("unsupported operand", "build equations of symbols and numbers"),
    "x = [1, 2] * g": ("can't multiply", "build equations of symbols and numbers"),
    "x = g * None": ("unsupported operand", "build equations of symbols and numbers"),
    "x = True * g": ("unsupported operand", "write 1 for True"),
    "x = f'{g:.3f}'": ("format string", "leave the text out"),
    # Conditions for numbers.
    "x = (g > 0) * g": ("unsupported operand", "write Piecewise((1, condition), (0, True))"),
    "x = -(g > 0)": ("bad operand", "write Piecewise((1, condition), (0, True))"),
    "x = sqrt(g > 0)": ("Relational cannot be used", "write Piecewise((1, condition), (0, True))"),
    "x = Max(g > 0, 1)": ("is not comparable", "write Piecewise((1, condition), (0, True))"),
    "x = Max(g, 1j)": ("is not comparable", "leave out I"),
    "x = g < 1j": ("non-real", "leave out I"),
    "x = Piecewise(g, g > 0)": ("ExprCondPair", "write Piecewise((value, condition), (other, True))"),
    "x = Piecewise((g, g > 0), 0)": ("ExprCondPair", "write Piecewise((value, condition), (other, True))"),
    "x = Piecewise((g, 'g > 0'))": ("must be a Boolean", "write Piecewise((value, condition), (other, True))"),
    "x = Piecewise()": ("At least one", "write Piecewise((value, condition), (other, True))"),
    "x = Eq(g)": ("missing 1 required", "write both sides: Eq(a, b)"),
    # Arguments and commas.
    "step = (Let(m.next, g)\n        (Let(theta.next, g)))": ("'Let' object is not callable", "write a comma"),
    "step = (Let(m.next, g) Let(theta.next, g))": ("it is not Python", "write a comma between the two"),
    "x = Let(m.next = g)": ("it is not Python", "write a comma: Let(target, value)"),
    "x = Let(m.next)": ("missing 1 required", "write Let(target, value)"),
    "x = Optimizer('rule', 'Rule')": ("missing 1 required", 'write Optimizer("my_rule", title="MyRule", step=('),
    "x = Optimizer('rule', 'Rule', Let(m.next, g))": ("step is one Let", "write a comma after it"),
    "x = Optimizer('my-rule', 'Rule', (Let(theta.next, g),))": ("cannot name a module", 'name="my_rule"'),
    "x = hyper('k')": ("missing 1 required", 'write hyper("kappa", 0.1, Interval(0, 1)'),
    "x = state()": ("missing 1 required", 'write state("m")'),
    "x = state('m', space='row')": ("expected space to be one of", "space=ROW"),
    "x = lr.with_default()": ("missing 1 required", "write lr.with_default(1e-2)"),
    "from optgen import Norm; x = Norm(g, axis=0)": ("Unknown options", "RowSum(g), ColSum(g), TensorSum(g)"),
    "from optgen import Norm; x = Norm('g')": ("Norm is of expressions, not of 'g'", "without quotes"),
    "from optgen import RowMax; x = RowMax([g])": ("RowMax is of expressions, not of [g]", "without quotes"),
    "from optgen import finite; x = finite(None)": ("not of None", "write symbols, numbers"),
    "from optgen import Max; x = Max('g', 1)": ("SympifyError: 'g'", "leave out the quotes"),
    "from optgen import Min; x = Min([g], 1)": ("SympifyError: [g]", "what is None, a list or a function is neither"),
    "from optgen import InOrder; x = InOrder('g', 1)": ("SympifyError: 'g'", "leave out the quotes"),
    "from optgen import normal; x = normal()": ("normal takes", "give it a seed: normal(seed)"),
    "from optgen import normal; x = normal('seed')": ("not of 'seed'", "without quotes"),
    "from optgen import TensorSum; x = TensorSum()": ("takes exactly 1 argument", "TensorSum(g**2)"),
    # What is not Python, and what is no rule.
    "x = 2g": ("it is not Python", "write a product with *: 2*g"),
    "m' = g": ("it is not Python", "write m.next for the new value of m"),
    "x = g \u2013 theta": ("it is not Python", "type it plainly"),
    "x = 'a": ("it is not Python", "close the quotes"),
    "x = 'it's'": ("it is not Python", "close the quotes"),
    "x = '''a": ("it is not Python", "close the quotes: three"),
    "print 'x'": ("it is not Python", "mend the line"),
    "def f(x) return x": ("expected ':'", "write a colon after it"),
    "if lr > 0 x = 1": ("it is not Python", "mend the line"),
    "x = g)": ("unmatched ')'", "close brackets in the order"),
    "x = (": ("it is not Python", "close the bracket"),
    "x = [1)": ("it is not Python", "close brackets in the order"),
    "  x = 1": ("it is not Python: unexpected indent", "start the line"),
    "return 1": ("it is not Python", "leave it out"),
    "x = -": ("it is not Python", "mend the line"),
    "exit()": ("SystemExit", "take out what ends the program"),
    "def f(x): return f(x)\nf(1)": ("RecursionError", "name parts of the expression"),
    # As SymPy does, of choices inside of choices that it multiplies out.
    "def f(): raise AssertionError\nf()": ("AssertionError", "name parts of the expression"),
    "x = 1/0": ("ZeroDivisionError", "divide by something that is not 0"),
    "assert False": ("AssertionError", "mend what this line does"),
    "class Odd(Exception): pass\nraise Odd('this')": ("Odd: this", "mend what this line does"),
}


@pytest.mark.parametrize("text", SAID, ids=str)
def test_an_exception_becomes_an_error_at_its_line(tmp_path, text):
    path = tmp_path / "wrong.py"
    path.write_text(HEAD + text + "\n", encoding="utf-8")
    with pytest.raises(SpecError) as error:
        load_file(path)
    what, fix = SAID[text]
    (problem,) = error.value.problems
    assert what in problem.what
    assert fix in problem.fix
    assert error.value.location.line > HEAD.count("\n")
    assert "`python`" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "MODE = 'keep'\nx = Piecewise((g, MODE == 'keep'), (m, True))",
        "x = [k for k in (1, 2) if k == 1]",
        "def half(rule): return rule if rule.t == 1 else None",
        "x = 1 if len('ab') == 2 else 0",
        "x = Piecewise((g, Eq(t, 1)), (m, True))",
        "x = np.sum([1, 2])",
        "x = oo",
        "x = m == v",
        "x = 1 if lr.default == 1 else 2",
        "assert len(m.name) == 1",
        "def of(rule, t=3): return rule if t == 3 else None\nof(1)",
        "def of(m=None, g=g): return g + m if m else g\nof(); of(m)",
        "extra = None\nx = extra and extra*g",
        "extra = m\nextra = None\nx = g*extra if extra else g",
        "for extra in (None, m): x = g*extra if extra else g",
        "x = [g*k if k else g for k in (None, m)]",
        "x = lr if m is not None and g in (g, m) else 0",
        "x = m in {m: 1}",
        "x = g if m.name and lr.default else m",
        "x = [m, v] and (g,) or 1",
        "if not []: x = 1",
        "x = sum(g for k in (1, 2) if k == 1)",
        "x = [k for k in (g, m) if k == g]",
        "x = [k for k in (g, 1) if k != 1]",
        "x = {1: g}.get(1, m)",
        "x = {g: m, m: g}.get(g)",
        "for x in (0, lr):\n    made = g if x == 0 else g*x",
        "made = [g if x == 0 else g*x for x in (0, lr)]",
        "def of(x=0): return g if x == 0 else g*x\nof(lr)",
        "x = g if t.is_real and not (g - g).is_positive else m",
        "k = 1\nwhile t == k: k += 1",
        "match len('ab'):\n    case 2: x = g\n    case _: x = m",
    ],
)
def test_python_that_decides_what_is_known_is_let_be(tmp_path, text):
    path = tmp_path / "right.py"
    path.write_text(HEAD + text + "\n", encoding="utf-8")
    load_file(path)


@pytest.mark.parametrize("data", [b"x = '\xff'\n", b"x = 1\0\n", b"\xff\xfe", "\u00e9".encode("latin-1")])
def test_a_file_that_is_no_text_is_refused_in_words(tmp_path, data):
    path = tmp_path / "wrong.py"
    path.write_bytes(data)
    with pytest.raises(SpecError, match="it is not Python"):
        load_file(path)
