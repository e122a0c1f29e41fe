"""Each pass: what it does to a kernel."""

import mpmath
import numpy as np
import pytest
from sympy import And, Eq, Max, Mod, Piecewise, cos, exp, log, sqrt

from optgen import Let, Norm, Optimizer, g, hyper, local, state, t, theta
from optgen.hypers import beta1, beta2, eps, lr, weight_decay
from optgen.ir import Kernel
from optgen.passes.cse import cse
from optgen.passes.hoist import hoist
from optgen.passes.lower import lower
from optgen.passes.stable import stable
from optgen.passes.unswitch import unswitch
from optgen.pipeline import kernel_of
from optgen.runtime.cpu.primitives import mean_age

m, v, z = state("m v z")
a, b = local("a b")


def rule(*step: Let) -> Optimizer:
    return Optimizer("rule", title="Rule", step=step)


def body(kernel: Kernel) -> list[str]:
    """The lines of the only sweep."""
    (sweep,) = kernel.sweeps
    return [str(assign) for assign in sweep.body]


def scalars(kernel: Kernel) -> list[str]:
    return [str(assign) for assign in kernel.scalars]


def test_lower_keeps_the_equations_and_moves_those_of_scalars_to_the_host():
    kernel = lower(rule(Let(a, lr / t), Let(m.next, m + g), Let(theta.next, theta - a * m.next)))
    assert scalars(kernel) == ["a = lr/t"]
    assert body(kernel) == ["m' = m + g", "theta' = theta - a*m'"]
    (sweep,) = kernel.sweeps
    assert [slot.name for slot in sweep.loads] == ["theta", "g", "m"]
    assert [slot.name for slot in sweep.stores] == ["theta", "m"]


def test_lower_reads_an_init_in_theta_or_g_in_place_of_the_state_at_the_first_step():
    w = state("w", init=g**2)
    kernel = kernel_of(rule(Let(w.next, beta2 * w + g), Let(theta.next, theta - lr * w.next)))
    first, later = kernel.branches
    assert str(first.when) == "Eq(t, 1)"
    assert str(first.sweeps[0].body[0]) == "w' = fma(beta2, g**2, g)"
    assert str(later.sweeps[0].body[0]) == "w' = fma(beta2, w, g)"
    assert "w" not in [slot.name for slot in first.sweeps[0].loads]


def test_unswitch_leaves_out_what_cannot_be():
    k = hyper("k", 3)
    choice = Piecewise((1, Eq(t, k)), (g, t > k), (2 * g, True))
    kernel = unswitch(lower(rule(Let(m.next, m + choice), Let(theta.next, theta - m.next))))
    assert len(kernel.branches) == 3  # t cannot be k and above it


def test_unswitch_makes_a_branch_for_each_outcome_of_a_scalar_condition():
    kernel = unswitch(
        lower(rule(Let(m.next, Piecewise((g, Eq(t, 1)), (m + g, True))), Let(theta.next, theta - m.next)))
    )
    assert scalars(kernel) == ["branch = 0 if t == 1 else 1"]
    first, later = kernel.branches
    assert [slot.name for slot in first.sweeps[0].loads] == ["theta", "g"]
    assert [slot.name for slot in later.sweeps[0].loads] == ["theta", "g", "m"]


def test_unswitch_stores_nothing_that_does_not_change():
    sync = Eq(Mod(t, 5), 0)
    kernel = unswitch(
        lower(
            rule(
                Let(a, theta - lr * g),
                Let(z.next, Piecewise((z + (a - z) / 2, sync), (z, True))),
                Let(theta.next, Piecewise((z.next, sync), (a, True))),
            )
        )
    )
    at_sync, between = kernel.branches
    assert [slot.name for slot in at_sync.sweeps[0].stores] == ["theta", "z"]
    assert [slot.name for slot in between.sweeps[0].stores] == ["theta"]
    assert [slot.name for slot in between.sweeps[0].loads] == ["theta", "g"]


def test_unswitch_leaves_out_branches_that_cannot_run():
    late = t > 10
    kernel = unswitch(
        lower(
            rule(
                Let(m.next, Piecewise((m + g, late), (m, True))),
                Let(theta.next, Piecewise((theta - g, t <= 10), (theta - m.next, True))),
            )
        )
    )
    assert len(kernel.branches) == 2


def test_unswitch_splits_conditions_joined_by_and():
    kernel = unswitch(lower(rule(Let(theta.next, Piecewise((theta - g, And(t > 10, g > 0)), (theta + g, True))))))
    assert [str(branch.sweeps[0].body[0]) for branch in kernel.branches] == [
        "theta' = theta - g if g > 0 else theta + g",
        "theta' = theta + g",
    ]


def test_unswitch_leaves_choices_that_the_host_makes_to_the_host():
    warm_up = Piecewise((lr * t / 10, t < 10), (lr, True))
    kernel = kernel_of(rule(Let(theta.next, theta - warm_up * g)))
    assert len(kernel.branches) == 1
    assert scalars(kernel) == ["c0 = lr*t/10 if t < 10 else lr"]


def test_hoist_takes_every_scalar_subexpression_and_number_out_of_the_sweep():
    kernel = hoist(
        lower(
            rule(
                Let(m.next, beta1 * m + (1 - beta1) * g),
                Let(theta.next, (1 - lr * weight_decay) * theta - lr * m.next / 2 / (sqrt(Max(v, 0)) + (eps + 1))),
                Let(v.next, v + g**2),
            )
        )
    )
    assert scalars(kernel) == ["c0 = 1 - beta1", "c1 = 1 - lr*weight_decay", "c2 = lr/2", "zero = 0", "c3 = 1 + eps"]
    assert body(kernel) == [
        "m' = beta1*m + c0*g",
        "theta' = c1*theta - c2*m'/(sqrt(max(v, zero)) + c3)",
        "v' = v + g**2",
    ]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (theta - g / (1 - beta1**t), "theta' = theta - c0*g"),
        (theta - 2 * g, "theta' = theta - two*g"),
        (theta - 1 / (g + m), "theta' = theta - one/(m + g)"),
        (theta - g / m, "theta' = theta - g/m"),
        (-lr * g, "theta' = -lr*g"),
        (theta - lr, "theta' = theta - lr"),
        (theta + m**2, "theta' = theta + m**2"),
        (theta + abs(m) ** beta1, "theta' = theta + Abs(m)**beta1"),
        (theta * t, "theta' = t*theta"),
    ],
)
def test_hoist_writes(value, line):
    kernel = hoist(lower(rule(Let(theta.next, value), Let(m.next, g + m))))
    assert body(kernel)[0] == line


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (1 - beta1**t, "-expm1(t*log(beta1))"),
        (1 / (1 - beta1 ** (t + 1)), "-1/expm1((1 + t)*log(beta1))"),
        (1 - exp(-t), "-expm1(-t)"),
        (exp(lr) - 1, "expm1(lr)"),
        ((1 + cos(lr * t)) / 2, "cos(lr*t/2)**2"),
        (lr * (3 + 3 * cos(t)), "6*lr*cos(t/2)**2"),
        ((1 - cos(lr * t)) / 2, "sin(lr*t/2)**2"),
        (2 + cos(t), "2 + cos(t)"),
        (2 / (1 - beta2) - 2 * (t + 1) * beta2 ** (t + 1) / (1 - beta2 ** (t + 1)), "2*mean_age(1 + t, beta2, 0)"),
        (log(1 + lr), "log1p(lr)"),
        (1 - beta1**2, "1 - beta1**2"),
        (1 - hyper("w", 0.5) ** t, "1 - w**t"),
        (1 - beta1 ** (t - 1), "-powm1(beta1, t - 1)"),
        (3 / (1 - beta2) - 1 - 3 * t * beta2**t / (1 - beta2**t), "3*mean_age(t, beta2, 1/3)"),
        (2 / (1 - beta2) - t * beta2**t / (1 - beta2**t), "t*beta2**t/expm1(t*log(beta2)) + 2/(1 - beta2)"),
        (2 / (1 - beta2) - 5, "(5*beta2 - 3)/(1 - beta2)"),
        (1 - 1 / (lr * t + 1), "lr*t/(1 + lr*t)"),
        (1 + 1 / (lr * t), "1 + 1/(lr*t)"),
        (1 / (1 + lr) - lr * (1 + t), "1/(1 + lr) - lr*(1 + t)"),
    ],
)
def test_stable_rewrites_what_would_cancel(value, line):
    kernel = stable(hoist(lower(rule(Let(theta.next, theta - value * g)))))
    assert scalars(kernel)[-1].split(" = ", 1)[1] == line


def test_stable_takes_a_number_from_a_sum_before_the_sum_is_rounded():
    length, rho = local("length rho")
    value = (rho - 4) / (length - 4)
    kernel = stable(
        hoist(
            lower(
                rule(
                    Let(length, 2 / (1 - beta2) - 1),
                    Let(rho, length - 2 * t * beta2**t / (1 - beta2**t)),
                    Let(theta.next, theta - value * g),
                )
            )
        )
    )
    assert scalars(kernel) == [
        "length = (1 + beta2)/(1 - beta2)",
        "rho = 2*mean_age(t, beta2, 1/2)",
        "c0 = 2*(1 - beta2)*mean_age(t, beta2, 5/2)/(5*beta2 - 3)",
    ]


@pytest.mark.parametrize("less", [0, 0.5, 2.5])
def test_a_mean_age_keeps_its_digits(less):
    rng = np.random.default_rng(0)
    betas = [0, 0.5, 0.6, 0.9, 0.999, *(1 - 10 ** rng.uniform(-15, 0, 40)), *rng.uniform(0, 1, 40)]
    with mpmath.workdps(50):
        for beta in map(mpmath.mpf, map(float, betas)):
            for t_ in (1, 2, 3, 5, 6, 10, 100, 12345, 10**7):
                exact = 1 / (1 - beta) - t_ * beta**t_ / (1 - beta**t_)
                error = abs(mean_age(float(t_), float(beta), less) - (exact - less))
                assert error <= 2**-51 * max(abs(exact - mpmath.mpf(5) / 2), 1), (t_, beta)


def test_the_signs_of_what_mean_ages_are_beyond_agree():
    for beta in 0.6 + np.arange(1, 2000) * 1e-4:
        for t_ in range(5, 50):
            assert (2 * mean_age(float(t_), beta, 0.5) > 4) <= (mean_age(float(t_), beta, 2.5) > 0)


def test_stable_remembers_what_the_spec_said():
    kernel = stable(hoist(lower(rule(Let(theta.next, theta - g / (1 - beta1**t))))))
    assert kernel.scalars[0].origin == "1/(1 - beta1**t)"


def test_cse_computes_once_what_occurs_twice():
    kernel = cse(
        hoist(lower(rule(Let(m.next, m + sqrt(g**2 + eps)), Let(theta.next, theta - lr * g / sqrt(g**2 + eps)))))
    )
    assert body(kernel) == ["x0 = sqrt(g**2 + eps)", "m' = m + x0", "theta' = theta - lr*g/x0"]


def test_cse_uses_a_name_that_is_there_already():
    kernel = cse(
        hoist(lower(rule(Let(a, sqrt(m**2 + g)), Let(theta.next, theta - g / sqrt(m**2 + g)), Let(m.next, a))))
    )
    assert body(kernel) == ["a = sqrt(m**2 + g)", "theta' = theta - g/a", "m' = a"]


def test_strength_names_the_bases_of_products():
    kernel = kernel_of(rule(Let(theta.next, theta - lr * ((g - theta) ** 2 + 1) ** 3)))
    assert body(kernel) == ["x0 = g - theta", "x1 = fma(x0, x0, one)", "theta' = fma(-lr, x1**3, theta)"]


@pytest.mark.parametrize("name", ["sgdm", "adamw", "rmsprop_centered_momentum"])
def test_a_kernel_prints_as_text_that_a_person_can_read(generated_by_name, name):
    text = str(kernel_of(generated_by_name(name).optimizer))
    assert text.startswith(f"kernel {name}\n")
    for heading in (
        "hypers",
        "states",
        "scalars, once a step on the host",
        "sweep 0 over every element",
        "load",
        "store",
    ):
        assert heading in text


def test_fuse_takes_no_number_for_a_product():
    """Among reduced values numbers stand in sums; 2 has once been taken for 2*2."""
    step = (Let(theta.next, theta - lr * g / (2 + (lr + Norm(g)) ** 3)),)
    kernel = kernel_of(Optimizer("rule", "Rule", step))
    small = next(sweep for sweep in kernel.sweeps if sweep.is_reduced and sweep.body)
    assert "fma(2, 2" not in str(small.body)
