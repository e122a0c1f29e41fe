"""Every rule of the language: what is refused, and what the message says."""

import pytest
from sympy import Eq, Function, Interval, Piecewise, S, Symbol, gamma, log, oo, sqrt

import optgen
from optgen import (
    ELEM,
    MODEL,
    STEP,
    TENSOR,
    Let,
    ModelNorm,
    Optimizer,
    RowMean,
    SpecError,
    TensorSum,
    g,
    hyper,
    local,
    normal,
    state,
    t,
    theta,
)
from optgen.hypers import beta1, eps, lr, seed

m, v = state("m v")
a, b = local("a b")
DESCENT = Let(theta.next, theta - lr * g)


def optimizer(*step, name="rule", title="Rule"):
    return Optimizer(name, title=title, step=step)


REFUSED = {
    "an unknown symbol": (
        [Let(theta.next, theta - Symbol("step_length") * g)],
        "unknown symbol `step_length`",
        "theta' = theta - step_length*g",
        'step_length = hyper("step_length"',
    ),
    "two updates of one target": (
        [Let(m.next, g), Let(m.next, m + g), Let(theta.next, theta - m.next)],
        "`m'` is given twice",
        "m' = m + g",
        "keep one of the two equations",
    ),
    "a missing theta.next": ([Let(m.next, m + g)], "theta is never updated", None, "add Let(theta.next, theta - …)"),
    "a cycle": (
        [Let(a, b + g), Let(b, a - g), Let(theta.next, theta - a)],
        "the equations need each other: ",
        "",
        "use the old value (without .next)",
    ),
    "a cycle of one": (
        [Let(m.next, m.next / 2 + g), Let(theta.next, theta - m.next)],
        "m' needs m'",
        "m' = m'/2 + g",
        "use the old value (without .next)",
    ),
    "a state never updated": (
        [Let(theta.next, theta - lr * m)],
        "state `m` is never updated",
        "theta' = theta - lr*m",
        "add Let(m.next, …)",
    ),
    "a state whose new value is used but never given": (
        [Let(theta.next, theta - lr * m.next)],
        "state `m` is never updated",
        "theta' = theta - lr*m'",
        "add Let(m.next, …)",
    ),
    "an unused local": ([Let(a, g), DESCENT], "local `a` is never used", "a = g", "take its equation out"),
    "a local without equation": (
        [Let(theta.next, theta - a)],
        "local `a` has no equation",
        "theta' = theta - a",
        "add Let(a, …)",
    ),
    "a name that Python hides in classes": (
        [Let(local("_u"), g), Let(theta.next, theta - local("_u"))],
        "the name `_u` is reserved",
        "_u = g",
        "call it `u_`",
    ),
    "the name of a new value": (
        [Let(m.next, g), Let(local("m_next"), m.next), Let(theta.next, theta - local("m_next"))],
        "the name `m_next` is reserved: generated code calls `m.next` so",
        "m_next = m'",
        "call it `m_next_`",
    ),
    "a Piecewise without a final True": (
        [Let(theta.next, Piecewise((theta - lr * g, Eq(t, 1))))],
        "a Piecewise does not end in True",
        "theta' = ",
        "end it with (value, True)",
    ),
    "a Python keyword": (
        [Let(theta.next, theta - hyper("lambda", 1.0) * g)],
        "`lambda` cannot name a variable",
        "theta' = theta - lambda*g",
        "call it `lambda_`",
    ),
    "a name that is no identifier": (
        [Let(theta.next, theta - hyper("learning-rate", 1.0) * g)],
        "`learning-rate` cannot name a variable",
        "theta' = ",
        "use a Python identifier",
    ),
    "one name for two things": (
        [Let(theta.next, theta - lr * g * state("lr")), Let(state("lr").next, g)],
        "two different symbols are called `lr`",
        "theta' = ",
        "give one of them another name",
    ),
    "two defaults of one hyperparameter": (
        [Let(m.next, lr.with_default(0.5) * g), Let(theta.next, theta - lr * m.next)],
        "two different symbols are called `lr`",
        "theta' = ",
        "one default in one optimizer",
    ),
    "a default outside its domain": (
        [Let(theta.next, theta - hyper("rate", 2.0, Interval(0, 1)) * g)],
        "the default 2 of `rate` is outside its own domain [0, 1]",
        "theta' = theta - rate*g",
        "choose a default in [0, 1]",
    ),
    "a default at an open end": (
        [Let(theta.next, theta - beta1.with_default(1) * g)],
        "the default 1 of `beta1` is outside its own domain [0, 1)",
        "theta' = theta - beta1*g",
        "choose a default in [0, 1)",
    ),
    "a default that is no integer": (
        [Let(theta.next, theta - hyper("k", 1.5, S.Naturals) * g)],
        "the default 1.5 of `k` is outside its own domain the integers in [1, inf)",
        "theta' = theta - k*g",
        "choose a default",
    ),
    "a domain that is no interval": (
        [Let(theta.next, theta - hyper("rate", 1, S.Rationals) * g)],
        "the domain Rationals of `rate` is not supported",
        "theta' = theta - rate*g",
        "use an Interval",
    ),
    "an Eq in place of Let": (
        [Eq(theta.next, theta - lr * g)],
        "a SymPy Eq or a truth value",
        None,
        "write Let(target, value) in place of Eq(target, value)",
    ),
    "an Eq that SymPy has folded": ([Eq(theta, theta)], "the step holds True", None, "write Let(target, value)"),
    "something else in place of Let": ([(theta.next, g)], "which is no equation", None, "write Let(target, value)"),
    "a truth value for a value": (
        [Let(theta.next, g > 0)],
        "the value is a truth value",
        "theta' = g > 0",
        "Piecewise",
    ),
    "an assignment of an old value": (
        [Let(theta, theta - lr * g)],
        "`theta` is the old value",
        "theta = theta - lr*g",
        "write Let(theta.next, …)",
    ),
    "an assignment of a hyperparameter": (
        [Let(lr, lr / 2), DESCENT],
        "`lr` cannot be assigned",
        "lr = lr/2",
        "assign a local, a state's .next or theta.next",
    ),
    "a value that is not finite": ([Let(theta.next, theta - g / S.Zero)], "not a finite real number", "", "look for"),
    "an imaginary value": ([Let(theta.next, theta - sqrt(S(-1)) * g)], "not a finite real number", "", "negative root"),
    "an update that varies over more than its state": (
        [Let(state("n", space=TENSOR).next, g**2), DESCENT],
        "state `n` has one value a tensor, its update one an element",
        "n' = g**2",
        "reduce the update, with TensorMean say, or declare state('n') without a space",
    ),
    "an update of a whole that is larger than its state's": (
        [Let(state("n", space=MODEL).next, RowMean(g)), DESCENT],
        "state `n` has one value a model, its update one a row",
        "n' = RowMean(g)",
        "reduce the update, with ModelMean say, or declare state('n', space=ROW)",
    ),
    "an update of a number of the host that depends on the gradient": (
        [Let(state("n", space=STEP).next, ModelNorm(g)), DESCENT],
        "state `n` has one value a step, its update one a model",
        "n' = ModelNorm(g)",
        "declare state('n', space=MODEL)",
    ),
    "an unknown symbol in an init": (
        [Let(state("w", init=Symbol("w0")).next, state("w", init=Symbol("w0")) + g), DESCENT],
        "the init of state `w` has the symbol `w0`",
        "w' = w + g",
        "hyperparameters, theta and g",
    ),
    "a rule that does nothing": (
        [Let(theta.next, theta)],
        "nothing ever changes",
        None,
        "add Let(theta.next, theta - …)",
    ),
    "a local in an init": (
        [Let(a, g), Let(state("w", init=a).next, a), DESCENT],
        "the init of state `w` has the symbol `a`",
        "w' = a",
        "hyperparameters, theta and g",
    ),
    "an infinite init": ([Let(state("w", init=oo).next, g), DESCENT], "not a finite real number", "w' = g", "look for"),
    "a reduced state that starts from elements": (
        [Let(state("n", space=TENSOR, init=g).next, TensorSum(g)), DESCENT],
        "state `n` has one value a tensor, what it starts from one an element",
        "n' = TensorSum(g)",
        "reduce the init",
    ),
    "a name that Python rewrites": (
        [Let(theta.next, theta - hyper("\u00b5", 1.0) * g)],
        "cannot name a variable",
        "theta' = ",
        "use a Python identifier",
    ),
    "a default that is no number": (
        [Let(theta.next, theta - hyper("rate", lr) * g)],
        "the default lr of `rate` goes by `lr`, which is not in the equations",
        "theta' = theta - rate*g",
        "write a number",
    ),
    "a value that is no scalar": (
        [Let(theta.next, (theta, g))],
        "is no scalar expression",
        "",
        "write sums, products and functions",
    ),
    "no value": ([Let(theta.next, None)], "None is no scalar expression", "theta' = None", "write sums"),
    "a draw with a seed that is no hyperparameter": (
        [Let(theta.next, theta - normal(lr * g))],
        "the seed of `normal(lr*g)` is `lr*g`, no hyperparameter of whole numbers",
        "theta' = theta - normal(lr*g)",
        "write normal(seed), with seed from optgen.hypers",
    ),
    "a draw with a seed of any size": (
        [Let(theta.next, theta - normal(lr, 1))],
        "the seed of `normal(lr, 1)` is `lr`, no hyperparameter of whole numbers",
        "theta' = theta - normal(lr, 1)",
        "write normal(seed)",
    ),
    "a stream that is no number": (
        [Let(theta.next, theta - normal(seed, t))],
        "the stream of `normal(seed, t)` is `t`, no whole number from 0 to 65535",
        "theta' = theta - normal(seed, t)",
        "write a literal number: normal(seed, 1)",
    ),
    "a stream below 0": (
        [Let(theta.next, theta - normal(seed, -1))],
        "is `-1`, no whole number",
        "",
        "a literal number",
    ),
    "a stream that the counter has no room for": (
        [Let(theta.next, theta - normal(seed, 2**16))],
        "the stream of `normal(seed, 65536)` is `65536`, no whole number from 0 to 65535",
        "theta' = theta - normal(seed, 65536)",
        "a literal number",
    ),
    "a stream between two": (
        [Let(theta.next, theta - normal(seed, 0.5))],
        "is `1/2`, no whole number",
        "theta' = theta - normal(seed, 1/2)",
        "write a literal number",
    ),
    "a draw in an init": (
        [Let(state("w", init=normal(seed)).next, g), Let(theta.next, theta - state("w", init=normal(seed)))],
        "the init of state `w` has a draw, which belongs to a step",
        "w' = g",
        "draw in an update",
    ),
    "no equations": ([], "it has no equations", None, "write step="),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_with_the_equation_and_what_to_write_instead(what):
    step, problem, equation, fix = REFUSED[what]
    with pytest.raises(SpecError) as refusal:
        optimizer(*step)
    message = str(refusal.value)
    assert "optimizer 'rule'" in message
    assert problem in message
    assert fix in message
    assert equation is None or f"    in   {equation}" in message
    assert __file__ in message or "test_rules.py" in message


@pytest.mark.parametrize(
    ("name", "title", "complaint"),
    [
        ("Rule", "Rule", "cannot name a module"),
        ("my rule", "Rule", "cannot name a module"),
        ("class", "Rule", "cannot name a module"),
        ("rule", "my rule", "cannot name a class"),
        ("rule", "rule", "cannot name a class"),
        ("rule", "None", "cannot name a class"),
        ("__init__", "Rule", "cannot name a module"),
    ],
)
def test_names_that_cannot_name_modules_and_classes_are_refused(name, title, complaint):
    with pytest.raises(SpecError, match=complaint):
        optimizer(DESCENT, name=name, title=title)


def test_everything_that_is_wrong_is_reported_at_once():
    with pytest.raises(SpecError) as refusal:
        optimizer(Let(a, g), Let(b, g), DESCENT)
    assert [problem.what for problem in refusal.value.problems] == [
        "local `a` is never used",
        "local `b` is never used",
    ]


@pytest.mark.parametrize("value", [object(), "theta - lr*g"])
def test_a_value_that_is_not_built_from_symbols_is_refused(value):
    with pytest.raises(SpecError, match=r"the value of `theta'` is .*, which SymPy cannot read"):
        Let(theta.next, value)


def test_a_missing_comma_is_pointed_out():
    with pytest.raises(SpecError, match="write a comma after it"):
        Optimizer("rule", title="Rule", step=(DESCENT))


def test_a_function_in_an_init_is_refused_when_it_is_built():
    w = state("w", init=gamma(g))
    with pytest.raises(SpecError, match="there is no printer for `gamma`"):
        optgen.compile(optimizer(Let(w.next, w + g), DESCENT))


def test_conditions_that_make_too_many_branches_are_refused_when_it_is_built():
    step = [Let(theta.next, theta - sum(Piecewise((g, hyper(f"h{k}", 1) > 0), (g**2, True)) for k in range(7)))]
    with pytest.raises(SpecError, match="make more than 32 branches, as many as there can be"):
        optgen.compile(optimizer(*step))


@pytest.mark.parametrize("function", [gamma, Function("mystery")])
def test_a_function_without_a_printer_is_refused_when_it_is_built(function):
    rule = optimizer(Let(theta.next, theta - lr * function(g)))
    with pytest.raises(SpecError) as refusal:
        optgen.compile(rule)
    message = str(refusal.value)
    assert f"there is no printer for `{function.__name__}`" in message
    assert f"in   theta' = theta - lr*{function.__name__}(g)" in message
    assert "sums, products, powers" in message


def test_a_reduction_is_smaller_than_what_it_is_of():
    size = local("size")
    rule = optimizer(Let(size, TensorSum(g**2)), Let(theta.next, theta - lr * g / sqrt(size + eps)))
    assert rule.spaces[size] is TENSOR
    assert rule.spaces[theta.next] is ELEM
    assert str(rule).startswith("size = TensorSum(g**2)")
    assert r"\sum_{\mathrm{tensor}}" in rule._repr_latex_()
    assert TensorSum(0 * g) == 0
    assert not TensorSum(2).is_number  # it depends on how large the tensor is


def test_equations_may_come_in_any_order():
    rule = optimizer(Let(theta.next, theta - lr * a), Let(a, log(1 + m.next**2)), Let(m.next, beta1 * m + g))
    assert [let.target for let in rule.equations] == [m.next, a, theta.next]
    assert [let.target for let in rule.step] == [theta.next, a, m.next]


def test_a_draw_varies_over_elements_and_is_no_number():
    draw = normal(seed)
    assert normal(seed, 0) == draw != normal(seed, 1)
    assert (draw.seed, draw.stream, normal(seed, 3).stream) == (seed, 0, 3)
    assert draw.is_real
    assert not draw.is_number
    assert not normal(7).is_number
    rule = optimizer(Let(a, lr * normal(seed, 1)), Let(theta.next, theta - a * g + normal(seed)))
    assert rule.spaces[a] is ELEM
    assert rule.draws == (normal(seed, 1), normal(seed))
    assert [h.name for h in rule.hypers] == ["lr", "seed"]


def test_of_a_draw_without_a_seed_one_thing_is_said():
    with pytest.raises(SpecError) as caught:
        Optimizer("rule", "Rule", [Let(theta.next, theta - normal(1))])
    assert [problem.what.split(" is ")[0] for problem in caught.value.problems] == ["the seed of `normal(1)`"]
