"""Wrappers: what they do to the equations, that they nest in any order and twice, and that one sweep comes out."""

from collections.abc import Callable, Sequence
from itertools import pairwise, permutations, product
from typing import Any

import numpy as np
import pytest
from sympy import Eq, Max, Min, Mod, Piecewise, S, sqrt

import optgen
from optgen import ELEM, TENSOR, Let, ModelNorm, Norm, Optimizer, Schedule, TensorSum, g, hyper, local, state, t, theta
from optgen.combinators import (
    accumulate,
    amsgrad,
    cautious,
    centralized,
    clip_global_norm,
    clip_unit_norm,
    clip_value,
    decoupled_decay,
    ema,
    gradient_noise,
    l2,
    lookahead,
    nesterov,
    scheduled,
    skip_nonfinite,
)
from optgen.errors import SpecError
from optgen.hypers import beta1, lr, momentum, weight_decay
from optgen.ir import Kernel
from optgen.language.text import text
from optgen.pipeline import kernel_of
from optgen.specs.adam import adam
from optgen.specs.adopt import adopt
from optgen.specs.nadam import nadam
from optgen.specs.schedule_free import schedule_free_adamw
from optgen.specs.sgd import sgd
from optgen.specs.sgdm import sgdm, sgdm_lecture
from optgen.specs.swats import swats
from optgen.verify import reference

WRAPPERS: dict[str, Callable[[Optimizer], Optimizer]] = {
    "l2": l2,
    "clip_value": clip_value,
    "gradient_noise": gradient_noise,
    "accumulate": accumulate,
    "amsgrad": amsgrad,
    "nesterov": nesterov,
    "decoupled_decay": decoupled_decay,
    "ema": ema,
    "lookahead": lookahead,
    "scheduled": lambda inner: scheduled(inner, lr=lr * Min(1, t / 100)),
}
REDUCING: dict[str, Callable[[Optimizer], Optimizer]] = {
    "clip_global_norm": clip_global_norm,
    "clip_unit_norm": clip_unit_norm,
    "centralized": centralized,
    "cautious": cautious,
    "skip_nonfinite": skip_nonfinite,
}
"""Those that look at more than one element, and so need more than one sweep."""
EVERY = {**WRAPPERS, **REDUCING}


def equations(optimizer: Optimizer) -> dict[str, str]:
    return {text(let.target): text(let.value) for let in optimizer.step}


# What each does ------------------------------------------------------------------------------------------------------


def test_l2_adds_the_pull_to_the_gradient_that_everything_sees() -> None:
    assert equations(l2(sgdm)) == {
        "g_l2": "g + weight_decay*theta",
        "b'": "g_l2 if t == 1 else momentum*b + (1 - dampening)*g_l2",
        "theta'": "theta - lr*b'",
    }


def test_clip_value_bounds_both_ways() -> None:
    assert equations(clip_value(sgd))["g_clipped"] == "max(min(g, clip_limit), -clip_limit)"


def test_noise_fades_and_every_wrapper_has_a_stream_of_its_own() -> None:
    assert equations(gradient_noise(sgd))["g_noisy"] == "g + noise_scale*t**(-noise_decay)*normal(seed)"
    assert "normal(seed, 1)" in str(gradient_noise(gradient_noise(sgd)))
    assert equations(gradient_noise(sgd, sigma=lr / 10))["g_noisy"] == "g + lr*normal(seed)/10"


def test_accumulate_holds_everything_until_a_step_is_due() -> None:
    n = hyper("n", 4, S.Naturals)
    assert equations(accumulate(sgdm_lecture, n)) == {
        "gathered": "pending + 1",
        "pending'": "0 if n <= gathered else gathered",
        "g_mean": "(g_sum + g)/gathered",
        "g_sum'": "0 if n <= gathered else g_sum + g",
        "update_t": "updates + 1",
        "updates'": "update_t if n <= gathered else updates",
        "m'": "momentum*m + lr*g_mean if n <= gathered else m",
        "theta'": "theta - m' if n <= gathered else theta",
    }


def test_accumulate_counts_the_inner_steps() -> None:
    assert equations(accumulate(adam))["m_hat"] == "m'/(1 - beta1**update_t)"


def test_amsgrad_takes_the_largest_moment_before_bias_correction() -> None:
    found = equations(amsgrad(adam))
    assert found["v_max'"] == "max(v', v_max)"
    assert found["v_hat"] == "v_max'/(1 - beta2**t)"
    assert found["v'"] == equations(adam)["v'"]


def test_nesterov_takes_the_momentum_once_more() -> None:
    assert equations(nesterov(adam))["m_ahead"] == "beta1*m' + (1 - beta1)*g"
    assert equations(nesterov(sgdm, of="b"))["b_ahead"] == "momentum*b' + (1 - dampening)*g"


def test_decoupled_decay_is_beside_the_update() -> None:
    assert equations(decoupled_decay(sgd))["theta'"] == "theta - lr*g - lr*weight_decay*theta"
    assert equations(decoupled_decay(sgd, rate=1))["theta'"] == "theta - lr*g - weight_decay*theta"


def test_an_average_is_of_what_the_inner_optimizer_leaves() -> None:
    assert equations(ema(lookahead(sgd)))["theta_ema'"].endswith("*theta'")
    assert equations(lookahead(ema(sgd)))["theta_ema'"].endswith("*fast")


@pytest.mark.parametrize(
    ("manner", "expected"),
    [
        ("keep", {"m'": "momentum*m + lr*g"}),
        ("reset", {"m_fast": "momentum*m + lr*g", "m'": "0 if sync_period <= since_sync + 1 else m_fast"}),
        ("pull back", {"m'": "m_slow' if sync_period <= since_sync + 1 else m_fast"}),
    ],
)
def test_lookahead_treats_the_momentum_as_told(manner: str, expected: dict[str, str]) -> None:
    found = equations(lookahead(sgdm_lecture, momentum=manner))
    assert found | expected == found
    assert found["theta'"] == "phi' if sync_period <= since_sync + 1 else fast"


def test_a_schedule_may_be_in_terms_of_what_it_replaces() -> None:
    found = scheduled(sgd, lr=lr * Min(1, t / 100))
    assert equations(found) == {"lr_t": "lr*min(t/100, 1)", "theta'": "theta - lr_t*g"}
    assert [symbol.name for symbol in found.hypers] == ["lr"]


def test_schedules_bring_their_equations_under_names_of_their_own() -> None:
    part = local("part")
    fall = Schedule("fall", lr * part, where=(Let(part, 1 / (1 + t)),))
    rise = Schedule("rise", momentum * part, where=(Let(part, 1 - 1 / (1 + t)),))
    found = equations(scheduled(sgdm_lecture, lr=fall, momentum=rise))
    assert found | {"lr_part": "1/(1 + t)", "lr_t": "lr*lr_part", "momentum_t": "momentum*momentum_part"} == found
    assert found["m'"] == "momentum_t*m + lr_t*g"


def test_a_schedule_reaches_what_states_start_from() -> None:
    start = state("v", init=momentum)
    rule = Optimizer(
        "rule", "Rule", (Let(start.next, start + g**2), Let(theta.next, theta - lr * g / sqrt(start.next)))
    )
    assert scheduled(rule, momentum=1 / (t + 1)).states[0].init == S.Half


def test_a_state_that_starts_from_the_gradient_starts_from_the_new_one() -> None:
    start = state("v", init=g**2)
    rule = Optimizer("rule", "Rule", (Let(start.next, Max(start, g**2)), Let(theta.next, theta - lr * g / start.next)))
    clipped = clip_value(rule)
    assert equations(clipped)["v'"] == "max(g_clipped**2 if t == 1 else v, g_clipped**2)"
    assert clipped.states[0].init == 0


# Nesting -------------------------------------------------------------------------------------------------------------


def sweeps(kernel: Kernel) -> set[int]:
    return {len(branch.sweeps) for branch in kernel.branches}


@pytest.mark.parametrize("name", WRAPPERS)
def test_it_may_be_applied_twice(name: str) -> None:
    wrapper = WRAPPERS[name]
    twice = wrapper(nesterov(adam, of="m") if name == "nesterov" else wrapper(adam))
    assert len({symbol.name for symbol in (*twice.hypers, *twice.states)}) == len(twice.hypers) + len(twice.states)
    assert sweeps(kernel_of(twice)) == {1}


@pytest.mark.parametrize("names", list(permutations(WRAPPERS, 2)), ids=" of ".join)
def test_any_two_nest_in_one_sweep(names: tuple[str, str]) -> None:
    outer, inner = (WRAPPERS[name] for name in names)
    assert sweeps(kernel_of(outer(inner(adam)))) == {1}


def test_a_deep_stack_is_one_sweep() -> None:
    deep = adam
    for name in ("l2", "clip_value", "gradient_noise", "amsgrad", "nesterov", "decoupled_decay", "ema", "lookahead"):
        deep = WRAPPERS[name](deep)
    assert sweeps(kernel_of(deep)) == {1}


def test_between_syncs_lookahead_moves_no_more_than_the_inner_optimizer() -> None:
    kernel, inner = kernel_of(lookahead(adam)), kernel_of(adam)
    usual = kernel.branches[-1]
    assert (usual.loads, usual.stores) == (inner.branches[-1].loads, inner.branches[-1].stores)


def test_between_steps_accumulate_touches_the_sum_alone() -> None:
    usual = kernel_of(accumulate(adam)).branches[-1]
    assert [slot.name for sweep in usual.sweeps for slot in sweep.stores] == ["g_sum"]
    assert [symbol.name for sweep in usual.sweeps for symbol in sweep.loads] == ["g", "g_sum"]


def test_a_wrapped_rule_compiles_and_says_what_it_is() -> None:
    wrapped = lookahead(clip_value(sgd))
    assert (wrapped.name, wrapped.title) == ("lookahead_clip_value_sgd", "LookaheadClipValueSGD")
    assert wrapped.description.startswith("Around ClipValueSGD: every sync_period steps")
    assert optgen.compile(wrapped).LookaheadClipValueSGD
    named = lookahead(sgd, name="mine", title="Mine", reference="here", description="Mine.", properties=())
    assert (named.name, named.title, named.reference, named.description) == ("mine", "Mine", "here", "Mine.")


# What those that reduce do --------------------------------------------------------------------------------------------

Model = list[Any]
SHAPES = ((), (5,), (3, 4), (2, 2, 3), (1, 6))
STEPS = 9


def start() -> Model:
    rng = np.random.default_rng(0)
    thetas = [np.asarray(rng.normal(size=shape)) for shape in SHAPES]
    thetas[2][1] = 0  # a row of zeros
    return thetas


def gradients(scale: float = 1.0) -> list[Model]:
    rng = np.random.default_rng(1)
    return [[np.asarray(scale * rng.normal(size=shape)) for shape in SHAPES] for _ in range(STEPS)]


def walked(optimizer: Optimizer, grads: Sequence[Model], **hypers: float) -> list[tuple[Model, dict[str, Model]]]:
    """The parameters and the states at the start and after each step."""
    points = [(start(), reference.start(optimizer, start(), hypers=hypers))]
    for k, grad in enumerate(grads, 1):
        points.append(reference.step(optimizer, points[-1][0], grad, points[-1][1], k, hypers=hypers))
    return points


def assert_close(ours: Sequence[Any], theirs: Sequence[Any]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def globally_clipped(_: Model, grads: Model) -> Model:
    norm = np.sqrt(sum(np.sum(grad**2) for grad in grads))
    return [grad * min(1, 1 / (norm + 1e-6)) for grad in grads]


def unit_clipped(thetas: Model, grads: Model) -> Model:
    clipped = []
    for weights, grad in zip(thetas, grads, strict=True):
        size, norm = (np.linalg.norm(np.atleast_1d(x), axis=-1, keepdims=True) for x in (weights, grad))
        clipped.append((grad * np.minimum(1, 0.01 * np.maximum(size, 1e-3) / norm)).reshape(grad.shape))
    return clipped


def central(_: Model, grads: Model) -> Model:
    return [grad - grad.mean(-1, keepdims=True) if grad.ndim > 1 and grad.shape[-2] > 1 else grad for grad in grads]


GRADIENTS: dict[str, Callable[[Model, Model], Model]] = {
    "clip_global_norm": globally_clipped,
    "clip_unit_norm": unit_clipped,
    "centralized": central,
    "clip_value": lambda _, grads: [np.clip(grad, -1, 1) for grad in grads],
}


@pytest.mark.parametrize(("outer", "inner"), list(product(GRADIENTS, EVERY)), ids=str)
def test_a_new_gradient_is_all_that_the_inner_optimizer_sees(outer: str, inner: str) -> None:
    optimizer = EVERY[inner](adam)
    grads = gradients()
    for k, ((thetas, states), (now, _)) in enumerate(pairwise(walked(EVERY[outer](optimizer), grads)), 1):
        expected, _ = reference.step(optimizer, thetas, GRADIENTS[outer](thetas, grads[k - 1]), states, k)
        assert_close(now, expected)


@pytest.mark.parametrize("inner", EVERY)
def test_cautious_keeps_what_goes_down_the_gradient_and_makes_up_for_the_rest(inner: str) -> None:
    optimizer = EVERY[inner](adam)
    grads, masked = gradients(), 0
    points = walked(cautious(optimizer), grads)
    for k, ((thetas, states), (ours, _)) in enumerate(pairwise(points), 1):
        usual, _ = reference.step(optimizer, thetas, grads[k - 1], states, k)
        for old, moved, grad, new in zip(thetas, usual, grads[k - 1], ours, strict=True):
            agrees = (moved - old) * grad < 0
            masked += np.sum(~agrees)
            expected = old + (moved - old) * agrees / max(agrees.mean(), 1e-3)
            np.testing.assert_allclose(new, expected, rtol=1e-12, atol=1e-14)
    assert masked > 0


def spoiled(grads: Sequence[Model], steps: Sequence[int], value: float) -> list[Model]:
    """Good gradients, before each of some steps one with a single bad element, each time in another tensor."""
    found: list[Model] = []
    for k, grad in enumerate(grads):
        for again in range(steps.count(k)):
            bad = [x.copy() for x in grad]
            bad[(k + again) % len(bad)].flat[-1] = value
            found.append(bad)
        found.append(grad)
    return found


def finite_inside(states: dict[str, Model]) -> dict[str, Model]:
    return {name: values for name, values in states.items() if not name.startswith("taken")}


SKIPPED: dict[str, Optimizer] = {
    **{
        f"{name} of adam": wrap(adam)
        for name, wrap in EVERY.items()
        if name not in ("gradient_noise", "skip_nonfinite")
    },
    **{optimizer.name: optimizer for optimizer in (sgd, sgdm, adopt, nadam, schedule_free_adamw, swats)},
    "clip_value of adopt": clip_value(adopt),
}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", SKIPPED)
def test_a_step_that_is_not_finite_leaves_no_trace(name: str, value: float) -> None:
    optimizer, before = SKIPPED[name], [0, 0, 1, 4, 4]
    expected = walked(optimizer, gradients())[-1]
    thetas, states = walked(skip_nonfinite(optimizer), spoiled(gradients(), before, value))[-1]
    assert_close(thetas, expected[0])
    assert all(np.all(count == STEPS) for count in states["taken"])
    assert finite_inside(states).keys() == expected[1].keys()
    for state_name, values in finite_inside(states).items():
        assert_close(values, expected[1][state_name])


def test_at_a_step_that_is_not_finite_nothing_moves_by_a_bit() -> None:
    points = walked(skip_nonfinite(adopt), spoiled(gradients(), [0, 3], np.nan))
    for k in (1, 5):  # the first step, and the one that was put before the fourth
        for before, after in zip(points[k - 1][0], points[k][0], strict=True):
            np.testing.assert_array_equal(before, after)
        for name in points[k][1]:
            for before, after in zip(points[k - 1][1][name], points[k][1][name], strict=True):
                np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("outer", EVERY)
def test_within_others_skipping_changes_nothing_while_gradients_are_finite(outer: str) -> None:
    usual, skipping = (walked(EVERY[outer](inner), gradients()) for inner in (adam, skip_nonfinite(adam)))
    for (thetas, _), (expected, _) in zip(skipping, usual, strict=True):
        assert_close(thetas, expected)


@pytest.mark.parametrize("outer", EVERY)
def test_within_others_a_step_that_is_not_finite_does_not_reach_the_moments(outer: str) -> None:
    *_, (_, states) = walked(EVERY[outer](skip_nonfinite(adam)), spoiled(gradients(), [2], np.nan))
    assert all(np.isfinite(moment).all() for moment in (*states["m"], *states["v"]))


def test_what_is_around_goes_by_the_steps_that_there_are() -> None:
    grads = spoiled(gradients(), [5], np.nan)
    (_, before), (thetas, after) = walked(ema(skip_nonfinite(adam)), grads)[5:7]
    for old, new, point in zip(before["theta_ema"], after["theta_ema"], thetas, strict=True):
        np.testing.assert_allclose(new, 0.999 * old + 0.001 * point)


@pytest.mark.parametrize("name", ["clip_global_norm", "clip_unit_norm", "centralized", "cautious"])
def test_gradients_of_zero_are_no_division_by_zero(name: str) -> None:
    zeros = [[np.zeros(shape) for shape in SHAPES]] * 3
    thetas, states = walked(EVERY[name](sgdm), zeros)[-1]
    for ours, theirs in zip((*thetas, *states["b"]), (*start(), *zeros[0]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_short_gradient_is_not_touched_by_a_bit() -> None:
    short = gradients(1e-7)
    for name in ("clip_global_norm", "clip_unit_norm"):
        for ours, theirs in zip(walked(EVERY[name](adam), short), walked(adam, short), strict=True):
            np.testing.assert_equal(ours, theirs)


def test_the_global_norm_may_be_taken_as_optax_does() -> None:
    expected = [[x / np.sqrt(sum(np.sum(y**2) for y in grad)) for x in grad] for grad in gradients()]
    found = walked(clip_global_norm(sgd, margin=0), gradients())
    for (ours, _), (theirs, _) in zip(found, walked(sgd, expected), strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("name", REDUCING)
def test_one_that_reduces_may_be_applied_twice(name: str) -> None:
    once, wrapper = EVERY[name](adam), EVERY[name]
    twice = wrapper(once)
    assert len({symbol.name for symbol in (*twice.hypers, *twice.states)}) == len(twice.hypers) + len(twice.states)
    if name == "cautious":  # twice as hard: divided by the share twice
        assert all(np.isfinite(theta).all() for theta in walked(twice, gradients())[-1][0])
        return
    bounds = {"norm_limit_2": 1e9, "unit_limit_2": 1e9}
    hypers = {symbol.name: bounds[symbol.name] for symbol in twice.hypers if symbol.name in bounds}
    for (ours, _), (theirs, _) in zip(walked(twice, gradients(), **hypers), walked(once, gradients()), strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("names", [pair for pair in permutations(EVERY, 2) if {*pair} & {*REDUCING}], ids=" of ".join)
def test_any_two_nest(names: tuple[str, str]) -> None:
    outer, inner = (EVERY[name] for name in names)
    points = walked(outer(inner(adam)), gradients()[:4])
    assert all(np.isfinite(array).all() for thetas, states in points[1:] for array in (*thetas, *states["m"]))
    assert any(np.any(a != b) for a, b in zip(points[0][0], points[-1][0], strict=True))


def test_what_is_kept_of_a_state_varies_over_no_more_than_it() -> None:
    v, m = state("v", space=TENSOR), state("m", space=TENSOR)
    step = (
        Let(v.next, v / 2 + TensorSum(g**2)),
        Let(m.next, m / 2 + TensorSum(g)),
        Let(theta.next, theta - lr * m.next * g / sqrt(v.next)),
    )
    wrapped = lookahead(amsgrad(Optimizer("rule", "Rule", step)), momentum="pull back")
    spaces = {symbol.name: symbol.space for symbol in wrapped.states}
    assert (spaces["v_max"], spaces["m_slow"], spaces["phi"]) == (TENSOR, TENSOR, ELEM)


def test_nesterov_rests_where_the_momentum_does() -> None:
    finite, held = (walked(nesterov(wrap(sgdm), of="b"), gradients()) for wrap in (lambda inner: inner, skip_nonfinite))
    for (ours, _), (theirs, _) in zip(held, finite, strict=True):
        assert_close(ours, theirs)
    means = [[sum(each) / 4 for each in zip(*gradients()[k : k + 4], strict=True)] for k in (0, 4)]
    summed = walked(nesterov(accumulate(sgdm), of="b"), gradients()[:8])
    # Around `accumulate`, it looks ahead whenever a step is taken.
    assert_close(summed[-1][0], walked(nesterov(sgdm, of="b"), means)[-1][0])


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda: amsgrad(sgdm), "amsgrad(sgdm): it has no state `v`"),
        (lambda: nesterov(sgd), "nesterov(sgd): it has no state `m`"),
        (lambda: nesterov(sgd), "it keeps no states: leave nesterov out, or wrap a rule that does"),
        (lambda: lookahead(sgd, momentum="pull back"), 'leave momentum="pull back" out, or wrap a rule that does'),
        (lambda: amsgrad(sgdm), "say which of b is meant: of=…"),
        (lambda: lookahead(sgd, momentum="forget"), "it cannot treat momentum like 'forget'"),
        (lambda: lookahead(sgd, momentum="reset"), "it has none of the states m, b to reset"),
        (lambda: scheduled(sgd, beta3=lr), "scheduled(sgd): it has no hyperparameter `beta3`"),
        (lambda: ema(sgd, titel="Mine"), "it has no option titel"),
        (lambda: ema("sgd"), "ema(sgd): it wraps no optimizer but what is of type str"),
        (lambda: l2(sgd, weight_decay=g), "l2(sgd): it can make nothing of its options: g is one value an element"),
        (lambda: scheduled(sgd, lr=g), "scheduled(sgd): it can make nothing of its options: g is one value an element"),
        (lambda: clip_global_norm(sgd, limit=Norm(g)), "one value a tensor"),
        (lambda: clip_unit_norm(sgd, limit=ModelNorm(g)), "one value a model"),
        (lambda: l2(sgd, weight_decay=True), "l2(sgd): weight_decay is True, no number"),
        (lambda: ema(sgd, decay=None), "ema(sgd): decay is None, no number"),
        (lambda: clip_value(sgd, "1"), "clip_value(sgd): limit is '1', no number"),
        (lambda: lookahead(sgd, period=[5]), "lookahead(sgd): period is [5], no number"),
        (lambda: lookahead(sgd, step_size=lambda t: t), "step_size is <function"),
        (lambda: scheduled(sgd, lr="lr/t"), "scheduled(sgd): lr is 'lr/t', no expression"),
        (lambda: scheduled(sgd, lr=lambda t: t), "scheduled(sgd): lr is <function"),
        (lambda: scheduled(sgd, {"lr": None}), "scheduled(sgd): lr is None, no expression"),
        (lambda: scheduled(sgd, lr * t), "it is given Mul, but not for which hyperparameter"),
        (lambda: cautious(sgd, limit=1), "it has no option limit"),
        (
            lambda: decoupled_decay(Optimizer("none", "Rule", (Let(theta.next, theta - beta1 * g),))),
            "decoupled_decay(none): it has no learning rate `lr`",
        ),
        (
            lambda: lookahead(sgd, period=weight_decay, step_size=Piecewise((1, Eq(Mod(theta, 2), 0)), (0, True))),
            "one value an element",
        ),
    ],
)
def test_misuse_is_told_with_what_to_write_instead(wrap: Callable[[], Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        wrap()
    assert message in str(caught.value)
    assert "test_combinators.py" in str(caught.value)
