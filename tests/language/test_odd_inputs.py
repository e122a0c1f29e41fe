"""Whatever an equation is made of, it is refused with what to write instead, or compiled to what it means.

Every entry builds its own equations, as a spec would; most are text only, on both targets.
"""

# ruff: noqa: ARG005, FBT003, PLC3002 - True stands where it should not, and lambdas are called at once, on purpose

import warnings
from decimal import Decimal
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy
from sympy import (
    FF,
    ITE,
    Abs,
    Add,
    And,
    Catalan,
    Contains,
    Derivative,
    DiracDelta,
    Dummy,
    E,
    Eq,
    Equivalent,
    FiniteSet,
    Float,
    Function,
    GoldenRatio,
    Heaviside,
    I,
    Implies,
    IndexedBase,
    Integer,
    Integral,
    Interval,
    KroneckerDelta,
    Lambda,
    LambertW,
    Limit,
    Lt,
    Matrix,
    MatrixSymbol,
    Max,
    Min,
    Mod,
    Mul,
    N,
    Nand,
    Ne,
    Not,
    O,
    Piecewise,
    Poly,
    Pow,
    Product,
    Q,
    Range,
    Rational,
    S,
    Subs,
    Sum,
    Symbol,
    Trace,
    Tuple,
    UnevaluatedExpr,
    Xor,
    acos,
    acosh,
    arg,
    asin,
    atan,
    atan2,
    besselj,
    beta,
    binomial,
    conjugate,
    cos,
    cosh,
    cot,
    diff,
    erfc,
    exp,
    factorial,
    fibonacci,
    floor,
    frac,
    gamma,
    log,
    loggamma,
    nan,
    oo,
    pi,
    polar_lift,
    re,
    real_root,
    rootof,
    sec,
    sin,
    sinc,
    sinh,
    sqrt,
    tan,
    zeta,
    zoo,
)

from optgen import (
    STEP,
    Let,
    Norm,
    Optimizer,
    RowMax,
    Schedule,
    SpecError,
    TensorSum,
    finite,
    g,
    hyper,
    local,
    normal,
    numel,
    pipeline,
    state,
    t,
    theta,
)
from optgen.combinators import clip_value, l2, lookahead, scheduled
from optgen.hypers import beta1, lr, seed
from optgen.properties import Bounded, EqualTo, Invariant
from optgen.targets import TARGETS, schedules
from optgen.targets.base import Origin

m, s, below = *state("m s"), local("below")
x, i = Symbol("x"), Symbol("i", integer=True)
f = Function("f")
SOME, ONE = [1, 5, 9], Integer(1)
DESCENT = Let(theta.next, theta - lr * g)


def descent(term):
    """A step along a term of the equation."""
    return (Let(theta.next, theta - lr * term),)


def start(value, **how):
    """A state that starts from something."""
    return (Let(state("q", init=value, **how).next, lr), DESCENT)


def rate(*declared):
    """A hyperparameter of the step."""
    return descent(hyper(*declared) * g)


def choice(condition):
    return descent(Piecewise((g, condition), (theta, True)))


class Whole(int):
    """A subclass of int."""


NOT_FINITE = "not a finite real number"
NEGATIVE = "look for a negative root"
LARGE, SMALL = "is larger than float64 holds", "is smaller than float64 holds"
SINGLE = "meets elements, which may be float32"
NO_SCALAR = ("is no scalar expression", "write sums, products and functions")
AS_CONDITION = ("stands where a condition is wanted", "compare it: Ne(")
AS_NUMBER = ("stands where a number is wanted", "write Piecewise((1, ")
DECIDED = ("before the rule runs", "write Eq(")
UNKNOWN = ("there is no printer for", "use sums, products")

REFUSED = {
    # Numbers that float64 does not hold.
    "a large integer": (lambda: descent(10**400 * g), LARGE, "scale the equation"),
    "a large negative integer": (lambda: descent(-(10**400) * g), LARGE, "scale"),
    "a large term": (lambda: descent(g + 10**400), LARGE, "scale"),
    "a large decimal": (lambda: descent(g * Float("1e400", 50)), LARGE, "scale"),
    "a small fraction": (lambda: descent(g / 10**400), SMALL, "write 0"),
    "a small term": (lambda: descent(g + Rational(1, 10**400)), SMALL, "write 0"),
    "a small decimal": (lambda: descent(g * Float("1e-400")), SMALL, "write 0"),
    "a subnormal": (lambda: descent(g * Float("1e-310")), SMALL, "write 0"),
    "a large exponential": (lambda: descent(exp(1000) * g), LARGE, "scale"),
    "a small exponential": (lambda: descent(exp(-1000) * g), SMALL, "write 0"),
    "an exponential of an exponential": (lambda: descent(exp(exp(10)) * g), LARGE, "scale"),
    "a number beyond all": (lambda: descent(exp(-exp(exp(exp(10)))) * g), LARGE, "scale"),
    "a large factorial": (lambda: descent(factorial(200) * g), LARGE, "scale"),
    "a large gamma": (lambda: descent(gamma(Rational(401, 2)) * g), LARGE, "scale"),
    "a large power of pi": (lambda: descent(pi**1000 * g), LARGE, "scale"),
    "a large root": (lambda: descent(sqrt(Integer(10) ** 801) * g), LARGE, "scale"),
    "a large number in a total": (lambda: descent(TensorSum(10**400)), LARGE, "scale"),
    "a large limit": (lambda: choice(g < 10**400), LARGE, "scale"),
    "a large limit of t": (lambda: choice(t < 10**400), LARGE, "scale"),
    "a limit that is an exponential": (lambda: choice(g < exp(1000)), LARGE, "scale"),
    "a large exponent": (lambda: descent(g ** (10**400)), LARGE, "scale"),
    "a small exponent": (lambda: descent(Abs(g) ** Rational(1, 10**400)), SMALL, "write 0"),
    "an exponent that float32 rounds": (lambda: descent(g ** (2**24 + 1)), "is larger than 2**24", "write exp("),
    "a large exponent of a hyperparameter": (lambda: descent(beta1 ** (10**400) * g), LARGE, "scale"),
    "a large start": (lambda: start(10**400), LARGE, "scale"),
    "a start that is an exponential": (lambda: start(exp(1000)), "the init of state `q`: the number", "scale"),
    "a start with a large factor": (lambda: start(lr * 10**400), LARGE, "scale"),
    "a large start of a number": (lambda: start(10**400, space=STEP), LARGE, "scale"),
    "a small start": (lambda: start(Rational(1, 10**400)), SMALL, "write 0"),
    "a large default": (lambda: rate("rate", 10**400), LARGE, "choose a default"),
    "a small default": (lambda: rate("rate", Rational(1, 10**400)), SMALL, "choose a default"),
    "a default that is an exponential": (lambda: rate("rate", exp(1000)), LARGE, "choose a default"),
    "a large bound": (lambda: rate("rate", 1, Interval(0, 10**400)), "is not supported", "use an Interval"),
    "a small bound": (
        lambda: rate("rate", 1, Interval(Rational(1, 10**400), 2)),
        "is not supported",
        "use an Interval",
    ),
    "a bound that is an exponential": (lambda: rate("rate", 1, Interval(0, exp(1000))), "is not supported", "use an"),
    "a large bound of integers": (lambda: rate("rate", 2, Range(0, 10**400)), "is not supported", "use an Interval"),
    # Numbers that float64 holds and float32 does not, beside elements.
    "a factor of no float32": (lambda: descent(1e300 * g), SINGLE, "write a hyperparameter"),
    "a small factor of no float32": (lambda: descent(1e-300 * g), SINGLE, 'hyper("tiny"'),
    "a guard of no float32": (lambda: descent(g / (Abs(g) + 1e-300)), SINGLE, 'hyper("tiny"'),
    "a limit of no float32": (lambda: choice(g > 1e300), SINGLE, 'hyper("huge"'),
    "a maximum of no float32": (lambda: descent(Max(g, -1e300)), SINGLE, 'hyper("huge"'),
    "a value of no float32": (lambda: (Let(theta.next, 1e300), Let(s.next, s + g)), SINGLE, 'hyper("huge"'),
    "a case of no float32": (lambda: descent(Piecewise((1e39, g > 0), (g, True))), SINGLE, 'hyper("huge"'),
    "a start of no float32": (lambda: start(1e300), SINGLE, 'hyper("huge"'),
    # Numbers that are not real, or not finite.
    "a cube root": (lambda: descent(Integer(-8) ** Rational(1, 3) * g), NOT_FINITE, "real_root(-8, 3)"),
    "a cube root as a term": (lambda: descent(g + Integer(-8) ** Rational(1, 3)), "is complex", "look for a neg"),
    "the imaginary unit": (lambda: descent(I * g), NOT_FINITE, NEGATIVE),
    "a negative root": (lambda: descent(sqrt(S(-2)) * g), NOT_FINITE, NEGATIVE),
    "a negative root that was kept": (lambda: descent(Pow(-1, S.Half, evaluate=False) * g), NOT_FINITE, NEGATIVE),
    "a negative logarithm": (lambda: descent(log(-2) * g), NOT_FINITE, NEGATIVE),
    "an arc sine of 2": (lambda: descent(asin(2) * g), NOT_FINITE, NEGATIVE),
    "an area cosine below 1": (lambda: descent(acosh(Rational(1, 2)) * g), NOT_FINITE, NEGATIVE),
    "a complex number of Python": (lambda: descent(g * 1j), NOT_FINITE, NEGATIVE),
    "a complex number of NumPy": (lambda: descent(g * np.complex128(1j)), NOT_FINITE, NEGATIVE),
    "a complex number of mpmath": (lambda: descent(g * mpmath.mpc(1, 2)), NOT_FINITE, NEGATIVE),
    "an imaginary exponent": (lambda: descent(exp(I * g)), NOT_FINITE, NEGATIVE),
    "an imaginary case": (lambda: descent(Piecewise((I, g > 0), (g, True))), NOT_FINITE, NEGATIVE),
    "an imaginary total": (lambda: descent(TensorSum(I * g)), NOT_FINITE, NEGATIVE),
    "an imaginary start": (lambda: start(I), NOT_FINITE, NEGATIVE),
    "an imaginary default": (lambda: rate("rate", I), NOT_FINITE, "choose a default"),
    "a cube root for a default": (lambda: rate("rate", Integer(-8) ** Rational(1, 3)), NOT_FINITE, "choose"),
    "a negative number to the rate": (lambda: descent(Integer(-1) ** lr * g), "of a negative number", "look for"),
    "a negative number to the gradient": (lambda: descent(Integer(-2) ** g), "of a negative number", "look for"),
    "infinity": (lambda: descent(oo * g), NOT_FINITE, "look for 0/0"),
    "minus infinity": (lambda: descent(-oo * g), NOT_FINITE, "look for"),
    "an infinite term": (lambda: descent(g + oo), NOT_FINITE, "look for"),
    "an infinite maximum": (lambda: descent(Max(g, oo)), NOT_FINITE, "look for"),
    "an infinite minimum": (lambda: descent(Min(g, -oo)), NOT_FINITE, "look for"),
    "an infinite floor": (lambda: descent(floor(oo) * g), NOT_FINITE, "look for"),
    "an infinite case": (lambda: descent(Piecewise((oo, g > 0), (g, True))), NOT_FINITE, "look for"),
    "an infinite total": (lambda: descent(TensorSum(oo * g)), NOT_FINITE, "look for"),
    "an infinite exponent": (lambda: descent(g**oo), NOT_FINITE, "look for"),
    "an infinite float": (lambda: descent(float("inf") * g), NOT_FINITE, "look for"),
    "an infinity of NumPy": (lambda: descent(g * np.float64("inf")), NOT_FINITE, "look for"),
    "an infinite decimal": (lambda: descent(g * Decimal("Infinity")), NOT_FINITE, "look for"),
    "an infinite start": (lambda: start(float("inf")), NOT_FINITE, "look for"),
    "an infinite default": (lambda: rate("rate", oo), NOT_FINITE, "choose a default"),
    "a complex infinity": (lambda: descent(zoo * g), NOT_FINITE, "look for"),
    "a division by zero": (lambda: descent(g / S.Zero), NOT_FINITE, "look for"),
    "a tangent of pi/2": (lambda: descent(tan(pi / 2) * g), NOT_FINITE, "look for"),
    "a logarithm of zero": (lambda: descent(log(0) * g), NOT_FINITE, "look for"),
    "a logarithm of zero that was kept": (lambda: descent(log(0, evaluate=False) * g), NOT_FINITE, "look for"),
    "a remainder by zero that was kept": (lambda: descent(Mod(7, 0, evaluate=False) * g), "cannot be worked", "write"),
    "nothing by nothing": (lambda: descent((g - g) / (g - g)), NOT_FINITE, "look for"),
    "no number": (lambda: descent(nan * g), NOT_FINITE, "look for"),
    "no number of NumPy": (lambda: descent(g * np.float64("nan")), NOT_FINITE, "look for"),
    "no number in a case": (lambda: descent(Piecewise((nan, g > 0), (g, True))), NOT_FINITE, "look for"),
    "no number for a default": (lambda: rate("rate", float("nan")), NOT_FINITE, "choose a default"),
    "a choice without cases": (lambda: descent(Piecewise((g, False))), NOT_FINITE, "look for"),
    "a maximum of nothing": (lambda: descent(Max()), NOT_FINITE, "an empty Max"),
    # Conditions for numbers, and numbers for conditions.
    "a total of a condition": (lambda: descent(TensorSum(g > 0)), *AS_NUMBER),
    "a norm of True": (lambda: descent(Norm(True)), "True stands where a number is wanted", "write 1"),
    "a norm of a conjunction": (lambda: descent(Norm(And(g > 0, theta > 0))), *AS_NUMBER),
    "a maximum of a condition": (lambda: descent(RowMax(g < theta)), *AS_NUMBER),
    "a condition that is finite": (lambda: descent(finite(g > 0)), *AS_NUMBER),
    "a condition for a case": (lambda: descent(Piecewise((g > 0, theta > 0), (g, True))), *AS_NUMBER),
    "True for a case": (lambda: descent(Piecewise((True, theta > 0), (g, True))), "True stands where", "write 1"),
    "True as a term": (lambda: descent(Add(True, g)), "True stands where a number", "write 1"),
    "False as a factor": (lambda: descent(Mul(S.false, g)), "False stands where a number", "write 0"),
    "True as an exponent": (lambda: descent(Pow(g, S.true)), "True stands where a number", "write 1"),
    "a condition for a value": (lambda: (Let(theta.next, g > 0),), "the value is a truth value", "write Piecewise"),
    "an Eq for a value": (lambda: (Let(theta.next, Eq(g, 0)),), "the value is a truth value", "write Piecewise"),
    "True for a value": (lambda: (Let(theta.next, True),), "the value is a truth value", "write Piecewise"),
    "a truth value of NumPy": (
        lambda: (Let(theta.next, np.bool_(1)),),
        "the value is a truth value",
        "write Piecewise",
    ),
    "a number for a condition": (lambda: choice(g), *AS_CONDITION),
    "a state for a condition": (lambda: (Let(m.next, g), *choice(m.next)), *AS_CONDITION),
    "a rate for a condition": (lambda: choice(lr), *AS_CONDITION),
    "a set in a condition": (lambda: choice(Contains(g, Interval(0, 1))), "cannot be compiled", "with comparisons"),
    "an assumption": (lambda: choice(Q.positive(g)), "cannot be compiled", "with comparisons, And, Or and Not"),
    "True for a start": (lambda: start(True), "is a truth value", "write Piecewise"),
    "True for a default": (lambda: rate("rate", True), "is no number", "write a number"),
    "True for a stream": (lambda: descent(normal(seed, True)), "True stands where a number", "write 1"),
    # Conditions that Python or SymPy has decided.
    "== for Eq": (lambda: descent(g * Piecewise((1, t == 1), (2, True))), *DECIDED),
    "== with a remainder": (lambda: descent(g * Piecewise((1, t % 2 == 0), (2, True))), *DECIDED),
    "== of elements": (lambda: descent(Piecewise((g, g == theta), (2, True))), *DECIDED),
    "== within And": (lambda: descent(g * Piecewise((1, And(t == 1, lr > 0)), (2, True))), *DECIDED),
    "!= for Ne": (lambda: descent(g * Piecewise((1, t != 1), (2, True))), "is True before", "write Ne(t, 1)"),
    "in for Or": (lambda: descent(Piecewise((g, t in (1, 2)), (m, True))), "is False before", "write Or(Eq(t, …)"),
    "in of a range": (lambda: descent(g if t in range(5) else m), "is False before", "write Or(Eq(t, …)"),
    "in of a list with a name": (lambda: descent(g if t in SOME else m), "is False before", "write Or(Eq(t, …)"),
    "not in": (lambda: descent(g if t not in {1, 2} else m), "is True before", "write And(Ne(t, …)"),
    "is for Eq": (lambda: descent(Piecewise((g, t is ONE), (m, True))), "is False before", "write Eq(t, ONE)"),
    "an Eq with a complex infinity": (lambda: descent(Piecewise((0, Eq(g, zoo)), (m, True))), "is False", "finite(x)"),
    "an Eq by the name of its module": (
        lambda: descent(sympy.Piecewise((0, sympy.Eq(g, sympy.oo)), (m, True))),
        "is False",
        "write finite(x)",
    ),
    "a comparison with infinity": (lambda: descent(Piecewise((g, g < oo), (0, True))), "is True", "write finite(x)"),
    "an Eq with infinity": (lambda: descent(Piecewise((0, Eq(g, oo)), (g, True))), "is False", "write finite(x)"),
    "an Eq with no number": (lambda: descent(Piecewise((0, Eq(g, nan)), (g, True))), "is False", "write finite(x)"),
    "an if of Python": (lambda: descent(g if t == 1 else m), *DECIDED),
    "== in a lambda that is given the symbol": (lambda: descent((lambda g, t: g if t == 1 else m)(g, t)), *DECIDED),
    "== beside a lambda": (lambda: descent((lambda t: t)(g) if t == 1 else m), *DECIDED),
    # What is no number at all.
    "a tuple": (lambda: (Let(theta.next, (g, theta)),), *NO_SCALAR),
    "a Tuple": (lambda: (Let(theta.next, Tuple(g, theta)),), *NO_SCALAR),
    "a list": (lambda: (Let(theta.next, [g, theta]),), *NO_SCALAR),
    "a set": (lambda: (Let(theta.next, {g}),), *NO_SCALAR),
    "a FiniteSet": (lambda: (Let(theta.next, FiniteSet(g)),), *NO_SCALAR),
    "a dict": (lambda: (Let(theta.next, {g: theta}),), *NO_SCALAR),
    "None": (lambda: (Let(theta.next, None),), *NO_SCALAR),
    "bytes": (lambda: (Let(theta.next, b"1"),), *NO_SCALAR),
    "a matrix": (lambda: (Let(theta.next, Matrix([g])),), *NO_SCALAR),
    "an array of NumPy": (lambda: descent(g * np.array([1.0, 2.0])), *NO_SCALAR),
    "an array of NumPy on the left": (lambda: (Let(theta.next, np.array([1.0, 2.0]) * g),), *NO_SCALAR),
    "a matrix symbol": (lambda: (Let(theta.next, MatrixSymbol("M", 2, 2)),), *NO_SCALAR),
    "an element of a matrix": (lambda: descent(MatrixSymbol("M", 2, 2)[0, 0]), *NO_SCALAR),
    "a trace": (lambda: descent(Trace(MatrixSymbol("M", 2, 2))), *NO_SCALAR),
    "an element of an array": (lambda: descent(IndexedBase("A")[i]), *NO_SCALAR),
    "an array with indices": (lambda: descent(IndexedBase("A")), *NO_SCALAR),
    "a noncommutative symbol": (
        lambda: descent(Symbol("k", commutative=False) * g),
        "unknown symbol `k`",
        "declare it",
    ),
    "a polynomial": (lambda: (Let(theta.next, Poly(g**2, g)),), *NO_SCALAR),
    "a function of SymPy": (lambda: (Let(theta.next, Lambda(x, x**2)),), *NO_SCALAR),
    "a class of functions": (lambda: (Let(theta.next, sin),), *NO_SCALAR),
    "a type": (lambda: (Let(theta.next, int),), "which SymPy cannot read", "build the right-hand side"),
    "an object": (lambda: (Let(theta.next, object()),), "which SymPy cannot read", "build the right-hand side"),
    "text": (lambda: (Let(theta.next, "theta - g"),), "which SymPy cannot read", "build the right-hand side"),
    "a total of a pair": (lambda: descent(TensorSum((g, theta))), *NO_SCALAR),
    "text for a start": (lambda: start("0"), "which SymPy cannot read", "write a number"),
    "None for a start": (lambda: start(None), *NO_SCALAR),
    "an array for a start": (lambda: start(np.zeros(3)), *NO_SCALAR),
    "text for a default": (lambda: rate("rate", "0.1"), "which SymPy cannot read", "write a number"),
    "None for a default": (lambda: rate("rate", None), "is no number", "write a number"),
    "an array for a default": (lambda: rate("rate", np.zeros(2)), "is no number", "write a number"),
    "a symbol for a default": (lambda: rate("rate", theta), "goes by `theta`, no hyperparameter", "write a number"),
    # What is not worked out.
    "an integral": (lambda: descent(Integral(g**2, g)), "is not worked out", ".doit()"),
    "a definite integral": (lambda: descent(Integral(x**2, (x, 0, 1)) * g), "is not worked out", ".doit()"),
    "a derivative": (lambda: descent(Derivative(g**2, g)), "is not worked out", ".doit()"),
    "a derivative of a function": (lambda: descent(Derivative(f(g), g)), "is not worked out", ".doit()"),
    "a sum": (lambda: descent(Sum(g**i, (i, 0, 3))), "is not worked out", ".doit()"),
    "a product": (lambda: descent(Product(g**i, (i, 1, 3))), "is not worked out", ".doit()"),
    "a limit": (lambda: descent(Limit(sin(g) / g, g, 0)), "is not worked out", ".doit()"),
    "a substitution": (lambda: descent(Subs(f(x) * g, x, theta)), "is not worked out", ".doit()"),
    "a function without a definition": (lambda: descent(f(g)), "no printer for `f`", "define it, def f(x)"),
    "an order": (lambda: descent(g + O(g**2)), *NO_SCALAR),
    # Functions that no target has.
    "gamma": (lambda: descent(gamma(g)), *UNKNOWN),
    "factorial": (lambda: descent(factorial(t) * g), *UNKNOWN),
    "binomial": (lambda: descent(binomial(t, 2) * g), *UNKNOWN),
    "loggamma": (lambda: descent(loggamma(t) * g), *UNKNOWN),
    "beta": (lambda: descent(beta(t, 2) * g), "there is no printer for", "use sums"),
    "fibonacci": (lambda: descent(fibonacci(t) * g), *UNKNOWN),
    "a Bessel function": (lambda: descent(besselj(0, g)), *UNKNOWN),
    "Lambert's function": (lambda: descent(LambertW(g)), *UNKNOWN),
    "Dirac's function": (lambda: descent(DiracDelta(g)), *UNKNOWN),
    "a polar number": (lambda: descent(polar_lift(g)), *UNKNOWN),
    "a conjugate": (lambda: descent(conjugate(sqrt(g))), *UNKNOWN),
    "an argument": (lambda: descent(arg(g)), "no printer for `arg`", "write atan2(0, g)"),
    "Heaviside's function": (lambda: descent(Heaviside(g)), "no printer", "write Piecewise((0, g < 0)"),
    "a fraction's part": (lambda: descent(frac(g)), "no printer for `frac`", "write g - floor(g)"),
    "sinh": (lambda: descent(sinh(g)), "no printer for `sinh`", "write exp(g)/2 - exp(-g)/2"),
    "cosh": (lambda: descent(cosh(g)), "no printer for `cosh`", "write exp(g)/2 + exp(-g)/2"),
    "atan": (lambda: descent(atan(g)), "no printer for `atan`", "Let(below, 1), and write atan2(g, below)"),
    "atan2, which SymPy makes atan of": (
        lambda: descent(atan2(g, Abs(theta) + 1)),
        "no printer for `atan`",
        "Let(below, Abs(theta) + 1), and write atan2(g, below)",
    ),
    "acos": (lambda: descent(acos(g)), "no printer for `acos`", "write atan2(sqrt(1 - g**2), g)"),
    "cot": (lambda: descent(cot(g)), "no printer for `cot`", "write cos(g)/sin(g)"),
    "sec": (lambda: descent(sec(g)), "no printer for `sec`", "write 1/cos(g)"),
    "sinc": (lambda: descent(sinc(g)), "no printer for `sinc`", "write Piecewise((sin(g)/g, Ne(g, 0)), (1, True))"),
    "erfc": (lambda: descent(erfc(g)), "no printer for `erfc`", "write 1 - erf(g)"),
    "Kronecker's function": (lambda: descent(KroneckerDelta(t, 1) * g), "no printer", "write Piecewise((0, Ne(t, 1))"),
    "a root of a polynomial": (
        lambda: descent(rootof(x**5 - x - 1, 0) * g),
        "no printer for `ComplexRootOf`",
        "use sums",
    ),
    "what is kept unevaluated": (lambda: descent(UnevaluatedExpr(g)), *UNKNOWN),
    # Symbols and names.
    "a symbol of the language's name": (lambda: descent(Symbol("g")), "unknown symbol `g`", "from optgen import g"),
    "a symbol of a hyperparameter's name": (lambda: descent(Symbol("eps") * g), "unknown", "from optgen.hypers import"),
    "a symbol that is nearly one": (lambda: descent(Symbol("beta_1") * g), "unknown symbol", "did you mean beta1"),
    "a dummy": (lambda: descent(Dummy("k") * g), "unknown symbol", "declare it"),
    "text in a total": (lambda: descent(TensorSum("g")), "of expressions, not of 'g'", "from optgen import g"),
    "a hyperparameter without a name": (lambda: rate("", 0.1), "cannot name a variable", "use a Python identifier"),
    "a number for a name": (lambda: rate(3, 0.1), "expected text, got 3", "write it in quotes"),
    "None for a name": (lambda: (Let(local(None), g), DESCENT), "expected text, got None", "write it in quotes"),
    "a list of names": (lambda: (Let(state(["m", "v"])[0].next, g), DESCENT), "expected text", '"m v" for the names'),
    "no name": (lambda: (Let(state("").next, g), DESCENT), "names nothing", 'write state("m")'),
    "a keyword": (lambda: rate("lambda", 0.1), "`lambda` cannot name a variable", "call it `lambda_`"),
    "a dash in a name": (lambda: (Let(state("m-1").next, g), DESCENT), "cannot name a variable", "use a Python"),
    "a name without end": (lambda: (Let(local("a" * 300), g), DESCENT), "cannot name a variable", "use a Python"),
    "a number for a meaning": (lambda: rate("rate", 1, S.Reals, 3), "meaning: expected text", "write it in quotes"),
    "a domain that is a pair": (lambda: rate("rate", 1, (0, 1)), "the domain (0, 1)", "use an Interval"),
    "a domain that is a range": (lambda: rate("rate", 1, range(6)), "the domain range(0, 6)", "use an Interval"),
    "a domain with a symbol": (lambda: rate("rate", 1, Interval(0, beta1)), "is not supported", "use an Interval"),
    "a domain with an unknown end": (lambda: rate("rate", 2, Range(0, i)), "is not supported", "use an Interval"),
    "a domain with gaps": (
        lambda: rate("rate", 2, Range(2, 8, 2)),
        "the domain Range(2, 8, 2)",
        "2 + 2*rate with rate in Range(0, 3)",
    ),
    "a domain of some numbers": (lambda: rate("rate", 2, FiniteSet(1, 2)), "the domain {1, 2}", "are its ends"),
    "a range that is empty": (lambda: rate("rate", 1, Range(4, 1)), "is not supported", "use an Interval"),
    "a default that is divided by 0": (lambda: rate("rate", 1 / (lr - 0.001)), NOT_FINITE, "choose a default"),
    "a default that is a remainder by 0": (lambda: rate("rate", Mod(1, lr - 0.001)), NOT_FINITE, "choose a default"),
    "a default that is complex": (lambda: rate("rate", log(-lr)), NOT_FINITE, "choose a default"),
    "a default that lr makes large": (lambda: rate("rate", exp(10**6 * lr)), LARGE, "choose a default"),
    "a default of a function that no target has": (lambda: rate("rate", gamma(lr)), *UNKNOWN),
    "a default that is not worked out": (lambda: rate("rate", Integral(x, (x, 0, lr))), "is not worked out", ".doit()"),
    "a default without an end": (
        lambda: rate("rate", Piecewise((1, lr < 0.5))),
        "the default of `rate`: a Piecewise does not end in True",
        "end it with (value, True)",
    ),
    "a default with a large number": (lambda: rate("rate", 10**400 * lr), LARGE, "scale"),
    "a domain that is empty": (lambda: rate("rate", 1, S.EmptySet), "is not supported", "use an Interval"),
    # Targets and steps.
    "a target that is a number": (lambda: (Let(3, g), DESCENT), "`3` cannot be assigned", "assign a local"),
    "a target that is a list": (lambda: (Let([m.next], g), DESCENT), "cannot be assigned", "assign a local"),
    "a target that is an array": (lambda: (Let(np.zeros(2), g), DESCENT), "cannot be assigned", "assign a local"),
    "a target that is an extent": (lambda: (Let(numel, g), DESCENT), "`numel` cannot be assigned", "assign a local"),
    "no step": (lambda: None, "step is None, no tuple of equations", "write step=("),
    "a step that is a number": (lambda: 3, "step is 3, no tuple of equations", "write step=("),
    "a step that is text": (lambda: "theta - g", "step is theta - g, no tuple", "write step=("),
    "a step that is a dict": (lambda: {theta.next: g}, "no tuple of equations", "write step=("),
    "a step that is a set": (lambda: {DESCENT}, "no tuple of equations", "write step=("),
    "a step in a step": (lambda: ((DESCENT,),), "which is no equation", "write Let(target, value)"),
    "a pair": (lambda: ((theta.next, theta - g),), "which is no equation", "write Let(target, value)"),
    "a class in the step": (lambda: (Let,), "which is no equation", "write Let(target, value)"),
}
"""What is written, what is said of it, and what is to be written instead."""


def built(step):
    """The texts of a rule for both targets."""
    rule = Optimizer("rule", title="Rule", step=step)
    return [pipeline.source(rule, target, Origin("0", "a test", "0")) for target in TARGETS.values()]


@pytest.mark.filterwarnings("ignore::sympy.utilities.exceptions.SymPyDeprecationWarning")  # of sums with True
@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_in_words(what):
    make, said, fix = REFUSED[what]
    with pytest.raises(SpecError) as refusal:
        built(make())
    message = str(refusal.value)
    assert said in message
    assert fix in message
    assert "test_odd_inputs.py" in message
    assert len(message) < 1500
    assert "bug in optgen" not in message


def _sine_of_10_to_400():
    with mpmath.workdps(450):
        return mpmath.sin(mpmath.mpf(10) ** 400)


G, THETA, RATE = 0.75, -1.5, 0.5
COMPILED = {
    "two sums that cancel": (lambda: (Let(s.next, Add(g, Mul(-1, g, evaluate=False), evaluate=False)), DESCENT), G),
    "the same twice": (lambda: descent(Add(g, g, evaluate=False)), 2 * G),
    "numbers side by side": (lambda: descent(Add(1, 2, g, evaluate=False)), 3 + G),
    "factors side by side": (lambda: descent(Mul(2, 3, g, evaluate=False)), 6 * G),
    "a sign twice": (lambda: descent(Mul(-1, Mul(-1, g, evaluate=False), evaluate=False)), G),
    "a power of one": (lambda: descent(Pow(g, 1, evaluate=False)), G),
    "a power of zero": (lambda: descent(Pow(g, 0, evaluate=False)), 1.0),
    "zero to zero": (lambda: descent(Pow(0, 0, evaluate=False) * g), G),
    # Names of a function of Python's within the call are its own.
    "a lambda with symbols' names": (lambda: descent((lambda g, t: g if t == 1 else 2 * g)(g, 1)), G),
    "one in a Piecewise": (
        lambda: descent(Piecewise((g, (lambda g, t: g > 0 if t == 1 else g < 0)(g, 1)), (0, True))),
        G,
    ),
    "a symbol among symbols": (lambda: descent(g if g in (g, m) and m not in [g] else m), G),
    "a symbol that is there": (lambda: descent(g if m is not None else m), G),
    "one whose name is taken again": (lambda: descent((lambda t: sum(g for t in (1, 2) if t == 1))(t)), G),
    "a choice of cases": (
        lambda: descent(Piecewise(*((t * g, g > t) if t == 1 else (g, g > t) for t in (2, 1, 0)), (0, True))),
        G,
    ),
    "a sign of a number": (lambda: descent(Abs(-2, evaluate=False) * g), 2 * G),
    "a cosine of pi": (lambda: descent(cos(pi, evaluate=False) * g), -G),
    "an angle of what has a name": (
        lambda: (Let(below, Abs(theta) + 1), *descent(atan2(g, below))),
        float(np.arctan2(G, 1 + abs(THETA))),
    ),
    "an angle of one that has a name": (lambda: (Let(below, 1), *descent(atan2(g, below))), float(np.arctan(G))),
    "a maximum of one": (lambda: descent(Max(g, evaluate=False)), G),
    "a maximum of numbers": (lambda: descent(Max(1, 2, g, evaluate=False)), 2.0),
    "a minimum with infinity": (lambda: descent(Min(g, oo)), G),
    "an exponential of large numbers": (lambda: descent(exp(800) / exp(799) * g), float(np.e) * G),
    "a quotient of large numbers": (lambda: descent(g * Rational(3 * 10**400 + 1, 10**400)), 3 * G),
    "numbers that cancel": (lambda: descent((sqrt(2) - Rational(14142135, 10**7)) * g), 6.237309504880169e-08 * G),
    "a sine of what is no float64": (lambda: descent(sin(10**22 + 1) * g), float(mpmath.sin(10**22 + 1)) * G),
    "a sine of a large number": (lambda: descent(sin(Integer(10) ** 400) * g), float(_sine_of_10_to_400()) * G),
    "a logarithm of a large number": (lambda: descent(log(Integer(10) ** 400 + 1) * g), 921.0340371976183 * G),
    "a number of zeta": (lambda: descent(zeta(3) * g), 1.2020569031595942 * G),
    "a number of gamma": (lambda: descent(gamma(Rational(1, 3)) * g), 2.678938534707747 * G),
    "a Bessel function of a number": (lambda: descent(besselj(0, 1) * g), 0.7651976865579666 * G),
    "numbers that cancel, times others": (
        lambda: descent(10**7 * (sqrt(2) - Rational(14142135, 10**7)) * g * 2),
        1.2474619009760336 * G,
    ),
    "pi and e": (lambda: descent((pi + E) * g), 5.859874482048838 * G),
    "constants of mathematics": (
        lambda: descent((GoldenRatio * Catalan) * g),
        1.618033988749895 * 0.915965594177219 * G,
    ),
    "a real root": (lambda: descent(real_root(-8, 3) * g), -2 * G),
    "a real root of an element": (lambda: descent(real_root(g, 3)), G ** (1 / 3)),
    "an imaginary unit squared": (lambda: descent(I**2 * g), -G),
    "a real part": (lambda: descent(re(g)), G),
    "the sign of the step": (lambda: descent(Integer(-1) ** t * g), -G),
    "a float32 of NumPy": (lambda: descent(g * np.float32(0.1)), 0.1 * G),
    "a float16 of NumPy": (lambda: descent(g * np.float16(0.1)), 0.1 * G),
    "a float64 of NumPy": (lambda: descent(np.float64(0.1) * g), 0.1 * G),
    "an integer of NumPy": (lambda: descent(np.int64(3) * g), 3 * G),
    "an array of NumPy of no dimensions": (lambda: descent(g * np.array(2.0)), 2 * G),
    "a decimal": (lambda: descent(g * Decimal("0.1")), 0.1 * G),
    "a fraction": (lambda: descent(Fraction(1, 3) * g), G / 3),
    "a number of mpmath": (lambda: descent(g * mpmath.mpf("0.1")), 0.1 * G),
    "a decimal of 30 digits": (lambda: descent(g * N("1/3", 30)), G / 3),
    "a subclass of int": (lambda: descent(g * Whole(3)), 3 * G),
    "a whole number of a field": (lambda: descent(FF(7)(3) * g), 3 * G),
    "a complex number that is real": (lambda: descent(g * (2 + 0j)), 2 * G),
    "a derivative worked out": (lambda: descent(diff(g**2, g)), 2 * G),
    "a function applied": (lambda: descent(Lambda(x, x**2)(g)), G**2),
    "one of two": (lambda: choice(Xor(g > 0, theta > 0)), G),
    "not both": (lambda: choice(Nand(g > 0, theta < 0)), THETA),
    "an implication": (lambda: choice(Implies(g > 0, theta > 0)), THETA),
    "an equivalence": (lambda: choice(Equivalent(g > 0, theta > 0)), THETA),
    "conditions compared": (lambda: choice(Eq(g > 0, theta > 0)), THETA),
    "conditions told apart": (lambda: choice(Ne(g > 0, theta > 0)), G),
    "a condition that is True": (lambda: choice(Eq(g > 0, True)), G),
    "a choice of conditions": (lambda: choice(ITE(g > 0, theta > 0, theta < 0)), THETA),
    "not equal": (lambda: choice(Not(Eq(g, 0))), G),
    "not and": (lambda: choice(Not(And(g > 0, theta > 0))), G),
    "a comparison with a choice": (lambda: choice(Lt(Piecewise((g, g > 0), (1, True)), 1)), G),
    "equal elements": (lambda: choice(Eq(g, -theta / 2)), G),
    "a remainder by a negative number": (lambda: descent(Mod(g, -2)), G - 2),
    "zero to an element": (lambda: descent(S.Zero**g), 0.0),
    "numbers compared": (lambda: choice(sqrt(2) > 1), G),
    "1 for True": (lambda: descent(Piecewise((g, 1), (theta, True))), G),
    "an even power": (lambda: descent(g**1000), G**1000),
    "a limit of pi": (lambda: choice(g < pi**20), G),
    "a hyperparameter for a small number": (lambda: descent(g / (Abs(g) + hyper("tiny", 1e-300))), 1.0),
    "a generator of equations": (lambda: iter(descent(g)), G),
}
"""What is written, and what it comes to where g = 3/4, theta = -3/2 and lr = 1/2, times -lr."""


@pytest.mark.parametrize("what", COMPILED)
def test_it_is_compiled_to_what_it_means(what):
    make, expected = COMPILED[what]
    cpu, cuda = built(make())
    assert "cuda" in cuda
    names = {}
    exec(compile(cpu, "odd", "exec"), names)  # noqa: S102
    scalars, update = names["scalars"].py_func, names["update"].py_func
    hypers = [h.default if name != "lr" else RATE for name, h in names["PROGRAM"].hypers.items()]
    states = [0.0 for _ in names["PROGRAM"].states]
    old = {"theta": np.float64(THETA), "g": np.float64(G)}
    taken = update.__code__.co_varnames[: update.__code__.co_argcount]
    given = dict(zip([*names["PROGRAM"].states], states, strict=True)) | old
    computed = iter(scalars(1.0, *hypers))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new = update(*(given[name] if name in given else next(computed) for name in taken))
    new = new[0] if isinstance(new, tuple) else new
    assert new == pytest.approx(THETA - RATE * expected, rel=1e-15)


RULE = Optimizer("rule", title="Rule", step=(Let(m.next, beta1 * m + g), Let(theta.next, theta - lr * m.next)))
OPTIONS = {
    "text": (lambda: l2(RULE, "x"), "l2(rule): weight_decay is 'x', no number", "write it in t and hyperparameters"),
    "None": (lambda: l2(RULE, None), "l2(rule): weight_decay is None, no number", "write it in t and hyperparameters"),
    "a condition": (lambda: scheduled(RULE, lr=t > 3), "scheduled(rule): lr is t > 3, no expression", "write it in t"),
    "True": (lambda: clip_value(RULE, True), "clip_value(rule): limit is True, no number", "write it in t"),
    "an array": (lambda: l2(RULE, np.zeros(2)), "no number", "write it in t"),
    "a function of Python": (
        lambda: scheduled(RULE, lr=lambda step: step),
        "scheduled(rule): lr is <function",
        "write it in t",
    ),
    "no mapping": (lambda: scheduled(RULE, 3), "it is given int, but not for which hyperparameter", "name it: lr=…"),
    "a period of nothing": (lambda: lookahead(RULE, 0), "lookahead(rule)", "fix  "),
    "infinity": (lambda: l2(RULE, oo), NOT_FINITE, "look for"),
    "a large number": (lambda: l2(RULE, 10**400), LARGE, "scale"),
    "a small number": (lambda: l2(RULE, 1e-300), SINGLE, "write a hyperparameter"),
    "claims that are one": (lambda: claimed(Bounded(theta.next, low=0)), "no tuple of claims", "write properties=("),
    "claims that are none": (lambda: claimed(None), "properties is None, no tuple of claims", "write properties=("),
    "a claim of text": (lambda: claimed((Bounded(theta.next, low="x"),)), "cannot be read", "give Bounded symbols"),
    "a claim of a list": (lambda: claimed((Invariant([g]),)), "cannot be read", "give Invariant symbols"),
    "a claim of a name": (lambda: claimed((EqualTo("adam"),)), "cannot be read", "give EqualTo symbols"),
    "a reference": (
        lambda: Optimizer("rule", "Rule", (DESCENT,), reference=3),
        "the reference is 3, no text",
        "quotes",
    ),
    "a description": (lambda: Schedule("fall", lr, description=None), "the description is None, no text", "quotes"),
    "equations of a schedule": (lambda: Schedule("fall", lr, where=3), "where is 3, no tuple", "write where=("),
    "a schedule of infinity": (lambda: Schedule("fall", lr * oo), NOT_FINITE, "look for"),
    "a schedule of a large number": (lambda: Schedule("fall", lr * 10**400), LARGE, "scale"),
    "a schedule of text": (lambda: Schedule("fall", "lr"), "which SymPy cannot read", "build the right-hand side"),
    "a schedule of True": (lambda: Schedule("fall", True), "the value is a truth value", "write Piecewise"),
}


def claimed(properties):
    return Optimizer("rule", title="Rule", step=(DESCENT,), properties=properties)


@pytest.mark.parametrize("what", OPTIONS)
def test_options_of_wrappers_claims_and_schedules_are_refused_in_words(what):
    make, said, fix = OPTIONS[what]
    with pytest.raises(SpecError) as refusal:
        make()
    message = str(refusal.value)
    assert said in message
    assert fix in message
    assert "test_odd_inputs.py" in message


def test_a_small_number_can_stand_beside_what_is_float64_always():
    assert built(descent(g / (Norm(g) + 1e-300)))
    assert built((Let(local("rate"), lr * 1e-300), *descent(g * local("rate"))))
    assert schedules.source(Schedule("fall", lr * 1e-300), Origin("0", "a test", "0"))


@pytest.mark.parametrize("make", [lambda: oo * g, lambda: Add(True, g), lambda: Mul(S.false, g), lambda: 10**400 * g])
@pytest.mark.filterwarnings("ignore::sympy.utilities.exceptions.SymPyDeprecationWarning")
def test_problems_can_be_printed_whatever_the_equation_is(make):
    with pytest.raises(SpecError, match="    in   theta"):
        built((Let(theta.next, make()),))
