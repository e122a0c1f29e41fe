"""Sums keep the order and the parentheses in which they are written, from the spec to the text of a kernel."""

import copy
import pickle

import pytest
from sympy import Abs, Add, Function, Max, Piecewise, exp, sqrt

from optgen import Let, Optimizer, TensorSum, g, local, state, t, theta
from optgen.hypers import beta1, eps, lr, weight_decay
from optgen.language.latex import tex
from optgen.language.sums import InOrder, replaced, settled
from optgen.language.symbols import algebraic, exact
from optgen.language.text import text
from optgen.pipeline import kernel_of

m, v, e = state("m v e")
a, b, c, d = local("a b c d")

WRITTEN = {
    "a compensation": ((theta.next - theta) - a, "theta' - theta - a"),
    "a product added": (theta.next - theta + lr * g, "theta' - theta + lr*g"),
    "what TwoSum loses": ((a - (c - b)) + (d - b), "a - (c - b) + (d - b)"),
    "what FastTwoSum loses": (b - (c - a), "b - (c - a)"),
    "products": (a * b - c * d + v, "a*b - c*d + v"),
    "products alone": (a * b + c * d + m * v, "a*b + c*d + m*v"),
    "powers": (a**2 + b**2 + c**2, "a**2 + b**2 + c**2"),
    "quotients": (a / b + c / d - m / v, "a/b + c/d - m/v"),
    "functions after a symbol": (a + exp(b) - Abs(c), "a + exp(b) - Abs(c)"),
    "functions before one": (sqrt(a) + sqrt(b) - a, "sqrt(a) + sqrt(b) - a"),
    "what is nothing": ((a + b) - a, "a + b - a"),
    "a sum of sums": ((a + b) + (c + d), "a + b + (c + d)"),
    "a sum taken away": (a - (b + c), "a - (b + c)"),
    "a difference taken away": (a - (b - c) - d, "a - (b - c) - d"),
    "a sum with the other sign": (-(a + b + c), "-(a + b + c)"),
    "numbers first": (1 - a - b, "1 - a - b"),
    "numbers last": (a + 1 + b + 2, "a + 1 + b + 2"),
    "a number times a sum": (3 * (a + b) - c, "3*(a + b) - c"),
    "a sum divided": ((a + b + c) / 3, "(a + b + c)/3"),
    "Python's sum": (sum([a, b, c, a * b]), "a + b + c + a*b"),
    "a sum in a function": (Max(a - b + c, 0), "max(a - b + c, 0)"),
    "a choice of sums": (Piecewise((a - b + c, t > 1), (c - b + a, True)), "a - b + c if t > 1 else c - b + a"),
    "a total": (TensorSum(a - b + c), "TensorSum(a - b + c)"),
    "in words of its own": (InOrder(exp(a), exp(b), -exp(c)), "exp(a) + exp(b) - exp(c)"),
}


@pytest.mark.parametrize("what", WRITTEN)
def test_a_sum_reads_as_it_was_written(what):
    expression, written = WRITTEN[what]
    assert text(exact(expression)) == written


@pytest.mark.parametrize("what", WRITTEN)
def test_a_sum_is_the_plain_one_for_algebra_and_survives_copies(what):
    expression = exact(WRITTEN[what][0])
    assert not algebraic(expression).has(InOrder)
    for twin in (pickle.loads(pickle.dumps(expression)), copy.deepcopy(expression)):  # noqa: S301
        assert (twin, hash(twin)) == (expression, hash(expression))
    assert tex(expression)


def test_two_terms_have_no_order():
    assert exact(a + b) == exact(b + a) == Add(a, b)
    assert exact(a + b - c) == exact(b + a - c)
    assert exact(a + b - c) != exact(a - c + b)


def test_a_long_sum_is_no_deep_one():
    terms = [local(f"x_{k}") for k in range(1000)]
    assert exact(sum(terms)).args[2:] == tuple(terms[2:])


def test_what_is_put_into_a_sum_stays_whole():
    assert text(replaced(exact(a - b), {b: exact(c + d)})) == "a - (c + d)"


def test_sums_of_the_host_are_plain():
    step = (Let(a, 1 - lr - eps), Let(theta.next, theta - a * g - (beta1 - lr + eps) * m), Let(m.next, g))
    kernel = kernel_of(Optimizer("rule", "Rule", step))
    assert not any(assign.value.has(InOrder) for assign in kernel.scalars)


KERNELS = {
    "Kahan": (
        [Let(a, -lr * g - e), Let(theta.next, theta + a), Let(e.next, (theta.next - theta) - a)],
        ["a = fma(-lr, g, -e)", "theta' = theta + a", "e' = theta' - theta - a"],
    ),
    "TwoSum": (
        [
            Let(a, theta + g),
            Let(b, a - theta),
            Let(e.next, e + ((theta - (a - b)) + (g - b))),
            Let(theta.next, a),
        ],
        ["a = theta + g", "b = a - theta", "e' = e + (theta - (a - b) + (g - b))", "theta' = a"],
    ),
    "a product that is rounded first": (
        [Let(a, lr * g), Let(theta.next, theta - a), Let(e.next, (theta - theta.next) - a)],
        ["a = times(lr, g)", "theta' = theta - a", "e' = theta - theta' - a"],
    ),
    "scalars among elements": (
        [Let(theta.next, theta - lr - lr * weight_decay), Let(e.next, lr - weight_decay - theta)],
        ["theta' = theta - lr - c0", "e' = c1 - theta"],
    ),
    "factors in common": (
        [Let(theta.next, theta - lr * m - lr * g), Let(m.next, (g - lr * weight_decay * theta) + lr * theta)],
        ["m' = fma(lr, theta, fma(-c0, theta, g))", "theta' = fma(-lr, g, fma(-lr, m, theta))"],
    ),
}


@pytest.mark.parametrize("what", KERNELS)
def test_no_pass_takes_a_sum_apart(what):
    step, written = KERNELS[what]
    (branch,) = kernel_of(Optimizer("rule", "Rule", tuple(step))).branches
    assert sorted(map(str, branch.sweeps[0].body)) == sorted(written)


def test_functions_are_evaluated_where_they_are_written_and_nowhere_again():
    asked = []

    class heard(Function):  # noqa: N801 - SymPy's functions are lower-case
        nargs = 1

        @classmethod
        def eval(cls, argument):
            asked.append(argument)

    value = settled(heard(theta / 3 + g) * g)
    assert value == heard(theta / 3 + g, evaluate=False) * g
    assert len(asked) == 1
